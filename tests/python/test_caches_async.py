"""The `asyncio` forms of the caches."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable

import either
import numpy as np
import pytest
from numpy.typing import NDArray

import prestige
from prestige import _native

store = either.store  # Each test over both.

TASKS = 32


@pytest.fixture
def cache(store: prestige.Store) -> prestige.SemanticCache:
    return prestige.SemanticCache(store, 0.9, model_id="given")


def test_every_method_that_blocks_has_a_form() -> None:
    for kind in (_native.EmbeddingCache, _native.SemanticCache):
        names = {name for name in vars(kind) if not name.startswith("_")}
        forms = {name for name in names if inspect.iscoroutinefunction(getattr(kind, name))}
        methods = {name for name in names - forms if callable(getattr(kind, name))}
        assert {f"a{name}" for name in methods - {"stats", "cached"}} == forms
        for name in forms:
            assert getattr(kind, name).__doc__


def test_the_forms_of_the_embedding_cache(store: prestige.Store) -> None:
    calls: list[list[str]] = []

    def embed(texts: list[str]) -> NDArray[np.float32]:
        calls.append(texts)
        threading.Event().wait(0.1)
        return np.array([[len(text), 1.0] for text in texts], np.float32)

    async def main() -> None:
        async with prestige.EmbeddingCache(store, embed=embed, model_id="m") as cache:
            rows = await asyncio.gather(*(cache.aembed(["shared"]) for _ in range(TASKS)))
            assert all(row.tolist() == [[6.0, 1.0]] for row in rows)
            assert calls == [["shared"]]
            await cache.aput("x", [1.0, 2.0])
            assert (await cache.aget("x")).tolist() == [1.0, 2.0]
            assert (await cache.aembed_query("shared")).tolist() == [6.0, 1.0]
            assert await cache.aget_many(["nothing"]) == [None]
            assert await cache.adelete_many(["x"]) == 1
            assert await cache.aclear() == 1

    asyncio.run(main())


def test_the_forms_of_the_semantic_cache(cache: prestige.SemanticCache) -> None:
    async def main() -> None:
        async with cache:
            await cache.aput("q", {"a": 1}, scope="s", embedding=[1.0, 0.0])
            hit = await cache.aget("p", scope="s", embedding=[1.0, 0.1])
            assert hit is not None
            assert hit.response == {"a": 1}
            assert await cache.ascopes() == ["s"]
            assert await cache.ainvalidate(scope="s") == 1
            assert await cache.aclear() == 0

    asyncio.run(main())


def test_32_tasks_that_miss_the_same_compute_once(cache: prestige.SemanticCache) -> None:
    calls = 0

    async def compute(query: str) -> str:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.1)
        return f"answer to {query}"

    async def main() -> None:
        asking = (cache.aget_or_compute("q", compute) for _ in range(TASKS))
        assert set(await asyncio.gather(*asking)) == {"answer to q"}
        assert await cache.aget_or_compute("q", compute) == "answer to q"
        # A function that is not async serves as well, and its tokens are counted.
        assert await cache.aget_or_compute("p", len, tokens=lambda n: n) == 1

    asyncio.run(main())
    assert calls == 1
    assert cache.stats()["computed"] == 2


def test_when_computing_fails_all_tasks_see_the_error(cache: prestige.SemanticCache) -> None:
    calls = 0

    async def fail(_: str) -> str:
        nonlocal calls
        calls += 1
        # Long enough for all tasks to come, however slow the machine.
        await asyncio.sleep(1.0)
        raise ConnectionError("no network")

    async def works(_: str) -> str:
        return "now"

    async def main() -> None:
        asking = (cache.aget_or_compute("q", fail) for _ in range(TASKS))
        errors = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(error) for error in errors} == {ConnectionError}
        assert calls == 1
        assert await cache.aget_or_compute("q", works) == "now"

    asyncio.run(main())


def test_a_cancelled_leader_leaves_the_computing_to_another(cache: prestige.SemanticCache) -> None:
    calls = 0

    async def main() -> None:
        computing = asyncio.Event()

        async def compute(_: str) -> str:
            nonlocal calls
            calls += 1
            computing.set()
            if calls == 1:
                await asyncio.sleep(60)
            return "answer"

        leader = asyncio.create_task(cache.aget_or_compute("q", compute))
        await computing.wait()
        followers = [asyncio.create_task(cache.aget_or_compute("q", compute)) for _ in range(5)]
        while cache.stats()["misses"] < 6:
            await asyncio.sleep(0.01)
        leader.cancel()
        assert await asyncio.gather(*followers) == ["answer"] * 5
        with pytest.raises(asyncio.CancelledError):
            await leader

    asyncio.run(main())
    assert calls == 2


def test_tasks_and_threads_share_one_computation(cache: prestige.SemanticCache) -> None:
    calls = 0
    results: list[object] = []

    async def main() -> None:
        computing = asyncio.Event()

        async def compute(_: str) -> str:
            nonlocal calls
            calls += 1
            computing.set()
            while cache.stats()["misses"] < 3:
                await asyncio.sleep(0.01)
            return "answer"

        def never(_: str) -> str:
            raise AssertionError("another one computes")

        leader = asyncio.create_task(cache.aget_or_compute("q", compute))
        await computing.wait()
        thread = threading.Thread(
            target=lambda: results.append(cache.get_or_compute("q", never)), daemon=True
        )
        thread.start()
        results.append(await cache.aget_or_compute("q", compute))
        results.append(await leader)
        await asyncio.to_thread(thread.join)

    asyncio.run(main())
    assert results == ["answer"] * 3
    assert calls == 1


def test_who_computes_does_not_wait_for_itself(cache: prestige.SemanticCache) -> None:
    async def again(query: str) -> object:
        return await cache.aget_or_compute(query, again)

    async def in_the_loop(query: str) -> object:
        return cache.get_or_compute(query, str.upper)

    async def in_a_thread(query: str) -> object:
        return await asyncio.to_thread(cache.get_or_compute, query, str.upper)

    async def in_a_task(query: str) -> object:
        return await asyncio.create_task(cache.aget_or_compute(query, again))

    async def by_another(query: str) -> object:
        return await cache.aget_or_compute(f"{query}?", lambda _: again(query))

    @cache.cached()
    async def recursive(query: str) -> object:
        return await recursive(query)

    async def elsewhere(query: str) -> object:
        return await cache.aget_or_compute(query, str.upper, scope="another")

    later: list[asyncio.Task[object]] = []

    async def in_the_background(query: str) -> object:
        async def refresh() -> object:
            while cache.get(query) is None:
                await asyncio.sleep(0.01)
            cache.clear()
            return await cache.aget_or_compute(query, str.title)

        later.append(asyncio.create_task(refresh()))
        return query

    async def main() -> None:
        for function in (again, in_the_loop, in_a_thread, in_a_task, by_another):
            with pytest.raises(prestige.InvalidArgumentError, match="wait for itself"):
                await asyncio.wait_for(cache.aget_or_compute("q", function), 60)
        with pytest.raises(prestige.InvalidArgumentError, match="wait for itself"):
            await asyncio.wait_for(recursive("q"), 60)
        # Another scope is another computation, and one that has ended is none.
        assert await cache.aget_or_compute("q", elsewhere) == "Q"
        assert await cache.aget_or_compute("p", in_the_background) == "p"
        assert await asyncio.wait_for(later[0], 60) == "P"

    asyncio.run(main())


def test_a_loop_within_what_is_computed_without_one(cache: prestige.SemanticCache) -> None:
    def same(query: str) -> object:
        return asyncio.run(asyncio.wait_for(cache.aget_or_compute(query, str.upper), 60))

    def in_a_thread(query: str) -> object:
        call = asyncio.to_thread(cache.get_or_compute, query, str.upper)
        return asyncio.run(asyncio.wait_for(call, 60))

    def another(query: str) -> object:
        assert asyncio.run(cache.aget(query)) is None
        return asyncio.run(cache.aget_or_compute(f"{query}, in capitals?", str.upper))

    for function in (same, in_a_thread):
        with pytest.raises(prestige.InvalidArgumentError, match="wait for itself"):
            cache.get_or_compute("q", function)
    assert cache.get_or_compute("q", another) == "Q, IN CAPITALS?"
    # What has ended is not computed any more.
    cache.clear()
    assert asyncio.run(cache.aget_or_compute("q", str.upper)) == "Q"


def test_a_loop_within_an_embedding_function(store: prestige.Store) -> None:
    texts = ["first", "second"]
    asks: list[list[str]] = []

    def embed(given: list[str]) -> NDArray[np.float32]:
        if asks:
            return asyncio.run(asyncio.wait_for(cache.aembed(asks.pop()), 60))
        return np.ones((len(given), 3), np.float32)

    cache = prestige.EmbeddingCache(store, embed=embed, model_id="m", batch_size=1)
    # Those of later batches are waited for as well.
    for text in texts:
        asks.append([text])
        with pytest.raises(prestige.InvalidArgumentError, match="wait for itself"):
            cache.embed(texts)
    asks.append(["another"])
    assert cache.embed(texts).shape == (2, 3)
    assert "another" in cache


def test_what_was_computed_is_returned_even_if_it_cannot_be_stored(store: prestige.Store) -> None:
    def embed(_: list[str]) -> object:
        raise ConnectionError("no network")

    cache = prestige.SemanticCache(store, embed=embed, model_id="down")

    async def compute(query: str) -> str:
        while cache.stats()["misses"] < TASKS:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        return query.upper()

    async def never(_: str) -> str:
        raise AssertionError("it has been called")

    async def main() -> None:
        asking = (cache.aget_or_compute("q", compute) for _ in range(TASKS))
        assert set(await asyncio.gather(*asking)) == {"Q"}
        for more in (
            {"metadata": {str(number): "" for number in range(65)}},
            {"ttl_seconds": -1},
            {"tokens": -1},
        ):
            with pytest.raises(ValueError, match=r"metadata|ttl_seconds|tokens"):
                await cache.aget_or_compute("p", never, **more)

    asyncio.run(main())
    stats = cache.stats()
    assert stats["not_stored"] == stats["computed"] >= 1
    assert cache.get_or_compute("r", str.upper) == "R"
    assert len(cache) == 0
    assert store.verify() == []


def test_a_cached_async_function(cache: prestige.SemanticCache) -> None:
    asked: list[str] = []

    @cache.cached(scope="tenant")
    async def answer(question: str, *, tenant: str) -> list[str]:
        asked.append(question)
        return [tenant, question]

    async def main() -> None:
        for _ in range(2):
            assert await answer("q", tenant="a") == ["a", "q"]
        assert await answer("q", tenant="b") == ["b", "q"]

    asyncio.run(main())
    assert inspect.iscoroutinefunction(answer)
    assert asked == ["q", "q"]
    assert cache.invalidate(scope=answer.scope_of("q", tenant="a")) == 1


def test_who_waits_in_a_loop_that_has_ended_is_forgotten(cache: prestige.SemanticCache) -> None:
    leading, go_on = threading.Event(), threading.Event()

    def compute(_: str) -> str:
        leading.set()
        go_on.wait(60)
        return "answer"

    leader: Callable[[], object] = lambda: cache.get_or_compute("q", compute)  # noqa: E731
    thread = threading.Thread(target=leader)
    thread.start()
    leading.wait()

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(cache.aget_or_compute("q", compute), 0.2)

    asyncio.run(main())
    go_on.set()
    thread.join()
    hit = cache.get("q")
    assert hit is not None
    assert hit.response == "answer"
