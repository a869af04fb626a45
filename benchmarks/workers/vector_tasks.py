"""The work on an index of vectors, without a model."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from workers import vectors
from workers.measuring import each, rate, resident_bytes, settle
from workers.tasks import Work

NEIGHBOURS = 10
SEARCHES = 1_000
RECALL_QUERIES = 1_000
NEAR_DUPLICATES = 2_000
ROUNDING = 1e-5
"""Similarities that differ by less are the same: they are sums of numbers of half precision."""
CHECKPOINT_PUTS = 1_000
"""Puts with and as many without a checkpoint under way."""
FILL_BATCH = 1_000
NEVER = 1 << 40
"""After so many changes the store writes a checkpoint by itself."""


def fill_vectors(work: Work) -> dict[str, float]:
    """Put the vectors of the numbers below the number of keys; goes on where it was interrupted."""
    store = work.store.open()
    there = store.count_keys()
    text_of = _text_of()
    for start in range(there, work.job.keys, FILL_BATCH):
        numbers = range(start, min(start + FILL_BATCH, work.job.keys))
        store.put_many((str(number), text_of(number)) for number in numbers)
        if start % (50 * FILL_BATCH) == 0:
            print(f"{start:,} vectors", file=sys.stderr, flush=True)
    if store.count_unique_values() != work.job.keys:
        raise ValueError("vectors of different numbers were merged")
    store.close()
    return {}


def fill_graph(work: Work) -> dict[str, float]:
    """The same for a bare graph."""
    for start in range(0, work.job.keys, vectors.CHUNK):
        count = min(vectors.CHUNK, work.job.keys - start)
        work.store.add_many(start, vectors.numbered(start, count))
    return {}


def search(work: Work) -> dict[str, float]:
    """Find the nearest of vectors that are not stored, one a call, after as many other searches."""
    find = work.store.searcher()
    first, queries = np.split(_queries(work, 2 * SEARCHES), 2)
    for query in first:
        if len(find(query, NEIGHBOURS)) != NEIGHBOURS:
            raise ValueError(f"a search found less than {NEIGHBOURS}")
    settle()
    return {
        "search": rate(len(queries), lambda: each(lambda query: find(query, NEIGHBOURS), queries))
    }


def recall(work: Work) -> dict[str, float]:
    """The share of the ten nearest, by a full scan of what is stored, that a search finds."""
    store = work.store.open()
    stored = vectors.as_stored(vectors.numbered(0, work.job.keys))
    queries = _queries(work, min(RECALL_QUERIES, work.job.keys))
    wanted = vectors.nearest(stored, queries, NEIGHBOURS)
    found = 0
    for query, nearest in zip(queries, wanted, strict=True):
        candidates = store.candidates(k=NEIGHBOURS, embedding=query, include_values=True)
        numbers = {_number(candidate["value"]) for candidate in candidates}
        found += len(numbers & set(nearest.tolist()))
    return {"recall": found / wanted.size}


def near_duplicates(work: Work) -> dict[str, float]:
    """Put texts near to stored ones, and compare each decision with that of a full scan.

    Similarities are spread on both sides of the threshold. What is not merged is stored, and may
    be the nearest of a later one.
    """
    folder = _copy(work)
    store = work.store.open(folder)
    merged_from = threshold()
    count = min(NEAR_DUPLICATES, work.job.keys // 2)
    chosen = np.array(work.random.sample(range(work.job.keys), count))
    base = vectors.numbered(0, work.job.keys)
    spread = np.array([work.random.uniform(2 * merged_from - 1, 1) for _ in range(count)])
    given = vectors.at_similarity(base[chosen], spread, work.job.seed)
    stored = np.concatenate([vectors.as_stored(base), np.zeros_like(given)])
    del base
    texts = [_text_of()(number) for number in range(work.job.keys)]
    agreed = 0
    for number, vector in enumerate(given):
        text = f"near duplicate {number} of text {chosen[number]}"
        work.store.given[text] = vector
        similarities = stored[: len(texts)] @ vector
        nearest = float(similarities.max())
        store.put("new", text)
        kept = store.get("new", decode=True)
        if kept == text:
            agreed += nearest < merged_from + ROUNDING
            stored[len(texts)] = vectors.as_stored(vector)
            texts.append(text)
            # The store counts references: with its key gone, the text would go, too.
            store.put(f"new {number}", text)
        else:
            similarity = float(similarities[texts.index(kept)])
            agreed += nearest >= merged_from - ROUNDING and similarity >= nearest - ROUNDING
    return {"agreed": agreed / count}


def reopen(work: Work) -> dict[str, float]:
    """Open a store from its checkpoint, and then without one, which makes the graph anew."""
    folder = _copy(work)
    # Opening asks for a vector, and the first one takes long to make.
    work.store.embed([_text_of()(0)])
    rates = {}
    for name in ("checkpoint", "rebuild"):
        if name == "rebuild":
            shutil.rmtree(folder / "index")
        opened = []
        rates[name] = rate(1, lambda opened=opened: opened.append(work.store.open(folder)))
        _check_holds(opened[0], work)
        opened[0].close()
    return rates


def index_memory(work: Work) -> dict[str, float]:
    """Physical memory that opening a store from its checkpoint takes, for each vector.

    Beyond that of an empty store in the same process: RocksDB's part is not the index's.
    """
    work.store.embed([_text_of()(0)])
    work.store.open(work.folder / "empty")
    settle()
    before = resident_bytes()
    store = work.store.open()
    settle()
    held = resident_bytes() - before
    _check_holds(store, work)
    return {"bytes": held / work.job.keys}


def put_beside_checkpoint(work: Work) -> dict[str, float]:
    """The 99th percentile of put, in ms: while checkpoints are written all the time, and without.

    Vectors are given. The two take turns, with a quarter of the puts each time. `flush()` writes a
    checkpoint, and as soon as it returns it is called again.
    """
    folder = _copy(work)
    written: set[str] = set()
    times: dict[bool, list[float]] = {True: [], False: []}
    store = work.store.open(folder, semantic_index_save_interval=NEVER)
    first, count = vectors.QUERIES + work.job.keys, CHECKPOINT_PUTS // 4
    for part in range(8):
        beside = (part + work.job.seed) % 2 == 0
        texts = [_text_of()(first + part * count + i) for i in range(count)]
        # Made before the clock starts.
        work.store.given = dict(zip(texts, work.store.embed(texts), strict=True))
        store.flush()
        settle()
        with _flushing(store, folder, written) if beside else nullcontext():
            for text in texts:
                start = time.perf_counter()
                store.put(text, text)
                times[beside].append(time.perf_counter() - start)
    if not written:
        raise ValueError("no checkpoint was written")
    return {
        "beside": float(np.percentile(times[True], 99)) * 1e3,
        "without": float(np.percentile(times[False], 99)) * 1e3,
    }


@contextmanager
def _flushing(store: Any, folder: Path, written: set[str]) -> Iterator[None]:  # noqa: ANN401 - a prestige.Store
    """Another thread flushes the store all the time; adds the checkpoints that it writes."""
    ended = Event()
    before = {path.name for path in folder.glob("index/*.index")}

    def flush() -> None:
        while not ended.is_set():
            store.flush()
            # The number of the last change is part of the name.
            written.update({path.name for path in folder.glob("index/*.index")} - before)

    with ThreadPoolExecutor(1) as pool:
        flushes = pool.submit(flush)
        try:
            yield
        finally:
            ended.set()
            flushes.result()


def _text_of() -> Any:  # noqa: ANN401 - a function from a number to its text
    # Only where Prestige is installed: the tasks of the bare graph have another interpreter.
    from workers.prestige_vectors import text_of  # noqa: PLC0415

    return text_of


def threshold() -> float:
    """The similarity from which on puts merge, by default."""
    import prestige  # noqa: PLC0415

    return prestige.Options().semantic_threshold


def _number(value: bytes) -> int:
    return int(value.rpartition(b" ")[2])


def _queries(work: Work, count: int) -> vectors.Vectors:
    """Vectors that are not stored; each round has others."""
    return vectors.numbered(vectors.QUERIES + work.job.seed * count, count)


def _copy(work: Work) -> Path:
    """A copy of the filled store, for work that changes it."""
    folder = work.folder / "copy"
    shutil.copytree(work.job.filled, folder)
    return folder


def _check_holds(store: Any, work: Work) -> None:  # noqa: ANN401 - a prestige.Store
    """Whether a stored vector finds itself."""
    (nearest,) = store.candidates(k=1, embedding=vectors.of_number(0), include_values=True)
    if _number(nearest["value"]) != 0 or store.count_unique_values() != work.job.keys:
        raise ValueError("the store does not hold what was put")
