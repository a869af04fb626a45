"""One owner a directory, closed stores, and stores that cannot be pickled."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from together import run_all

import prestige


class TestOneOwner:
    def test_a_second_open_in_the_same_process(self, store: prestige.Store) -> None:
        store.put("key", "value")
        for again in (prestige.open, prestige.Store.open):
            with pytest.raises(prestige.BusyError) as caught:
                again(store.path)
            assert store.path in str(caught.value)
        assert store.get("key") == b"value"
        store.put("key", "still writable")

    def test_the_same_directory_by_another_name(
        self, store: prestige.Store, tmp_path: Path
    ) -> None:
        (tmp_path / "link").symlink_to(store.path)
        with pytest.raises(prestige.BusyError):
            prestige.open(tmp_path / "link")

    def test_a_second_open_in_another_process(self, store: prestige.Store, run_script) -> None:
        script = """
            import sys, prestige
            try:
                prestige.open(sys.argv[1])
            except prestige.BusyError as error:
                print(error)
        """
        done = run_script(script, store.path)
        assert (done.returncode, done.stderr) == (0, "")
        assert store.path in done.stdout
        store.put("key", "value")
        store.close()
        assert run_script(script, store.path).stdout == ""

    def test_threads_that_open_at_once(self, store_path: Path) -> None:
        outcomes: list[object] = []
        barrier = threading.Barrier(8)

        def opener() -> None:
            barrier.wait()
            try:
                outcomes.append(prestige.open(store_path))
            except prestige.PrestigeError as error:
                outcomes.append(error)

        run_all([opener] * 8)
        stores = [outcome for outcome in outcomes if isinstance(outcome, prestige.Store)]
        errors = [outcome for outcome in outcomes if not isinstance(outcome, prestige.Store)]
        assert len(stores) == 1
        assert {type(error) for error in errors} == {prestige.BusyError}
        stores[0].close()


def exported(store: prestige.Store) -> Path:
    """A Parquet file of one key, from another store."""
    path = Path(f"{store.path}.parquet")
    with prestige.open(f"{store.path}.other") as other:
        other.put("key", "value")
        other.export_parquet(path)
    return path


CLOSED_CALLS: dict[str, Callable[[prestige.Store], object]] = {
    "put": lambda store: store.put("key", "value"),
    "get": lambda store: store.get("key", default=None),
    "delete": lambda store: store.delete("key"),
    "put_many": lambda store: store.put_many({"key": "value"}),
    "get_many": lambda store: store.get_many(["key"]),
    "contains_many": lambda store: store.contains_many(["key"]),
    "delete_many": lambda store: store.delete_many(["key"]),
    "keys": lambda store: store.keys(),
    "values": lambda store: store.values(),
    "items": lambda store: store.items(),
    "scan": lambda store: store.scan(),
    "namespace": lambda store: store.namespace("name"),
    "namespaces": lambda store: store.namespaces(),
    "drop_namespace": lambda store: store.drop_namespace("name"),
    "ttl": lambda store: store.ttl("key"),
    "touch": lambda store: store.touch("key"),
    "expire_at": lambda store: store.expire_at("key", 0),
    "stats": lambda store: store.stats(),
    "backup": lambda store: store.backup(f"{store.path}.copy"),
    "refresh": lambda store: store.refresh(),
    "export_jsonl": lambda store: store.export_jsonl(f"{store.path}.jsonl"),
    "import_jsonl": lambda store: store.import_jsonl(f"{store.path}.jsonl"),
    "export_parquet": lambda store: store.export_parquet(f"{store.path}.parquet"),
    "import_parquet": lambda store: store.import_parquet(exported(store)),
    "list_keys": lambda store: store.list_keys(),
    "count_keys": lambda store: store.count_keys(),
    "count_unique_values": lambda store: store.count_unique_values(),
    "sweep": lambda store: store.sweep(),
    "prune": lambda store: store.prune(),
    "evict_lru": lambda store: store.evict_lru(0),
    "get_health": lambda store: store.get_health(),
    "verify": lambda store: store.verify(),
    "flush": lambda store: store.flush(),
    "compact": lambda store: store.compact(),
    "rebuild_index": lambda store: store.rebuild_index(),
    "reembed": lambda store: store.reembed(prestige.SemanticModel()),
    "get_metadata": lambda store: store.get_metadata("key"),
    "digest": lambda store: store.digest("value"),
    "candidates": lambda store: store.candidates("value"),
    "candidates_many": lambda store: store.candidates_many(["value"]),
    "explain": lambda store: store.explain("value"),
    "record_outcome": lambda store: store.record_outcome("family", "accepted"),
    "list_outcomes": lambda store: store.list_outcomes("family"),
    "list_families": lambda store: store.list_families(),
    "family_report": lambda store: store.family_report("family"),
    "get_object_id": lambda store: store.get_object_id("key"),
    "serve": lambda store: store.serve(),
    "total_bytes": lambda store: store.total_bytes,
    "__getitem__": lambda store: store["key"],
    "__setitem__": lambda store: store.__setitem__("key", "value"),
    "__delitem__": lambda store: store.__delitem__("key"),
    "__contains__": lambda store: "key" in store,
    "__len__": len,
    "__iter__": iter,
    "__enter__": lambda store: store.__enter__(),
}
# What a closed store still answers.
ALWAYS = {"path", "closed", "close", "dedup_mode", "namespace_name", "open", "read_only"}


class TestClosed:
    def test_every_public_name_is_covered(self) -> None:
        public = {name for name in dir(prestige.Store) if not name.startswith("_")}
        # The `asyncio` forms make the same calls.
        public -= {f"a{name}" for name in public} | {"acontains"}
        assert public == {name for name in CLOSED_CALLS if name[0] != "_"} | ALWAYS

    @pytest.mark.parametrize("name", CLOSED_CALLS)
    def test_it_raises(self, store_path: Path, name: str) -> None:
        store = prestige.open(store_path)
        store.put("key", "value")
        store.close()
        with pytest.raises(ValueError, match="closed") as caught:
            CLOSED_CALLS[name](store)
        assert isinstance(caught.value, prestige.PrestigeError)
        assert str(store_path) in str(caught.value)

    def test_what_it_still_answers(self, store_path: Path) -> None:
        store = prestige.open(store_path)
        store.close()
        assert (store.path, store.closed) == (str(store_path), True)
        assert store.dedup_mode == prestige.DedupMode.EXACT
        assert store.close() is None
        assert store.__exit__(None, None, None) is None

    def test_bad_arguments_are_named_before_the_store_is_asked(self, store_path: Path) -> None:
        store = prestige.open(store_path)
        store.close()
        with pytest.raises(TypeError):
            store.put(None, "value")

    def test_a_store_has_no_constructor(self) -> None:
        with pytest.raises(TypeError):
            prestige.Store("path")


class TestPickling:
    def test_it_is_refused(self, store: prestige.Store) -> None:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="path"):
                pickle.dumps(store, protocol)
        store.put("key", "value")

    def test_a_server_cannot_be_pickled_either(self, store: prestige.Store) -> None:
        with store.serve() as server, pytest.raises(TypeError):
            pickle.dumps(server)
