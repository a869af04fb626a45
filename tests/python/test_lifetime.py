"""How keys and values end: TTL, sweep, prune, and values without a key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import prestige
from prestige.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def options(clock: ManualClock) -> prestige.Options:
    """Time stands still, and nothing expired goes by itself."""
    return prestige.Options(clock=clock, reaper_interval_seconds=0)


@pytest.fixture
def store(store_path: Path, options: prestige.Options) -> Iterator[prestige.Store]:
    with prestige.open(store_path, options) as opened:
        yield opened
        if not opened.closed:
            assert opened.verify() == []


@pytest.fixture
def expired(store: prestige.Store, clock: ManualClock) -> prestige.Store:
    """Three keys that live, three that have expired; of the latter "a" has its own value."""
    store.put("forever", "shared")
    store.put("zero", "other", ttl_seconds=0)
    store.put("long", "other", ttl_seconds=3600)
    for key, text in (("a", "alone"), ("b", "shared"), ("c", "shared")):
        store.put(key, text, ttl_seconds=1)
    clock.advance(1)
    return store


class TestExpiry:
    def test_an_expired_key_is_absent_everywhere(self, expired: prestige.Store) -> None:
        living = ["forever", "long", "zero"]
        assert expired.list_keys() == list(expired) == living
        assert expired.get("a", default=None) is None
        for call in (expired.get, expired.delete, expired.get_object_id):
            with pytest.raises(prestige.NotFoundError):
                call("a")
        assert expired.list_keys(prefix="a") == []
        assert expired.list_keys(limit=2) == living[:2]

    def test_an_exact_count_leaves_out_what_has_expired(self, expired: prestige.Store) -> None:
        assert expired.count_keys(approximate=False) == 3
        assert expired.count_keys(approximate=True) == len(expired) == 6
        assert expired.get_health()["expired_objects"] == 3
        assert expired.get_health()["total_keys"] == 6

    def test_sweep_returns_the_values_it_deleted(self, expired: prestige.Store) -> None:
        assert expired.sweep() == 1
        assert expired.count_keys(approximate=True) == 3
        assert expired.count_unique_values() == 2
        assert expired.get_health()["expired_objects"] == 0
        assert expired.sweep() == 0

    def test_prune_returns_the_keys_it_deleted(self, expired: prestige.Store) -> None:
        assert expired.prune() == 3
        assert expired.count_keys(approximate=True) == 3
        assert expired.count_unique_values() == 2
        assert expired.prune() == 0

    def test_a_shared_value_outlives_the_key_that_expired(self, expired: prestige.Store) -> None:
        expired.prune()
        assert expired.get("forever") == b"shared"

    def test_an_expired_key_can_be_put_again(self, expired: prestige.Store) -> None:
        expired.put("a", "again")
        assert expired.get("a") == b"again"
        assert expired.count_keys(approximate=False) == 4
        assert expired.sweep() == 0
        assert expired.get("a") == b"again"

    def test_expiry_survives_reopening(
        self, expired: prestige.Store, options: prestige.Options
    ) -> None:
        expired.close()
        with prestige.open(expired.path, options) as store:
            assert store.list_keys() == ["forever", "long", "zero"]
            assert store.prune() == 3
            assert store.verify() == []

    def test_a_put_renews_or_ends_the_ttl(self, store: prestige.Store, clock: ManualClock) -> None:
        store.put("renewed", "value", ttl_seconds=1)
        store.put("renewed", "value", ttl_seconds=3600)
        store.put("freed", "value", ttl_seconds=1)
        store.put("freed", "value")
        store.put("shortened", "value")
        store.put("shortened", "value", ttl_seconds=1)
        clock.advance(1)
        assert store.list_keys() == ["freed", "renewed"]

    def test_a_get_does_not_renew_the_ttl(
        self, store_path: Path, clock: ManualClock, options: prestige.Options
    ) -> None:
        with prestige.open(store_path, options, lru_update_interval_seconds=0) as store:
            store.put("key", "value", ttl_seconds=10)
            clock.advance(9)
            assert store.get("key") == b"value"
            clock.advance(1)
            assert "key" not in store

    def test_ttl_zero_is_never_whatever_the_default(
        self, store_path: Path, clock: ManualClock, options: prestige.Options
    ) -> None:
        with prestige.open(store_path, options, default_ttl_seconds=1) as store:
            store.put("never", "value", ttl_seconds=0)
            store.put("default", "value")
            store.put("none", "value", ttl_seconds=None)
            clock.advance(1)
            assert store.prune() == 2
            assert store.list_keys() == ["never"]


class TestPrune:
    def test_thousands_of_keys(self, store: prestige.Store, clock: ManualClock) -> None:
        for i in range(2000):
            store.put(f"old{i}", f"value {i % 500}", ttl_seconds=1)
        store.put("new", "value 7")
        clock.advance(1)
        assert store.count_keys(approximate=False) == 1
        assert store.prune() == 2000
        assert store.list_keys() == ["new"]
        assert store.count_unique_values() == 1

    def test_age_counts_from_the_last_put(self, store: prestige.Store, clock: ManualClock) -> None:
        store.put("old", "value")
        store.put("renewed", "value")
        clock.advance(2)
        assert store.prune(max_age_seconds=2) == 0
        store.put("renewed", "value")
        clock.advance(1)
        assert store.prune(max_age_seconds=2) == 1
        assert store.list_keys() == ["renewed"]

    def test_without_garbage_collection_values_stay_until_sweep(
        self, store_path: Path, clock: ManualClock, options: prestige.Options
    ) -> None:
        with prestige.open(store_path, options, enable_gc=False) as store:
            store.put("key", "value", ttl_seconds=1)
            clock.advance(1)
            assert store.prune() == 1
            assert store.count_unique_values() == 1
            assert store.get_health()["orphaned_objects"] == 1
            assert store.sweep() == 1
            assert store.verify() == []


class TestGarbageCollection:
    def test_values_go_with_their_last_key(self, store: prestige.Store) -> None:
        store.put("a", "value")
        store.put("b", "value")
        store.delete("a")
        assert store.count_unique_values() == 1
        store.put("b", "replaced")
        assert store.get_health()["orphaned_objects"] == 0
        store.delete("b")
        assert (store.count_unique_values(), store.total_bytes) == (0, 0)

    def test_orphans_stay_until_sweep_when_it_is_off(self, store_path: Path) -> None:
        with prestige.open(store_path, enable_gc=False) as store:
            store.put("a", "first")
            store.put("a", "second")
            store.put("b", "third")
            store.delete("b")
            assert store.get_health()["orphaned_objects"] == 2
            assert store.verify() == []
        with prestige.open(store_path, enable_gc=False) as store:
            assert store.count_unique_values() == 3
            assert store.get_health()["last_sweep_age_s"] is None
            assert store.sweep() == 2
            assert store.get_health()["orphaned_objects"] == 0
            assert store.get_health()["last_sweep_age_s"] is not None
            assert store.list_keys() == ["a"]
            assert store.verify() == []

    def test_an_orphan_is_taken_up_again(self, store_path: Path) -> None:
        with prestige.open(store_path, enable_gc=False) as store:
            store.put("a", "value")
            first = store.get_object_id("a")
            store.delete("a")
            store.put("b", "value")
            assert store.get_object_id("b") == first
            assert store.sweep() == 0
            assert store.get("b") == b"value"
            assert store.verify() == []
