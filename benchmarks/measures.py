"""What is measured, beside what, and what is wanted of it.

The classes, and the experiments on exact stores. Those of the semantic stage are in
`semantic_measures`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from workers.adapter import OWN
from workers.job import VALUE_BYTES, Job

KEYS = 100_000
QUICK_KEYS = 20_000
ROUNDS = 5
QUICK_ROUNDS = 3
LARGE_ROUNDS = 3
"""Most rounds of an experiment with a large store."""

# Disk space while a store is written and compacted, over the bytes of its values: logs, tables
# that are being rewritten, and the page slack of B+ trees.
DISK_FACTOR = 2.5


class Kind(Enum):
    """What the two figures of a measure are, and what their ratio is."""

    SPEED = "op/s"
    """Operations per second; ours over theirs."""
    COST = "op/s, cost"
    """Operations per second; theirs over ours: how much more an operation takes."""
    SIZE = "MB"
    """Bytes; ours over theirs."""
    MEMORY = "MB alone"
    """Bytes; ours in MB (10**6), instead of a ratio."""
    EACH = "KB alone"
    """Bytes of one of many; ours in KB (10**3), instead of a ratio."""
    LATENCY = "ms"
    """Milliseconds; ours over theirs."""
    SHARE = "alone"
    """From 0 to 1; ours, instead of a ratio."""
    POINTS = "points"
    """A score; by how much the two differ, instead of a ratio."""

    @property
    def is_alone(self) -> bool:
        """Whether there is no second figure."""
        return self in (Kind.MEMORY, Kind.EACH, Kind.SHARE)

    @property
    def is_at_least(self) -> bool:
        """Whether more is better."""
        return self in (Kind.SPEED, Kind.SHARE)


@dataclass(frozen=True)
class Measure:
    """A row of the table."""

    title: str
    figure: str
    """Name of the workers' figure."""
    kind: Kind
    wanted: float
    """At least or at most, as the kind says."""
    beside: str = ""
    """What the second figure belongs to."""
    beside_figure: str = ""
    """Its name, where it is another."""


@dataclass(frozen=True)
class Experiment:
    """Two jobs that take turns, and what is read from them."""

    name: str
    ours: Job
    beside: Job | None
    """None: the second figures come from our own job."""
    measures: tuple[Measure, ...]
    most_rounds: int = 1000
    large: bool = False
    needs_data: bool = False
    """Whether a job reads the sentences."""
    disk_factor: float = VALUE_BYTES * DISK_FACTOR
    """Bytes of free disk for each key of the larger job."""

    @property
    def needs_peer(self) -> bool:
        """Whether the second job is that of another package."""
        return self.beside is not None and self.beside.store not in OWN

    @property
    def disk_bytes(self) -> int:
        """Free disk space that the larger job needs; each job's store is deleted after it."""
        keys = max(job.keys for job in (self.ours, self.beside) if job)
        return int(keys * self.disk_factor)


def against(peer: str, title: str, figure: str, wanted: float) -> Measure:
    """How many times as fast as a peer."""
    return Measure(title, figure, Kind.SPEED, wanted, beside=peer)


def experiments(keys: int = KEYS) -> list[Experiment]:
    """All of them, with so many keys where no other number is part of the measure."""
    own = Job("prestige", "put_get", keys)
    uvs = replace(own, store="prestige-uvs")
    rocksdict = replace(own, store="rocksdict")
    fewer = replace(own, keys=keys // 5)
    large = replace(own, task="probe_large", keys=3_000_000)
    sweep = replace(own, task="sweep", keys=1_000_000)
    return [
        Experiment(
            "unique",
            own,
            uvs,
            (
                against("prestige-uvs", "put, unique values", "put", 3.5),
                against("prestige-uvs", "get, random keys", "get", 4.0),
            ),
        ),
        Experiment(
            "duplicates",
            replace(own, task="put_duplicates"),
            replace(uvs, task="put_duplicates"),
            (against("prestige-uvs", "put, 90 % duplicates", "put", 2.5),),
        ),
        Experiment(
            "hot",
            replace(own, task="get_hot"),
            replace(own, task="get_hot", store="lmdb"),
            (against("lmdb", "get, hot set in the value cache", "get", 0.8),),
        ),
        Experiment(
            "batches",
            replace(own, task="put_get_batches"),
            rocksdict,
            (
                against("rocksdict, single", "put_many, 1,000 a call", "put", 1.2),
                against("rocksdict, single", "get_many, 1,000 a call", "get", 2.5),
            ),
        ),
        Experiment(
            "diskcache",
            fewer,
            replace(fewer, store="diskcache"),
            (against("diskcache", f"put, {fewer.keys:,} keys", "put", 15.0),),
        ),
        Experiment(
            "threads",
            replace(own, threads=8),
            own,
            (Measure("put, 8 threads", "put", Kind.SPEED, 1.3, "1 thread"),),
        ),
        Experiment(
            "readers",
            replace(own, task="get_threads", threads=8),
            None,
            (Measure("get, 8 threads", "together", Kind.SPEED, 1.0, "1 thread", "alone"),),
        ),
        Experiment(
            "disk",
            replace(own, task="disk"),
            None,
            (
                Measure(
                    f"disk after compact(), {keys // 10:,} values",
                    "disk",
                    Kind.SIZE,
                    1.3,
                    "distinct bytes",
                    "distinct",
                ),
            ),
        ),
        Experiment(
            "scale",
            large,
            replace(large, keys=30_000),
            (
                Measure("cost of put at 3,000,000 keys", "put", Kind.COST, 2.0, "30,000 keys"),
                Measure("cost of get at 3,000,000 keys", "get", Kind.COST, 2.0, "30,000 keys"),
            ),
            LARGE_ROUNDS,
            large=True,
        ),
        Experiment(
            "sweep",
            sweep,
            replace(sweep, keys=20_000),
            (
                Measure(
                    "time to sweep 10,000 of 1,000,000", "sweep", Kind.COST, 2.0, "of 20,000 keys"
                ),
            ),
            LARGE_ROUNDS,
            large=True,
        ),
        Experiment(
            "memory",
            replace(own, task="memory", keys=1_000_000),
            None,
            (
                Measure(
                    "memory at 1,000,000 keys, MB beyond caches", "resident", Kind.MEMORY, 250.0
                ),
            ),
            LARGE_ROUNDS,
            large=True,
        ),
    ]
