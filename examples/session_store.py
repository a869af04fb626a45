"""A session store: JSON under a key, gone an hour after it was last saved.

    python session_store.py

What it saves is in ./sessions_db.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import prestige

HOUR_SECONDS = 3600


class SessionStore:
    """Sessions of a web application. A session ends `HOUR_SECONDS` after its last save."""

    def __init__(self, path: str) -> None:
        self._store = prestige.open(path, default_ttl_seconds=HOUR_SECONDS)

    def save(self, session_id: str, data: dict[str, Any]) -> None:
        """Create or replace a session; its hour begins anew."""
        self._store.put(f"session:{session_id}", json.dumps(data))

    def load(self, session_id: str) -> dict[str, Any] | None:
        """Return the data of a session; None if there is no such session, or no more."""
        text = self._store.get(f"session:{session_id}", default=None, decode=True)
        if text is None:
            return None
        data: dict[str, Any] = json.loads(text)
        return data

    def end(self, session_id: str) -> None:
        """End a session; nothing happens if there is none."""
        with contextlib.suppress(prestige.NotFoundError):
            self._store.delete(f"session:{session_id}")

    def active(self) -> list[str]:
        """Return the ids of all sessions that have not ended."""
        prefix = "session:"
        return [key.removeprefix(prefix) for key in self._store.list_keys(prefix=prefix)]

    def clean_up(self) -> int:
        """Delete ended sessions from disk and return their number. Call it now and then."""
        return self._store.prune()

    def close(self) -> None:
        """Close the store."""
        self._store.close()


def main() -> None:
    """Walk through the life of two sessions."""
    sessions = SessionStore("./sessions_db")
    try:
        sessions.save("abc123", {"user_id": 42, "role": "admin"})
        sessions.save("def456", {"user_id": 43, "role": "guest"})
        print(f"loaded: {sessions.load('abc123')}")
        sessions.end("abc123")
        print(f"after its end: {sessions.load('abc123')}")
        print(f"active: {sessions.active()}, cleaned up: {sessions.clean_up()}")
    finally:
        sessions.close()


if __name__ == "__main__":
    main()
