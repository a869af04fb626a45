"""The `asyncio` forms: each method has one, of the same signature, results and errors."""

from __future__ import annotations

import ast
import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest
from test_processes import CLOSED_CALLS

import prestige
from prestige.testing import ManualClock

STUB = Path(__file__).resolve().parents[2] / "python" / "prestige" / "_native.pyi"
ITERATORS = ["keys", "values", "items", "scan"]
FORMED = [prestige.Store, prestige.SemanticModel, prestige.Server]
FORMS_OF_OPERATORS = {"acontains"}


def methods() -> list[tuple[type, str]]:
    """Every public method of the classes. Those that block must have a form, and all of them do."""
    found = []
    for kind in FORMED:
        names = {name for name, value in vars(kind).items() if callable(getattr(kind, name, value))}
        public = {name for name in names if not name.startswith("_")} - FORMS_OF_OPERATORS
        forms = {name for name in public if name[0] == "a" and name[1:] in public}
        found += [(kind, name) for name in sorted(public - forms)]
    return found


def parameters(function: Any) -> list[tuple[str, object, object]]:
    given = inspect.signature(function).parameters.values()
    return [(parameter.name, parameter.kind, parameter.default) for parameter in given]


def declared(kind: type) -> dict[str, list[str]]:
    """Signatures of a class in the stub, of every overload, as text."""
    module = ast.parse(STUB.read_text(encoding="utf-8"))
    (body,) = (
        statement.body
        for statement in module.body
        if isinstance(statement, ast.ClassDef) and statement.name == kind.__name__
    )
    found: dict[str, list[str]] = {}
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            signature = f"({ast.unparse(statement.args)}) -> {ast.unparse(statement.returns)}"
            if isinstance(statement, ast.AsyncFunctionDef):
                signature = f"async {signature}"
            found.setdefault(statement.name, []).append(signature)
    return found


class TestForms:
    def test_the_methods_are_found(self) -> None:
        names = {f"{kind.__name__}.{name}" for kind, name in methods()}
        assert {"Store.put", "Store.open", "SemanticModel.embed", "Server.stop"} <= names
        assert len(names) >= 36

    @pytest.mark.parametrize(("kind", "name"), methods())
    def test_every_method_has_a_form(self, kind: type, name: str) -> None:
        method, form = getattr(kind, name), getattr(kind, f"a{name}", None)
        assert form is not None, f"{kind.__name__}.{name} has no form: see prestige/_aio.py"
        if name in ITERATORS:
            assert inspect.isasyncgenfunction(form)
        elif name != "open":
            assert inspect.iscoroutinefunction(form)
        assert parameters(form) == parameters(method)
        assert (form.__name__, form.__module__) == (f"a{name}", "prestige")
        assert form.__qualname__ == f"{kind.__name__}.a{name}"
        assert "asyncio" in form.__doc__

    @pytest.mark.parametrize(("kind", "name"), methods())
    def test_the_stub_declares_it_with_the_same_signature(self, kind: type, name: str) -> None:
        signatures = declared(kind)
        expected = [f"async {signature}" for signature in signatures[name]]
        if name in ITERATORS:
            expected = [
                signature.replace("StoreIterator", "AsyncGenerator")
                for signature in signatures[name]
            ]
        elif name == "open":
            expected = [signatures[name][0].replace("-> Store", "-> StoreOpening")]
        assert signatures[f"a{name}"] == expected

    def test_the_functions_of_the_module(self) -> None:
        for name in ("open", "reembed", "restore"):
            assert parameters(getattr(prestige, f"a{name}")) == parameters(getattr(prestige, name))


# A call, as a method and as its form, on two stores with the same content.
CALLS: dict[str, tuple[Any, ...]] = {
    "put": ("new", b"value"),
    "get": ("a",),
    "get_many": (["b", "missing", "a"], "absent"),
    "contains_many": (["b", "missing"],),
    "put_many": ({"x": "1", "y": "2"}, 60),
    "delete": ("a",),
    "delete_many": (["a", "missing"],),
    "list_keys": ("", 2),
    "count_keys": (False,),
    "count_unique_values": (),
    "sweep": (),
    "prune": (0, 0),
    "evict_lru": (0,),
    "ttl": ("a",),
    "touch": ("a", 10),
    "expire_at": ("a", 0.0),
    "verify": (),
    "flush": (),
    "compact": (),
    "rebuild_index": (),
    "refresh": (),
    "get_object_id": ("b",),
    "get_metadata": ("a",),
    "digest": ("one",),
    "explain": ("one",),
    "record_outcome": ("family", "accepted"),
    "list_families": (),
    "namespaces": (),
    "drop_namespace": ("space",),
    "close": (),
}

