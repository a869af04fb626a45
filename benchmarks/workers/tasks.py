"""The work, the same for every store.

Keys, values and the order of keys are made before the clock starts, from the seed of the job. What
was written is read back and compared before anything that was read counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from workers.job import BATCH_KEYS, VALUE_BYTES, Job
from workers.measuring import (
    disk_bytes,
    each,
    each_pair,
    rate,
    resident_bytes,
    settle,
    threaded_rate,
)

HOT_SHARE = 20
"""One key in so many is hot."""
WARM_PASSES = 3
"""Reads of each hot key before the clock starts: a cache may admit what is read again only."""
THREAD_PASSES = 6
"""Reads of all keys by each number of threads; an even number."""
PROBES = 20_000
"""Timed puts and gets in a large store."""
MEMORY_GETS = 100_000
EXPIRED_KEYS = 10_000
TTL_SECONDS = 1
CHECKED = 100

Pairs = list[tuple[Any, bytes]]


@dataclass(frozen=True)
class Work:
    """A job with its fresh store."""

    store: Any
    """An `Adapter` of `workers.adapter`; an `OwnAdapter` where the task asks for more."""
    job: Job
    random: Random
    folder: Path
    resident: int
    """Physical memory before the store was opened, in bytes."""

    def value(self) -> bytes:
        """The next random value."""
        return self.random.randbytes(VALUE_BYTES)

    def pairs(self, start: int, count: int) -> Pairs:
        """Keys of the numbers from `start` on, each with a value of its own."""
        key = self.store.key
        return [(key(number), self.value()) for number in range(start, start + count)]

    def some_keys(self, count: int) -> list[Any]:
        """Keys of different random numbers below the number of keys."""
        return [
            self.store.key(number) for number in self.random.sample(range(self.job.keys), count)
        ]


def put_get(work: Work) -> dict[str, float]:
    """Put every key with a value of its own, then get every key in random order, one a call."""
    store, threads = work.store, work.job.threads
    pairs = work.pairs(0, work.job.keys)
    put = threaded_rate(threads, pairs, lambda share: each_pair(store.put, share))
    settle()
    check(store.get, pairs)
    order = work.some_keys(work.job.keys)
    return {"put": put, "get": threaded_rate(threads, order, lambda share: each(store.get, share))}


def get_threads(work: Work) -> dict[str, float]:
    """Get every key in random order by one thread and by several, in turns on the same store.

    Between two processes the speed of the machine differs by more than what is compared.
    """
    store, threads = work.store, work.job.threads
    pairs = work.pairs(0, work.job.keys)
    each_pair(store.put, pairs)
    settle()
    check(store.get, pairs)
    order = work.some_keys(work.job.keys)
    rates: dict[int, list[float]] = {1: [], threads: []}
    for number in range(2 * THREAD_PASSES):
        # The two change places each time: 1, 8, 8, 1.
        count = threads if number % 4 in (1, 2) else 1
        rates[count].append(threaded_rate(count, order, lambda share: each(store.get, share)))
    return {"together": median(rates[threads]), "alone": median(rates[1])}


def put_get_batches(work: Work) -> dict[str, float]:
    """`put_get` with 1,000 keys a call."""
    store, count = work.store, work.job.keys
    pairs = work.pairs(0, count)
    batches = list(batched(pairs))
    put = rate(count, lambda: each(store.put_many, batches))
    settle()
    check(lambda key: store.get_many([key])[0], pairs)
    orders = list(batched(work.some_keys(count)))
    return {"put": put, "get": rate(count, lambda: each(store.get_many, orders))}


def put_duplicates(work: Work) -> dict[str, float]:
    """Put keys whose values are drawn from a tenth as many: 90 % of them are there already."""
    pairs = few_values(work)
    put = rate(len(pairs), lambda: each_pair(work.store.put, pairs))
    check(work.store.get, pairs)
    return {"put": put}


def get_hot(work: Work) -> dict[str, float]:
    """Get from a twentieth of the keys, chosen at random each time, after reading them thrice."""
    store, count = work.store, work.job.keys
    pairs = work.pairs(0, count)
    each_pair(store.put, pairs)
    settle()
    check(store.get, pairs)
    hot = work.some_keys(count // HOT_SHARE)
    room = getattr(store, "value_cache_bytes", None)
    if room is not None and room < 2 * len(hot) * VALUE_BYTES:
        raise ValueError(f"{len(hot)} values take more than half of the cache of {room} bytes")
    for _ in range(WARM_PASSES):
        each(store.get, hot)
    order = work.random.choices(hot, k=count)
    return {"get": rate(count, lambda: each(store.get, order))}


def probe_large(work: Work) -> dict[str, float]:
    """Put new keys into, and get random keys from, a store that has all the keys already."""
    store, count = work.store, min(PROBES, work.job.keys)
    known = fill(work, work.job.keys)
    settle()
    pairs = work.pairs(work.job.keys, count)
    put = rate(count, lambda: each_pair(store.put, pairs))
    settle()
    check(store.get, known)
    order = work.some_keys(count)
    return {"put": put, "get": rate(count, lambda: each(store.get, order))}


def sweep(work: Work) -> dict[str, float]:
    """Sweep 10,000 expired keys, scattered among those that do not expire."""
    expired = min(EXPIRED_KEYS, work.job.keys // 2)
    lasting = work.job.keys - expired
    fill(work, lasting)
    settle()
    for batch in batched(work.pairs(lasting, expired)):
        work.store.put_many((key, value, TTL_SECONDS) for key, value in batch)
    time.sleep(TTL_SECONDS + 1)
    settle()
    removed = []
    swept = rate(expired, lambda: removed.append(work.store.sweep()))
    if removed != [expired]:
        raise ValueError(f"sweep removed {removed}, not {expired} values")
    return {"sweep": swept}


def memory(work: Work) -> dict[str, float]:
    """Physical memory after a fill and random gets, without configured caches and buffers."""
    store = work.store
    known = fill(work, work.job.keys)
    settle()
    check(store.get, known)
    for _ in range(min(MEMORY_GETS, work.job.keys)):
        store.get(store.key(work.random.randrange(work.job.keys)))
    return {"resident": resident_bytes() - work.resident - store.cached_bytes}


def disk(work: Work) -> dict[str, float]:
    """Disk space of keys with a tenth as many values, after `compact()`."""
    pairs = few_values(work)
    each_pair(work.store.put, pairs)
    work.store.compact()
    settle()
    check(work.store.get, pairs)
    distinct = len({value for _, value in pairs})
    return {"disk": disk_bytes(work.folder), "distinct": distinct * VALUE_BYTES}


def few_values(work: Work) -> Pairs:
    """Every key, each with one of a tenth as many values."""
    values = [work.value() for _ in range(work.job.keys // 10)]
    return [(work.store.key(n), work.random.choice(values)) for n in range(work.job.keys)]


def fill(work: Work, count: int) -> Pairs:
    """Put `count` keys in batches that are made one at a time; the pairs of the first batch."""
    first: Pairs = []
    for start in range(0, count, BATCH_KEYS):
        pairs = work.pairs(start, min(BATCH_KEYS, count - start))
        work.store.put_many(pairs)
        first = first or pairs
    return first


def batched(items: list[Any]) -> Iterator[list[Any]]:
    """The items in lists for one call each."""
    for start in range(0, len(items), BATCH_KEYS):
        yield items[start : start + BATCH_KEYS]


def check(get: Callable[[Any], bytes], pairs: Pairs) -> None:
    """Compare some values with what was put."""
    for key, value in pairs[:: max(1, len(pairs) // CHECKED)]:
        if get(key) != value:
            raise ValueError(f"{key!r} has another value than was put")
