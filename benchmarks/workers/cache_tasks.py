"""The work of caches on top of a store; no model runs."""

from __future__ import annotations

import numpy as np

from workers import vectors
from workers.measuring import each, rate, settle
from workers.sentences import made_up
from workers.tasks import Work

SIMILARITY = 0.98
"""Of a query that is asked to the one that is stored."""


def responses(work: Work) -> dict[str, float]:
    """Store responses to queries, then ask queries that are near to them, in random order."""
    store, count = work.store, work.job.keys
    queries = made_up(count, work.random)
    rows = vectors.numbered(work.job.seed * count, count)
    entries = [(query, f"Answer {i}.", rows[i]) for i, query in enumerate(queries)]
    put = rate(count, lambda: each(lambda entry: store.put(*entry), entries))
    near = vectors.at_similarity(rows, np.full(count, SIMILARITY), work.job.seed)
    asked = [(f"{query} Please.", near[i]) for i, query in enumerate(queries)]
    for i in range(0, count, max(1, count // 100)):
        found = store.get(*asked[i])
        if found != f"Answer {i}.":
            raise ValueError(f"query {i} was answered with {found!r}")
    work.random.shuffle(asked)
    settle()
    return {"put": put, "get": rate(count, lambda: each(lambda query: store.get(*query), asked))}


def warm_embeddings(work: Work) -> dict[str, float]:
    """Ask for the vectors of texts that are all in the cache, in one call."""
    store, count = work.store, work.job.keys
    texts = made_up(count, work.random)
    first = np.asarray(store.embed(texts), np.float32)
    settle()
    if not np.array_equal(np.asarray(store.embed(texts), np.float32), first):
        raise ValueError("the vectors are others than were computed")
    passes = store.passes
    return {"texts": rate(passes * count, lambda: [store.embed(texts) for _ in range(passes)])}
