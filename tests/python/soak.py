"""Mixed load on a server that is stopped and killed meanwhile: nothing acknowledged may be lost.

`make soak` runs it for ten minutes, `test_soak.py` for some seconds. Every client has keys of its
own and knows which values each of them may have: the one whose write was acknowledged last or, if a
write got no answer, either of two. It compares whatever it reads with them, and in the end all of
it is compared with the store, which must be valid.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import prestige

KEYS_OF_A_CLIENT = 100
SHARED_VALUES = 50
"""Values that all clients put, so that deduplication has something to do."""
START_SECONDS = 60
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
QUIET_SHARE = 0.4
"""Share of the run, at its end, without restarts: there memory is looked at."""
GROWTH = 1.15
"""How much larger the memory of the last third of it may be than that of the second one."""
SERVER_OPTIONS = (
    "--value-cache-bytes=16MiB",
    "--block-cache-bytes=16MiB",
    "--write-buffer-bytes=16MiB",
    "--log-level=warn",
)


class Broken(Exception):
    """The connection ended before the answer was there."""


@dataclass
class Report:
    """What happened."""

    requests: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    restarts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    """Seconds since the beginning of the quiet part, and resident bytes of the server."""

    def shown(self, seconds: float) -> str:
        """The report as lines."""
        total = sum(self.requests.values())
        kinds = ", ".join(f"{name} {number:,}" for name, number in sorted(self.requests.items()))
        codes = ", ".join(f"{code}: {number:,}" for code, number in sorted(self.statuses.items()))
        ends = ", ".join(f"{name} {number}" for name, number in sorted(self.restarts.items()))
        lines = [
            f"{total:,} requests in {seconds:.0f} s ({total / seconds:,.0f}/s): {kinds}",
            f"statuses {codes}; {self.unanswered:,} without an answer",
            f"restarts: {ends or 'none'}",
        ]
        if self.memory:
            first, last = self.memory_of_thirds()
            lines.append(f"memory, median: {first / 2**20:.0f} MiB, later {last / 2**20:.0f} MiB")
        return "\n".join(lines)

    def memory_of_thirds(self) -> tuple[float, float]:
        """Medians of resident bytes in the second and the last third of the quiet part."""
        samples = [size for _, size in self.memory]
        third = max(1, len(samples) // 3)
        return statistics.median(samples[third : 2 * third] or samples), statistics.median(
            samples[-third:]
        )


class Connection:
    """One HTTP/1.1 connection, kept open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, body: bytes = b"", kind: str = "application/octet-stream"
    ) -> tuple[int, bytes]:
        """Status and body of an answer; `Broken` if there is none."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
                f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            return await self._answer(reader)
        except (OSError, EOFError, asyncio.IncompleteReadError, ValueError) as error:
            self.close()
            raise Broken from error

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
        else:
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.close()
        return status, body

    def close(self) -> None:
        """End the connection; the next request opens another one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Client:
    """One connection and the keys that it alone writes."""

    def __init__(self, number: int, port: int, report: Report, seed: int) -> None:
        self._random = random.Random(f"{seed}/{number}")
        self._connection = Connection(port)
        self._report = report
        self.allowed: dict[str, set[bytes | None]] = {
            f"c{number:02}/{place:03}": {None} for place in range(KEYS_OF_A_CLIENT)
        }
        self._keys = list(self.allowed)

    async def work(self, until: float) -> None:
        """Send requests until the time comes."""
        acts = [self.get, self.put, self.delete, self.get_many, self.put_many, self.list_keys]
        while time.monotonic() < until:
            (act,) = self._random.choices(acts, [45, 30, 8, 6, 6, 5])
            try:
                await act()
                self._report.requests[act.__name__] += 1
            except Broken:
                self._report.unanswered += 1
                await asyncio.sleep(0.05)
        self._connection.close()

    def _value(self) -> bytes:
        if self._random.random() < 0.5:
            return f"shared value {self._random.randrange(SHARED_VALUES)}".encode() * 40
        return self._random.randbytes(self._random.randrange(1, 3000))

    async def _ask(
        self, method: str, path: str, body: bytes = b"", kind: str = "application/octet-stream"
    ) -> tuple[int, bytes]:
        status, answer = await self._connection.ask(method, path, body, kind)
        self._report.statuses[status] += 1
        if status == 503:
            # Not done, or not known to be: as good as no answer.
            raise Broken
        if status >= 500:
            self._wrong(f"{method} {path}: status {status}, {answer[:200]!r}")
            raise Broken
        return status, answer

    def _wrong(self, what: str) -> None:
        self._report.wrong.append(what)

    def _found(self, key: str, value: bytes | None) -> None:
        """A key was read: it can only have a value that it may have, and from now on has it."""
        if value not in self.allowed[key]:
            self._wrong(f"{key} has a value that was not put last: {(value or b'nothing')[:50]!r}")
        self.allowed[key] = {value}

    async def get(self) -> None:
        key = self._random.choice(self._keys)
        status, body = await self._ask("GET", f"/api/v1/kv/{key}")
        self._found(key, body if status == 200 else None)

    async def put(self) -> None:
        key, value = self._random.choice(self._keys), self._value()
        self.allowed[key].add(value)
        status, answer = await self._ask("PUT", f"/api/v1/kv/{key}", value)
        if status not in {200, 201}:
            self._wrong(f"PUT {key}: status {status}, {answer[:200]!r}")
        self.allowed[key] = {value}

    async def delete(self) -> None:
        key = self._random.choice(self._keys)
        before = self.allowed[key]
        self.allowed[key] = before | {None}
        status, _ = await self._ask("DELETE", f"/api/v1/kv/{key}")
        if status == 404 and None not in before:
            self._wrong(f"{key} was not there to be deleted")
        self.allowed[key] = {None}

    async def get_many(self) -> None:
        keys = self._random.sample(self._keys, 10)
        body = json.dumps({"keys": keys, "encoding": "base64"}).encode()
        status, answer = await self._ask("POST", "/api/v1/kv:batchGet", body, "application/json")
        if status != 200:
            self._wrong(f"batchGet: status {status}, {answer[:200]!r}")
            return
        for key, shown in zip(keys, json.loads(answer)["values"], strict=True):
            self._found(key, None if shown is None else _bytes(shown["base64"]))

    async def put_many(self) -> None:
        entries = {key: self._value().hex() for key in self._random.sample(self._keys, 5)}
        for key, value in entries.items():
            self.allowed[key].add(value.encode())
        items = [{"key": key, "value": value} for key, value in entries.items()]
        body = json.dumps({"items": items}).encode()
        status, answer = await self._ask("POST", "/api/v1/kv:batchPut", body, "application/json")
        if status != 200 or json.loads(answer).get("stored") != len(items):
            self._wrong(f"batchPut: status {status}, {answer[:200]!r}")
            return
        for key, value in entries.items():
            self.allowed[key] = {value.encode()}

    async def list_keys(self) -> None:
        prefix = self._keys[0].partition("/")[0]
        status, answer = await self._ask("GET", f"/api/v1/kv?prefix={prefix}%2F&limit=1000")
        if status != 200:
            self._wrong(f"listing: status {status}, {answer[:200]!r}")
            return
        listed = set(json.loads(answer)["keys"])
        for key, allowed in self.allowed.items():
            if allowed == {None} if key in listed else None not in allowed:
                self._wrong(f"{key} is {'' if key in listed else 'not '}listed")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