WRONG: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "absent": ("get", ("missing",), {}),
    "not decodable": ("get", ("binary",), {"decode": True}),
    "no arguments": ("get", (), {}),
    "too many arguments": ("get", ("a", None, False, 1), {}),
    "key of a wrong type": ("get", (1,), {}),
    "value of a wrong type": ("put", ("key", 1), {}),
    "lone surrogate": ("put", ("key", "\ud800"), {}),
    "negative ttl": ("put", ("key", "value", -1), {}),
    "key too long": ("put", ("k" * 70_000, "value"), {}),
    "unknown keyword": ("put", ("key", "value"), {"colour": "red"}),
    "deleted": ("delete", ("missing",), {}),
    "bad entry": ("put_many", ([("key", "value"), 7],), {}),
    "single str": ("get_many", ("abc",), {}),
    "namespace of a wrong type": ("namespace", (b"name",), {}),
    "no such namespace": ("drop_namespace", ("missing",), {}),
    "backup into the store": ("backup", (".",), {}),
    "naive moment": ("expire_at", ("a", float("nan")), {}),
    "no such host": ("serve", ("no such host",), {}),
}


class Forms:
    """A store of which every method is the form, run to its end."""

    def __init__(self, store: prestige.Store) -> None:
        self._store, self.path = store, store.path

    def __getattr__(self, name: str) -> Any:
        form = getattr(self._store, f"a{name}")

        async def items(arguments: Any, options: Any) -> list[Any]:
            return [item async for item in form(*arguments, **options)]

        def call(*arguments: Any, **options: Any) -> Any:
            if inspect.isasyncgenfunction(form):
                return asyncio.run(items(arguments, options))
            return asyncio.run(form(*arguments, **options))

        return call


class TestSameAsSync:
    @pytest.fixture
    def stores(self, tmp_path: Path) -> Any:
        pair = [prestige.open(tmp_path / name) for name in ("sync", "async")]
        for store in pair:
            store.put_many({"a": "one", "b": "two", "c": "one", "binary": b"\xff"})
            store.namespace("space").put("key", "value")
        yield pair
        for store in pair:
            if not store.closed:
                assert store.verify() == []
            store.close()

    @pytest.mark.parametrize("name", CALLS)
    def test_results(self, stores: Any, name: str) -> None:
        sync, asynchronous = stores
        expected = getattr(sync, name)(*CALLS[name])
        found = asyncio.run(getattr(asynchronous, f"a{name}")(*CALLS[name]))
        assert found == expected
        assert type(found) is type(expected)
        assert asynchronous.closed == sync.closed
        if not sync.closed:
            assert list(asynchronous.items()) == list(sync.items())

    @pytest.mark.parametrize("case", WRONG)
    def test_errors(self, stores: Any, case: str) -> None:
        name, arguments, options = WRONG[case]
        sync, asynchronous = stores
        with pytest.raises(Exception) as expected:  # noqa: PT011
            getattr(sync, name)(*arguments, **options)

        async def call() -> None:
            await getattr(asynchronous, f"a{name}")(*arguments, **options)

        with pytest.raises(expected.type) as found:
            asyncio.run(call())
        assert found.type is expected.type
        path, other = str(asynchronous.path), str(sync.path)
        assert str(found.value).replace(path, other) == str(expected.value)

    @pytest.mark.parametrize("name", [name for _, name in methods() if name in CLOSED_CALLS])
    def test_a_closed_store(self, store: prestige.Store, name: str) -> None:
        store.put("key", "value")
        store.close()
        with pytest.raises(prestige.ClosedError):
            CLOSED_CALLS[name](Forms(store))

    def test_a_closed_store_in_statements(self, store: prestige.Store) -> None:
        store.close()

        async def call() -> None:
            with pytest.raises(prestige.ClosedError):
                async for _ in store:
                    pass
            with pytest.raises(prestige.ClosedError):
                async with store:
                    pass
            with pytest.raises(prestige.ClosedError):
                await store.acontains("key")
            await store.aclose()

        asyncio.run(call())

    def test_get_from_memory_and_from_disk(self, store_path: Path) -> None:
        async def call() -> None:
            async with prestige.aopen(store_path) as store:
                assert store._get_cached("key") is None  # Just opened, nothing is in memory.
                assert await store.aget("key") == b"value"
                assert store._get_cached("key") == b"value"
                assert await store.aget(b"key", decode=True) == "value"
                assert await store.aget("key", None, True) == "value"
                assert await store.aget("missing", default="absent") == "absent"
                assert await store.aget("missing", None) is None
                assert await store.acontains("key")
                assert not await store.acontains(b"missing")
                assert await store.averify() == []

        with prestige.open(store_path) as store:
            store.put("key", "value")
        asyncio.run(call())

    def test_get_of_an_expired_key(self, store_path: Path) -> None:
        clock = ManualClock()

        async def call() -> None:
            async with prestige.aopen(store_path, clock=clock) as store:
                await store.aput("key", "value", ttl_seconds=10)
                assert await store.aget("key") == b"value"
                clock.advance(10)
                with pytest.raises(prestige.NotFoundError):
                    await store.aget("key")
                assert await store.averify() == []

        asyncio.run(call())

    def test_no_worker_for_what_is_in_memory(self, store: prestige.Store) -> None:
        store.put("key", "value")
        # Without a loop there is nobody to wait for a worker.
        with pytest.raises(StopIteration) as ended:
            store.aget("key").send(None)
        assert ended.value.value == b"value"

    def test_copies(self, store: prestige.Store, tmp_path: Path) -> None:
        async def call() -> None:
            await store.aput_many((f"key{i}", f"value {i % 7}") for i in range(100))
            assert await store.aexport_jsonl(tmp_path / "all.jsonl") == 100
            assert await store.aexport_parquet(tmp_path / "one.parquet", prefix="key1") == 11
            await store.abackup(tmp_path / "backup")
            await prestige.arestore(tmp_path / "backup", tmp_path / "restored")
            async with prestige.aopen(tmp_path / "restored") as restored:
                assert await restored.adelete_many(store.keys()) == 100
                assert await restored.aimport_jsonl(tmp_path / "all.jsonl") == 100
                assert await restored.aimport_parquet(tmp_path / "one.parquet") == 11
                assert list(restored.items()) == list(store.items())
                assert await restored.averify() == []

        asyncio.run(call())

    def test_figures(self, store: prestige.Store) -> None:
        async def call() -> None:
            await store.aput("key", "value")
            assert await store.aget_health() == store.get_health()
            assert (await store.astats())["puts"] == store.stats()["puts"] == 1

        asyncio.run(call())

    def test_embed(self, semantic_store: prestige.Store) -> None:
        async def call() -> None:
            model = prestige.SemanticModel()
            texts = ["one text", "another"]
            one, other = await asyncio.gather(model.aembed(texts), model.aembed(texts[1:]))
            assert (one == model.embed(texts)).all()
            assert (other[0] == one[1]).all()
            with pytest.raises(TypeError):
                await model.aembed("one text")
            await semantic_store.aput("key", texts[0])
            assert await semantic_store.aget("key", decode=True) == texts[0]

        asyncio.run(call())


