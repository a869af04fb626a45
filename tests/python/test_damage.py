"""Damaged table files, MANIFEST and CURRENT: refused when opened, or an error when read.

Never wrong bytes, and never a key that silently reads as absent.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest
from damage import KEYS, examine, is_complete, is_honest, is_refused, put_values, value_of
from rocksdb_files import records

import prestige


@pytest.fixture(scope="module")
def flushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store whose values are in table files."""
    path = tmp_path_factory.mktemp("flushed") / "store"
    with prestige.open(path) as store:
        put_values(store)
        store.flush()
        assert store.verify() == []
    return path


@pytest.fixture(scope="module")
def flushed_twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `flushed`, half of the values in tables that are younger than those of the other half."""
    path = tmp_path_factory.mktemp("twice") / "store"
    with prestige.open(path) as store:
        put_values(store, 0, KEYS // 2)
        store.flush()
        put_values(store, KEYS // 2)
        store.flush()
    return path


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store whose values are in the write-ahead log only."""
    path = tmp_path_factory.mktemp("logged") / "store"
    with prestige.open(path) as store:
        put_values(store)
    return path


@pytest.fixture(params=["flushed", "flushed_twice", "logged"])
def closed(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def tables(path: Path) -> list[Path]:
    found = sorted(path.glob("*.sst"), key=lambda file: file.stat().st_size)
    assert len(found) >= 6
    return found


def manifest(path: Path) -> Path:
    (found,) = path.glob("MANIFEST-*")
    return found


def test_without_damage_everything_is_there(closed: Path, tmp_path: Path) -> None:
    (outcome,) = examine(closed, tmp_path, [])
    assert is_complete(outcome)
    assert outcome["violations"] == 0


class TestTableFiles:
    def test_missing(self, flushed: Path, tmp_path: Path) -> None:
        names = [table.name for table in tables(flushed)]
        outcomes = examine(flushed, tmp_path, *([[name, "delete"]] for name in names))
        for name, outcome in zip(names, outcomes, strict=True):
            assert is_refused(outcome), (name, outcome)
            assert name in outcome["message"]

    @pytest.mark.parametrize("share", [0, 0.5, 0.99])
    def test_truncated(self, flushed: Path, tmp_path: Path, share: float) -> None:
        cuts = [(table.name, int(table.stat().st_size * share)) for table in tables(flushed)]
        outcomes = examine(flushed, tmp_path, *([[name, "truncate", size]] for name, size in cuts))
        for cut, outcome in zip(cuts, outcomes, strict=True):
            assert is_refused(outcome), (cut, outcome)

    def test_flipped_bits(self, flushed: Path, tmp_path: Path) -> None:
        flips = [
            [table.name, "flip", table.stat().st_size * part // 8 + part, 1 << part]
            for table in tables(flushed)
            for part in range(8)
        ]
        # The last bytes are the magic number.
        flips += [[table.name, "flip", table.stat().st_size - 1, 1] for table in tables(flushed)]
        outcomes = examine(flushed, tmp_path, *([flip] for flip in flips))
        for flip, outcome in zip(flips, outcomes, strict=True):
            assert is_honest(outcome), (flip, outcome)
        # Most hit data, and that is seen.
        noticed = [outcome for outcome in outcomes if not is_complete(outcome)]
        assert len(noticed) > len(flips) / 4

    def test_a_flipped_bit_in_a_value_is_an_error_of_its_keys(
        self, flushed: Path, tmp_path: Path
    ) -> None:
        largest = tables(flushed)[-1]
        (outcome,) = examine(flushed, tmp_path, [[largest.name, "flip", 20_000, 4]])
        assert is_honest(outcome)
        assert 0 < outcome["damaged"] < KEYS
        assert outcome["right"] == KEYS - outcome["damaged"]
        assert outcome["violations"] != 0

    def test_reads_go_on_after_a_compaction_has_met_the_damage(
        self, flushed: Path, tmp_path: Path
    ) -> None:
        damaged = Path(shutil.copytree(flushed, tmp_path / "damaged"))
        largest = damaged / tables(flushed)[-1].name
        content = bytearray(largest.read_bytes())
        content[20_000] ^= 4
        largest.write_bytes(content)
        store = prestige.open(damaged)
        store.compact()
        right = 0
        for i in range(KEYS):
            with contextlib.suppress(prestige.CorruptionError):
                right += store.get(f"key{i:04}") == value_of(i)
        assert 0 < right < KEYS
        assert len(store.list_keys()) == KEYS
        # The files are as they were, and nothing may be built on them any more.
        with pytest.raises(prestige.CorruptionError):
            store.put("another", "value")
        assert "another" not in store
        with pytest.raises(prestige.CorruptionError):
            store.close()
        assert store.closed

    def test_swapped(self, flushed: Path, tmp_path: Path) -> None:
        swapped = Path(shutil.copytree(flushed, tmp_path / "swapped"))
        first, second = tables(swapped)[-2:]
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)
        (outcome,) = examine(swapped, tmp_path, [])
        assert is_refused(outcome), outcome


class TestManifestAndCurrent:
    def test_missing(self, closed: Path, tmp_path: Path) -> None:
        for name in ("CURRENT", manifest(closed).name):
            (outcome,) = examine(closed, tmp_path, [[name, "delete"]])
            assert is_refused(outcome), (name, outcome)

    @pytest.mark.parametrize("lock", [["delete"], ["truncate", 0], ["flip", 9, 4]])
    def test_current_missing_and_no_mark(
        self, closed: Path, tmp_path: Path, lock: list[object]
    ) -> None:
        """What a creation that was cut short leaves looks alike, but holds no data."""
        (outcome,) = examine(closed, tmp_path, [["CURRENT", "delete"], ["store.lock", *lock]])
        assert is_refused(outcome), outcome

    @pytest.mark.parametrize(
        "text", ["", "\n", "garbage", "MANIFEST-999999\n", "MANIFEST-", "\0" * 9]
    )
    def test_current_with_other_content(self, flushed: Path, tmp_path: Path, text: str) -> None:
        written = ["CURRENT", "write", 0, text.encode().hex()]
        (outcome,) = examine(flushed, tmp_path, [["CURRENT", "truncate", 0], written])
        assert is_refused(outcome), outcome

    def test_manifest_cut_off(self, closed: Path, tmp_path: Path) -> None:
        """Between records and within them.

        RocksDB reads a MANIFEST to the last whole record and takes the tables named up to there for
        all there are; the log that held what was put later has been deleted.
        """
        name = manifest(closed).name
        found = records(manifest(closed).read_bytes())
        cuts = [cut for record in found[::2] for cut in (record.offset, record.end - 1)]
        outcomes = examine(closed, tmp_path, *([[name, "truncate", cut]] for cut in cuts))
        for cut, outcome in zip(cuts, outcomes, strict=True):
            assert is_honest(outcome), (cut, outcome)

    def test_flipped_bits_in_the_manifest(self, closed: Path, tmp_path: Path) -> None:
        found = records(manifest(closed).read_bytes())
        flips = [
            [manifest(closed).name, "flip", offset, 1 << bit]
            for record in found[1::4]
            for offset, bit in (
                (record.offset, 0),
                (record.offset + 4, 3),
                (record.offset + 5, 1),
                (record.offset + 5, 7),
                (record.offset + 6, 1),
                (record.offset + 6, 2),
                (record.payload + record.length // 2, 5),
            )
        ]
        outcomes = examine(closed, tmp_path, *([flip] for flip in flips))
        for flip, outcome in zip(flips, outcomes, strict=True):
            assert is_honest(outcome), (flip, outcome)


class TestLockFile:
    """It keeps how far the store is known to have come; without that the store still opens."""

    @pytest.mark.parametrize(
        "damage", [["delete"], ["truncate", 0], ["truncate", 11], ["flip", 9, 4]]
    )
    def test_a_mark_that_does_not_read_says_nothing(
        self, closed: Path, tmp_path: Path, damage: list[object]
    ) -> None:
        (outcome,) = examine(closed, tmp_path, [["store.lock", *damage]])
        assert is_complete(outcome), outcome
        assert outcome["violations"] == 0

    def test_files_from_an_earlier_time(self, tmp_path: Path) -> None:
        path = tmp_path / "store"
        for first in (0, KEYS // 2):
            with prestige.open(path) as store:
                put_values(store, first, first + KEYS // 2)
            if first == 0:
                earlier = Path(shutil.copytree(path, tmp_path / "earlier"))
        shutil.copy(path / "store.lock", earlier)
        (outcome,) = examine(earlier, tmp_path, [])
        assert is_refused(outcome), outcome
