"""What `prestige demo` prints: one function for each section of its output."""

from __future__ import annotations

import json
import re
import textwrap
import urllib.request
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from prestige._terminal import GAP, clip, columns, heading, table

if TYPE_CHECKING:
    from prestige import Store
    from prestige.demo import Pass

SAMPLE_MERGES = 8
SUSPECT_MERGES = 4
CLOSEST_PAIRS = 3
HTTP_TIMEOUT_SECONDS = 10.0
METRICS_SHOWN = ("prestige_keys_total", "prestige_objects_total")

BLOCK_ROWS = 1024
"""Rows of the similarity matrix held at a time: 8 MB for 2,000 values."""

EXCLUDED = -2.0
"""In place of a similarity that is not to count; below the range of cosines."""


class Pair(NamedTuple):
    """Two wordings and the cosine similarity of their vectors."""

    similarity: float
    text: str
    other: str


def introduction(texts: list[str], more: bool, dimensions: int, load_seconds: float) -> None:
    """What the demo works on."""
    taken = "the first " if more else ""
    _emit(
        f"{taken}{len(texts):,} texts, {len(set(texts)):,} of them distinct; "
        f"model with {dimensions} dimensions loaded in {load_seconds:.2f} s"
    )
    if more:
        _emit(f"(the file holds more than {len(texts):,}: --limit N takes more)")


def embedding_cache(cold: Pass, warm: Pass) -> None:
    """Both passes side by side."""
    rows = [("pass", "texts", "computed", "from cache", "hit rate", "time", "per text")]
    for name, walk in (("cold", cold), ("warm, reopened", warm)):
        count = len(walk.vectors)
        rows.append(
            (
                name,
                f"{count:,}",
                f"{walk.computed:,}",
                f"{count - walk.computed:,}",
                f"{100 * (count - walk.computed) / count:.1f} %",
                f"{walk.seconds:.3f} s",
                f"{1000 * walk.seconds / count:.3f} ms",
            )
        )
    ratio = cold.seconds / max(warm.seconds, 1e-9)
    _section(
        "Embedding cache: an exact store, key emb:<model>:<text>, value raw float32",
        table(rows, "lrrrrrr"),
        [f"warm is {ratio:,.0f} times as fast; {len(warm.vectors):,} vectors equal bit for bit"],
    )


def semantic_store(
    store: Store, texts: list[str], kept: list[str], seconds: float, threshold: float
) -> None:
    """What the store holds after all puts. `kept[i]` is what `get` returns for `texts[i]`."""
    bytes_put = sum(len(text.encode()) for text in texts)
    bytes_kept = sum(len(text.encode()) for text in set(kept))
    rows = [
        ("keys", f"{store.count_keys(approximate=False):,}"),
        ("unique values", f"{store.count_unique_values():,}"),
        ("dedup ratio", f"{store.get_health()['dedup_ratio']:.2f}"),
        ("bytes put", f"{bytes_put:,}"),
        ("bytes kept", f"{bytes_kept:,}"),
        ("time per put", f"{1000 * seconds / len(texts):.3f} ms"),
        ("verify()", "clean"),
    ]
    _section(
        f"Semantic store: texts of cosine similarity {threshold:g} or more share one value",
        table(rows, "lr"),
    )


def merges(
    texts: list[str],
    kept: list[str],
    vectors: dict[str, NDArray[np.float32]],
    threshold: float,
) -> None:
    """Samples of what was merged, of what should perhaps not have been, and of near merges."""
    pairs = [
        Pair(_similarity(vectors[text], vectors[wording]), text, wording)
        for text, wording in sorted(set(zip(texts, kept, strict=True)))
        if text != wording
    ]
    # Two merges that differ in case or punctuation only tell no more than one of them.
    distinct = {(_words(pair.text), _words(pair.other)): pair for pair in pairs}.values()
    suspects = sorted((pair for pair in distinct if is_suspect(pair)), reverse=True)
    samples = spread((pair for pair in distinct if not is_suspect(pair)), SAMPLE_MERGES)
    _section(
        f"Merges of different wordings, by similarity: {len(samples)} of {len(pairs):,}",
        _pair_table(samples, ("put", "get")),
    )
    if suspects:
        shown = suspects[:SUSPECT_MERGES]
        _section(
            f"Merged, yet a number or the word order differs: {len(shown)} of {len(suspects):,}",
            _pair_table(shown, ("put", "get")),
            ["similar is not the same: where such details matter, keep values in exact mode"],
        )
    _section(
        "Closest values kept apart",
        _pair_table(closest(sorted(set(kept)), vectors, threshold), ("one", "two")),
    )


