"""Draws precision and recall by threshold: `python threshold_chart.py thresholds.json out.svg …`.

The JSON is what `threshold.py --output` writes. Needs matplotlib; the ending of each output says
what it is, `.svg` or `.png`. Colours lie between black and white and the SVG has no background, so
that light and dark pages can both show it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

INK = "#7d8590"
PRECISION = "#4c8ed9"
RECALL = "#3fa66b"
DEFAULT_THRESHOLD = 0.97
PANELS = {"stsb-4.0": "STS-B", "sick": "SICK"}


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw the chart; the same figures give the same file."""
    with mpl.rc_context({"svg.hashsalt": "prestige", "svg.fonttype": "none"}):
        svg = path.suffix == ".svg"
        figure(report).savefig(
            path,
            transparent=svg,
            facecolor="none" if svg else "white",
            bbox_inches="tight",
            dpi=160,
            metadata={"Date": None} if svg else {"Software": None},
        )


def figure(report: dict[str, Any]) -> Figure:
    """A panel for each set of pairs."""
    drawn = Figure(figsize=(9, 3.6), layout="tight")
    for axes, (name, title) in zip(
        drawn.subplots(1, len(PANELS), sharey=True), PANELS.items(), strict=True
    ):
        rows = [row for row in report[name]["rows"] if row["precision"] is not None]
        thresholds = [row["threshold"] for row in rows]
        axes.plot(thresholds, [row["precision"] for row in rows], color=PRECISION)
        axes.fill_between(
            thresholds,
            [row["low"] for row in rows],
            [row["high"] for row in rows],
            color=PRECISION,
            alpha=0.2,
            linewidth=0,
        )
        axes.plot(thresholds, [row["recall"] for row in rows], color=RECALL)
        first = rows[0]
        for text, height, colour, above in (
            ("precision", first["precision"], PRECISION, 10),
            ("recall", first["recall"], RECALL, -16),
        ):
            axes.annotate(
                text,
                (thresholds[0], height),
                xytext=(4, above),
                textcoords="offset points",
                color=colour,
                fontsize=9,
            )
        axes.axvline(DEFAULT_THRESHOLD, color=INK, linewidth=0.75, linestyle="--")
        axes.annotate(
            f"default {DEFAULT_THRESHOLD:g} ",
            (DEFAULT_THRESHOLD, 1.0),
            ha="right",
            va="top",
            color=INK,
            fontsize=8,
        )
        pairs, same = report[name]["pairs"], report[name]["same"]
        axes.set_title(
            f"{title}: {pairs:,} pairs, {same:,} of equal meaning",
            color=INK,
            fontsize=10,
            loc="left",
        )
        axes.set_xlabel("threshold", color=INK, fontsize=9)
        axes.set_ylim(0, 1)
        axes.grid(axis="y", color=INK, alpha=0.3, linewidth=0.5)
        axes.tick_params(colors=INK, labelsize=9, length=0)
        for side in axes.spines.values():
            side.set_visible(False)
    return drawn


if __name__ == "__main__":
    found = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for output in sys.argv[2:]:
        draw(found, Path(output))
