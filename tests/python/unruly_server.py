"""A server that does what a script says, answer by answer, and keeps what it was asked."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

LIMIT_SECONDS = 30


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


# What is sent for a request; None: the connection is cut. A function is called with the socket.
Answer = bytes | None | Callable[[socket.socket], None]


def answer(status: int, body: Any = None, **headers: str) -> bytes:
    """An answer, with JSON if there is a body; `_` in the names of headers stands for `-`."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(content)}"]
    lines += ["content-type: application/json"] * (body is not None)
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def problem(status: int, code: str, detail: str = "what is wrong", **headers: str) -> bytes:
    """A problem document."""
    return answer(status, {"status": status, "code": code, "detail": detail}, **headers)


class Unruly:
    """The server. The last answer of the script goes for all further requests."""

    def __init__(self, script: list[Answer]) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self._script = iter(script[:-1])
        self._last = script[-1]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._open: list[socket.socket] = []
        self._threads[0].start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(LIMIT_SECONDS)
        with connection, connection.makefile("rb") as reader:
            while (asked := _read(reader)) is not None:
                self.asked.append(asked)
                given = next(self._script, self._last)
                if given is None:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                if callable(given):
                    given(connection)
                    return
                connection.sendall(given)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LIMIT_SECONDS)


def _read(reader: Any) -> Asked | None:
    try:
        line = reader.readline().decode()
    except OSError:
        return None
    if not line:
        return None
    method, path, _ = line.split()
    headers = {}
    while line := reader.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", 0)))
    return Asked(method, path, headers, body)


@contextmanager
def unruly(*script: Answer) -> Iterator[Unruly]:
    server = Unruly(list(script))
    try:
        yield server
    finally:
        server.stop()
