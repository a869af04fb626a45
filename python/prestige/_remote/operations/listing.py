"""Keys and values in their order, page by page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ... import _native
from ..wire import Operation, Reply, Work, from_json, in_query

if TYPE_CHECKING:
    from ..place import Place

# Keys of a page.
PAGE_KEYS = 4_096
# Items of the first page: as long as the length of the values is not known, they may all be large.
FIRST_PAGE_ITEMS = 64
# Bytes that the values of a page are to have, by the average of the page before.
PAGE_BYTES = 4 << 20
# Bytes of a prefix or start in a URL; encoded they may be three times as long.
LONGEST_PARAMETER = 2_000
# The server's bound.
MOST_ITEMS = 10_000

_T = TypeVar("_T")


class Listing:
    """A way through the keys of a namespace. Each page is as the store is when it is asked for."""

    def __init__(
        self, place: Place, gives: str, prefix: bytes, start: bytes | None, limit: int | None
    ) -> None:
        self._place = place
        self._gives = gives
        # What is too long for a URL is cut there, and looked at again here.
        self._prefix, self._start = prefix, start or b""
        self._query = {"prefix": in_query(prefix[:LONGEST_PARAMETER])} if prefix else {}
        if start is not None:
            self._query["start"] = in_query(start[:LONGEST_PARAMETER])
        self._looks = max(len(prefix), len(self._start)) > LONGEST_PARAMETER
        if gives != "keys":
            self._query["values"] = "true"
        if gives == "details":
            self._query["details"] = "true"
        self._left = limit
        self._size = PAGE_KEYS if gives == "keys" else FIRST_PAGE_ITEMS
        self._ended = False

    def next_page(self) -> Operation[list[Any]]:
        """Read the next page; empty at the end."""
        while not self._ended:
            self._place._check_open()
            size = self._size if self._left is None else min(self._size, self._left)
            if size == 0:
                break
            query = {**self._query, "limit": str(size)}
            reply: Reply = yield self._place._call("GET", "/kv", query=query, reads=True)
            page = yield Work(self._take, (reply,))
            if page:
                found: list[Any] = page
                return found
        self._ended = True
        return []

    def _take(self, reply: Reply) -> list[Any]:
        """The objects of a page. What they are read from is done with."""
        answer = reply.json()
        found = answer["keys"] if self._gives == "keys" else answer["items"]
        cursor = answer["next_cursor"]
        if cursor is None:
            self._ended = True
        else:
            self._query["cursor"] = in_query(cursor.encode())
        if found and self._gives != "keys":
            average = len(reply.body) // len(found) + 1
            self._size = min(max(PAGE_BYTES // average, 1), MOST_ITEMS)
        if self._looks:
            found = [item for item in found if self._fits(item)]
        if self._left is not None:
            self._left -= len(found)
        return [self._object(item) for item in found]

    def _fits(self, item: Any) -> bool:  # noqa: ANN401 - a key, or an object with it
        key = from_json(item if self._gives == "keys" else item["key"])
        return key.startswith(self._prefix) and key >= self._start

    def _object(self, item: Any) -> Any:  # noqa: ANN401
        if self._gives == "keys":
            return _native.key_text(from_json(item))
        value = from_json(item["value"])
        if self._gives == "values":
            return value
        if self._gives == "details":
            return from_json(item["key"]), value, item
        return _native.key_text(from_json(item["key"])), value


def listing(
    place: Place,
    gives: str,
    prefix: str | bytes | None = "",
    start: str | bytes | None = None,
    limit: int | None = None,
) -> Listing:
    """Check arguments as ``Store.keys`` does."""
    return Listing(
        place,
        gives,
        _native.prefix_bytes(prefix),
        None if start is None else _native.key_bytes(start),
        None if limit is None else _native.natural_number("limit", limit),
    )


class RemoteIterator(Generic[_T]):
    """Iterator over a store on a server, in byte order of the keys.

    It reads a page at a time, and each as the store is then: what is put and deleted meanwhile may
    be seen or not, and no key is seen twice. Several threads may share it; each of them gets other
    keys.
    """

    def __init__(self, place: Place, way: Listing) -> None:
        self._place = place
        self._listing = way
        # Held while a page is read, so that no two threads read the same.
        self._lock = threading.Lock()
        self._page: Iterator[_T] = iter(())

    def __iter__(self) -> RemoteIterator[_T]:
        return self

    def __next__(self) -> _T:
        with self._lock:
            try:
                return next(self._page)
            except StopIteration:
                self._page = iter(self._place._driver.run(self._listing.next_page()))
            return next(self._page)


def list_keys(
    self: Place, prefix: str | bytes | None = "", limit: int | None = None
) -> Operation[list[str]]:
    """List keys in byte order."""
    way = listing(self, "keys", prefix, None, limit)
    keys: list[str] = []
    while page := (yield from way.next_page()):
        keys += page
    return keys
