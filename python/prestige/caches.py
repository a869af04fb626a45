"""The two caches of LLM applications: what their ``stats()`` return."""

from __future__ import annotations

from typing import TypedDict


class EmbeddingStats(TypedDict):
    """What an ``EmbeddingCache`` has done since it was made, in all threads."""

    hits: int
    """Texts asked for that were there."""
    misses: int
    """Texts asked for that were not."""
    computed: int
    """Texts that were computed: each distinct one of the misses, by one of concurrent callers."""
    batches: int
    """Calls of the function or model that succeeded."""
    damaged: int
    """Stored vectors that did not read, or had another length, and were computed again."""
    not_stored: int
    """Computed vectors that could not be stored; they were returned all the same."""
    seconds_computing: float
    """Seconds that the function or model took."""
    seconds_saved: float
    """The hits at the average time of what was computed; 0.0 before anything was."""


class SemanticStats(TypedDict):
    """What a ``SemanticCache`` has done since it was made, in all threads."""

    exact_hits: int
    """Lookups that found the query itself."""
    semantic_hits: int
    """Lookups that found a query of the same meaning."""
    misses: int
    """Lookups that found nothing."""
    puts: int
    """Responses put."""
    computed: int
    """Responses that ``get_or_compute`` and its kin have computed."""
    shared: int
    """Callers who missed and got what another one was computing."""
    not_stored: int
    """Computed responses that could not be stored; they were returned all the same."""
    seconds_computing: float
    """Seconds that computing took."""
    seconds_saved: float
    """What computing the responses of the hits took, as far as it is known."""
    money_saved: float
    """What the hits would have cost, at the prices the cache was given."""
