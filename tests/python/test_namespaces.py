"""Namespaces: their names, what they keep apart, and the views of them."""

from __future__ import annotations

import gc
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from http_requests import ask
from together import gone_is_fine, run_all

import prestige

NAMES = [
    "tenant",
    "Größe 大小 🙂",
    "a" * 255,
    "é" * 127,
    "\0",
    "\0\0",
    "x\0y",
    " ",
    "/",
    "namespace/a",
]
KEYS = [f"key{number:04}" for number in range(1500)]


class TestNames:
    def test_every_name_is_its_own(self, store_path: Path) -> None:
        with prestige.open(store_path) as store:
            for name in NAMES:
                view = store.namespace(name)
                assert view.namespace_name == name
                view.put("key", name)
            store.put("key", "of the store")
        with prestige.open(store_path) as store:
            assert store.namespaces() == sorted(NAMES, key=str.encode)
            for name in NAMES:
                assert store.namespace(name).get("key", decode=True) == name
            assert store.namespace_name == ""
            assert store.get("key") == b"of the store"
            for name in NAMES:
                store.drop_namespace(name)
            assert store.namespaces() == []
            assert store.verify() == []

    def test_the_empty_name_is_the_store_itself(self, store: prestige.Store) -> None:
        store.namespace("").put("key", "value")
        assert store["key"] == b"value"
        assert store.namespaces() == []
        with pytest.raises(prestige.InvalidArgumentError, match="default namespace"):
            store.drop_namespace("")

    def test_names_that_are_none(self, store: prestige.Store) -> None:
        for long in ("a" * 256, "é" * 128):
            with pytest.raises(prestige.InvalidArgumentError, match="255 bytes"):
                store.namespace(long)
        for name in ("a" * 256, "never made"):
            with pytest.raises(prestige.NotFoundError):
                store.drop_namespace(name)
        for call in (store.namespace, store.drop_namespace):
            for wrong in (None, 5, b"bytes"):
                with pytest.raises(TypeError):
                    call(wrong)
            with pytest.raises(UnicodeEncodeError):
                call("\ud800")
        assert store.namespaces() == []

    def test_what_a_view_says_of_itself(self, store: prestige.Store) -> None:
        view = store.namespace("it's")
        shown = f'<prestige.Store path={store.path!r} namespace="it\'s" closed=False>'
        assert repr(view) == shown
        assert (view.path, view.dedup_mode) == (store.path, store.dedup_mode)
        assert bool(view) is True
        with pytest.raises(TypeError, match="path"):
            pickle.dumps(view)


class TestIsolation:
    def test_keys_values_and_figures(self, store: prestige.Store) -> None:
        views = [store, store.namespace("a"), store.namespace("b")]
        for number, view in enumerate(views):
            view.put_many((key, "shared") for key in KEYS[: number + 1])
            view.put("own", str(number))
        for number, view in enumerate(views):
            assert view.get("own") == str(number).encode()
            assert list(view) == view.list_keys() == [*KEYS[: number + 1], "own"]
            assert view.list_keys(limit=1) == KEYS[:1]
            # Each has a copy of the shared value.
            health = view.get_health()
            assert (health["total_keys"], health["total_objects"]) == (number + 2, 2)
            assert view.total_bytes == 7 * (number + 1) + 3 + 6 + 1
            assert (len(view), view.count_unique_values()) == (number + 2, 2)
        ids = {view.get_object_id(KEYS[0]) for view in views}
        assert len(ids) == 3
        assert views[1].delete_many(KEYS) == 2
        assert views[2].contains_many(KEYS[:4]) == [True, True, True, False]
        assert KEYS[0] in store

    def test_lifetime(self, store: prestige.Store, wait_until) -> None:
        a, b = store.namespace("a"), store.namespace("b")
        for view in (store, a, b):
            view.put_many((key, key, 1) for key in KEYS[:10])
            view.put("stays", "value")
        views = (store, a, b)
        wait_until(lambda: {view.count_keys(approximate=False) for view in views} == {1})
        assert a.sweep() == 10
        assert [len(view) for view in (store, a, b)] == [11, 1, 11]
        assert b.prune() == 10
        assert store.get_health()["expired_objects"] == 10
        assert b.get_health()["last_sweep_age_s"] is None
        assert a.evict_lru(0) == 1
        assert [len(view) for view in (store, a, b)] == [11, 0, 1]

    def test_orphans(self, store_path: Path) -> None:
        with prestige.open(store_path, enable_gc=False) as store:
            a = store.namespace("a")
            for view in (store, a):
                view.put("key", "value")
                view.delete("key")
            assert a.sweep() == 1
            assert store.get_health()["orphaned_objects"] == 1
            assert store.verify() == []

    def test_two_views_of_one_namespace(self, store: prestige.Store) -> None:
        first, second = store.namespace("a"), store.namespace("a").namespace("a")
        first.put("key", "value")
        assert second["key"] == b"value"
        first.close()
        assert first.closed
        assert not second.closed
        for call in (len, list, lambda view: view.put("k", "v"), lambda view: view.namespace("b")):
            with pytest.raises(prestige.ClosedError):
                call(first)
        assert second.get_many(["key"]) == [b"value"]


