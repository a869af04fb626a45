"""Runs the `prestige` command inside the test's own process, or in one of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from prestige import cli

TIMEOUT_SECONDS = 60
COMMAND = [sys.executable, "-m", "prestige"]


class Result(NamedTuple):
    """What a command said."""

    code: int
    out: bytes
    err: str


@contextmanager
def _standard_streams(given: bytes) -> Iterator[tuple[io.BytesIO, io.StringIO]]:
    before = sys.stdin, sys.stdout, sys.stderr
    out, err = io.BytesIO(), io.StringIO()
    sys.stdin = io.TextIOWrapper(io.BytesIO(given), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    sys.stderr = err
    try:
        yield out, err
    finally:
        sys.stdout.detach()
        sys.stdin, sys.stdout, sys.stderr = before


def run(*arguments: object, given: bytes = b"") -> Result:
    """Runs a command in this process; `given` is its standard input."""
    with _standard_streams(given) as (out, err):
        words = [os.fsdecode(word) if isinstance(word, bytes) else str(word) for word in arguments]
        code = cli.main(words)
    return Result(code, out.getvalue(), err.getvalue())


def run_process(
    *arguments: object, given: bytes | None = None, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Runs a command in a process of its own."""
    words = [word if isinstance(word, bytes) else str(word) for word in arguments]
    return subprocess.run(
        [*COMMAND, *words],
        input=given,
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        env={**os.environ, **environment},
        check=False,
    )
