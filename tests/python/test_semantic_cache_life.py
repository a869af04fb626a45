"""How entries of a `SemanticCache` expire, are removed, and outlive processes."""

from __future__ import annotations

import os
import pickle
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import either
import pytest
from queries import ORDER, RESET, RESET_AGAIN
from together import run_all

import prestige
from prestige.testing import ManualClock

store = either.store  # Each test over both.


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


@either.embedded  # Backups of a server are in its own folder.
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
