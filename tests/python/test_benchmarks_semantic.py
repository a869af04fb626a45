"""The benchmarks of the semantic stage: what they work on, and that they notice a wrong answer.

No timing is asserted, and no other package than the project's own is needed.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import bench
import report
import semantic_measures
from measures import Experiment, Kind, Measure
from workers import cache_tasks, sentences, text_tasks, vector_tasks, vectors
from workers.job import Job
from workers.tasks import Work

BENCHMARKS = Path(bench.__file__).parent
OWN = Job("prestige-vectors", "search", 200, filled_by="fill_vectors")
SENTENCES = [
    ("A man plays a guitar.", "Someone is playing the guitar.", 4.4),
    ("A dog runs in the snow.", "A dog is running through snow.", 4.8),
    ("A plane takes off.", "A cat sleeps on a chair.", 0.2),
    ("A woman cuts an onion.", "A man rides a horse.", 0.5),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    text = "".join(f"{first},{second},{score}\n" for first, second, score in SENTENCES)
    for part in ("train", "test"):
        (folder / f"stsb-en-{part}.csv").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a store of 200 vectors is filled, once for all tests."""
    return tmp_path_factory.mktemp("filled")


def one_row(kind: Kind, wanted: float, ours: list[float], beside: list[float]) -> report.Row:
    return report.Row("x", Measure("work", "figure", kind, wanted, beside="b"), ours, beside)


def test_shares_and_sizes_of_one_stand_alone_and_scores_are_compared_by_difference() -> None:
    assert one_row(Kind.SHARE, 0.99, [0.99], []).met
    assert not one_row(Kind.SHARE, 0.99, [0.9899], []).met
    assert one_row(Kind.EACH, 1.3, [1300.0], []).met
    assert not one_row(Kind.EACH, 1.3, [1301.0], []).met
    assert one_row(Kind.POINTS, 0.15, [81.9], [82.0]).met
    assert not one_row(Kind.POINTS, 0.15, [82.2], [82.0]).met
    assert one_row(Kind.LATENCY, 5.0, [10.0], [2.0]).met
    assert not one_row(Kind.LATENCY, 5.0, [10.1], [2.0]).met


def test_shares_are_shown_with_as_many_digits_as_are_wanted() -> None:
    cells = report.cells(one_row(Kind.SHARE, 0.999999, [0.9999985], []))
    assert cells[1:4] == ("0.9999985", "-", "0.9999985 (0.9999985 - 0.9999985)")
    assert cells[4:] == ("≥ 0.999999", "no")
    assert report.cells(one_row(Kind.EACH, 1.3, [1042.0], []))[1] == "1.04 KB"
    assert report.cells(one_row(Kind.COST, 2.0, [0.0123], [1.0]))[1] == "0.0123 op/s"


def test_vectors_are_the_same_whichever_part_is_made() -> None:
    some = vectors.numbered(vectors.CHUNK - 3, 6)
    assert some.shape == (6, vectors.DIMENSION)
    assert some.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(some, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(some[4], vectors.of_number(vectors.CHUNK + 1))
    np.testing.assert_array_equal(vectors.numbered(vectors.CHUNK, 3), some[3:])
    assert not np.allclose(some, vectors.numbered(vectors.QUERIES, 6))


def test_vectors_are_in_clusters_and_no_two_are_near_enough_to_be_merged() -> None:
    some = vectors.numbered(0, 5_000)
    similarities = some @ some.T
    np.fill_diagonal(similarities, -1)
    nearest = similarities.max(axis=1)
    # Those of different clusters have a similarity of about 0, with a deviation of 0.05.
    assert np.median(nearest) > 0.5
    assert nearest.max() < vector_tasks.threshold() - 0.02


def test_a_vector_at_a_similarity_has_it() -> None:
    base = vectors.numbered(0, 50)
    wanted = np.linspace(0.5, 1.0, 50)
    near = vectors.at_similarity(base, wanted, seed=1)
    np.testing.assert_allclose((near * base).sum(axis=1), wanted, atol=1e-5)


def test_the_full_scan_finds_the_nearest() -> None:
    stored = vectors.numbered(0, 300)
    found = vectors.nearest(stored, stored[:120], 3)
    assert found.shape == (120, 3)
    assert all(number in row for number, row in enumerate(found))
    third = np.sort(stored[:120] @ stored.T, axis=1)[:, -3]
    assert ((stored[:120] @ stored.T)[np.arange(120)[:, None], found] >= third[:, None]).all()


def test_ranks_of_equal_numbers_are_their_mean() -> None:
    assert text_tasks.ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]
    assert text_tasks.rank_correlation(np.float32([1, 2, 9]), np.array([0.1, 0.2, 0.3])) == 1
    assert text_tasks.rank_correlation(np.float32([3, 2, 1]), np.array([0.1, 0.2, 0.3])) == -1


def test_sentences_are_distinct(data: Path) -> None:
    found = sentences.distinct_sentences(str(data), 100, Random(1))
    assert len(found) == len(set(found)) == 8
    assert sentences.distinct_sentences(str(data), 3, Random(1)) == found[:3]
    made = sentences.made_up(1_000, Random(1))
    assert len(set(made)) == 1_000


def work(store: Any, keys: int = 40, **job: Any) -> Work:
    given = Job("prestige-responses", "responses", keys, **job)
    return Work(store, given, Random(0), Path(), 0)


