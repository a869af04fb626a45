"""`SemanticCache`: responses by scope and query, found by the meaning of the query."""

from __future__ import annotations

import functools
import os
import pickle
import subprocess
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from together import run_all

import prestige
from prestige.testing import ManualClock

THREADS = 32
RESET = "How do I reset my password?"
RESET_AGAIN = "How can I reset my password?"
ORDER = "Where is my order?"


@pytest.fixture(scope="module")
def model() -> prestige.SemanticModel:
    """The bundled model, loaded once for all tests of the module."""
    model = prestige.SemanticModel()
    assert model.dimension == 384
    return model


@pytest.fixture
def cache(store: prestige.Store, model: prestige.SemanticModel) -> prestige.SemanticCache:
    return prestige.SemanticCache(store, model=model)


@pytest.fixture
def given(store: prestige.Store) -> prestige.SemanticCache:
    """A cache whose embeddings are given, two numbers each."""
    return prestige.SemanticCache(store, 0.9, model_id="two numbers")


def test_a_query_is_found_by_its_text_and_by_its_meaning(cache: prestige.SemanticCache) -> None:
    assert cache.get(RESET) is None
    cache.put(RESET, "Click on “forgot password”.", metadata={"source": "faq"})
    cache.put(ORDER, "On its way.")
    exact = cache.get(RESET)
    assert exact is not None
    assert (exact.exact, exact.similarity, exact.query) == (True, 1.0, RESET)
    similar = cache.get(RESET_AGAIN)
    assert similar is not None
    assert not similar.exact
    assert 0.97 <= similar.similarity < 1.0
    assert similar.query == RESET
    assert similar.response == "Click on “forgot password”."
    assert similar.metadata == {"source": "faq"}
    assert similar.scope is None
    assert 0 <= similar.age_seconds < 60
    assert "similarity=0.9" in repr(similar)
    assert cache.get("How do I bake bread?") is None
    assert cache.get(RESET_AGAIN, threshold=1.0) is None
    stats = cache.stats()
    assert (stats["exact_hits"], stats["semantic_hits"]) == (1, 1)
    assert (stats["misses"], stats["puts"]) == (3, 2)


def test_the_traps_of_similarity_are_visible(cache: prestige.SemanticCache) -> None:
    """What no threshold separates is for the caller to see."""
    cache.put("Please cancel order 1041", "Cancelled 1041.")
    hit = cache.get("Please cancel order 1042", threshold=0.9)
    assert hit is not None
    assert hit.similarity > 0.95
    assert hit.query == "Please cancel order 1041"
    cache.put("How do I turn the alarm on?", "Like this.")
    assert cache.get("How do I turn the alarm off?") is None


def test_putting_never_merges_and_the_same_query_replaces(cache: prestige.SemanticCache) -> None:
    cache.put(RESET, "first")
    cache.put(RESET_AGAIN, "second")
    cache.put(RESET, "third")
    assert len(cache) == 2
    found = [cache.get(query) for query in (RESET, RESET_AGAIN)]
    assert [hit and hit.response for hit in found] == ["third", "second"]


@pytest.mark.parametrize(
    "scope",
    [
        "tenant",
        "",
        ["tenant"],
        {"tenant": "a", "turns": ["one", {"role": "user"}], "temperature": 0.5, "n": 3, "x": None},
        7,
        True,
        MappingProxyType({"tenant": "b"}),
        ("a", "b"),
    ],
    ids=repr,
)
def test_scopes_are_apart(given: prestige.SemanticCache, scope: object) -> None:
    given.put("query", "mine", scope=scope, embedding=[1.0, 0.0])
    for other in (None, "other", "tenant ", [["tenant"]], {"tenant": "A"}, 8, False, 7.0):
        assert given.get("query", scope=other, embedding=[1.0, 0.0]) is None
        assert given.get("nearby", scope=other, embedding=[1.0, 0.0]) is None
    hit = given.get("nearby", scope=scope, embedding=[1.0, 0.0])
    assert hit is not None
    assert hit.response == "mine"
    assert hit.scope is scope


