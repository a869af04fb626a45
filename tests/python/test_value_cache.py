"""The cache of hot keys and values: what it holds is never out of date, and bounded."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest
from together import run_all

import prestige

SIZES = [0, 1, 1 << 12, 1 << 20, 64 << 20, 2**50]


@pytest.mark.parametrize("size", SIZES)
class TestOneThread:
    def test_against_a_dictionary(self, store_path: Path, size: int) -> None:
        make = random.Random(size)
        names = ["", "a", "b"]
        model: dict[str, dict[str, bytes]] = {name: {} for name in names}
        with prestige.open(store_path, value_cache_bytes=size) as store:
            for _ in range(4000):
                name, key = make.choice(names), f"{make.randrange(40)}"
                view, expected = store.namespace(name), model[name]
                match make.randrange(12):
                    case 0 | 1:
                        expected[key] = make.choice([b"x", b"y", make.randbytes(200)])
                        view.put(key, expected[key])
                    case 2:
                        batch = {f"{make.randrange(40)}": make.randbytes(3) for _ in range(5)}
                        expected.update(batch)
                        view.put_many(batch)
                    case 3:
                        assert view.delete_many([key]) == (expected.pop(key, None) is not None)
                    case 4 if make.randrange(20) == 0:
                        assert view.evict_lru(0) == len(expected)
                        expected.clear()
                    case 5 if name and make.randrange(10) == 0:
                        store.drop_namespace(name)
                        expected.clear()
                    case 6:
                        assert view.get_many(map(str, range(40))) == [
                            expected.get(str(number)) for number in range(40)
                        ]
                    case 7:
                        assert (key in view) == (key in expected)
                    case _:
                        assert view.get(key, default=None) == expected.get(key)
            assert store.verify() == []

    def test_an_expired_key_is_gone_from_it(self, store_path: Path, wait_until, size: int) -> None:
        with prestige.open(store_path, value_cache_bytes=size) as store:
            store.put("key", "value", ttl_seconds=1)
            store.put("sure", "value")
            for _ in range(3):
                store.get_many(["key", "sure"])
            wait_until(lambda: store.get("key", default=None) is None)
            assert store.get_many(["key", "sure"]) == [None, b"value"]
            assert store.sweep() == 0
            store.put("key", "again")
            assert store["key"] == b"again"


def test_sizes_out_of_range(store_path: Path) -> None:
    for wrong in (-1, 2**50 + 1):
        with pytest.raises(prestige.InvalidArgumentError, match="value_cache_bytes"):
            prestige.open(store_path, value_cache_bytes=wrong)
    with pytest.raises(TypeError, match="value_cache_bytes"):
        prestige.open(store_path, value_cache_bytes="1")


@pytest.mark.parametrize("size", [0, 1 << 20, 64 << 20])
class TestManyThreads:
    KEYS = 6
    SECONDS = 5

    def test_a_read_is_never_older_than_what_was_known_before(
        self, store_path: Path, size: int
    ) -> None:
        """Each key counts up. A read must not return less than what was acknowledged when it began,
        nor than what any thread had read by then."""
        failures: list[object] = []
        done = threading.Event()
        # What is known to be in the store, by key: raised after a put or read has returned.
        known = [0] * self.KEYS
        guards = [threading.Lock() for _ in range(self.KEYS)]

        def learn(number: int, count: int) -> None:
            with guards[number]:
                known[number] = max(known[number], count)

        with prestige.open(store_path, value_cache_bytes=size) as store:
            view = store.namespace("view")
            views = [store, view, store, view, store, view]
            for number in range(self.KEYS):
                views[number].put(f"{number}", "0")

            def write(number: int) -> None:
                count = 0
                while not done.is_set():
                    count += 1
                    if count % 3 == 0:
                        views[number].put_many({f"{number}": str(count), "other": str(count)})
                    else:
                        views[number].put(f"{number}", str(count))
                    learn(number, count)

            def read(seed: int) -> None:
                make = random.Random(seed)
                while not done.is_set():
                    number = make.randrange(self.KEYS)
                    key, before = f"{number}", known[number]
                    value = (
                        views[number].get(key)
                        if make.randrange(3)
                        else views[number].get_many([key])[0]
                    )
                    if int(value) < before:
                        failures.append((key, before, value))
                    learn(number, int(value))

            def guarded(action, argument: int) -> None:
                try:
                    action(argument)
                except BaseException as failure:
                    failures.append(failure)
                    done.set()

            run_all(
                [
                    *(lambda n=n: guarded(write, n) for n in range(self.KEYS // 2)),
                    *(lambda n=n: guarded(read, n) for n in range(4)),
                    lambda: done.wait(self.SECONDS) or done.set(),
                ]
            )
            assert failures == []
            assert store.verify() == []

    def test_what_is_gone_stays_gone(self, store_path: Path, size: int) -> None:
        """After a key was removed in whatever way, and until it is put again, no read finds it."""
        failures: list[object] = []
        done = threading.Event()
        with prestige.open(store_path, value_cache_bytes=size) as store:

            def read() -> None:
                while not done.is_set():
                    for name in ("a", "b", "c"):
                        try:
                            store.namespace(name).get("key", default=None)
                        except prestige.InvalidArgumentError as error:
                            if "dropped" not in str(error):
                                failures.append(error)
                        except BaseException as failure:
                            failures.append(failure)

            def change(name: str) -> None:
                make = random.Random(name)
                try:
                    for number in range(250):
                        view = store.namespace(name)
                        value = f"{number} {make.random()}".encode()
                        view.put("key", value)
                        if view.get("key") != value:
                            failures.append("another value")
                        match make.randrange(4):
                            case 0:
                                view.delete("key")
                            case 1:
                                view.delete_many(["key"])
                            case 2:
                                view.evict_lru(0)
                            case _ if name != "a":
                                store.drop_namespace(name)
                                view = store.namespace(name)
                            case _:
                                view.delete("key")
                        found = view.get("key", default=None), *view.get_many(["key"])
                        if found != (None, None) or "key" in view:
                            failures.append((number, found))
                except BaseException as failure:
                    failures.append(failure)

            def end() -> None:
                run_all([lambda name=name: change(name) for name in ("a", "b", "c")])
                done.set()

            run_all([read, read, end])
            assert failures == []
            assert store.verify() == []


MEMORY = """
import os, sys, prestige
def rss():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
store = prestige.open(sys.argv[1], value_cache_bytes=int(sys.argv[2]), block_cache_bytes=1 << 20,
                      write_buffer_bytes=4 << 20)
