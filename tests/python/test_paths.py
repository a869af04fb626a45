"""Paths that cannot be a store, and a disk that refuses to write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import prestige


class TestPaths:
    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a directory")
        with pytest.raises(prestige.IOError, match="file") as caught:
            prestige.open(tmp_path / "file")
        assert isinstance(caught.value, OSError)
        assert (tmp_path / "file").read_text() == "not a directory"

    def test_a_file_for_a_parent(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a directory")
        with pytest.raises(prestige.IOError, match="file/store"):
            prestige.open(tmp_path / "file" / "store")

    @pytest.mark.parametrize("path", ["/proc/nobody/store", "/dev/null/store", "/dev/null"])
    def test_places_where_nothing_can_be_made(self, path: str) -> None:
        if not Path(path).parts[1:2] or not Path("/", Path(path).parts[1]).is_dir():
            pytest.skip(f"no {path} on this system")
        with pytest.raises(prestige.IOError, match=path):
            prestige.open(path)

    def test_a_name_that_is_too_long(self, tmp_path: Path) -> None:
        with pytest.raises(prestige.IOError, match="xxx"):
            prestige.open(tmp_path / ("x" * 300))

    @pytest.mark.parametrize("path", ["", "nul\0byte"])
    def test_no_path_at_all(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises((prestige.IOError, ValueError)):
            prestige.open(path)
        assert list(tmp_path.iterdir()) == []

    def test_a_dangling_link(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path / "nowhere")
        with pytest.raises(prestige.IOError, match="link"):
            prestige.open(tmp_path / "link")

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
    @pytest.mark.parametrize("mode", [0o500, 0o000])
    def test_a_directory_without_permission(self, tmp_path: Path, mode: int) -> None:
        (tmp_path / "locked").mkdir(mode=mode)
        with pytest.raises(prestige.IOError, match="locked"):
            prestige.open(tmp_path / "locked")

    @pytest.mark.parametrize("name", ["größe 大小", "with space", "quote's", "%41", "-n"])
    def test_unusual_names(self, tmp_path: Path, name: str) -> None:
        for _ in range(2):
            with prestige.open(tmp_path / name) as store:
                store.put("key", "value")
                assert store.path == str(tmp_path / name)
        assert (tmp_path / name).is_dir()

    def test_a_name_that_is_not_utf_8(self, tmp_path: Path) -> None:
        path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
        with prestige.open(path) as store:
            store.put("key", "value")
            assert Path(path).is_dir()
            assert store.path == path
        with prestige.open(path) as store:
            assert store.get("key") == b"value"

    def test_a_relative_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with prestige.open("./my_db") as store:
            store.put("key", "value")
            # The store stays where it is when the process goes elsewhere.
            (tmp_path / "elsewhere").mkdir()
            monkeypatch.chdir(tmp_path / "elsewhere")
            for i in range(100):
                store.put(f"key{i}", os.urandom(1000))
            store.flush()
        assert list((tmp_path / "elsewhere").iterdir()) == []
        with prestige.open(tmp_path / "my_db") as store:
            assert len(store) == 101
            assert store.verify() == []


# Python ignores SIGXFSZ: a write beyond the limit fails with EFBIG, as with ENOSPC on a full disk.
FULL_DISK = """
import resource, sys
import prestige
store = prestige.open(sys.argv[1])
store.put("before", b"b" * 1000)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
acknowledged = 0
try:
    for acknowledged in range(1000):
        store.put(f"key{acknowledged:04}", str(acknowledged).encode() * 1000)
except prestige.IOError as error:
    assert isinstance(error, OSError) and str(error)
else:
    raise AssertionError("nothing failed")
assert f"key{acknowledged:04}" not in store
assert store.get("before") == b"b" * 1000
assert store.get("key0000") == b"0" * 1000
assert store.count_keys() == acknowledged + 1 == len(store.list_keys())
assert store.verify() == []
try:
    store.close()
except prestige.IOError:
    pass
assert store.closed
print(acknowledged)
"""


class TestFullDisk:
    def test_a_failed_put_leaves_the_store_as_it_was(self, store_path: Path, run_script) -> None:
        done = run_script(FULL_DISK, store_path)
        assert (done.returncode, done.stderr) == (0, "")
        acknowledged = int(done.stdout)
        assert acknowledged > 10
        with prestige.open(store_path) as store:
            assert store.verify() == []
            assert store.count_keys() == acknowledged + 1
            for i in range(acknowledged):
                assert store.get(f"key{i:04}") == str(i).encode() * 1000
            store.put("after", "value")
