"""The store's embedding stage beside the model alone: texts per second, ratios within a round.

    .venv/bin/python benchmarks/embedding.py --sentences FILE --texts 1000 --threads 2 --rounds 3

Same model file and number of threads, alternately in one run. The model alone runs in Python's
`onnxruntime` with its own options, one text at a time, as `put` gets them, and in length-sorted
batches of 32. FILE is a CSV of the STS benchmark, whose distinct sentences are embedded; without it
there are made-up questions of about 14 tokens.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import prestige

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "python"))

import reference

MODEL = Path(prestige.__file__).parent / "models" / "all-MiniLM-L6-v2"
VERBS = ("cancel", "upgrade", "export", "share", "delete", "print", "translate", "rename")
THINGS = ("invoice", "calendar", "password", "team", "photo album", "report", "playlist", "recipe")
ALONE = {"model alone, one a time": 1, "model alone, 32 a time": 32}
CALLERS = 8


def made_up(count: int, seed: int) -> list[str]:
    """Distinct questions of about 14 tokens."""
    return [
        f"How do I {VERBS[i % 8]} the {THINGS[i // 8 % 8]} number {i * 7919 + seed} before Friday?"
        for i in range(count)
    ]


def sentences(file: Path) -> list[str]:
    """The distinct sentences of a CSV of the STS benchmark, in a fixed random order."""
    with file.open(encoding="utf-8", newline="") as lines:
        distinct = dict.fromkeys(
            itertools.chain.from_iterable(row[:2] for row in csv.reader(lines))
        )
    texts = list(distinct)
    random.Random(1).shuffle(texts)
    return texts


def rate(count: int, work: Callable[[], object]) -> float:
    """Texts per second of `work`."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def in_store(batch: list[str], threads: int, work: Callable[[prestige.Store], object]) -> float:
    """Texts per second of `work` on a fresh store; the threshold keeps every text apart."""
    options = prestige.Options(
        dedup_mode=prestige.DedupMode.SEMANTIC,
        semantic_threshold=1.0,
        semantic_num_threads=threads,
    )
    with tempfile.TemporaryDirectory() as folder, prestige.open(folder, options) as store:
        store.put("warm", "up")
        return rate(len(batch), lambda: work(store))


def put_one_by_one(store: prestige.Store, batch: list[str]) -> None:
    """Puts each text by itself."""
    for i, text in enumerate(batch):
        store.put(f"k{i}", text)


def put_from_threads(store: prestige.Store, batch: list[str]) -> None:
    """Puts each text by itself, from several threads."""
    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(lambda item: store.put(f"k{item[0]}", item[1]), enumerate(batch)))


def measure(batch: list[str], threads: int) -> dict[str, float]:
    """One round of everything."""
    model = prestige.SemanticModel(num_threads=threads)
    model.embed(["warm up"])
    rates = {"embed": rate(len(batch), lambda: model.embed(batch))}
    for name, size in ALONE.items():
        reference.embed(MODEL, batch[:1], 1, threads)
        rates[name] = rate(
            len(batch),
            lambda size=size: reference.embed(MODEL, batch, size, threads),  # type: ignore[misc]
        )
    entries = [(f"k{i}", text) for i, text in enumerate(batch)]
    rates["put_many"] = in_store(batch, threads, lambda store: store.put_many(entries))
    rates["put"] = in_store(batch, threads, lambda store: put_one_by_one(store, batch))
    rates["put, 8 threads"] = in_store(batch, threads, lambda store: put_from_threads(store, batch))
    return rates


PAIRS = (
    ("embed", "model alone, 32 a time"),
    ("put_many", "model alone, 32 a time"),
    ("put", "model alone, one a time"),
    ("put, 8 threads", "put"),
)


def main() -> None:
    """Print medians and the ratios within each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=Path)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    given = sentences(arguments.sentences) if arguments.sentences else None
    rounds = []
    for seed in range(arguments.rounds):
        if given is None:
            batch = made_up(arguments.texts, seed)
        else:
            start = seed * arguments.texts % max(len(given) - arguments.texts + 1, 1)
            batch = given[start : start + arguments.texts]
        rounds.append(measure(batch, arguments.threads))
    for name in rounds[0]:
        print(f"{name:26}{statistics.median(rates[name] for rates in rounds):8.0f} texts/s")
    for ours, beside in PAIRS:
        ratios = sorted(rates[ours] / rates[beside] for rates in rounds)
        spread = f"{ratios[0]:.2f} - {ratios[-1]:.2f}"
        print(f"{ours} / {beside}: {statistics.median(ratios):.2f} ({spread})")


if __name__ == "__main__":
    main()
