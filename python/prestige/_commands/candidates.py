"""``candidates``: the stored values nearest to a query."""

from __future__ import annotations

from typing import Any

from prestige import _terminal

from . import Arguments
from .output import harmless, print_json, stdin_bytes
from .target import Access, target

PREVIEW_COLUMNS = 60


def run_candidates(arguments: Arguments) -> int:
    """Print the candidates, the most similar first."""
    query: bytes = arguments["query"]
    if query == b"-":
        query = stdin_bytes()
    wanted: dict[str, list[str]] = {}
    for name, text in arguments["filter"]:
        wanted.setdefault(name, []).append(text)
    with target(arguments, Access.READ) as store:
        found: list[Any] = list(
            store.candidates(
                query,
                k=arguments["k"],
                filter=wanted or None,
                min_similarity=arguments["min_similarity"],
                include_values=not arguments["no_values"],
            )
        )
    if arguments["json"]:
        print_json({"candidates": found})
        return 0
    rows = [("SIMILARITY", "OBJECT", "BYTES", "VALUE")]
    for candidate in found:
        preview = harmless(candidate.get("value") or b"")
        rows.append(
            (
                f"{candidate['similarity']:.4f}",
                str(candidate["object_id"]),
                f"{candidate['size_bytes']:,}",
                _terminal.clip(preview, PREVIEW_COLUMNS),
            )
        )
    for line in _terminal.table(rows, "rrrl"):
        print(line)
    return 0
