"""`EmbeddingCache`: each text is computed once, whoever asks for it, and kept in the store."""

from __future__ import annotations

import functools
import gc
import os
import pickle
import signal
import subprocess
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import either
import numpy as np
import pytest
from numpy.typing import NDArray
from together import run_all

import prestige
from prestige.testing import ManualClock

store = either.store  # Each test over both.

Vectors = NDArray[np.float32]
THREADS = 32


def vector_of(text: str, dimension: int = 4) -> list[float]:
    """A vector that says which text it is of."""
    return [float(len(text)), float(ord(text[0])) if text else -1.0, *[0.25] * (dimension - 2)]


class Function:
    """An embedding function that counts, and fails on texts that say so."""

    def __init__(self, dimension: int = 4) -> None:
        self.dimension = dimension
        self.calls: list[list[str]] = []

    def __call__(self, texts: list[str]) -> Vectors:
        self.calls.append(texts)
        for text in texts:
            if text.startswith("fail"):
                raise LookupError(text)
        return np.array([vector_of(text, self.dimension) for text in texts], np.float32)

    @property
    def texts(self) -> list[str]:
        """All texts so far, in order."""
        return [text for texts in self.calls for text in texts]


@pytest.fixture
def function() -> Function:
    return Function()


@pytest.fixture
def cache(store: prestige.Store, function: Function) -> prestige.EmbeddingCache:
    return prestige.EmbeddingCache(store, embed=function, model_id="letters")


def test_rows_come_in_input_order_and_each_text_is_computed_once(
    cache: prestige.EmbeddingCache, function: Function
) -> None:
    texts = ["b", "a", "b", "", "größer", "a" * 70_000]
    for _ in range(2):
        rows = cache.embed(texts)
        assert rows.dtype == np.float32
        assert rows.shape == (6, 4)
        assert rows.flags.c_contiguous
        assert rows.flags.writeable
        assert rows.tolist() == [vector_of(text) for text in texts]
    assert function.calls == [["b", "a", "", "größer", "a" * 70_000]]
    stats = cache.stats()
    assert (stats["hits"], stats["misses"], stats["computed"]) == (6, 6, 5)
    assert stats["batches"] == 1
    assert stats["seconds_saved"] >= 0
    assert len(cache) == 5
    assert "b" in cache
    assert "c" not in cache


def test_without_texts_there_is_an_empty_array(cache: prestige.EmbeddingCache) -> None:
    assert cache.embed([]).shape == (0, 0)
    assert cache.dimension is None
    cache.embed(iter(["a"]))
    assert cache.dimension == 4
    assert cache.embed(()).shape == (0, 4)


def test_single_texts_get_and_put(cache: prestige.EmbeddingCache, function: Function) -> None:
    assert cache.get("a") is None
    assert cache.embed_query("a").tolist() == vector_of("a")
    found = cache.get("a")
    assert found is not None
    assert found.shape == (4,)
    cache.put("a", [1, 2, 3, 4])
    cache.put("z", np.arange(8, dtype=np.float64)[::2])
    rows = cache.get_many(["z", "nothing", "a"])
    assert [None if row is None else row.tolist() for row in rows] == [
        [0.0, 2.0, 4.0, 6.0],
        None,
        [1.0, 2.0, 3.0, 4.0],
    ]
    assert function.texts == ["a"]
    assert cache.delete_many(["a", "nothing", "a"]) == 1
    assert cache.clear() == 1
    assert cache.clear() == 0
    assert len(cache) == 0
    assert cache


def test_functions_may_return_lists_and_other_dtypes(store: prestige.Store) -> None:
    for number, convert in enumerate([list, np.float64, np.float16, np.asfortranarray]):

        def embed(texts: list[str], convert: Callable[..., object] = convert) -> object:
            return convert([vector_of(text) for text in texts])

        cache = prestige.EmbeddingCache(store, embed=embed, model_id=f"model {number}")
        assert cache.embed(["ab", "c"]).tolist() == [vector_of("ab"), vector_of("c")]
        assert cache.embed(["ab", "c"]).tolist() == [vector_of("ab"), vector_of("c")]


