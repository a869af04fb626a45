"""What one run measures, how much of it, and what its page says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import http_measures
import measures
import peers
import semantic_measures
from measures import Experiment
from workers import vectors
from workers.job import VALUE_BYTES


@dataclass(frozen=True)
class Suite:
    """Experiments that make one page."""

    name: str
    file: str
    """Name of the page, the JSON and the chart, without their endings."""
    title: str
    experiments: Callable[[int], list[Experiment]]
    """For a number of keys, where a measure names no other."""
    keys: int
    quick_keys: int
    rounds: int
    quick_rounds: int
    unit: str
    """What the number of keys is a number of."""
    notes: str
    pins: Path
    """The peers."""
    value_bytes: int = 0
    """Of every value; 0: values differ."""
    is_kept: bool = False
    """Whether stores that are filled before stay in the cache folder for the next run."""


STORE_NOTES = f"""\
- Python callers. Every value has {VALUE_BYTES:,} bytes, also in the large stores, random and unlike
  all others where no duplicates are named; keys are scattered, as hashes are. Keys and values are
  made before the clock starts, garbage is not collected while it runs, and before gets are timed
  the store's background work has ended.
- Every store has its documented defaults. None waits for the disk at each write: a crash of the
  process loses nothing, a power cut can take the latest writes. lmdb has `sync=False` and a
  transaction for each call, as a get that sees the latest put needs one. Only Prestige and
  prestige-uvs deduplicate.
- Ratios are formed within a round; the table gives medians over the rounds, {measures.LARGE_ROUNDS}
  at most for large stores, with the least and the greatest ratio. A cost is time an operation, over
  that of the store beside it.
- The hot set is a twentieth of the keys. Memory is what the process holds after a fill and 100,000
  random gets, without what it held after import and the bounds of the caches and write buffers."""

VECTOR_NOTES = f"""\
- Vectors of {vectors.DIMENSION} numbers in {vectors.CLUSTERS:,} clusters, made from their numbers;
  a function in place of the model returns them, so that no model runs. What is searched for is not
  stored, and before searches are timed as many others have been made. Every option has its
  default; the bare graph has the same parameters and precision.
- Ratios are formed within a round; the table gives medians over the rounds, with the least and the
  greatest. A cost is time a search, over that beside it. Where there is one figure alone, it stands
  in place of a ratio; of scores it is the difference."""

SEMANTIC_NOTES = f"""\
- Sentences are the distinct ones of the STS benchmark's training pairs, other texts are made-up
  questions of about 14 tokens. The model alone runs in Python's `onnxruntime`, with the same file,
  as many threads and otherwise its own options, in length-sorted batches of 32.
- GPTCache has SQLite and FAISS, LangChain's `CacheBackedEmbeddings` a `LocalFileStore`. Both sides
  get the same vectors; queries are near to what is stored, not equal, so that vectors decide.
- Recall is the share of the ten nearest, by a full scan of the stored vectors, that a search finds.
  Decisions are those of puts of vectors whose similarity to a stored one lies on both sides of the
  threshold: merge or not, and with which.
- Opening is of the whole store, rebuilding is opening without the index file. Beside puts,
  another thread flushes the store all the time, which writes a checkpoint each time. Memory is
  that of the process, without that of an empty store.
{VECTOR_NOTES}"""

HTTP_NOTES = f"""\
- The server is in the process of the store, on its own threads; requests come from another process
  on the same machine, over 32 connections that stay open, each with one request at a time. A
  constant is what a bare axum server answers with as many bytes, without a look anywhere.
- Values have {VALUE_BYTES:,} bytes. Keys of gets are random ones of 10,000, in the value cache; put
  in the process is Python's `Store.put`, one thread.
- Texts are made-up questions of about 14 tokens, 64 a request and a call of the model. The endpoint
  has them all in its cache; its client is Python's urllib, which parses the answer.
- Ratios are formed within a round; the table gives medians over the rounds, with the least and the
  greatest."""

SUITES = {
    suite.name: suite
    for suite in (
        Suite(
            "stores",
            "benchmark",
            "Benchmark",
            measures.experiments,
            measures.KEYS,
            measures.QUICK_KEYS,
            measures.ROUNDS,
            measures.QUICK_ROUNDS,
            "keys",
            STORE_NOTES,
            peers.PINS,
            VALUE_BYTES,
        ),
        Suite(
            "semantic",
            "benchmark-semantic",
            "Benchmark of the semantic stage",
            semantic_measures.experiments,
            semantic_measures.VECTORS,
            semantic_measures.QUICK_VECTORS,
            semantic_measures.ROUNDS,
            semantic_measures.QUICK_ROUNDS,
            "vectors",
            SEMANTIC_NOTES,
            peers.SEMANTIC_PINS,
        ),
        Suite(
            "large",
            "benchmark-large",
            "Benchmark of large indexes",
            semantic_measures.large_experiments,
            10 * semantic_measures.VECTORS,
            semantic_measures.QUICK_VECTORS,
            semantic_measures.ROUNDS,
            semantic_measures.QUICK_ROUNDS,
            "vectors",
            VECTOR_NOTES,
            peers.SEMANTIC_PINS,
            is_kept=True,
        ),
        Suite(
            "http",
            "benchmark-http",
            "Benchmark of the service",
            http_measures.experiments,
            http_measures.KEYS,
            http_measures.QUICK_KEYS,
            http_measures.ROUNDS,
            http_measures.QUICK_ROUNDS,
            "keys",
            HTTP_NOTES,
            peers.PINS,
            VALUE_BYTES,
        ),
    )
}
