"""The caches on a server: what is theirs alone. The rest runs over both, in the tests of caches."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from together import run_all
from unruly_server import answer, problem, unruly

import prestige
from prestige._remote import single_flight

CALLERS = 8
LIMIT_SECONDS = 60


@pytest.fixture
def client(store: prestige.Store) -> Iterator[prestige.RemoteStore]:
    with store.serve() as server, prestige.connect(server.url) as connected:
        yield connected


def wait_for_followers(cache: object, count: int) -> None:
    """Wait until so many callers wait for what this one computes."""
    flights: single_flight.Flights[object] = cache._flights  # type: ignore[attr-defined]
    deadline = time.monotonic() + LIMIT_SECONDS
    while sum(len(flight._listeners) for flight in flights._running.values()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_they_are_what_they_are_called(client: prestige.RemoteStore) -> None:
    vectors = prestige.EmbeddingCache(client, embed=len, model_id="m")
    answers = prestige.SemanticCache(path_or_store=client, model_id="m")
    assert isinstance(vectors, prestige.EmbeddingCache)
    assert isinstance(answers, prestige.SemanticCache)
    assert not isinstance(vectors, prestige.SemanticCache)
    for cache in (vectors, answers):
        assert cache.path == client.path
        assert repr(cache).startswith(f"<prestige.{type(cache).__name__[6:]} path='http://")
        with pytest.raises(TypeError, match="pickle"):
            cache.__reduce__()
        cache.close()
        assert not cache.closed
    client.close()
    for cache in (vectors, answers):
        assert cache.closed
        with pytest.raises(prestige.ClosedError):
            cache.__enter__()


def test_both_sides_see_the_same(client: prestige.RemoteStore, store: prestige.Store) -> None:
    def embed(texts: list[str]) -> NDArray[np.float32]:
        return np.array([[len(text), 1.0] for text in texts], np.float32)

    there = prestige.EmbeddingCache(client, embed=embed, model_id="m")
    assert there.embed(["a", "bb"]).tolist() == [[1.0, 1.0], [2.0, 1.0]]
    here = prestige.EmbeddingCache(store, embed=embed, model_id="m")
    assert here.get("bb").tolist() == [2.0, 1.0]
    here.put("ccc", [7.0, 8.0])
    assert there.get_many(["ccc", "d"])[0].tolist() == [7.0, 8.0]
    assert (there.dimension, here.stats()["computed"], len(there)) == (2, 0, 3)

    model = prestige.SemanticModel()
    of_store = prestige.SemanticCache(store, model=model, scope={"tenant": 1})
    of_client = prestige.SemanticCache(client, model=model, scope={"tenant": 1})
    response = {"n": 10**40, "z": 1.5, "a": [None, "ü"]}
    of_client.put("How do I reset my password?", response, metadata={"a": "b"}, tokens=3, seconds=2)
    for cache in (of_store, of_client):
        hit = cache.get("How can I reset my password?")
        assert hit is not None
        assert (hit.response, list(hit.response)) == (response, list(response))
        assert (hit.exact, hit.metadata, hit.scope) == (False, {"a": "b"}, {"tenant": 1})
        assert 0.97 <= hit.similarity < 1
        assert cache.stats()["seconds_saved"] == 2.0
        assert (cache.scopes(), len(cache)) == ([{"tenant": 1}], 1)
    assert store.verify() == []


def test_options_are_refused(client: prestige.RemoteStore) -> None:
    for kind in (prestige.EmbeddingCache, prestige.SemanticCache):
        with pytest.raises(prestige.InvalidArgumentError, match="max_store_bytes"):
            kind(client, model_id="m", embed=len, max_store_bytes=5)


def length_and_one(texts: list[str]) -> NDArray[np.float32]:
    return np.array([[len(text), 1.0] for text in texts], np.float32)


class TestNamespaces:
    @pytest.fixture
    def url(self, store: prestige.Store, tmp_path: Path) -> Iterator[str]:
        tokens = tmp_path / "tokens"
        tokens.write_text("admin of-all\nwrite of-red red\nwrite of-blue blue\nread to-read red\n")
        tokens.chmod(0o600)
        with store.serve(token_file=tokens) as server:
            yield server.url
        assert store.verify() == []

    def test_a_token_of_one_has_both_caches_in_it(self, url: str) -> None:
        for token, name, other in (("of-red", "red", "blue"), ("of-blue", "blue", "red")):
            with prestige.connect(url, token) as client:
                view = client.namespace(name)
                vectors = prestige.EmbeddingCache(view, embed=length_and_one, model_id=f"m-{name}")
                assert vectors.embed(["a", "bb"]).tolist() == [[1.0, 1.0], [2.0, 1.0]]
                assert asyncio.run(vectors.aget_many(["bb", name]))[1] is None
                vectors.put(name, [7.0, 8.0])
                assert (len(vectors), vectors.stats()["computed"]) == (3, 2)

                # Each has a model of its own.
                answers = prestige.SemanticCache(view, scope=1, embed=embed_all, model_id=name)
                answers.put("question", name, metadata={"of": name})
                hit = answers.get("another question")
                assert hit is not None
                assert (hit.response, hit.exact, hit.scope) == (name, False, 1)
                assert (answers.scopes(), len(answers)) == ([1], 1)
                for cache in (vectors, answers):
                    assert f"namespace={name!r}" in repr(cache)

            # Nor is anything else reached with it, and the message names what is not.
            for client in (
                prestige.connect(url, token),
                prestige.connect(url, token, namespace=other),
            ):
                with client, pytest.raises(prestige.PermissionDeniedError) as refused:
                    prestige.EmbeddingCache(client, embed=length_and_one, model_id="m")
                assert (f"namespace {other!r}" in str(refused.value)) is bool(client.namespace_name)

        with prestige.connect(url, "of-all") as client:
            for name in ("red", "blue"):
                view = client.namespace(name)
                vectors = prestige.EmbeddingCache(view, embed=length_and_one, model_id=f"m-{name}")
                found = vectors.get_many(["bb", "red", "blue"])
                assert [one is None for one in found] == [False, name != "red", name != "blue"]
                answers = prestige.SemanticCache(view, scope=1, embed=embed_all, model_id=name)
                assert answers.get("question").response == name
            whole = prestige.EmbeddingCache(client, embed=length_and_one, model_id="m-red")
            assert whole.get("red") is None
            assert prestige.SemanticCache(client, model_id="any").scopes() == []
            # Removed in one, it stays in the other.
            assert answers.clear() == 1
            red = prestige.SemanticCache(client.namespace("red"), scope=1, model_id="red")
            assert red.get("question").response == "red"

    def test_a_token_that_reads_finds_what_is_there(self, url: str) -> None:
        with prestige.connect(url, "of-red", namespace="red") as client:
            answers = prestige.SemanticCache(client, model_id="m")
            answers.put("question", "answer")
            vectors = prestige.EmbeddingCache(client, embed=length_and_one, model_id="m")
            vectors.put("a", [1.0, 2.0])
        with prestige.connect(url, "to-read", namespace="red") as client:
            answers = prestige.SemanticCache(client, model_id="m")
            assert answers.get("question").response == "answer"
            with pytest.raises(prestige.PermissionDeniedError, match="namespace 'red'"):
                answers.put("question", "other")
            vectors = prestige.EmbeddingCache(client, embed=length_and_one, model_id="m")
            # What is computed and cannot be stored is returned all the same.
            assert vectors.embed(["a", "bb"]).tolist() == [[1.0, 2.0], [2.0, 1.0]]
            assert vectors.stats()["not_stored"] == 1
            health = client.get_health()
            assert (health["bytes_on_disk"], health["embed_queue_texts"]) == (None, None)
            assert client.stats()["embedding_cache_hits"] == 0

    def test_messages_name_it(self, url: str) -> None:
        with prestige.connect(url, "of-red", namespace="red") as client:
            first = prestige.SemanticCache(client, embed=embed_all, model_id="first")
            first.put("question", "answer")
            second = prestige.SemanticCache(client, embed=embed_all, model_id="second")
            with pytest.raises(prestige.ModelError, match=r'namespace "red".*first.*second'):
                second.get("another question")
            vectors = prestige.EmbeddingCache(client, embed=length_and_one, model_id="m")
            vectors.put("a", [1.0, 2.0])
            with pytest.raises(prestige.InvalidArgumentError, match=r"namespace 'red'.*components"):
                vectors.put("a", [1.0, 2.0, 3.0])
            longest = 238 - len('["red",""]')
            with pytest.raises(prestige.InvalidArgumentError, match=f"{longest} bytes.*'red'"):
                prestige.EmbeddingCache(client, embed=len, model_id="m" * (longest + 1))
            named = prestige.EmbeddingCache(client, embed=length_and_one, model_id="m" * longest)
            assert named.embed(["a"]).tolist() == [[1.0, 1.0]]


def embed_all(texts: list[str]) -> NDArray[np.float32]:
    """One vector for every text."""
    return np.ones((len(texts), 3), np.float32)


@pytest.mark.parametrize("fails", [False, True])
def test_one_computes_and_all_get_it(client: prestige.RemoteStore, fails: bool) -> None:
    calls: list[object] = []
    current: list[object] = []

    def compute(asked: object) -> object:
        calls.append(asked)
        wait_for_followers(current[-1], CALLERS - 1)
        if fails:
            raise ConnectionError("no network")
        return "answer" if isinstance(asked, str) else np.ones((len(asked), 2), np.float32)

    kinds: list[tuple[object, Callable[[], object]]] = []
    answers = prestige.SemanticCache(client, model_id="m")
    kinds.append((answers, lambda: answers.get_or_compute("q", compute)))
    vectors = prestige.EmbeddingCache(client, embed=compute, model_id="m")
    kinds.append((vectors, lambda: vectors.embed_query("q")))
    for cache, ask in kinds:
        calls.clear()
        current.append(cache)
        got: list[object] = []

        def work(ask: Callable[[], object] = ask, got: list[object] = got) -> None:
            try:
                got.append(np.asarray(ask()).tolist())
            except ConnectionError as error:
                got.append(str(error))

        run_all([work] * CALLERS)
        assert len(calls) == 1
        assert len(got) == CALLERS
        assert all(one == got[0] for one in got)
        if fails:
            assert got[0] == "no network"
        else:
            ask()
            assert len(calls) == 1


def test_tasks_and_threads_share_one_computation(client: prestige.RemoteStore) -> None:
    cache = prestige.SemanticCache(client, model_id="m")
    calls: list[str] = []

    async def compute(query: str) -> str:
        calls.append(query)
        await asyncio.to_thread(wait_for_followers, cache, CALLERS)
        return "answer"

    async def main() -> None:
        leader = asyncio.create_task(cache.aget_or_compute("q", compute))
        while not calls:
            await asyncio.sleep(0.001)
        tasks = [cache.aget_or_compute("q", compute) for _ in range(CALLERS // 2)]
        threads = [
            asyncio.to_thread(cache.get_or_compute, "q", calls.append) for _ in range(CALLERS // 2)
        ]
        assert await asyncio.gather(leader, *tasks, *threads) == ["answer"] * (CALLERS + 1)

    asyncio.run(main())
    assert calls == ["q"]


def test_a_leader_that_is_cancelled_leaves_it_to_another(client: prestige.RemoteStore) -> None:
    cache = prestige.SemanticCache(client, model_id="m")

    async def never(_: str) -> str:
        await asyncio.to_thread(wait_for_followers, cache, 1)
        await asyncio.Event().wait()
        return "never"

    async def main() -> None:
        leader = asyncio.create_task(cache.aget_or_compute("q", never))
        while not cache._flights._running:
            await asyncio.sleep(0.001)
        follower = asyncio.create_task(cache.aget_or_compute("q", lambda _: "now"))
        await asyncio.to_thread(wait_for_followers, cache, 1)
        leader.cancel()
        assert await follower == "now"

    asyncio.run(main())


def test_ctrl_c_ends_a_call_that_waits(store: prestige.Store, start) -> None:
    script = """
        import sys, threading, prestige
        cache = prestige.SemanticCache(prestige.connect(sys.argv[1]), model_id="m")
        begun, go = threading.Event(), threading.Event()

        def compute(query):
            begun.set()
            go.wait()
            return "answer"

        leader = threading.Thread(target=cache.get_or_compute, args=("q", compute))
        leader.start()
        begun.wait()
        try:
            print("ready", flush=True)
            cache.get_or_compute("q", compute)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        go.set()
        leader.join()
        print(cache.get("q").response)
    """
    with store.serve() as server:
        child = start(script, server.url)
        assert child.stdout.readline() == "ready\n"
        threading.Event().wait(0.3)
        child.send_signal(signal.SIGINT)
        out, error = child.communicate(timeout=60)
        assert (out, error) == ("interrupted\nanswer\n", "")


def test_what_was_computed_is_returned_even_if_it_cannot_be_stored() -> None:
    for refused in (problem(403, "forbidden"), problem(403, "read_only"), problem(500, "io"), None):
        missing = answer(200, {"dimension": None, "vectors": [None]})
        script = (answer(200, {"dimension": None, "vectors": 0}), missing, refused)
        with unruly(*script) as server, prestige.connect(server.url, retries=0) as client:
            vectors = prestige.EmbeddingCache(client, embed=lambda _: [[1.0, 2.0]], model_id="m")
            assert vectors.embed(["q"]).tolist() == [[1.0, 2.0]]
            assert vectors.stats()["not_stored"] == 1
        miss = answer(200, {"hit": None})
        with unruly(miss, refused) as server, prestige.connect(server.url, retries=0) as client:
            answers = prestige.SemanticCache(client, model_id="m")
            assert answers.get_or_compute("q", lambda _: "answer") == "answer"
            assert answers.stats()["not_stored"] == 1


def test_large_batches_are_sent_in_parts(client: prestige.RemoteStore) -> None:
    def embed(texts: list[str]) -> NDArray[np.float32]:
        return np.array([[int(text), 0.5] for text in texts], np.float32)

    cache = prestige.EmbeddingCache(client, embed=embed, model_id="m", batch_size=3000)
    texts = [str(number) for number in range(5000)]
    first = cache.embed(texts)
    assert first[:, 0].tolist() == list(range(5000))
    assert np.array_equal(cache.embed(texts[::-1])[::-1], first)
    assert cache.stats()["batches"] == 2
    assert cache.delete_many(texts) == 5000
