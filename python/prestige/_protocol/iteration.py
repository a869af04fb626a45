"""Keys and values in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from .arguments import Key


class Iteration(Protocol):
    """Keys and values in their order."""

    def keys(
        self, prefix: Key | None = "", start: Key | None = None, limit: int | None = None
    ) -> Iterator[str]:
        """Iterate over the keys, in byte order, as they are now."""

    def akeys(
        self, prefix: Key | None = "", start: Key | None = None, limit: int | None = None
    ) -> AsyncGenerator[str, None]:
        """Iterate over the keys, in byte order, as they are now."""

    def values(
        self, prefix: Key | None = "", start: Key | None = None, limit: int | None = None
    ) -> Iterator[bytes]:
        """Iterate over the values, in byte order of their keys, as they are now."""

    def avalues(
        self, prefix: Key | None = "", start: Key | None = None, limit: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Iterate over the values, in byte order of their keys, as they are now."""

    def items(
        self, prefix: Key | None = "", start: Key | None = None, limit: int | None = None
    ) -> Iterator[tuple[str, bytes]]:
        """Iterate over pairs of key and value, in byte order of the keys, as they are now."""

    def aitems(
        self, prefix: Key | None = "", start: Key | None = None, limit: int | None = None
    ) -> AsyncGenerator[tuple[str, bytes], None]:
        """Iterate over pairs of key and value, in byte order of the keys, as they are now."""

    def scan(
        self, prefix: Key | None = "", start: Key | None = None, limit: int | None = None
    ) -> Iterator[tuple[str, bytes]]:
        """Iterate over pairs of key and value: another name of ``items``."""

    def ascan(
        self, prefix: Key | None = "", start: Key | None = None, limit: int | None = None
    ) -> AsyncGenerator[tuple[str, bytes], None]:
        """Iterate over pairs of key and value: another name of ``items``."""

    def list_keys(self, prefix: Key | None = "", limit: int | None = None) -> list[str]:
        """List keys in byte order, the expired left out."""

    async def alist_keys(self, prefix: Key | None = "", limit: int | None = None) -> list[str]:
        """List keys in byte order, the expired left out."""

    def __iter__(self) -> Iterator[str]: ...

    def __aiter__(self) -> AsyncGenerator[str, None]: ...
