"""What commands print: JSON, raw bytes, and texts that cannot harm a terminal."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

from prestige import _terminal

Shown = str | dict[str, str]
"""Bytes in JSON: a string if they are UTF-8, otherwise an object with the key ``base64``."""


def bytes_of(text: str | bytes) -> bytes:
    """The bytes of a key; lone surrogates stand for single bytes, as the store returns them."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def as_json(data: bytes) -> Shown:
    """Bytes as JSON has them."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def print_json(document: object) -> None:
    """Print one JSON document on one line."""
    # What the output cannot encode would be escaped by Python's rules, not JSON's.
    plain = (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
    text = json.dumps(document, ensure_ascii=plain, default=_converted, allow_nan=False)
    print(text)


def _converted(value: object) -> object:
    if isinstance(value, bytes):
        return as_json(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def stdout_bytes() -> BinaryIO:
    """The standard output for bytes; what was printed as text comes before them."""
    sys.stdout.flush()
    return sys.stdout.buffer


def stdin_bytes() -> bytes:
    """Everything that comes on the standard input."""
    return sys.stdin.buffer.read()


def harmless(data: bytes) -> str:
    """Bytes as one line of text without control characters, for a terminal."""
    text = data.decode("utf-8", "backslashreplace")
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def print_figures(figures: Mapping[str, Any]) -> None:
    """Print names and numbers as a table."""
    rows = [(name, figure(name, value)) for name, value in figures.items()]
    for line in _terminal.table(rows, "ll"):
        print(line)


def figure(name: str, value: object) -> str:
    """A figure for people, with its unit."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        unit = " s" if name.endswith("_s") else ""
        return f"{value:.4g}{unit}"
    if isinstance(value, int):
        if name.startswith("bytes_") or name.endswith("_bytes"):
            return f"{value:,} ({size(value)})" if value >= 1024 else f"{value:,}"
        return f"{value:,} s" if name.endswith("_s") else f"{value:,}"
    return str(value)


def size(number: int) -> str:
    """Bytes in the largest unit that leaves a number over 1."""
    amount = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.4g} {unit}"
        amount /= 1024
    return f"{amount:.4g} TiB"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: ``1 key``, ``2 keys``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
