"""The dictionary that ``Store.stats`` returns."""

from __future__ import annotations

from typing import TypedDict


class StoreStats(TypedDict):
    """What has happened in a namespace since its store was opened.

    Counts are of all threads. Names in ``_s`` are seconds spent inside the store, to two
    significant digits, and 0.0 before the first operation of their kind: the median (``p50``),
    what 90 and 99 of 100 operations did not exceed, and the longest measured. Of gets answered from
    memory a random sixteenth is measured, and counts sixteenfold.
    """

    gets: int
    """Keys asked for, by ``get`` and ``get_many``: ``hits`` and ``misses``."""
    hits: int
    """Of these, keys that had a value."""
    misses: int
    """Of these, keys that were absent or had expired."""
    puts: int
    """Keys put. Of several entries of one write with the same key one counts."""
    deletes: int
    """Keys removed by ``delete`` and ``delete_many``."""
    dedup_hits: int
    """Puts whose value was stored already, byte for byte after normalisation."""
    semantic_hits: int
    """Puts of a text for which a similar one stands."""
    evictions: int
    """Keys evicted, automatically or by ``evict_lru``."""
    expirations: int
    """Expired keys removed, in the background or on request."""
    pruned: int
    """Keys that ``prune`` removed for their age or idleness."""
    value_cache_hits: int
    """Hits whose value was in memory."""
    value_cache_misses: int
    """Hits whose value was read from RocksDB."""
    bytes_read: int
    """Bytes of the values returned."""
    bytes_written: int
    """Bytes of the values put, before normalisation and deduplication."""
    texts_embedded: int
    """Texts that the store had embedded, for puts, candidates and explanations."""
    embedding_cache_hits: int
    """Texts asked for in the ``EmbeddingCache``s of this store that were there.

    This and the next four are counted by the store itself, for all its caches: 0 in a namespace.
    """
    embedding_cache_misses: int
    """Texts asked for in the ``EmbeddingCache``s of this store that were not there."""
    semantic_cache_exact_hits: int
    """Look-ups in the ``SemanticCache``s of this store that found the query itself."""
    semantic_cache_semantic_hits: int
    """Look-ups in the ``SemanticCache``s of this store that found one of the same meaning."""
    semantic_cache_misses: int
    """Look-ups in the ``SemanticCache``s of this store that found nothing."""
    get_p50_s: float
    """Of ``get``."""
    get_p90_s: float
    """Of ``get``."""
    get_p99_s: float
    """Of ``get``."""
    get_max_s: float
    """Of ``get``."""
    put_p50_s: float
    """Of ``put``, waiting for eviction included."""
    put_p90_s: float
    """Of ``put``, waiting for eviction included."""
    put_p99_s: float
    """Of ``put``, waiting for eviction included."""
    put_max_s: float
    """Of ``put``, waiting for eviction included."""
    get_many_p50_s: float
    """Of ``get_many``, for up to 4,096 keys."""
    get_many_p90_s: float
    """Of ``get_many``, for up to 4,096 keys."""
    get_many_p99_s: float
    """Of ``get_many``, for up to 4,096 keys."""
    get_many_max_s: float
    """Of ``get_many``, for up to 4,096 keys."""
    put_many_p50_s: float
    """Of one write of ``put_many``."""
    put_many_p90_s: float
    """Of one write of ``put_many``."""
    put_many_p99_s: float
    """Of one write of ``put_many``."""
    put_many_max_s: float
    """Of one write of ``put_many``."""
    embed_p50_s: float
    """Of a call of the embedder by the store."""
    embed_p90_s: float
    """Of a call of the embedder by the store."""
    embed_p99_s: float
    """Of a call of the embedder by the store."""
    embed_max_s: float
    """Of a call of the embedder by the store."""
    search_p50_s: float
    """Of a search for the nearest vectors, comparing them with the stored ones included."""
    search_p90_s: float
    """Of a search for the nearest vectors, comparing them with the stored ones included."""
    search_p99_s: float
    """Of a search for the nearest vectors, comparing them with the stored ones included."""
    search_max_s: float
    """Of a search for the nearest vectors, comparing them with the stored ones included."""
    checkpoint_p50_s: float
    """Of writing a checkpoint of the vector index."""
    checkpoint_p90_s: float
    """Of writing a checkpoint of the vector index."""
    checkpoint_p99_s: float
    """Of writing a checkpoint of the vector index."""
    checkpoint_max_s: float
    """Of writing a checkpoint of the vector index."""
    put_similarities: list[int]
    """Cosine similarities of the nearest stored text at the latest 1,024 decisions of puts.

    40 counts: decisions at 0 to 1/40, and so on up to 1. Those below 0 are in the first.
    """
    lookup_similarities: list[int]
    """The same of the latest look-ups in a scope of a semantic cache, of its nearest query."""
