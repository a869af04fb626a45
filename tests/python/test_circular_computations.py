"""Functions that ask the caches for what the functions of other callers compute."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import either
import numpy as np
import pytest
from numpy.typing import NDArray
from together import run_all

import prestige

store = either.store  # Each test over both.

LIMIT_SECONDS = 60
CIRCLE = "both would wait for ever"


@pytest.fixture
def cache(store: prestige.Store) -> prestige.SemanticCache:
    return prestige.SemanticCache(store, 0.9, model_id="given")


def refused(calls: list[Callable[[], object]]) -> int:
    """Run calls in threads of their own; how many of them are told of a circle."""
    errors: list[prestige.InvalidArgumentError] = []

    def attempt(call: Callable[[], object]) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match=CIRCLE) as raised:
            call()
        errors.append(raised.value)

    run_all([lambda call=call: attempt(call) for call in calls])  # type: ignore[misc]
    return len(errors)


@pytest.mark.parametrize("length", [2, 5])
def test_a_circle_of_threads(cache: prestige.SemanticCache, length: int) -> None:
    computing = threading.Barrier(length, timeout=LIMIT_SECONDS)

    def call(number: int) -> object:
        def function(_: str) -> object:
            computing.wait()
            return cache.get_or_compute(str((number + 1) % length), str.upper)

        return cache.get_or_compute(str(number), function)

    # Whoever waits for the one that is refused gets its error.
    assert refused([lambda number=number: call(number) for number in range(length)]) == length  # type: ignore[misc]
    # Nothing of it is left.
    assert cache.get_or_compute("0", lambda _: cache.get_or_compute("1", str.upper)) == "1"
    assert len(cache) == 2


def test_a_circle_over_both_caches(cache: prestige.SemanticCache, store: prestige.Store) -> None:
    computing = threading.Barrier(2, timeout=LIMIT_SECONDS)

    def embed(texts: list[str]) -> NDArray[np.float32]:
        computing.wait()
        return np.array([[len(str(cache.get_or_compute(text, len))), 1] for text in texts])

    def answer(query: str) -> object:
        computing.wait()
        return vectors.embed([query]).tolist()

    vectors = prestige.EmbeddingCache(store, embed=embed, model_id="m")
    calls = [lambda: vectors.embed(["text"]), lambda: cache.get_or_compute("text", answer)]
    assert refused(calls) == 2


def test_a_circle_of_tasks(cache: prestige.SemanticCache) -> None:
    async def call(
        own: str, other: str, own_computes: asyncio.Event, others: asyncio.Event
    ) -> object:
        async def function(_: str) -> object:
            own_computes.set()
            await others.wait()
            # In a task of its own, which knows of its caller.
            return await asyncio.create_task(cache.aget_or_compute(other, str.upper))

        return await cache.aget_or_compute(own, function)

    async def main() -> list[object]:
        first, second = asyncio.Event(), asyncio.Event()
        calls = call("a", "b", first, second), call("b", "a", second, first)
        both = asyncio.gather(*calls, return_exceptions=True)
        return list(await asyncio.wait_for(both, LIMIT_SECONDS))

    for error in asyncio.run(main()):
        assert isinstance(error, prestige.InvalidArgumentError)
        assert CIRCLE in str(error)


def test_who_waits_no_longer_is_in_nobodys_way(cache: prestige.SemanticCache) -> None:
    async def main() -> None:
        gave_up, asked = asyncio.Event(), asyncio.Event()

        async def first(_: str) -> str:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(cache.aget_or_compute("second", second), 0.2)
            gave_up.set()
            await asked.wait()
            await asyncio.sleep(0.2)
            return "first"

        async def second(_: str) -> object:
            await gave_up.wait()
            asked.set()
            return await cache.aget_or_compute("first", str.upper)

        later = asyncio.create_task(cache.aget_or_compute("second", second))
        while cache.stats()["misses"] < 1:
            await asyncio.sleep(0.01)
        both = asyncio.gather(cache.aget_or_compute("first", first), later)
        assert await asyncio.wait_for(both, LIMIT_SECONDS) == ["first", "first"]

    asyncio.run(main())


def test_a_chain_is_no_circle(cache: prestige.SemanticCache) -> None:
    computing = threading.Barrier(3, timeout=LIMIT_SECONDS)
    answers: list[object] = []

    def call(number: int) -> None:
        def function(query: str) -> object:
            computing.wait()
            if number == 0:
                return query
            return cache.get_or_compute(str(number - 1), str.upper)

        answers.append(cache.get_or_compute(str(number), function))

    run_all([lambda number=number: call(number) for number in range(3)])  # type: ignore[misc]
    assert answers == ["0"] * 3
