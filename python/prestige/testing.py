"""What tests of applications need.

    >>> import prestige
    >>> from prestige.testing import ManualClock
    >>> clock = ManualClock()
    >>> with prestige.open("./test_db", clock=clock) as store:
    ...     store.put("session", "data", ttl_seconds=3600)
    ...     clock.advance(3600)
    ...     "session" in store
    False

No sleeping, and no test that fails on a busy machine.
"""

from __future__ import annotations

from ._native import ManualClock

__all__ = ["ManualClock"]
