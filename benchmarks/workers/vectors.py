"""Vectors in clusters, as embeddings of texts are, made from their numbers.

A vector is the centre of its cluster, a part of a direction that few vectors of the cluster share,
and noise of its own. Any part of them can be made alone, so that large sets need no memory.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

DIMENSION = 384
CLUSTERS = 1_000
GROUPS = 8
"""Directions in a cluster."""
GROUP_WEIGHT = 0.6
NOISE_WEIGHT = 0.5
CHUNK = 10_000
"""Vectors that are made at once."""
QUERIES = 1 << 40
"""Numbers from here on are of vectors that are searched for and never stored."""


def unit(rows: Vectors) -> Vectors:
    """The rows at unit length."""
    scaled: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled.astype(np.float32)


def _random_units(seed: list[int], count: int) -> Vectors:
    return unit(np.random.default_rng(seed).standard_normal((count, DIMENSION), np.float32))


@lru_cache(maxsize=1)
def _centres() -> tuple[Vectors, Vectors]:
    return _random_units([0], CLUSTERS), _random_units([1], CLUSTERS * GROUPS)


@lru_cache(maxsize=2)
def _chunk(chunk: int) -> Vectors:
    centres, groups = _centres()
    random = np.random.default_rng([2, chunk])
    cluster = random.integers(CLUSTERS, size=CHUNK)
    group = cluster * GROUPS + random.integers(GROUPS, size=CHUNK)
    noise = _random_units([3, chunk], CHUNK)
    return unit(centres[cluster] + GROUP_WEIGHT * groups[group] + NOISE_WEIGHT * noise)


def numbered(start: int, count: int) -> Vectors:
    """The vectors of `count` numbers from `start` on, one a row."""
    parts = []
    end = start + count
    while start < end:
        chunk, first = divmod(start, CHUNK)
        last = min(first + end - start, CHUNK)
        parts.append(_chunk(chunk)[first:last])
        start += last - first
    return np.concatenate(parts)


def of_number(number: int) -> Vectors:
    """The vector of a number."""
    chunk, place = divmod(number, CHUNK)
    vector: Vectors = _chunk(chunk)[place]
    return vector


def as_stored(rows: Vectors) -> Vectors:
    """What is left of the rows in half precision, in which they are stored."""
    return rows.astype(np.float16).astype(np.float32)


def nearest(stored: Vectors, queries: Vectors, k: int) -> NDArray[np.int64]:
    """The rows of `stored` that are nearest to each query, by a full scan: shape (queries, k)."""
    found = []
    for start in range(0, len(queries), 100):
        similarities = queries[start : start + 100] @ stored.T
        found.append(np.argpartition(similarities, -k, axis=1)[:, -k:])
    return np.concatenate(found)


def at_similarity(rows: Vectors, similarities: NDArray[np.float64], seed: int) -> Vectors:
    """For each row a vector of this cosine similarity to it."""
    away = np.random.default_rng([4, seed]).standard_normal(rows.shape)
    away -= (away * rows).sum(axis=1, keepdims=True) * rows
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    cosine = similarities[:, None]
    return unit((cosine * rows + np.sqrt(1 - cosine**2) * away).astype(np.float32))
