"""``demo``: the store at work on real texts."""

from __future__ import annotations

import os

from prestige import demo

from . import Arguments


def run_demo(arguments: Arguments) -> int:
    """Run the demonstration."""
    file = None if arguments["file"] is None else os.fsdecode(arguments["file"])
    return demo.run(file, threshold=arguments["threshold"], limit=arguments["limit"])