def test_equal_scopes_are_one(given: prestige.SemanticCache) -> None:
    given.put("q", "r", scope={"a": "1", "b": ["x", "y"]})
    same = OrderedDict([("b", ("x", "y")), ("a", "1")])
    assert given.get("q", scope=same) is not None
    assert given.scopes() == [{"a": "1", "b": ["x", "y"]}]


def test_a_cache_has_a_scope_of_its_own(store: prestige.Store) -> None:
    one = prestige.SemanticCache(store, scope="one", model_id="m")
    two = prestige.SemanticCache(store, scope="two", model_id="m")
    every = prestige.SemanticCache(store, model_id="m")
    one.put("q", "1")
    two.put("q", "2")
    hit = one.get("q")
    assert hit is not None
    assert (hit.response, hit.scope, one.scope) == ("1", "one", "one")
    assert every.get("q") is None
    assert (len(one), len(two), len(every)) == (1, 1, 2)
    assert sorted(every.scopes()) == ["one", "two"]
    # What spans scopes stays within the scope that a cache was given.
    assert one.clear() == 1
    assert two.get("q") is not None
    assert every.clear() == 1
    assert store.namespaces() == []


@pytest.mark.parametrize(
    "response",
    [
        "",
        "text ü “quoted”",
        b"",
        b"\xff\x00",
        None,
        True,
        0,
        -(2**200),
        1.5,
        1e300,
        [],
        {},
        {"b": [1, None, {"a": "ß\n"}], "a": "\u2028"},
        ["text", 1, 1.0, False],
        "x" * 3_000_000,
    ],
    ids=lambda value: repr(value)[:20],
)
def test_responses_come_back_as_they_were(
    given: prestige.SemanticCache, response: prestige.Hit
) -> None:
    given.put("q", response)
    hit = given.get("q")
    assert hit is not None
    assert hit.response == response
    assert type(hit.response) is type(response)
    assert repr(hit.response) == repr(response)


