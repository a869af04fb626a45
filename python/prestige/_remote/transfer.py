"""Exports to files of this machine, and imports from them: listings and batches over the wire."""

from __future__ import annotations

import base64
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _native, exceptions
from .._parquet import replacing
from .operations.batches import PAGE_BYTES, PAGE_ENTRIES, put_page
from .operations.listing import listing

if TYPE_CHECKING:
    from .store import RemoteStore


class Batch:
    """Records as lists of one length, as ``Store`` takes and gives them."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.values: list[bytes] = []
        self.created: list[int | None] = []
        self.expires: list[int | None] = []
        self.metadata: list[dict[str, str] | None] = []
        self.bytes = 0

    def add(
        self,
        key: bytes,
        value: bytes,
        created: int | None,
        expires: int | None,
        metadata: dict[str, str] | None,
    ) -> None:
        """Add a record; times are microseconds since the Unix epoch."""
        self.keys.append(key)
        self.values.append(value)
        self.created.append(created)
        self.expires.append(expires)
        self.metadata.append(metadata)
        self.bytes += len(key) + len(value)

    def lists(self) -> tuple[Any, ...]:
        """The lists."""
        return self.keys, self.values, self.created, self.expires, self.metadata


def export_batches(
    store: RemoteStore, prefix: str | bytes | None, visit: Callable[..., None]
) -> int:
    """Call ``visit`` with the lists of one batch after the other."""
    way = listing(store, "details", prefix)
    written = 0
    while page := store._run(way.next_page()):
        batch = Batch()
        for key, value, details in page:
            times = details["created_us"], details["expires_us"]
            batch.add(key, value, *times, details["metadata"] or None)
        visit(*batch.lists())
        written += len(page)
    return written


def import_batch(  # noqa: PLR0913, PLR0917 - as of a store
    store: RemoteStore,
    keys: list[bytes],
    values: list[bytes],
    created: list[int | None],
    expires: list[int | None],
    metadata: list[dict[str, str] | None],
) -> int:
    """Put records. Over the wire they count as put now, and expire at the next full second."""
    now = time.time()
    entries = []
    for key, value, expires_us, pairs in zip(keys, values, expires, metadata, strict=True):
        # 0 means never: records of a file do not take the default of a store.
        left = 0.0 if expires_us is None else expires_us / 1e6 - now
        if expires_us is None or left > 0:
            entries.append((key, value, math.ceil(left), pairs))
    if not entries:
        return 0
    reply = store._driver.run(_sent(put_page(store, entries)))
    return int(reply.json()["stored"])


def _sent(request: Any) -> Any:  # noqa: ANN401 - an operation of one request
    reply = yield request
    return reply


def export_jsonl(
    store: RemoteStore, path: str | os.PathLike[str], prefix: str | bytes | None
) -> int:
    """Write records to a file, one JSON object a line."""
    with replacing(Path(path)) as file:

        def write(*lists: Any) -> None:  # noqa: ANN401
            for record in zip(*lists, strict=True):
                file.write(_line(*record))

        return export_batches(store, prefix, write)


def _line(
    key: bytes,
    value: bytes,
    created: int | None,
    expires: int | None,
    metadata: dict[str, str] | None,
) -> bytes:
    line: dict[str, Any] = {**_member("key", key), **_member("value", value)}
    more = {"created_us": created, "expires_us": expires, "metadata": metadata or None}
    line.update({name: given for name, given in more.items() if given is not None})
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _member(name: str, data: bytes) -> dict[str, str]:
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_b64": base64.b64encode(data).decode("ascii")}


def import_jsonl(store: RemoteStore, path: str | os.PathLike[str]) -> int:
    """Put the records of a file."""
    put = 0
    try:
        with Path(path).open("rb") as file:
            for batch in _batches(os.fspath(path), file):
                put += import_batch(store, *batch.lists())
    except OSError as error:
        if isinstance(error, exceptions.IOError):
            raise
        message = f"cannot read {os.fspath(path)}: {error.strerror}"
        raise exceptions.IOError(message) from None
    return put


def _batches(path: str, lines: Iterator[bytes]) -> Iterator[Batch]:
    batch = Batch()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if record.get("metadata") is not None:
                record["metadata"] = _native.metadata_pairs(record["metadata"])
            times = _time(record, "created_us"), _time(record, "expires_us")
            key, value = _bytes(record, "key"), _bytes(record, "value")
            batch.add(key, value, *times, record.get("metadata"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = _native.jsonl_problem(line) or error
            message = f"{path}, line {number}: this is no record of an export: {reason}"
            raise exceptions.InvalidArgumentError(message) from None
        if len(batch.keys) >= PAGE_ENTRIES or batch.bytes >= PAGE_BYTES:
            yield batch
            batch = Batch()
    yield batch


def _time(record: dict[str, Any], name: str) -> int | None:
    time_us = record.get(name)
    if time_us is None:
        return None
    if type(time_us) is not int or time_us < 0:
        raise ValueError(f"`{name}` is no time")
    return time_us


def _bytes(record: dict[str, Any], name: str) -> bytes:
    if (text := record.get(name)) is not None:
        encoded: bytes = text.encode()
        return encoded
    return base64.b64decode(record[f"{name}_b64"], validate=True)
