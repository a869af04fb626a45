"""The work on texts, in which the model runs."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workers.measuring import each_pair, rate, settle, threaded_rate
from workers.sentences import distinct_sentences, judged_pairs, made_up
from workers.tasks import Work

HELD_ROUNDS = 100
"""Puts of each text that is there already, each under a key of its own."""
BATCH = 32
CALLERS = 8


def embed_sentences(work: Work) -> dict[str, float]:
    """Embed distinct sentences in one call."""
    texts = distinct_sentences(work.job.data, work.job.keys, work.random)
    return {"texts": rate(len(texts), lambda: work.store.embed(texts))}


def put_texts(work: Work) -> dict[str, float]:
    """Put texts one a call, and then again under other keys, when they are there."""
    texts = made_up(work.job.keys, work.random)
    pairs = [(f"fresh-{number}", text) for number, text in enumerate(texts)]
    fresh = threaded_rate(work.job.threads, pairs, lambda share: each_pair(work.store.put, share))
    # Some have merged with another one, are not held, and would be embedded again.
    held_texts = [text for key, text in pairs if work.store.get(key, decode=True) == text]
    again = [
        (f"held-{round_}-{number}", text)
        for round_ in range(HELD_ROUNDS)
        for number, text in enumerate(held_texts)
    ]
    settle()
    held = threaded_rate(work.job.threads, again, lambda share: each_pair(work.store.put, share))
    return {"fresh": fresh, "held": held}


def spearman(work: Work) -> dict[str, float]:
    """Rank correlation of similarities and human scores, of bundled and published weights, in %."""
    pairs = judged_pairs(work.job.data, "test")
    scores = np.array([score for _, _, score in pairs])
    full = work.store.full_precision(full_precision_folder())
    figures = {}
    for name, model in (("bundled", work.store.model), ("published", full)):
        first = model.embed([first for first, _, _ in pairs])
        second = model.embed([second for _, second, _ in pairs])
        figures[name] = 100 * rank_correlation((first * second).sum(axis=1), scores)
    return figures


def same_vector(work: Work) -> dict[str, float]:
    """The least cosine between vectors of one text: alone, in a batch, and from threads at once."""
    model = work.store.model
    texts = made_up(work.job.keys, work.random)
    # Batches of different lengths, so that there is padding.
    texts = [text if number % 3 else text[: 20 + number % 17] for number, text in enumerate(texts)]
    alone = np.concatenate([model.embed([text]) for text in texts])
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    together = np.concatenate([model.embed(batch) for batch in batches])
    with ThreadPoolExecutor(CALLERS) as pool:
        at_once = np.concatenate(list(pool.map(lambda text: model.embed([text]), texts)))
    cosines = [cosine(alone, together), cosine(alone, at_once), cosine(together, at_once)]
    return {"cosine": float(min(one.min() for one in cosines))}


def full_precision_folder() -> Path:
    """Where `models/build.py --form fp32` puts the published weights."""
    cache = Path(os.environ.get("PRESTIGE_CACHE") or Path.home() / ".cache" / "prestige")
    folder = cache / "models" / "all-MiniLM-L6-v2" / "fp32"
    if not (folder / "model.onnx").is_file():
        raise ValueError(f"{folder} has no model: make it with `models/build.py --form fp32`")
    return folder


def cosine(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of each row with that of the other, whatever their lengths."""
    one, other = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    result: NDArray[np.float64] = (one * other).sum(axis=1) / lengths
    return result


def rank_correlation(first: NDArray[np.float32], second: NDArray[np.float64]) -> float:
    """Spearman's: the correlation of ranks, equal numbers having their mean rank."""
    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])


def ranks(numbers: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]:
    """The rank of each number, from 1."""
    _, places, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    result: NDArray[np.float64] = (last - (counts - 1) / 2)[places]
    return result
