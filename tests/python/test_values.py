"""What goes in comes out: every kind of key and value, and how the wrong kinds are refused."""

from __future__ import annotations

import array
import random

import either
import numpy as np
import pytest

import prestige

store = either.store  # Each test over both.

DATA = bytes(range(256)) * 4

BYTES_LIKE = {
    "bytes": DATA,
    "bytearray": bytearray(DATA),
    "memoryview": memoryview(DATA),
    "writable memoryview": memoryview(bytearray(DATA)),
    "sliced memoryview": memoryview(DATA)[3:100],
    "memoryview with steps": memoryview(DATA)[::3],
    "reversed memoryview": memoryview(DATA)[::-1],
    "memoryview of shorts": memoryview(DATA).cast("H"),
    "array.array": array.array("d", [1.5, -2.5, 3.5]),
    "empty bytes": b"",
    "empty array": np.empty((0, 384), np.float32),
    "float32 vector": np.arange(384, dtype=np.float32),
    "float16 vector": np.arange(384, dtype=np.float16),
    "2-D array": np.arange(12, dtype=np.float32).reshape(3, 4),
    "Fortran order": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
    "transposed array": np.arange(12, dtype=np.int64).reshape(3, 4).T,
    "array with steps": np.arange(100, dtype=np.int32)[::7],
    "reversed array": np.arange(100, dtype=np.int32)[::-1],
    "read-only array": np.frombuffer(DATA, np.float32),
    "big-endian array": np.arange(10, dtype=">i4"),
    "0-D array": np.array(2.5),
    "NumPy scalar": np.float32(2.5),
    "booleans": np.array([True, False]),
}

WRONG = {"NoneType": None, "int": 5, "float": 1.5, "list": [1], "dict": {}, "object": object()}


class TestValues:
    @pytest.mark.parametrize("kind", BYTES_LIKE)
    def test_bytes_like(self, store: prestige.Store, kind: str) -> None:
        value = BYTES_LIKE[kind]
        # Elements in the order of their indices, whatever their order in memory.
        expected = value.tobytes() if hasattr(value, "tobytes") else bytes(value)
        store.put("key", value)
        assert store.get("key") == expected
        store["item"] = value
        assert store["item"] == expected
        assert store.count_unique_values() == 1

    def test_vectors_read_back_as_arrays(self, store: prestige.Store) -> None:
        vector = np.random.default_rng(1).normal(size=(3, 384)).astype(np.float32)
        store.put("vector", vector)
        read = np.frombuffer(store.get("vector"), np.float32).reshape(vector.shape)
        assert np.array_equal(read, vector)

    def test_a_buffer_changed_after_put_does_not_change_the_store(
        self, store: prestige.Store
    ) -> None:
        value = bytearray(b"before")
        store.put("key", value)
        value[:] = b"after"
        value.append(1)
        assert store.get("key") == b"before"

    @pytest.mark.parametrize("kind", WRONG)
    def test_wrong_types(self, store: prestige.Store, kind: str) -> None:
        with pytest.raises(TypeError, match=rf"value.*{kind}"):
            store.put("key", WRONG[kind])
        with pytest.raises(TypeError, match=rf"value.*{kind}"):
            store["key"] = WRONG[kind]
        assert "key" not in store

    def test_arrays_without_bytes(self, store: prestige.Store) -> None:
        with pytest.raises((TypeError, ValueError)):
            store.put("key", np.array(["2024-01-01"], dtype="datetime64[D]"))
        with pytest.raises(TypeError, match="objects"):
            store.put("key", np.array([1, "two", None], dtype=object))
        with pytest.raises(UnicodeEncodeError):
            store.put("key", "lone \ud800 surrogate")
        assert "key" not in store

    def test_sizes_from_nothing_to_megabytes(self, store: prestige.Store) -> None:
        make = random.Random(1)
        for size in (0, 1, 31, 32, 33, 4095, 4096, 65_537, 5_000_000):
            value = make.randbytes(size)
            store.put(f"{size}", value)
            assert store.get(f"{size}") == value
        store.flush()
        assert len(store.get("5000000")) == 5_000_000
        assert store.count_unique_values() == 9

    def test_nul_bytes(self, store: prestige.Store) -> None:
        store.put("nul", b"\0")
        store.put("nuls", "a\0b")
        assert (store.get("nul"), store.get("nuls", decode=True)) == (b"\0", "a\0b")

    def test_decoding_binary_raises(self, store: prestige.Store) -> None:
        store.put("key", b"\xff\xfe")
        with pytest.raises(UnicodeDecodeError):
            store.get("key", decode=True)
        assert store.get("key") == b"\xff\xfe"


