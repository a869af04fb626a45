"""What the command line draws: a progress bar, aligned tables, headings.

Everything degrades to plain text: the bar appears on a terminal only, headings are bold on a
terminal only and never with `NO_COLOR` (https://no-color.org) set, and text that came from a file
can neither break a column nor send control codes.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
import unicodedata
from collections.abc import Sequence
from types import TracebackType
from typing import TextIO

BAR_WIDTH = 30
REDRAW_SECONDS = 0.5
DEFAULT_COLUMNS = 100
GAP = "  "


def columns() -> int:
    """Columns of the terminal, within 60..160; `DEFAULT_COLUMNS` if standard output is none."""
    if not is_terminal(sys.stdout):
        return DEFAULT_COLUMNS
    return min(160, max(60, shutil.get_terminal_size((DEFAULT_COLUMNS, 24)).columns))


def is_terminal(stream: TextIO | None) -> bool:
    """Whether `stream` is a terminal; one that is absent or closed is none."""
    return stream is not None and not stream.closed and stream.isatty()


def takes_styles(stream: TextIO | None) -> bool:
    """Whether `stream` is a terminal that has not asked for plain output."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and is_terminal(stream)


def heading(text: str) -> str:
    """`text`, in bold on a terminal that has not asked for plain output."""
    return f"\x1b[1m{text}\x1b[0m" if takes_styles(sys.stdout) else text


def width(text: str) -> int:
    """Columns that `text` takes: East Asian wide characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def clip(text: str, limit: int) -> str:
    """`text` in at most `limit` columns (at least 3), control characters replaced by `?`."""
    shown = "".join(char if char.isprintable() else "?" for char in text[: limit + 1])
    if width(shown) <= limit and len(text) <= limit:
        return shown
    while width(shown) > limit - 3:
        shown = shown[:-1]
    return shown + "..."


def table(rows: Sequence[Sequence[str]], align: str) -> list[str]:
    """Lines of a table whose columns are as wide as their widest cell.

    `align` has one letter for each column: `l` left, `r` right.
    """
    widths = [max(width(row[column]) for row in rows) for column in range(len(align))]
    return [_line(row, widths, align) for row in rows]


def _line(row: Sequence[str], widths: Sequence[int], align: str) -> str:
    cells = []
    for cell, cell_width, side in zip(row, widths, align, strict=True):
        padding = " " * (cell_width - width(cell))
        cells.append(padding + cell if side == "r" else cell + padding)
    return GAP.join(cells).rstrip()


class Progress:
    """A bar on standard error, redrawn in place, wiped at the end; silent if that is no terminal.

    Use it as a context manager, so that an interrupt wipes it too.
    """

    def __init__(self, label: str, total: int) -> None:
        self._label = label
        self._total = max(total, 1)
        self._shown = ""
        self._visible = is_terminal(sys.stderr)

    def __enter__(self) -> Progress:
        self.update(0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._visible:
            print("\r" + " " * len(self._shown) + "\r", end="", file=sys.stderr, flush=True)

    def update(self, done: int) -> None:
        """Show that `done` of `total` steps are behind us."""
        if not self._visible:
            return
        filled = BAR_WIDTH * done // self._total
        bar = "#" * filled + "." * (BAR_WIDTH - filled)
        shown = f"{self._label:<18} [{bar}] {done:,}/{self._total:,}"
        print("\r" + shown.ljust(len(self._shown)), end="", file=sys.stderr, flush=True)
        self._shown = shown


class Working:
    """The seconds that a call without steps takes, on standard error if that is a terminal.

    Nothing is shown in the first half second. Use it as a context manager, so that an interrupt
    wipes it too.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Working:
        if is_terminal(sys.stderr):
            self._thread = threading.Thread(target=self._show, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _show(self) -> None:
        started = time.monotonic()
        shown = ""
        while not self._ended.wait(REDRAW_SECONDS):
            shown = f"{self._label}, {time.monotonic() - started:.0f} s"
            print("\r" + shown, end="", file=sys.stderr, flush=True)
        if shown:
            print("\r" + " " * len(shown) + "\r", end="", file=sys.stderr, flush=True)
