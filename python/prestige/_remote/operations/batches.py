"""Many keys at once: a page of the input is one request, so that an endless one needs no memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import _native, exceptions
from ..wire import API, NDJSON, Operation, Reply, Request, Work, dumps, from_json, switch, to_json

if TYPE_CHECKING:
    from ..place import Place

# A page of `put_many` is one write of the store, as in its own process: so many entries, and it
# ends with the entry that makes keys and values so many bytes.
PAGE_ENTRIES = 1_000
PAGE_BYTES = 4 << 20
# Most keys of a request.
PAGE_KEYS = 4_096

_Entry = tuple[bytes, bytes, "int | None", "Mapping[str, str] | None"]


class Lines:
    """Takes a body of JSON values, one a line, and makes a list of them."""

    def __init__(self, expected: int | None = None) -> None:
        self._expected = expected
        self._rest = bytearray()
        self._values: list[Any] = []

    def feed(self, piece: bytes) -> None:
        """Take the next piece."""
        self._rest += piece
        end = self._rest.rfind(b"\n") + 1
        if end:
            lines = bytes(self._rest[:end])
            del self._rest[:end]
            # As one array, in half the time of as many documents: no value has a line break in it.
            joined = b",".join(line for line in lines.split(b"\n") if line)
            self._values += json.loads(b"[%b]" % joined)

    def finish(self) -> list[Any]:
        """Return the values. Fewer than expected: the server has given up in between."""
        if self._rest.strip():
            self._values.append(json.loads(bytes(self._rest)))
        if self._expected is not None and len(self._values) != self._expected:
            message = (
                f"the server should have sent {self._expected} lines and ended after "
                f"{len(self._values)}: its log says why"
            )
            raise exceptions.IOError(message)
        return self._values


class _Page(NamedTuple):
    entries: int
    body: bytes


def put_page(self: Place, entries: Iterable[_Entry]) -> Request:
    """The request that puts entries, all in one write."""
    return _put(self, b"".join(map(_line, entries)))


def _put(self: Place, body: bytes) -> Request:
    headers = {"content-type": NDJSON}
    return Request("POST", f"{API}/kv:batchPut", self._within(), headers, body)


def _line(entry: _Entry) -> bytes:
    key, value, ttl_seconds, metadata = entry
    item: dict[str, Any] = {"key": to_json(key), "value": to_json(value)}
    if ttl_seconds is not None:
        item["ttl_seconds"] = ttl_seconds
    if metadata:
        item["metadata"] = metadata
    return dumps(item) + b"\n"


def put_many(
    self: Place,
    entries: Any,  # noqa: ANN401 - see `Store.put_many`
    ttl_seconds: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> Operation[int]:
    """Store many values, in few large writes."""
    given = iter(entries.items() if isinstance(entries, Mapping) else entries)
    ttl = None if ttl_seconds is None else _native.natural_number("ttl_seconds", ttl_seconds)
    stored = 0
    while True:
        page: _Page = yield Work(_gather, (given, ttl, stored))
        if not page.entries:
            return stored
        reply: Reply = yield _put(self, page.body)
        if (count := reply.json()["stored"]) != page.entries:
            message = f"the server should have stored {page.entries} entries and stored {count}"
            raise exceptions.PrestigeError(message)
        stored += page.entries
        if progress is not None:
            yield Work(progress, (stored,))


def _gather(given: Iterator[Any], ttl_seconds: int | None, before: int) -> _Page:
    """The next entries, enough for one write."""
    lines: list[bytes] = []
    size = 0
    while len(lines) < PAGE_ENTRIES and size < PAGE_BYTES:
        entry = next(given, _END)
        if entry is _END:
            break
        parts = _native.entry_parts(entry, ttl_seconds, before + len(lines))
        size += len(parts[0]) + len(parts[1])
        lines.append(_line(parts))
    return _Page(len(lines), b"".join(lines))


_END = object()


class _Keys:
    """Keys of an iterable, a page at a time."""

    def __init__(self, keys: Iterable[Any]) -> None:
        if isinstance(keys, (str, bytes)):
            message = "keys should be an iterable of keys, not a single one"
            raise TypeError(message)
        self._given = iter(keys)
        self._before = 0

    def next_page(self) -> list[bytes]:
        """The next keys; none at the end."""
        page: list[bytes] = []
        size = 0
        for key in self._given:
            page.append(_native.numbered_key(key, self._before + len(page)))
            size += len(page[-1])
            if len(page) == PAGE_KEYS or size >= PAGE_BYTES:
                break
        self._before += len(page)
        return page


def get_page(self: Place, keys: list[bytes]) -> Request:
    """The request for the values of keys: what is made of the answer is a list of them."""
    return Request(
        "POST",
        f"{API}/kv:batchGet",
        self._within(),
        {"content-type": "application/json", "accept": NDJSON},
        dumps({"keys": [to_json(key) for key in keys]}),
        reads=True,
        sink=lambda: Lines(len(keys)),
    )


def get_many(
    self: Place,
    keys: Iterable[str | bytes],
    default: Any = None,  # noqa: ANN401
    decode: bool = False,
) -> Operation[list[Any]]:
    """Return the values of many keys."""
    pages = _Keys(keys)
    decode = switch("decode", decode)
    values: list[Any] = []
    while page := (yield Work(pages.next_page)):
        reply: Reply = yield get_page(self, page)
        values += yield Work(_values, (reply.made, default, decode))
    return values


def _values(found: list[Any], default: object, decode: bool) -> list[Any]:
    values = (None if value is None else from_json(value) for value in found)
    if decode:
        return [default if value is None else value.decode() for value in values]
    return [default if value is None else value for value in values]


def contains_many(self: Place, keys: Iterable[str | bytes]) -> Operation[list[bool]]:
    """Tell for many keys whether they exist."""
    pages = _Keys(keys)
    found: list[bool] = []
    while page := (yield Work(pages.next_page)):
        body = {"keys": [to_json(key) for key in page]}
        reply: Reply = yield self._call("POST", "/kv:batchContains", body, reads=True)
        found += reply.json()["found"]
    return found


def delete_many(self: Place, keys: Iterable[str | bytes]) -> Operation[int]:
    """Delete many keys, in bounded writes."""
    pages = _Keys(keys)
    deleted = 0
    while page := (yield Work(pages.next_page)):
        body = {"keys": [to_json(key) for key in page]}
        reply: Reply = yield self._call("POST", "/kv:batchDelete", body)
        deleted += reply.json()["deleted"]
    return deleted