def test_a_cache_that_answers_with_another_response_has_no_rate() -> None:
    wrong = SimpleNamespace(put=lambda *_: None, get=lambda *_: "Answer 1.")
    with pytest.raises(ValueError, match=r"query 0 was answered with 'Answer 1\.'"):
        cache_tasks.responses(work(wrong))
    missing = SimpleNamespace(put=lambda *_: None, get=lambda *_: None)
    with pytest.raises(ValueError, match="was answered with None"):
        cache_tasks.responses(work(missing))


def test_a_cache_that_returns_other_vectors_has_no_rate() -> None:
    random = np.random.default_rng(1)
    forgetful = SimpleNamespace(embed=lambda texts: random.random((len(texts), 4)), passes=1)
    with pytest.raises(ValueError, match="others than were computed"):
        cache_tasks.warm_embeddings(work(forgetful))


class Partial:
    """A store of the first vectors, whose searches miss half of what they should find."""

    def open(self) -> Partial:
        return self

    def candidates(self, k: int, embedding: Any, include_values: bool) -> list[dict[str, bytes]]:
        assert include_values
        similarities = vectors.as_stored(vectors.numbered(0, 40)) @ embedding
        best = np.argsort(-similarities)[: k // 2]
        return [{"value": f"text {number}".encode()} for number in best]


def test_recall_is_the_share_that_is_found() -> None:
    assert vector_tasks.recall(work(Partial())) == {"recall": 0.5}


def bench_of(tmp_path: Path, filled: Path, data: Path | None = None) -> bench.Bench:
    return bench.Bench(1, tmp_path, None, filled, data)


EXPECTED = {
    "search": {"search"},
    "recall": {"recall"},
    "near_duplicates": {"agreed"},
    "reopen": {"checkpoint", "rebuild"},
    "put_beside_checkpoint": {"beside", "without"},
    "index_memory": {"bytes"},
}


@pytest.mark.parametrize("task", EXPECTED)
def test_every_task_on_vectors_runs_on_a_store_that_is_filled_once(
    task: str, tmp_path: Path, filled: Path
) -> None:
    # What a task changes, it changes in a copy: whichever comes next finds the 200 vectors.
    stores = tmp_path / "stores"
    stores.mkdir()
    job = dataclasses.replace(OWN, task=task)
    figures, _ = bench_of(stores, filled).round([job], 0)
    assert set(figures) == EXPECTED[task]
    if task in ("recall", "near_duplicates"):
        # So few vectors are scanned, not searched in a graph.
        assert set(figures.values()) == {1.0}
    assert list(stores.iterdir()) == []
    assert [path.name for path in sorted(filled.iterdir())] == [
        "prestige-vectors-200",
        "prestige-vectors-200.complete",
    ]


@pytest.mark.parametrize(
    ("store", "task", "figures"),
    [
        ("prestige-texts", "embed_sentences", {"texts"}),
        ("onnxruntime", "embed_sentences", {"texts"}),
        ("prestige-texts", "put_texts", {"fresh", "held"}),
        ("prestige-responses", "responses", {"put", "get"}),
        ("prestige-embeddings", "warm_embeddings", {"texts"}),
        ("prestige-model", "same_vector", {"cosine"}),
    ],
)
def test_every_other_task_runs(
    store: str, task: str, figures: set[str], tmp_path: Path, data: Path
) -> None:
    job = Job(store, task, 12, threads=2, data=str(data))
    found = bench.run(sys.executable, job, tmp_path).figures
    assert set(found) == figures
    assert all(figure > 0 for figure in found.values())
    assert found.get("cosine", 1) >= 0.999999


def test_work_on_sentences_is_left_out_where_they_are_missing(tmp_path: Path, filled: Path) -> None:
    job = Job("prestige-texts", "embed_sentences", 10)
    measure = Measure("embed", "texts", Kind.SPEED, 1.0)
    experiment = Experiment("x", job, None, (measure,), needs_data=True)
    (row,) = bench_of(tmp_path, filled).rows(experiment)
    assert row.ours == []
    assert "--data" in row.reason


def test_an_interrupted_filling_goes_on_where_it_stopped(tmp_path: Path) -> None:
    job = Job("prestige-vectors", "fill_vectors", 50, folder=str(tmp_path / "store"))
    for keys in (50, 120):
        bench.run_in(sys.executable, dataclasses.replace(job, keys=keys))
    filled = dataclasses.replace(OWN, keys=120, task="recall", filled=job.folder)
    assert bench.run(sys.executable, filled, tmp_path).figures == {"recall": 1.0}


def test_the_command_measures_ours_without_peers_and_says_what_it_skips(tmp_path: Path) -> None:
    stores = tmp_path / "stores"
    stores.mkdir()
    command = [sys.executable, str(BENCHMARKS / "bench.py"), "--suite", "semantic", "--no-peers"]
    sizes = ["--keys", "120", "--rounds", "1", "--data", str(tmp_path / "nowhere")]
    places = ["--output", str(tmp_path / "output"), "--store-dir", str(stores)]
    done = subprocess.run(
        [*command, *sizes, *places], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "skipped: put_many, spearman:" in done.stderr
    rows = json.loads((tmp_path / "output" / "benchmark-semantic.json").read_text())["rows"]
    assert len(rows) == len([m for one in semantic_measures.experiments(120) for m in one.measures])
    for row in rows:
        title = row["title"]
        assert title in done.stdout
        skipped = row["experiment"] in {"put_many", "spearman"}
        alone = row["experiment"] in {"responses", "embeddings", "candidates"}
        assert bool(row["ratios"]) != (skipped or alone), title
        assert bool(row["ours_values"]) != skipped, title
    page = (tmp_path / "output" / "benchmark-semantic.md").read_text(encoding="utf-8")
    assert page.startswith("# Benchmark of the semantic stage")
    assert list(stores.iterdir()) == []
