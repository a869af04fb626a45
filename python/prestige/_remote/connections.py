"""The connections to one server: a pool for threads, one for each event loop, none from a parent.

Requests go to httpx's transports, which are its pools, and not to its clients: those log the path
of every request, in which keys are, and follow redirects, to which the token would go.
"""

from __future__ import annotations

import contextlib
import errno
import os
import ssl
import threading
import weakref
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import httpx2

from .. import exceptions
from .address import Address
from .wire import Reply, Request

if TYPE_CHECKING:
    import asyncio

# Connections of a pool, and how many of them stay open unused, for so many seconds.
MOST_CONNECTIONS = 64
MOST_IDLE = 32
IDLE_SECONDS = 30.0

_Keeper = AsyncGenerator[None, None]

# What a forked child has of its parent's connections. Ending them is up to the parent, and even
# looking at their locks could block.
_inherited: list[object] = []


class Connections:
    """All connections to a server. Threads, event loops and forked processes may share it."""

    def __init__(
        self, address: Address, token: str | None, timeout: float | None, ca_file: str | None
    ) -> None:
        self.address = address
        self.timeout = timeout
        self._headers = [("accept-encoding", "identity")]
        if token is not None:
            self._headers.append(("authorization", f"Bearer {token}"))
        self._tls: ssl.SSLContext | None = None
        if ca_file is not None:
            try:
                self._tls = ssl.create_default_context(cafile=ca_file)
            except OSError as error:
                message = f"ca_file {ca_file!r} cannot be used: {error}"
                raise exceptions.IOError(message) from None
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        # Guards the two below; held for moments.
        self._lock = threading.Lock()
        self._threads: httpx2.HTTPTransport | None = None
        self._loops: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[httpx2.AsyncHTTPTransport, _Keeper]
        ] = weakref.WeakKeyDictionary()

    def renew(self) -> None:
        """Begin without connections, as a forked child must: they are its parent's."""
        _inherited.append((self._threads, list(self._loops.values())))
        self._begin()

    def exchange(self, request: Request, more: dict[str, str]) -> Reply:
        """Send a request and return the answer, whatever it is.

        Raises:
            httpx2.TransportError: There is no answer, or not all of it.

        """
        self._check_socket()
        response = self._transport().handle_request(self._message(request, more))
        try:
            if request.sink is None or response.status_code >= 400:
                return Reply(response.status_code, response.headers, response.read())
            sink = request.sink()
            for piece in response.iter_raw():
                sink.feed(piece)
            return Reply(response.status_code, response.headers, b"", sink.finish())
        finally:
            response.close()

    async def aexchange(self, request: Request, more: dict[str, str]) -> Reply:
        """As ``exchange``, in the running event loop."""
        self._check_socket()
        transport = await self._loop_transport()
        response = await transport.handle_async_request(self._message(request, more))
        try:
            if request.sink is None or response.status_code >= 400:
                return Reply(response.status_code, response.headers, await response.aread())
            sink = request.sink()
            async for piece in response.aiter_raw():
                sink.feed(piece)
            return Reply(response.status_code, response.headers, b"", sink.finish())
        finally:
            await response.aclose()

    def _check_socket(self) -> None:
        """Say that a Unix socket is not there: the library would leave its own end open."""
        path = self.address.socket
        if path is not None and not os.path.exists(path):
            message = f"[Errno {errno.ENOENT}] {os.strerror(errno.ENOENT)}"
            raise httpx2.ConnectError(message)

    def _message(self, request: Request, more: dict[str, str]) -> httpx2.Request:
        url = self.address.base + request.path
        if request.query:
            # The values are encoded already: httpx would encode bytes that are not UTF-8 otherwise.
            url += "?" + "&".join(f"{name}={value}" for name, value in request.query.items())
        headers = [*self._headers, *request.headers.items(), *more.items()]
        wait = None if self.timeout is None else self.timeout + request.patience
        timeout = {"connect": self.timeout, "pool": self.timeout, "read": wait, "write": wait}
        try:
            return httpx2.Request(
                request.method,
                url,
                headers=headers,
                content=request.content,
                extensions={"timeout": timeout},
            )
        except httpx2.InvalidURL as error:
            message = f"the key or prefix cannot be part of a URL: {error}"
            raise exceptions.UnsupportedError(message) from None

    def _settings(self) -> dict[str, Any]:
        return {
            "verify": True if self._tls is None else self._tls,
            "trust_env": False,
            "uds": self.address.socket,
            "limits": httpx2.Limits(
                max_connections=MOST_CONNECTIONS,
                max_keepalive_connections=MOST_IDLE,
                keepalive_expiry=IDLE_SECONDS,
            ),
        }

    def _transport(self) -> httpx2.HTTPTransport:
        with self._lock:
            if self._threads is None:
                self._threads = httpx2.HTTPTransport(**self._settings())
            return self._threads

    async def _loop_transport(self) -> httpx2.AsyncHTTPTransport:
        import asyncio  # noqa: PLC0415 - whoever comes here has imported it

        loop = asyncio.get_running_loop()
        with self._lock:
            held = self._loops.get(loop)
            if held is not None:
                return held[0]
            transport = httpx2.AsyncHTTPTransport(**self._settings())
            keeper = _keep(transport)
            self._loops[loop] = (transport, keeper)
        await keeper.asend(None)
        return transport

    def close(self) -> None:
        """End the connections of threads, and have event loops that run end theirs."""
        with self._lock:
            transport, self._threads = self._threads, None
            loops = list(self._loops.items())
            self._loops.clear()
        if transport is not None:
            transport.close()
        for loop, (_, keeper) in loops:
            # A loop that has ended has nothing to end any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_end_soon, loop, keeper)

    async def aclose(self) -> None:
        """End the connections of threads and of the running event loop."""
        import asyncio  # noqa: PLC0415 - see above

        with self._lock:
            held = self._loops.pop(asyncio.get_running_loop(), None)
        if held is not None:
            await held[1].aclose()
        self.close()


_all: weakref.WeakSet[Connections] = weakref.WeakSet()


async def _keep(transport: httpx2.AsyncHTTPTransport) -> _Keeper:
    """Live as long as the event loop: it ends its asynchronous generators before it closes."""
    try:
        yield
    finally:
        await transport.aclose()


def _end_soon(loop: asyncio.AbstractEventLoop, keeper: _Keeper) -> None:
    ending = loop.create_task(keeper.aclose())
    _ending.add(ending)
    ending.add_done_callback(_ending.discard)


# A loop holds its tasks weakly.
_ending: set[asyncio.Task[None]] = set()


def _renew_all() -> None:
    for connections in list(_all):
        connections.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