def spread(pairs: Iterable[Pair], count: int) -> list[Pair]:
    """Up to `count` of `pairs`, evenly over their range of similarities, the most similar first.

    Among pairs about as fitting, those whose kept wording has not been chosen yet are preferred.
    """
    rest = sorted(pairs, reverse=True)
    if len(rest) <= count:
        return rest
    chosen: list[Pair] = []
    uses: Counter[str] = Counter()
    for target in np.linspace(rest[0].similarity, rest[-1].similarity, count):
        best = min(rest, key=lambda pair: abs(pair.similarity - target) + 0.02 * uses[pair.other])
        rest.remove(best)
        chosen.append(best)
        uses[best.other] += 1
    return sorted(chosen, reverse=True)


def is_suspect(pair: Pair) -> bool:
    """Whether the two wordings hold different numbers, or the same words in another order.

    Mean-pooled vectors hardly tell either apart, in any language, though both often change the
    meaning.
    """
    numbers = [sorted(re.findall(r"\d+", wording)) for wording in (pair.text, pair.other)]
    words = [_words(wording) for wording in (pair.text, pair.other)]
    reordered = words[0] != words[1] and sorted(words[0]) == sorted(words[1])
    return numbers[0] != numbers[1] or reordered


def closest(
    values: list[str], vectors: dict[str, NDArray[np.float32]], threshold: float
) -> list[Pair]:
    """The most similar pairs of different `values` below `threshold`, the most similar first."""
    matrix = np.stack([vectors[value] for value in values])
    every = np.arange(len(values))
    best: list[Pair] = []
    for start in range(0, len(values), BLOCK_ROWS):
        block = matrix[start : start + BLOCK_ROWS] @ matrix.T
        # Each pair once, no value with itself. Those at or above the threshold were not compared
        # by meaning, being too long for the model.
        rows = np.arange(start, start + len(block))[:, np.newaxis]
        block[(rows >= every) | (block >= threshold)] = EXCLUDED
        flat = np.argpartition(block, max(block.size - CLOSEST_PAIRS, 0), axis=None)
        for position in flat[-CLOSEST_PAIRS:].tolist():
            row, column = divmod(position, len(values))
            if block[row, column] != EXCLUDED:
                best.append(Pair(float(block[row, column]), values[start + row], values[column]))
    return sorted(best, reverse=True)[:CLOSEST_PAIRS]


def health_endpoint(url: str) -> None:
    """Ask the running server over HTTP, past any proxy that the environment names."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/health/ready", timeout=HTTP_TIMEOUT_SECONDS) as response:
        ready = f"{response.status} {json.dumps(json.load(response))}"
    with opener.open(f"{url}/metrics", timeout=HTTP_TIMEOUT_SECONDS) as response:
        lines = response.read().decode().splitlines()
        samples = [line for line in lines if line.startswith(METRICS_SHOWN)]
        metrics = [f"{response.status}", *samples]
    _section(
        f"Health endpoint: {url}",
        ["GET /health/ready", *_indented(ready), "GET /metrics"],
        [part for line in metrics for part in _indented(line)],
    )


def next_steps() -> None:
    """Where to go from here."""
    _section(
        "Next steps",
        [
            "prestige demo FILE    the same on your own texts, one a line (see also --threshold)",
            "import prestige       with prestige.open('./my_db') as store: store['key'] = 'value'",
        ],
    )


def _similarity(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.dot(one, other))


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.casefold()))


def _pair_table(pairs: list[Pair], labels: tuple[str, str]) -> list[str]:
    """One wording above the other, which shows best where they differ."""
    if not pairs:
        return ["none"]
    rows: list[tuple[str, str, str]] = []
    for pair in pairs:
        rows.append((f"{pair.similarity:.3f}", labels[0], pair.text))
        rows.append(("", labels[1], pair.other))
    room = columns() - len("0.000") - len(labels[0]) - 2 * len(GAP)
    return table([(*cells, clip(wording, room)) for *cells, wording in rows], "rll")


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, columns(), initial_indent="  ", subsequent_indent="  ")


def _section(title: str, *blocks: Iterable[str]) -> None:
    _emit("", heading(title), *(line for block in blocks for line in block))


def _emit(*lines: str) -> None:
    # Flushed, so that a section shows at once in a pipe or a log as well.
    print(*lines, sep="\n", flush=True)
