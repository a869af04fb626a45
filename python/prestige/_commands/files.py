"""Files that arguments name: one that cannot be used is a usage error, which names the argument."""

from __future__ import annotations

import os
from pathlib import Path

from prestige.exceptions import InvalidArgumentError


def readable(argument: str, name: bytes, advice: str = "name a file that can be read") -> Path:
    """The path of a file that is to be read.

    Raises:
        InvalidArgumentError: It is not there, no file, or may not be read.

    """
    path = Path(os.fsdecode(name))
    if why := _unreadable(path):
        raise InvalidArgumentError(f"{argument}: cannot read {path}: {why}; {advice}")
    return path


def _unreadable(path: Path) -> str | None:
    try:
        if not path.exists():
            return "there is no such file"
        if path.is_dir():
            return "it is a directory"
    except (OSError, ValueError) as error:
        return str(error)
    return None if os.access(path, os.R_OK) else "this user may not read it"


def writable(argument: str, name: bytes) -> Path:
    """The path of a file that is to be written.

    Raises:
        InvalidArgumentError: It is a directory, or there is none in which it could be.

    """
    path = Path(os.fsdecode(name))
    why = None
    if path.is_dir():
        why = "it is a directory"
    elif not path.parent.is_dir():
        why = f"there is no directory {path.parent}"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        why = "this user may not write there"
    if why:
        raise InvalidArgumentError(
            f"{argument}: cannot write {path}: {why}; name a file in a directory that is there"
        )
    return path


def folder(argument: str, name: bytes, advice: str) -> str:
    """The path of a directory that is to be read.

    Raises:
        InvalidArgumentError: It is not there, or no directory.

    """
    path = Path(os.fsdecode(name))
    if not path.is_dir():
        why = "it is no directory" if path.exists() else "there is no such directory"
        raise InvalidArgumentError(f"{argument}: cannot read {path}: {why}; {advice}")
    return str(path)
