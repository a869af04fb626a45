"""Helps to test the `asyncio` forms: calls that a test holds up, and a pool full of them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import prestige
from prestige import _workers

LIMIT_SECONDS = 60
"""Longest wait for what should come at once; reaching it is a failure."""


class Held:
    """A call that has begun and goes on when it is told to: `put_many` of an input that waits."""

    def __init__(self, key: str = "held") -> None:
        self.begun, self.released = threading.Event(), threading.Event()
        self._key = key

    def entries(self) -> Iterator[tuple[str, str]]:
        yield f"{self._key}:before", "value"
        self.begun.set()
        assert self.released.wait(LIMIT_SECONDS)
        yield f"{self._key}:after", "value"

    def start(self, store: prestige.Store) -> asyncio.Task[int]:
        return asyncio.create_task(store.aput_many(self.entries()))


async def until(condition: Callable[[], object]) -> None:
    """Lets the loop run until a condition holds."""

    async def ask() -> None:
        while not condition():
            await asyncio.sleep(0.001)

    await asyncio.wait_for(ask(), LIMIT_SECONDS)


@contextlib.asynccontextmanager
async def busy_workers(store: prestige.Store) -> AsyncIterator[None]:
    """Every worker is at work while the block lasts, so what is called in it has to wait."""
    held = [Held(f"busy:{i}") for i in range(_workers.THREADS)]
    tasks = [one.start(store) for one in held]
    try:
        await until(lambda: all(one.begun.is_set() for one in held))
        yield
    finally:
        for one in held:
            one.released.set()
        assert await asyncio.gather(*tasks) == [2] * len(tasks)


def worker_threads() -> list[threading.Thread]:
    return [
        thread for thread in threading.enumerate() if thread.name.startswith("prestige-worker-")
    ]
