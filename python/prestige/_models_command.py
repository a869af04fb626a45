"""The command ``prestige models``: which models there are, where they are, and how to get them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from . import hub
from .exceptions import ModelError


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add the command and its three parts to the parser of ``prestige``."""
    models = commands.add_parser(
        "models",
        help="models for semantic stores: list them, find them, download them",
        description="Models for semantic stores. Only `pull` opens connections.",
    )
    parts = models.add_subparsers(metavar="COMMAND", required=True)

    show = parts.add_parser("list", help="the models known by name, and where they are")
    _add_cache_dir(show)
    show.set_defaults(run=_list)

    find = parts.add_parser("path", help="the folder of a model on this machine")
    _add_model(find)
    find.set_defaults(run=_path)

    pull = parts.add_parser(
        "pull",
        help="download a model from the Hugging Face hub",
        description="Download a model from the Hugging Face hub, or bring it up to date, compare "
        "its files with the hashes that the hub states, and print its folder. Needs the package "
        "huggingface_hub: pip install 'prestige-cache[hub]'. Honours HF_HOME, HF_HUB_CACHE, "
        "HF_HUB_OFFLINE and HF_ENDPOINT.",
    )
    _add_model(pull)
    pull.add_argument(
        "--local-files-only", action="store_true", help="open no connection: fail if it is missing"
    )
    pull.add_argument("--quiet", action="store_true", help="show no progress")
    pull.set_defaults(run=_pull)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="MODEL", help="a name of `prestige models list`, or organisation/name"
    )
    parser.add_argument(
        "--revision", metavar="REVISION", help="branch, tag or commit (default: main)"
    )
    _add_cache_dir(parser)


def _add_cache_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cache-dir",
        metavar="DIR",
        help="where models are (default: the cache of the Hugging Face client, see HF_HOME)",
    )


def _list(arguments: argparse.Namespace) -> int:
    rows = [("NAME", "MODEL", "DIMENSION", "TOKENS", "MB", "FOR", "WHERE")]
    bundled, *others = hub.presets()
    for preset in (bundled, *others):
        # The bundled one is in the package, wherever the others are.
        cache_dir = None if preset is bundled else arguments.cache_dir
        try:
            where = str(hub.path(preset.name, cache_dir=cache_dir))
        except ModelError:
            where = "-"
        rows.append(
            (
                preset.name,
                preset.repository,
                str(preset.dimension),
                str(preset.max_tokens),
                str(preset.megabytes),
                preset.about,
                where,
            )
        )
    _print_table(rows)
    return 0


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _path(arguments: argparse.Namespace) -> int:
    print(hub.path(arguments.model, revision=arguments.revision, cache_dir=arguments.cache_dir))
    return 0


def _pull(arguments: argparse.Namespace) -> int:
    folder = hub.pull(
        arguments.model,
        revision=arguments.revision,
        cache_dir=arguments.cache_dir,
        local_files_only=arguments.local_files_only,
        progress=False if arguments.quiet else None,
    )
    # The progress bars are on the standard error output, and may have left a line open.
    print(end="", file=sys.stderr, flush=True)
    print(folder)
    return 0
