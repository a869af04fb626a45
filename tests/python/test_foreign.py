"""Directories that belong to others: refused or shared, never changed."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from rocksdb_files import make_foreign_database

import prestige


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


@pytest.mark.parametrize("family", [None, "other"])
def test_a_database_of_another_application(tmp_path: Path, family: str | None) -> None:
    path = tmp_path / "foreign"
    make_foreign_database(path, family)
    before = contents(path)
    for _ in range(2):
        with pytest.raises(prestige.InvalidArgumentError, match="no Prestige store") as caught:
            prestige.open(path)
        assert (family or "default") in str(caught.value)
        assert str(path) in str(caught.value)
    assert before.items() <= contents(path).items()


@pytest.mark.parametrize(
    "name", ["notes.txt", "000012.log", "123.log", "7.sst.txt", "LOG.txt", "index"]
)
def test_files_of_others_stay(tmp_path: Path, name: str) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / name).write_text("not ours\n" * 1000)
    for _ in range(2):
        with contextlib.suppress(prestige.PrestigeError), prestige.open(path) as store:
            store.put("key", "value")
            store.flush()
    assert (path / name).read_text() == "not ours\n" * 1000


def test_table_files_without_a_database(tmp_path: Path) -> None:
    (tmp_path / "000007.sst").write_text("not ours")
    for _ in range(3):
        with pytest.raises(prestige.CorruptionError, match="CURRENT"):
            prestige.open(tmp_path)
        assert contents(tmp_path)["000007.sst"] == b"not ours"
