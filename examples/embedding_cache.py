"""An embedding cache: a text is computed once, whoever asks for it and however often.

    python embedding_cache.py

Run it twice: the second run computes nothing, since the vectors are in ./embedding_cache_db.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import prestige

WEEK_SECONDS = 7 * 24 * 3600
QUESTIONS = ["How do I reset my password?", "Where is my order?", "How do I reset my password?"]


def main() -> None:
    """Embed some questions, of which two are the same, once and then from eight threads."""
    with prestige.EmbeddingCache("./embedding_cache_db", ttl_seconds=WEEK_SECONDS) as cache:
        vectors = cache.embed(QUESTIONS)
        computed = cache.stats()["computed"]
        print(f"{len(vectors)} vectors of {vectors.shape[1]}, {computed} computed")
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(cache.embed, [QUESTIONS] * 8))
        print(f"asked by 8 threads, {cache.stats()['computed']} computed in all")


if __name__ == "__main__":
    main()