def test_a_name_alone_computes_nothing(store: prestige.Store) -> None:
    with pytest.raises(prestige.InvalidArgumentError, match="give embed, a function, or model"):
        prestige.EmbeddingCache(store, model_id="text-embedding-3-small")
    assert store.namespaces() == []


def test_the_bundled_model_is_the_default(store_path: Path) -> None:
    texts = ["How do I reset my password?", "Where is my order?", "How do I reset my password?"]
    model = prestige.SemanticModel()
    with prestige.EmbeddingCache(store_path, max_store_bytes=1 << 30) as cache:
        first = cache.embed(texts)
        assert cache.model_id == model.fingerprint
        assert cache.dimension == 384
    with prestige.EmbeddingCache(store_path, model) as cache:
        again = cache.embed(texts)
        assert cache.stats()["computed"] == 0
    assert np.array_equal(first, again)
    assert np.array_equal(first, model.embed(texts))
    assert cache.closed
    with prestige.open(store_path) as store:
        assert store.namespaces() == [f"embeddings/{model.fingerprint}/384"]
        assert store.verify() == []


def test_half_precision_takes_half_the_bytes(store: prestige.Store, function: Function) -> None:
    sizes = []
    for dtype in ("float32", "float16"):
        cache = prestige.EmbeddingCache(store, embed=Function(384), model_id=dtype, dtype=dtype)
        cache.put("text", np.full(384, 0.1, np.float32))
        sizes.append(store.namespace(f"embeddings/{dtype}/384").total_bytes)
        assert np.allclose(cache.embed(["text"]), 0.1, atol=1e-4)
    assert sizes == [32 + 4 * 384, 32 + 2 * 384]


def test_a_failing_batch_fails_alone(store: prestige.Store, function: Function) -> None:
    cache = prestige.EmbeddingCache(store, embed=function, model_id="m", batch_size=2)
    with pytest.raises(LookupError, match="fail") as failed:
        cache.embed(["a", "b", "c", "fail", "d"])
    assert failed.value.args == ("fail",)
    assert function.calls == [["a", "b"], ["c", "fail"]]
    cache.embed(["a", "b", "c", "d"])
    assert function.calls[2:] == [["c", "d"]]


def test_32_threads_that_miss_the_same_call_once(store: prestige.Store) -> None:
    started = threading.Barrier(THREADS)
    calls: list[list[str]] = []

    def embed(texts: list[str]) -> Vectors:
        calls.append(texts)
        # Long enough for the others to come, however late they are told to go on.
        threading.Event().wait(0.2)
        return np.ones((len(texts), 3), np.float32)

    cache = prestige.EmbeddingCache(store, embed=embed, model_id="m")

    def ask(number: int) -> None:
        started.wait()
        assert cache.embed(["shared", f"own {number}"]).shape == (2, 3)

    run_all([functools.partial(ask, number) for number in range(THREADS)])
    texts = [text for batch in calls for text in batch]
    assert sorted(texts) == sorted(["shared", *(f"own {number}" for number in range(THREADS))])


@either.embedded  # In time, only if a lookup takes none.
def test_when_the_call_fails_all_see_the_error_and_the_next_call_tries_again(
    store: prestige.Store,
) -> None:
    waiting = threading.Semaphore(0)
    fails = True
    calls = 0

    def embed(texts: list[str]) -> Vectors:
        nonlocal calls
        calls += 1
        if fails:
            for _ in range(THREADS - 1):
                waiting.acquire()
            threading.Event().wait(0.3)
            raise ConnectionError("no network")
        return np.ones((len(texts), 3), np.float32)

    cache = prestige.EmbeddingCache(store, embed=embed, model_id="m")
    first = threading.Event()
    errors: list[BaseException] = []

    def ask(number: int) -> None:
        if number:
            first.wait()
            waiting.release()
        else:
            first.set()
        try:
            cache.embed(["text"])
        except ConnectionError as error:
            errors.append(error)

    run_all([functools.partial(ask, number) for number in range(THREADS)])
    assert len(errors) == THREADS
    assert calls == 1
    fails = False
    assert cache.embed(["text"]).tolist() == [[1.0, 1.0, 1.0]]
    assert calls == 2


