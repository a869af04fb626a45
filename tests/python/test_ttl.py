"""The time single keys have left, the reaper, and the clock of tests."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import either
import pytest

import prestige
from prestige.testing import ManualClock

START = 1_700_000_000.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture(params=either.KINDS)
def timed(
    request: pytest.FixtureRequest, store_path: Path, clock: ManualClock
) -> Iterator[prestige.StoreProtocol]:
    """A store whose time stands still, where nothing expired goes by itself, and a client of it."""
    with (
        prestige.open(store_path, clock=clock, reaper_interval_seconds=0) as store,
        either.as_kind(request.param, store) as over,
    ):
        yield over
        if not store.closed:
            assert store.verify() == []


class TestTtl:
    def test_it_runs_down_in_seconds(self, timed: prestige.Store, clock: ManualClock) -> None:
        timed.put("key", "value", ttl_seconds=10)
        assert timed.ttl("key") == 10.0
        clock.advance(2.5)
        left = timed.ttl(b"key")
        assert type(left) is float
        assert left == 7.5
        timed.put("forever", "value")
        assert timed.ttl("forever") is None

    def test_absent_and_expired_keys_are_not_found(
        self, timed: prestige.Store, clock: ManualClock
    ) -> None:
        timed.put("key", "value", ttl_seconds=10)
        clock.advance(10)
        for key in ("key", "never put"):
            for call in (
                lambda key=key: timed.ttl(key),
                lambda key=key: timed.touch(key, 5),
                lambda key=key: timed.touch(key),
                lambda key=key: timed.expire_at(key, START + 100),
                lambda key=key: timed.expire_at(key, 0),
            ):
                with pytest.raises(prestige.NotFoundError):
                    call()
        assert timed.count_keys() == 1

    @pytest.mark.parametrize("key", [None, 1, 1.5, bytearray(b"key"), ["key"]])
    def test_keys_of_other_types_are_refused(self, timed: prestige.Store, key: object) -> None:
        for call in (timed.ttl, timed.touch, lambda key: timed.expire_at(key, 1)):
            with pytest.raises(TypeError):
                call(key)


class TestTouch:
    def test_it_renews_the_time_and_nothing_else(
        self, timed: prestige.Store, clock: ManualClock
    ) -> None:
        timed.put("key", "value", ttl_seconds=10)
        object_id = timed.get_object_id("key")
        clock.advance(9)
        assert timed.get("key") == b"value"
        timed.touch("key", 60)
        assert timed.ttl("key") == 60.0
        clock.advance(59)
        assert timed.get("key") == b"value"
        assert timed.get_object_id("key") == object_id
        assert timed.get_health()["oldest_object_age_s"] == 68
        clock.advance(1)
        assert "key" not in timed

    def test_zero_is_never(self, timed: prestige.Store, clock: ManualClock) -> None:
        timed.put("key", "value", ttl_seconds=10)
        timed.touch("key", ttl_seconds=0)
        assert timed.ttl("key") is None
        clock.advance(1e9)
        assert timed.get("key") == b"value"

    def test_none_is_the_default_of_the_store(self, store_path: Path, clock: ManualClock) -> None:
        with prestige.open(store_path, clock=clock, default_ttl_seconds=3600) as store:
            store.put("session", "data", ttl_seconds=10)
            store.touch("session")
            assert store.ttl("session") == 3600.0
            store.touch("session", None)
            assert store.ttl("session") == 3600.0
        with prestige.open(store_path, clock=clock) as store:
            assert store.ttl("session") == 3600.0
            store.touch("session")
            assert store.ttl("session") is None

    def test_it_counts_as_use(self, timed: prestige.Store, clock: ManualClock) -> None:
        for key in ("old", "older"):
            timed.put(key, f"value of {key}", ttl_seconds=100)
            clock.advance(1)
        timed.touch("old", 100)
        assert timed.evict_lru(timed.total_bytes - 1) == 1
        assert timed.list_keys() == ["old"]

    def test_the_others_of_a_value_keep_their_time(self, timed: prestige.Store) -> None:
        timed.put("a", "shared", ttl_seconds=10)
        timed.put("b", "shared", ttl_seconds=20)
        timed.touch("a", 30)
        assert (timed.ttl("a"), timed.ttl("b")) == (30.0, 20.0)

    @pytest.mark.parametrize("ttl", [-1, 2**63, 2**70])
    def test_numbers_out_of_range(self, timed: prestige.Store, ttl: int) -> None:
        timed.put("key", "value", ttl_seconds=10)
        with pytest.raises(prestige.InvalidArgumentError):
            timed.touch("key", ttl)
        assert timed.ttl("key") == 10.0

    def test_the_longest_time_is_kept(self, timed: prestige.Store) -> None:
        timed.put("key", "value")
        timed.touch("key", 2**63 - 1)
        left = timed.ttl("key")
        assert left is not None
        assert left > 1e13

    @pytest.mark.parametrize("ttl", [1.5, "10", b"10"])
    def test_other_types(self, timed: prestige.Store, ttl: object) -> None:
        timed.put("key", "value")
        with pytest.raises(TypeError):
            timed.touch("key", ttl)  # type: ignore[arg-type]


class TestExpireAt:
    def test_seconds_since_the_epoch(self, timed: prestige.Store, clock: ManualClock) -> None:
        timed.put("key", "value")
        timed.expire_at("key", clock.time() + 2.5)
        assert timed.ttl("key") == pytest.approx(2.5, abs=1e-6)
        timed.expire_at("key", int(START) + 4)
        assert timed.ttl("key") == 4.0
        clock.advance(4)
        assert "key" not in timed

    @pytest.mark.parametrize("zone", [timezone.utc, timezone(timedelta(hours=-7))])
    def test_an_aware_datetime(self, timed: prestige.Store, zone: timezone) -> None:
        timed.put("key", "value")
        timed.expire_at("key", datetime.fromtimestamp(START + 90, tz=zone))
        assert timed.ttl("key") == 90.0

    def test_a_naive_datetime_is_refused(self, timed: prestige.Store) -> None:
        timed.put("key", "value")
        with pytest.raises(
            prestige.InvalidArgumentError, match=r"^when must be a datetime with a time zone"
        ):
            timed.expire_at("key", datetime(2100, 1, 1))
        assert timed.ttl("key") is None

    @pytest.mark.parametrize(
        "when", [START, START - 1, 0, -5.0, datetime.min.replace(tzinfo=timezone.utc)]
    )
    def test_the_past_removes_at_once(self, timed: prestige.Store, when: float | datetime) -> None:
        timed.put("key", "value")
        timed.put("other", "value", ttl_seconds=5)
        timed.expire_at("key", when)
        assert timed.count_keys(approximate=True) == 1
        assert timed.stats()["expirations"] == 1
        timed.expire_at("other", when)
        assert timed.count_unique_values() == 0

    @pytest.mark.parametrize("when", [math.nan, math.inf, -math.inf])
    def test_what_is_no_moment(self, timed: prestige.Store, when: float) -> None:
        timed.put("key", "value")
        with pytest.raises(prestige.InvalidArgumentError, match=r"^when must be a finite number"):
            timed.expire_at("key", when)
        assert "key" in timed

    @pytest.mark.parametrize("when", [None, "2100-01-01", timedelta(1), b"1"])
    def test_other_types(self, timed: prestige.Store, when: object) -> None:
        timed.put("key", "value")
        with pytest.raises(TypeError):
            timed.expire_at("key", when)  # type: ignore[arg-type]
        assert "key" in timed

    @either.embedded
    def test_it_lasts_beyond_the_process(self, timed: prestige.Store, clock: ManualClock) -> None:
        timed.put("key", "value")
        timed.expire_at("key", START + 50)
        timed.close()
        with prestige.open(timed.path, clock=clock) as store:
            assert store.ttl("key") == 50.0
            assert store.verify() == []


class TestReaper:
    def test_expired_keys_go_by_themselves(
        self, store_path: Path, clock: ManualClock, wait_until
    ) -> None:
        with prestige.open(store_path, clock=clock, reaper_interval_seconds=0.01) as store:
            for handle in (store, store.namespace("other")):
                handle.put("stays", "value")
                for i in range(1000):
                    handle.put(f"goes {i}", f"value {i}", ttl_seconds=60)
            clock.advance(60)
            for handle in (store, store.namespace("other")):
                wait_until(lambda handle=handle: handle.count_keys() == 1)
                assert handle.count_unique_values() == 1
                assert handle.stats()["expirations"] == 1000
                assert handle.sweep() == 0
            assert store.verify() == []

    def test_off_and_default(self, timed: prestige.Store, clock: ManualClock) -> None:
        assert prestige.Options().reaper_interval_seconds == 60.0
        timed.put("key", "value", ttl_seconds=1)
        clock.advance(100)
        assert timed.count_keys() == 1
        assert timed.sweep() == 1

    @pytest.mark.parametrize("interval", [-1, -0.5, math.nan, math.inf])
    def test_intervals_out_of_range(self, interval: float) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match="reaper_interval_seconds"):
            prestige.Options(reaper_interval_seconds=interval)


class TestClock:
    def test_it_stands_where_it_is_put(self) -> None:
        clock = ManualClock(start=5)
        assert clock.time() == 5.0
        clock.advance(0.25)
        clock.advance(-1)
        assert clock.time() == 4.25
        assert "4.25" in repr(clock)
        clock.advance(-100)
        assert clock.time() == 0.0
        moment = datetime(2024, 5, 6, tzinfo=timezone.utc)
        assert ManualClock(moment).time() == moment.timestamp()

    def test_it_begins_with_the_present(self) -> None:
        before = datetime.now(timezone.utc).timestamp()
        started = ManualClock().time()
        assert before - 1 <= started <= datetime.now(timezone.utc).timestamp() + 1

    def test_stores_share_it(self, tmp_path: Path, clock: ManualClock) -> None:
        options = prestige.Options(clock=clock, reaper_interval_seconds=0)
        with (
            prestige.open(tmp_path / "a", options) as a,
            prestige.open(tmp_path / "b", options) as b,
        ):
            for store in (a, b):
                store.put("key", "value", ttl_seconds=1)
            clock.advance(1)
            assert "key" not in a
            assert "key" not in b

    def test_a_clock_set_back_revives_what_had_expired(
        self, timed: prestige.Store, clock: ManualClock
    ) -> None:
        timed.put("key", "value", ttl_seconds=10)
        clock.advance(10)
        assert timed.count_keys(approximate=False) == 0
        clock.advance(-1)
        assert timed.count_keys(approximate=False) == 1
        assert timed.get("key") == b"value"
        assert timed.get_health()["expired_objects"] == 0

    @pytest.mark.parametrize("seconds", [math.nan, math.inf])
    def test_bad_numbers(self, clock: ManualClock, seconds: float) -> None:
        with pytest.raises(prestige.InvalidArgumentError):
            clock.advance(seconds)
        with pytest.raises(prestige.InvalidArgumentError):
            ManualClock(seconds)
        assert clock.time() == START

    def test_no_other_clock_is_taken(self, store_path: Path) -> None:
        with pytest.raises(TypeError, match="clock"):
            prestige.open(store_path, clock=1.0)
