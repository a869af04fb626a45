"""A stand-in for the Hugging Face hub: its HTTP interface, as far as downloads use it.

It serves folders as repositories with one commit. Faults can be set: a transfer that breaks off,
other bytes than the hashes say, a status for everything.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LFS_SUFFIXES = (".onnx", ".onnx_data", ".bin")

_API = re.compile(r"/api/models/([^/]+/[^/]+)/(revision|tree)/([^/?]+)")
_FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class Hub:
    """The server; use it as a context manager."""

    def __init__(self) -> None:
        self.repositories: dict[str, Path] = {}
        self.revisions = {"main": COMMIT, COMMIT: COMMIT}
        self.requests: list[tuple[str, str, str | None]] = []
        """Method, path and `Range` of every request."""
        self.status: int | None = None
        """Answer to everything, if set."""
        self.gated: set[str] = set()
        self.break_after: dict[str, int] = {}
        """Bytes of a file after which its next transfer breaks off, once."""
        self.tampered: set[str] = set()
        """Files of which one bit is turned on the way."""
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Hub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fetched(self) -> list[str]:
        """Paths in their repository of the files whose contents were asked for."""
        matches = (_FILE.fullmatch(path) for method, path, _ in self.requests if method == "GET")
        return [match[3] for match in matches if match]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        if self.hub.status is not None:
            return self.send(self.hub.status, b"", {})
        if match := _API.fullmatch(path):
            return self.describe(*match.groups())
        if match := _FILE.fullmatch(path):
            return self.file(*match.groups())
        return self.send(404, b"", {})

    def missing(self, repository: str, revision: str) -> bool:
        if repository not in self.hub.repositories:
            # Without a login the hub does not tell whether a repository exists.
            self.send(401, b"", {"X-Error-Code": "RepoNotFound"})
        elif repository in self.hub.gated:
            self.send(401, b"", {"X-Error-Code": "GatedRepo"})
        elif revision not in self.hub.revisions:
            self.send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        else:
            return False
        return True

    def describe(self, repository: str, kind: str, revision: str) -> None:
        if self.missing(repository, revision):
            return
        folder = self.hub.repositories[repository]
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        names = [file.relative_to(folder).as_posix() for file in files]
        answer: object
        if kind == "revision":
            siblings = [{"rfilename": name} for name in names]
            answer = {"id": repository, "sha": COMMIT, "siblings": siblings}
        else:
            pairs = zip(files, names, strict=True)
            answer = [_entry(file.read_bytes(), name) for file, name in pairs]
        self.send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def file(self, repository: str, revision: str, name: str) -> None:
        if self.missing(repository, revision):
            return
        file = self.hub.repositories[repository] / name
        if not file.is_file():
            self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        content = file.read_bytes()
        headers = {
            "ETag": f'"{_etag(content, name)}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
        }
        if name in self.hub.tampered:
            content = bytes([content[0] ^ 1]) + content[1:]
        status = 200
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted:
            start = int(wanted[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content, status = content[start:], 206
        limit = self.hub.break_after.pop(name, None) if self.command == "GET" else None
        self.send(status, content, headers, limit)

    def send(
        self, status: int, content: bytes, headers: dict[str, str], limit: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(content[:limit])
        if limit is not None:
            self.close_connection = True


def _etag(content: bytes, name: str) -> str:
    if name.endswith(LFS_SUFFIXES):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(content: bytes, name: str) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": name, "size": len(content)}
    if not name.endswith(LFS_SUFFIXES):
        return {**entry, "oid": _etag(content, name)}
    pointer = b"pointer of " + name.encode()
    lfs = {"oid": _etag(content, name), "size": len(content), "pointerSize": len(pointer)}
    return {**entry, "oid": hashlib.sha1(pointer).hexdigest(), "lfs": lfs}
