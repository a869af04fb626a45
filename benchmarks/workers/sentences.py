"""Sentences of the STS benchmark, and made-up ones."""

from __future__ import annotations

import csv
from pathlib import Path
from random import Random

VERBS = ("cancel", "upgrade", "export", "share", "delete", "print", "translate", "rename")
THINGS = ("invoice", "calendar", "password", "team", "photo album", "report", "playlist", "recipe")


def judged_pairs(data: str, part: str) -> list[tuple[str, str, float]]:
    """Pairs of sentences with their similarity, 0 to 5; `part` is train, dev or test."""
    with (Path(data) / f"stsb-en-{part}.csv").open(encoding="utf-8", newline="") as lines:
        return [(first, second, float(score)) for first, second, score in csv.reader(lines)]


def distinct_sentences(data: str, most: int, random: Random) -> list[str]:
    """The distinct sentences of the training pairs, in random order, at most so many."""
    pairs = judged_pairs(data, "train")
    sentences = list(dict.fromkeys(text for first, second, _ in pairs for text in (first, second)))
    random.shuffle(sentences)
    return sentences[:most]


def made_up(count: int, random: Random) -> list[str]:
    """Distinct questions of about 14 tokens."""
    offset = random.randrange(1_000_000)
    return [
        f"How do I {VERBS[i % 8]} the {THINGS[i // 8 % 8]} number {number} before Friday?"
        for i, number in enumerate(range(offset, offset + count * 7919, 7919))
    ]
