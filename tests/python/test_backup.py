"""Backups and restoring: what a copy holds, and what a failure leaves behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from directories import contents

import prestige


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system of 1 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    try:
        mounted = subprocess.run(mounting, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small file system can be mounted by root on Linux only")
    yield path
    subprocess.run(["umount", str(path)], check=True)


class TestBackup:
    def test_a_backup_under_four_writers_has_every_key_acknowledged_before(
        self, store_path: Path, tmp_path: Path
    ) -> None:
        acknowledged = [0] * 4
        stop = threading.Event()
        with prestige.open(store_path, write_buffer_bytes=1 << 18) as store:

            def put(writer: int) -> None:
                for i in range(1_000_000):
                    if stop.is_set():
                        return
                    store.put(f"{writer}/{i}", f"{i // 2} {writer % 2}" * 40)
                    acknowledged[writer] = i + 1

            threads = [threading.Thread(target=put, args=(writer,)) for writer in range(4)]
            for thread in threads:
                thread.start()
            before = []
            try:
                for round_ in range(3):
                    while min(acknowledged) < 300 * (round_ + 1):
                        time.sleep(0.001)
                    before.append(list(acknowledged))
                    assert store.backup(tmp_path / f"copy{round_}") is None
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            for round_, counts in enumerate(before):
                with prestige.open(tmp_path / f"copy{round_}") as copy:
                    assert copy.verify() == []
                    for writer, count in enumerate(counts):
                        for i in range(count):
                            expected = f"{i // 2} {writer % 2}" * 40
                            assert copy.get(f"{writer}/{i}", decode=True) == expected
            assert store.verify() == []

    def test_a_semantic_backup_opens_with_its_index(
        self, semantic_store: prestige.Store, tmp_path: Path
    ) -> None:
        semantic_store.put("question", "How do I reset my password?")
        semantic_store.flush()
        semantic_store.put("later", "The weather in Paris is sunny today.")
        semantic_store.backup(tmp_path / "copy")
        with prestige.open(tmp_path / "copy", dedup_mode=prestige.DedupMode.SEMANTIC) as copy:
            assert copy.verify() == []
            assert copy.get_health()["index_vectors"] == 2
            copy.put("again", "How do I reset my password")
            assert copy.get_object_id("again") == copy.get_object_id("question")

    def test_a_copy_lives_on_its_own(self, store: prestige.Store, tmp_path: Path) -> None:
        store["key"] = b"old" * 10_000
        store["ttl"] = b""
        store.put("ttl", b"x", ttl_seconds=1000)
        store.backup(tmp_path / "copy")
        store["key"] = b"new" * 10_000
        store.delete("ttl")
        store.flush()
        store.compact()
        with prestige.open(tmp_path / "copy") as copy:
            assert copy["key"] == b"old" * 10_000
            assert "ttl" in copy
            copy["more"] = b"more"
            copy.compact()
            assert copy.verify() == []
        assert store["key"] == b"new" * 10_000
        assert "more" not in store

    def test_an_empty_directory_is_taken_and_anything_else_refused(
        self, store: prestige.Store, store_path: Path, tmp_path: Path
    ) -> None:
        store["key"] = b"value"
        (tmp_path / "empty").mkdir()
        store.backup(tmp_path / "empty")
        (tmp_path / "file").write_text("")
        (tmp_path / "link").symlink_to(store_path)
        before = contents(tmp_path / "empty")
        for target in ("empty", "file", "store", "store/copy", "link/copy", "store/../store/x"):
            with pytest.raises(prestige.InvalidArgumentError, match=target.rsplit("/", 1)[-1]):
                store.backup(tmp_path / target)
        with pytest.raises(prestige.IOError, match="no"):
            store.backup(tmp_path / "no" / "such")
        with pytest.raises(TypeError):
            store.backup(None)  # type: ignore[arg-type]
        with pytest.raises(prestige.InvalidArgumentError):
            store.backup("/")
        assert contents(tmp_path / "empty") == before
        assert sorted(os.listdir(tmp_path)) == ["empty", "file", "link", "store"]
        assert not (store_path / "copy").exists()

    def test_a_full_disk_leaves_nothing_and_the_store_goes_on(
        self, store: prestige.Store, full_disk: Path
    ) -> None:
        for i in range(3000):
            store.put(f"key{i}", os.urandom(1000))
        with pytest.raises(prestige.IOError, match="No space left"):
            store.backup(full_disk / "copy")
        assert os.listdir(full_disk) == []
        store["after"] = b"value"

    def test_another_file_system_gets_a_copy(self, store: prestige.Store, full_disk: Path) -> None:
        store["key"] = b"value" * 1000
        store.backup(full_disk / "copy")
        with prestige.open(full_disk / "copy") as copy:
            assert copy["key"] == b"value" * 1000
            assert copy.verify() == []

    def test_a_closed_store_is_not_backed_up(self, store_path: Path, tmp_path: Path) -> None:
        store = prestige.open(store_path)
        store.close()
        with pytest.raises(prestige.ClosedError):
            store.backup(tmp_path / "copy")

    def test_a_kill_leaves_no_half_backup_under_the_name(
        self, store_path: Path, tmp_path: Path
    ) -> None:
        with prestige.open(store_path) as store:
            for part in range(10):
                for i in range(200):
                    store.put(f"key{part}/{i}", os.urandom(500))
                store.flush()
        script = """
            import itertools, sys
            import prestige
            store = prestige.open(sys.argv[1])
            print("open", flush=True)
            for number in itertools.count():
                store.put(f"more{number}", b"x" * number)
                store.backup(f"{sys.argv[2]}/{number}")
        """
        complete = unfinished = 0
        chance = random.Random(1)
        for round_ in range(8):
            target = tmp_path / f"copies{round_}"
            target.mkdir()
            command = [sys.executable, "-c", textwrap.dedent(script), store_path, target]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
                assert child.stdout is not None
                child.stdout.readline()
                time.sleep(chance.uniform(0.0, 0.3))
                child.send_signal(signal.SIGKILL)
            for name in os.listdir(target):
                if ".partial-" in name:
                    unfinished += 1
                    continue
                complete += 1
                with prestige.open(target / name) as copy:
                    assert f"more{name}" in copy
                    assert "key9/199" in copy
                    assert copy.verify() == []
        assert complete > 0
        assert unfinished > 0


class TestRestore:
    def test_a_backup_can_be_restored_again_and_again(
        self, store: prestige.Store, tmp_path: Path
    ) -> None:
        for i in range(100):
            store.put(f"key{i}", f"value{i // 2}", ttl_seconds=1000)
        store.backup(tmp_path / "backup")
        # As it may lie on a disk that nobody writes to.
        for path in (tmp_path / "backup").iterdir():
            path.chmod(0o444)
        before = contents(tmp_path / "backup")
        for name in ("one", "two"):
            assert prestige.restore(tmp_path / "backup", str(tmp_path / name)) is None
            with prestige.open(tmp_path / name) as restored:
                assert len(restored) == 100
                assert restored.count_unique_values() == 50
                assert restored.verify() == []
                restored["key0"] = b"changed"
                restored.compact()
            assert contents(tmp_path / "backup") == before

    def test_what_is_no_closed_store_is_refused_and_nothing_is_left(
        self, store: prestige.Store, store_path: Path, tmp_path: Path
    ) -> None:
        store["key"] = b"value" * 1000
        with pytest.raises(prestige.BusyError):
            prestige.restore(store_path, tmp_path / "target")
        store.backup(tmp_path / "backup")
        (tmp_path / "empty").mkdir()
        (tmp_path / "file").write_text("")
        for source in ("empty", "file", "none"):
            with pytest.raises(prestige.IOError):
                prestige.restore(tmp_path / source, tmp_path / "target")
        for target in ("file", "store", "backup", "backup/inside"):
            with pytest.raises(prestige.InvalidArgumentError):
                prestige.restore(tmp_path / "backup", tmp_path / target)
        with pytest.raises(prestige.IOError):
            prestige.restore(tmp_path / "backup", tmp_path / "no" / "target")
        assert sorted(os.listdir(tmp_path)) == ["backup", "empty", "file", "store"]

    @pytest.mark.parametrize("lost", ["CURRENT", "MANIFEST-*", "*.sst", "*.sst, cut"])
    def test_a_damaged_backup_is_refused(
        self, store: prestige.Store, tmp_path: Path, lost: str
    ) -> None:
        store["key"] = b"value" * 1000
        store.backup(tmp_path / "backup")
        for path in (tmp_path / "backup").glob(lost.split(",", maxsplit=1)[0]):
            if lost.endswith("cut"):
                # Another file, so that the store that shares it stays whole.
                whole = path.read_bytes()
                path.unlink()
                path.write_bytes(whole[: len(whole) // 2])
            else:
                path.unlink()
        with pytest.raises(prestige.PrestigeError) as refusal:
            prestige.restore(tmp_path / "backup", tmp_path / "target")
        assert isinstance(refusal.value, prestige.CorruptionError | prestige.IOError)
        assert sorted(os.listdir(tmp_path)) == ["backup", "store"]

    def test_a_full_disk_leaves_nothing(
        self, store: prestige.Store, tmp_path: Path, full_disk: Path
    ) -> None:
        for i in range(3000):
            store.put(f"key{i}", os.urandom(1000))
        store.backup(tmp_path / "backup")
        with pytest.raises(prestige.IOError, match="No space left"):
            prestige.restore(tmp_path / "backup", full_disk / "target")
        assert os.listdir(full_disk) == []
