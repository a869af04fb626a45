"""The dictionary that ``Store.get_health`` returns."""

from __future__ import annotations

from typing import TypedDict


class HealthStats(TypedDict):
    """Figures of a store. ``_bytes`` are bytes, ``_s`` whole seconds."""

    total_keys: int
    """Keys, the expired and not yet swept among them."""
    total_objects: int
    """Distinct values."""
    total_bytes: int
    """Bytes of all keys and all distinct values, before compression."""
    dedup_ratio: float
    """Keys per distinct value; 1.0 for an empty store."""
    dedup_mode: str
    """``"exact"`` or ``"semantic"``."""
    bytes_saved: int
    """Bytes of values that deduplication did not store again."""
    bytes_on_disk: int | None
    """Bytes of the table files; what is still in memory and in the log comes on top.

    Of the whole store, so None for the client of a server whose token is for some namespaces.
    """
    expired_objects: int
    """Keys that have expired and are not swept yet."""
    orphaned_objects: int
    """Distinct values that no key points at."""
    oldest_object_age_s: int
    """Seconds since the oldest put of a key that is still there; 0 for an empty store."""
    newest_access_age_s: int
    """Seconds since the latest put or noted access, also of a key that is gone by now.

    0 for an empty store.
    """
    last_sweep_age_s: int | None
    """Seconds since the last sweep; None: not since the store was opened."""
    index_vectors: int
    """Vectors in the index; 0 in exact mode."""
    index_log_entries: int
    """Index operations since the last checkpoint; 0 in exact mode."""
    index_checkpoint_age_s: int | None
    """Seconds since the last checkpoint of the index.

    None: not since it was loaded, or exact mode.
    """
    index_ok: bool
    """Whether the live index follows every write."""
    embed_queue_texts: int | None
    """Texts that wait for the model of the store now, of all that use it; 0 in exact mode.

    None as ``bytes_on_disk``.
    """
