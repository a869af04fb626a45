"""Iteration over keys, and what exceptions are and say."""

from __future__ import annotations

import builtins
from pathlib import Path

import pytest

import prestige


class TestIteration:
    def test_more_keys_than_one_page(self, store: prestige.Store) -> None:
        expected = [f"key{i:05}" for i in range(3 * 1024 + 1)]
        for key in expected:
            store.put(key, "value")
        assert list(store) == expected
        assert list(iter(store)) == expected
        assert len(store) == len(expected)

    def test_exactly_one_page(self, store: prestige.Store) -> None:
        for i in range(1024):
            store.put(f"{i:04}", "value")
        assert len(list(store)) == 1024

    def test_every_key_can_be_deleted_on_the_way(self, store: prestige.Store) -> None:
        for i in range(3000):
            store.put(f"key{i:05}", "value")
        seen = 0
        for key in store:
            del store[key]
            seen += 1
        assert seen == 3000
        assert list(store) == []

    def test_changes_on_the_way_lose_no_other_key(self, store: prestige.Store) -> None:
        keys = {f"key{i:05}" for i in range(3000)}
        for key in keys:
            store.put(key, "value")
        seen = []
        for key in store:
            seen.append(key)
            store.put(f"{key}+", "added")
            if len(seen) % 2:
                store.put(key, "changed")
        assert keys <= set(seen)
        assert len(seen) == len(set(seen))

    def test_two_iterators_do_not_disturb_each_other(self, store: prestige.Store) -> None:
        for i in range(1500):
            store.put(f"{i:04}", "value")
        assert list(zip(store, store, strict=True)) == [(key, key) for key in store.list_keys()]

    def test_closing_ends_an_iteration_with_an_error(self, store_path: Path) -> None:
        with prestige.open(store_path) as store:
            for i in range(1025):
                store.put(f"{i:04}", "value")
            iterator = iter(store)
            next(iterator)
        with pytest.raises(ValueError, match="closed"):
            list(iterator)

    def test_an_empty_store_is_true(self, store: prestige.Store) -> None:
        assert list(store) == []
        assert bool(store) is True


class TestExceptionClasses:
    @pytest.mark.parametrize(
        ("exception", "builtin"),
        [
            (prestige.NotFoundError, KeyError),
            (prestige.InvalidArgumentError, ValueError),
            (prestige.IOError, builtins.OSError),
            (prestige.BusyError, builtins.OSError),
            (prestige.TimedOutError, TimeoutError),
            (prestige.ClosedError, ValueError),
            (prestige.CorruptionError, Exception),
            (prestige.ModelError, Exception),
        ],
    )
    def test_each_is_also_what_python_code_expects(
        self, exception: type[Exception], builtin: type[Exception]
    ) -> None:
        assert issubclass(exception, prestige.PrestigeError)
        assert issubclass(exception, builtin)
        assert exception.__module__.startswith("prestige")
        assert exception.__doc__

    def test_messages_are_sentences(self, store: prestige.Store) -> None:
        for call in (lambda: store.get("the key"), lambda: store["the key"]):
            with pytest.raises(KeyError) as caught:
                call()
            # KeyError would show its argument in quotes.
            assert str(caught.value) == "key not found: the key"
        assert str(prestige.NotFoundError("why")) == "why"
        assert str(prestige.IOError("why")) == str(prestige.BusyError("why")) == "why"

    def test_messages_about_unreadable_keys(self, store: prestige.Store) -> None:
        for call in (store.get, store.delete, store.get_object_id):
            with pytest.raises(prestige.NotFoundError) as caught:
                call(b"\xff\0key")
            assert "key" in str(caught.value)
            str(caught.value).encode()
            with pytest.raises(prestige.NotFoundError) as caught:
                call("k" * 60_000)
            assert len(str(caught.value)) < 1000
