"""What a worker process is asked to do, and what it answers; both travel as JSON."""

from __future__ import annotations

from dataclasses import dataclass

VALUE_BYTES = 1536
"""Size of every value: an embedding of 384 float32."""
BATCH_KEYS = 1000
"""Keys of one call of `put_many` and `get_many`."""


@dataclass(frozen=True)
class Job:
    """One task on one store."""

    store: str
    """A name of `workers.adapter.STORES`."""
    task: str
    """A name of `workers.tasks.TASKS`."""
    keys: int
    """Keys of the store; tasks say what else depends on it."""
    threads: int = 1
    seed: int = 0
    """Both sides of a round get the same keys, values and order of keys."""
    folder: str = ""
    """An empty directory for the store."""
    filled_by: str = ""
    """The task that has filled the store before, with as many keys; empty: the store is new."""
    filled: str = ""
    """The directory of that store, which other jobs use after this one."""
    data: str = ""
    """The directory of the sentences, where a task reads them."""


@dataclass(frozen=True)
class Answer:
    """What a worker prints."""

    version: str
    """Distribution and version of the store."""
    figures: dict[str, float]
    """Operations per second, bytes, or what the measure says, by name."""
