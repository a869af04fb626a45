"""The version of the on-disk format: earlier stores open, newer ones are refused."""

from __future__ import annotations

import shutil
import struct
import sys
from pathlib import Path

import pytest
from rocksdb_files import HEADER_BYTES, WHOLE, masked_crc32c, records

import prestige

FIXTURES = Path(__file__).parent.parent / "fixtures"
STORES = sorted((FIXTURES / "stores").glob("v*/"))

sys.path.insert(0, str(FIXTURES))
from make_store import EXACT, SEMANTIC, SHARED, make, questions  # noqa: E402

VERSION_RECORD = b"\x06format\x04"


def set_version(store_path: Path, version: int) -> None:
    """Change the version that a new store has written to its log."""
    (log,) = store_path.glob("*.log")
    data = bytearray(log.read_bytes())
    for record in records(bytes(data)):
        found = data.find(VERSION_RECORD, record.payload, record.end)
        if found >= 0:
            struct.pack_into(">I", data, found + len(VERSION_RECORD), version)
            covered = bytes([WHOLE]) + data[record.payload : record.end]
            struct.pack_into("<I", data, record.payload - HEADER_BYTES, masked_crc32c(covered))
            log.write_bytes(data)
            return
    raise AssertionError("the log has no version record")


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("version", [2, 7, 2**32 - 1])
def test_a_newer_version_is_refused_naming_both(
    store_path: Path, tmp_path: Path, version: int, read_only: bool
) -> None:
    prestige.open(store_path).close()
    set_version(store_path, version)
    message = f"format version {version} and this release reads version 1"
    with pytest.raises(prestige.InvalidArgumentError, match=message):
        prestige.open(store_path, read_only=read_only)
    with pytest.raises(prestige.InvalidArgumentError, match=message):
        prestige.restore(store_path, tmp_path / "restored")


def test_the_version_of_today_is_found_where_the_others_were_put(store_path: Path) -> None:
    prestige.open(store_path).close()
    set_version(store_path, 1)
    prestige.open(store_path).close()


def test_a_version_that_never_was_is_damage(store_path: Path) -> None:
    prestige.open(store_path).close()
    set_version(store_path, 0)
    with pytest.raises(prestige.CorruptionError, match="version 0"):
        prestige.open(store_path)


def check(folder: Path) -> None:
    """Check the stores that `make_store.py` made, with today's code."""
    with prestige.open(folder / "exact") as store:
        assert {key: store[key] for key in store.list_keys()} == EXACT
        assert store.count_unique_values() == len(set(EXACT.values()))
        for keys in SHARED:
            assert len({store.get_object_id(key) for key in keys}) == 1
        assert store.verify() == []
        store["new"] = b"value"
        store.delete("empty")
        assert store.verify() == []
    with prestige.open(folder / "semantic", dedup_mode=prestige.DedupMode.SEMANTIC) as store:
        assert {key: store.get(key, decode=True) for key in store} == questions(SEMANTIC)
        assert store.get_health()["index_vectors"] == len(set(questions(SEMANTIC).values()))
        assert store.verify() == []
        store.put("again", SEMANTIC["reset"])
        assert store.get_object_id("again") == store.get_object_id("reset")
        assert store.verify() == []


@pytest.mark.parametrize("made", STORES, ids=lambda path: path.name)
def test_the_store_of_an_earlier_release_opens(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "copy")
    check(tmp_path / "copy")


def test_the_script_makes_such_stores(tmp_path: Path) -> None:
    make(tmp_path / "made")
    check(tmp_path / "made")