def test_a_text_that_is_none_is_numbered(store: prestige.Store) -> None:
    cache = prestige.EmbeddingCache(store, embed=len, model_id="m")
    for call in (cache.embed, cache.get_many):
        with pytest.raises(UnicodeEncodeError, match=r"surrogates not allowed, in text 1$"):
            call(["a", "\ud800"])
        with pytest.raises(TypeError, match=r"found int as text 2$"):
            call(["a", "b", 3])  # type: ignore[list-item]


def test_a_function_that_asks_the_cache_for_the_same_text_is_told_so(store: prestige.Store) -> None:
    def embed(texts: list[str]) -> Vectors:
        return cache.embed(texts)

    cache = prestige.EmbeddingCache(store, embed=embed, model_id="m")
    with pytest.raises(prestige.InvalidArgumentError, match="wait for itself"):
        cache.embed(["text"])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.ones((3, 4)), r"shape \(2, d\), not \(3, 4\)"),
        (np.ones((2, 0)), r"not \(2, 0\)"),
        (np.ones(8), r"shape \(2, d\), not \(8,\)"),
        (np.ones((2, 2, 2)), r"not \(2, 2, 2\)"),
        (None, r"shape \(2, d\), not"),
        ([[1.0, 2.0], [1.0]], "array of numbers"),
        ([["a", "b"], ["c", "d"]], "array of numbers"),
        ({}, "array of numbers"),
        ([[1.0, float("nan")], [1.0, 2.0]], "vector 0 of 2"),
        ([[1.0, 1.0], [float("inf"), 2.0]], "vector 1 of 2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_answers_are_refused_and_leave_nothing(
    store: prestige.Store, answer: object, message: str
) -> None:
    cache = prestige.EmbeddingCache(store, embed=lambda _: answer, model_id="m")
    with pytest.raises(prestige.InvalidArgumentError, match=message):
        cache.embed(["a", "b"])
    assert len(cache) == 0
    assert store.namespaces() == []


def test_another_length_of_vectors_is_refused(
    cache: prestige.EmbeddingCache, store: prestige.Store
) -> None:
    cache.embed(["a"])
    other = prestige.EmbeddingCache(store, embed=Function(7), model_id="letters")
    assert other.dimension == 4
    with pytest.raises(prestige.InvalidArgumentError, match="have 4 components and have 7"):
        other.embed(["b"])
    with pytest.raises(prestige.InvalidArgumentError, match="have 4 components and have 2"):
        cache.put("c", [1.0, 2.0])
    seven = prestige.EmbeddingCache(store, embed=Function(7), model_id="letters", dimension=7)
    assert seven.embed(["b"]).shape == (1, 7)
    if isinstance(store, prestige.RemoteStore):
        return  # The server has opened it while there was one length.
    with pytest.raises(prestige.InvalidArgumentError, match=r"\[4, 7\].*dimension"):
        prestige.EmbeddingCache(store, embed=Function(), model_id="letters")


def test_an_async_function_is_refused(store: prestige.Store) -> None:
    async def embed(texts: list[str]) -> Vectors:
        return np.ones((len(texts), 2), np.float32)

    cache = prestige.EmbeddingCache(store, embed=embed, model_id="m")
    with pytest.raises(TypeError, match="not an awaitable"):
        cache.embed(["a"])


def test_vectors_that_are_no_vectors_are_refused(cache: prestige.EmbeddingCache) -> None:
    for bad in ("text", [[1.0]], [], ["a"], 3.0, [float("nan"), 1.0]):
        with pytest.raises(prestige.InvalidArgumentError):
            cache.put("a", bad)
    for bad in (b"bytes", 3, None):
        with pytest.raises(TypeError):
            cache.get(bad)
        with pytest.raises(TypeError):
            cache.embed([bad])
        with pytest.raises(TypeError):
            bad in cache  # noqa: B015 - it raises
    for bad in ("text", b"bytes", 3, None):
        with pytest.raises(TypeError, match="list of str"):
            cache.embed(bad)
    with pytest.raises(UnicodeEncodeError):
        cache.embed(["\ud800"])
    assert len(cache) == 0


