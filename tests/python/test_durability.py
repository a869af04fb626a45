"""What a power cut leaves: with `sync_writes` everything acknowledged.

A power cut is played by a copy of the directory, each log cut to what was known to be on the disk.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

import prestige


def log_sizes(store_path: Path) -> dict[str, int]:
    return {log.name: log.stat().st_size for log in store_path.glob("*.log")}


def copy_cut(store_path: Path, target: Path, sizes: dict[str, int]) -> None:
    """Copy the store; of each log only the first bytes, of a log without a size nothing."""
    shutil.copytree(store_path, target)
    for log in target.glob("*.log"):
        with log.open("r+b") as file:
            file.truncate(sizes.get(log.name, 0))


@pytest.mark.parametrize("torn", [0, 1, 11, 500])
def test_synced_writes_survive_the_loss_of_everything_unsynced(
    store_path: Path, tmp_path: Path, torn: int
) -> None:
    chance = random.Random(torn)
    with prestige.open(store_path, sync_writes=True) as store:
        expected: dict[str, bytes] = {}
        for step in range(60):
            key = f"key{chance.randrange(20)}"
            if key in expected and chance.random() < 0.3:
                store.delete(key)
                del expected[key]
            else:
                expected[key] = b"%d" % (step // 2) * chance.randrange(1, 300)
                store.put(key, expected[key])
            if step % 10 == 9:
                synced = log_sizes(store_path)
                # Acknowledged later, and lost but for the first bytes of it.
                store.put("later", chance.randbytes(600))
                sizes = {name: size + torn for name, size in synced.items()}
                target = tmp_path / f"cut{step}"
                copy_cut(store_path, target, sizes)
                with prestige.open(target) as cut:
                    assert "later" not in cut or step > 9
                    found = {key: cut[key] for key in cut if key != "later"}
                    assert found == expected
                    assert cut.verify() == []


def test_a_flush_saves_what_was_not_synced(store_path: Path, tmp_path: Path) -> None:
    with prestige.open(store_path) as store:
        for i in range(100):
            store.put(f"key{i}", f"value{i}")
        store.flush()
        store.put("later", "value")
        copy_cut(store_path, tmp_path / "cut", {})
        with prestige.open(tmp_path / "cut") as cut:
            assert len(cut) == 100
            assert "later" not in cut
            assert cut.verify() == []
