"""The reference document from "Options Class" to "Feature Flags": one class a heading."""

from __future__ import annotations

from pathlib import Path

import pytest

import prestige
from prestige import DedupMode, NormalizationMode

EXCEPTIONS = [
    prestige.NotFoundError,
    prestige.InvalidArgumentError,
    prestige.IOError,
    prestige.CorruptionError,
    prestige.BusyError,
    prestige.TimedOutError,
]


class TestAttributes:
    def test_types_and_defaults(self) -> None:
        options = prestige.Options()
        assert options.dedup_mode == DedupMode.EXACT
        assert options.normalization_mode == NormalizationMode.NONE
        assert options.default_ttl_seconds == 0
        assert options.max_store_bytes == 0
        assert options.block_cache_bytes > 0
        assert options.write_buffer_bytes > 0
        assert options.enable_statistics is False
        assert type(options.block_cache_bytes) is type(options.write_buffer_bytes) is int

    def test_they_can_be_set_and_used(self, store_path: Path) -> None:
        options = prestige.Options()
        options.dedup_mode = DedupMode.EXACT
        options.normalization_mode = NormalizationMode.WHITESPACE
        options.default_ttl_seconds = 3600
        options.max_store_bytes = 10 * 1024**3
        options.block_cache_bytes = 256 * 1024**2
        options.write_buffer_bytes = 8 * 1024**2
        options.enable_statistics = True
        with prestige.open(store_path, options) as store:
            store.put("key", " a  b ")
            assert store.get("key") == b"a b"
        assert options.block_cache_bytes == 256 * 1024**2
        assert options.enable_statistics is True

    def test_default_ttl_of_zero_is_no_expiration(self, store: prestige.Store) -> None:
        store.put("key", "value")
        assert store.get_health()["expired_objects"] == 0
        assert store.prune() == 0
        assert "key" in store

    def test_max_store_bytes_bounds_the_store(self, store_path: Path) -> None:
        with prestige.open(store_path, max_store_bytes=50_000) as store:
            for i in range(20):
                store.put(f"key{i:02}", f"{i}".encode() * 5000)
                assert store.total_bytes <= 50_000
                assert f"key{i:02}" in store
            assert "key00" not in store
            assert store.verify() == []


class TestDedupMode:
    def test_members(self) -> None:
        assert DedupMode.EXACT != DedupMode.SEMANTIC
        assert isinstance(DedupMode.EXACT, DedupMode)
        assert isinstance(DedupMode.SEMANTIC, DedupMode)
        assert len({DedupMode.EXACT, DedupMode.SEMANTIC, DedupMode.EXACT}) == 2
        assert repr(DedupMode.SEMANTIC) == "DedupMode.SEMANTIC"

    def test_exact_is_the_default(self, store: prestige.Store) -> None:
        assert store.dedup_mode == DedupMode.EXACT
        store.put("a", "The quick brown fox")
        store.put("b", "The quick brown fox.")
        assert store.count_unique_values() == 2


class TestNormalizationMode:
    TEXT = "  Hello \t WORLD\n"

    @pytest.mark.parametrize(
        ("mode", "stored"),
        [
            (NormalizationMode.NONE, TEXT),
            (NormalizationMode.LOWERCASE, "  hello \t world\n"),
            (NormalizationMode.WHITESPACE, "Hello WORLD"),
            (NormalizationMode.FULL, "hello world"),
        ],
        ids=repr,
    )
    def test_what_is_stored(self, store_path: Path, mode: NormalizationMode, stored: str) -> None:
        with prestige.open(store_path, normalization_mode=mode) as store:
            store.put("key", self.TEXT)
            assert store.get("key", decode=True) == stored

    def test_full_stores_hello(self, store_path: Path) -> None:
        options = prestige.Options()
        options.dedup_mode = DedupMode.EXACT
        options.normalization_mode = NormalizationMode.FULL
        with prestige.open(store_path, options) as store:
            store.put("key", "  HELLO  ")
            assert store.get("key") == b"hello"
            store.put("other", "hello")
            assert store.count_unique_values() == 1

    def test_keys_are_never_normalised(self, store_path: Path) -> None:
        with prestige.open(store_path, normalization_mode=NormalizationMode.FULL) as store:
            store.put("  KEY  ", "value")
            assert store.list_keys() == ["  KEY  "]


class TestExceptions:
    @pytest.mark.parametrize("exception", EXCEPTIONS)
    def test_all_inherit_from_prestige_error(self, exception: type[Exception]) -> None:
        assert issubclass(exception, prestige.PrestigeError)
        assert issubclass(prestige.PrestigeError, Exception)
        with pytest.raises(prestige.PrestigeError, match="why"):
            raise exception("why")

    def test_key_not_found(self, store: prestige.Store) -> None:
        for missing in (store.get, store.delete, store.get_object_id):
            with pytest.raises(prestige.NotFoundError):
                missing("missing_key")

    def test_invalid_argument(self, store: prestige.Store) -> None:
        with pytest.raises(prestige.InvalidArgumentError):
            store.put("key", "value", ttl_seconds=-1)

    def test_io_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a directory")
        with pytest.raises(prestige.IOError, match="file"):
            prestige.open(tmp_path / "file")

    def test_corruption(self, store_path: Path) -> None:
        with prestige.open(store_path) as store:
            store.put("key", "value")
        (store_path / "CURRENT").write_text("MANIFEST-999999\n")
        with pytest.raises(prestige.CorruptionError):
            prestige.open(store_path)

    def test_busy(self, store: prestige.Store) -> None:
        with pytest.raises(prestige.BusyError):
            prestige.open(store.path)


class TestFeatureFlags:
    def test_version_and_flags(self) -> None:
        assert type(prestige.__version__) is str
        assert prestige.__version__[0].isdigit()
        assert prestige.SEMANTIC_AVAILABLE is True
        assert prestige.SERVER_AVAILABLE is True
