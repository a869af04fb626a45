"""`prestige.connect`: what it takes, what the client has of `Store`, its end, how it travels."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import inspect
import json
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import httpx2
import pytest
from together import run_all

import prestige

TOKEN = "t0ken"


@pytest.fixture
def client(store: prestige.Store) -> Iterator[prestige.RemoteStore]:
    with store.serve() as server, prestige.connect(server.url) as connected:
        yield connected


def members_of(kind: type) -> set[str]:
    """Names that a class and its parents define, without those of every class."""
    names = {name for parent in kind.__mro__[:-1] for name in vars(parent)}
    special = {"__getitem__", "__setitem__", "__delitem__", "__contains__", "__len__", "__iter__"}
    special |= {"__aiter__", "__enter__", "__exit__", "__aenter__", "__aexit__", "__bool__"}
    return {name for name in names if not name.startswith("_")} | (names & special)


class TestTheInterface:
    ONLY_EMBEDDED: ClassVar = {"open", "aopen", "serve", "aserve"}

    def test_it_is_that_of_a_store(self) -> None:
        of_store = members_of(prestige.Store) - self.ONLY_EMBEDDED
        of_protocol = members_of(prestige.StoreProtocol)
        assert of_protocol == of_store
        assert members_of(prestige.RemoteStore) == of_store

    @pytest.mark.parametrize("name", sorted(members_of(prestige.Store) - ONLY_EMBEDDED))
    def test_every_member_is_its_own_and_takes_the_same(self, name: str) -> None:
        own = inspect.getattr_static(prestige.RemoteStore, name)
        promised = inspect.getattr_static(prestige.StoreProtocol, name)
        assert own is not promised, "the body of the protocol is empty"
        if isinstance(own, property) or name.startswith("__"):
            return
        of_store = inspect.signature(getattr(prestige.Store, name)).parameters
        ours = inspect.signature(getattr(prestige.RemoteStore, name)).parameters
        assert list(ours) == list(of_store)
        for parameter in ours.values():
            other = of_store[parameter.name]
            assert parameter.kind == other.kind or parameter.name == "self"
            assert parameter.default == other.default
        of_protocol = inspect.signature(getattr(prestige.StoreProtocol, name)).parameters
        if name not in ("get", "aget", "get_many", "aget_many"):  # Overloads have no signature.
            assert list(of_protocol) == list(of_store)
        assert getattr(prestige.RemoteStore, name).__doc__

    def test_it_is_imported_when_it_is_needed(self) -> None:
        script = (
            "import sys, prestige\n"
            "late = {'httpx2', 'prestige._remote', 'prestige._protocol', 'asyncio', 'ssl'}\n"
            "assert not late & set(sys.modules), late & set(sys.modules)\n"
            "prestige.connect('http://127.0.0.1:1').close()\n"
            "assert 'httpx2' in sys.modules\n"
            "assert prestige.StoreProtocol is not None and 'RemoteStore' in dir(prestige)\n"
        )
        subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)

    def test_what_is_not_there_is_said(self) -> None:
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            prestige.nothing  # noqa: B018

    def test_what_only_works_beside_the_files(self, client: prestige.RemoteStore) -> None:
        with pytest.raises(prestige.UnsupportedError, match="over the wire"):
            client.refresh()
        with pytest.raises(NotImplementedError):
            asyncio.run(client.arefresh())
        model = prestige.SemanticModel(embedder=len, embedder_id="none")
        with pytest.raises(prestige.UnsupportedError, match="over the wire"):
            client.reembed(model)
        with pytest.raises(NotImplementedError):
            asyncio.run(client.areembed(model))
        assert not hasattr(client, "serve")
        with pytest.raises(TypeError, match="name of a backup"):
            client.backup(Path("/tmp/somewhere"))


class TestArguments:
    @pytest.mark.parametrize(
        "url",
        [
            "",
            "localhost:8080",
            "ftp://localhost",
            "http://",
            "http://localhost:0",
            "http://localhost:70000",
            "http://localhost/?a=b",
            "http://localhost/#a",
            "unix://run/prestige.sock",
            "unix:",
            "unix:///a\0b",
            "/var/lib/store",
        ],
    )
    def test_urls_that_are_none(self, url: str) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match="unix:///"):
            prestige.connect(url)

    def test_other_wrong_ones(self, tmp_path: Path) -> None:
        url = "http://127.0.0.1:1"
        for wrong in (None, b"http://a", Path("/a")):
            with pytest.raises(TypeError, match="url must be str"):
                prestige.connect(wrong)
        for name, value, expected in (
            ("timeout", 0, prestige.InvalidArgumentError),
            ("timeout", -1, prestige.InvalidArgumentError),
            ("timeout", "5", TypeError),
            ("timeout", float("nan"), prestige.InvalidArgumentError),
            ("retries", -1, prestige.InvalidArgumentError),
            ("retries", 101, prestige.InvalidArgumentError),
            ("retries", 1.5, TypeError),
            ("namespace", None, TypeError),
            ("ca_file", str(tmp_path / "no"), prestige.IOError),
        ):
            with pytest.raises(expected, match=name):
                prestige.connect(url, **{name: value})

    def test_the_url_may_have_a_path_or_a_slash(self, store: prestige.Store) -> None:
        with store.serve() as server:
            for url in (server.url, server.url + "/", server.url + "///"):
                with prestige.connect(url) as client:
                    assert client.path == server.url
                    assert len(client) == 0
            with (
                prestige.connect(server.url + "/prefix") as client,
                pytest.raises(prestige.PrestigeError),
            ):
                len(client)

    def test_a_namespace(self, store: prestige.Store) -> None:
        with store.serve() as server, prestige.connect(server.url, namespace="ü /?&") as client:
            assert client.namespace_name == "ü /?&"
            assert list(client) == []
            client["k"] = "v"
        assert store.namespace("ü /?&")["k"] == b"v"
        assert "k" not in store


class TestKeys:
    KEYS = (
        "",
        ".",
        "..",
        "../../admin/flush",
        "a/b",
        "//",
        "a//b/",
        "_count",
        "_count/approx",
        "%2F%00%",
        "a?b=c&d#e",
        "ü é 😀",
        "\0",
        "\n\r\t",
        "k:batchGet",
        b"\xff\xfe",
        "x" * 200,
        "y" * 65_536,
        b"\xff" * 65_536,
    )

    def test_any_key_works(self, client: prestige.RemoteStore, store: prestige.Store) -> None:
        for number, key in enumerate(self.KEYS):
            client.put(key, str(number), ttl_seconds=1000)
            assert store.get(key, decode=True) == str(number)
            assert client.get(key, decode=True) == str(number)
            assert key in client
        assert list(client) == list(store)
        assert client.get_many(self.KEYS, decode=True) == [str(n) for n in range(len(self.KEYS))]
        for key in self.KEYS:
            if len(key) < 1000:
                assert 0 < client.ttl(key) <= 1000
                client.touch(key, 0)
                assert store.ttl(key) is None
                assert client.get_object_id(key) == store.get_object_id(key)
            client.delete(key)
            for call in (client.get, client.delete):
                with pytest.raises(prestige.NotFoundError) as caught:
                    call(key)
                with pytest.raises(prestige.NotFoundError) as expected:
                    store.get(key)
                assert str(caught.value) == str(expected.value)
        assert len(store) == 0

    def test_against_a_naive_model(
        self, client: prestige.RemoteStore, store: prestige.Store
    ) -> None:
        make = random.Random(11)

        def some(most: int) -> bytes:
            return make.randbytes(make.randrange(most))

        model: dict[bytes, bytes] = {}
        for _ in range(300):
            key = some(4)
            if make.random() < 0.3 and key in model:
                client.delete(key)
                del model[key]
            else:
                model[key] = some(200)
                client.put(key, model[key])
        shown = {key.decode("utf-8", "surrogateescape"): value for key, value in model.items()}
        assert dict(client.items()) == dict(store.items()) == shown
        assert client.get_many(model) == list(model.values())


class TestEnds:
    def test_a_closed_client_refuses(self, store: prestige.Store) -> None:
        with store.serve() as server:
            client = prestige.connect(server.url)
            view = client.namespace("view")
            keys = client.keys()
            client.close()
            client.close()
            assert client.closed
            assert view.closed
            for call in (
                client.count_keys,
                lambda: client.put("k", "v"),
                lambda: client["k"],
                client.keys,
                client.__enter__,
                view.stats,
                lambda: next(keys),
                lambda: asyncio.run(client.aget("k")),
            ):
                with pytest.raises(prestige.ClosedError, match="closed"):
                    call()
            assert "closed=True" in repr(client)
            again = prestige.connect(server.url)
            view = again.namespace("view")
            view.close()
            assert not again.closed
            assert len(again) == 0
            again.close()
        assert not store.closed

    def test_the_store_closes_below(self, store_path: Path) -> None:
        store = prestige.open(store_path)
        server = store.serve()
        with prestige.connect(server.url, retries=0) as client:
            client["k"] = "v"
            store.close()
            with pytest.raises((prestige.IOError, prestige.ClosedError)):
                client["k"]

    def test_nothing_is_left_open(self, store: prestige.Store, run_script) -> None:
        script = """
            import asyncio, sys, warnings, prestige
            warnings.simplefilter("error")
            url = sys.argv[1]
            client = prestige.connect(url)
            len(client)

            async def main():
                await client.acount_keys()
                async with prestige.connect(url) as own:
                    async with own:
                        await own.aput("k", "v")

            asyncio.run(main())
            asyncio.run(main())  # Connections of a loop end with it.
            client.close()
        """
        with store.serve() as server:
            done = run_script(script, server.url)
            assert (done.returncode, done.stderr) == (0, "")


class TestSharing:
    def test_threads(self, client: prestige.RemoteStore) -> None:
        def work(number: int) -> None:
            for i in range(30):
                client.put(f"{number}:{i}", f"{i}")
                assert client.get(f"{number}:{i}", decode=True) == f"{i}"

        run_all([lambda number=number: work(number) for number in range(16)])
        assert len(client) == 16 * 30

    def test_event_loops_in_threads(self, client: prestige.RemoteStore) -> None:
        async def work(number: int) -> None:
            await asyncio.gather(*(client.aput(f"{number}:{i}", "v") for i in range(50)))
            keys = [key async for key in client.akeys(f"{number}:")]
            assert len(keys) == 50

        run_all([lambda number=number: asyncio.run(work(number)) for number in range(4)])
        assert len(client) == 200

    def test_it_travels(self, store: prestige.Store) -> None:
        with (
            store.serve() as server,
            prestige.connect(server.url, TOKEN, namespace="n", timeout=5.0) as client,
        ):
            client["k"] = "v"
            for other in (pickle.loads(pickle.dumps(client)), copy.copy(client)):
                with other:
                    assert other["k"] == b"v"
                    assert (other.path, other.namespace_name) == (server.url, "n")
            view = client.namespace("m")
            with pickle.loads(pickle.dumps(view)) as other:
                assert other.namespace_name == "m"

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
    def test_a_forked_child_has_connections_of_its_own(self, store: prestige.Store, start) -> None:
        script = """
            import asyncio, os, sys, threading, prestige
            client = prestige.connect(sys.argv[1])
            client["parent"] = "1"
            held = client._driver.connections
            with held._lock:  # Another thread could hold it at this moment.
                child = os.fork()
                if child == 0:
                    client["child"] = "2"
                    assert asyncio.run(client.aget("parent")) == b"1"
                    client.close()
                    os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            assert client.get_many(["parent", "child"]) == [b"1", b"2"]
            client.close()
            print("done")
        """
        with store.serve() as server:
            child = start(script, server.url)
            assert child.communicate(timeout=60) == ("done\n", "")

    def test_spawned_processes(self, store: prestige.Store) -> None:
        with store.serve() as server, prestige.connect(server.url) as client:
            context = multiprocessing.get_context("spawn")
            with context.Pool(2) as pool:
                client["k"] = "v"
                assert pool.map(client.get, ["k"] * 4) == [b"v"] * 4


class TestUnixSockets:
    def test_over_one(self, store: prestige.Store, tmp_path: Path) -> None:
        path = tmp_path / "prestige.sock"
        with store.serve(unix_socket=path), prestige.connect(f"unix://{path}") as client:
            client["k"] = "v"
            assert dict(client.items()) == {"k": b"v"}
            assert asyncio.run(client.aget("k")) == b"v"
            assert str(path) in repr(client)


class TestNamespaces:
    def test_views(self, client: prestige.RemoteStore, store: prestige.Store) -> None:
        view = client.namespace("one")
        assert client.namespaces() == store.namespaces() == ["one"]
        view["k"] = "v"
        assert "k" not in client
        assert store.namespace("one")["k"] == b"v"
        assert asyncio.run(client.anamespace("two")).namespace_name == "two"
        client.drop_namespace("one")
        assert client.namespaces() == ["two"]
        for wrong, expected in (("one", prestige.NotFoundError), (5, TypeError)):
            with pytest.raises(expected):
                client.drop_namespace(wrong)
        with pytest.raises(prestige.InvalidArgumentError):
            client.drop_namespace("")
        with pytest.raises(prestige.InvalidArgumentError):
            client.namespace("x" * 300)


@contextlib.contextmanager
def loops(count: int) -> Iterator[list[asyncio.AbstractEventLoop]]:
    made = [asyncio.new_event_loop() for _ in range(count)]
    threads = [threading.Thread(target=loop.run_forever) for loop in made]
    for thread in threads:
        thread.start()
    yield made
    for loop, thread in zip(made, threads, strict=True):
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def test_closing_ends_the_connections_of_loops_that_run(store: prestige.Store) -> None:
    with store.serve() as server, loops(2) as running:
        client = prestige.connect(server.url)
        for loop in running:
            call = asyncio.run_coroutine_threadsafe(client.aput("k", "v"), loop)
            call.result(30)
        client.close()
        for loop in running:
            call = asyncio.run_coroutine_threadsafe(client.aget("k"), loop)
            with pytest.raises(prestige.ClosedError):
                call.result(30)


class TestRepetitions:
    """With its key a request that comes twice is answered as the first time."""

    def test_of_every_kind_of_write(self, client: prestige.RemoteStore) -> None:
        vectors = {"model_id": "m", "texts": ["t"], "vectors": ["AACAPwAAAMA="]}
        entry = {"query": "q", "response": "r", "kind": "text", "scope": None, "model_id": "m"}
        client.put_many({"a": "1", "b": "2"})
        for number, (method, path, body) in enumerate(
            [
                ("POST", "/kv:batchDelete", {"keys": ["a"]}),
                ("PATCH", "/kv/b", {"expires_at": 1.0}),
                ("POST", "/kv:batchPut", {"items": [{"key": "c", "value": "3"}]}),
                ("POST", "/embeddings:put", vectors),
                ("POST", "/embeddings:clear", {"model_id": "m"}),
                ("POST", "/cache/put", entry),
                ("POST", "/cache/invalidate", {}),
            ]
        ):
            request = client._call(method, path, body)
            key = {"idempotency-key": f"key-{number}"}
            exchange = client._driver.connections.exchange
            first, again = exchange(request, key), exchange(request, key)
            assert 200 <= first.status < 300, first.body
            assert (again.status, again.body) == (first.status, first.body), path
            assert again.headers["idempotency-replayed"] == "true"
            other = client._call(method, path, {**body, "more": 1})
            assert exchange(other, key).status == 422

    def test_a_lost_answer(self, client: prestige.RemoteStore, store: prestige.Store) -> None:
        """A proxy that passes requests on and loses every second answer."""
        lost: list[bool] = []
        exchange = client._driver.connections.exchange

        def losing(request, more):
            reply = exchange(request, more)
            lost.append(len(lost) % 2 == 0)
            if lost[-1]:
                raise httpx2.ReadError("connection reset")
            return reply

        client._driver.connections.exchange = losing
        client.put_many((f"{number:04}", "v") for number in range(2500))
        assert client.delete_many(f"{number:04}" for number in range(0, 2500, 2)) == 1250
        client.delete("0001")
        with pytest.raises(prestige.NotFoundError):
            client.delete("0001")
        assert client.record_outcome("f", "no_candidate") == 1
        assert len(client) == len(store) == 1249
        assert len(store.list_outcomes("f")) == 1


class TestTransfer:
    def test_files_say_the_same(
        self, client: prestige.RemoteStore, store: prestige.Store, tmp_path: Path
    ) -> None:
        store.put("plain", "text")
        store.put("ends", "late", ttl_seconds=10**6, metadata={"a": "ü", "b": ""})
        store.put(b"\xff", b"\0\xff")
        store.put_many((f"many:{number:05}", os.urandom(10)) for number in range(3000))
        here, there = tmp_path / "here.jsonl", tmp_path / "there.jsonl"
        assert client.export_jsonl(there) == store.export_jsonl(here) == 3003
        records = [
            [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
            for path in (here, there)
        ]
        assert records[0] == records[1]
        assert client.export_jsonl(there, prefix="many:") == 3000
        view = client.namespace("copy")
        assert view.import_jsonl(here) == asyncio.run(view.aimport_jsonl(here)) == 3003
        copy_of = store.namespace("copy")
        assert list(copy_of.items()) == list(store.items())
        assert 0 < copy_of.ttl("ends") <= 10**6 + 1
        assert copy_of.get_metadata("ends") == {"a": "ü", "b": ""}
        assert copy_of.ttl("plain") is None
        parquet = tmp_path / "there.parquet"
        assert client.export_parquet(parquet) == 3003
        view = client.namespace("again")
        assert view.import_parquet(parquet) == 3003
        assert list(view.items()) == list(store.items())

    def test_a_failure_leaves_nothing(self, client: prestige.RemoteStore, tmp_path: Path) -> None:
        client["k"] = "v"
        with pytest.raises(prestige.IOError):
            client.export_jsonl(tmp_path / "no" / "file")
        with pytest.raises(prestige.IOError):
            client.import_jsonl(tmp_path / "no")
        bad = tmp_path / "bad.jsonl"
        for line in ("{", "[]", '{"key": "a"}', '{"key": 1, "value": "v"}'):
            bad.write_text('{"key": "before", "value": "v"}\n' + line, encoding="utf-8")
            with pytest.raises(prestige.InvalidArgumentError, match=r"bad\.jsonl, line 2"):
                client.import_jsonl(bad)
        assert sorted(tmp_path.glob("*.jsonl*")) == [bad]

    def test_backups_are_made_by_the_server(self, store: prestige.Store, tmp_path: Path) -> None:
        backups = tmp_path / "backups"
        backups.mkdir()
        with (
            store.serve(backup_directory=backups) as server,
            prestige.connect(server.url) as client,
        ):
            client["k"] = "v"
            client.backup("monday")
            with pytest.raises(prestige.InvalidArgumentError):
                client.backup("../elsewhere")
        with prestige.open(backups / "monday") as copy_of:
            assert copy_of["k"] == b"v"


def test_tokens(store: prestige.Store, tmp_path: Path) -> None:
    store["k"] = "v"
    tokens = tmp_path / "tokens"
    tokens.write_text("read reader-1\nwrite writer-1 mine,yours*\nadmin admin-1\n")
    tokens.chmod(0o600)
    with store.serve(token_file=tokens) as server:
        for wrong in (None, "nobody"):
            with (
                prestige.connect(server.url, wrong) as client,
                pytest.raises(PermissionError, match="token"),
            ):
                client["k"]
        with prestige.connect(server.url, "reader-1") as client:
            assert client["k"] == b"v"
            for call in (lambda: client.put("k", "w"), client.sweep, lambda: client.delete("k")):
                with pytest.raises(prestige.PermissionDeniedError):
                    call()
            with pytest.raises(prestige.NotFoundError):
                client.namespace("new")
        with prestige.connect(server.url, "writer-1", namespace="yours/1") as client:
            client["k"] = "own"
            assert client["k"] == b"own"
            assert client.namespaces() == ["yours/1"]
            with pytest.raises(prestige.NotFoundError):
                client.namespace("theirs")
        with prestige.connect(server.url, "admin-1") as client:
            assert client.verify() == []
    assert store["k"] == b"v"