class Server:
    """`prestige serve` in a process of its own, again and again on the same port."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "prestige", "serve", str(self._path)),
            *("--port", str(self.port)),
            *SERVER_OPTIONS,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), START_SECONDS)
        if not line:
            raise RuntimeError(f"the server did not start: {await self._process.wait()}")

    async def end(self, number: signal.Signals) -> int:
        """Send a signal, and return the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return await asyncio.wait_for(self._process.wait(), START_SECONDS)

    def memory(self) -> int:
        """Resident bytes."""
        assert self._process is not None
        pages = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * PAGE_BYTES

    def kill(self) -> None:
        """End it for good, whatever it does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()


async def _restart(server: Server, report: Report, until: float, every: float) -> None:
    """Stop and kill the server in turn, until the time comes."""
    turn = 0
    while time.monotonic() + every < until:
        await asyncio.sleep(every)
        number = (signal.SIGTERM, signal.SIGKILL)[turn % 2]
        code = await server.end(number)
        expected = 0 if number == signal.SIGTERM else -number
        if code != expected:
            report.wrong.append(f"after {number.name} the exit code was {code}, not {expected}")
        report.restarts[number.name] += 1
        await server.start()
        turn += 1


async def _watch_memory(server: Server, report: Report, start: float, until: float) -> None:
    await asyncio.sleep(max(0.0, start - time.monotonic()))
    while time.monotonic() < until:
        report.memory.append((time.monotonic() - start, server.memory()))
        await asyncio.sleep(1)


async def _load(
    path: Path, seconds: float, connections: int, every: float, seed: int
) -> tuple[Report, list[Client]]:
    report, server = Report(), Server(path)
    await server.start()
    clients = [Client(number, server.port, report, seed) for number in range(connections)]
    now = time.monotonic()
    until, quiet = now + seconds, now + seconds * (1 - QUIET_SHARE)
    try:
        await asyncio.gather(
            _restart(server, report, quiet, every),
            _watch_memory(server, report, quiet, until),
            *(client.work(until) for client in clients),
        )
        code = await server.end(signal.SIGTERM)
        if code != 0:
            report.wrong.append(f"at the end the exit code was {code}, not 0")
    finally:
        server.kill()
    return report, clients


def soak(
    path: Path, *, seconds: float, connections: int, every: float, seed: int = 0
) -> tuple[Report, list[str]]:
    """Load a server of the store at `path`, and return what happened and what was wrong."""
    report, clients = asyncio.run(_load(path, seconds, connections, every, seed))
    wrong = report.wrong
    with prestige.open(path) as store:
        wrong += store.verify()
        for client in clients:
            for key, allowed in client.allowed.items():
                value = store.get(key, default=None)
                if value not in allowed:
                    wrong.append(f"{key} in the end: {(value or b'nothing')[:50]!r}")
    return report, wrong


def main() -> int:
    """Run it as a command, and check that memory stays flat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--every", type=float, default=15, help="seconds between restarts")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prestige-soak-") as folder:
        report, wrong = soak(Path(folder) / "store", **vars(arguments))
    first, last = report.memory_of_thirds()
    if last > first * GROWTH:
        wrong.append(f"memory grew from {first:,.0f} to {last:,.0f} bytes")
    print(report.shown(arguments.seconds))
    for line in wrong[:20]:
        print(f"WRONG: {line}")
    print("soak: " + (f"{len(wrong)} things are wrong" if wrong else "nothing was lost"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