def test_bad_arguments_are_named(store: prestige.Store, function: Function) -> None:
    def refused(message: str, **arguments: object) -> None:
        with pytest.raises((prestige.InvalidArgumentError, TypeError), match=message):
            prestige.EmbeddingCache(store, **arguments)

    refused("needs a model_id", embed=function)
    refused("two ways", embed=function, model=prestige.SemanticModel(), model_id="m")
    refused("embed must be a function", embed=3, model_id="m")
    refused("model_id must have 1 to 238 bytes", embed=function, model_id="")
    refused("model_id must have 1 to 238 bytes", embed=function, model_id="ä" * 120)
    refused("dtype must be", embed=function, model_id="m", dtype="int8")
    refused("batch_size must be at least 1", embed=function, model_id="m", batch_size=0)
    refused("dimension must be at least 1", embed=function, model_id="m", dimension=0)
    refused("ttl_seconds must be an integer", embed=function, model_id="m", ttl_seconds=-1)
    refused("dimension must be 384", dimension=3)
    refused("max_store_bytes is an option", embed=function, model_id="m", max_store_bytes=1)
    if not isinstance(store, prestige.RemoteStore):
        with pytest.raises(prestige.InvalidArgumentError, match='view of its namespace "a"'):
            prestige.EmbeddingCache(store.namespace("a"), embed=function, model_id="m")
    with pytest.raises(TypeError, match="path must be"):
        prestige.EmbeddingCache(3, embed=function, model_id="m")
    with pytest.raises(ValueError, match="Unknown option"):
        prestige.EmbeddingCache("./x", embed=function, model_id="m", unknown=1)


def test_nobody_else_puts_into_the_namespace(
    cache: prestige.EmbeddingCache, store: prestige.Store
) -> None:
    cache.embed(["a"])
    view = store.namespace("embeddings/letters/4")
    assert len(view) == 1
    with pytest.raises(prestige.InvalidArgumentError, match="belongs to a cache"):
        view["key"] = "value"


def test_vectors_expire_and_are_evicted(tmp_path: Path, function: Function) -> None:
    clock = ManualClock()
    with prestige.open(tmp_path / "ttl", clock=clock) as store:
        cache = prestige.EmbeddingCache(store, embed=function, model_id="m", ttl_seconds=60)
        cache.embed(["a"])
        clock.advance(60)
        assert "a" not in cache
        cache.embed(["a"])
        assert function.texts == ["a", "a"]
        assert store.verify() == []
    with prestige.open(tmp_path / "small", max_store_bytes=20_000) as store:
        cache = prestige.EmbeddingCache(store, embed=Function(64), model_id="m")
        for number in range(200):
            cache.put(f"text {number}", np.full(64, number))
        assert store.namespace("embeddings/m/64").total_bytes <= 20_000
        assert 10 < len(cache) < 100
        assert store.verify() == []


def test_a_closed_store_says_so(store_path: Path, function: Function) -> None:
    store = prestige.open(store_path)
    cache = prestige.EmbeddingCache(store, embed=function, model_id="m")
    with cache:
        cache.embed(["a"])
    assert not store.closed, "the cache did not open it"
    store.close()
    assert cache.closed
    for call in (
        lambda: cache.embed(["a"]),
        lambda: cache.get("a"),
        lambda: cache.put("a", [1.0] * 4),
        cache.clear,
        cache.__enter__,
        lambda: len(cache),
    ):
        with pytest.raises(prestige.ClosedError):
            call()
    assert cache.stats()["hits"] == 0
    with pytest.raises(prestige.ClosedError):
        prestige.EmbeddingCache(store, embed=function, model_id="m")


