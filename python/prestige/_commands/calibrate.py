"""`prestige calibrate`: what thresholds do with judged pairs, of a file or of recorded outcomes."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import prestige
from prestige.calibration import Calibration, of_places
from prestige.exceptions import InvalidArgumentError

from . import Arguments
from .files import readable, writable
from .target import Access, directory, is_remote, target

COLUMNS = "text_a, text_b and label, or similarity and label"


def run_calibrate(arguments: Arguments) -> int:
    """Run the command; raises `PrestigeError` or `OSError` if it cannot be done."""
    file, family = arguments["file"], arguments["family"]
    if file is None and family is None:
        raise InvalidArgumentError("calibrate: name the outcomes of the store with --family")
    model = prestige.SemanticModel(_model(arguments["model"])) if arguments["model"] else None
    chart = writable("--chart", arguments["chart"]) if arguments["chart"] else None
    pairs = outcomes(arguments, family) if file is None else read(file)
    found = of_places(pairs, precision=arguments["precision"], model=model)
    if chart:
        draw(found, chart)
    print(found.to_json() if arguments["json"] else _shown(found))
    return 0


def _model(name: bytes) -> str:
    if not Path(os.fsdecode(name)).is_dir():
        readable("--model", name, "name the folder of a model, or its .onnx file")
    return os.fsdecode(name)


def draw(found: Calibration, path: Path) -> None:
    """Write the chart in the format that the name ends with."""
    if path.suffix.lower() == ".png":
        try:
            image = found.to_png()
        except ImportError as error:
            raise InvalidArgumentError(f"calibrate: {error}") from error
        path.write_bytes(image)
    else:
        path.write_text(found.to_svg(), encoding="utf-8")


def outcomes(arguments: Arguments, family: str) -> Iterator[tuple[str, object]]:
    """The outcomes of a family, of a store that may be open elsewhere."""
    place = arguments["url"] if is_remote(arguments) else directory(arguments)
    with target(arguments, Access.READ) as store:
        listed = store.list_outcomes(family)
    if not listed:
        raise InvalidArgumentError(f"{place}: there are no outcomes of the family {family!r}")
    for outcome in listed:
        yield f"{place}, outcome {outcome['sequence']}", outcome


def read(file: bytes) -> Iterator[tuple[str, object]]:
    """The pairs of a file with their places; errors name the line."""
    path = Path(os.fsdecode(file))
    readers = {".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InvalidArgumentError(f"{path}: expected a .csv or a .jsonl file")
    data = readable("FILE", file).read_bytes()
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
