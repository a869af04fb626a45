"""Four processes share one cache: one has the store open, the others are its clients.

    python shared_cache.py

Each worker connects by itself. What one of them has computed, all of them find; the store stays in
./shared_cache_db for the next run.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import prestige

WORKERS = 4
QUESTIONS = [f"What is {number} squared?" for number in range(20)]

cache: prestige.SemanticCache


def connect(url: str) -> None:
    """Connect a worker. Its connections stay open until it ends."""
    global cache  # noqa: PLW0603 - what a worker has lies in its module
    cache = prestige.SemanticCache(prestige.connect(url), model_id="exact questions only")


def ask_a_model(question: str) -> str:
    """Stands for what takes seconds and costs money."""
    number = int(question.split()[2])
    return f"It is {number * number}."


def answer(question: str) -> tuple[str, int]:
    """Answer a question, and say how much this worker has computed so far."""
    response = cache.get_or_compute(question, ask_a_model)
    return response, cache.stats()["computed"]


def main() -> None:
    """Serve a store, and have four processes ask the same questions five times over."""
    with prestige.open("./shared_cache_db") as store, store.serve() as server:
        # Not forked: a store and its threads belong to the process that has opened it.
        spawning = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(WORKERS, spawning, connect, (server.url,)) as workers:
            answered = list(workers.map(answer, QUESTIONS * 5))
        answers = [response for response, _ in answered]
        assert answers == [ask_a_model(question) for question in QUESTIONS] * 5
        print(f"{len(answers)} answers by {WORKERS} processes; the last: {answers[-1]}")
        with prestige.connect(server.url) as client:
            entries = len(prestige.SemanticCache(client, model_id="exact questions only"))
            print(f"{entries} in the cache, violations: {client.verify()}")


if __name__ == "__main__":
    main()
