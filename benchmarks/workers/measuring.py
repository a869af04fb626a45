"""Clocks, memory and disk of the process."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TypeVar

T = TypeVar("T")

SETTLE_SECONDS = 0.3
SETTLE_SHARE = 0.05
SETTLE_LIMIT_SECONDS = 600


def rate(count: int, work: Callable[[], object]) -> float:
    """Operations per second of `work`, which does `count` of them, without garbage collection."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        work()
        return count / (time.perf_counter() - start)
    finally:
        gc.enable()


def each(call: Callable[[T], object], items: Sequence[T]) -> None:
    """Call with every item."""
    for item in items:
        call(item)


def each_pair(call: Callable[[T, bytes], object], pairs: Sequence[tuple[T, bytes]]) -> None:
    """Call with the parts of every pair."""
    for key, value in pairs:
        call(key, value)


def threaded_rate(threads: int, items: Sequence[T], work: Callable[[Sequence[T]], object]) -> float:
    """Items per second of threads that do `work` on a share of the items each.

    From the first that starts to the last that ends.
    """
    shares = [items[number::threads] for number in range(threads)]
    together = Barrier(threads)

    def timed(share: Sequence[T]) -> tuple[float, float]:
        together.wait()
        start = time.perf_counter()
        work(share)
        return start, time.perf_counter()

    gc.collect()
    gc.disable()
    try:
        with ThreadPoolExecutor(threads) as pool:
            times = list(pool.map(timed, shares))
    finally:
        gc.enable()
    return len(items) / (max(end for _, end in times) - min(start for start, _ in times))


def settle() -> None:
    """Wait until the store's threads rest: until the process uses 5 % of a core at most.

    Flushes and compactions of what was written before would slow down what is timed next.
    """
    deadline = time.monotonic() + SETTLE_LIMIT_SECONDS
    while True:
        start = time.process_time()
        time.sleep(SETTLE_SECONDS)
        if time.process_time() - start < SETTLE_SHARE * SETTLE_SECONDS:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"the store still works {SETTLE_LIMIT_SECONDS} s after the writes")


def resident_bytes() -> int:
    """Physical memory of the process, shared libraries included."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def disk_bytes(folder: Path) -> int:
    """Disk space of all files below a directory, as `du` counts it."""
    return sum(512 * path.stat().st_blocks for path in folder.rglob("*") if path.is_file())
