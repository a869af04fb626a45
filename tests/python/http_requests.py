"""Asks a server over HTTP, and reads Prometheus text."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from typing import NamedTuple

# No proxy stands between a test and its own process.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
TIMEOUT_SECONDS = 20

LABEL = r'[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*"'
SAMPLE = re.compile(rf"^([a-zA-Z_:][\w:]*)(?:\{{((?:{LABEL},?)*)\}})? (\S+)(?: \d+)?$")


class Answer(NamedTuple):
    """What a server said; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: str


def ask(
    url: str,
    method: str = "GET",
    data: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Sends a request; an error status is an answer like any other."""
    request = urllib.request.Request(url, method=method, data=data, headers=headers or {})
    try:
        with OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
            parts = response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            parts = error.code, error.headers, error.read()
    status, fields, body = parts
    return Answer(status, {name.lower(): value for name, value in fields.items()}, body.decode())


def parse_metrics(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Samples by name and labels; fails on any line that is not Prometheus text format 0.0.4."""
    samples, types = {}, {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in {"counter", "gauge", "histogram", "summary", "untyped"}
            assert name not in types
            types[name] = kind
        elif line and not line.startswith("# HELP "):
            match = SAMPLE.match(line)
            assert match, line
            family = re.sub(r"_(bucket|sum|count)$", "", match[1])
            assert match[1] in types or types.get(family) == "histogram", line
            labels = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or "")
            sample = match[1], frozenset(labels)
            assert sample not in samples, line
            samples[sample] = float(match[3])
    return samples
