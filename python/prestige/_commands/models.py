"""``models``: which models there are, where they are, and how to get them."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict

from prestige import _terminal, hub
from prestige.exceptions import ModelError

from . import Arguments
from .output import print_json


def run_models(arguments: Arguments) -> int:
    """Run one of the three parts. Only ``pull`` opens connections."""
    parts = {"list": _list, "path": _path, "pull": _pull}
    return parts[arguments["part"]](arguments)


def _cache_dir(arguments: Arguments) -> str | None:
    folder: bytes | None = arguments["cache_dir"]
    return None if folder is None else os.fsdecode(folder)


def _list(arguments: Arguments) -> int:
    bundled, *others = hub.presets()
    places: list[tuple[hub.Preset, str | None]] = []
    for preset in (bundled, *others):
        # The bundled one is in the package, wherever the others are.
        cache_dir = None if preset is bundled else _cache_dir(arguments)
        try:
            places.append((preset, str(hub.path(preset.name, cache_dir=cache_dir))))
        except ModelError:
            places.append((preset, None))
    if arguments["json"]:
        print_json({"models": [{**asdict(preset), "path": path} for preset, path in places]})
        return 0
    rows = [("NAME", "MODEL", "DIMENSION", "TOKENS", "MB", "FOR", "WHERE")]
    for preset, path in places:
        rows.append(
            (
                preset.name,
                preset.repository,
                str(preset.dimension),
                str(preset.max_tokens),
                str(preset.megabytes),
                preset.about,
                path or "-",
            )
        )
    for line in _terminal.table(rows, "l" * len(rows[0])):
        print(line)
    return 0


def _path(arguments: Arguments) -> int:
    folder = hub.path(
        arguments["model"], revision=arguments["revision"], cache_dir=_cache_dir(arguments)
    )
    return _print_folder(arguments, str(folder))


def _pull(arguments: Arguments) -> int:
    folder = hub.pull(
        arguments["model"],
        revision=arguments["revision"],
        cache_dir=_cache_dir(arguments),
        local_files_only=arguments["local_files_only"],
        progress=False if arguments["quiet"] else None,
    )
    # The progress bars are on the standard error output, and may have left a line open.
    print(end="", file=sys.stderr, flush=True)
    return _print_folder(arguments, str(folder))


def _print_folder(arguments: Arguments, folder: str) -> int:
    if arguments["json"]:
        print_json({"model": arguments["model"], "path": folder})
    else:
        print(folder)
    return 0
