"""Iteration over snapshots, and what exceptions are and say."""

from __future__ import annotations

import builtins
import gc
import itertools
import pickle
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from either import OverBoth, embedded
from together import run_all

import prestige

PAGE = 512  # Most keys of a page.


def key_of(number: int) -> str:
    return f"key{number:05}"


class TestIteration(OverBoth):
    def test_more_keys_than_one_page(self, store: prestige.Store) -> None:
        expected = [f"key{i:05}" for i in range(3 * 1024 + 1)]
        for key in expected:
            store.put(key, "value")
        assert list(store) == expected
        assert list(iter(store)) == expected
        assert len(store) == len(expected)

    def test_exactly_one_page(self, store: prestige.Store) -> None:
        for i in range(1024):
            store.put(f"{i:04}", "value")
        assert len(list(store)) == 1024

    def test_every_key_can_be_deleted_on_the_way(self, store: prestige.Store) -> None:
        for i in range(3000):
            store.put(f"key{i:05}", "value")
        seen = 0
        for key in store:
            del store[key]
            seen += 1
        assert seen == 3000
        assert list(store) == []

    @embedded
    def test_changes_on_the_way_are_not_seen(self, store: prestige.Store) -> None:
        expected = {key_of(i): str(i).encode() for i in range(3000)}
        store.put_many(expected)
        seen = {}
        for key, value in store.items():
            seen[key] = value
            store.put(f"{key}+", "added")
            store.put(key, "changed")
            store.put(key_of(2999), "changed")
        assert seen == expected
        assert len(store) == 6000

    def test_two_iterators_do_not_disturb_each_other(self, store: prestige.Store) -> None:
        for i in range(1500):
            store.put(f"{i:04}", "value")
        assert list(zip(store, store, strict=True)) == [(key, key) for key in store.list_keys()]

    def test_closing_ends_an_iteration_with_an_error(self, store_path: Path) -> None:
        with prestige.open(store_path) as store:
            for i in range(1025):
                store.put(f"{i:04}", "value")
            iterator = iter(store)
            next(iterator)
        with pytest.raises(ValueError, match="closed"):
            list(iterator)

    def test_an_empty_store_is_true(self, store: prestige.Store) -> None:
        assert list(store) == []
        assert bool(store) is True


class TestSnapshots:
    """An iterator sees the store as it was when it was made."""

    CHANGES: ClassVar[dict[str, Callable[[prestige.Store], object]]] = {
        "put_many": lambda store: store.put_many((f"new{i}", "new") for i in range(2000)),
        "overwrite": lambda store: store.put_many((key_of(i), "new") for i in range(2000)),
        "delete_many": lambda store: store.delete_many(store.keys()),
        "evict_lru": lambda store: store.evict_lru(0),
        "prune": lambda store: store.prune(max_age_seconds=1),
        "drop of another": lambda store: store.drop_namespace("other"),
    }

    @pytest.mark.parametrize("change", CHANGES)
    def test_what_changes_meanwhile_is_not_seen(
        self, store: prestige.Store, wait_until, change: str
    ) -> None:
        expected = [(key_of(i), str(i % 700).encode()) for i in range(2000)]
        store.put_many(expected)
        store.namespace("other").put_many(expected)
        if change == "prune":
            wait_until(lambda: store.get_health()["newest_access_age_s"] >= 2)
        items, values, keys = store.items(), store.values(), iter(store)
        begun = [next(items) for _ in range(10)]
        self.CHANGES[change](store)
        store.flush()
        store.compact()
        assert begun + list(items) == expected
        assert list(values) == [value for _, value in expected]
        assert list(keys) == [key for key, _ in expected]
        assert sum(1 for _ in store) == {"put_many": 4000, "overwrite": 2000}.get(
            change, 2000 if change == "drop of another" else 0
        )

    def test_expired_keys_are_left_out_and_sweep_takes_none_away(
        self, store: prestige.Store, wait_until
    ) -> None:
        store.put_many((key_of(i), str(i), 1 if i % 2 else 0) for i in range(2000))
        before = store.items()
        wait_until(lambda: key_of(1999) not in store)
        assert store.sweep() == 1000
        assert [key for key, _ in store.items()] == [key_of(i) for i in range(0, 2000, 2)]
        assert list(store.keys(limit=3)) == [key_of(i) for i in (0, 2, 4)]
        assert len(list(before)) == 2000

    def test_dropping_the_namespace_ends_its_iterators_with_an_error(
        self, store: prestige.Store
    ) -> None:
        view = store.namespace("gone")
        view.put_many((key_of(i), str(i)) for i in range(2000))
        store.flush()
        iterators = [view.keys(), view.values(), view.items(), iter(view)]
        for iterator in iterators:
            next(iterator)
        store.drop_namespace("gone")
        store.namespace("gone").put("key", "of its successor")
        for iterator in iterators:
            with pytest.raises(prestige.InvalidArgumentError, match="dropped"):
                list(iterator)

    def test_removed_data_leaves_the_disk_when_iterators_end(self, store: prestige.Store) -> None:
        make = random.Random(1)
        store.put_many((key_of(i), make.randbytes(5000)) for i in range(600))
        left, exhausted = store.items(), store.items()
        next(left)
        store.delete_many(store.keys())
        store.flush()
        store.compact()
        assert store.get_health()["bytes_on_disk"] > 3_000_000
        assert sum(1 for _ in exhausted) == 600
        del left
        gc.collect()
        store.put("another", "write")  # RocksDB looks at what it may drop when it writes files.
        store.flush()
        store.compact()
        assert store.get_health()["bytes_on_disk"] < 500_000


