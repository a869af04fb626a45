"""Fresh texts put into a semantic store, beside the model alone: texts per second.

    .venv/bin/python benchmarks/embedding.py [--texts 1000] [--threads 2] [--rounds 3]

Same model file, same number of threads, alternately in one run. The model alone runs in Python's
`onnxruntime`, one text at a time, as `put` gets them, and in length-sorted batches of 32.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import prestige

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "python"))

import reference

MODEL = Path(prestige.__file__).parent / "models" / "all-MiniLM-L6-v2"
VERBS = ("cancel", "upgrade", "export", "share", "delete", "print", "translate", "rename")
THINGS = ("invoice", "calendar", "password", "team", "photo album", "report", "playlist", "recipe")
ALONE = {"model alone, one a time": 1, "model alone, 32 a time": 32}


def texts(count: int, seed: int) -> list[str]:
    """Distinct questions of about 14 tokens."""
    return [
        f"How do I {VERBS[i % 8]} the {THINGS[i // 8 % 8]} number {i * 7919 + seed} before Friday?"
        for i in range(count)
    ]


def rate(count: int, work: Callable[[], object]) -> float:
    """Texts per second of `work`."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def put_all(batch: list[str], threads: int) -> float:
    """Texts per second of `put` into a fresh store; the threshold keeps every text apart."""
    options = prestige.Options(
        dedup_mode=prestige.DedupMode.SEMANTIC,
        semantic_threshold=1.0,
        semantic_num_threads=threads,
    )
    with tempfile.TemporaryDirectory() as folder, prestige.open(folder, options) as store:
        store.put("warm", "up")
        return rate(len(batch), lambda: [store.put(f"k{i}", text) for i, text in enumerate(batch)])


def model_alone(batch: list[str], size: int, threads: int) -> float:
    """Texts per second of the model in Python, `size` texts a call."""
    reference.embed(MODEL, batch[:1], 1, threads)
    return rate(len(batch), lambda: reference.embed(MODEL, batch, size, threads))


def main() -> None:
    """Print medians and the ratios within each round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows: dict[str, list[float]] = {name: [] for name in ("put", *ALONE)}
    for seed in range(arguments.rounds):
        batch = texts(arguments.texts, seed)
        rows["put"].append(put_all(batch, arguments.threads))
        for name, size in ALONE.items():
            rows[name].append(model_alone(batch, size, arguments.threads))
    for name, rates in rows.items():
        ratios = [p / r for p, r in zip(rows["put"], rates, strict=True)]
        median = statistics.median(rates)
        print(f"{name:26}{median:8.0f} texts/s   put is {statistics.median(ratios):.2f} of it")


if __name__ == "__main__":
    main()
