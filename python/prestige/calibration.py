"""From judged pairs of texts to the threshold that suits them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import numpy as np

from . import _calibration_chart, _calibration_png, _native
from ._terminal import table
from .exceptions import InvalidArgumentError

LABELS = {
    **dict.fromkeys(("1", "true", "yes", "same"), True),
    **dict.fromkeys(("0", "false", "no", "different"), False),
}
VERDICTS = {"accepted": True, "rejected": False}

Embed = Callable[[list[str]], Any]


class CalibrationRow(TypedDict):
    """What a threshold does with the pairs.

    Names in ``_low`` and ``_high`` are the ends of the 95 % score interval of the share before them
    (E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22,
    1927).
    """

    threshold: float
    """Pairs of at least this cosine similarity are merged."""
    right: int
    """Merged pairs that mean the same."""
    wrong: int
    """Merged pairs that do not."""
    precision: float | None
    """``right / (right + wrong)``; None, as its interval, if nothing is merged."""
    precision_low: float | None
    """Lower end of its interval."""
    precision_high: float | None
    """Upper end of its interval."""
    recall: float
    """Of the pairs that mean the same, the share that is merged."""
    recall_low: float
    """Lower end of its interval."""
    recall_high: float
    """Upper end of its interval."""
    false_accept_rate: float
    """Of the pairs that do not mean the same, the share that is merged."""
    false_accept_rate_low: float
    """Lower end of its interval."""
    false_accept_rate_high: float
    """Upper end of its interval."""


@dataclass(frozen=True)
class Calibration:
    """What thresholds do with judged pairs, from ``prestige.calibrate``."""

    same: int
    """Pairs that mean the same."""
    different: int
    """Pairs that do not."""
    identical: int
    """Pairs of equal texts, left out: a store finds those without a similarity."""
    precision: float
    """The precision that was asked for."""
    threshold: float | None
    """The lowest threshold with at least that precision; None if there is none."""
    safe_threshold: float | None
    """The lowest at which even the lower end of the precision's interval is that high; None if
    there is none, often because there are too few pairs."""
    rows: list[CalibrationRow]
    """A row for each threshold, ascending."""

    def row(self, threshold: float) -> CalibrationRow:
        """Return the row of a threshold; raises ``KeyError`` if there is none."""
        for row in self.rows:
            if row["threshold"] == threshold:
                return row
        raise KeyError(threshold)

    def table(self) -> str:
        """Return the rows as aligned text; rows that count as the one before are left out."""
        cells = [["threshold", "right", "wrong", "precision", "", "recall", "false accepts", ""]]
        before = None
        for row in self.rows:
            if (row["right"], row["wrong"]) != before:
                cells.append(_cells(row))
            before = (row["right"], row["wrong"])
        return "\n".join(table(cells, "rrrrlrrl"))

    def to_json(self) -> str:
        """Return everything as a JSON object."""
        return json.dumps(self.__dict__, indent=1, allow_nan=False)

    def to_svg(self) -> str:
        """Return a chart of precision, recall and false accepts by threshold, as an SVG image."""
        return _calibration_chart.svg(*self._drawn())

    def to_png(self) -> bytes:
        """Return the chart of ``to_svg`` as a PNG image; needs ``matplotlib`` (``ImportError``)."""
        return _calibration_png.png(*self._drawn())

    def _drawn(self) -> tuple[_calibration_chart.Rows, float, list[tuple[str, float | None]]]:
        marks = [("lowest", self.threshold), ("safe", self.safe_threshold)]
        return cast("_calibration_chart.Rows", self.rows), self.precision, marks


def calibrate(
    pairs: Iterable[Sequence[Any] | Mapping[str, Any]],
    *,
    precision: float = 0.95,
    thresholds: Iterable[float] | None = None,
    model: _native.SemanticModel | Embed | None = None,
) -> Calibration:
    """Find the threshold that suits judged pairs of texts.

    For each threshold: how many pairs of the same meaning would be merged (recall), how many of the
    merged mean the same (precision), how many of those that do not would be merged (false accepts),
    each with its 95 % interval.

    Args:
        pairs: Any of ``(text_a, text_b, label)``; ``(similarity, label)``; dictionaries with these
            names as keys; and outcomes from ``Store.list_outcomes``, of which those without a
            candidate or a similarity are passed over. A label is a bool, 0 or 1, or one of
            ``"same"``, ``"yes"``, ``"true"``, ``"different"``, ``"no"``, ``"false"`` in any case.
        precision: The precision wanted, over 0 and at most 1.
        thresholds: Thresholds to try, -1 to 1; None: every hundredth from the lowest similarity, or
            0, to 1.
        model: What embeds texts: a ``SemanticModel``, or a function ``list[str] -> array (n, d)``;
            None: the bundled model. Each distinct text is embedded once.

    Returns:
        A row for each threshold, and the lowest that meets the precision.

    Raises:
        InvalidArgumentError: There are no pairs, or only such that mean the same, or only such that
            do not; a pair has another form, is not labelled, or its similarity is no number from -1
            to 1 (the message gives its number, from 1); ``precision`` or a threshold is out of
            range; or ``model`` returned something else.
        TypeError: ``pairs`` is no iterable of pairs, a threshold is no number, or ``model`` is
            neither a ``SemanticModel`` nor a function.
        ModelError: The model failed.
    """
    if isinstance(pairs, str | bytes | os.PathLike):
        raise TypeError(
            f"pairs must be an iterable of pairs, not {type(pairs).__name__}; files are read by "
            "the command `prestige calibrate`"
        )
    numbered = ((f"pair {number}", pair) for number, pair in enumerate(pairs, 1))
    return of_places(numbered, precision=precision, thresholds=thresholds, model=model)


def of_places(
    pairs: Iterable[tuple[str, object]],
    *,
    precision: float = 0.95,
    thresholds: Iterable[float] | None = None,
    model: _native.SemanticModel | Embed | None = None,
) -> Calibration:
    """As ``calibrate``, of pairs that come with the place that errors are to name."""
    if model is not None and not isinstance(model, _native.SemanticModel) and not callable(model):
        raise TypeError(
            f"model must be a SemanticModel or a function, not {model!r:.80}; for a name: "
            "SemanticModel(model_name=...)"
        )
    given = None if thresholds is None else [_threshold(number) for number in thresholds]
    similarities: list[float] = []
    labels: list[bool] = []
    compared: list[tuple[int, str, str]] = []
    identical = 0
    for place, pair in pairs:
        parsed = _parse(place, pair)
        if parsed is None:
            continue
        what, same = parsed
        if isinstance(what, float):
            similarities.append(what)
        elif what[0] == what[1]:
            identical += 1
            continue
        else:
            compared.append((len(similarities), *what))
            similarities.append(math.nan)
        labels.append(same)
    for place_of, similarity in _compare(compared, model):
        similarities[place_of] = similarity
    found = _native.calibrate_similarities(similarities, labels, precision, given)
    return Calibration(identical=identical, precision=float(precision), **found)


def _parse(place: str, pair: object) -> tuple[float | tuple[str, str], bool] | None:
    """Texts or similarity, and the label; None for an outcome without a judged similarity."""
    if isinstance(pair, Mapping):
        if "verdict" in pair:
            same = VERDICTS.get(pair["verdict"])
            similarity = pair.get("similarity")
            if same is None or similarity is None:
                return None
            return _similarity(place, similarity), same
        names = ("text_a", "text_b") if "text_a" in pair else ("similarity",)
        missing = [name for name in (*names, "label") if pair.get(name) is None]
        if missing:
            raise InvalidArgumentError(
                f"{place}: there is no {' and no '.join(missing)}; expected text_a, text_b and "
                "label, or similarity and label"
            )
        parts: Sequence[Any] = [pair[name] for name in (*names, "label")]
    elif isinstance(pair, Sequence) and not isinstance(pair, str | bytes) and len(pair) in (2, 3):
        parts = pair
    else:
        raise InvalidArgumentError(
            f"{place}: expected (text_a, text_b, label), (similarity, label) or a dictionary"
        )
    label = _label(place, parts[-1])
    if len(parts) == 2:
        return _similarity(place, parts[0]), label
    for name, text in zip(("text_a", "text_b"), parts, strict=False):
        if not isinstance(text, str):
            raise InvalidArgumentError(f"{place}: {name} should be str, not {type(text).__name__}")
        if not text.strip():
            raise InvalidArgumentError(f"{place}: {name} is blank")
    return (parts[0], parts[1]), label


def _label(place: str, label: object) -> bool:
    known = LABELS.get(label.strip().lower()) if isinstance(label, str) else None
    if (
        known is None
        and isinstance(label, bool | int | float | np.bool_ | np.number)
        and label in (0, 1)
    ):
        known = bool(label)
    if known is None:
        raise InvalidArgumentError(
            f"{place}: the label should be 1 or 0, true or false, yes or no, same or different, "
            f"not {label!r}"
        )
    return known


def _similarity(place: str, given: object) -> float:
    try:
        similarity = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        similarity = math.nan
    if not -1 <= similarity <= 1:
        raise InvalidArgumentError(
            f"{place}: the similarity should be a number from -1 to 1, not {given!r}"
        )
    return similarity


def _threshold(given: object) -> float:
    try:
        return float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise TypeError(f"thresholds must be numbers from -1 to 1, found {given!r:.80}") from None


def _compare(
    pairs: list[tuple[int, str, str]], model: _native.SemanticModel | Embed | None
) -> Iterable[tuple[int, float]]:
    """The place of each pair and its similarity."""
    if not pairs:
        return []
    rows = {
        text: row for row, text in enumerate(dict.fromkeys(t for _, *two in pairs for t in two))
    }
    model = _native.SemanticModel() if model is None else model
    embed = model.embed if isinstance(model, _native.SemanticModel) else model
    vectors = np.asarray(embed(list(rows)))
    if vectors.ndim != 2 or len(vectors) != len(rows) or vectors.dtype.kind not in "fiu":
        raise InvalidArgumentError(
            f"the model should return an array of shape ({len(rows)}, d), and returned one of "
            f"{vectors.dtype} with shape {vectors.shape}"
        )
    vectors = vectors.astype("float64")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise InvalidArgumentError("the model returned a vector that is not finite, or zero")
    vectors /= lengths
    one = vectors[[rows[first] for _, first, _ in pairs]]
    other = vectors[[rows[second] for _, _, second in pairs]]
    similarities = np.clip((one * other).sum(axis=1), -1, 1)
    return zip((place for place, *_ in pairs), map(float, similarities), strict=True)


def _cells(row: CalibrationRow) -> list[str]:
    precision = row["precision"]
    interval = "" if precision is None else _interval(row["precision_low"], row["precision_high"])
    accepts = _interval(row["false_accept_rate_low"], row["false_accept_rate_high"])
    return [
        f"{row['threshold']:.4g}",
        str(row["right"]),
        str(row["wrong"]),
        "-" if precision is None else f"{precision:.3f}",
        interval,
        f"{row['recall']:.3f}",
        f"{row['false_accept_rate']:.3f}",
        accepts,
    ]


def _interval(low: float | None, high: float | None) -> str:
    return f"[{low:.3f}-{high:.3f}]"