class TestRanges(OverBoth):
    def test_against_a_naive_model(self, store: prestige.Store) -> None:
        make = random.Random(3)
        alphabet = [b"a", b"b", b"\xff", b"\xfe", b"\0", "é".encode(), b"/"]

        def some() -> bytes:
            return b"".join(make.choices(alphabet, k=make.randrange(5)))

        model = {some(): make.randbytes(3) for _ in range(700)}
        store.put_many(model)
        for name in ("", "\0"):
            # Neighbours of the default namespace in the order of the disk.
            if name:
                store.namespace(name).put_many(dict.fromkeys(model, "stranger"))
        for _ in range(400):
            prefix, start, limit = some()[:2], some(), make.choice([None, 0, 1, 2, 100])
            given = {
                name: value
                for name, value in (("prefix", prefix), ("start", start), ("limit", limit))
                if make.random() < 0.6
            }
            expected = [
                (key.decode("utf-8", "surrogateescape"), model[key])
                for key in sorted(model)
                if key.startswith(given.get("prefix", b"")) and key >= given.get("start", b"")
            ][: given.get("limit")]
            assert list(store.items(**given)) == list(store.scan(**given)) == expected
            assert list(store.keys(**given)) == [key for key, _ in expected]
            assert list(store.values(**given)) == [value for _, value in expected]

    def test_forms_of_arguments(self, store: prestige.Store) -> None:
        store.put_many({"a": "1", "ab": "2", "b": "3", b"\xff": "4"})
        assert list(store.keys("a", "ab", 5)) == ["ab"]
        assert list(store.keys(None, None, None)) == ["a", "ab", "b", "\udcff"]
        assert list(store.keys(prefix=b"\xff")) == list(store.keys(start="\udcff")) == ["\udcff"]
        assert list(store.keys("zzz")) == list(store.keys("a", "b")) == []
        for wrong in ({"prefix": 5}, {"start": 5}, {"limit": "5"}, {"limit": 1.5}):
            with pytest.raises(TypeError):
                store.keys(**wrong)
        with pytest.raises(prestige.InvalidArgumentError):
            store.items(limit=-1)

    @pytest.mark.parametrize("number", [PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
    def test_limits_around_a_page(self, store: prestige.Store, number: int) -> None:
        store.put_many((key_of(i), str(i)) for i in range(2 * PAGE + 3))
        expected = [key_of(i) for i in range(min(number, 2 * PAGE + 3))]
        assert list(store.keys(limit=number)) == expected
        assert [key for key, _ in store.items(limit=number)] == expected

    def test_large_values(self, store: prestige.Store) -> None:
        values = [bytes([i]) * 700_000 for i in range(9)]
        store.put_many((str(i), value) for i, value in enumerate(values))
        assert list(store.values()) == values
        assert list(store.values(start="7")) == values[7:]


class TestLifeOfAnIterator(OverBoth):
    def test_an_exhausted_iterator_stays_exhausted(self, store: prestige.Store) -> None:
        iterator = store.keys()
        assert list(iterator) == []
        store.put("key", "value")
        assert list(iterator) == []

    def test_it_outlives_its_handles(self, store_path: Path) -> None:
        iterator = prestige.open(store_path).namespace("view").items()
        view = prestige.Store.open(store_path.with_name("other")).namespace("view")
        view.put_many((key_of(i), str(i)) for i in range(2000))
        items = view.items()
        del view
        gc.collect()
        assert len(list(items)) == 2000
        assert list(iterator) == []
        del items, iterator
        gc.collect()
        for path in (store_path, store_path.with_name("other")):
            prestige.open(path).close()

    def test_closing_a_store_does_not_wait_for_iterators(self, store_path: Path) -> None:
        store = prestige.open(store_path)
        store.put_many((key_of(i), str(i)) for i in range(2000))
        iterators = [store.keys(), store.values(), store.items(), store.namespace("view").keys()]
        next(iterators[0])
        store.close()
        for iterator in iterators:
            for _ in range(2):
                with pytest.raises(prestige.ClosedError):
                    list(iterator)
        with prestige.open(store_path) as again:
            with pytest.raises(prestige.ClosedError):
                next(iterators[1])
            del iterators, iterator
            assert len(again) == 2000

    def test_a_closed_store_begins_none(self, store_path: Path) -> None:
        store = prestige.open(store_path)
        store.close()
        for begin in (store.keys, store.values, store.items, store.scan, store.__iter__):
            with pytest.raises(prestige.ClosedError):
                begin()

    def test_threads_share_an_iterator(self, store: prestige.Store) -> None:
        expected = [(key_of(i), str(i).encode()) for i in range(20_000)]
        store.put_many(expected)
        items, got = store.items(), []

        def read() -> None:
            own = list(items)
            assert own == sorted(own)
            got.extend(own)

        run_all([read] * 6)
        assert sorted(got) == expected

    def test_an_iterator_that_another_thread_drops(self, store: prestige.Store) -> None:
        store.put_many((key_of(i), str(i)) for i in range(1000))
        for _ in range(50):
            iterators = [store.items()]
            next(iterators[0])
            run_all([iterators.clear])

    def test_it_cannot_be_pickled(self, store: prestige.Store) -> None:
        with pytest.raises(TypeError):
            pickle.dumps(store.keys())

    def test_many_iterators_at_once(self, store: prestige.Store) -> None:
        store.put_many((key_of(i), str(i)) for i in range(100))
        iterators = [store.keys() for _ in range(500)]
        assert all(next(iterator) == key_of(0) for iterator in iterators)
        assert all(len(list(itertools.islice(iterator, 5))) == 5 for iterator in iterators)

    def test_a_long_iteration_can_be_interrupted(self, store_path: Path, start) -> None:
        script = """
            import collections, itertools, sys, prestige
            store = prestige.open(sys.argv[1])
            store.put_many((f"{i:09}", "value") for i in range(100_000))
            # An endless call that runs no Python code, which would see the signal.
            again = itertools.starmap(store.items, itertools.repeat(()))
            try:
                print("ready", flush=True)
                collections.deque(itertools.chain.from_iterable(again), maxlen=0)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
            assert len(list(store)) == 100_000
        """
        child = start(script, store_path)
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=60) == ("interrupted\n", "")
        assert child.returncode == 0


class TestExceptionClasses(OverBoth):
    @pytest.mark.parametrize(
        ("exception", "builtin"),
        [
            (prestige.NotFoundError, KeyError),
            (prestige.InvalidArgumentError, ValueError),
            (prestige.IOError, builtins.OSError),
            (prestige.BusyError, builtins.OSError),
            (prestige.TimedOutError, TimeoutError),
            (prestige.ClosedError, ValueError),
            (prestige.CorruptionError, Exception),
            (prestige.ModelError, Exception),
        ],
    )
    def test_each_is_also_what_python_code_expects(
        self, exception: type[Exception], builtin: type[Exception]
    ) -> None:
        assert issubclass(exception, prestige.PrestigeError)
        assert issubclass(exception, builtin)
        assert exception.__module__.startswith("prestige")
        assert exception.__doc__

    def test_messages_are_sentences(self, store: prestige.Store) -> None:
        for call in (lambda: store.get("the key"), lambda: store["the key"]):
            with pytest.raises(KeyError) as caught:
                call()
            # KeyError would show its argument in quotes.
            assert str(caught.value) == "key not found: the key"
        assert str(prestige.NotFoundError("why")) == "why"
        assert str(prestige.IOError("why")) == str(prestige.BusyError("why")) == "why"

    def test_messages_about_unreadable_keys(self, store: prestige.Store) -> None:
        for call in (store.get, store.delete, store.get_object_id):
            with pytest.raises(prestige.NotFoundError) as caught:
                call(b"\xff\0key")
            assert "key" in str(caught.value)
            str(caught.value).encode()
            with pytest.raises(prestige.NotFoundError) as caught:
                call("k" * 60_000)
            assert len(str(caught.value)) < 1000
