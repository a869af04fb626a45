"""The size limit, eviction of least recently used keys, and the figures of the store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import prestige

LIMIT = 200_000
VALUE_BYTES = 10_000


def value(i: int) -> bytes:
    return f"{i:08}".encode() * (VALUE_BYTES // 8)


@pytest.fixture
def limited(store_path: Path) -> Iterator[prestige.Store]:
    with prestige.open(store_path, max_store_bytes=LIMIT) as store:
        yield store
        if not store.closed:
            assert store.verify() == []


class TestSizeLimit:
    def test_it_holds_after_every_put(self, limited: prestige.Store) -> None:
        for i in range(100):
            limited.put(f"key{i:03}", value(i))
            assert limited.total_bytes <= LIMIT
            assert limited.get(f"key{i:03}") == value(i)
        assert limited.count_keys() >= LIMIT // VALUE_BYTES // 2
        # The oldest went first: what is left is the end of the sequence.
        assert limited.list_keys() == [f"key{i:03}" for i in range(100 - limited.count_keys(), 100)]

    def test_shared_values_count_once(self, limited: prestige.Store) -> None:
        for i in range(100):
            limited.put(f"key{i:03}", value(0))
        assert limited.count_keys() == 100
        assert limited.total_bytes < LIMIT

    def test_a_value_that_could_never_fit_is_refused(self, limited: prestige.Store) -> None:
        for i in range(10):
            limited.put(f"key{i}", value(i))
        before = limited.get_health()
        with pytest.raises(prestige.InvalidArgumentError, match=str(LIMIT)):
            limited.put("huge", b"x" * (LIMIT + 1))
        with pytest.raises(prestige.InvalidArgumentError, match=str(LIMIT)):
            limited.put("key0", b"x" * LIMIT)
        after = limited.get_health()
        for name in ("total_keys", "total_objects", "total_bytes"):
            assert after[name] == before[name]
        assert "huge" not in limited
        assert limited.get("key0") == value(0)

    def test_a_value_that_fits_alone_takes_the_place_of_all(self, limited: prestige.Store) -> None:
        for i in range(10):
            limited.put(f"key{i}", value(i))
        largest = b"x" * (LIMIT - len("huge"))
        limited.put("huge", largest)
        assert limited.list_keys() == ["huge"]
        assert limited.get("huge") == largest
        assert limited.total_bytes == LIMIT

    def test_a_lower_limit_takes_effect_after_reopening(self, limited: prestige.Store) -> None:
        for i in range(18):
            limited.put(f"key{i:02}", value(i))
        limited.close()
        with prestige.open(limited.path, max_store_bytes=LIMIT // 4) as store:
            store.put("one more", "value")
            assert store.total_bytes <= LIMIT // 4
            assert store.get("one more") == b"value"
            assert store.verify() == []

    def test_without_access_times_the_oldest_put_goes_first(self, store_path: Path) -> None:
        with prestige.open(store_path, max_store_bytes=LIMIT, track_access_time=False) as store:
            for i in range(60):
                store.put(f"key{i:02}", value(i))
                store.get("key00", default=None)
                assert store.total_bytes <= LIMIT
            assert "key00" not in store
            assert "key59" in store
            assert store.verify() == []


class TestEvictLru:
    def test_least_recently_used_keys_go_first(self, store_path: Path) -> None:
        with prestige.open(store_path, lru_update_interval_seconds=0) as store:
            for key in "abcd":
                store.put(key, key.encode() * 1000)
            store.get("a")
            store.get("c", decode=True)
            assert store.evict_lru(2 * 1001) == 2
            assert store.list_keys() == ["a", "c"]
            assert store.total_bytes <= 2 * 1001
            assert store.verify() == []

    def test_nothing_goes_while_there_is_room(self, store: prestige.Store) -> None:
        store.put("key", "value")
        assert store.evict_lru(store.total_bytes) == 0
        assert store.get("key") == b"value"

    def test_target_zero_empties_the_store(self, store: prestige.Store) -> None:
        for i in range(1000):
            store.put(f"key{i}", f"value {i % 10}")
        assert store.evict_lru(target_bytes=0) == 1000
        assert (store.count_keys(), store.count_unique_values(), store.total_bytes) == (0, 0, 0)

    def test_orphans_go_before_keys(self, store_path: Path) -> None:
        with prestige.open(store_path, enable_gc=False) as store:
            store.put("key", b"x" * 1000)
            store.put("key", b"y" * 1000)
            assert store.evict_lru(1500) == 0
            assert store.get("key") == b"y" * 1000
            assert store.verify() == []


class TestHealth:
    def test_figures_follow_every_change(self, store: prestige.Store) -> None:
        for i in range(10):
            store.put(f"k{i}", b"x" * 100)
        health = store.get_health()
        assert health["total_bytes"] == 10 * len("k0") + 100
        assert health["bytes_saved"] == 9 * 100
        assert health["dedup_ratio"] == 10.0
        assert health["dedup_mode"] == "exact"
        assert (health["index_vectors"], health["index_log_entries"]) == (0, 0)
        assert health["index_ok"] is True
        for name in ("oldest_object_age_s", "newest_access_age_s", "bytes_on_disk"):
            assert type(health[name]) is int
            assert health[name] >= 0

    def test_names_are_those_of_the_type(self, store: prestige.Store) -> None:
        assert set(store.get_health()) == set(prestige.HealthStats.__annotations__)

    def test_age_of_the_oldest_grows_and_shrinks(self, store: prestige.Store, wait_until) -> None:
        store.put("old", "value")
        wait_until(lambda: store.get_health()["oldest_object_age_s"] >= 2)
        store.put("new", "value")
        health = store.get_health()
        assert health["newest_access_age_s"] < health["oldest_object_age_s"]
        store.delete("old")
        assert store.get_health()["oldest_object_age_s"] < health["oldest_object_age_s"]

    def test_disk_use_shrinks_after_compaction(self, store: prestige.Store) -> None:
        for i in range(20):
            store.put(f"key{i}", os.urandom(50_000))
        store.flush()
        full = store.get_health()["bytes_on_disk"]
        assert full > 20 * 50_000
        store.evict_lru(0)
        store.flush()
        store.compact()
        assert store.get_health()["bytes_on_disk"] < full / 10
