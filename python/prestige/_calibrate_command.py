"""`prestige calibrate`: what thresholds do with judged pairs, of a file or of recorded outcomes."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import prestige
from prestige.calibration import Calibration, of_places
from prestige.exceptions import InvalidArgumentError

COLUMNS = "text_a, text_b and label, or similarity and label"


def add_parser(commands: Any) -> None:  # noqa: ANN401 - argparse does not name the type
    """Add the command to those of `prestige`."""
    parser = commands.add_parser(
        "calibrate",
        help="which threshold suits judged pairs of texts",
        description="Show what each threshold would merge of judged pairs: precision, recall and "
        "false accepts with 95 %% intervals (Wilson), and the lowest one of a wanted precision.",
    )
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help=f"pairs as .csv with a header, or as .jsonl, in UTF-8, with {COLUMNS}",
    )
    parser.add_argument("--store", metavar="DIR", help="in place of FILE, a store with outcomes")
    parser.add_argument("--family", metavar="NAME", help="the family of the outcomes")
    parser.add_argument("--namespace", metavar="NAME", default="", help="their namespace")
    parser.add_argument(
        "--precision",
        type=float,
        default=0.95,
        metavar="P",
        help="the precision wanted, 0 < P <= 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--model", metavar="PATH", help="the model that embeds (default: the bundled one)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument("--chart", metavar="FILE.svg", help="draw the shares by threshold here")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; raises `PrestigeError` or `OSError` if it cannot be done."""
    if (arguments.file is None) == (arguments.store is None):
        raise InvalidArgumentError(
            "calibrate: give either a FILE of pairs, or --store and --family"
        )
    if arguments.store is not None and arguments.family is None:
        raise InvalidArgumentError("calibrate: name the outcomes of --store with --family")
    model = prestige.SemanticModel(arguments.model) if arguments.model else None
    if arguments.file is None:
        pairs = outcomes(arguments.store, arguments.namespace, arguments.family)
    else:
        pairs = read(Path(arguments.file))
    found = of_places(pairs, precision=arguments.precision, model=model)
    if arguments.chart:
        Path(arguments.chart).write_text(found.to_svg(), encoding="utf-8")
    print(found.to_json() if arguments.json else _shown(found))
    return 0


def outcomes(path: str, namespace: str, family: str) -> Iterator[tuple[str, object]]:
    """The outcomes of a family, of a store that may be open elsewhere."""
    with prestige.open(path, read_only=True) as store:
        view = store.namespace(namespace)
        listed = view.list_outcomes(family)
    if not listed:
        raise InvalidArgumentError(f"{path}: there are no outcomes of the family {family!r}")
    for outcome in listed:
        yield f"{path}, outcome {outcome['sequence']}", outcome


def read(path: Path) -> Iterator[tuple[str, object]]:
    """The pairs of a file with their places; errors name the line."""
    readers = {".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InvalidArgumentError(f"{path}: expected a .csv or a .jsonl file")
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InvalidArgumentError(f"{path}, line {line}: this is not UTF-8") from error
    return reader(path, text)


def _csv(path: Path, text: str) -> Iterator[tuple[str, object]]:
    # Ends of lines as they are: a quoted field may hold some.
    lines = io.StringIO(text, newline="")
    reader = csv.DictReader(_without_nul(path, lines), strict=True)
    try:
        columns = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = columns
        if not {"text_a", "text_b", "label"} <= set(columns) and not (
            {"similarity", "label"} <= set(columns)
        ):
            found = ", ".join(columns) or "none"
            raise InvalidArgumentError(
                f"{path}, line 1: expected the columns {COLUMNS}; found {found}"
            )
        for row in reader:
            place = f"{path}, line {reader.line_num}"
            if None in row:
                raise InvalidArgumentError(f"{place}: it has more fields than the header")
            yield place, row
    except csv.Error as error:
        raise InvalidArgumentError(f"{path}, line {reader.reader.line_num}: {error}") from error


def _without_nul(path: Path, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise InvalidArgumentError(f"{path}, line {number}: it has a NUL character")
        yield line


def _jsonl(path: Path, text: str) -> Iterator[tuple[str, object]]:
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            pair = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidArgumentError(f"{place}: this is no JSON: {error}") from error
        if not isinstance(pair, dict):
            raise InvalidArgumentError(f"{place}: expected an object with {COLUMNS}")
        yield place, pair


def _shown(found: Calibration) -> str:
    lines = [found.table(), ""]
    lines.append(f"{found.same} pairs mean the same, {found.different} do not.")
    if found.identical:
        lines.append(f"{found.identical} pairs of equal texts are left out.")
    wanted = f"precision of at least {found.precision:g}"
    lines.append(f"Lowest threshold with a {wanted}: {_told(found, found.threshold)}")
    safe = _told(found, found.safe_threshold)
    lines.append(f"Lowest at which the interval's lower end is that high: {safe}")
    return "\n".join(lines)


def _told(found: Calibration, threshold: float | None) -> str:
    if threshold is None:
        return "none"
    row = found.row(threshold)
    return (
        f"{threshold:g} (recall {row['recall']:.3f}, false accepts {row['false_accept_rate']:.3f})"
    )
