"""Copies of a store, and what moves its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .arguments import Key, Path


class Transfers(Protocol):
    """Copies of a store, and what moves its keys."""

    def backup(self, path: Path) -> None:
        """Make a copy of the store while it is in use."""

    async def abackup(self, path: Path) -> None:
        """Make a copy of the store while it is in use."""

    def export_jsonl(self, path: Path, *, prefix: Key | None = None) -> int:
        """Write keys, values and times to a file, one JSON object a line."""

    async def aexport_jsonl(self, path: Path, *, prefix: Key | None = None) -> int:
        """Write keys, values and times to a file, one JSON object a line."""

    def import_jsonl(self, path: Path) -> int:
        """Put the keys of a file that ``export_jsonl`` wrote."""

    async def aimport_jsonl(self, path: Path) -> int:
        """Put the keys of a file that ``export_jsonl`` wrote."""

    def export_parquet(self, path: Path, *, prefix: Key | None = None) -> int:
        """Write keys, values and times to a Parquet file."""

    async def aexport_parquet(self, path: Path, *, prefix: Key | None = None) -> int:
        """Write keys, values and times to a Parquet file."""

    def import_parquet(self, path: Path) -> int:
        """Put the keys of a Parquet file, such as ``export_parquet`` writes."""

    async def aimport_parquet(self, path: Path) -> int:
        """Put the keys of a Parquet file, such as ``export_parquet`` writes."""

    def refresh(self) -> None:
        """Show what was written since, in a store that was opened read-only."""

    async def arefresh(self) -> None:
        """Show what was written since, in a store that was opened read-only."""
