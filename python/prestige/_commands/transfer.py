"""``backup``, ``restore``, ``export`` and ``import``."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import prestige
from prestige._terminal import Working

from . import Arguments
from .files import folder, readable, writable
from .output import count, print_json, stdout_bytes
from .target import Access, target

STANDARD_STREAM = b"-"
WHY_OWNER = (
    "a backup shares the files of the store, which only the process that has it open keeps from "
    "being removed meanwhile"
)


def run_backup(arguments: Arguments) -> int:
    """Copy a store; of a server into its backup directory."""
    backup = os.fsdecode(arguments["backup"])
    with target(arguments, Access.CHANGE, WHY_OWNER) as store, Working("backing up"):
        store.backup(backup)
    return _told(arguments, {"backup": backup}, f"Backed up to {backup}")


def run_restore(arguments: Arguments) -> int:
    """Make a store from a backup."""
    path = os.fsdecode(arguments["directory"])
    advice = "name a directory that `prestige backup` made"
    backup = folder("BACKUP", arguments["backup"], advice)
    try:
        with Working("restoring"):
            prestige.restore(backup, path)
    except prestige.BusyError as error:
        raise prestige.BusyError(
            f"restore: {backup} is open as a store in another process: copy that by `prestige "
            "backup`, of a server with --url URL, and restore the copy"
        ) from error
    return _told(arguments, {"path": path}, f"Restored to {path}")


def run_export(arguments: Arguments) -> int:
    """Write keys, values and times to a file or, through a temporary file, the standard output."""
    if arguments["file"] != STANDARD_STREAM:
        number = _export(arguments, str(writable("FILE", arguments["file"])))
        return _told(arguments, {"exported": number}, f"{count(number, 'key')} exported")
    with tempfile.TemporaryDirectory(prefix="prestige-export-") as folder:
        path = Path(folder) / "records"
        _export(arguments, str(path))
        with path.open("rb") as stream:
            shutil.copyfileobj(stream, stdout_bytes())
    return 0


def _export(arguments: Arguments, path: str) -> int:
    with target(arguments, Access.READ) as store, Working("exporting"):
        write = store.export_parquet if _is_parquet(arguments) else store.export_jsonl
        return write(path, prefix=arguments["prefix"])


def run_import(arguments: Arguments) -> int:
    """Put the keys of a file or, through a temporary file, of the standard input."""
    if arguments["file"] != STANDARD_STREAM:
        # Before a store is made for it.
        advice = "name one that `prestige export` wrote, or - for the standard input"
        number = _import(arguments, str(readable("FILE", arguments["file"], advice)))
    else:
        with tempfile.TemporaryDirectory(prefix="prestige-import-") as folder:
            copy = Path(folder) / "records"
            with copy.open("wb") as stream:
                shutil.copyfileobj(sys.stdin.buffer, stream)
            number = _import(arguments, str(copy))
    return _told(arguments, {"imported": number}, f"{count(number, 'key')} imported")


def _import(arguments: Arguments, path: str) -> int:
    with target(arguments, Access.CREATE) as store, Working("importing"):
        return (store.import_parquet if _is_parquet(arguments) else store.import_jsonl)(path)


def _is_parquet(arguments: Arguments) -> bool:
    if arguments["format"] is not None:
        return bool(arguments["format"] == "parquet")
    name: bytes = arguments["file"]
    return name.lower().endswith((b".parquet", b".pq"))


def _told(arguments: Arguments, document: dict[str, object], text: str) -> int:
    if arguments["json"]:
        print_json(document)
    else:
        print(text)
    return 0
