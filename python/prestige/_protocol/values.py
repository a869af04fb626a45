"""Single keys and their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Literal

    from .arguments import Key, Value

_T = TypeVar("_T")


class Values(Protocol):
    """Single keys and their values."""

    def put(
        self,
        key: Key,
        value: Value,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Store a value under a key, in place of what was there."""

    async def aput(
        self,
        key: Key,
        value: Value,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Store a value under a key, in place of what was there."""

    @overload
    def get(self, key: Key, *, decode: Literal[False] = False) -> bytes:
        """Return the value of a key."""

    @overload
    def get(self, key: Key, *, decode: Literal[True]) -> str: ...

    @overload
    def get(self, key: Key, *, decode: bool) -> bytes | str: ...

    @overload
    def get(self, key: Key, default: _T, decode: Literal[False] = False) -> bytes | _T: ...

    @overload
    def get(self, key: Key, default: _T, decode: Literal[True]) -> str | _T: ...

    @overload
    def get(self, key: Key, default: _T, decode: bool) -> bytes | str | _T: ...

    @overload
    async def aget(self, key: Key, *, decode: Literal[False] = False) -> bytes:
        """Return the value of a key."""

    @overload
    async def aget(self, key: Key, *, decode: Literal[True]) -> str: ...

    @overload
    async def aget(self, key: Key, *, decode: bool) -> bytes | str: ...

    @overload
    async def aget(self, key: Key, default: _T, decode: Literal[False] = False) -> bytes | _T: ...

    @overload
    async def aget(self, key: Key, default: _T, decode: Literal[True]) -> str | _T: ...

    @overload
    async def aget(self, key: Key, default: _T, decode: bool) -> bytes | str | _T: ...

    def delete(self, key: Key) -> None:
        """Delete a key, and with the last key of a value the value (see ``enable_gc``)."""

    async def adelete(self, key: Key) -> None:
        """Delete a key, and with the last key of a value the value (see ``enable_gc``)."""

    def ttl(self, key: Key) -> float | None:
        """Return the time a key has left."""

    async def attl(self, key: Key) -> float | None:
        """Return the time a key has left."""

    def touch(self, key: Key, ttl_seconds: int | None = None) -> None:
        """Set the time a key has left anew, and count as a use of it."""

    async def atouch(self, key: Key, ttl_seconds: int | None = None) -> None:
        """Set the time a key has left anew, and count as a use of it."""

    def expire_at(self, key: Key, when: float | datetime) -> None:
        """Let a key expire at a moment."""

    async def aexpire_at(self, key: Key, when: float | datetime) -> None:
        """Let a key expire at a moment."""

    def get_object_id(self, key: Key) -> int:
        """Return the id of the value a key points at."""

    async def aget_object_id(self, key: Key) -> int:
        """Return the id of the value a key points at."""

    def get_metadata(self, key: Key) -> dict[str, str]:
        """Return the metadata of the value of a key."""

    async def aget_metadata(self, key: Key) -> dict[str, str]:
        """Return the metadata of the value of a key."""

    def __getitem__(self, key: Key, /) -> bytes: ...

    def __setitem__(self, key: Key, value: Value, /) -> None: ...

    def __delitem__(self, key: Key, /) -> None: ...

    def __contains__(self, key: Key, /) -> bool: ...

    async def acontains(self, key: Key) -> bool:
        """Tell whether a key exists: the ``asyncio`` form of ``key in store``."""
