"""Runs `prestige serve` in a process of its own, and ends it by signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands import COMMAND, TIMEOUT_SECONDS

# No proxy stands between a test and a server of its own.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Serving:
    """A server that is ready."""

    process: subprocess.Popen[bytes]
    url: str
    said: dict[str, Any]

    def ask(
        self, path: str, method: str = "GET", data: bytes | None = None, token: str | None = None
    ) -> tuple[int, bytes]:
        """Status and body of an answer; an error status is an answer like any other."""
        request = urllib.request.Request(self.url + path, method=method, data=data)
        if data is not None:
            request.add_header("Content-Type", "application/octet-stream")
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, bytes]:
        """Sends a signal; the exit code and what it said on the standard error output."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=TIMEOUT_SECONDS)
        return self.process.returncode, errors


@contextmanager
def serving(path: Path, *arguments: object, **environment: str) -> Iterator[Serving]:
    """A server of the store at `path` on a free port, which does not outlive the block."""
    words = ["serve", str(path), "--port", "0", "--json", *map(str, arguments)]
    process = subprocess.Popen(
        [*COMMAND, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
            raise AssertionError(f"exit code {process.returncode}: {errors.decode()}")
        said = json.loads(line)
        yield Serving(process, said["url"], said)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
