"""Precision and recall of "these two texts mean the same" by cosine threshold, on labelled pairs.

    python benchmarks/threshold.py --data DIR --model DIR [--output FILE] [--threads N]

A pair is merged when the cosine similarity of its embeddings reaches the threshold. Pairs of equal
texts are left out: a store finds those by their digest, without the model. Readings of "the same
meaning", from the STS benchmark (similarity 0-5) and SICK (relatedness 1-5, entailment):

    stsb-4.0   similarity >= 4.0: at least mostly equivalent, unimportant details differ
    stsb-4.5   similarity >= 4.5: nearer to completely equivalent
    stsb-5.0   similarity 5.0: completely equivalent, to every annotator
    sick       entailment and relatedness >= 4.5

A merge is harmful when important information differs (STS: similarity < 3.0) or the texts
contradict each other (SICK).

Every pair of these sets was chosen to be similar, so precision is that of the hard cases, not of
two arbitrary texts.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "python"))
from reference import embed

THRESHOLDS = np.round(np.arange(0.70, 0.995, 0.01), 2)
# Standard normal quantile of a two-sided 95 % interval.
Z95 = 1.959964


@dataclass(frozen=True)
class Pair:
    """Two texts, whether each reading calls them the same, and whether merging them does harm."""

    first: str
    second: str
    same: dict[str, bool]
    harmful: bool


@dataclass(frozen=True)
class Row:
    """Decisions at one threshold; the interval is Wilson's, 95 %, of precision."""

    threshold: float
    merged: int
    correct: int
    harmful: int
    precision: float | None
    low: float
    high: float
    recall: float


def stsb(data: Path) -> list[Pair]:
    """All three parts of the STS benchmark."""
    pairs = []
    for part in ("train", "dev", "test"):
        with (data / f"stsb-en-{part}.csv").open(encoding="utf-8", newline="") as file:
            for first, second, score in csv.reader(file):
                same = {f"stsb-{least}": float(score) >= least for least in (4.0, 4.5, 5.0)}
                pairs.append(Pair(first, second, same, harmful=float(score) < 3.0))
    return pairs


def sick(data: Path) -> list[Pair]:
    """Both parts of SICK."""
    pairs = []
    for part in ("train", "test"):
        with (data / f"sick-{part}.tsv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                judgment = row["entailment_judgment"]
                related = float(row["relatedness_score"]) >= 4.5
                same = {"sick": related and judgment == "ENTAILMENT"}
                harmful = judgment == "CONTRADICTION"
                pairs.append(Pair(row["sentence_A"], row["sentence_B"], same, harmful))
    return pairs


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927); (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    square = Z95**2 / trials
    centre = (share + square / 2) / (1 + square)
    spread = Z95 * math.sqrt(share * (1 - share) / trials + square / (4 * trials)) / (1 + square)
    return centre - spread, centre + spread


def table(similarity: np.ndarray, same: np.ndarray, harmful: np.ndarray) -> list[Row]:
    """One row a threshold, of the cosine similarities and labels of the same pairs."""
    rows = []
    for threshold in THRESHOLDS:
        merge = similarity >= threshold
        merged, correct = int(merge.sum()), int((merge & same).sum())
        harm = int((merge & harmful).sum())
        low, high = wilson(correct, merged)
        precision = correct / merged if merged else None
        recall = correct / int(same.sum())
        rows.append(Row(float(threshold), merged, correct, harm, precision, low, high, recall))
    return rows


def show(name: str, rows: list[Row], pairs: int, same: int) -> None:
    """Prints the table of one reading."""
    print(f"\n{name}: {pairs} pairs, {same} of them the same")
    print("threshold  merged  correct  harmful  precision  95 % interval   recall")
    for row in rows:
        precision = "-" if row.precision is None else f"{row.precision:.3f}"
        interval = f"{row.low:.3f} - {row.high:.3f}"
        counts = f"{row.merged:7d} {row.correct:8d} {row.harmful:8d}"
        print(f"     {row.threshold:.2f} {counts}  {precision:>9}  {interval}  {row.recall:7.3f}")


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description="Precision and recall by cosine threshold.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled pairs")
    parser.add_argument("--model", type=Path, required=True, help="folder of a built model")
    parser.add_argument("--output", type=Path, help="write all rows here, as JSON")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    report = {}
    for pairs in (stsb(options.data), sick(options.data)):
        different = [pair for pair in pairs if pair.first.strip() != pair.second.strip()]
        texts = sorted({text for pair in different for text in (pair.first, pair.second)})
        row_of = {text: row for row, text in enumerate(texts)}
        print(f"embedding {len(texts)} texts ...", file=sys.stderr, flush=True)
        vectors = embed(options.model, texts, threads=options.threads)
        first = vectors[[row_of[pair.first] for pair in different]]
        second = vectors[[row_of[pair.second] for pair in different]]
        similarity = (first * second).sum(axis=1)
        harmful = np.array([pair.harmful for pair in different])
        for name in different[0].same:
            same = np.array([pair.same[name] for pair in different])
            rows = table(similarity, same, harmful)
            show(name, rows, len(different), int(same.sum()))
            report[name] = {
                "pairs": len(different),
                "same": int(same.sum()),
                "equal_texts_left_out": len(pairs) - len(different),
                "rows": [asdict(row) for row in rows],
            }
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