class Text(str):
    """A `str` that would come back as another type."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("response", "error"),
    [
        ((1, 2), TypeError),
        ([(1,)], TypeError),
        ({1: "a"}, TypeError),
        ({"a": {2, 3}}, TypeError),
        (bytearray(b"x"), TypeError),
        ([b"x"], TypeError),
        (object(), TypeError),
        (Text("a"), TypeError),
        ([Text("a")], TypeError),
        (np.float32(1.0), TypeError),
        (OrderedDict(a=1), TypeError),
        (float("nan"), prestige.InvalidArgumentError),
        ([float("inf")], prestige.InvalidArgumentError),
        ("\ud800", UnicodeEncodeError),
        (["\ud800"], UnicodeEncodeError),
        (
            functools.reduce(lambda inner, _: [inner], range(101), "deep"),
            prestige.InvalidArgumentError,
        ),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_would_not_come_back_is_refused(
    given: prestige.SemanticCache, response: object, error: type[Exception]
) -> None:
    with pytest.raises(error):
        given.put("q", response)
    with pytest.raises(error):
        given.get_or_compute("q", lambda _: response)
    assert len(given) == 0


def test_given_embeddings_run_no_model(
    given: prestige.SemanticCache, store: prestige.Store
) -> None:
    given.put("x", "x", embedding=[2.0, 0.0])
    given.put("y", "y", embedding=np.array([0, 3], np.int64))
    given.put("exact only", "e")
    near = given.get("near", embedding=(1.0, 0.2))
    assert near is not None
    assert near.query == "x"
    assert near.similarity == pytest.approx(1 / np.sqrt(1.04), abs=1e-3)
    assert given.get("near") is None
    assert given.get("near", embedding=[1.0, 1.0]) is None
    low = given.get("near", threshold=0.7, embedding=[0.9, 1.0])
    assert low is not None
    assert low.query == "y"
    assert given.get("exact only") is not None
    for bad in ([1.0], [1.0, 2.0, 3.0], [], [0.0, 0.0], [float("nan"), 1.0], [[1.0, 2.0]], "ab", 3):
        with pytest.raises(prestige.InvalidArgumentError):
            given.put("z", "z", embedding=bad)
        with pytest.raises(prestige.InvalidArgumentError):
            given.get("z", embedding=bad)
    assert len(given) == 3
    assert store.verify() == []


def test_a_function_embeds(store: prestige.Store) -> None:
    calls: list[list[str]] = []

    def embed(texts: list[str]) -> list[list[float]]:
        calls.append(texts)
        if texts == ["fail"]:
            raise LookupError
        return [[1.0, float(len(text)) / 100] for text in texts]

    cache = prestige.SemanticCache(store, 0.99, embed=embed, model_id="length")
    assert cache.get("aaa") is None
    assert calls == [], "a scope without entries needs no embedding"
    cache.put("aaa", "three")
    hit = cache.get("bbbb")
    assert hit is not None
    assert hit.query == "aaa"
    assert calls == [["aaa"], ["bbbb"]]
    for call in (lambda: cache.put("fail", "x"), lambda: cache.get("fail")):
        with pytest.raises(LookupError):
            call()
    assert len(cache) == 1


def test_long_and_blank_queries_are_found_by_their_text_alone(
    cache: prestige.SemanticCache,
) -> None:
    long = "word " * 400
    for query in (long, "", " \n"):
        cache.put(query, "r")
        assert cache.get(query) is not None
    assert cache.get(long + "more") is None
    assert cache.get("\t") is None


def test_another_model_is_refused_by_name(store: prestige.Store) -> None:
    prestige.SemanticCache(store, model_id="one").put("q", "r", embedding=[1.0])
    with pytest.raises(prestige.ModelError, match=r"one .*two"):
        prestige.SemanticCache(store, model_id="two")
    for name in store.namespaces():
        store.drop_namespace(name)
    prestige.SemanticCache(store, model_id="two").put("q", "r", embedding=[1.0])


def test_entries_expire(store_path: Path) -> None:
    clock = ManualClock()
    with prestige.open(store_path, clock=clock) as store:
        cache = prestige.SemanticCache(store, 0.9, model_id="m", ttl_seconds=60)
        cache.put("a", "a", embedding=[1.0, 0.0])
        cache.put("b", "b", ttl_seconds=0, embedding=[1.0, 0.3])
        clock.advance(59)
        hit = cache.get("q", embedding=[1.0, 0.0])
        assert hit is not None
        assert (hit.query, hit.age_seconds) == ("a", 59.0)
        clock.advance(1)
        hit = cache.get("q", embedding=[1.0, 0.0])
        assert hit is not None
        assert hit.query == "b"
        assert cache.get("a") is None
        assert len(cache) == 1
        assert store.verify() == []


def test_evicted_entries_take_their_vectors_along(store_path: Path) -> None:
    with prestige.open(store_path, max_store_bytes=30_000) as store:
        cache = prestige.SemanticCache(store, 0.9, model_id="m")
        for number in range(300):
            cache.put(f"q{number}", "r" * 200, embedding=[1.0, number / 300])
        (name,) = store.namespaces()
        health = store.namespace(name).get_health()
        assert health["index_vectors"] == len(cache)
        assert 20 < len(cache) < 150
        assert cache.get("q299") is not None
        assert store.total_bytes <= 30_000
        assert store.verify() == []


def test_invalidation(store_path: Path) -> None:
    clock = ManualClock()
    with prestige.open(store_path, clock=clock) as store:
        cache = prestige.SemanticCache(store, model_id="m")
        for scope in ("a", "b"):
            for number in range(10):
                source = "faq" if number % 2 else "web"
                metadata = {"source": source, "n": str(number)}
                cache.put(f"q{number}", "r", scope=scope, metadata=metadata)
        clock.advance(100)
        cache.put("late", "r", scope="a", metadata={"source": "faq"})
        assert cache.invalidate(scope="a", metadata={"source": "faq"}, older_than=50) == 5
        assert cache.invalidate(metadata={"source": "faq", "n": "3"}) == 1
        assert cache.invalidate(older_than=timedelta(seconds=200)) == 0
        assert len(cache) == 6 + 9
        assert cache.invalidate(scope="b") == 9
        assert cache.invalidate(scope="b") == 0
        assert cache.invalidate(older_than=100.0) == 0
        assert cache.invalidate(older_than=99.5) == 5
        assert cache.clear() == 1
        assert store.verify() == []
        for bad in (-1, float("nan"), "x"):
            with pytest.raises((prestige.InvalidArgumentError, TypeError)):
                cache.invalidate(older_than=bad)
        with pytest.raises(prestige.InvalidArgumentError, match="at least one pair"):
            cache.invalidate(metadata={})


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


def test_bad_arguments_are_named(store: prestige.Store) -> None:
    def refused(message: str, **arguments: object) -> None:
        with pytest.raises((prestige.InvalidArgumentError, TypeError), match=message):
            prestige.SemanticCache(store, **{"model_id": "m", **arguments})

    refused("threshold must be", threshold=0)
    refused("threshold must be", threshold=1.5)
    refused("threshold must be", threshold="x")
    refused("ttl_seconds must be", ttl_seconds=-1)
    refused("price_per_call must be", price_per_call=-1)
    refused("scope is made of", scope=b"bytes")
    refused("names in a scope must be str", scope={1: "a"})
    refused("must be finite", scope=[float("nan")])
    refused("at most 64 bits", scope=2**70)
    refused("model_id must not be empty", model_id="", embed=len)
    refused("needs a model_id", model_id=None, embed=len)
    refused("two ways", embed=len, model=prestige.SemanticModel())
    refused("max_store_bytes is an option", max_store_bytes=3)
    nested: object = "x"
    for _ in range(100):
        nested = [nested]
    refused("nested", scope=nested)
    with pytest.raises(prestige.InvalidArgumentError, match="view"):
        prestige.SemanticCache(store.namespace("a"), model_id="m")
    cache = prestige.SemanticCache(store, model_id="m")
    for bad in (b"q", 3, None):
        with pytest.raises(TypeError):
            cache.get(bad)
        with pytest.raises(TypeError):
            cache.put(bad, "r")
    with pytest.raises(UnicodeEncodeError):
        cache.put("\ud800", "r")
    for bad in ([("a", "b")], {"a": 1}, {1: "a"}, "ab"):
        with pytest.raises(TypeError, match="metadata"):
            cache.put("q", "r", metadata=bad)
    with pytest.raises(prestige.InvalidArgumentError, match="64 pairs"):
        cache.put("q", "r", metadata={str(n): "" for n in range(65)})
    with pytest.raises(prestige.InvalidArgumentError, match="tokens"):
        cache.put("q", "r", tokens=-1)
    with pytest.raises(TypeError):
        cache.get_or_compute("q", 3)
    assert len(cache) == 0


def test_a_closed_store_says_so(store_path: Path) -> None:
    store = prestige.open(store_path)
    with prestige.SemanticCache(store, model_id="m") as cache:
        cache.put("q", "r")
    assert not store.closed, "the cache did not open it"
    store.close()
    for call in (
        lambda: cache.get("q"),
        lambda: cache.put("q", "r"),
        lambda: cache.get_or_compute("q", str),
        cache.clear,
        cache.scopes,
        cache.__enter__,
        lambda: len(cache),
    ):
        with pytest.raises(prestige.ClosedError):
            call()
    assert "closed=True" in repr(cache)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(cache)


def test_entries_outlive_the_process(store_path: Path, model: prestige.SemanticModel) -> None:
    with prestige.SemanticCache(store_path, scope="s", model=model) as cache:
        cache.put(RESET, "r")
    with prestige.SemanticCache(store_path, scope="s", model=model) as cache:
        assert cache.get(RESET_AGAIN) is not None
    with prestige.SemanticCache(store_path, scope="s", model=model, read_only=True) as cache:
        assert cache.get(RESET_AGAIN) is not None
        with pytest.raises(prestige.ReadOnlyError):
            cache.put(RESET, "x")
        assert cache.get_or_compute(ORDER, lambda _: "computed") == "computed"
        assert cache.stats()["not_stored"] == 1


def test_backups_hold_the_cache(
    store: prestige.Store, cache: prestige.SemanticCache, tmp_path: Path
) -> None:
    cache.put(RESET, "r")
    store.backup(tmp_path / "copy")
    with prestige.open(tmp_path / "copy") as copy:
        assert copy.verify() == []
        assert prestige.SemanticCache(copy).get(RESET_AGAIN) is not None


KILLED = """
import sys
import prestige

