"""Worker threads on which event loops have calls made that block: one bounded pool a process.

Not the default executor of a loop, so that other libraries and this one do not wait for each
other's calls, and no ``ThreadPoolExecutor``, which is closed as soon as the main thread ends, while
event loops of other threads still run.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from . import _native

_P = ParamSpec("_P")
_T = TypeVar("_T")

_Work = Callable[[], None]

# Handing a call over takes the GIL for about as long as a put takes in all, so a few threads do
# what any number could. The others are for calls that take long, and for those that wait for the
# disk: with ``sync_writes``, writes that reach it together share one sync. Beyond 16 little is won.
THREADS = 16


class Workers:
    """Threads that are started when they are needed, and then stay."""

    def __init__(self, most: int, name: str = "prestige-worker") -> None:
        self._most = most
        self._name = name
        self.renew()

    def renew(self) -> None:
        """Begin without threads and calls, as a forked child must: they are its parent's."""
        # Guards all but the queue. Held for moments, and while a thread starts. Reentrant: anywhere
        # the garbage collector may end a forgotten coroutine, which then submits a release.
        self._lock = threading.RLock()
        self._calls: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        # Calls that wait or run: no more of them than threads, and none waits for another.
        self._unfinished = 0
        self._threads: list[threading.Thread] = []
        self._inner: Workers | None = None
        self._stopped = False

    def submit(self, work: _Work) -> None:
        """Have ``work`` called by a thread. It must not raise.

        It is called here and now if no thread can be had, and after ``stop``: then the stores are
        closed, so little is left to do.
        """
        own: Workers | None = getattr(_HERE, "pool", None)
        (self if own is None else own._of_loops())._submit(work)

    def _of_loops(self) -> Workers:
        """The pool for what event loops call that run in a worker of this one.

        The worker waits for such a call, so if all of them ran loops, nobody would be left here to
        make it. It has as many threads as there are calls: each may wait for any other.
        """
        with self._lock:
            if self._inner is None:
                self._inner = Workers(sys.maxsize, "prestige-nested")
                self._inner._stopped = self._stopped
            return self._inner

    def _submit(self, work: _Work) -> None:
        with self._lock:
            if len(self._threads) < min(self._unfinished + 1, self._most) and not self._stopped:
                # Some versions of Python refuse new threads as soon as the main thread has ended.
                with contextlib.suppress(RuntimeError):
                    self._start()
            if self._threads and not self._stopped:
                self._unfinished += 1
                self._calls.put(work)
                return
        work()

    def _start(self) -> None:
        name = f"{self._name}-{len(self._threads)}"
        # Daemon threads, so that the interpreter comes to its exit handlers, which end them.
        thread = threading.Thread(target=self._serve, args=(self._calls,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _serve(self, calls: queue.SimpleQueue[_Work | None]) -> None:
        _HERE.pool = self
        _native.end_long_calls_at_exit()
        while (work := calls.get()) is not None:
            work()
            work = None  # An idle worker keeps no event loop alive.
            with self._lock:
                self._unfinished -= 1

    def stop(self) -> None:
        """Drop the calls that have not begun, and let the threads end after those that have."""
        self._end(drop=True)

    def _end(self, drop: bool) -> None:
        with self._lock:
            self._stopped = True
            inner = self._inner
        with contextlib.suppress(queue.Empty):
            while drop:
                self._calls.get_nowait()
        for _ in self._threads:
            self._calls.put(None)
        # A worker may be waiting for any of its calls, so none of those is dropped.
        if inner is not None:
            inner._end(drop=False)

    def join(self) -> None:
        """Wait for the threads to end."""
        for thread in self._threads:
            thread.join()
        if self._inner is not None:
            self._inner.join()


# Of a worker thread, ``pool``: the pool it is of.
_HERE = threading.local()

WORKERS = Workers(THREADS)


def _begin_anew() -> None:
    """What a forked child does: it may be a worker of its parent, but is none of its own."""
    _HERE.pool = None
    WORKERS.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


class Call:
    """A call on its way from an event loop to a worker and back.

    Args:
        function: What blocks.
        args: Its arguments.
        kwargs: Its arguments by name.
        release: Called with what the function returned if nobody waits for it any more.
        droppable: Whether a call that has not begun is dropped when nobody waits for it.

    """

    __slots__ = ("_abandoned", "_droppable", "_loop", "_outcome", "_release", "_work", "ended")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        release: Callable[[Any], None] | None = None,
        droppable: bool = True,
    ) -> None:
        import asyncio  # noqa: PLC0415 - takes longer to import than all of prestige

        self._loop = asyncio.get_running_loop()
        # Settled in the loop when the function has ended. It never carries an exception: of a task
        # that is cancelled in the last moment asyncio would report it as never retrieved.
        self.ended: asyncio.Future[None] = self._loop.create_future()
        context = contextvars.copy_context()
        self._work: Callable[[], Any] | None = functools.partial(
            context.run, function, *args, **kwargs
        )
        self._outcome: tuple[Any, BaseException | None] | None = None
        self._release = release
        self._droppable = droppable
        self._abandoned = False

    def __call__(self) -> None:
        """Make the call, in a worker."""
        work, self._work = self._work, None
        if work is None or (self._droppable and self.ended.cancelled()):
            return
        try:
            self._outcome = work(), None
        except BaseException as error:
            self._outcome = None, error
        del work
        if self._abandoned:
            self._release_result()
        # A closed loop has nobody who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def abandon(self) -> None:
        """Nobody waits any more: drop the call if it has not begun, and release what it returns."""
        if self._droppable:
            self._work = None
        # A worker that sets the outcome looks at this afterwards, so one of the two sees both.
        self._abandoned = True
        if self._outcome is not None:
            WORKERS.submit(self._release_result)

    def _release_result(self) -> None:
        outcome, self._outcome = self._outcome, None
        if outcome is not None and outcome[1] is None and self._release is not None:
            with contextlib.suppress(Exception):
                self._release(outcome[0])

    def result(self) -> Any:  # noqa: ANN401 - whatever the function returns
        """Return or raise what the function did, once it has ended."""
        (value, error), self._outcome = self._outcome, None  # type: ignore[misc]
        if error is None:
            return value
        try:
            raise error
        finally:
            del error  # Its traceback refers to this frame.


async def finish(call: Call) -> Any:  # noqa: ANN401
    """Have a call made, and wait for its end."""
    WORKERS.submit(call)
    try:
        await call.ended
    except BaseException:  # Cancelled, or closed with its loop.
        call.abandon()
        raise
    return call.result()


async def run(function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call a function that blocks in a worker, with the context variables of the caller.

    Cancelled before a worker has begun, the function is not called; later it runs to its end, and
    what it returns or raises is dropped.
    """
    result: _T = await finish(Call(function, args, kwargs))
    return result
