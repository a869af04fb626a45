"""`put_many` of a semantic store, which embeds the texts of the next writes while it writes one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import prestige

PAGE = 1000  # Most entries of one write.

pytestmark = pytest.mark.usefixtures("semantic_store")


def semantic(path: Path, **options: object) -> prestige.Store:
    return prestige.open(path, dedup_mode=prestige.DedupMode.SEMANTIC, **options)


def entries(count: int) -> list[tuple[str, str]]:
    """Some 300 questions, most of them again and again, and a few in other words."""
    forms = ("How do I return item {}?", "How can I return item {}?", "how do i return item {}")
    return [(f"{n:05}", forms[n % 7 % 3].format(n * n % 97)) for n in range(count)]


def groups(store: prestige.Store) -> list[list[str]]:
    """The keys that share a value, sorted."""
    keys: dict[bytes, list[str]] = {}
    for key, value in store.items():
        keys.setdefault(value, []).append(key)
    return sorted(keys.values())


def test_all_at_once_is_as_write_by_write(tmp_path: Path) -> None:
    given = entries(2 * PAGE + 300)
    with semantic(tmp_path / "whole") as whole, semantic(tmp_path / "parts") as parts:
        told: list[int] = []
        assert whole.put_many(given, progress=told.append) == len(given)
        assert told == [PAGE, 2 * PAGE, len(given)]
        for start in range(0, len(given), PAGE):
            parts.put_many(given[start : start + PAGE])
        assert groups(whole) == groups(parts)
        distinct = len({text for _, text in given})
        assert 0 < whole.count_unique_values() < distinct
        for store in (whole, parts):
            assert store.stats()["texts_embedded"] == distinct
            assert store.verify() == []


def test_the_pages_before_a_wrong_entry_are_stored(store_path: Path) -> None:
    wrong = [*entries(2 * PAGE + 500), ("no value",)]
    with semantic(store_path) as store:
        told: list[int] = []
        with pytest.raises(TypeError, match="entry 2500 should be"):
            store.put_many(wrong, progress=told.append)
        assert told == [PAGE, 2 * PAGE]
        assert len(store) == 2 * PAGE
        assert store.verify() == []


def test_a_page_of_a_generator_is_written_before_the_next_entry_is_asked_for(
    store_path: Path,
) -> None:
    with semantic(store_path) as store:
        told: list[int] = []

        def waiting() -> Iterator[tuple[str, str]]:
            for number, entry in enumerate(entries(2 * PAGE + 1)):
                if number % PAGE == 0:
                    assert len(store) == number
                    assert told == list(range(PAGE, number + 1, PAGE))
                yield entry

        store.put_many(waiting(), progress=told.append)
        assert len(store) == 2 * PAGE + 1


def test_a_progress_that_closes_the_store(store_path: Path) -> None:
    store = semantic(store_path)
    with pytest.raises(prestige.ClosedError):
        store.put_many(entries(3 * PAGE), progress=lambda _: store.close())
    with semantic(store_path) as store:
        assert len(store) == PAGE
        assert store.verify() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_progress_that_forks(store_path: Path, run_script) -> None:
    script = """
        import os, sys
        import prestige
        pid = os.getpid()
        def fork(_):
            if os.getpid() == pid and os.fork():
                os.wait()
        with prestige.open(sys.argv[1], dedup_mode=prestige.DedupMode.SEMANTIC) as store:
            try:
                store.put_many([(str(n), f"question {n}") for n in range(3000)], progress=fork)
            except prestige.PrestigeError:
                # There was another page to write.
                assert os.getpid() != pid
            if os.getpid() != pid:
                os._exit(0)
            print(len(store), store.verify(), flush=True)
    """
    ended = run_script(script, store_path)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("3000 []\n", "", 0)


def test_a_progress_that_fails_leaves_what_is_not_written(store_path: Path) -> None:
    def failing(stored: int) -> None:
        raise RuntimeError(f"stop at {stored}")

    with semantic(store_path) as store:
        with pytest.raises(RuntimeError, match="stop at 1000"):
            store.put_many(entries(3 * PAGE), progress=failing)
        assert len(store) == PAGE
        store.put("still", "works")
        assert store.verify() == []


def test_a_function_embeds_on_the_thread_of_its_caller(store_path: Path) -> None:
    threads = set()

    def embedder(texts: list[str]) -> np.ndarray:
        threads.add(threading.current_thread())
        return np.array([[len(text), 1.0, hash(text) % 89] for text in texts], np.float32)

    with semantic(store_path, embedder=embedder, embedder_id="lengths") as store:
        store.put_many(entries(2 * PAGE + 1))
        assert threads == {threading.current_thread()}
        assert store.verify() == []
