"""Batch methods: what they take, what they refuse, what stays after an error."""

from __future__ import annotations

import collections
import itertools
import os
import random
import signal
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import either
import numpy as np
import pytest
from together import run_all

import prestige

store = either.store  # Each test over both.

PAGE = 1000  # Most entries of one write.


class TestPutMany:
    @pytest.mark.parametrize(
        "entries",
        [
            {"a": "1", "b": b"2"},
            types.MappingProxyType({"a": "1", "b": b"2"}),
            collections.ChainMap({"a": "1"}, {"b": b"2"}),
            [("a", "1"), ("b", b"2")],
            (["a", "1"], ["b", bytearray(b"2"), None]),
            [("a", "1", 0), (b"b", memoryview(b"2"), 3600)],
            {"a": "1", "b": b"2"}.items(),
        ],
        ids=lambda entries: type(entries).__name__,
    )
    def test_forms_of_input(self, store: prestige.Store, entries: object) -> None:
        assert store.put_many(entries) >= 2
        assert dict(store.items()) == {"a": b"1", "b": b"2"}

    def test_iterators(self, store: prestige.Store) -> None:
        twice = [("b", b"first"), ("a", "1"), (b"b", np.frombuffer(b"2", np.uint8))]
        assert store.put_many(iter(twice)) >= 2
        assert dict(store.items()) == {"a": b"1", "b": b"2"}
        assert store.put_many(zip("ab", "34", strict=True)) == 2
        assert dict(store.items()) == {"a": b"3", "b": b"4"}

    def test_a_generator_sees_what_was_written_before(self, store: prestige.Store) -> None:
        seen = []

        def entries() -> Iterator[tuple[str, str]]:
            for number in range(2 * PAGE + 5):
                if number % PAGE == 0:
                    seen.append(len(store))
                yield f"{number:05}", "same"

        assert store.put_many(entries()) == 2 * PAGE + 5
        assert seen == [0, PAGE, 2 * PAGE]
        assert store.count_unique_values() == 1

    @pytest.mark.parametrize("empty", [{}, [], (), iter([]), set()])
    def test_nothing(self, store: prestige.Store, empty: object) -> None:
        called: list[int] = []
        assert store.put_many(empty, progress=called.append) == 0
        assert called == []
        assert len(store) == 0

    def test_of_equal_keys_the_last_wins_and_equal_values_are_stored_once(
        self, store: prestige.Store
    ) -> None:
        entries = [(f"k{number % 7}", f"v{number % 3}") for number in range(500)]
        assert store.put_many(entries) == 500
        assert dict(store.items()) == {key: value.encode() for key, value in dict(entries).items()}
        assert store.count_unique_values() == len(set(dict(entries).values()))
        assert store.total_bytes == 7 * 2 + 2 * store.count_unique_values()

    def test_a_value_that_is_replaced_within_its_batch_is_not_left_behind(
        self, store: prestige.Store
    ) -> None:
        store.put("k", "old")
        store.put_many([("k", "between"), ("other", "between"), ("k", "new"), ("other", "new")])
        assert store.count_unique_values() == 1
        assert store.get_many(["k", "other"]) == [b"new", b"new"]

    def test_ttl_of_each_entry_and_of_the_rest(self, store_path: Path, wait_until) -> None:
        with prestige.open(store_path, default_ttl_seconds=1) as store:
            store.put_many([("a", "v"), ("b", "v", 0), ("c", "v", None)], ttl_seconds=3600)
            store.put_many([("d", "v"), ("e", "v", 3600)])
            store.put_many([("f", "v", 3600), ("f", "v", 1)])
            wait_until(
                lambda: store.contains_many([*"abcdef"]) == [True] * 3 + [False, True, False]
            )
            assert store.sweep() == 0
            assert list(store) == ["a", "b", "c", "e"]
            assert store.verify() == []

    def test_buffers_may_change_afterwards(self, store: prestige.Store) -> None:
        value = bytearray(b"before")

        def entries() -> Iterator[tuple[str, bytearray]]:
            yield "a", value
            value[:] = b"after!"
            yield "b", value
            value[:] = b"at end"

        store.put_many(entries())
        assert store.get_many([*"ab"]) == [b"before", b"after!"]

    def test_progress(self, store: prestige.Store) -> None:
        called: list[int] = []
        entries = ((str(number), "v") for number in range(2 * PAGE + 1))
        assert store.put_many(entries, progress=called.append) == 2 * PAGE + 1
        assert called == [PAGE, 2 * PAGE, 2 * PAGE + 1]

    def test_large_values_are_written_in_between(self, store: prestige.Store) -> None:
        called: list[int] = []
        values = [os.urandom(3 << 20) for _ in range(4)]
        store.put_many(((str(n), value) for n, value in enumerate(values)), None, called.append)
        assert called == [2, 4]
        assert store.get_many([*"0123"]) == values

    def test_an_iterable_that_is_no_batch(self, store: prestige.Store) -> None:
        for wrong in (None, 5, store.put):
            with pytest.raises(TypeError):
                store.put_many(wrong)

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            ("ab", "entry 3 should be"),
            (("k",), "entry 3 should be"),
            (("k", "v", 1, {}, 2), "entry 3 should be"),
            (("k", "v", 1, 2), "entry 3: metadata must be a dictionary"),
            ({"k": "v"}, "entry 3 should be"),
            (None, "entry 3 should be"),
            ((5, "v"), "entry 3: a key must be"),
            ((None, "v"), "entry 3: a key must be"),
            (("k", 5), "entry 3: a value must be"),
            (("k", None), "entry 3: a value must be"),
            (("k", np.array([object()])), "entry 3: an array of Python objects"),
            (("k", "v", "1"), "entry 3: ttl_seconds must be an integer"),
            (("k", "v", 1.5), "entry 3: ttl_seconds must be an integer"),
        ],
    )
    def test_bad_entries_are_numbered(
        self, store: prestige.Store, bad: object, message: str
    ) -> None:
        good = [(str(number), "v") for number in range(3)]
        with pytest.raises(TypeError, match=message):
            store.put_many([*good, bad])
        assert len(store) == 0
        many = [(str(number), "v") for number in range(PAGE)]
        with pytest.raises(TypeError, match=message.replace("3", str(PAGE + 3))):
            store.put_many([*many, *good, bad])
        assert len(store) == PAGE

    @pytest.mark.parametrize(
        ("entry", "error"),
        [
            (("k", "v", -1), prestige.InvalidArgumentError),
            (("k", "v", 2**63), prestige.InvalidArgumentError),
            (("k" * 65_537, "v"), prestige.InvalidArgumentError),
            (("k", "lone \ud800 surrogate"), UnicodeEncodeError),
        ],
    )
    def test_values_out_of_range_leave_nothing_of_their_write(
        self, store: prestige.Store, entry: object, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            store.put_many([("good", "v"), entry])
        with pytest.raises(prestige.InvalidArgumentError):
            store.put_many({"good": "v"}, ttl_seconds=-1)
        assert len(store) == 0

    def test_a_lone_surrogate_is_numbered(self, store: prestige.Store) -> None:
        with pytest.raises(UnicodeEncodeError, match=r"surrogates not allowed, in entry 1$"):
            store.put_many([("k", "v"), ("k", "lone \ud800 surrogate")])
        with pytest.raises(UnicodeEncodeError, match=r"surrogates not allowed, in key 2$"):
            store.get_many(["a", "b", "\ud800"])

    def test_another_unicode_error_stays_as_it_is(self, store: prestige.Store) -> None:
        class Labels(collections.UserDict[str, str]):
            def items(self) -> Any:
                raise UnicodeError("label too long")

        with pytest.raises(UnicodeError, match=r"^label too long$"):
            store.put_many([("k", "v", None, Labels(a="b"))])

    def test_a_key_that_is_too_long_is_numbered(self, store: prestige.Store) -> None:
        good = [(str(number), "v") for number in range(3)]
        bad = ("k" * 65_537, "v")
        expected = "a key has at most 65536 bytes, this one has 65537"
        with pytest.raises(prestige.InvalidArgumentError, match=f"^entry 3: {expected}$"):
            store.put_many([*good, bad, *good])
        assert len(store) == 0
        many = [(str(number), "v") for number in range(PAGE)]
        with pytest.raises(prestige.InvalidArgumentError, match=f"^entry {PAGE + 3}: {expected}$"):
            store.put_many([*many, *good, bad, *good])
        assert len(store) == PAGE

    def test_an_exception_of_the_input_leaves_whole_writes_only(
        self, store: prestige.Store
    ) -> None:
        def entries() -> Iterator[tuple[str, str]]:
            for number in itertools.count():
                if number == PAGE + 500:
                    raise KeyError("the source broke")
                yield f"{number:05}", "v"

        with pytest.raises(KeyError, match="the source broke"):
            store.put_many(entries())
        assert list(store) == [f"{number:05}" for number in range(PAGE)]

    def test_an_exception_of_progress_leaves_what_was_written(self, store: prestige.Store) -> None:
        def progress(stored: int) -> None:
            assert stored == PAGE
            raise StopIteration

        with pytest.raises(StopIteration):
            store.put_many(((str(n), "v") for n in itertools.count()), progress=progress)
        assert len(store) == PAGE
        with pytest.raises(TypeError, match="not callable"):
            store.put_many({"k": "v"}, progress=5)

    def test_a_source_that_closes_the_store(self, store_path: Path) -> None:
        store = prestige.open(store_path)

        def entries() -> Iterator[tuple[str, str]]:
            yield "a", "v"
            store.close()
            yield "b", "v"

        with pytest.raises(prestige.ClosedError):
            store.put_many(entries())

    def test_a_store_within_its_bounds(self, store_path: Path) -> None:
        limit = 200_000
        with prestige.open(store_path, max_store_bytes=limit) as store:
            store.put_many((f"{n:05}", os.urandom(500)) for n in range(3000))
            assert 0 < store.total_bytes <= limit
            with pytest.raises(prestige.InvalidArgumentError, match=r"^entry 1: .*max_store_bytes"):
                store.put_many([("a", "v"), ("b", bytes(limit))])
            assert "a" not in store
            assert store.verify() == []

    def test_from_one_store_into_another(self, store: prestige.Store) -> None:
        store.put_many((f"{n:05}", str(n % 10)) for n in range(3000))
        copy = store.namespace("copy")
        assert copy.put_many(store.items()) == 3000
        assert list(copy.items()) == list(store.items())
        assert copy.count_unique_values() == 10


class TestGetMany:
    def test_order_duplicates_and_what_is_missing(self, store: prestige.Store) -> None:
        store.put_many({"a": "1", "b": "2", b"\xff": b"\xfe"})
        default = object()
        assert store.get_many(["b", "no", b"a", "b", "\udcff"]) == [b"2", None, b"1", b"2", b"\xfe"]
        assert store.get_many(iter("ba"), decode=True) == ["2", "1"]
        assert store.get_many(("a", "no"), default) == [b"1", default]
        assert store.get_many(("a", "no"), "x", True) == ["1", "x"]
        assert store.get_many({"a": 0, "no": 0}, default=[]) == [b"1", []]
        assert store.get_many([]) == store.contains_many([]) == []
        assert store.contains_many(["b", "no", b"a", "\udcff"]) == [True, False, True, True]
        with pytest.raises(UnicodeDecodeError):
            store.get_many(["a", b"\xff"], decode=True)

    def test_expired_keys_are_missing(self, store: prestige.Store, wait_until) -> None:
        store.put_many([("a", "v", 1), ("b", "v")])
        assert store.get_many([*"ab"]) == [b"v", b"v"]
        wait_until(lambda: store.get_many([*"ab"]) == [None, b"v"])
        assert store.contains_many([*"ab"]) == [False, True]
        assert store.delete_many([*"ab"]) == 1

    @pytest.mark.parametrize("cache", [0, 1 << 20, 64 << 20])
    def test_many_against_one_at_a_time(self, store_path: Path, cache: int) -> None:
        make = random.Random(cache)
        with prestige.open(store_path, value_cache_bytes=cache) as store:
            store.put_many((f"{n}", make.randbytes(n % 3000)) for n in range(0, 10_000, 2))
            keys = [str(make.randrange(10_000)) for _ in range(9000)]
            values = store.get_many(keys)
            assert values == [store.get(key, default=None) for key in keys]
            assert store.contains_many(keys) == [value is not None for value in values]
            assert store.contains_many(keys) == [key in store for key in keys]

    def test_large_values(self, store: prestige.Store) -> None:
        values = {str(number): os.urandom(1 << 20) for number in range(40)}
        store.put_many(values)
        assert store.get_many(values) == list(values.values())

    @pytest.mark.parametrize("method", ["get_many", "contains_many", "delete_many"])
    def test_wrong_keys(self, store: prestige.Store, method: str) -> None:
        call = getattr(store, method)
        store.put_many({"k": "v", "e": "v", "y": "v"})
        for single in ("key", b"key"):
            with pytest.raises(TypeError, match="not a single one"):
                call(single)
        for wrong in (None, 5):
            with pytest.raises(TypeError):
                call(wrong)
        with pytest.raises(TypeError, match="key 2: a key must be str or bytes, not int"):
            call(["k", "e", 5, "y"])
        with pytest.raises(ZeroDivisionError):
            call(str(1 // n) for n in (1, 0))
        assert len(store) == 3

    @pytest.mark.parametrize("method", ["get_many", "contains_many", "delete_many"])
    def test_a_key_that_is_too_long_is_absent_or_numbered(
        self, store: prestige.Store, method: str
    ) -> None:
        call = getattr(store, method)
        keys = ["a", "b", "k" * 65_537]
        if isinstance(store, prestige.Store):
            assert call(keys) in ([None] * 3, [False] * 3, 0)
            return
        with pytest.raises(prestige.InvalidArgumentError, match=r"^key 2: a key has at most"):
            call(keys)

    def test_a_value_that_is_dropped_with_a_finalizer_that_closes(self, store_path: Path) -> None:
        store = prestige.open(store_path)
        store.put_many({"a": "1", "b": "2"})

        class Closing(str):
            __slots__ = ()

            def __del__(self) -> None:
                store.close()

        assert store.get_many(Closing(letter) for letter in "ab") == [b"1", b"2"]
        assert store.closed


class TestDeleteMany:
    def test_what_exists_is_counted_once(self, store: prestige.Store) -> None:
        store.put_many((f"{n:05}", "v") for n in range(10_000))
        assert store.delete_many(["00000", "no", b"00000", "00001"]) == 2
        assert store.delete_many(store.keys(prefix="000")) == 98
        assert store.delete_many(iter(store)) == 9900
        assert (len(store), store.count_unique_values(), store.total_bytes) == (0, 0, 0)

    def test_values_wait_for_sweep_without_gc(self, store_path: Path) -> None:
        with prestige.open(store_path, enable_gc=False) as store:
            store.put_many((str(n), str(n)) for n in range(300))
            assert store.delete_many(map(str, range(300))) == 300
            assert (len(store), store.count_unique_values()) == (0, 300)
            assert store.sweep() == 300
            assert store.verify() == []

    def test_an_exception_of_the_input_keeps_what_was_deleted(self, store: prestige.Store) -> None:
        keys = [f"{n:05}" for n in range(10_000)]
        store.put_many((key, "v") for key in keys)

        def source() -> Iterator[str]:
            yield from keys[:6000]
            raise LookupError

        with pytest.raises(LookupError):
            store.delete_many(source())
        left = list(store)
        assert left == keys[-len(left) :]
        assert 4000 <= len(left) < 10_000


RSS = """
import itertools, os, sys, prestige
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
store = prestige.open(sys.argv[1], value_cache_bytes=1 << 20, write_buffer_bytes=4 << 20,
                      block_cache_bytes=4 << 20)
def entries(count, start=0):
    return ((f"key{n:09}", b"%09d" % n * 30) for n in range(start, start + count))
store.put_many(entries(20_000))
sum(1 for _ in store.items()), store.contains_many(store.keys())
before = rss()
store.put_many(entries(200_000))
written = rss()
assert sum(1 for _ in store.items()) == 200_000
assert all(store.contains_many(store.keys()))
for page in range(20):
    keys = (f"key{n:09}" for n in range(page * 10_000, page * 10_000 + 10_000))
    assert None not in store.get_many(keys)
read = rss()
assert store.delete_many(store.keys()) == 200_000
print(*(round((now - before) / 2**20) for now in (written, read, rss())))
"""


class TestMemory:
    def test_memory_does_not_grow_with_the_input(self, store_path: Path, run_script) -> None:
        """54 MB of values, more than 80 as Python objects, go in, are read and go out."""
        done = run_script(RSS, store_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert max(map(int, done.stdout.split())) < 45, done.stdout


ENDLESS = """
import itertools, sys, prestige
store = prestige.open(sys.argv[1])
store.put("key", "value")
try:
    print("ready", flush=True)
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert store.get("key") == b"value"
assert store.verify() == []
store.close()
"""


class TestInterrupt:
    @pytest.mark.parametrize(
        "call",
        [
            'store.put_many(itertools.repeat(("key", "value")))',
            'store.contains_many(itertools.repeat("key"))',
            'store.get_many(itertools.repeat("no key"))',
            'store.delete_many(itertools.repeat("no key"))',
        ],
        ids=["put_many", "contains_many", "get_many", "delete_many"],
    )
    def test_endless_input_can_be_interrupted(self, store_path: Path, start, call: str) -> None:
        child = start(ENDLESS.format(call=call), store_path)
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=60) == ("interrupted\n", "")
        assert child.returncode == 0


class TestThreads:
    def test_batches_of_many_threads_on_the_same_keys(self, store: prestige.Store) -> None:
        failures: list[BaseException] = []

        def work(seed: int) -> None:
            make = random.Random(seed)
            try:
                for _ in range(15):
                    keys = [f"key{make.randrange(300)}" for _ in range(200)]
                    match make.randrange(4):
                        case 0:
                            store.delete_many(keys)
                        case 1:
                            for value in store.get_many(keys):
                                assert value is None or value.startswith(b"value")
                        case _:
                            store.put_many((key, f"value {make.randrange(40)}") for key in keys)
            except BaseException as failure:
                failures.append(failure)

        run_all([lambda seed=seed: work(seed) for seed in range(8)])
        assert failures == []
        assert store.verify() == []

    @either.embedded  # A client's iterator is no snapshot.
    def test_a_write_is_seen_whole(self, store: prestige.Store) -> None:
        """All values of one batch are equal, and so are those that one iteration finds."""
        keys = [f"{n:03}" for n in range(900)]
        store.put_many((key, "0") for key in keys)
        done, torn = threading.Event(), []

        def write() -> None:
            for number in range(1, 30):
                store.put_many((key, str(number)) for key in keys)
            done.set()

        def read() -> None:
            while not done.is_set():
                found = set(store.values())
                if len(found) != 1:
                    torn.append(found)

        run_all([write, read])
        assert torn == []


@pytest.mark.usefixtures("semantic_store")
class TestSemantic:
    def test_a_batch_stores_and_embeds_equal_texts_once(self, store_path: Path) -> None:
        texts = ["How do I reset my password?", "Where is my order?"]
        with prestige.open(store_path, dedup_mode=prestige.DedupMode.SEMANTIC) as store:
            store.put_many((f"{n}", texts[n % 2]) for n in range(100))
            health = store.get_health()
            assert (health["total_objects"], health["index_log_entries"]) == (2, 2)
            similar = "How can I reset my password?"
            other = store.namespace("not loaded yet")
            other.put_many([("a", texts[0]), ("b", similar), ("c", texts[1]), ("d", texts[0])])
            values = other.get_many([*"abcd"], decode=True)
            assert values == [texts[0], texts[0], texts[1], texts[0]]
            assert other.delete_many([*"abcd"]) == 4
            assert other.get_health()["index_vectors"] == 0
            assert store.verify() == []

    def test_what_is_no_text_shares_a_batch_with_texts(self, store_path: Path) -> None:
        with prestige.open(store_path, dedup_mode=prestige.DedupMode.SEMANTIC) as store:
            store.put_many({"a": b"\xff\xfe", "b": "", "c": "a text", "d": b"\xff\xfe"})
            assert store.get_many([*"abcd"]) == [b"\xff\xfe", b"", b"a text", b"\xff\xfe"]
            assert store.get_health()["index_vectors"] == 1
            assert store.verify() == []
