"""The read cache holds `bytes` objects as they are: no copy at a put, the same object at a get."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from together import run_all

import prestige
from prestige import _native

LONG = 4096


class Special(bytes):
    """Bytes with something else besides."""


@pytest.fixture
def store(store_path: Path) -> Iterator[prestige.Store]:
    with prestige.open(store_path) as store:
        yield store


def counted(value: bytes) -> int:
    """References to `value`, those of the call included: their number is the interpreter's."""
    return sys.getrefcount(value)


def references(value: bytes) -> int:
    """References to `value` besides one of the caller's."""
    fresh = os.urandom(LONG)
    return counted(value) - counted(fresh) - 1


class TestSameObject:
    def test_what_was_put(self, store: prestige.Store) -> None:
        one, other = os.urandom(LONG), os.urandom(LONG)
        store.put("one", one)
        store.put_many({"other": other, "again": other})
        assert store.get("one") is one
        assert store["again"] is other
        assert store.get_many(["one", "other"])[1] is other
        assert store.namespace("view").get("one", default=None) is None

    def test_what_was_read_from_disk(self, store_path: Path) -> None:
        values = {f"{number}": os.urandom(LONG) for number in range(100)}
        with prestige.open(store_path) as store:
            store.put_many(values)
        with prestige.open(store_path) as store:
            first = store.get("7")
            assert first == values["7"]
            assert store.get("7") is first
            many = store.get_many(values)
            assert many == list(values.values())
            assert all(a is b for a, b in zip(many, store.get_many(values), strict=True))
        with prestige.open(store_path) as store:
            one, again = store.get_many(["7", "7"])
            assert one is again

    def test_asynchronous(self, store: prestige.Store) -> None:
        value = os.urandom(LONG)

        async def put_and_get() -> bytes:
            await store.aput("key", value)
            return await store.aget("key")

        assert asyncio.run(put_and_get()) is value

    def test_a_value_that_was_there_before(self, store: prestige.Store) -> None:
        first = os.urandom(LONG)
        equal = bytes(bytearray(first))
        store.put("first", first)
        store.put("equal", equal)
        assert store.get("equal") is first
        assert references(equal) == 0


class TestOwnCopy:
    @pytest.mark.parametrize("make", [bytearray, memoryview, Special, lambda value: value[:511]])
    def test_of_what_may_change_or_is_short(
        self, store: prestige.Store, make: Callable[[bytes], bytes]
    ) -> None:
        given = make(os.urandom(LONG))
        expected = bytes(given)
        store.put("key", given)
        store.put_many({"many": given})
        if isinstance(given, bytearray):
            given[:] = bytes(len(given))
        for key in ("key", "many"):
            found = store.get(key)
            assert type(found) is bytes
            assert found == expected
            assert found is not given

    def test_of_text(self, store: prestige.Store) -> None:
        text = "tëxt " * 1000
        store.put("key", text)
        assert store.get("key") == text.encode()
        assert store.get("key", decode=True) == text

    def test_without_a_cache(self, store_path: Path) -> None:
        with prestige.open(store_path, value_cache_bytes=0) as store:
            value = os.urandom(LONG)
            store.put("key", value)
            assert store.get("key") == value
            assert references(value) == 0

    def test_of_what_is_normalised(self, store_path: Path) -> None:
        mode = prestige.NormalizationMode.WHITESPACE
        with prestige.open(store_path, normalization_mode=mode) as store:
            for given in (b"  a " * 1000, b"a" * 1000 + b" ", b" " + b"a" * 1000):
                value = bytes(bytearray(given))
                store.put("one", value)
                store.put_many({"two": value})
                expected = b" ".join(value.split())
                assert store.get_many(["one", "two"]) == [expected, expected]
                assert references(value) == 0
            assert store.verify() == []


