"""A semantic store, and how to find the threshold that suits your own texts.

    python semantic_dedup.py

First decide on pairs you know the answer for, then open the store with the threshold you found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import prestige


class Judged(NamedTuple):
    """Two texts, and whether they may share one value."""

    one: str
    other: str
    same: bool


PAIRS = [
    Judged("How do I reset my password?", "How can I reset my password?", True),
    Judged("How do I reset my password?", "how do i reset my password", True),
    Judged("Where can I find my invoice?", "Where do I find my invoice?", True),
    Judged("How do I turn the alarm on?", "How do I turn the alarm off?", False),
    Judged("Please cancel order 1041", "Please cancel order 1042", False),
    Judged("How do I reset my password?", "How do I delete my account?", False),
]


def similarities(model: prestige.SemanticModel, pairs: Sequence[Judged]) -> list[float]:
    """Return the cosine similarity of each pair, -1 to 1."""
    one = model.embed([pair.one for pair in pairs])
    other = model.embed([pair.other for pair in pairs])
    # The rows have unit length, so the cosine is the sum of the products.
    return [float(value) for value in (one * other).sum(axis=1)]


def wrong_and_missed(
    pairs: Sequence[Judged], scores: Sequence[float], threshold: float
) -> tuple[int, int]:
    """Return how many different pairs would be merged, and how many same ones kept apart."""
    merged = [score >= threshold for score in scores]
    wrong = sum(merge and not pair.same for pair, merge in zip(pairs, merged, strict=True))
    missed = sum(pair.same and not merge for pair, merge in zip(pairs, merged, strict=True))
    return wrong, missed


def main() -> None:
    """Show the similarities of known pairs, then a store that merges at its default threshold."""
    model = prestige.SemanticModel()
    scores = similarities(model, PAIRS)
    for pair, score in zip(PAIRS, scores, strict=True):
        print(f"{score:.3f}  {'same ' if pair.same else 'other'}  {pair.one} | {pair.other}")
    for threshold in (0.80, 0.90, 0.95, 0.97, 0.99):
        wrong, missed = wrong_and_missed(PAIRS, scores, threshold)
        print(f"threshold {threshold:.2f}: {wrong} merged wrongly, {missed} not merged")

    options = prestige.Options(dedup_mode=prestige.DedupMode.SEMANTIC, semantic_model=model)
    with prestige.open("./semantic_db", options) as store:
        for number, pair in enumerate(PAIRS):
            store.put(f"{number}:one", pair.one)
            store.put(f"{number}:other", pair.other)
        print(f"{store.count_keys()} keys, {store.count_unique_values()} values")


if __name__ == "__main__":
    main()