class TestKeys:
    def test_str_and_its_utf_8_bytes_are_the_same_key(self, store: prestige.Store) -> None:
        store.put("schlüssel", "value")
        assert store.get("schlüssel".encode()) == b"value"
        assert "schlüssel".encode() in store
        store.delete("schlüssel".encode())
        assert len(store) == 0

    @pytest.mark.parametrize("key", ["", "\0", "a\0b", "\u00e4", "\U0001f642", " ", "a" * 65_536])
    def test_unusual_keys(self, store: prestige.Store, key: str) -> None:
        store.put(key, "value")
        store.put(f"{key}!"[-65_536:], "other")
        assert store.get(key) == b"value"
        assert key in store
        assert key in store.list_keys()
        assert key in list(store)
        assert key in store.list_keys(prefix=key)
        store.delete(key)
        assert key not in store

    @pytest.mark.parametrize("key", [b"\xff", b"\xff\xff", b"a\x80b", b"\xed\xa0\x80", b"\xc3"])
    def test_keys_that_are_not_utf_8(self, store: prestige.Store, key: bytes) -> None:
        store.put(key, "value")
        shown = key.decode("utf-8", "surrogateescape")
        assert store.list_keys() == list(store) == [shown]
        assert store.get(shown) == store.get(key) == b"value"
        assert shown in store
        assert store.list_keys(prefix=key[:1]) == [shown]
        assert store.list_keys(prefix=shown[:1]) == [shown]
        del store[shown]
        assert len(store) == 0

    def test_a_surrogate_that_stands_for_no_byte(self, store: prestige.Store) -> None:
        with pytest.raises(UnicodeEncodeError):
            store.put("\ud800", "value")
        assert len(store) == 0

    def test_too_long_a_key(self, store: prestige.Store) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match=r"65536.*65537"):
            store.put("k" * 65_537, "value")
        assert len(store) == 0
        assert store.get("k" * 65_537, default=None) is None

    @pytest.mark.parametrize("kind", [*WRONG, "bytearray", "tuple"])
    def test_wrong_types(self, store: prestige.Store, kind: str) -> None:
        key = {**WRONG, "bytearray": bytearray(b"key"), "tuple": ("key",)}[kind]
        calls = [
            lambda: store.put(key, "value"),
            lambda: store.get(key),
            lambda: store.get(key, default=None),
            lambda: store.delete(key),
            lambda: store.get_object_id(key),
            lambda: store[key],
            lambda: key in store,
            lambda: store.__setitem__(key, "value"),
            lambda: store.__delitem__(key),
        ]
        for call in calls:
            with pytest.raises(TypeError, match=rf"key.*{kind}"):
                call()
        if key is not None:
            with pytest.raises(TypeError, match=rf"prefix.*{kind}"):
                store.list_keys(prefix=key)
        assert len(store) == 0

    def test_keys_are_ordered_by_their_bytes(self, store: prestige.Store) -> None:
        keys = [b"", b"\0", b"A", b"a", b"a\0", b"a\xff", b"b", "ä".encode(), b"\xff", b"\xff\0"]
        for key in reversed(keys):
            store.put(key, "value")
        assert [key.encode("utf-8", "surrogateescape") for key in store] == keys
        assert [key.encode("utf-8", "surrogateescape") for key in store.list_keys("a")] == [
            b"a",
            b"a\0",
            b"a\xff",
        ]


class TestNumbers:
    @pytest.mark.parametrize("wrong", ["1", 1.0, [1]], ids=repr)
    def test_wrong_types(self, store: prestige.Store, wrong: object) -> None:
        for call in (
            lambda: store.put("key", "value", ttl_seconds=wrong),
            lambda: store.list_keys(limit=wrong),
            lambda: store.prune(max_age_seconds=wrong),
            lambda: store.prune(max_idle_seconds=wrong),
            lambda: store.evict_lru(wrong),
        ):
            with pytest.raises(TypeError, match="integer"):
                call()
        assert len(store) == 0

    @pytest.mark.parametrize("bad", [-1, 2**63])
    def test_out_of_range(self, store: prestige.Store, bad: int) -> None:
        for call in (
            lambda: store.put("key", "value", ttl_seconds=bad),
            lambda: store.list_keys(limit=bad),
            lambda: store.prune(max_age_seconds=bad),
            lambda: store.prune(max_idle_seconds=bad),
            lambda: store.evict_lru(bad),
        ):
            with pytest.raises(prestige.InvalidArgumentError, match=str(bad)):
                call()
        assert len(store) == 0

    def test_ends_of_the_range(self, store: prestige.Store) -> None:
        store.put("key", "value", ttl_seconds=2**63 - 1)
        assert store.get("key") == b"value"
        assert store.list_keys(limit=0) == []
        assert store.list_keys(limit=2**63 - 1) == ["key"]
        assert store.prune(2**63 - 1, 2**63 - 1) == 0
        assert store.evict_lru(2**63 - 1) == 0

    def test_switches_are_booleans(self, store: prestige.Store) -> None:
        with pytest.raises(TypeError):
            store.count_keys(approximate="no")
        with pytest.raises(TypeError):
            store.get("key", decode="utf-8")
