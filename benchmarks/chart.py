"""Draws the ratios to the peers as an SVG: `python chart.py benchmark.json benchmark.svg`.

Run by bench.py with the interpreter that has matplotlib. Text and bars have colours between black
and white and there is no background, so that light and dark pages can both show it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

try:
    import matplotlib as mpl
    from matplotlib.figure import Figure
except ImportError:
    mpl = None

INK = "#7d8590"
"""At least 3.5 : 1 on white and on the black of dark pages."""
FASTER = "#4c8ed9"
SLOWER = "#d9822b"
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
MISSING = "chart not drawn: matplotlib is not installed in this interpreter"


def bars(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that compare speed, and have figures."""
    return [row for row in rows if row["kind"] == "speed" and row["ratios"]]


def draw(report: dict[str, Any], path: Path) -> bool:
    """Draw the chart; False, and a line that says why, without matplotlib or figures."""
    if mpl is None:
        print(MISSING)
        return False
    rows = bars(report["rows"])
    if not rows:
        print("chart not drawn: there are no ratios to show")
        return False
    # The same figures give the same file, and text stays text.
    with mpl.rc_context({"svg.hashsalt": "prestige", "svg.fonttype": "none"}):
        figure(rows, report["settings"]).savefig(
            path, transparent=True, bbox_inches="tight", metadata={"Date": None}
        )
    return True


def figure(rows: list[dict[str, Any]], settings: dict[str, Any]) -> Figure:
    """A bar for each median, a line from the least to the greatest ratio; logarithmic."""
    drawn = Figure(figsize=(8, 0.42 * len(rows) + 1.1))
    axes = drawn.subplots()
    places = range(len(rows))
    medians = [row["ratio_median"] for row in rows]
    spread = [
        [row["ratio_median"] - min(row["ratios"]) for row in rows],
        [max(row["ratios"]) - row["ratio_median"] for row in rows],
    ]
    # Bars begin at 1, where both are as fast, since a logarithmic axis has no zero.
    axes.barh(
        places,
        [median - 1 for median in medians],
        left=1,
        height=0.6,
        color=[FASTER if median >= 1 else SLOWER for median in medians],
    )
    axes.errorbar(medians, places, xerr=spread, fmt="none", ecolor=INK, capsize=2)
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_yticks(places, [f"{row['title']} / {row['beside']}" for row in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    ticks = [tick for tick in TICKS if in_range(tick, rows)]
    axes.set_xticks(ticks, [f"{tick:g} x" for tick in ticks])
    axes.minorticks_off()
    for place, row in zip(places, rows, strict=True):
        axes.annotate(
            f"{row['ratio_median']:.2f}",
            (max(1, *row["ratios"]), place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=9,
        )
    axes.margins(x=0.12)
    size = settings["value_bytes"]
    values = f", {size:,}-byte values" if size else ""
    axes.set_title(
        f"Times as fast: medians of {settings['rounds']} rounds, {settings['keys']:,}"
        f" {settings['unit']}{values}",
        color=INK,
        fontsize=10,
        loc="left",
    )
    axes.tick_params(colors=INK, labelsize=9, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return drawn


def in_range(tick: float, rows: list[dict[str, Any]]) -> bool:
    """Whether the axis reaches so far."""
    ratios = [1, *(ratio for row in rows for ratio in row["ratios"])]
    return min(ratios) / 2 <= tick <= max(ratios) * 2


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
