"""``keys``, ``count``, ``count-approx`` and ``namespaces``."""

from __future__ import annotations

import sys
from itertools import islice

from prestige import _terminal

from . import Arguments
from .output import as_json, bytes_of, harmless, print_json, stdout_bytes
from .target import Access, target


def run_keys(arguments: Arguments) -> int:
    """Print keys, one a line, as they are read."""
    terminal = _terminal.is_terminal(sys.stdout)
    end = b"\0" if arguments["null"] else b"\n"
    with target(arguments, Access.READ) as store:
        keys = store.keys(
            prefix=arguments["prefix"], start=arguments["start"], limit=arguments["limit"]
        )
        for key in islice(keys, arguments["limit"]):
            data = bytes_of(key)
            if arguments["json"]:
                print_json(as_json(data))
            elif terminal and not arguments["null"]:
                print(harmless(data))
            else:
                stdout_bytes().write(data + end)
    return 0


def run_count(arguments: Arguments) -> int:
    """Print the number of keys, the expired left out, or of distinct values."""
    with target(arguments, Access.READ) as store:
        unique: bool = arguments["unique"]
        number = store.count_unique_values() if unique else store.count_keys(approximate=False)
    return _print_count(arguments, number)


def run_count_approx(arguments: Arguments) -> int:
    """Print the number of keys, the expired and not yet swept among them."""
    with target(arguments, Access.READ) as store:
        number = store.count_keys(approximate=True)
    return _print_count(arguments, number)


def _print_count(arguments: Arguments, number: int) -> int:
    if arguments["json"]:
        print_json({"count": number})
    else:
        print(number)
    return 0


def run_namespaces(arguments: Arguments) -> int:
    """Print the names of the namespaces, one a line."""
    with target(arguments, Access.READ) as store:
        names = store.namespaces()
    if arguments["json"]:
        print_json({"namespaces": names})
        return 0
    for name in names:
        print(harmless(name.encode()))
    return 0
