"""Many keys at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal

    from .arguments import Entries, Key

_T = TypeVar("_T")


class Batches(Protocol):
    """Many keys at once."""

    def put_many(
        self,
        entries: Entries,
        ttl_seconds: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """Store many values, in few large writes."""

    async def aput_many(
        self,
        entries: Entries,
        ttl_seconds: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """Store many values, in few large writes."""

    @overload
    def get_many(
        self, keys: Iterable[Key], default: None = None, decode: Literal[False] = False
    ) -> list[bytes | None]:
        """Return the values of many keys."""

    @overload
    def get_many(
        self, keys: Iterable[Key], default: None = None, *, decode: Literal[True]
    ) -> list[str | None]: ...

    @overload
    def get_many(
        self, keys: Iterable[Key], default: None = None, *, decode: bool
    ) -> list[bytes | None] | list[str | None]: ...

    @overload
    def get_many(
        self, keys: Iterable[Key], default: _T, decode: Literal[False] = False
    ) -> list[bytes | _T]: ...

    @overload
    def get_many(
        self, keys: Iterable[Key], default: _T, decode: Literal[True]
    ) -> list[str | _T]: ...

    @overload
    def get_many(
        self, keys: Iterable[Key], default: _T, decode: bool
    ) -> list[bytes | _T] | list[str | _T]: ...

    @overload
    async def aget_many(
        self, keys: Iterable[Key], default: None = None, decode: Literal[False] = False
    ) -> list[bytes | None]:
        """Return the values of many keys."""

    @overload
    async def aget_many(
        self, keys: Iterable[Key], default: None = None, *, decode: Literal[True]
    ) -> list[str | None]: ...

    @overload
    async def aget_many(
        self, keys: Iterable[Key], default: None = None, *, decode: bool
    ) -> list[bytes | None] | list[str | None]: ...

    @overload
    async def aget_many(
        self, keys: Iterable[Key], default: _T, decode: Literal[False] = False
    ) -> list[bytes | _T]: ...

    @overload
    async def aget_many(
        self, keys: Iterable[Key], default: _T, decode: Literal[True]
    ) -> list[str | _T]: ...

    @overload
    async def aget_many(
        self, keys: Iterable[Key], default: _T, decode: bool
    ) -> list[bytes | _T] | list[str | _T]: ...

    def contains_many(self, keys: Iterable[Key]) -> list[bool]:
        """Tell for many keys whether they exist."""

    async def acontains_many(self, keys: Iterable[Key]) -> list[bool]:
        """Tell for many keys whether they exist."""

    def delete_many(self, keys: Iterable[Key]) -> int:
        """Delete many keys, in bounded writes."""

    async def adelete_many(self, keys: Iterable[Key]) -> int:
        """Delete many keys, in bounded writes."""
