"""A damaged write-ahead log: its torn tail is dropped, everything else is refused.

What a crash can leave behind is a log that ends within a record. Damage with whole records behind
it is none of that: dropping them would lose acknowledged keys.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from damage import (
    Damage,
    examine,
    is_complete,
    is_honest,
    is_refused,
    is_torn_tail,
    make_killed_store,
    put_values,
)
from rocksdb_files import BLOCK_BYTES, Record, records

import prestige


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a killed process leaves: all values in the write-ahead log only."""
    path = tmp_path_factory.mktemp("killed") / "store"
    make_killed_store(path, prestige.Options().write_buffer_bytes)
    return path


@pytest.fixture(scope="module", params=["killed", "closed"])
def several_logs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small buffers leave several logs; each is needed until all column families have flushed."""
    path = tmp_path_factory.mktemp("several") / request.param
    if request.param == "killed":
        make_killed_store(path, 1 << 16)
    else:
        with prestige.open(path, write_buffer_bytes=1 << 16) as store:
            put_values(store)
    return path


def log_of(path: Path) -> Path:
    (log,) = path.glob("*.log")
    return log


def early(log: Path) -> list[Record]:
    """Some records of every block but the last, and blocks of records behind them."""
    found = records(log.read_bytes())
    return found[5 : len(found) * 3 // 4 : 9]


def late(log: Path) -> list[Record]:
    """Some records of the last block, each with whole records behind it."""
    content = log.read_bytes()
    start = len(content) // BLOCK_BYTES * BLOCK_BYTES
    found = [record for record in records(content) if record.offset >= start]
    assert len(found) > 4
    return found[1:-2:2]


PLACES = pytest.mark.parametrize("place", [early, late])


def all_honest(path: Path, scratch: Path, damages: list[Damage]) -> None:
    outcomes = examine(path, scratch, *([damage] for damage in damages))
    for damage, outcome in zip(damages, outcomes, strict=True):
        assert is_honest(outcome), (damage, outcome)


def test_a_torn_tail_is_dropped(killed: Path, tmp_path: Path) -> None:
    log = log_of(killed)
    found = records(log.read_bytes())
    last, middle = found[-1], found[len(found) // 2]
    cuts = [last.end - 1, last.payload, last.offset + 3, last.offset, middle.payload + 5]
    outcomes = examine(killed, tmp_path, *([[log.name, "truncate", cut]] for cut in cuts))
    for cut, outcome in zip(cuts, outcomes, strict=True):
        assert is_torn_tail(outcome), (cut, outcome)
    assert all(outcome["absent"] <= 1 for outcome in outcomes[:4])


def test_missing(killed: Path, tmp_path: Path) -> None:
    (outcome,) = examine(killed, tmp_path, [[log_of(killed).name, "delete"]])
    assert is_refused(outcome), outcome


def test_missing_after_a_clean_close(tmp_path: Path) -> None:
    with prestige.open(tmp_path / "store") as store:
        put_values(store)
    for log in (tmp_path / "store").glob("*.log"):
        for damage in ([log.name, "delete"], [log.name, "truncate", log.stat().st_size // 2]):
            (outcome,) = examine(tmp_path / "store", tmp_path, [damage])
            assert is_honest(outcome), (damage, outcome)


@PLACES
@pytest.mark.parametrize("within", [1, 7 + 30], ids=["checksum", "payload"])
def test_flipped_bits(killed: Path, tmp_path: Path, place, within: int) -> None:
    log = log_of(killed)
    flips = [[log.name, "flip", record.offset + within, 8] for record in place(log)]
    for flip, outcome in zip(
        flips, examine(killed, tmp_path, *([flip] for flip in flips)), strict=True
    ):
        assert is_refused(outcome), (flip, outcome)


@PLACES
@pytest.mark.parametrize("byte", [4, 5], ids=["low", "high"])
@pytest.mark.parametrize("bit", range(0, 8, 2))
def test_flipped_bits_in_lengths(killed: Path, tmp_path: Path, place, byte: int, bit: int) -> None:
    log = log_of(killed)
    flips = [[log.name, "flip", record.offset + byte, 1 << bit] for record in place(log)]
    all_honest(killed, tmp_path, flips)


@PLACES
@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 127, 128, 255])
def test_other_record_types(killed: Path, tmp_path: Path, place, kind: int) -> None:
    """Among them the types of recycled logs, which our logs never hold."""
    log = log_of(killed)
    all_honest(
        killed,
        tmp_path,
        [[log.name, "write", record.offset + 6, f"{kind:02x}"] for record in place(log)[:3]],
    )


@PLACES
@pytest.mark.parametrize("size", [7, 512])
def test_zeros(killed: Path, tmp_path: Path, place, size: int) -> None:
    """From the beginning of a record, and a whole sector."""
    log = log_of(killed)
    all_honest(
        killed,
        tmp_path,
        [
            [log.name, "write", start, "00" * size]
            for record in place(log)
            for start in (record.offset, record.offset // 512 * 512)
        ],
    )


@pytest.mark.parametrize("garbage", [bytes(range(1, 200)), bytes(5000), b"\xff" * 5000])
def test_garbage_behind_the_tail(killed: Path, tmp_path: Path, garbage: bytes) -> None:
    log = log_of(killed)
    (outcome,) = examine(killed, tmp_path, [[log.name, "write", log.stat().st_size, garbage.hex()]])
    assert is_complete(outcome) or is_refused(outcome), outcome


def test_one_of_several_logs_missing(several_logs: Path, tmp_path: Path) -> None:
    logs = sorted(log.name for log in several_logs.glob("*.log"))
    assert len(logs) > 2
    # Nothing on disk says that there was an older one than the oldest.
    del logs[0]
    if several_logs.name == "killed":
        # Nothing on disk says whether there was a youngest one.
        logs.pop()
    all_honest(several_logs, tmp_path, [[name, "delete"] for name in logs])
