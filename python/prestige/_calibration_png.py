"""Draws precision, recall and false accepts by threshold as a PNG image, with ``matplotlib``.

The same chart as the SVG of ``_calibration_chart``, for places that show no SVG. On white, since a
PNG is often pasted where nobody knows the ground.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from ._calibration_chart import HEIGHT, INK, SERIES, WIDTH, Rows

DOTS_PER_INCH = 160
POINTS_PER_INCH = 100


def png(rows: Rows, wanted: float, marks: Sequence[tuple[str, float | None]]) -> bytes:
    """Return the image. ``marks`` are names and thresholds to point out, unless they are None.

    Raises:
        ImportError: matplotlib is not installed.

    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise ImportError(
            "a PNG chart needs the package matplotlib: pip install 'prestige-cache[chart]'; "
            "an SVG chart needs nothing"
        ) from error
    figure = Figure(figsize=(WIDTH / POINTS_PER_INCH, HEIGHT / POINTS_PER_INCH), layout="tight")
    axes: Any = figure.subplots()
    for name, label, colour in SERIES:
        known = [row for row in rows if row[name] is not None]
        thresholds = [row["threshold"] for row in known]
        marker = "o" if len(known) == 1 else None
        axes.plot(
            thresholds, [row[name] for row in known], color=colour, label=label, marker=marker
        )
        low, high = ([row[f"{name}_{end}"] for row in known] for end in ("low", "high"))
        axes.fill_between(thresholds, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.axhline(wanted, color=INK, linewidth=0.75, linestyle=":")
    for name, threshold in marks:
        if threshold is not None:
            axes.axvline(threshold, color=INK, linewidth=0.75, linestyle="--")
            axes.annotate(f"{name}: {threshold:g}", (threshold, 0.02), rotation=90, fontsize=8)
    axes.set_ylim(0, 1)
    axes.set_xlabel("threshold (bands: 95 % intervals)")
    axes.grid(axis="y", color=INK, alpha=0.3, linewidth=0.5)
    axes.legend(loc="upper left", bbox_to_anchor=(0, 1.12), ncols=len(SERIES), frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=DOTS_PER_INCH)
    return image.getvalue()
