"""`put_many` of a semantic store, which embeds the texts of the next writes while it writes one."""

from __future__ import annotations

import threading
import time
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


def test_what_came_before_an_error_of_the_input_is_stored(store_path: Path) -> None:
    def failing() -> Iterator[tuple[str, str]]:
        yield from entries(2 * PAGE + 500)
        raise KeyError("the input")

    with semantic(store_path) as store:
        with pytest.raises(KeyError, match="the input"):
            store.put_many(failing())
        assert len(store) == 2 * PAGE
        assert store.verify() == []


def test_a_slow_input_does_not_hold_up_what_it_has_given(store_path: Path) -> None:
    seen_after = 0
    with semantic(store_path) as store:

        def slow() -> Iterator[tuple[str, str]]:
            nonlocal seen_after
            for number, entry in enumerate(entries(2 * PAGE)):
                if number > PAGE and not seen_after:
                    time.sleep(0.01)
                    if len(store) == PAGE:
                        seen_after = number
                yield entry

        store.put_many(slow())
        assert PAGE < seen_after < 2 * PAGE
        assert len(store) == 2 * PAGE


@pytest.mark.parametrize("number", [PAGE // 2, PAGE + 1, 2 * PAGE + 1])
def test_an_input_that_closes_the_store(store_path: Path, number: int) -> None:
    store = semantic(store_path)

    def closing() -> Iterator[tuple[str, str]]:
        for at, entry in enumerate(entries(3 * PAGE)):
            if at == number:
                store.close()
            yield entry

    with pytest.raises(prestige.ClosedError):
        store.put_many(closing())
    with semantic(store_path) as store:
        assert len(store) % PAGE == 0
        assert len(store) <= number
        assert store.verify() == []


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
