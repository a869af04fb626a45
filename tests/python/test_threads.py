"""Many threads on one store, and processes killed while they write."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rocksdb_files import log_file, new_manifest
from together import run_all

import prestige

ROUNDS = 5


class TestThreads:
    def test_eight_threads_on_the_same_keys(self, store: prestige.Store) -> None:
        failures: list[BaseException] = []

        def work(seed: int) -> Callable[[], None]:
            make = random.Random(seed)

            def run() -> None:
                try:
                    for _ in range(400):
                        key, value = f"key{make.randrange(20)}", f"value {make.randrange(10)}"
                        match make.randrange(8):
                            case 0:
                                store.get(key, default=None)
                            case 1:
                                with contextlib.suppress(prestige.NotFoundError):
                                    store.delete(key)
                            case 2:
                                store.list_keys(prefix="key1")
                            case 3:
                                store.put(key, value, ttl_seconds=1)
                            case _:
                                store.put(key, value)
                    store.sweep()
                except BaseException as failure:
                    failures.append(failure)

            return run

        run_all([work(seed) for seed in range(8)])
        assert failures == []
        assert store.verify() == []
        for key in store:
            assert store.get(key, default=b"value").startswith(b"value")

    def test_readers_never_see_half_a_value(self, store: prestige.Store) -> None:
        values = [bytes([i]) * 20_000 for i in range(8)]
        store.put("key", values[0])
        done = threading.Event()
        wrong: list[bytes] = []

        def read() -> None:
            while not done.is_set():
                value = store.get("key")
                if value not in values:
                    wrong.append(value[:10])

        def write() -> None:
            for i in range(300):
                store.put("key", values[i % 8])
            done.set()

        run_all([read, read, write])
        assert wrong == []

    def test_closing_waits_for_what_runs(self, store_path: Path) -> None:
        for _ in range(5):
            store = prestige.open(store_path)
            acknowledged: list[str] = []
            started = threading.Barrier(5)

            def write(
                name: int,
                store: prestige.Store = store,
                started: threading.Barrier = started,
                acknowledged: list[str] = acknowledged,
            ) -> None:
                started.wait()
                for i in range(100_000):
                    key = f"{name}:{i}"
                    try:
                        store.put(key, key)
                    except prestige.ClosedError:
                        return
                    acknowledged.append(key)

            writers = [threading.Thread(target=write, args=(name,)) for name in range(4)]
            for writer in writers:
                writer.start()
            started.wait()
            while len(acknowledged) < 50:
                time.sleep(0.001)
            store.close()
            for writer in writers:
                writer.join()
            with prestige.open(store_path) as again:
                assert all(again.get(key, decode=True) == key for key in acknowledged)
                assert again.verify() == []


WRITER = """
import hashlib, itertools, sys
import prestige
path, first = sys.argv[1], int(sys.argv[2])
store = prestige.open(path, write_buffer_bytes=1 << 18)
for i in itertools.count(first):
    key = f"key{i:08}"
    # One in three shares a value, one in five replaces one, one in seven goes again.
    store.put(key, hashlib.shake_128(str(i // 3).encode()).digest(500))
    if i % 5 == 0:
        store.put(key, "replaced")
    if i % 7 == 0:
        store.delete(key)
    print(i, flush=True)
"""


class TestKill:
    def test_acknowledged_keys_survive(self, store_path: Path) -> None:
        make, first, acknowledged = random.Random(7), 0, []
        for _ in range(ROUNDS):
            wanted = make.randrange(20, 1500)
            child = subprocess.Popen(
                [sys.executable, "-c", WRITER, str(store_path), str(first)],
                stdout=subprocess.PIPE,
                text=True,
            )
            with child:
                for line in child.stdout:
                    acknowledged.append(int(line))
                    if len(acknowledged) - first >= wanted:
                        break
                child.send_signal(signal.SIGKILL)
                acknowledged.extend(int(line) for line in child.stdout if line.endswith("\n"))
            assert child.returncode == -signal.SIGKILL
            first = acknowledged[-1] + 1
            with prestige.open(store_path) as store:
                assert store.verify() == []
                for i in acknowledged:
                    expected = hashlib.shake_128(str(i // 3).encode()).digest(500)
                    if i % 5 == 0:
                        expected = b"replaced"
                    if i % 7 == 0:
                        expected = None
                    assert store.get(f"key{i:08}", default=None) == expected
                # At most the one put under way is there beyond what was acknowledged.
                beyond = [key for key in store if int(key[3:]) >= first]
                assert set(beyond) <= {f"key{first:08}"}
        assert acknowledged == list(range(len(acknowledged)))

    def test_a_killed_owner_frees_the_directory(self, store_path: Path) -> None:
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(store_path), "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        with child:
            child.stdout.readline()
            with pytest.raises(prestige.BusyError):
                prestige.open(store_path)
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        with prestige.open(store_path) as store:
            assert store.verify() == []

    @pytest.mark.parametrize(
        "files",
        [
            {},
            {"MANIFEST-000001": b""},
            {"MANIFEST-000001": log_file([new_manifest(0)])[:20]},
            {"MANIFEST-000001": log_file([new_manifest(0)])},
            {"MANIFEST-000001": log_file([new_manifest(0)]), "000001.dbtmp": b"MANIFEST-000001\n"},
        ],
        ids=["nothing", "empty MANIFEST", "torn MANIFEST", "MANIFEST", "CURRENT not renamed yet"],
    )
    def test_a_creation_cut_short_before_current_was_written(
        self, store_path: Path, files: dict[str, bytes]
    ) -> None:
        """RocksDB writes IDENTITY, MANIFEST and CURRENT in this order; nothing is lost yet."""
        store_path.mkdir()
        for name, content in {"store.lock": b"", "LOCK": b"", "IDENTITY": b"id", **files}.items():
            (store_path / name).write_bytes(content)
        with prestige.open(store_path) as store:
            store.put("key", "value")
            assert store.verify() == []
        with prestige.open(store_path) as store:
            assert store.get("key") == b"value"

    def test_killed_while_creating(self, tmp_path: Path) -> None:
        """Whatever a creation left behind, the next one finishes it."""
        creator = "import sys, prestige; print(flush=True); prestige.open(sys.argv[1])"
        for round_number in range(20):
            path = tmp_path / str(round_number)
            child = subprocess.Popen(
                [sys.executable, "-c", creator, str(path)], stdout=subprocess.PIPE
            )
            with child:
                child.stdout.readline()
                time.sleep(round_number / 400)
                child.kill()
            with prestige.open(path) as store:
                store.put("key", "value")
                assert store.verify() == []
