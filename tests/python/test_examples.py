"""The programs of `examples`, run as a user runs them: each in an empty directory."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TIMEOUT_SECONDS = 300


def run(name: str, directory: Path) -> list[str]:
    """Lines that the example prints. It must end well and write nothing to standard error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        cwd=directory,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_embedding_cache_computes_each_text_once(tmp_path: Path) -> None:
    assert run("embedding_cache.py", tmp_path) == [
        "3 vectors of 384, 2 computed",
        "asked by 8 threads, 2 computed in all",
    ]
    # The second process finds what the first one left on disk.
    assert run("embedding_cache.py", tmp_path) == [
        "3 vectors of 384, 0 computed",
        "asked by 8 threads, 0 computed in all",
    ]


def test_the_asyncio_app_computes_each_answer_once(tmp_path: Path) -> None:
    for computed in (20, 0):  # The second process finds what the first one left on disk.
        assert run("asyncio_app.py", tmp_path) == [
            f"1000 answers, {computed} computed; the last: It is 361.",
            "20 in the cache, 11 of numbers that begin with 1",
        ]


def test_the_response_cache_asks_once(tmp_path: Path) -> None:
    answers = [
        "An answer to: How do I reset my password? (acme)",
        "An answer to: How do I reset my password? (acme)",
        "An answer to: How can I reset my password? (zoo)",
        "similarity 0.97, but another order: Please cancel order 1041",
    ]
    assert run("response_cache.py", tmp_path) == [*answers, "asked 2 times, saved 0.02"]
    assert run("response_cache.py", tmp_path) == [*answers, "asked 0 times, saved 0.04"]


def test_the_session_store_forgets_what_has_ended(tmp_path: Path) -> None:
    assert run("session_store.py", tmp_path) == [
        "loaded: {'user_id': 42, 'role': 'admin'}",
        "after its end: None",
        "active: ['def456'], cleaned up: 0",
    ]


def test_semantic_dedup_compares_thresholds(tmp_path: Path) -> None:
    lines = run("semantic_dedup.py", tmp_path)
    pairs = [
        match for line in lines if (match := re.match(r"(-?\d\.\d{3})  (same |other)  ", line))
    ]
    errors = [
        match
        for line in lines
        if (match := re.match(r"threshold \d\.\d\d: (\d) merged wrongly, (\d) not merged", line))
    ]
    assert len(pairs) == 6
    assert all(-1.0 <= float(pair[1]) <= 1.0 for pair in pairs)
    # The higher the threshold, the fewer merges of either kind.
    wrong, missed = [int(error[1]) for error in errors], [int(error[2]) for error in errors]
    assert wrong == sorted(wrong, reverse=True)
    assert missed == sorted(missed)
    assert wrong[0] > wrong[-1]
    keys, values = (int(number) for number in re.findall(r"\d+", lines[-1]))
    assert keys == 12
    assert values < keys


def test_either_store_does_the_same(tmp_path: Path) -> None:
    assert run("either_store.py", tmp_path) == [
        "embedded: 3 sessions, 2 distinct",
        "served: 3 sessions, 2 distinct",
    ]


def test_processes_share_a_cache(tmp_path: Path) -> None:
    for _ in range(2):
        assert run("shared_cache.py", tmp_path) == [
            "100 answers by 4 processes; the last: It is 361.",
            "20 in the cache, violations: []",
        ]


def test_gunicorn_workers_share_a_cache(tmp_path: Path) -> None:
    for _ in range(2):
        assert run("gunicorn_app.py", tmp_path) == [
            "40 answers by gunicorn; the last: An answer to: Question 9?",
            "10 in the cache, violations: []",
        ]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_tested(path: Path) -> None:
    assert f'run("{path.name}"' in Path(__file__).read_text(encoding="utf-8")
