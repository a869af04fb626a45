"""The reference document, chapters "Quick Start" and "Optional Features": one class a heading."""

from __future__ import annotations

from pathlib import Path

import pytest

import prestige


class TestOptionalFeatures:
    def test_semantic_deduplication_needs_no_build_switch(self) -> None:
        assert prestige.SEMANTIC_AVAILABLE is True
        assert prestige.DedupMode.SEMANTIC != prestige.DedupMode.EXACT
        assert prestige.SemanticModel() is not None


class TestBasicOperations:
    def test_put_accepts_str_and_bytes(self, store: prestige.Store) -> None:
        assert store.put("key1", "hello world") is None
        assert store.put("key2", b"binary data") is None
        assert store.get("key1") == b"hello world"
        assert store.get("key2") == b"binary data"

    def test_get_returns_bytes_by_default_and_str_when_decoding(
        self, store: prestige.Store
    ) -> None:
        store.put("key1", "hello world")
        assert type(store.get("key1")) is bytes
        assert store.get("key1", decode=True) == "hello world"
        assert type(store.get("key1", decode=True)) is str

    def test_strings_are_utf_8(self, store: prestige.Store) -> None:
        store.put("schlüssel", "größe 大小 🙂")
        assert store.get("schlüssel") == "größe 大小 🙂".encode()
        assert store.get("schlüssel", decode=True) == "größe 大小 🙂"

    def test_delete_removes_the_key(self, store: prestige.Store) -> None:
        store.put("key1", "hello world")
        store.put("key2", b"binary data")
        assert store.delete("key1") is None
        assert "key1" not in store
        assert "key2" in store

    def test_context_manager_closes_the_store(self, store_path: Path) -> None:
        with prestige.open(str(store_path)) as store:
            assert isinstance(store, prestige.Store)
            assert store.closed is False
        assert store.closed is True

    def test_context_manager_closes_after_an_exception_and_lets_it_pass(
        self, store_path: Path
    ) -> None:
        store = prestige.open(store_path)

        def fail() -> None:
            with store:
                store.put("key", "value")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert store.closed is True
        with prestige.open(store_path) as again:
            assert again.get("key") == b"value"


class TestDictLikeInterface:
    def test_items_are_set_read_and_deleted(self, store: prestige.Store) -> None:
        store["key1"] = b"value1"
        store["key2"] = "value2"
        assert store["key1"] == b"value1"
        assert store["key2"] == b"value2"
        del store["key1"]
        assert "key1" not in store
        assert "key2" in store

    def test_len_counts_the_keys(self, store: prestige.Store) -> None:
        assert len(store) == 0
        for i in range(5):
            store[f"key{i}"] = "the same"
        assert len(store) == 5
        del store["key0"]
        assert len(store) == 4

    def test_missing_items_raise(self, store: prestige.Store) -> None:
        with pytest.raises(KeyError):
            store["missing"]
        with pytest.raises(KeyError):
            del store["missing"]


class TestDeduplication:
    def test_identical_content_is_stored_once(self, store: prestige.Store) -> None:
        for i in range(100):
            store.put(f"key_{i}", "identical content")
        assert store.count_keys() == 100
        assert store.count_unique_values() == 1
        assert f"{store.get_health()['dedup_ratio']:.1f}x" == "100.0x"
        assert len({store.get_object_id(f"key_{i}") for i in range(100)}) == 1

    def test_str_and_its_utf_8_bytes_are_the_same_content(self, store: prestige.Store) -> None:
        store.put("text", "größe")
        store.put("bytes", "größe".encode())
        assert store.count_unique_values() == 1

    def test_content_lives_as_long_as_one_key_does(self, store: prestige.Store) -> None:
        store.put("a", "shared")
        store.put("b", "shared")
        store.delete("a")
        assert store.get("b") == b"shared"
        assert store.count_unique_values() == 1
        store.put("b", "other")
        assert store.count_unique_values() == 1
        store.delete("b")
        assert store.count_unique_values() == 0
