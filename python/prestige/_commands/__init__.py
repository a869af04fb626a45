"""What the commands do, a module each or a few: parsed arguments in, exit code out.

All of them work on the interface that a store in a directory and one behind a server share.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

Arguments = dict[str, Any]
"""The arguments of one command, as the parser returns them."""

_MODULES = {
    "put": "values",
    "get": "values",
    "del": "values",
    "keys": "lists",
    "count": "lists",
    "count-approx": "lists",
    "namespaces": "lists",
    "health": "health",
    "stats": "stats",
    "sweep": "upkeep",
    "prune": "upkeep",
    "evict": "upkeep",
    "flush": "upkeep",
    "verify": "upkeep",
    "compact": "upkeep",
    "rebuild-index": "upkeep",
    "reembed": "reembed",
    "backup": "transfer",
    "restore": "transfer",
    "export": "transfer",
    "import": "transfer",
    "candidates": "candidates",
    "calibrate": "calibrate",
    "models": "models",
    "demo": "demo",
    "serve": "serve",
}


def run(arguments: Arguments, words: Sequence[str]) -> int:
    """Run a command. `words` are the arguments as they came, which `serve` parses by itself."""
    name: str = arguments["command"]
    module = import_module(f"{__name__}.{_MODULES[name]}")
    if name == "serve":
        code: int = module.run(words)
    else:
        code = getattr(module, "run_" + name.replace("-", "_"))(arguments)
    return code
