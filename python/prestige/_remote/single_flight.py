"""Single flight: of many callers who miss the same key at once, one computes, and all get it.

As in a cache of this process, and for the callers of one process, in whatever threads and event
loops. Callers of other processes compute for themselves; the server keeps the last.

1. Whoever joins first leads: it computes, stores, and then ends the flight with the outcome.
2. Whoever joins before that end follows and waits for it.
3. A flight leaves the table before its outcome is seen. So a failure is that of the callers who
   were there already, and the next call tries again.
4. A leader that goes without an outcome (an interrupt, a cancellation) leaves its followers to
   begin anew.
5. A computation may wait for another one, but not in a circle.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from ..exceptions import InvalidArgumentError

_T = TypeVar("_T")


class Flight(Generic[_T]):
    """One computation, and those who wait for it."""

    def __init__(self) -> None:
        # Those that its function waits for now.
        self.waits_for: list[Flight[Any]] = []
        # Guards the rest; held for moments.
        self._lock = threading.Lock()
        self._ended = False
        self._listeners: list[Callable[[], None]] = []
        # Set when it has ended with what was wanted.
        self.value: Any = None
        self.error: BaseException | None = None
        self.abandoned = False

    @property
    def ended(self) -> bool:
        """Whether there is an outcome, or will be none."""
        return self._ended

    def listen(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called at the end, or at once if that was before."""
        with self._lock:
            if not self._ended:
                self._listeners.append(listener)
                return
        listener()

    def _end(self, value: _T | None, error: BaseException | None, abandoned: bool) -> None:
        with self._lock:
            if self._ended:
                return
            self.value, self.error, self.abandoned = value, error, abandoned
            self._ended = True
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()


# The flights that the caller's context leads. Whatever is called from there inherits it, tasks and
# worker threads included, so a call that would wait for itself is known by it.
_leading: ContextVar[frozenset[Flight[Any]]] = ContextVar("prestige_leading", default=frozenset())


class Flights(Generic[_T]):
    """The flights in progress."""

    def __init__(self) -> None:
        # Guards the table; held for moments.
        self._lock = threading.Lock()
        self._running: dict[Hashable, Flight[_T]] = {}
        # Flights that ended so far: whoever sees it unchanged has missed none.
        self.ended = 0

    def join(self, key: Hashable) -> tuple[Flight[_T], bool]:
        """Begin the flight of a key, or join the one in progress. True: the caller leads.

        Raises:
            InvalidArgumentError: The caller computes it already, and would wait for itself.

        """
        with self._lock:
            flight = self._running.get(key)
            if flight is None:
                flight = self._running[key] = Flight()
                return flight, True
        if flight in _leading.get():
            message = (
                "the function asks the cache for what it is computing, and would wait for itself; "
                "compute it without the cache there"
            )
            raise InvalidArgumentError(message)
        return flight, False

    def succeed(self, key: Hashable, flight: Flight[_T], value: _T) -> None:
        """End a flight with what was wanted."""
        self._remove(key, flight)
        flight._end(value, None, False)

    def fail(self, key: Hashable, flight: Flight[_T], error: BaseException) -> None:
        """End a flight with an error, for all; what is no ``Exception`` is of its leader alone."""
        self._remove(key, flight)
        if isinstance(error, Exception):
            flight._end(None, error, False)
        else:
            flight._end(None, None, True)

    def _remove(self, key: Hashable, flight: Flight[_T]) -> None:
        with self._lock:
            if self._running.get(key) is flight:
                del self._running[key]
                self.ended += 1


@contextlib.contextmanager
def leading(flights: list[Flight[Any]]) -> Iterator[None]:
    """Note in the context that it computes these."""
    token = _leading.set(_leading.get().union(flights))
    try:
        yield
    finally:
        # A coroutine that is never finished may be closed in another context.
        with contextlib.suppress(ValueError):
            _leading.reset(token)


@contextlib.contextmanager
def waiting(flight: Flight[Any]) -> Iterator[None]:
    """Note that what the context computes waits for a flight.

    Raises:
        InvalidArgumentError: The flight waits for that in turn, by whatever way around.

    """
    own = [one for one in _leading.get() if not one.ended]
    # First noted, then looked at: of two that close a circle at once, one sees the other at least.
    for one in own:
        one.waits_for.append(flight)
    try:
        if any(one in own for one in _waited_for(flight)):
            message = (
                "the function asks the cache for what waits for what it is computing, and both "
                "would wait for ever; compute it without the cache there"
            )
            raise InvalidArgumentError(message)
        yield
    finally:
        for one in own:
            one.waits_for.remove(flight)


def _waited_for(flight: Flight[Any]) -> set[Flight[Any]]:
    """What a flight in progress waits for, and what that waits for, and so on."""
    found: set[Flight[Any]] = set()
    left = [flight]
    while left:
        for other in tuple(left.pop().waits_for):
            if other not in found and not other.ended:
                found.add(other)
                left.append(other)
    return found
