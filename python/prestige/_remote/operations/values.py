"""Single keys and their values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ... import _native
from ..wire import (
    API,
    BINARY,
    JSON,
    Operation,
    Reply,
    Request,
    dumps,
    from_json,
    in_path,
    switch,
    to_json,
)
from .batches import get_page, put_page

if TYPE_CHECKING:
    from ..place import Place

NOT_FOUND = 404
# Bytes; no store has a longer one.
LONGEST_KEY = 65_536
MISSING: Any = ...


def put(
    self: Place,
    key: str | bytes,
    value: Any,  # noqa: ANN401 - whatever has bytes
    ttl_seconds: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Operation[None]:
    """Store a value under a key."""
    name = _native.key_bytes(key)
    data = _native.value_bytes(value)
    pairs = None if metadata is None else _native.metadata_pairs(metadata)
    ttl = None if ttl_seconds is None else _native.natural_number("ttl_seconds", ttl_seconds)
    path = in_path(name)
    if path is None:
        yield put_page(self, [(name, data, ttl, pairs)])
        return
    query = self._within({} if ttl is None else {"ttl_seconds": str(ttl)})
    content, kind = data, BINARY
    if pairs:
        # In the body: headers are refused where they are long.
        content, kind = dumps({"value": to_json(data), "metadata": pairs}), JSON
    yield Request("PUT", f"{API}/kv/{path}", query, {"content-type": kind}, content)


def get(
    self: Place,
    key: str | bytes,
    default: Any = MISSING,  # noqa: ANN401
    decode: bool = False,
) -> Operation[Any]:
    """Return the value of a key."""
    name = _native.key_bytes(key)
    decode = switch("decode", decode)
    path = in_path(name)
    value: bytes | None
    if len(name) > LONGEST_KEY:
        value = None
    elif path is None:
        (found,) = (yield get_page(self, [name])).made
        value = None if found is None else from_json(found)
    else:
        expects = frozenset({NOT_FOUND})
        request = Request(
            "GET", f"{API}/kv/{path}", self._within(), _RAW, reads=True, expects=expects
        )
        reply: Reply = yield request
        value = reply.body
        if reply.status == NOT_FOUND:
            _check_absent(self, reply)
            value = None
    if value is not None:
        return value.decode() if decode else value
    if default is MISSING:
        raise _native.missing_key(name)
    return default


_RAW = {"accept": BINARY}


def _check_absent(self: Place, reply: Reply) -> None:
    """Refuse an answer that is not that of a server that does not have the key."""
    if reply.code != "not_found":
        raise self._error(reply)


def contains(self: Place, key: str | bytes) -> Operation[bool]:
    """Tell whether a key exists."""
    name = _native.key_bytes(key)
    if len(name) > LONGEST_KEY:
        return False
    body = {"keys": [to_json(name)]}
    reply: Reply = yield self._call("POST", "/kv:batchContains", body, reads=True)
    (found,) = reply.json()["found"]
    return bool(found)


def delete(self: Place, key: str | bytes) -> Operation[None]:
    """Delete a key."""
    name = _native.key_bytes(key)
    path = in_path(name)
    if path is None:
        reply: Reply = yield self._call("POST", "/kv:batchDelete", {"keys": [to_json(name)]})
        if not reply.json()["deleted"]:
            raise _native.missing_key(name)
        return
    expects = frozenset({NOT_FOUND})
    reply = yield Request("DELETE", f"{API}/kv/{path}", self._within(), expects=expects)
    _found(self, reply, name)


def _head(self: Place, name: bytes) -> Operation[Reply]:
    """The headers of a key."""
    expects = frozenset({NOT_FOUND})
    request = Request("HEAD", self._key_path(name), self._within(), reads=True, expects=expects)
    reply: Reply = yield request
    if reply.status == NOT_FOUND:
        raise _native.missing_key(name)
    return reply


def ttl(self: Place, key: str | bytes) -> Operation[float | None]:
    """Return the time a key has left."""
    reply = yield from _head(self, _native.key_bytes(key))
    left = reply.headers.get("prestige-ttl-seconds")
    return None if left is None else float(left)


def get_object_id(self: Place, key: str | bytes) -> Operation[int]:
    """Return the id of the value a key points at."""
    reply = yield from _head(self, _native.key_bytes(key))
    return int(reply.headers["prestige-object-id"])


def get_metadata(self: Place, key: str | bytes) -> Operation[dict[str, str]]:
    """Return the metadata of the value of a key."""
    name = _native.key_bytes(key)
    reply = yield from _head(self, name)
    metadata: dict[str, str]
    if "prestige-metadata-bytes" not in reply.headers:
        metadata = json.loads(reply.headers.get("prestige-metadata", "{}"))
        return metadata
    # Too long for a header.
    reply = yield Request("GET", self._key_path(name), self._within(), {"accept": JSON}, reads=True)
    metadata = reply.json()["metadata"]
    return metadata


def touch(self: Place, key: str | bytes, ttl_seconds: int | None = None) -> Operation[None]:
    """Set the time a key has left anew."""
    name = _native.key_bytes(key)
    ttl = None if ttl_seconds is None else _native.natural_number("ttl_seconds", ttl_seconds)
    yield from _patch(self, name, {"ttl_seconds": ttl})


def expire_at(self: Place, key: str | bytes, when: float | datetime) -> Operation[None]:
    """Let a key expire at a moment."""
    name = _native.key_bytes(key)
    micros = _native.moment_micros("when", when)
    yield from _patch(self, name, {"expires_at": micros / 1e6})


def _patch(self: Place, name: bytes, change: dict[str, Any]) -> Operation[None]:
    reply: Reply = yield Request(
        "PATCH",
        self._key_path(name),
        self._within(),
        {"content-type": JSON},
        dumps(change),
        expects=frozenset({NOT_FOUND}),
    )
    _found(self, reply, name)


def _found(self: Place, reply: Reply, name: bytes) -> None:
    """Refuse the answer that there is no such key."""
    if reply.status == NOT_FOUND:
        _check_absent(self, reply)
        raise _native.missing_key(name)