def pages():
    return ([f"key{n:06}" for n in range(first, first + 1000)] for first in range(0, 60_000, 1000))
before = rss()
for page in pages():
    store.put_many((key, key.encode() * 100) for key in page)
store.flush()
for _ in range(2):
    for page in pages():
        for key in page:
            store.get(key)
print(round((rss() - before) / 2**20))
"""


def test_memory_is_bounded(store_path: Path, run_script) -> None:
    """Of 54 MB that are put and read again and again, little stays in 1 MiB, most in 128 MiB."""
    grown = []
    for size in (1 << 20, 128 << 20):
        done = run_script(MEMORY, store_path.with_name(str(size)), size)
        assert (done.returncode, done.stderr) == (0, "")
        grown.append(int(done.stdout))
    # Write buffers and what is known of lately written objects, 8 MB, come on top; all 54 MB would
    # be far beyond.
    assert grown[0] < 48, grown
    assert grown[1] > grown[0] + 30, grown


def test_it_is_used(store_path: Path) -> None:
    """A value that is cached is found without its file; one that is not, is not."""
    for size, expected in ((1 << 20, True), (0, False)):
        path = store_path.with_name(f"store{size}")
        with prestige.open(path, value_cache_bytes=size, block_cache_bytes=0) as store:
            store.put("key", os.urandom(100))
            store.flush()
            value = store.get("key")
            for file in path.glob("*.sst"):
                os.truncate(file, 0)
            try:
                assert (store.get("key") == value) is expected
            except prestige.PrestigeError:
                assert not expected