class TestLetGo:
    def test_when_the_store_closes(self, store_path: Path) -> None:
        value = os.urandom(LONG)
        with prestige.open(store_path) as store:
            store.put("key", value)
            assert references(value) == 1
            store.get("key")
            assert references(value) == 1
        # What a thread without the GIL lets go of goes when one next has it.
        with prestige.open(store_path):
            assert references(value) == 0

    def test_when_it_is_deleted(self, store: prestige.Store) -> None:
        value = os.urandom(LONG)
        store.put("key", value)
        del store["key"]
        store.sweep()
        assert references(value) == 0

    def test_when_others_take_its_place(self, store_path: Path) -> None:
        with prestige.open(store_path, value_cache_bytes=1 << 20) as store:
            values = [os.urandom(LONG) for _ in range(2000)]
            for number, value in enumerate(values[:1000]):
                store.put(f"{number}", value)
            store.put_many((f"{n}", value) for n, value in enumerate(values) if n >= 1000)
            held = sum(references(value) - 1 for value in values)
            assert 0 < held <= (1 << 20) // LONG
            assert store.get_many(f"{number}" for number in range(2000)) == values

    def test_when_it_is_not_kept_at_all(self, store: prestige.Store) -> None:
        value = os.urandom(8 << 20)
        store.put("key", value)
        assert references(value) == 0
        store.put_many([("key", value)] * 3)
        assert references(value) == 0

    def test_when_what_was_read_is_not_kept(self, store_path: Path) -> None:
        with prestige.open(store_path) as store:
            store.put("long", os.urandom(8 << 20))
            store.put("short", os.urandom(LONG))
            value = store.get("long")
            assert references(value) == 0
            [value] = store.get_many(["long"])
            assert references(value) == 0
        with prestige.open(store_path, value_cache_bytes=0) as store:
            value = store.get("short")
            assert references(value) == 0

    def test_where_nothing_is_lent(self) -> None:
        value = os.urandom(LONG)
        parts = _native.entry_parts(("key", value), None, 0)
        assert parts[:2] == (b"key", value)
        assert references(value) == 0

    def test_when_the_write_fails(self, store: prestige.Store) -> None:
        value = os.urandom(LONG)
        with pytest.raises(prestige.InvalidArgumentError):
            store.put("k" * 100_000, value)
        with pytest.raises(prestige.InvalidArgumentError):
            store.put_many([("key", value), ("k" * 100_000, value)])
        assert references(value) == 0


def test_many_threads_share_a_small_cache(store_path: Path) -> None:
    values = [os.urandom(LONG) for _ in range(400)]
    failures: list[object] = []
    with prestige.open(store_path, value_cache_bytes=1 << 20) as store:

        def work(thread: int) -> None:
            for number in range(3000):
                at = (number * 7 + thread * 31) % len(values)
                if number % 3 == 0:
                    store.put(f"{at}", values[at])
                elif number % 50 == 1:
                    store.put_many((f"{n}", values[n]) for n in range(at, min(at + 80, 400)))
                elif store.get(f"{at}", default=values[at]) != values[at]:
                    failures.append(at)

        run_all([lambda thread=thread: work(thread) for thread in range(8)])
        assert failures == []
        assert store.verify() == []
    gc.collect()
    with prestige.open(store_path):
        assert all(references(value) == 1 for value in values)


def test_a_child_is_not_held_up_by_what_another_thread_was_dropping(
    run_script, store_path: Path
) -> None:
    script = """
        import os, sys, threading, warnings, prestige
        warnings.simplefilter("ignore", DeprecationWarning)
        store = prestige.open(sys.argv[1], value_cache_bytes=1 << 20)
        done = threading.Event()

        def work(thread):
            number = 0
            while not done.is_set():
                number += 1
                store.put(f"{thread} {number % 500}", os.urandom(2048))

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(1000):
            pid = os.fork()
            if pid == 0:
                try:
                    store.put("0 1", os.urandom(2048))
                except prestige.PrestigeError as error:
                    os._exit(0 if "fork" in str(error) else 1)
                os._exit(2)
            assert os.waitpid(pid, 0)[1] == 0
        done.set()
        for thread in threads:
            thread.join()
        assert store.verify() == []
        store.close()
    """
    done = run_script(script, store_path)
    assert (done.returncode, done.stderr) == (0, "")
