"""One round of exact-store work; prints operations per second as JSON.

Runs on whatever `prestige` this interpreter has: ours or a peer of the same name.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable

import prestige


def rate(count: int, work: Callable[[], object]) -> float:
    """Operations per second of `work`, which does `count` of them."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def main() -> None:
    """Run every measure once in a fresh store."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--keys", type=int, default=50_000)
    parser.add_argument("--bytes", type=int, default=1536)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    source = random.Random(arguments.seed)
    count = arguments.keys
    keys = [f"key-{i:08}" for i in range(count)]
    values = [source.randbytes(arguments.bytes) for _ in range(count)]
    few = values[: count // 10]
    repeated = [few[source.randrange(len(few))] for _ in range(count)]
    order = source.sample(range(count), count)
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        store = prestige.open(f"{folder}/unique")
        figures["put unique"] = rate(
            count, lambda: [store.put(k, v) for k, v in zip(keys, values, strict=True)]
        )
        figures["get random"] = rate(count, lambda: [store.get(keys[i]) for i in order])
        figures["get missing"] = rate(count, lambda: [store.get(f"no-{i}", None) for i in order])
        store.close()
        store = prestige.open(f"{folder}/repeated")
        figures["put, 90 % duplicates"] = rate(
            count, lambda: [store.put(k, v) for k, v in zip(keys, repeated, strict=True)]
        )
        store.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
