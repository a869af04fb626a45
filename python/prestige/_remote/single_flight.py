"""Single flight: of many callers who miss the same key at once, one computes, and all get it.

As in a cache of this process, and for the callers of one process, in whatever threads and event
loops. Callers of other processes compute for themselves; the server keeps the last.

1. Whoever joins first leads: it computes, stores, and then ends the flight with the outcome.
2. Whoever joins before that end follows and waits for it.
3. A flight leaves the table before its outcome is seen. So a failure is that of the callers who
   were there already, and the next call tries again.
4. A leader that goes without an outcome (an interrupt, a cancellation) leaves its followers to
   begin anew.
5. A computation, a call with all the flights it leads, may wait for another one, but not in a
   circle.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from ..exceptions import InvalidArgumentError

_T = TypeVar("_T")


class Computation:
    """A call that computes what is missing."""

    __slots__ = ("waits_for",)

    def __init__(self) -> None:
        # What it waits for now. Of two threads that change it none is in the way of the other.
        self.waits_for: list[Flight[Any]] = []


class Flight(Generic[_T]):
    """What one computation is about to give, and those who wait for it."""

    def __init__(self, key: Hashable, computation: Computation) -> None:
        self.key = key
        self.computation = computation
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


# The computations that the caller's context is a part of. Whatever is called from there inherits
# it, tasks and worker threads included, so a call that would wait for itself is known by it.
_leading: ContextVar[frozenset[Computation]] = ContextVar("prestige_leading", default=frozenset())


class Flights(Generic[_T]):
    """The flights in progress."""

    def __init__(self) -> None:
        # Guards the table; held for moments.
        self._lock = threading.Lock()
        self._running: dict[Hashable, Flight[_T]] = {}
        # Flights that ended so far: whoever sees it unchanged has missed none.
        self.ended = 0

    def join(self, key: Hashable, computation: Computation) -> tuple[Flight[_T], bool]:
        """Begin the flight of a key, or join the one in progress. True: the caller leads.

        ``computation``: what the flight is a part of, if it begins.

        Raises:
            InvalidArgumentError: The caller computes it already, and would wait for itself.

        """
        with self._lock:
            flight = self._running.get(key)
            if flight is None:
                flight = self._running[key] = Flight(key, computation)
                return flight, True
        if flight.computation in _leading.get():
            message = (
                "the function asks the cache for what it is computing, and would wait for itself; "
                "compute it without the cache there"
            )
            raise InvalidArgumentError(message)
        return flight, False

    def succeed(self, flight: Flight[_T], value: _T) -> None:
        """End a flight with what was wanted."""
        self._remove(flight)
        flight._end(value, None, False)

    def fail(self, flight: Flight[_T], error: BaseException) -> None:
        """End a flight with an error, for all; what is no ``Exception`` is of its leader alone."""
        self._remove(flight)
        if isinstance(error, Exception):
            flight._end(None, error, False)
        else:
            flight._end(None, None, True)

    def _remove(self, flight: Flight[_T]) -> None:
        with self._lock:
            if self._running.get(flight.key) is flight:
                del self._running[flight.key]
                self.ended += 1


@contextlib.contextmanager
def leading(computation: Computation) -> Iterator[None]:
    """Note in the context that it is a part of a computation."""
    token = _leading.set(_leading.get() | {computation})
    try:
        yield
    finally:
        # A coroutine that is never finished may be closed in another context.
        with contextlib.suppress(ValueError):
            _leading.reset(token)


@contextlib.contextmanager
def waiting(flight: Flight[Any]) -> Iterator[None]:
    """Note that what the context is a part of waits for a flight.

    Raises:
        InvalidArgumentError: The flight waits for that in turn, by whatever way around.

    """
    own = _leading.get()
    # First noted, then looked at: of two that close a circle at once, one sees the other at least.
    for one in own:
        one.waits_for.append(flight)
    try:
        if own and _leads_to(flight, own):
            message = (
                "the function asks the cache for what another function is computing that waits for "
                "this one: both would wait for ever; compute it without the cache there"
            )
            raise InvalidArgumentError(message)
        yield
    finally:
        for one in own:
            one.waits_for.remove(flight)


def _leads_to(flight: Flight[Any], computations: frozenset[Computation]) -> bool:
    """Whether the computation of a flight waits for one of these, or is one.

    What has ended waits for nothing.
    """
    seen: set[Computation] = set()
    left = [flight]
    while left:
        flight = left.pop()
        if flight.ended or flight.computation in seen:
            continue
        if flight.computation in computations:
            return True
        seen.add(flight.computation)
        left.extend(tuple(flight.computation.waits_for))
    return False
