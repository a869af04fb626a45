"""What a store is, its namespaces, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing_extensions import Self

    from .._native import DedupMode


class Lifecycle(Protocol):
    """What a store is, its namespaces, and its end."""

    @property
    def path(self) -> str:
        """Directory of the store, as it was given."""

    @property
    def closed(self) -> bool:
        """Whether the store is closed."""

    @property
    def read_only(self) -> bool:
        """Whether the store was opened read-only."""

    @property
    def dedup_mode(self) -> DedupMode:
        """How values are deduplicated; fixed when the store was created."""

    @property
    def namespace_name(self) -> str:
        """Name of the namespace of this view; ``""`` for the store itself."""

    def namespace(self, name: str) -> Self:
        """Return a view of a namespace, which is made if it does not exist."""

    async def anamespace(self, name: str) -> Self:
        """Return a view of a namespace, which is made if it does not exist."""

    def namespaces(self) -> list[str]:
        """Return the names of all namespaces but the store's own, sorted."""

    async def anamespaces(self) -> list[str]:
        """Return the names of all namespaces but the store's own, sorted."""

    def drop_namespace(self, name: str) -> None:
        """Remove a namespace and all it holds."""

    async def adrop_namespace(self, name: str) -> None:
        """Remove a namespace and all it holds."""

    def close(self) -> None:
        """Close the store."""

    async def aclose(self) -> None:
        """Close the store."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_exception: object) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_exception: object) -> None: ...