cache = prestige.SemanticCache(sys.argv[1], 0.5, model_id="m")
for number in range(1_000_000):
    cache.put(f"q{number}", f"r{number}", scope=str(number % 7), embedding=[1.0, number % 100])
    if number % 3 == 0:
        cache.invalidate(scope=str(number % 7), metadata={"none": "of them"})
    print(number, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(
    store_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    child = start(KILLED, store_path)
    assert child.stdout is not None
    last = -1
    for line in child.stdout:
        last = int(line)
        if last >= 200:
            break
    child.kill()
    child.wait()
    assert last >= 200
    with prestige.open(store_path) as store:
        assert store.verify() == []
        cache = prestige.SemanticCache(store, 0.5, model_id="m")
        for number in range(last + 1):
            hit = cache.get(f"q{number}", scope=str(number % 7))
            assert hit is not None
            assert hit.response == f"r{number}"
            near = cache.get("other", scope=str(number % 7), embedding=[1.0, number % 100])
            assert near is not None
            assert near.similarity > 0.999


OFFLINE = """
import sys

def audit(event, _):
    if event.startswith("socket."):
        raise AssertionError("a socket was opened")

sys.addaudithook(audit)
import prestige

with prestige.SemanticCache(sys.argv[1]) as cache:
    cache.put("How do I reset my password?", "like this")
    print(cache.get("How can I reset my password?").response)
"""


def test_the_bundled_model_opens_no_socket(
    store_path: Path, run_script: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = run_script(OFFLINE, store_path)
    assert (done.stdout, done.stderr) == ("like this\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_is_refused(
    store_path: Path, run_script: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = run_script(
        """
        import os, sys
        import prestige
        cache = prestige.SemanticCache(sys.argv[1], model_id="m")
        cache.put("q", "r")
        if os.fork() == 0:
            try:
                cache.get("q")
            except prestige.PrestigeError as error:
                print("forked" in str(error), flush=True)
            os._exit(0)
        os.wait()
        """,
        store_path,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_threads_put_get_and_invalidate_at_once(
    store: prestige.Store, given: prestige.SemanticCache
) -> None:
    ended = threading.Event()
    errors: list[BaseException] = []

    def guarded(work: Callable[[int], None]) -> Callable[[], None]:
        def run() -> None:
            number = 0
            try:
                while not ended.is_set():
                    work(number)
                    number += 1
            except BaseException as error:
                errors.append(error)
                ended.set()

        return run

    def put(number: int) -> None:
        scope = str(number % 3)
        given.put(f"q{number % 50}", scope, scope=scope, embedding=[1.0, number % 50])

    def get(number: int) -> None:
        scope = str(number % 3)
        hit = given.get("any", scope=scope, embedding=[1.0, number % 50])
        assert hit is None or hit.response == scope

    def invalidate(number: int) -> None:
        given.invalidate(scope=str(number % 3))
        given.invalidate(older_than=1000)

    work: Iterator[Callable[[], None]] = map(guarded, [put, put, get, get, invalidate])
    timer = threading.Timer(1.0, ended.set)
    timer.start()
    run_all(list(work))
    timer.join()
    assert errors == []
    assert store.verify() == []
