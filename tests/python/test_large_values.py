"""Values that are kept in files of their own, beside small ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

import prestige

LARGE = 64 << 10
"""Bytes of a value that is large enough for a file of its own kind."""


def blob_files(path: Path) -> list[Path]:
    return sorted(path.glob("*.blob"))


def values(count: int, seed: int = 0) -> dict[str, bytes]:
    random = Random(seed)
    return {f"key {number:03}": random.randbytes(LARGE) for number in range(count)}


def test_large_values_go_into_files_of_their_own(store: prestige.Store, store_path: Path) -> None:
    small = {f"small {number}": b"%d" % number * 1000 for number in range(10)}
    store.put_many(small)
    store.flush()
    store.compact()
    assert not blob_files(store_path)
    large = values(20)
    store.put_many(large)
    store.put("again", large["key 007"])
    store.flush()
    store.compact()
    assert blob_files(store_path)
    assert store.count_unique_values() == 30
    assert sum(path.stat().st_size for path in blob_files(store_path)) >= 20 * LARGE
    assert store.get_health()["bytes_on_disk"] >= 20 * LARGE
    assert store.verify() == []
    store.close()
    with prestige.open(store_path, value_cache_bytes=0) as again:
        assert {key: again[key] for key in large} == large
        assert again.get_many(large) == list(large.values())
        assert dict(again.items(prefix="key ")).keys() == large.keys()
        assert again["again"] == large["key 007"]
        assert again.verify() == []


def test_files_of_values_that_are_gone_go_with_compaction(
    store: prestige.Store, store_path: Path
) -> None:
    store.put_many(values(20))
    store.flush()
    store.compact()
    (first, *_) = blob_files(store_path)
    store.put_many(values(20, seed=1))
    store.flush()
    store.compact()
    assert not first.exists()
    store.delete_many(values(20))
    store.flush()
    store.compact()
    assert store.get_health()["bytes_on_disk"] < LARGE
    assert store.verify() == []


def test_compaction_frees_what_is_garbage_beside_what_is_not(store: prestige.Store) -> None:
    store.put_many(values(60))
    store.flush()
    store.compact()
    full = store.get_health()["bytes_on_disk"]
    store.delete_many(f"key {number:03}" for number in range(60) if number % 10)
    store.compact()
    assert store.get_health()["bytes_on_disk"] < full / 5
    assert store.verify() == []


def test_a_dropped_namespace_leaves_no_blob_files_behind(
    store: prestige.Store, store_path: Path
) -> None:
    store.put_many(values(2))
    for seed in range(3):
        store.namespace("cache").put_many(values(30, seed=seed + 1))
        store.flush()
        store.compact()
        store.drop_namespace("cache")
    store.compact()
    assert sum(path.stat().st_size for path in blob_files(store_path)) < 4 * LARGE
    assert store.get_many(values(2)) == list(values(2).values())
    assert store.verify() == []


def test_a_backup_and_an_export_have_them(store: prestige.Store, tmp_path: Path) -> None:
    large = values(5)
    store.put_many(large)
    store.compact()
    store.backup(tmp_path / "backup")
    store.export_jsonl(tmp_path / "export.jsonl")
    store.delete_many(large)
    store.compact()
    with prestige.open(tmp_path / "backup") as copy:
        assert copy.get_many(large) == list(large.values())
        assert copy.verify() == []
    with prestige.open(tmp_path / "imported") as imported:
        imported.import_jsonl(tmp_path / "export.jsonl")
        assert imported.get_many(large) == list(large.values())


def test_a_reader_whose_file_the_owner_removed_says_what_to_do(
    store: prestige.Store, store_path: Path
) -> None:
    store.put_many(values(5))
    store.flush()
    store.compact()
    with prestige.open(store_path, read_only=True) as reader:
        new = values(5, seed=1)
        store.put_many(new)
        store.flush()
        store.compact()
        with pytest.raises(prestige.IOError, match=r"call refresh\(\)"):
            reader.get("key 000")
        reader.refresh()
        assert reader.get_many(new) == list(new.values())
        assert reader.verify() == []


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
def test_damage_is_an_error_and_never_another_value(
    store: prestige.Store, store_path: Path, damage: Callable[[Path], object]
) -> None:
    large = values(9)
    store.put_many(large)
    store["small"] = b"small"
    store.flush()
    store.compact()
    store.close()
    (file,) = blob_files(store_path)
    damage(file)
    errors = 0
    try:
        damaged = prestige.open(store_path)
    except (prestige.CorruptionError, prestige.IOError):
        return
    with damaged:
        assert damaged["small"] == b"small"
        for key, value in large.items():
            try:
                assert damaged[key] == value
            except (prestige.CorruptionError, prestige.IOError):
                errors += 1
        assert errors > 0
        # What is new is not affected.
        damaged["new"] = b"n" * LARGE
        assert damaged["new"] == b"n" * LARGE
