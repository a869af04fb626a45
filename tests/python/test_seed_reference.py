"""The reference document, "Factory Function" and "Store Class": one class a heading."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

import prestige

# As the headings write them. `get` has "no default" as its default, so that None can be given.
SIGNATURES = {
    "put": "key, value, ttl_seconds=None, metadata=None",
    "delete": "key",
    "list_keys": "prefix='', limit=None",
    "count_keys": "approximate=True",
    "count_unique_values": "",
    "sweep": "",
    "prune": "max_age_seconds=0, max_idle_seconds=0",
    "get_health": "",
    "flush": "",
    "close": "",
}


def shown(function: Callable[..., object]) -> str:
    """Parameters without `self`, markers and annotations."""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != "self"
    ]
    return ", ".join(map(str, parameters))


class TestHeadings:
    @pytest.mark.parametrize("method", SIGNATURES)
    def test_signature_is_as_documented(self, method: str) -> None:
        assert shown(getattr(prestige.Store, method)) == SIGNATURES[method]

    def test_parameters_of_get(self) -> None:
        parameters = inspect.signature(prestige.Store.get).parameters
        assert list(parameters) == ["self", "key", "default", "decode"]
        assert parameters["decode"].default is False

    def test_parameters_of_open(self) -> None:
        assert shown(prestige.open) == "path, options=None, **kwargs"
        assert shown(prestige.Store.open).startswith("path, options=None")


class TestPrestigeOpen:
    def test_directory_is_created_with_its_parents(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "b" / "mydb"
        with prestige.open(str(path)) as store:
            store.put("key", "value")
        assert path.is_dir()

    def test_path_may_be_path_like(self, tmp_path: Path) -> None:
        with prestige.open(tmp_path / "mydb") as store:
            assert store.path == str(tmp_path / "mydb")

    def test_keyword_arguments_are_options(self, store_path: Path, wait_until) -> None:
        with prestige.open(store_path, default_ttl_seconds=1) as store:
            store.put("key", "value")
            wait_until(lambda: "key" not in store)

    def test_options_may_be_positional_or_named(self, tmp_path: Path) -> None:
        options = prestige.Options()
        options.max_store_bytes = 10 * 1024**3
        with prestige.open(tmp_path / "mydb", options) as store:
            store.put("key", "value")
        with prestige.open(path=tmp_path / "mydb", options=options) as store:
            assert store.get("key") == b"value"
        with prestige.open(tmp_path / "mydb", None) as store:
            assert store.get("key") == b"value"


class TestStoreOpen:
    def test_it_is_the_same_as_open(self, store_path: Path) -> None:
        with prestige.Store.open(str(store_path)) as store:
            assert type(store) is prestige.Store
            store.put("key", "value")
        with prestige.Store.open(store_path, prestige.Options()) as store:
            assert store.get("key") == b"value"
        with prestige.open(store_path) as store:
            assert store.get("key") == b"value"


class TestPut:
    def test_arguments_by_position_and_by_name(self, store: prestige.Store) -> None:
        assert store.put("key1", "value") is None
        assert store.put("key2", b"binary", 3600) is None
        assert store.put(key="key3", value="named", ttl_seconds=3600) is None
        assert [store.get(f"key{i}") for i in (1, 2, 3)] == [b"value", b"binary", b"named"]

    def test_a_second_put_replaces_the_value(self, store: prestige.Store) -> None:
        store.put("key", "first")
        store.put("key", "second")
        assert store.get("key") == b"second"
        assert store.count_keys(approximate=False) == store.count_unique_values() == 1

    def test_ttl_overrides_the_default(self, store_path: Path, wait_until) -> None:
        with prestige.open(store_path, default_ttl_seconds=3600) as store:
            store.put("short", "value", ttl_seconds=1)
            store.put("default", "value")
            wait_until(lambda: "short" not in store)
            assert store.get("default") == b"value"
        with prestige.open(store_path, default_ttl_seconds=1) as store:
            store.put("long", "value", ttl_seconds=3600)
            store.put("default", "value")
            wait_until(lambda: "default" not in store)
            assert store.get("long") == b"value"


class TestGet:
    def test_bytes_and_str(self, store: prestige.Store) -> None:
        store.put("key1", "value")
        assert store.get("key1") == b"value"
        assert store.get("key1", decode=True) == "value"
        assert store.get(key="key1", default=None, decode=True) == "value"

    def test_default_is_returned_as_it_is(self, store: prestige.Store) -> None:
        marker = object()
        assert store.get("missing", default=b"not found") == b"not found"
        assert store.get("missing", marker) is marker
        assert store.get("missing", marker, True) is marker
        assert store.get("missing", default=None) is None
        assert store.get("missing", None) is None

    def test_without_default_a_missing_key_raises(self, store: prestige.Store) -> None:
        with pytest.raises(prestige.NotFoundError, match="missing"):
            store.get("missing")
        with pytest.raises(prestige.NotFoundError, match="missing"):
            store.get("missing", decode=True)

    def test_empty_value_is_not_a_missing_one(self, store: prestige.Store) -> None:
        store.put("empty", "")
        assert store.get("empty", default="default") == b""


class TestDelete:
    def test_it_returns_none_and_a_second_time_raises(self, store: prestige.Store) -> None:
        store.put("key", "value")
        assert store.delete(key="key") is None
        with pytest.raises(prestige.NotFoundError, match="key"):
            store.delete("key")


class TestListKeys:
    @pytest.fixture
    def users(self, store: prestige.Store) -> prestige.Store:
        for i in range(20):
            store.put(f"user:{i:02}", "value")
            store.put(f"session:{i:02}", "value")
        return store

    def test_all_keys_as_str_in_order(self, users: prestige.Store) -> None:
        keys = users.list_keys()
        assert type(keys) is list
        assert all(type(key) is str for key in keys)
        assert keys == sorted(keys)
        assert len(keys) == 40

    def test_prefix(self, users: prestige.Store) -> None:
        expected = [f"user:{i:02}" for i in range(20)]
        assert users.list_keys(prefix="user:") == users.list_keys("user:") == expected
        assert users.list_keys(prefix="") == users.list_keys()
        assert users.list_keys(prefix="nobody:") == []

    def test_limit(self, users: prestige.Store) -> None:
        assert users.list_keys(limit=10) == users.list_keys()[:10]
        assert users.list_keys("user:", 3) == ["user:00", "user:01", "user:02"]
        assert users.list_keys(prefix="user:", limit=None) == users.list_keys("user:")
        assert users.list_keys(limit=1000) == users.list_keys()


class TestCountKeys:
    def test_exact_and_approximate_by_name_and_position(self, store: prestige.Store) -> None:
        assert store.count_keys() == store.count_keys(approximate=False) == 0
        for i in range(7):
            store.put(f"key{i}", "value")
        assert store.count_keys(approximate=False) == store.count_keys(False) == 7
        assert store.count_keys(approximate=True) == store.count_keys() == 7
        assert type(store.count_keys()) is int


class TestCountUniqueValues:
    def test_it_counts_distinct_values(self, store: prestige.Store) -> None:
        for i in range(10):
            store.put(f"key{i}", f"value {i % 3}")
        assert store.count_unique_values() == 3
        assert type(store.count_unique_values()) is int


class TestSweep:
    def test_it_removes_unreferenced_values_and_returns_their_number(
        self, store_path: Path
    ) -> None:
        with prestige.open(store_path, enable_gc=False) as store:
            for i in range(5):
                store.put("key", f"value {i}")
            assert store.count_unique_values() == 5
            assert store.sweep() == 4
            assert store.count_unique_values() == 1
            assert store.sweep() == 0
            assert store.get("key") == b"value 4"
            assert store.verify() == []


class TestPrune:
    def test_without_arguments_it_removes_what_has_expired(
        self, store: prestige.Store, wait_until
    ) -> None:
        store.put("short", "value", ttl_seconds=1)
        store.put("long", "value", ttl_seconds=3600)
        assert store.prune() == 0
        wait_until(lambda: "short" not in store)
        assert store.prune() == 1
        assert store.list_keys() == ["long"]
        assert store.count_keys(approximate=True) == 1

    def test_old_entries(self, store: prestige.Store, wait_until) -> None:
        store.put("old", "value")
        assert store.prune(max_age_seconds=7 * 24 * 3600) == 0
        wait_until(lambda: store.prune(max_age_seconds=1) == 1)
        assert store.list_keys() == []

    def test_idle_entries(self, store_path: Path, wait_until) -> None:
        with prestige.open(store_path, lru_update_interval_seconds=0) as store:
            store.put("idle", "value")
            store.put("used", "value")

            def pruned() -> int:
                store.get("used")
                return store.prune(max_idle_seconds=2)

            wait_until(pruned)
            assert store.list_keys() == ["used"]

    def test_arguments_by_position(self, store: prestige.Store) -> None:
        store.put("key", "value")
        assert store.prune(3600, 3600) == 0
        assert store.prune(0, 0) == 0
        assert store.list_keys() == ["key"]


class TestGetHealth:
    def test_keys_and_their_types(self, store: prestige.Store) -> None:
        for i in range(6):
            store.put(f"key{i}", f"value {i % 2}")
        health = store.get_health()
        assert type(health) is dict
        assert (health["total_keys"], health["total_objects"]) == (6, 2)
        assert health["total_bytes"] == store.total_bytes > 0
        assert health["dedup_ratio"] == 3.0
        counted = ("total_keys", "total_objects", "total_bytes")
        assert all(type(health[name]) is int for name in counted)
        assert type(health["dedup_ratio"]) is float

    def test_empty_store(self, store: prestige.Store) -> None:
        health = store.get_health()
        figures = health["total_keys"], health["total_objects"], health["total_bytes"]
        assert figures == (0, 0, 0)
        assert f"{health['dedup_ratio']:.2f}" == "1.00"


class TestFlush:
    def test_it_returns_none_and_changes_nothing(self, store: prestige.Store) -> None:
        assert store.flush() is None
        store.put("key", "value")
        assert store.flush() is None
        assert store.get("key") == b"value"


class TestClose:
    def test_it_releases_the_directory_and_may_be_repeated(self, store_path: Path) -> None:
        store = prestige.open(store_path)
        store.put("key", "value")
        assert store.close() is None
        assert store.close() is None
        with prestige.open(store_path) as again:
            assert again.get("key") == b"value"


class TestProperties:
    def test_path_closed_and_total_bytes(self, store_path: Path) -> None:
        store = prestige.open(str(store_path))
        assert (store.path, store.closed, store.total_bytes) == (str(store_path), False, 0)
        store.put("key", b"x" * 1000)
        assert store.total_bytes == 1000 + len("key")
        assert type(store.total_bytes) is int
        store.close()
        assert (store.path, store.closed) == (str(store_path), True)

    @pytest.mark.parametrize("name", ["path", "closed", "total_bytes"])
    def test_they_are_read_only(self, store: prestige.Store, name: str) -> None:
        with pytest.raises(AttributeError):
            setattr(store, name, None)
