"""Dropping namespaces, by hand and with a kill in between, and eviction across them."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from together import gone_is_fine, run_all

import prestige

KEYS = [f"key{number:04}" for number in range(1500)]


class TestEviction:
    LIMIT = 100_000

    def test_the_limit_spans_namespaces_with_a_key_each(self, store_path: Path) -> None:
        with prestige.open(store_path, max_store_bytes=self.LIMIT) as store:
            for number in range(300):
                view = store.namespace(f"{number:03}")
                view.put("key", os.urandom(1000))
                total = sum(store.namespace(name).total_bytes for name in store.namespaces())
                assert total <= self.LIMIT
                assert "key" in view
            assert "key" not in store.namespace("000")
            assert store.verify() == []

    def test_one_old_key_does_not_stop_it(self, store_path: Path) -> None:
        with prestige.open(store_path, max_store_bytes=self.LIMIT) as store:
            old, busy = store.namespace("old"), store.namespace("busy")
            old.put("key", "value")
            for number in range(500):
                busy.put(f"{number:03}", os.urandom(1000))
                assert old.total_bytes + busy.total_bytes <= self.LIMIT
            assert len(old) == 0
            assert busy.contains_many(["000", "499"]) == [False, True]
            assert store.verify() == []

    def test_the_least_recently_used_of_all_go_first(self, store_path: Path, wait_until) -> None:
        with prestige.open(
            store_path, max_store_bytes=self.LIMIT, eviction_target_ratio=0.5
        ) as store:
            views = [store.namespace(name) for name in "abc"]
            for number in range(99):
                views[number % 3].put(f"{number:03}", os.urandom(1000))
            views[0].put("last", os.urandom(3000))
            wait_until(lambda: sum(view.total_bytes for view in views) <= self.LIMIT / 2)
            left = sorted(key for view in views for key in view)
            assert left == [*(f"{number:03}" for number in range(99 - len(left) + 1, 99)), "last"]
            assert 40 <= len(left) <= 50
            assert store.verify() == []

    def test_namespaces_come_and_go_while_eviction_runs(self, store_path: Path) -> None:
        with prestige.open(store_path, max_store_bytes=self.LIMIT) as store:

            def work(seed: int) -> None:
                make = random.Random(seed)
                for _ in range(150):
                    name = f"n{make.randrange(6)}"
                    if make.randrange(10) == 0:
                        with gone_is_fine():
                            store.drop_namespace(name)
                    else:
                        with gone_is_fine():
                            store.namespace(name).put(make.choice(KEYS), make.randbytes(3000))

            run_all([lambda seed=seed: work(seed) for seed in range(4)])
            store.put("key", "value")
            total = store.total_bytes
            total += sum(store.namespace(name).total_bytes for name in store.namespaces())
            assert total <= self.LIMIT
            assert store.verify() == []


class TestDrop:
    def test_what_is_left_of_it(self, store: prestige.Store) -> None:
        kept = store.namespace("kept")
        for view in (store, kept, store.namespace("gone")):
            view.put_many((key, key, 3600) for key in KEYS)
        gone = store.namespace("gone")
        assert gone.get(KEYS[0]) == KEYS[0].encode()  # Now cached.
        store.drop_namespace("gone")
        assert store.namespaces() == ["kept"]
        for call in (
            len,
            list,
            lambda view: view.get(KEYS[0]),
            lambda view: view.get(KEYS[0], None),
            lambda view: KEYS[0] in view,
            lambda view: view.put("k", "v"),
            lambda view: view.put_many({"k": "v"}),
            lambda view: view.get_many(KEYS),
            lambda view: view.contains_many(KEYS),
            lambda view: view.delete_many(KEYS),
            lambda view: view.sweep(),
            lambda view: view.evict_lru(0),
            lambda view: view.get_health(),
            lambda view: view.verify(),
            lambda view: view.total_bytes,
            lambda view: view.list_keys(),
            lambda view: view.serve(),
            lambda view: view.__enter__(),
        ):
            with pytest.raises(prestige.InvalidArgumentError, match='"gone" was dropped'):
                call(gone)
        assert (gone.namespace_name, gone.closed) == ("gone", False)
        with pytest.raises(prestige.NotFoundError, match="gone"):
            store.drop_namespace("gone")
        assert len(store) == len(kept) == len(KEYS)
        again = store.namespace("gone")
        assert (len(again), again.total_bytes, KEYS[0] in again) == (0, 0, False)
        again.put(KEYS[0], "new")
        assert again.get(KEYS[0]) == b"new"

    def test_a_view_can_drop_its_own_namespace(self, store: prestige.Store) -> None:
        view = store.namespace("a")
        view.drop_namespace("a")
        assert store.namespaces() == view.namespaces() == []

    @pytest.mark.parametrize("key", ["", "\0", b"\xff", b"\xff" * 70])
    def test_its_files_go_and_its_neighbours_stay(self, store_path: Path, key: str | bytes) -> None:
        """The files of the namespace are deleted as such, once compaction has made them."""
        with prestige.open(store_path) as store:
            before, gone, after = (store.namespace(name) for name in ("before", "gone", "after"))
            after.put(key, "after")
            gone.put_many((f"{n}", os.urandom(2000)) for n in range(2000))
            gone.put(key, "gone")
            store.flush()
            store.compact()
            assert store.get_health()["bytes_on_disk"] > 4_000_000
            before.put(key, "before")
            store.drop_namespace("gone")
            assert (before.get(key), after.get(key)) == (b"before", b"after")
            assert list(after.items()) == list(after.items(prefix=key))
            assert store.verify() == []
        with prestige.open(store_path) as store:
            assert store.namespaces() == ["after", "before"]
            assert store.namespace("after")[key] == b"after"
            assert store.verify() == []
            store.compact()
            assert store.get_health()["bytes_on_disk"] < 100_000

    def test_dropped_and_made_anew_many_times(self, store_path: Path) -> None:
        with prestige.open(store_path) as store:
            for number in range(60):
                view = store.namespace("again")
                assert list(view) == []
                view.put_many((key, f"{number}") for key in KEYS[:50])
                if number % 20 == 7:
                    store.flush()
                    store.compact()
                store.drop_namespace("again")
            assert store.verify() == []
        with prestige.open(store_path) as store:
            assert store.namespaces() == []
            assert store.total_bytes == 0

    def test_while_other_threads_work_in_it(self, store: prestige.Store) -> None:
        store.put_many((key, key) for key in KEYS)
        failures: list[BaseException] = []
        done = threading.Event()

        def guarded(action: Callable[[random.Random], None], seed: int) -> Callable[[], None]:
            def run() -> None:
                make = random.Random(seed)
                try:
                    while not done.is_set():
                        with gone_is_fine():
                            action(make)
                except BaseException as failure:
                    failures.append(failure)

            return run

        def write(make: random.Random) -> None:
            view = store.namespace("busy")
            view.put_many((make.choice(KEYS), str(make.randrange(50))) for _ in range(100))
            view.put(make.choice(KEYS), "value")
            view.delete_many(make.choices(KEYS, k=20))

        def read(make: random.Random) -> None:
            view = store.namespace("busy")
            view.get(make.choice(KEYS), default=None)
            view.get_many(KEYS[:300])
            for _ in view.items():
                pass

        def check(_: random.Random) -> None:
            assert store.verify() == []
            assert sum(1 for _ in store.values()) == len(KEYS)

        def drop(make: random.Random) -> None:
            store.drop_namespace("busy")
            if make.randrange(8) == 0:
                store.flush()

        def end() -> None:
            done.wait(6)
            done.set()

        actions = [write, write, read, read, check, drop]
        run_all([*(guarded(action, seed) for seed, action in enumerate(actions)), end])
        assert failures == []

    def test_several_threads_drop_one(self, store: prestige.Store) -> None:
        outcomes: list[str] = []
        for _ in range(20):
            store.namespace("one").put("key", "value")

            def drop() -> None:
                try:
                    store.drop_namespace("one")
                    outcomes.append("dropped")
                except prestige.NotFoundError:
                    outcomes.append("not found")

            run_all([drop] * 4)
        assert outcomes.count("dropped") == 20
        assert outcomes.count("not found") == 60

    def test_an_iteration_does_not_bring_it_back(self, store: prestige.Store) -> None:
        """A scan that begins while its namespace is dropped must not make it anew."""
        stop = threading.Event()

        def scan() -> None:
            while not stop.is_set():
                with gone_is_fine():
                    next(view.keys(), None)

        for _ in range(60):
            view = store.namespace("gone")
            stop.clear()
            scanner = threading.Thread(target=scan)
            scanner.start()
            store.drop_namespace("gone")
            stop.set()
            scanner.join()
            assert store.namespaces() == []


DROPPER = """
import itertools, random, sys, prestige
store = prestige.open(sys.argv[1], write_buffer_bytes=1 << 16)
make = random.Random(int(sys.argv[2]))
store.namespace("kept").put_many((f"{n:04}", f"{n:04}") for n in range(500))
for number in itertools.count():
    name = f"round {number}"
    view = store.namespace(name)
    view.put_many((f"{n:04}", make.randbytes(200)) for n in range(300))
    view.get_many(f"{n:04}" for n in range(300))
    print("made", number, flush=True)
    store.drop_namespace(name)
    print("gone", number, flush=True)
"""


class TestKill:
    def test_a_namespace_is_there_or_gone(self, store_path: Path, start) -> None:
        make = random.Random(5)
        for round_number in range(6):
            child = start(DROPPER, store_path, round_number)
            for _ in range(make.randrange(2, 40)):
                last = child.stdout.readline().split()
            os.kill(child.pid, signal.SIGKILL)
            # `communicate` would miss what `readline` has read ahead.
            rest = child.stdout.read().splitlines(keepends=True)
            child.wait()
            last = [line for line in rest if line.endswith("\n")][-1:] or [" ".join(last)]
            state, number = last[0].split()
            with prestige.open(store_path) as store:
                assert store.verify() == []
                kept = store.namespace("kept")
                assert list(kept.items()) == [(f"{n:04}", f"{n:04}".encode()) for n in range(500)]
                names = [name for name in store.namespaces() if name != "kept"]
                # The last round is whole, or gone; the next one may have begun.
                for name in names:
                    size = len(store.namespace(name))
                    if name == f"round {number}" and state == "made":
                        assert size == 300
                    else:
                        assert name == f"round {int(number) + 1}"
                        assert size in (0, 300)
                    store.drop_namespace(name)
                assert store.verify() == []
