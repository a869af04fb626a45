"""``put``, ``get`` and ``del``."""

from __future__ import annotations

import sys

from prestige import _terminal
from prestige.exceptions import NotFoundError

from . import Arguments
from .files import readable, writable
from .output import as_json, print_json, stdin_bytes, stdout_bytes
from .target import Access, target

STDIN = b"-"


def run_put(arguments: Arguments) -> int:
    """Store a value from an argument, a file or the standard input."""
    key: bytes = arguments["key"]
    # Before the store is opened: an input that takes long keeps nobody out.
    value = _value(arguments)
    metadata = dict(arguments["metadata"]) or None
    with target(arguments, Access.CREATE) as store:
        store.put(key, value, ttl_seconds=arguments["ttl"], metadata=metadata)
    if arguments["json"]:
        print_json({"key": as_json(key), "bytes": len(value)})
    return 0


def _value(arguments: Arguments) -> bytes:
    if arguments["file"] is not None:
        return readable("--file", arguments["file"]).read_bytes()
    value: bytes | None = arguments["value"]
    return stdin_bytes() if value is None or value == STDIN else value


def run_get(arguments: Arguments) -> int:
    """Print a value as it is; with ``--json`` everything that is known of the key."""
    key: bytes = arguments["key"]
    file = None
    if arguments["output"] is not None:
        file = writable("--output", arguments["output"])
    with target(arguments, Access.READ) as store:
        value = store.get(key)
        if arguments["json"]:
            print_json(
                {
                    "key": as_json(key),
                    "value": as_json(value),
                    "digest": store.digest(value),
                    "object_id": store.get_object_id(key),
                    "ttl_seconds": store.ttl(key),
                    "metadata": store.get_metadata(key),
                }
            )
            return 0
    if file is not None:
        file.write_bytes(value)
        return 0
    output = stdout_bytes()
    output.write(value)
    if _terminal.is_terminal(sys.stdout) and not value.endswith(b"\n"):
        output.write(b"\n")
    output.flush()
    return 0


def run_del(arguments: Arguments) -> int:
    """Delete keys; exit code 1 if one was not there."""
    keys: list[bytes] = list(dict.fromkeys(arguments["keys"]))
    missing = []
    with target(arguments, Access.CHANGE) as store:
        for key in keys:
            try:
                store.delete(key)
            except NotFoundError:
                missing.append(key)
    if arguments["json"]:
        shown = [as_json(key) for key in missing]
        print_json({"deleted": len(keys) - len(missing), "missing": shown})
    elif missing and not arguments["force"]:
        for key in missing:
            print(f"prestige: there is no key {as_json(key)!r}", file=sys.stderr)
    return 1 if missing and not arguments["force"] else 0
