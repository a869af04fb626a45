"""Reading a store beside its owner: what is seen, and that nothing changes."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from directories import contents

import prestige

WRITING: dict[str, Callable[[prestige.Store], object]] = {
    "put": lambda store: store.put("key", "value"),
    "setitem": lambda store: store.__setitem__("key", "value"),
    "delete": lambda store: store.delete("key"),
    "delete of nothing": lambda store: store.delete("none"),
    "delitem": lambda store: store.__delitem__("key"),
    "sweep": lambda store: store.sweep(),
    "prune": lambda store: store.prune(),
    "evict_lru": lambda store: store.evict_lru(0),
    "flush": lambda store: store.flush(),
    "compact": lambda store: store.compact(),
    "rebuild_index": lambda store: store.rebuild_index(),
    "reembed": lambda store: store.reembed(prestige.SemanticModel()),
    "backup": lambda store: store.backup(str(store.path) + "-copy"),
    "import_jsonl": lambda store: store.import_jsonl(os.devnull),
}


class TestBesideAnOwner:
    def test_it_sees_the_opening_and_then_each_refresh(
        self, store: prestige.Store, store_path: Path
    ) -> None:
        store["key"] = b"one"
        store.put("ttl", b"two", ttl_seconds=1000)
        with prestige.open(store_path, read_only=True) as reader:
            assert reader.read_only
            assert not store.read_only
            assert reader["key"] == b"one"
            assert reader.list_keys() == ["key", "ttl"]
            assert len(reader) == reader.count_unique_values() == 2
            store["key"] = b"changed"
            store["new"] = b"three"
            store.delete("ttl")
            store.flush()
            store.compact()
            assert (reader["key"], "new" in reader, "ttl" in reader) == (b"one", False, True)
            assert reader.verify() == []
            assert reader.refresh() is None
            assert (reader["key"], "new" in reader, "ttl" in reader) == (b"changed", True, False)
            assert len(reader) == 2
            assert reader.verify() == []
            assert store.refresh() is None

    def test_many_readers_of_one_store_while_it_is_written(
        self, store: prestige.Store, store_path: Path, run_script
    ) -> None:
        for i in range(2000):
            store.put(f"key{i}", f"value{i}" * 20)
        script = """
            import sys, prestige
            with prestige.open(sys.argv[1], read_only=True) as reader:
                for _ in range(5):
                    assert reader.verify() == []
                    assert reader["key1999"] == b"value1999" * 20
                    reader.refresh()
                print(len(reader) >= 2000, reader.get_health()["total_keys"] >= 2000)
        """
        with prestige.open(store_path, read_only=True), prestige.open(store_path, read_only=True):
            command = [sys.executable, "-c", textwrap.dedent(script), str(store_path)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                i = 0
                while child.poll() is None:
                    store.put(f"more{i}", f"{i}" * 100)
                    if i % 2000 == 1999:
                        store.flush()
                        store.compact()
                    i += 1
                assert child.stdout is not None
                assert child.stdout.read() == "True True\n"
            assert child.returncode == 0

    def test_the_owner_may_close_and_another_open(self, store_path: Path) -> None:
        with prestige.open(store_path) as store:
            store["key"] = b"value"
        with prestige.open(store_path, read_only=True) as reader:
            with prestige.open(store_path) as store:
                store["key"] = b"changed"
                store.compact()
            assert reader["key"] == b"value"
            reader.refresh()
            assert reader["key"] == b"changed"

    def test_a_semantic_store_is_read_without_its_model(
        self, semantic_store: prestige.Store
    ) -> None:
        semantic_store.put("read", "How do I reset my password?")
        with prestige.open(
            semantic_store.path, read_only=True, semantic_model_path="/no/such/model"
        ) as reader:
            assert reader.dedup_mode == prestige.DedupMode.SEMANTIC
            assert reader.get("read", decode=True) == "How do I reset my password?"
            assert "read" in reader.list_keys()
            assert reader.verify() == []


class TestNothingChanges:
    @pytest.mark.parametrize("owned", [False, True])
    def test_no_file_changes(self, store_path: Path, owned: bool) -> None:
        owner = prestige.open(store_path)
        for i in range(100):
            owner.put(f"key{i}", f"value{i}", ttl_seconds=1)
        owner.flush()
        owner["in the log"] = b"value"
        if not owned:
            owner.close()
        before = contents(store_path)
        options = {"track_access_time": True, "lru_update_interval_seconds": 0}
        with prestige.open(store_path, read_only=True, **options) as reader:
            assert reader["in the log"] == b"value"
            reader.list_keys()
            reader.get_health()
            assert reader.verify() == []
            for write in WRITING.values():
                with pytest.raises(prestige.ReadOnlyError):
                    write(reader)
            reader.refresh()
        assert contents(store_path) == before
        owner.close()
        with prestige.open(store_path) as store:
            assert store.verify() == []

    def test_a_directory_that_may_only_be_read(self, run_script) -> None:
        script = """
            import os, sys
            import prestige
            if os.geteuid() == 0:
                # Root may write anywhere, so it becomes somebody else, once all is imported.
                prestige.open(sys.argv[1], read_only=True).close()
                os.setgroups([])
                os.setgid(65_534)
                os.setuid(65_534)
            try:
                open(os.path.join(sys.argv[1], "new"), "w")
            except PermissionError:
                pass
            else:
                sys.exit("the directory can be written")
            with prestige.open(sys.argv[1], read_only=True) as reader:
                assert reader["key"] == b"value"
                assert reader.verify() == []
                reader.refresh()
                print(reader.list_keys())
        """
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "store"
            with prestige.open(path) as store:
                store["key"] = b"value"
                store.flush()
                store["more"] = b"value"
            Path(directory).chmod(0o755)
            for file in path.iterdir():
                file.chmod(0o444)
            path.chmod(0o555)
            before = contents(path)
            done = run_script(script, path)
            path.chmod(0o755)
            assert (done.returncode, done.stdout, done.stderr) == (0, "['key', 'more']\n", "")
            assert contents(path) == before


class TestRefusals:
    @pytest.mark.parametrize("name", WRITING)
    def test_every_method_that_writes_says_what_to_do(
        self, store: prestige.Store, store_path: Path, name: str
    ) -> None:
        store["key"] = b"value"
        with (
            prestige.open(store_path, read_only=True) as reader,
            pytest.raises(prestige.ReadOnlyError, match="opened read-only; open it without"),
        ):
            WRITING[name](reader)

    def test_the_error_is_what_a_read_only_file_raises(self) -> None:
        assert issubclass(prestige.ReadOnlyError, prestige.PrestigeError)
        assert issubclass(prestige.ReadOnlyError, io.UnsupportedOperation)
        assert not issubclass(prestige.ReadOnlyError, prestige.IOError)

    def test_a_store_that_is_not_there_is_not_created(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "file").write_text("text")
        for name in ("none", "empty", "file"):
            with pytest.raises(prestige.IOError, match=name):
                prestige.open(tmp_path / name, read_only=True)
        assert sorted(os.listdir(tmp_path)) == ["empty", "file"]
        assert os.listdir(tmp_path / "empty") == []

    def test_a_damaged_store_is_refused(self, store_path: Path) -> None:
        with prestige.open(store_path) as store:
            store["key"] = b"value" * 1000
            store.flush()
        next(store_path.glob("*.sst")).unlink()
        with pytest.raises(prestige.CorruptionError):
            prestige.open(store_path, read_only=True)

    def test_a_closed_reader_is_closed(self, store: prestige.Store, store_path: Path) -> None:
        reader = prestige.open(store_path, read_only=True)
        reader.close()
        with pytest.raises(prestige.ClosedError):
            reader.refresh()
        with pytest.raises(prestige.ClosedError):
            reader.get("key")
