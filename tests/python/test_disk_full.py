"""A full disk and a directory that cannot be written: clear errors, and nothing is lost."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import prestige

DISK_BYTES = 40 << 20
#: Taken away when there is to be space again; far more than the store wants to see.
BALLAST_BYTES = 12 << 20
WRITE_BUFFER_BYTES = 1 << 20
VALUE_BYTES = 4000
NOBODY = 65534

linux_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux"
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of `DISK_BYTES`."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = f"size={DISK_BYTES}"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"cannot mount a tmpfs: {error}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def value_of(number: int) -> bytes:
    """Bytes that do not compress, of `VALUE_BYTES`."""
    return hashlib.shake_128(str(number).encode()).digest(VALUE_BYTES)


def fill(store: prestige.Store, first: int) -> int:
    """Puts until the disk is full; returns the number of the key that did not fit."""
    for number in range(first, first + 2 * DISK_BYTES // VALUE_BYTES):
        try:
            store.put(f"key {number}", value_of(number))
        except prestige.IOError as error:
            refused = error
            break
    else:
        pytest.fail("the disk did not get full")
    assert isinstance(refused, OSError)
    assert "No space left on device" in str(refused)
    assert "Free disk space" in str(refused)
    return number


def assert_complete(store: prestige.Store, keys: int) -> None:
    """Exactly the keys below `keys` are there, with their values."""
    assert store.count_keys() == keys
    for number in range(keys):
        assert store.get(f"key {number}") == value_of(number)
    assert store.verify() == []


@linux_root
@pytest.mark.parametrize("sync_writes", [False, True])
def test_a_full_disk_loses_nothing_and_the_store_goes_on_when_there_is_space(
    small_disk: Path, wait_until: Callable[[Callable[[], object]], None], *, sync_writes: bool
) -> None:
    path = small_disk / "store"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(BALLAST_BYTES))
    settings = {"write_buffer_bytes": WRITE_BUFFER_BYTES, "sync_writes": sync_writes}
    store = prestige.open(path, **settings)
    keys = fill(store, 0)
    assert keys > 100
    for attempt in (
        lambda: store.put("other", b"value"),
        lambda: store.delete("key 0"),
        store.flush,
    ):
        with pytest.raises(prestige.IOError, match="No space left on device"):
            attempt()
    assert_complete(store, keys)

    ballast.unlink()

    def accepted() -> bool:
        with contextlib.suppress(prestige.IOError):
            store.put(f"key {keys}", value_of(keys))
            return True
        return False

    wait_until(accepted)
    store.flush()
    assert_complete(store, keys + 1)
    # The second time it is closed, and opened anew, while the disk is full.
    keys = fill(store, keys + 1)
    with contextlib.suppress(prestige.IOError):
        store.close()
    assert store.closed
    with contextlib.suppress(prestige.IOError):
        prestige.open(path, **settings).close()
    larger = f"remount,size={2 * DISK_BYTES}"
    subprocess.run(["mount", "-o", larger, str(small_disk)], check=True)
    with prestige.open(path, **settings) as reopened:
        assert_complete(reopened, keys)
        reopened.put(f"key {keys}", value_of(keys))


@linux_root
def test_a_disk_too_full_to_make_a_store(small_disk: Path) -> None:
    path = small_disk / "store"
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    with pytest.raises(prestige.IOError) as refused:
        prestige.open(path)
    assert os.strerror(errno.ENOSPC) in str(refused.value)
    ballast.unlink()
    with prestige.open(path) as store:
        store.put("key", "value")
        assert store.verify() == []


#: As root every mode is ignored, so the script becomes somebody else first. Before that it opens
#: another store: somebody else may not be allowed to read the modules that are imported then.
TRY_TO_OPEN = """
import os, sys
import prestige
prestige.open(sys.argv[3]).close()
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
try:
    prestige.open(sys.argv[1])
except prestige.IOError as error:
    assert isinstance(error, OSError)
    print(error)
    sys.exit(3)
"""


@linux_root
@pytest.mark.parametrize("existing", [False, True])
def test_a_directory_that_cannot_be_written(tmp_path: Path, *, existing: bool) -> None:
    path = tmp_path / "store"
    if existing:
        with prestige.open(path) as store:
            store.put("key", "value")
        before = {file.name: file.read_bytes() for file in path.iterdir()}
    for folder in (tmp_path, *tmp_path.parents):
        # Others may look into pytest's folders for the time of the test.
        if folder.owner() == "root" and folder.name.startswith(("pytest-", "test_")):
            folder.chmod(0o755)
    path.mkdir(exist_ok=True)
    path.chmod(0o555)
    script = textwrap.dedent(TRY_TO_OPEN)
    refused = subprocess.run(
        [sys.executable, "-c", script, str(path), str(NOBODY), str(tmp_path / "other")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 3, refused
    assert str(path) in refused.stdout
    assert "ermission denied" in refused.stdout
    if existing:
        assert {file.name: file.read_bytes() for file in path.iterdir()} == before
        with prestige.open(path) as store:
            assert store.get("key") == b"value"
            assert store.verify() == []
