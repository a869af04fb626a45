"""`SemanticCache.get_or_compute` and `cached`: what is missing is computed once."""

from __future__ import annotations

import functools
import threading

import either
import pytest
from queries import ORDER, RESET, RESET_AGAIN
from together import run_all

import prestige

store = either.store  # Each test over both.

THREADS = 32


def test_figures_of_what_was_saved(store: prestige.Store) -> None:
    cache = prestige.SemanticCache(
        store, model_id="m", price_per_call=0.01, price_per_1k_tokens=0.5
    )
    cache.put("q", "r", tokens=2000, seconds=1.5)
    for _ in range(2):
        cache.get("q")
    cache.get_or_compute("p", lambda _: "12345", tokens=len)
    cache.get_or_compute("p", lambda _: "never")
    stats = cache.stats()
    assert stats["exact_hits"] == 3
    assert stats["computed"] == 1
    assert stats["money_saved"] == pytest.approx(3 * 0.01 + 4.005 * 0.5)
    assert 3.0 <= stats["seconds_saved"] < 4.0


def test_get_or_compute(cache: prestige.SemanticCache) -> None:
    asked: list[str] = []

    def answer(query: str) -> dict[str, str]:
        asked.append(query)
        return {"answer": query}

    for query in (RESET, RESET, RESET_AGAIN, ORDER):
        expected = RESET if query == RESET_AGAIN else query
        assert cache.get_or_compute(query, answer, metadata={"a": "b"}) == {"answer": expected}
    assert asked == [RESET, ORDER]
    hit = cache.get(RESET)
    assert hit is not None
    assert hit.metadata == {"a": "b"}

    async def wrong(query: str) -> str:
        return query

    with pytest.raises(TypeError, match="aget_or_compute"):
        cache.get_or_compute("another", wrong)
    with pytest.raises(prestige.InvalidArgumentError, match="wait for itself"):
        cache.get_or_compute("nested", lambda query: cache.get_or_compute(query, answer))


def test_32_threads_that_miss_the_same_compute_once(given: prestige.SemanticCache) -> None:
    started = threading.Barrier(THREADS)
    calls: list[str] = []

    def compute(query: str) -> str:
        calls.append(query)
        threading.Event().wait(0.2)
        return "answer"

    def ask() -> None:
        started.wait()
        assert given.get_or_compute("q", compute) == "answer"

    run_all([ask] * THREADS)
    assert calls == ["q"]
    assert given.stats()["shared"] + given.stats()["exact_hits"] == THREADS - 1


@either.embedded  # In time, only if a lookup takes none.
def test_when_computing_fails_all_see_the_error_and_the_next_call_tries_again(
    given: prestige.SemanticCache,
) -> None:
    waiting = threading.Semaphore(0)
    first = threading.Event()
    calls = 0
    errors: list[BaseException] = []

    def compute(_: str) -> str:
        nonlocal calls
        calls += 1
        first.set()
        for _ in range(THREADS - 1):
            waiting.acquire()
        threading.Event().wait(0.3)
        raise ConnectionError("no network")

    def ask(number: int) -> None:
        if number:
            first.wait()
            waiting.release()
        try:
            given.get_or_compute("q", compute)
        except ConnectionError as error:
            errors.append(error)

    run_all([functools.partial(ask, number) for number in range(THREADS)])
    assert len(errors) == THREADS
    assert calls == 1
    assert given.get_or_compute("q", lambda _: "now") == "now"


def test_a_cached_function(cache: prestige.SemanticCache) -> None:
    calls: list[tuple[str, str, float]] = []

    @cache.cached(scope="tenant", ignore=["client"], metadata={"by": "answer"})
    def answer(question: str, tenant: str, temperature: float = 0.0, client: object = None) -> str:
        """Answer a question."""
        calls.append((question, tenant, temperature))
        return f"{tenant}: {question}"

    assert answer.__name__ == "answer"
    assert answer.__doc__ == "Answer a question."
    assert answer(RESET, "a", client=object()) == f"a: {RESET}"
    assert answer(RESET_AGAIN, tenant="a") == f"a: {RESET}"
    assert answer(RESET, "b") == f"b: {RESET}"
    assert answer(question=RESET, tenant="a", temperature=0.5) == f"a: {RESET}"
    assert len(calls) == 3
    assert cache.invalidate(scope=answer.scope_of(RESET, "a")) == 1
    answer(RESET, "a")
    assert len(calls) == 4

    @cache.cached
    def other(question: str) -> str:
        return "other"

    assert other(RESET) == "other"
    with pytest.raises(TypeError, match="must be str"):
        other(3)
    with pytest.raises(TypeError, match="no parameter 'x'"):
        cache.cached(query="x")(other)
    with pytest.raises(TypeError, match="scope is made of"):
        answer(RESET, object())
