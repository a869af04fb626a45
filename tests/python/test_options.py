"""Options: names, defaults, ranges, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

import prestige
from prestige import DedupMode, NormalizationMode

DEFAULTS = {
    "dedup_mode": DedupMode.EXACT,
    "normalization_mode": NormalizationMode.NONE,
    "default_ttl_seconds": 0,
    "max_store_bytes": 0,
    "enable_statistics": False,
    "bloom_bits_per_key": 10,
    "lock_timeout_ms": 2000,
    "enable_gc": True,
    "eviction_target_ratio": 0.8,
    "track_access_time": True,
    "lru_update_interval_seconds": 3600,
    "reaper_interval_seconds": 60.0,
    "clock": None,
    "normalization_max_bytes": 1024**2,
    "semantic_model": None,
    "semantic_model_path": None,
    "semantic_margin_enabled": False,
    "semantic_margin_threshold": 0.05,
    "semantic_rnn_enabled": False,
    "semantic_vector_precision": "f16",
    "verifier": None,
    "semantic_max_text_bytes": 8192,
    "hnsw_m": 16,
    "hnsw_ef_construction": 200,
    "hnsw_ef_search": 100,
}
# Defaults of these are ours to choose.
INTEGERS = [
    "block_cache_bytes",
    "value_cache_bytes",
    "write_buffer_bytes",
    "max_retries",
    "retry_base_delay_us",
    "retry_max_delay_us",
    "semantic_search_k",
    "semantic_rnn_k",
    "semantic_num_threads",
    "semantic_index_save_interval",
    "semantic_max_index_entries",
]
NATURALS = [*INTEGERS, *(name for name, default in DEFAULTS.items() if type(default) is int)]
BOOLEANS = [name for name, default in DEFAULTS.items() if type(default) is bool]
RATIOS = ["eviction_target_ratio", "semantic_threshold", "semantic_margin_threshold"]
OTHERS = ["retry_jitter_factor", "semantic_pooling", "semantic_verify_exact"]
OTHERS += ["semantic_compact_threshold", "semantic_threshold", "read_only", "sync_writes"]


def ways(name: str, value: object, path: Path) -> list[Callable[[], object]]:
    """Every way to give an option."""
    return [
        lambda: prestige.open(path, **{name: value}),
        lambda: prestige.Store.open(path, **{name: value}),
        lambda: prestige.Options(**{name: value}),
        lambda: setattr(prestige.Options(), name, value),
    ]


class TestNamesAndDefaults:
    @pytest.mark.parametrize("name", DEFAULTS)
    def test_default(self, name: str) -> None:
        default = getattr(prestige.Options(), name)
        assert default == DEFAULTS[name]
        assert type(default) is type(DEFAULTS[name])

    @pytest.mark.parametrize("name", [*INTEGERS, *OTHERS])
    def test_other_names_exist_and_take_their_own_default(self, name: str) -> None:
        options = prestige.Options()
        default = getattr(options, name)
        setattr(options, name, default)
        assert getattr(options, name) == default
        if name in INTEGERS:
            assert type(default) is int

    def test_semantic_threshold_is_a_similarity(self) -> None:
        assert 0.5 < prestige.Options().semantic_threshold < 1.0

    @pytest.mark.parametrize("name", NATURALS)
    def test_integers_keep_what_is_set(self, name: str) -> None:
        options = prestige.Options()
        for number in (1, 2**40, 2**63 - 1):
            setattr(options, name, number)
            assert getattr(options, name) == number

    def test_integers_of_numpy_are_integers(self) -> None:
        np = pytest.importorskip("numpy")
        assert prestige.Options(max_store_bytes=np.int64(5)).max_store_bytes == 5

    def test_constructor_takes_keywords_only(self) -> None:
        options = prestige.Options(default_ttl_seconds=60, semantic_threshold=0.9)
        assert (options.default_ttl_seconds, options.semantic_threshold) == (60, 0.9)
        with pytest.raises(TypeError):
            prestige.Options(60)

    def test_normalization_names_of_the_original(self, store_path: Path) -> None:
        assert NormalizationMode.ASCII == NormalizationMode.FULL
        with prestige.open(store_path, normalization_mode=NormalizationMode.UNICODE) as store:
            store.put("key", " \uff26\uff35\uff2c\uff2c  Stra\u00dfe ")
            assert store.get("key", decode=True) == "full strasse"

    def test_representations(self, store_path: Path) -> None:
        options = prestige.Options(default_ttl_seconds=60)
        assert repr(options).startswith("<prestige.Options ")
        assert "default_ttl_seconds=60" in repr(options)
        assert "normalization_mode=NormalizationMode.NONE" in repr(options)
        store = prestige.open(store_path)
        shown = f"<prestige.Store path={str(store_path)!r} closed="
        assert repr(store) == f"{shown}False>"
        store.close()
        assert repr(store) == f"{shown}True>"


class TestUnknownOptions:
    @pytest.mark.parametrize("name", ["default_ttl", "dedup", "__class__", "größe"])
    def test_unknown_name_is_named(self, store_path: Path, name: str) -> None:
        for way in ways(name, 1, store_path)[:3]:
            with pytest.raises(ValueError, match=rf"^Unknown option: {name}($|\. )"):
                way()
        assert not store_path.exists()

    def test_unknown_attribute_cannot_be_set(self) -> None:
        with pytest.raises(AttributeError):
            prestige.Options().default_ttl = 1


class TestWrongTypes:
    @pytest.mark.parametrize("name", NATURALS)
    @pytest.mark.parametrize("value", ["1", 1.0, None, [1]], ids=repr)
    def test_integers(self, store_path: Path, name: str, value: object) -> None:
        for way in ways(name, value, store_path):
            with pytest.raises(TypeError, match="integer"):
                way()
        assert not store_path.exists()

    @pytest.mark.parametrize("name", RATIOS)
    @pytest.mark.parametrize("value", ["0.5", None, [0.5]], ids=repr)
    def test_ratios(self, store_path: Path, name: str, value: object) -> None:
        for way in ways(name, value, store_path):
            with pytest.raises(TypeError, match="number"):
                way()

    @pytest.mark.parametrize("name", BOOLEANS)
    @pytest.mark.parametrize("value", ["yes", None], ids=repr)
    def test_booleans(self, store_path: Path, name: str, value: object) -> None:
        for way in ways(name, value, store_path):
            with pytest.raises(TypeError):
                way()

    @pytest.mark.parametrize("name", ["dedup_mode", "normalization_mode"])
    @pytest.mark.parametrize("value", ["EXACT", "NONE", 0], ids=repr)
    def test_modes(self, store_path: Path, name: str, value: object) -> None:
        for way in ways(name, value, store_path):
            with pytest.raises(TypeError):
                way()

    @pytest.mark.parametrize("name", ["semantic_model", "semantic_model_path", "semantic_pooling"])
    def test_model_settings(self, store_path: Path, name: str) -> None:
        for way in ways(name, 5, store_path):
            with pytest.raises(TypeError):
                way()

    def test_keywords_name_the_option_in_the_message(self, store_path: Path) -> None:
        with pytest.raises(TypeError, match=r"max_store_bytes.*'10'"):
            prestige.open(store_path, max_store_bytes="10")

    def test_options_must_be_options(self, store_path: Path) -> None:
        for wrong in ({"default_ttl_seconds": 1}, 5, "options"):
            with pytest.raises(TypeError):
                prestige.open(store_path, wrong)

    @pytest.mark.parametrize("path", [None, 5, [], object()], ids=["None", "int", "list", "object"])
    def test_paths(self, path: object) -> None:
        with pytest.raises(TypeError):
            prestige.open(path)


class TestRanges:
    @pytest.mark.parametrize("name", NATURALS)
    @pytest.mark.parametrize("value", [-1, 2**63, -(2**80)])
    def test_integers(self, store_path: Path, name: str, value: int) -> None:
        for way in ways(name, value, store_path):
            with pytest.raises(prestige.InvalidArgumentError, match=str(value)):
                way()

    @pytest.mark.parametrize("name", RATIOS)
    @pytest.mark.parametrize("value", [0, -0.5, 1.001, math.nan, math.inf])
    def test_ratios(self, store_path: Path, name: str, value: float) -> None:
        for way in ways(name, value, store_path):
            with pytest.raises(prestige.InvalidArgumentError, match="at most 1"):
                way()

    @pytest.mark.parametrize("name", ["retry_jitter_factor", "semantic_compact_threshold"])
    @pytest.mark.parametrize("value", [-0.5, math.nan, math.inf])
    def test_other_numbers(self, store_path: Path, name: str, value: float) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match=name):
            prestige.open(store_path, **{name: value})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("bloom_bits_per_key", 65),
            ("bloom_bits_per_key", 2**40),
            ("lock_timeout_ms", 0),
            ("write_buffer_bytes", 0),
            ("write_buffer_bytes", 2**62),
            ("block_cache_bytes", 2**62),
            ("value_cache_bytes", 2**50 + 1),
            ("semantic_search_k", 0),
            ("semantic_search_k", 2**62),
            ("hnsw_m", 0),
            ("hnsw_m", 2**40),
            ("hnsw_ef_construction", 0),
            ("hnsw_ef_search", 0),
        ],
    )
    def test_refused_when_opening(self, store_path: Path, name: str, value: int) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match=name):
            prestige.open(store_path, **{name: value})
        assert not store_path.exists()

    @pytest.mark.parametrize("value", ["f64", "", "F16", 16, None])
    def test_vector_precision(self, store_path: Path, value: object) -> None:
        for way in ways("semantic_vector_precision", value, store_path):
            with pytest.raises((prestige.InvalidArgumentError, TypeError), match='"f32"'):
                way()

    @pytest.mark.parametrize("value", ["verify", 1, ()])
    def test_verifier(self, store_path: Path, value: object) -> None:
        for way in ways("verifier", value, store_path):
            with pytest.raises(TypeError, match="verifier must be a function"):
                way()

    def test_k_of_reciprocal_neighbours(self, store_path: Path) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match="semantic_rnn_k"):
            prestige.open(store_path, semantic_rnn_enabled=True, semantic_rnn_k=10_001)
        assert not store_path.exists()

    def test_pooling(self, store_path: Path) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match=r"pooling.*'?max"):
            prestige.open(store_path, semantic_pooling="max")
        assert not store_path.exists()

    def test_they_are_value_errors(self, store_path: Path) -> None:
        with pytest.raises(ValueError, match="default_ttl_seconds"):
            prestige.open(store_path, default_ttl_seconds=-1)

    def test_a_refused_value_changes_nothing(self) -> None:
        options = prestige.Options(default_ttl_seconds=60)
        with pytest.raises(prestige.InvalidArgumentError):
            options.default_ttl_seconds = -1
        assert options.default_ttl_seconds == 60


class TestOptionsAndKeywords:
    def test_keywords_go_before_options_and_leave_them_alone(
        self, store_path: Path, wait_until
    ) -> None:
        options = prestige.Options(
            default_ttl_seconds=3600, normalization_mode=NormalizationMode.FULL
        )
        before = repr(options)
        with prestige.open(store_path, options, default_ttl_seconds=1) as store:
            assert repr(options) == before
            store.put("key", " TEXT ")
            assert store.get("key") == b"text"
            wait_until(lambda: "key" not in store)

    def test_options_changed_later_do_not_reach_an_open_store(self, store_path: Path) -> None:
        options = prestige.Options()
        with prestige.open(store_path, options) as store:
            options.normalization_mode = NormalizationMode.FULL
            store.put("key", " TEXT ")
            assert store.get("key") == b" TEXT "

    def test_one_options_object_serves_several_stores(self, tmp_path: Path) -> None:
        options = prestige.Options(max_store_bytes=10**6)
        with (
            prestige.open(tmp_path / "a", options) as a,
            prestige.open(tmp_path / "b", options) as b,
        ):
            a.put("key", "a")
            b.put("key", "b")
            assert (a.get("key"), b.get("key")) == (b"a", b"b")

    def test_every_option_at_its_default_opens_a_store(self, store_path: Path) -> None:
        defaults = prestige.Options()
        given = {name: getattr(defaults, name) for name in [*DEFAULTS, *INTEGERS, *OTHERS]}
        with prestige.open(store_path, **given) as store:
            store.put("key", "value")
            assert store.get("key") == b"value"
