"""Says on stderr what is being done: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time

WIDTH = 24
# Back to the start of the line, and erase it.
CLEAR = "\r\x1b[K"
# Seconds between two drawings of a bar.
INTERVAL = 0.1


def say(text: str) -> None:
    """Prints a line on stderr at once, in place of an unfinished bar."""
    print(f"{CLEAR}{text}" if sys.stderr.isatty() else text, file=sys.stderr, flush=True)


class Progress:
    """One step of known size. Outside a terminal: a line when it starts, one when it ends."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        self.what = what
        self.total = total
        self.unit = unit
        self.terminal = sys.stderr.isatty()
        self.started = time.monotonic()
        self.drawn = 0.0
        if not self.terminal:
            say(f"{what} ({self._amount(total)}) ...")
        self.update(0)

    def _amount(self, count: int) -> str:
        return f"{count / 1e6:.1f} MB" if self.unit == "bytes" else f"{count} {self.unit}"

    def update(self, count: int) -> None:
        """`count` of the total is done; more than the total is drawn as all of it."""
        now = time.monotonic()
        if not self.terminal or now - self.drawn < INTERVAL:
            return
        self.drawn = now
        share = min(count / self.total, 1.0)
        bar = ("#" * round(share * WIDTH)).ljust(WIDTH, ".")
        text = f"{CLEAR}{self.what} [{bar}] {share:4.0%}"
        print(text, end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        """Ends the step with its size and time; a step that failed is left without this line."""
        seconds = time.monotonic() - self.started
        say(f"{self.what}: {self._amount(self.total)} in {seconds:.1f} s")
