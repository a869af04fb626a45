"""``reembed``: another model for a semantic store."""

from __future__ import annotations

import time
from typing import Any

import prestige
from prestige._terminal import Working
from prestige.exceptions import InvalidArgumentError

from . import Arguments
from .output import count, print_json
from .target import Access, is_remote, semantic_model, target


def run_reembed(arguments: Arguments) -> int:
    """Embed every text anew; the former model is not needed."""
    name: str = arguments["model"]
    started = time.monotonic()
    if is_remote(arguments):
        embedded = _on_server(arguments, name)
    else:
        embedded = _in_directory(arguments, name)
    seconds = time.monotonic() - started
    if arguments["json"]:
        print_json({"model": name, "embedded": embedded, "seconds": round(seconds, 3)})
    else:
        print(f"{count(embedded, 'text')} embedded by {name} in {seconds:.1f} s")
    return 0


def _on_server(arguments: Arguments, name: str) -> int:
    with target(arguments, Access.CHANGE) as store, Working("embedding"):
        # By the name, which stands for a folder of the server's machine; a client takes it.
        remote: Any = store
        return int(remote.reembed(name))


def _in_directory(arguments: Arguments, name: str) -> int:
    options = {"semantic_model": semantic_model(name), "reembed": True}
    with Working("embedding"), target(arguments, Access.CHANGE, options=options) as store:
        if store.dedup_mode != prestige.DedupMode.SEMANTIC:
            raise InvalidArgumentError("reembed: an exact store has no model and no vectors")
        # Of this opening, which has embedded nothing else.
        spaces = [store, *map(store.namespace, store.namespaces())]
        return sum(int(space.stats()["texts_embedded"]) for space in spaces)
