"""Figures, and what keeps a store in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._native import SemanticModel
    from ..health import HealthStats
    from ..stats import StoreStats


class Upkeep(Protocol):
    """Figures, and what keeps a store in order."""

    def count_keys(self, approximate: bool = True) -> int:
        """Count the keys."""

    async def acount_keys(self, approximate: bool = True) -> int:
        """Count the keys."""

    def count_unique_values(self) -> int:
        """Return the number of distinct values, those that wait for ``sweep()`` included."""

    async def acount_unique_values(self) -> int:
        """Return the number of distinct values, those that wait for ``sweep()`` included."""

    def __len__(self) -> int: ...

    def __bool__(self) -> bool: ...

    def sweep(self) -> int:
        """Remove expired keys, and values that no key points at."""

    async def asweep(self) -> int:
        """Remove expired keys, and values that no key points at."""

    def prune(self, max_age_seconds: int = ..., max_idle_seconds: int = ...) -> int:
        """Remove expired keys, and on request old and idle ones."""

    async def aprune(self, max_age_seconds: int = ..., max_idle_seconds: int = ...) -> int:
        """Remove expired keys, and on request old and idle ones."""

    def evict_lru(self, target_bytes: int) -> int:
        """Evict least recently used keys until ``total_bytes`` is at most ``target_bytes``."""

    async def aevict_lru(self, target_bytes: int) -> int:
        """Evict least recently used keys until ``total_bytes`` is at most ``target_bytes``."""

    def flush(self) -> None:
        """Make all that was put durable against power loss, and checkpoint the vector index."""

    async def aflush(self) -> None:
        """Make all that was put durable against power loss, and checkpoint the vector index."""

    def compact(self) -> None:
        """Rewrite the files of the store, so that removed data takes no space on disk."""

    async def acompact(self) -> None:
        """Rewrite the files of the store, so that removed data takes no space on disk."""

    def rebuild_index(self, progress: Callable[[int, int], object] | None = ...) -> int:
        """Build the vector index of this namespace anew from its vectors."""

    async def arebuild_index(self, progress: Callable[[int, int], object] | None = ...) -> int:
        """Build the vector index of this namespace anew from its vectors."""

    def reembed(
        self, model: SemanticModel, progress: Callable[[int, int], object] | None = ...
    ) -> int:
        """Embed every text of the store by another model, and make it the model of the store."""

    async def areembed(
        self, model: SemanticModel, progress: Callable[[int, int], object] | None = ...
    ) -> int:
        """Embed every text of the store by another model, and make it the model of the store."""

    def verify(self) -> list[str]:
        """Check every invariant of the store against a full scan."""

    async def averify(self) -> list[str]:
        """Check every invariant of the store against a full scan."""

    def get_health(self) -> HealthStats:
        """Return figures of the store."""

    async def aget_health(self) -> HealthStats:
        """Return figures of the store."""

    def stats(self) -> StoreStats:
        """Return what has happened since the store was opened."""

    async def astats(self) -> StoreStats:
        """Return what has happened since the store was opened."""

    @property
    def total_bytes(self) -> int:
        """Bytes of all keys and distinct values, uncompressed: what ``max_store_bytes`` bounds."""
