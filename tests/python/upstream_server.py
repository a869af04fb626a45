"""A stand-in for an upstream with OpenAI's interface, which notes what it is asked."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIMENSION = 8
MODEL = "text-embedding-3-small"


def vector(text: str | Sequence[int], dimensions: int = DIMENSION) -> list[float]:
    """The vector that the stand-in has for a text or a list of tokens; float32 numbers."""
    digest = hashlib.sha256(repr(text).encode()).digest()
    numbers = [byte / 255 - 0.5 for byte in (digest * 8)[:dimensions]]
    return list(struct.unpack(f"<{dimensions}f", struct.pack(f"<{dimensions}f", *numbers)))


@dataclass
class Failure:
    """An answer in place of vectors."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Upstream:
    """What the stand-in has been asked, and what it is to do."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the requests for embeddings, in their order."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Their headers; names in lower case."""
    failures: list[Failure] = field(default_factory=list)
    """The next answers."""
    key: str | None = None
    """The only key that is let in."""
    delay: float = 0.0
    """Seconds before an answer."""
    lists: bool = False
    """Answers with lists of numbers, whatever is asked for."""
    answer: Any = None
    """The body of every answer, if it is to be none of vectors."""
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    release: threading.Event = field(default_factory=threading.Event)
    """Answers wait for it."""

    @property
    def texts(self) -> list[Any]:
        """Everything that was asked for."""
        return [text for body in self.asked for text in body["input"]]


class Handler(BaseHTTPRequestHandler):
    """Answers like OpenAI."""

    protocol_version = "HTTP/1.1"
    upstream: Upstream

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            self.send(404, {"error": {"message": "no such path"}})
            return
        model = {"id": MODEL, "object": "model", "created": 1, "owned_by": "somebody"}
        self.send(200, {"object": "list", "data": [model]})

    def do_POST(self) -> None:
        upstream = self.upstream
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        upstream.asked.append(body)
        upstream.headers.append({name.lower(): text for name, text in self.headers.items()})
        upstream.arrived.release()
        upstream.release.wait(30)
        time.sleep(upstream.delay)
        self.send(*self.answer(body))

    def answer(self, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        """Status, body and headers."""
        upstream = self.upstream
        if upstream.failures:
            failure = upstream.failures.pop(0)
            return failure.status, failure.body, failure.headers
        authorization = self.headers.get("authorization")
        if upstream.key is not None and authorization != f"Bearer {upstream.key}":
            message = f"Incorrect API key provided: {authorization}"
            return 401, {"error": {"message": message, "code": "invalid_api_key"}}, {}
        if upstream.answer is not None:
            return 200, upstream.answer, {}
        dimensions = body.get("dimensions", DIMENSION)
        embeddings: list[Any] = [vector(text, dimensions) for text in body["input"]]
        if body.get("encoding_format") == "base64" and not upstream.lists:
            packed = [struct.pack(f"<{dimensions}f", *one) for one in embeddings]
            embeddings = [base64.b64encode(one).decode() for one in packed]
        data = [
            {"object": "embedding", "index": index, "embedding": embedding}
            for index, embedding in enumerate(embeddings)
        ]
        tokens = sum(len(text) for text in body["input"])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        # The order of the answer is nobody's promise; the index is.
        return 200, {"object": "list", "data": data[::-1], "model": MODEL, "usage": usage}, {}

    def send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        encoded = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def running() -> Iterator[Upstream]:
    """A stand-in on a free port."""
    upstream = Upstream()
    upstream.release.set()
    handler = type("Handler", (Handler,), {"upstream": upstream})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        upstream.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield upstream
        finally:
            upstream.release.set()
            server.shutdown()
            thread.join()