def test_a_refused_cache_does_not_leave_its_store_open(store_path: Path) -> None:
    with pytest.raises(prestige.InvalidArgumentError):
        prestige.EmbeddingCache(store_path, embed=len, model_id="")
    with prestige.open(store_path):
        pass


def test_a_cache_is_collected_and_closes_its_store(store_path: Path, function: Function) -> None:
    cache = prestige.EmbeddingCache(store_path, embed=function, model_id="m")
    cache.embed(["a"])
    reference = weakref.ref(function)
    del cache
    gc.collect()
    with prestige.open(store_path) as store:
        assert store.verify() == []
    assert reference() is not None


def test_in_a_read_only_store_vectors_are_computed_and_not_stored(
    store_path: Path, function: Function
) -> None:
    with prestige.EmbeddingCache(store_path, embed=function, model_id="m") as cache:
        cache.embed(["a"])
    with prestige.EmbeddingCache(store_path, embed=function, model_id="m", read_only=True) as cache:
        assert cache.embed(["a", "b"]).shape == (2, 4)
        assert cache.stats()["not_stored"] == 1
        with pytest.raises(prestige.ReadOnlyError):
            cache.clear()
    assert function.texts == ["a", "b"]


@either.embedded  # In time, only if a lookup takes none.
def test_ctrl_c_ends_a_call_that_waits_for_another_thread(store: prestige.Store) -> None:
    leading, go_on = threading.Event(), threading.Event()

    def embed(texts: list[str]) -> Vectors:
        leading.set()
        go_on.wait(60)
        return np.ones((len(texts), 2), np.float32)

    cache = prestige.EmbeddingCache(store, embed=embed, model_id="m")
    leader = threading.Thread(target=cache.embed, args=(["text"],))
    leader.start()
    leading.wait()
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        cache.embed(["text"])
    go_on.set()
    leader.join()
    timer.join()
    assert "text" in cache


KILLED = """
import sys
import numpy as np
import prestige

def embed(texts):
    return np.array([[len(text), 1.0] for text in texts], np.float32)

cache = prestige.EmbeddingCache(sys.argv[1], embed=embed, model_id="m", batch_size=8)
for number in range(1_000_000):
    cache.embed([f"{number} {i}" for i in range(20)])
    print(number, flush=True)
"""


def test_what_was_returned_survives_a_kill(
    store_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    child = start(KILLED, store_path)
    assert child.stdout is not None
    last = -1
    for line in child.stdout:
        last = int(line)
        if last >= 30:
            break
    child.kill()
    child.wait()
    assert last >= 30
    with prestige.open(store_path) as store:
        assert store.verify() == []
        cache = prestige.EmbeddingCache(store, embed=Function(2), model_id="m")
        texts = [f"{number} {i}" for number in range(last + 1) for i in range(20)]
        assert cache.embed(texts)[:, 0].tolist() == [len(text) for text in texts]
        assert cache.stats()["computed"] == 0


OFFLINE = """
import sys

def audit(event, _):
    if event.startswith("socket."):
        raise AssertionError("a socket was opened")

sys.addaudithook(audit)
import prestige

with prestige.EmbeddingCache(sys.argv[1]) as cache:
    print(cache.embed(["no network is needed"]).shape)
"""


def test_the_bundled_model_opens_no_socket(
    store_path: Path, run_script: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = run_script(OFFLINE, store_path)
    assert (done.stdout, done.stderr) == ("(1, 384)\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_is_refused(
    store_path: Path, run_script: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = run_script(
        """
        import os, sys
        import prestige
        cache = prestige.EmbeddingCache(sys.argv[1], embed=lambda t: [[1.0]] * len(t), model_id="m")
        cache.embed(["a"])
        if os.fork() == 0:
            try:
                cache.embed(["a"])
            except prestige.PrestigeError as error:
                print("forked" in str(error), flush=True)
            os._exit(0)
        os.wait()
        """,
        store_path,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_repr_and_pickling(cache: prestige.EmbeddingCache) -> None:
    assert repr(cache).startswith("<prestige.EmbeddingCache path=")
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(cache)
