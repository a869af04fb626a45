"""How an operation is made to go: by a thread that waits, or by a coroutine."""

from __future__ import annotations

import os
import threading
import time
from typing import Any, TypeVar
from urllib.parse import unquote

import httpx2

from .._workers import run as run_in_worker
from . import errors
from .connections import Connections
from .retry import Attempts
from .single_flight import Flights
from .wire import Compute, Operation, Pause, Reply, Request, Step, Work

_T = TypeVar("_T")


class _Stopped(Exception):
    """Carries a ``StopIteration`` of a caller's function through an operation."""

    def __init__(self, error: StopIteration) -> None:
        self.error = error


class Driver:
    """Makes operations go over connections."""

    def __init__(self, connections: Connections, retries: int) -> None:
        self.connections = connections
        self.retries = retries
        # By process and kind of cache: what a parent computes, its forked child does not wait for.
        self._flights: dict[tuple[int, str], Flights[Any]] = {}

    def flights_of(self, kind: str) -> Flights[Any]:
        """What the caches of a kind compute now in this process."""
        name = os.getpid(), kind
        if (flights := self._flights.get(name)) is None:
            flights = self._flights.setdefault(name, Flights())
        return flights

    def run(self, operation: Operation[_T]) -> _T:
        """Make an operation go to its end, and return its result."""
        try:
            step = next(operation)
            while True:
                try:
                    outcome = self._do(step)
                except StopIteration as error:
                    # A generator cannot be told of it as it is.
                    step = operation.throw(_Stopped(error))
                except BaseException as error:
                    step = operation.throw(error)
                else:
                    step = operation.send(outcome)
        except StopIteration as end:
            result: _T = end.value
            return result
        except _Stopped as stopped:
            raise stopped.error from None

    async def arun(self, operation: Operation[_T]) -> _T:
        """As ``run``, in the running event loop."""
        try:
            step = next(operation)
            while True:
                try:
                    outcome = await self._ado(step)
                except BaseException as error:
                    step = operation.throw(error)
                else:
                    step = operation.send(outcome)
        except StopIteration as end:
            result: _T = end.value
            return result

    def _do(self, step: Step) -> Any:  # noqa: ANN401 - what the step gives
        if isinstance(step, Request):
            return self._send(step)
        if isinstance(step, Work):
            return step.function(*step.arguments)
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        if isinstance(step, Compute):
            return step.run()
        ended = threading.Event()
        step.listen(ended.set)
        return ended.wait()

    async def _ado(self, step: Step) -> Any:  # noqa: ANN401
        if isinstance(step, Request):
            return await self._asend(step)
        if isinstance(step, Work):
            return await run_in_worker(step.function, *step.arguments)
        import asyncio  # noqa: PLC0415 - whoever comes here has imported it

        if isinstance(step, Pause):
            return await asyncio.sleep(step.seconds)
        if isinstance(step, Compute):
            return await step.arun()
        loop = asyncio.get_running_loop()
        ended = loop.create_future()

        def tell() -> None:
            if not ended.done():
                ended.set_result(None)

        def end() -> None:
            # A loop that has closed has nobody who waits.
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell)

        step.listen(end)
        return await ended

    def _attempts(self, request: Request) -> Attempts:
        connections = self.connections
        return Attempts(connections.address, request, self.retries, connections.timeout)

    def _send(self, request: Request) -> Reply:
        attempts = self._attempts(request)
        while True:
            failure: Exception | None = None
            try:
                reply = self.connections.exchange(request, dict(attempts.headers))
            except httpx2.TransportError as error:
                failure = error
            # Not above: what is raised has no part in the error of the library, which holds the
            # request with the token.
            if failure is not None:
                delay: float | None = attempts.after_failure(failure)
            else:
                delay = attempts.after_answer(reply)
            if delay is None:
                return self._accepted(request, reply)
            time.sleep(delay)

    async def _asend(self, request: Request) -> Reply:
        import asyncio  # noqa: PLC0415 - see above

        attempts = self._attempts(request)
        while True:
            failure: Exception | None = None
            try:
                reply = await self.connections.aexchange(request, dict(attempts.headers))
            except httpx2.TransportError as error:
                failure = error
            # Not above: what is raised has no part in the error of the library, which holds the
            # request with the token.
            if failure is not None:
                delay: float | None = attempts.after_failure(failure)
            else:
                delay = attempts.after_answer(reply)
            if delay is None:
                return self._accepted(request, reply)
            await asyncio.sleep(delay)

    def _accepted(self, request: Request, reply: Reply) -> Reply:
        """The reply, if it is an answer to what was asked."""
        if reply.status >= 400 and reply.status not in request.expects:
            namespace = unquote(request.query.get("namespace", ""))
            raise errors.of_answer(self.connections.address, reply.status, reply.body, namespace)
        if 300 <= reply.status < 400:
            # Followed, it would take the token to where nobody meant it to go.
            raise errors.of_answer(self.connections.address, reply.status, b"")
        return reply