class TestViewsAndHandles:
    def test_a_view_as_context_manager(self, store: prestige.Store) -> None:
        with store.namespace("a") as view:
            view["key"] = "value"
        assert view.closed
        assert not store.closed
        with pytest.raises(prestige.ClosedError):
            view.__enter__()
        view.close()
        with store.namespace("a") as view:
            assert view["key"] == b"value"
        with store.namespace("") as itself:
            itself["key"] = "value"
        assert store["key"] == b"value"

    def test_closing_the_store_closes_its_views(self, store_path: Path) -> None:
        store = prestige.open(store_path)
        view = store.namespace("a")
        store.close()
        assert view.closed
        assert "closed=True" in repr(view)
        for call in (len, list, lambda view: view.get("key", None), lambda view: view.namespaces()):
            with pytest.raises(prestige.ClosedError):
                call(view)
        for call in (store.namespaces, lambda: store.namespace("a")):
            with pytest.raises(prestige.ClosedError):
                call()
        with pytest.raises(prestige.ClosedError):
            store.drop_namespace("a")
        view.close()
        prestige.open(store_path).close()

    def test_a_view_keeps_the_store_open(self, store_path: Path) -> None:
        view = prestige.open(store_path).namespace("a")
        gc.collect()
        view.put("key", "value")
        with pytest.raises(prestige.BusyError):
            prestige.open(store_path)
        del view
        gc.collect()
        with prestige.open(store_path) as store:
            assert store.namespace("a")["key"] == b"value"

    def test_a_server_shows_its_namespace(self, store: prestige.Store) -> None:
        store.put_many({"a": "1", "b": "2", "c": "3"})
        view = store.namespace("view")
        view.put("key", "value")
        with view.serve() as server, store.serve() as whole:
            assert json.loads(ask(f"{server.url}/health").body)["total_keys"] == 1
            assert json.loads(ask(f"{whole.url}/health").body)["total_keys"] == 3
            assert ask(f"{server.url}/readyz").status == 200
            store.drop_namespace("view")
            assert ask(f"{server.url}/health").status >= 400
            assert ask(f"{server.url}/livez").status == 200
            assert ask(f"{whole.url}/health").status == 200

    def test_thousands_of_namespaces(self, store_path: Path) -> None:
        number = 2000
        with prestige.open(store_path) as store:
            for i in range(number):
                store.namespace(f"tenant {i:05}").put("key", str(i))
            assert len(store.namespaces()) == number
        with prestige.open(store_path) as store:
            names = store.namespaces()
            values = [store.namespace(name).get("key", decode=True) for name in names]
            assert values == [str(i) for i in range(number)]
            for name in names[: number // 2]:
                store.drop_namespace(name)
            assert store.namespaces() == names[number // 2 :]
        with prestige.open(store_path, max_store_bytes=5000) as store:
            assert store.namespaces() == names[number // 2 :]
            store.put("key", bytes(4000))  # Evicts across all of them.
            assert sum(store.namespace(name).total_bytes for name in names[number // 2 :]) < 1000


@pytest.mark.usefixtures("semantic_store")
class TestSemantic:
    QUESTION = "How do I reset my password?"
    NEAR = "How can I reset my password?"

    def test_an_index_of_its_own(self, store_path: Path) -> None:
        with prestige.open(store_path, dedup_mode=prestige.DedupMode.SEMANTIC) as store:
            a, b = store.namespace("a"), store.namespace("b")
            a.put("key", self.QUESTION)
            b.put("key", self.NEAR)
            assert b.get("key", decode=True) == self.NEAR
            a.put("near", self.NEAR)
            assert a.get("near", decode=True) == self.QUESTION
            figures = [view.get_health()["index_vectors"] for view in (store, a, b)]
            assert figures == [0, 1, 1]
            assert store.verify() == []
        assert len(list((store_path / "index").iterdir())) == 2
        with prestige.open(store_path) as store:
            store.namespace("b").put("question", self.QUESTION)
            assert store.namespace("b").get("question", decode=True) == self.NEAR
            store.drop_namespace("a")
            assert len(list((store_path / "index").iterdir())) == 1
            # Never loaded since the store was opened.
            store.namespace("c").put("key", self.QUESTION)
            assert store.namespace("c").get("key", decode=True) == self.QUESTION
            assert store.verify() == []

    def test_index_files_of_a_drop_cut_short_go_with_the_next_opening(
        self, store_path: Path
    ) -> None:
        with prestige.open(store_path, dedup_mode=prestige.DedupMode.SEMANTIC) as store:
            store.put("key", self.QUESTION)
            store.namespace("a").put("key", self.QUESTION)
            store.flush()
            index = store_path / "index"
            copies = {file: file.read_bytes() for file in index.iterdir()}
            store.drop_namespace("a")
        for file, content in copies.items():
            file.write_bytes(content)
        (index / "notes.txt").write_text("not ours")
        with prestige.open(store_path) as store:
            assert store.get_health()["index_vectors"] == 1
            assert sorted(file.name[:9] for file in index.iterdir()) == ["00000000-", "notes.txt"]
            assert store.verify() == []

    def test_drops_between_puts_and_checkpoints(self, store_path: Path) -> None:
        texts = [self.QUESTION, self.NEAR, "Where is my order?", "Is it raining in Lisbon?"]
        failures: list[BaseException] = []
        with prestige.open(
            store_path, dedup_mode=prestige.DedupMode.SEMANTIC, semantic_index_save_interval=1
        ) as store:

            def guarded(action: Callable[[int], object]) -> Callable[[], None]:
                def run() -> None:
                    for number in range(25):
                        try:
                            with gone_is_fine():
                                action(number)
                        except BaseException as failure:
                            failures.append(failure)

                return run

            def write(number: int) -> None:
                store.namespace("busy").put_many((f"{number}{text}", text) for text in texts)

            run_all(
                [
                    guarded(write),
                    guarded(write),
                    guarded(lambda _: store.drop_namespace("busy")),
                    guarded(lambda _: store.flush()),
                    guarded(lambda _: failures.extend(map(ValueError, store.verify()))),
                ]
            )
            assert failures == []
            assert store.verify() == []
        with prestige.open(store_path) as store:
            assert store.verify() == []
