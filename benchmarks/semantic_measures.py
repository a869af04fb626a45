"""What is measured of the semantic stage, beside what, and what is wanted of it."""

from __future__ import annotations

from dataclasses import replace

from measures import LARGE_ROUNDS, Experiment, Kind, Measure
from workers.job import Job

VECTORS = 100_000
QUICK_VECTORS = 6_000
"""So few that they are scanned, and never become a graph."""
ROUNDS = 3
QUICK_ROUNDS = 2
# Vectors, keys and records of the texts, the index file and the one that replaces it, a copy for
# work that changes the store, and as many vectors again in the bare graph.
BYTES_A_VECTOR = 8_000


def experiments(vectors: int = VECTORS) -> list[Experiment]:
    """All of them; every size is a share of the number of vectors, and named for that default."""
    texts = replace(Job("prestige-texts", "embed_sentences", max(20, vectors // 8)))
    puts = replace(texts, task="put_texts", keys=max(16, vectors // 125))
    model = Job("prestige-model", "same_vector", max(40, vectors // 250))
    entries = Job("prestige-responses", "responses", max(12, vectors * 3 // 100))
    cached = Job("prestige-embeddings", "warm_embeddings", max(40, vectors // 10))
    return [
        Experiment(
            "put_many",
            texts,
            replace(texts, store="onnxruntime"),
            (Measure("put_many, STS-B sentences", "texts", Kind.SPEED, 0.95, "onnxruntime alone"),),
            needs_data=True,
        ),
        Experiment(
            "put_threads",
            replace(puts, threads=8),
            puts,
            (Measure("put of fresh texts, 8 threads", "fresh", Kind.SPEED, 1.4, "1 thread"),),
        ),
        Experiment(
            "held",
            puts,
            None,
            (Measure("put of a text held", "held", Kind.SPEED, 100.0, "of a fresh one", "fresh"),),
        ),
        Experiment(
            "responses",
            entries,
            replace(entries, store="gptcache"),
            (
                Measure("semantic cache, put", "put", Kind.SPEED, 30.0, "GPTCache"),
                Measure("semantic cache, get", "get", Kind.SPEED, 30.0, "GPTCache"),
            ),
        ),
        Experiment(
            "embeddings",
            cached,
            replace(cached, store="langchain"),
            (Measure("EmbeddingCache, warm", "texts", Kind.SPEED, 60.0, "LangChain"),),
        ),
        *of_vectors(vectors),
        Experiment(
            "spearman",
            replace(model, task="spearman"),
            None,
            (
                Measure(
                    "Spearman on STS-B, bundled weights",
                    "bundled",
                    Kind.POINTS,
                    0.15,
                    "published",
                    "published",
                ),
            ),
            most_rounds=1,
            needs_data=True,
        ),
        Experiment(
            "same_vector",
            model,
            None,
            (
                Measure(
                    "least cosine of a text alone, in a batch, from 8 threads",
                    "cosine",
                    Kind.SHARE,
                    0.999999,
                ),
            ),
        ),
    ]


def of_vectors(vectors: int) -> list[Experiment]:
    """Those on a store with so many vectors, which is filled once for all of them."""
    own = Job("prestige-vectors", "search", vectors, filled_by="fill_vectors")
    bare = replace(own, store="usearch", filled_by="fill_graph")
    return [
        replace(experiment, disk_factor=BYTES_A_VECTOR)
        for experiment in (
            Experiment(
                "candidates",
                own,
                bare,
                (
                    Measure(
                        f"candidates, embedding given, {vectors:,} vectors",
                        "search",
                        Kind.COST,
                        1.5,
                        "usearch",
                    ),
                ),
            ),
            Experiment(
                "recall",
                replace(own, task="recall"),
                None,
                (Measure(f"recall@10, {vectors:,} vectors", "recall", Kind.SHARE, 0.99),),
                most_rounds=1,
            ),
            Experiment(
                "near_duplicates",
                replace(own, task="near_duplicates"),
                None,
                (
                    Measure(
                        f"decisions as a full scan of {vectors:,} vectors has them",
                        "agreed",
                        Kind.SHARE,
                        0.999,
                    ),
                ),
                most_rounds=1,
            ),
            Experiment(
                "reopen",
                replace(own, task="reopen"),
                None,
                (
                    Measure(
                        f"opening {vectors:,} vectors, checkpoint",
                        "checkpoint",
                        Kind.SPEED,
                        20.0,
                        "rebuild",
                        "rebuild",
                    ),
                ),
                most_rounds=1,
            ),
            Experiment(
                "checkpoint",
                replace(own, task="put_beside_checkpoint"),
                None,
                (
                    Measure(
                        "99th percentile of put, beside checkpoints",
                        "beside",
                        Kind.LATENCY,
                        5.0,
                        "without",
                        "without",
                    ),
                ),
            ),
            Experiment(
                "index_memory",
                replace(own, task="index_memory"),
                None,
                (Measure(f"memory a vector of {vectors:,}", "bytes", Kind.EACH, 1.3),),
            ),
        )
    ]


def large_experiments(vectors: int = 10 * VECTORS) -> list[Experiment]:
    """Those on a store that takes the better part of an hour to fill, and is kept."""
    large = Job("prestige-vectors", "search", vectors, filled_by="fill_vectors")
    small = max(vectors // 100, 10)
    return [
        Experiment(
            "search_scale",
            large,
            replace(large, keys=small),
            (
                Measure(
                    f"cost of candidates at {vectors:,} vectors",
                    "search",
                    Kind.COST,
                    6.0,
                    f"{small:,} vectors",
                ),
            ),
            LARGE_ROUNDS,
            disk_factor=BYTES_A_VECTOR,
        ),
    ]
