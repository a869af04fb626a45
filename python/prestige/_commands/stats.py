"""``stats``: what has happened since the store was opened."""

from __future__ import annotations

import sys

from . import Arguments
from .output import print_figures, print_json
from .target import Access, is_remote, target


def run_stats(arguments: Arguments) -> int:
    """Print the figures; of a directory they are those of this command alone, nearly all 0."""
    with target(arguments, Access.READ) as store:
        figures = dict(store.stats())
    if arguments["json"]:
        print_json(figures)
    else:
        print_figures(figures)
        if not is_remote(arguments):
            print(
                "prestige: these count what has happened since the store was opened, here by this "
                "command; ask the server that has it open, with --url",
                file=sys.stderr,
            )
    return 0