class TestOpening:
    def test_it_is_awaited_entered_or_made_a_task(self, store_path: Path) -> None:
        async def call() -> None:
            async with prestige.aopen(store_path, default_ttl_seconds=60) as store:
                await store.aput("key", "value")
                assert 0 < await store.attl("key") <= 60
            assert store.closed
            async with await prestige.aopen(store_path, prestige.Options()) as store:
                assert await store.aget("key") == b"value"
            assert store.closed
            store = await asyncio.create_task(prestige.Store.aopen(store_path, read_only=True))
            assert store.read_only
            assert await store.averify() == []
            await store.aclose()
            await store.aclose()

        asyncio.run(call())

    def test_errors_come_when_it_is_awaited(self, store: prestige.Store) -> None:
        async def call() -> None:
            for options, error in (({}, prestige.BusyError), ({"colour": "red"}, ValueError)):
                opening = prestige.aopen(store.path, **options)
                with pytest.raises(error):
                    await opening
                with pytest.raises(error):
                    async with prestige.aopen(store.path, **options):
                        pass

        asyncio.run(call())

    def test_the_store_is_closed_when_the_block_raises(self, store_path: Path) -> None:
        async def call() -> None:
            with pytest.raises(RuntimeError, match="on purpose"):
                async with prestige.aopen(store_path) as store:
                    raise RuntimeError("on purpose")
            assert store.closed

        asyncio.run(call())

    def test_views_and_servers(self, store: prestige.Store) -> None:
        async def call() -> None:
            async with await store.anamespace("tenant") as view:
                await view.aput("key", "of the tenant")
                assert [key async for key in view] == ["key"]
                assert await view.averify() == []
            assert view.closed
            assert not store.closed
            assert not await store.acontains("key")
            assert await store.anamespaces() == ["tenant"]
            async with await store.aserve() as server:
                assert not server.stopped
            assert server.stopped
            await server.astop()

        asyncio.run(call())
