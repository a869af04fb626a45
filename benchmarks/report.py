"""From the figures of the rounds to rows, and from rows to a table and JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from measures import Experiment, Kind, Measure

Figures = dict[str, float]

ALONE_UNITS = {Kind.MEMORY: 1e6, Kind.EACH: 1e3, Kind.SHARE: 1}
DIGITS = {Kind.MEMORY: 0, Kind.SHARE: 7}
"""Of a ratio, or what stands for it; two, of the others."""
HEADINGS = ("measure", "Prestige", "beside it", "ratio (min - max)", "wanted", "met")


@dataclass(frozen=True)
class Row:
    """A measure with its figures, one of each for each round."""

    experiment: str
    measure: Measure
    ours: list[float]
    beside: list[float]
    """Empty for a kind that stands alone, and without the peer."""
    reason: str = ""
    """Why there are no ratios."""

    @property
    def ratios(self) -> list[float]:
        """The ratio of each round, or what stands for it; empty if there is a reason."""
        if self.reason:
            return []
        kind = self.measure.kind
        if kind.is_alone:
            return [a / ALONE_UNITS[kind] for a in self.ours]
        pairs = zip(self.ours, self.beside, strict=True)
        match kind:
            case Kind.COST:
                return [b / a for a, b in pairs]
            case Kind.POINTS:
                return [abs(a - b) for a, b in pairs]
            case _:
                return [a / b for a, b in pairs]

    @property
    def met(self) -> bool:
        """Whether the median of the ratios is as wanted."""
        if self.reason:
            return False
        median = statistics.median(self.ratios)
        if self.measure.kind.is_at_least:
            return median >= self.measure.wanted
        return median <= self.measure.wanted


def rows(experiment: Experiment, rounds: Sequence[tuple[Figures, Figures]]) -> list[Row]:
    """The rows of an experiment, from the figures of both sides in each round."""
    return [
        Row(
            experiment.name,
            measure,
            [ours[measure.figure] for ours, _ in rounds],
            []
            if measure.kind.is_alone
            else [beside[measure.beside_figure or measure.figure] for _, beside in rounds],
        )
        for measure in experiment.measures
    ]


def rows_alone(experiment: Experiment, rounds: Sequence[Figures], reason: str) -> list[Row]:
    """The rows of an experiment of which only our side, or neither, was done."""
    return [
        Row(experiment.name, measure, [ours[measure.figure] for ours in rounds], [], reason)
        for measure in experiment.measures
    ]


def cells(row: Row) -> tuple[str, ...]:
    """The texts of a row under `HEADINGS`."""
    measure = row.measure
    wanted = f"{'≥' if measure.kind.is_at_least else '≤'} {measure.wanted:g}"
    ours = amount(measure.kind, row.ours) if row.ours else "-"
    if row.reason:
        return (measure.title, ours, measure.beside or "-", "not available", wanted, "-")
    ratios = row.ratios
    digits = DIGITS.get(measure.kind, 2)
    middle, least, most = (
        f"{number:.{digits}f}" for number in (statistics.median(ratios), min(ratios), max(ratios))
    )
    beside = f"{amount(measure.kind, row.beside)} {measure.beside}" if row.beside else "-"
    return (
        measure.title,
        ours,
        beside,
        f"{middle} ({least} - {most})",
        wanted,
        "yes" if row.met else "no",
    )


def amount(kind: Kind, values: Sequence[float]) -> str:
    """The median, with its unit."""
    median = statistics.median(values)
    match kind:
        case Kind.SPEED | Kind.COST:
            # A rebuild takes minutes.
            return f"{median:,.0f} op/s" if median >= 1 else f"{median:.3g} op/s"
        case Kind.EACH:
            return f"{median / 1e3:,.2f} KB"
        case Kind.LATENCY:
            return f"{median:,.2f} ms"
        case Kind.SHARE:
            return f"{median:.7f}"
        case Kind.POINTS:
            return f"{median:.2f}"
        case _:
            return f"{median / 1e6:,.1f} MB"


def text_table(table: Sequence[Row]) -> str:
    """The table for a terminal, and under it why rows have no ratios."""
    lines = [HEADINGS, *(cells(row) for row in table)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    text = "\n".join(
        "  ".join(
            cell.ljust(width) if column in (0, 2) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
    return "\n".join([text, *(f"\n{line}" for line in reasons(table))])


def markdown_table(table: Sequence[Row]) -> str:
    """The same for a page."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(cells(row) for row in table)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([text, *(f"\n{line}" for line in reasons(table))])


def reasons(table: Sequence[Row]) -> list[str]:
    """A sentence for each reason why rows have no ratios."""
    by_reason: dict[str, list[str]] = {}
    for row in table:
        if row.reason:
            by_reason.setdefault(row.reason, []).append(row.measure.title)
    return [f"Not available: {'; '.join(titles)}: {why}" for why, titles in by_reason.items()]


def as_json(table: Sequence[Row]) -> list[dict[str, Any]]:
    """Everything that is known of each row."""
    return [
        {
            "experiment": row.experiment,
            **asdict(row.measure),
            "kind": row.measure.kind.name.lower(),
            "ours_values": row.ours,
            "beside_values": row.beside,
            "ratios": row.ratios,
            "ratio_median": statistics.median(row.ratios) if row.ratios else None,
            "met": row.met,
            "reason": row.reason,
        }
        for row in table
    ]
