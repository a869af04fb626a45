"""``TimedOutError``: waiting too long for another thread's work on a key changes nothing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import prestige

# Written under the lock of its key, which takes some ten milliseconds; the other thread waits one.
LARGE_BYTES = 48 * 1024**2
ROUNDS = 50

Write = Callable[[prestige.Store], None]
WRITES: dict[str, Write] = {
    "put": lambda store: store.put("key", "small"),
    "delete": lambda store: store.delete("key"),
    "assignment": lambda store: store.__setitem__("key", "small"),
}


def put_beside(store: prestige.Store, large: bytes, write: Write) -> prestige.TimedOutError | None:
    """Puts `large` in another thread; what `write` raised meanwhile, if it met the lock."""

    def put() -> None:
        # The one that times out may be this one; then the next round tells.
        with contextlib.suppress(prestige.TimedOutError):
            store.put("key", large)

    writer = threading.Thread(target=put)
    writer.start()
    try:
        while writer.is_alive():
            with contextlib.suppress(prestige.NotFoundError):
                write(store)
    except prestige.TimedOutError as error:
        return error
    finally:
        writer.join()
    return None


@pytest.mark.parametrize("name", WRITES)
def test_a_busy_key_times_out_and_nothing_changes(store_path: Path, name: str) -> None:
    with prestige.open(store_path, lock_timeout_ms=1) as store:
        store.put("other", "untouched")
        for number in range(ROUNDS):
            large = bytes([number]) * LARGE_BYTES
            error = put_beside(store, large, WRITES[name])
            if error is not None:
                break
        else:
            raise AssertionError(f"nothing timed out in {ROUNDS} rounds")
        assert isinstance(error, TimeoutError)
        assert "lock_timeout_ms" in str(error)
        # The other thread had the lock, so it came last: of the refused write there is nothing.
        assert store.get("key") == large
        assert store.get("other") == b"untouched"
        assert (store.count_keys(), store.count_unique_values()) == (2, 2)
        assert store.total_bytes == len("key") + LARGE_BYTES + len("other") + len("untouched")
        assert store.verify() == []

        WRITES[name](store)  # Nobody holds the lock any more.
        assert store.get("key", default=b"small") == b"small"
        assert store.verify() == []
