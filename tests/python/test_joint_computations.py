"""Functions that ask the caches for what the functions of other callers compute."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
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
            try:
                await asyncio.wait_for(cache.aget_or_compute("second", second), 0.2)
            except asyncio.TimeoutError:
                # Here, where the error and the frames it came through are still alive.
                gave_up.set()
                await asked.wait()
                await asyncio.sleep(0.2)
                return "first"
            raise AssertionError("it has waited for what waits for it")

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


def test_a_circle_through_the_embedding_of_what_is_stored(
    cache: prestige.SemanticCache, store: prestige.Store
) -> None:
    """The first query of a scope is embedded when its response is stored."""
    computing = threading.Barrier(2, timeout=LIMIT_SECONDS)

    def embed(texts: list[str]) -> NDArray[np.float32]:
        computing.wait()
        while vectors.stats()["misses"] < 2:
            time.sleep(0.005)
        # Until the other one waits.
        time.sleep(0.2)
        with pytest.raises(prestige.InvalidArgumentError, match=CIRCLE):
            answers.get_or_compute("text", str.upper)
        return np.ones((len(texts), 2), np.float32)

    vectors = prestige.EmbeddingCache(store, embed=embed, model_id="m")

    def embed_later(texts: list[str]) -> NDArray[np.float32]:
        computing.wait()
        return vectors.embed(texts)

    answers = prestige.SemanticCache(store, embed=embed_later, model_id="m")
    found: list[object] = []
    run_all(
        [
            lambda: found.append(vectors.embed(["text"]).tolist()),
            lambda: found.append(answers.get_or_compute("text", str.title)),
        ]
    )
    assert sorted(found, key=str) == ["Text", [[1.0, 1.0]]]


def test_a_task_whose_response_is_embedded_by_asking_for_it(store: prestige.Store) -> None:
    errors: list[str] = []

    def embed(texts: list[str]) -> NDArray[np.float32]:
        with pytest.raises(prestige.InvalidArgumentError, match="wait for itself") as raised:
            cache.get_or_compute(texts[0], str.upper)
        errors.append(str(raised.value))
        return np.ones((len(texts), 2), np.float32)

    cache = prestige.SemanticCache(store, embed=embed, model_id="m")

    async def answer(query: str) -> str:
        return query.title()

    async def main() -> object:
        return await asyncio.wait_for(cache.aget_or_compute("text", answer), LIMIT_SECONDS)

    assert asyncio.run(main()) == "Text"
    assert len(errors) == 1


def test_an_embedding_function_that_embeds_what_another_one_computes(store: prestige.Store) -> None:
    computing = threading.Barrier(2, timeout=LIMIT_SECONDS)

    def embed(texts: list[str]) -> NDArray[np.float32]:
        computing.wait()
        if "inner 0" in texts:
            # Until the other one waits.
            time.sleep(0.2)
            with pytest.raises(prestige.InvalidArgumentError, match=CIRCLE):
                cache.embed(["outer 7"])
            return np.full((len(texts), 2), 1, np.float32)
        return np.full((len(texts), 2), cache.embed(inner)[0, 0] + 1, np.float32)

    cache = prestige.EmbeddingCache(store, embed=embed, model_id="m")
    outer, inner = ([f"{name} {number}" for number in range(50)] for name in ("outer", "inner"))
    found: dict[str, object] = {}
    run_all(
        [
            lambda: found.update(outer=cache.embed(outer)[0, 0]),
            lambda: found.update(inner=cache.embed(inner)[0, 0]),
        ]
    )
    assert found == {"outer": 2.0, "inner": 1.0}


def test_objects_of_one_cache_compute_once(store: prestige.Store) -> None:
    asked: list[object] = []

    def embed(texts: list[str]) -> NDArray[np.float32]:
        asked.append(texts)
        time.sleep(0.3)
        return np.ones((len(texts), 2), np.float32)

    def answer(query: str) -> str:
        asked.append(query)
        time.sleep(0.3)
        return query.upper()

    started = threading.Barrier(16, timeout=LIMIT_SECONDS)
    found: list[object] = []

    def one_embeds() -> None:
        cache = prestige.EmbeddingCache(store, embed=embed, model_id="m")
        started.wait()
        found.append(cache.embed_query("text").tolist())

    def one_asks() -> None:
        cache = prestige.SemanticCache(store, 0.9, model_id="given", scope={"tenant": 1})
        started.wait()
        found.append(cache.get_or_compute("query", answer))

    run_all([one_embeds, one_asks] * 8)
    assert sorted(map(str, asked)) == ["['text']", "query"]
    assert sorted(map(str, found)) == ["QUERY"] * 8 + ["[1.0, 1.0]"] * 8
    # Another scope is another matter.
    another = prestige.SemanticCache(store, 0.9, model_id="given", scope={"tenant": 2})
    cache = prestige.SemanticCache(store, 0.9, model_id="given", scope={"tenant": 1})
    cache.clear()
    inner = functools.partial(another.get_or_compute, function=str.title)
    assert cache.get_or_compute("query", inner) == "Query"


@pytest.mark.parametrize("dimension", [None, 3])
def test_who_waits_for_the_first_vector_learns_its_length(
    store: prestige.Store, dimension: int | None
) -> None:
    asked: list[object] = []
    computing = threading.Event()

    def embed(texts: list[str]) -> NDArray[np.float32]:
        asked.append(texts)
        computing.set()
        time.sleep(0.3)
        return np.ones((len(texts), 2), np.float32)

    def embed_longer(texts: list[str]) -> NDArray[np.float32]:
        return np.ones((len(texts), 3), np.float32)

    first = prestige.EmbeddingCache(store, embed=embed, model_id="m")
    second = prestige.EmbeddingCache(store, embed=embed_longer, model_id="m", dimension=dimension)
    shapes: dict[str, object] = {}

    def follow() -> None:
        computing.wait(LIMIT_SECONDS)
        shapes["second"] = second.embed(["text"]).shape

    run_all([lambda: shapes.update(first=first.embed(["text"]).shape), follow])
    # Vectors of another length are another matter.
    assert shapes == {"first": (1, 2), "second": (1, dimension or 2)}
    assert (first.dimension, second.dimension) == (2, dimension or 2)
    for cache in (first, second):
        assert "text" in cache
        assert cache.embed(["text"]).shape == (1, cache.dimension)
    assert asked == [["text"]]


def test_the_first_texts_of_a_model_are_computed_once(store: prestige.Store) -> None:
    """Their length becomes known while most of them are still computed."""
    texts = [str(number) for number in range(40)]
    asked: list[str] = []

    def embed(given: list[str]) -> NDArray[np.float32]:
        asked.extend(given)
        time.sleep(0.05)
        return np.ones((len(given), 2), np.float32)

    cache = prestige.EmbeddingCache(store, embed=embed, model_id="m", batch_size=10)

    def later(seconds: float) -> None:
        time.sleep(seconds)
        assert cache.embed(texts).shape == (40, 2)

    run_all([functools.partial(later, 0.06 * number) for number in range(4)])
    assert sorted(asked) == sorted(texts)


def test_calls_of_loops_in_workers_wait_for_each_other(store: prestige.Store) -> None:
    first_computes = threading.Event()

    def embed_first(texts: list[str]) -> NDArray[np.float32]:
        first_computes.set()
        # Until all calls of the other loop wait for these texts.
        while first.stats()["misses"] < 40:
            time.sleep(0.005)
        time.sleep(0.2)
        return np.repeat(asyncio.run(inner.aembed(["x"])), len(texts), axis=0)

    async def ask(texts: list[str]) -> NDArray[np.float32]:
        return np.concatenate(await asyncio.gather(*(first.aembed([text]) for text in texts)))

    def embed_outer(texts: list[str]) -> NDArray[np.float32]:
        first_computes.wait(LIMIT_SECONDS)
        return asyncio.run(ask(texts))

    ones = np.ones((1, 2), np.float32)
    inner = prestige.EmbeddingCache(store, embed=lambda _: ones, model_id="inner")
    first = prestige.EmbeddingCache(store, embed=embed_first, model_id="first")
    outer = prestige.EmbeddingCache(store, embed=embed_outer, model_id="outer")
    texts = [str(number) for number in range(20)]

    async def main() -> list[tuple[int, ...]]:
        both = asyncio.gather(first.aembed(texts), outer.aembed(texts))
        return [found.shape for found in await asyncio.wait_for(both, LIMIT_SECONDS)]

    assert asyncio.run(main()) == [(20, 2), (20, 2)]


def test_loops_in_worker_threads_have_threads_to_call(store: prestige.Store) -> None:
    async def service(texts: list[str]) -> NDArray[np.float32]:
        assert await store.aget("setting", default=None) is None
        return np.ones((len(texts), 2), np.float32)

    cache = prestige.EmbeddingCache(
        store, embed=lambda texts: asyncio.run(service(texts)), model_id="m"
    )

    async def main() -> list[tuple[int, ...]]:
        calls = (cache.aembed([str(number)]) for number in range(40))
        vectors = await asyncio.wait_for(asyncio.gather(*calls), LIMIT_SECONDS)
        return [vector.shape for vector in vectors]

    assert asyncio.run(main()) == [(1, 2)] * 40


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
