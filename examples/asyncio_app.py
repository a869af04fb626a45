"""A service of many tasks: answers are cached, and each one is computed once.

    python asyncio_app.py

The cache is in ./answers_db.
"""

from __future__ import annotations

import asyncio

import prestige

QUESTIONS = [f"What is {n} squared?" for n in range(20)]
REQUESTS = 1000


class Answers:
    """Answers to questions, from the cache or else from `compute`."""

    def __init__(self, store: prestige.Store) -> None:
        self._store = store
        self._running: dict[str, asyncio.Task[str]] = {}
        self.computed = 0

    async def answer(self, question: str) -> str:
        """Return the answer; tasks that ask for the same one at once share the work."""
        task = self._running.get(question)
        if task is None:
            task = asyncio.create_task(self._find(question))
            self._running[question] = task
            task.add_done_callback(lambda _: self._running.pop(question))
        # A request that is cancelled must not take the answer from the others.
        return await asyncio.shield(task)

    async def _find(self, question: str) -> str:
        cached = await self._store.aget(question, default=None, decode=True)
        if cached is not None:
            return cached
        await asyncio.sleep(0.01)  # Here a model would be asked.
        self.computed += 1
        number = int(question.split()[2])
        answer = f"It is {number * number}."
        await self._store.aput(question, answer, ttl_seconds=3600)
        return answer


async def main() -> None:
    """Answer many requests at once, from a cache that is empty in the beginning."""
    async with prestige.aopen("./answers_db") as store:
        answers = Answers(store)
        asked = [QUESTIONS[i % len(QUESTIONS)] for i in range(REQUESTS)]
        found = await asyncio.gather(*(answers.answer(question) for question in asked))
        print(f"{len(found)} answers, {answers.computed} computed; the last: {found[-1]}")
        keys = [key async for key in store.akeys(prefix="What is 1")]
        print(f"{await store.acount_keys()} in the cache, {len(keys)} of numbers that begin with 1")


if __name__ == "__main__":
    asyncio.run(main())
