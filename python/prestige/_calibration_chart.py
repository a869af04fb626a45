"""Draws precision, recall and false accepts by threshold as an SVG image, without a library.

Text and lines have colours between black and white and there is no background, so that light and
dark pages can both show it. The same rows give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 60, 48
INK = "#7d8590"
"""At least 3.5 : 1 on white and on the black of dark pages."""
SERIES = [
    ("precision", "precision", "#4c8ed9"),
    ("recall", "recall", "#3fa66b"),
    ("false_accept_rate", "false accepts", "#d9822b"),
]
SHARES = [0, 0.2, 0.4, 0.6, 0.8, 1]
MOST_TICKS = 8

Rows = Sequence[Mapping[str, float | None]]
Point = tuple[float, float]


def svg(rows: Rows, wanted: float, marks: Sequence[tuple[str, float | None]]) -> str:
    """Return the image. ``marks`` are names and thresholds to point out, unless they are None."""
    first, last = _number(rows[0]["threshold"]), _number(rows[-1]["threshold"])
    # A single threshold is a line in the middle.
    start, end = (first, last) if first < last else (first - 0.5, last + 0.5)

    def x(threshold: float) -> float:
        return LEFT + (threshold - start) / (end - start) * (WIDTH - LEFT - RIGHT)

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12" fill="{INK}">',
        "<title>Precision, recall and false accepts by threshold</title>",
    ]
    for share in SHARES:
        parts.append(_line((LEFT, y(share)), (WIDTH - RIGHT, y(share))))
        parts.append(_text(LEFT - 8, y(share) + 4, f"{share:g}", anchor="end"))
    for tick in _ticks(rows):
        parts.append(_text(x(tick), HEIGHT - BOTTOM + 18, f"{tick:g}"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "threshold"))
    parts.append(_line((LEFT, y(wanted)), (WIDTH - RIGHT, y(wanted)), "2 3"))
    for place, (name, threshold) in enumerate(marks):
        if threshold is not None:
            parts.append(_line((x(threshold), TOP), (x(threshold), HEIGHT - BOTTOM), "5 3"))
            # One below the other, towards the middle: they may be close to each other or to an end.
            anchor = "end" if 2 * x(threshold) > LEFT + WIDTH - RIGHT else "start"
            height = TOP - 20 + 14 * place
            parts.append(_text(x(threshold), height, f" {name}: {threshold:g} ", anchor=anchor))
    for place, (name, label, colour) in enumerate(SERIES):
        known = [row for row in rows if row[name] is not None]
        points = [(x(_number(row["threshold"])), y(_number(row[name]))) for row in known]
        upper = [(x(_number(row["threshold"])), y(_number(row[f"{name}_high"]))) for row in known]
        lower = [(x(_number(row["threshold"])), y(_number(row[f"{name}_low"]))) for row in known]
        band = _points([*upper, *reversed(lower)])
        parts.append(f'<polygon points="{band}" fill="{colour}" fill-opacity="0.15"/>')
        parts.append(
            f'<polyline points="{_points(points)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(
            f'<text x="{LEFT + 110 * place}" y="18" fill="{colour}">{escape(label)}</text>'
        )
    parts.append(_text(WIDTH - RIGHT, 18, "bands: 95 % intervals", anchor="end"))
    return "\n".join([*parts, "</svg>\n"])


def _number(value: float | None) -> float:
    assert value is not None
    return value


def _ticks(rows: Rows) -> list[float]:
    """Some of the thresholds, evenly spread."""
    step = -(-len(rows) // MOST_TICKS)
    return [_number(row["threshold"]) for row in reversed(rows[::-1][::step])]


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _line(start: Point, end: Point, dashes: str = "none") -> str:
    (x1, y1), (x2, y2) = start, end
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{INK}" '
        f'stroke-width="0.75" stroke-dasharray="{dashes}"/>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
