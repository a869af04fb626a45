"""Messages of refused arguments: they name the argument, what is expected and what was found."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prestige
import prestige.hub

LARGEST = 2**63 - 1
Call = Callable[[prestige.Store, Any], object]

# Name of the argument, the greatest number in words, a call that gives it.
INTEGERS: list[tuple[str, str, Call]] = [
    ("ttl_seconds", "2**63 - 1", lambda store, number: store.put("key", "new", number)),
    (
        "ttl_seconds",
        "2**63 - 1",
        lambda store, number: store.touch("key", number),
    ),
    ("limit", "2**63 - 1", lambda store, number: store.list_keys(limit=number)),
    ("target_bytes", "2**63 - 1", lambda store, number: store.evict_lru(number)),
    ("max_age_seconds", "2**63 - 1", lambda store, number: store.prune(number)),
    ("max_idle_seconds", "2**63 - 1", lambda store, number: store.prune(0, number)),
    ("port", "65535", lambda store, number: store.serve(port=number)),
    ("max_tokens", "2**63 - 1", lambda _, number: prestige.SemanticModel(max_tokens=number)),
    ("num_threads", "2**63 - 1", lambda _, number: prestige.SemanticModel(num_threads=number)),
    (
        "max_tokens",
        "2**63 - 1",
        lambda _, number: setattr(prestige.SemanticModel(), "max_tokens", number),
    ),
    (
        "num_threads",
        "2**63 - 1",
        lambda _, number: setattr(prestige.SemanticModel(), "num_threads", number),
    ),
]
OPTIONAL = {"ttl_seconds", "limit", "max_tokens"}
integers = pytest.mark.parametrize(
    ("name", "greatest", "call"), INTEGERS, ids=[name for name, *_ in INTEGERS]
)


class TestIntegers:
    @integers
    @pytest.mark.parametrize("value", ["1", 1.0, [1], None], ids=repr)
    def test_wrong_types(
        self, store: prestige.Store, name: str, greatest: str, call: Call, value: object
    ) -> None:
        if value is None and name in OPTIONAL:
            pytest.skip("None leaves it out")
        store.put("key", "value")
        expected = f"{name} must be an integer, not {value!r}"
        with pytest.raises(TypeError, match=f"^{re.escape(expected)}$"):
            call(store, value)
        assert store.get("key") == b"value"

    @integers
    @pytest.mark.parametrize("value", [-1, 2**63, -(2**80)])
    def test_out_of_range(
        self, store: prestige.Store, name: str, greatest: str, call: Call, value: int
    ) -> None:
        store.put("key", "value")
        expected = f"{name} must be an integer from 0 to {greatest}, not {value}"
        with pytest.raises(prestige.InvalidArgumentError, match=f"^{re.escape(expected)}$"):
            call(store, value)
        assert store.get("key") == b"value"

    @pytest.mark.parametrize("value", [65536, LARGEST])
    def test_ports_end_earlier(self, store: prestige.Store, value: int) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match=f"^port .* 65535, not {value}$"):
            store.serve(port=value)

    @integers
    @pytest.mark.parametrize("value", [np.int64(5), np.uint8(5), True], ids=repr)
    def test_whatever_python_takes_for_an_integer_is_one_here_and_in_options(
        self, store: prestige.Store, name: str, greatest: str, call: Call, value: object
    ) -> None:
        store.put("key", "value")
        if name != "port":  # Ports below 1024 are not for everyone.
            call(store, value)
        assert prestige.Options(max_retries=value).max_retries == int(value)

    def test_the_greatest_numbers_are_taken(self, store: prestige.Store) -> None:
        store.put("key", "value", LARGEST)
        assert store.list_keys(limit=LARGEST) == ["key"]
        assert store.prune(LARGEST, LARGEST) == 0
        assert store.evict_lru(LARGEST) == 0
        assert prestige.SemanticModel(max_tokens=LARGEST).max_tokens == LARGEST

    def test_a_long_value_is_cut(self, store: prestige.Store) -> None:
        with pytest.raises(TypeError, match="ttl_seconds") as caught:
            store.put("key", "value", "ß" * 10**6)
        assert str(caught.value) == "ttl_seconds must be an integer, not '" + "ß" * 79 + "…"

    def test_the_signatures_show_the_defaults(self) -> None:
        assert "port=0" in (prestige.Store.serve.__text_signature__ or "")
        assert "max_age_seconds=0" in (prestige.Store.prune.__text_signature__ or "")


class TestOptions:
    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("max_store_bytes", "10", "must be an integer, not '10'"),
            ("semantic_threshold", "high", "must be a number, not 'high'"),
            (
                "dedup_mode",
                "semantic",
                "must be prestige.DedupMode.EXACT or prestige.DedupMode.SEMANTIC, not 'semantic'",
            ),
            (
                "normalization_mode",
                "full",
                "must be prestige.NormalizationMode.NONE, LOWERCASE, WHITESPACE, FULL, UNICODE "
                "or ASCII, not 'full'",
            ),
        ],
    )
    def test_wrong_types(self, store_path: Path, name: str, value: object, message: str) -> None:
        expected = f"^{re.escape(f'{name} {message}')}$"
        with pytest.raises(TypeError, match=expected):
            prestige.open(store_path, **{name: value})
        with pytest.raises(TypeError, match=expected):
            setattr(prestige.Options(), name, value)
        assert not store_path.exists()

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("max_store_bytes", -1, "must be an integer from 0 to 2**63 - 1, not -1"),
            ("semantic_threshold", 1.5, "must be a number over 0 and at most 1, not 1.5"),
            ("retry_jitter_factor", -1, "must be a finite number from 0 on, not -1"),
        ],
    )
    def test_out_of_range(self, store_path: Path, name: str, value: object, message: str) -> None:
        expected = f"^{re.escape(f'{name} {message}')}$"
        with pytest.raises(prestige.InvalidArgumentError, match=expected):
            prestige.open(store_path, **{name: value})
        with pytest.raises(prestige.InvalidArgumentError, match=expected):
            setattr(prestige.Options(), name, value)

    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("default_ttl", "default_ttl_seconds"),
            ("sync_write", "sync_writes"),
            ("dedupe_mode", "dedup_mode"),
        ],
    )
    def test_an_unknown_name_and_the_nearest(self, store_path: Path, name: str, near: str) -> None:
        expected = re.escape(f"Unknown option: {name}. Did you mean {near}?")
        with pytest.raises(ValueError, match=f"^{expected}$"):
            prestige.open(store_path, **{name: 1})
        with pytest.raises(AttributeError, match=f"^{expected}$"):
            setattr(prestige.Options(), name, 1)

    def test_an_unknown_name_that_is_near_to_nothing(self, store_path: Path) -> None:
        expected = r"^Unknown option: größe\. help\(prestige\.Options\) lists all options"
        with pytest.raises(ValueError, match=expected):
            prestige.open(store_path, größe=1)
        with pytest.raises(AttributeError, match=expected):
            prestige.Options().größe = 1

    def test_attributes_cannot_be_deleted(self) -> None:
        options = prestige.Options(max_retries=7)
        with pytest.raises(AttributeError):
            del options.max_retries
        assert options.max_retries == 7

    def test_options_that_are_a_dictionary(self, store_path: Path) -> None:
        with pytest.raises(TypeError, match=r"^options must be a prestige.Options, .* keywords"):
            prestige.open(store_path, {"default_ttl_seconds": 1})


class TestPaths:
    @pytest.mark.parametrize("path", [b"", b"store"])
    def test_bytes(self, path: bytes) -> None:
        with pytest.raises(TypeError, match=r"^path must be str or os.PathLike, not bytes; os.fsd"):
            prestige.open(path)

    @pytest.mark.parametrize("path", [5, None, ["store"]], ids=repr)
    def test_other_types(self, path: object) -> None:
        expected = f"^path must be str or os.PathLike, not {type(path).__name__}$"
        with pytest.raises(TypeError, match=expected):
            prestige.open(path)

    def test_an_exception_of_the_path_itself(self) -> None:
        class Broken:
            def __fspath__(self) -> str:
                raise LookupError("gone")

        with pytest.raises(LookupError, match=r"^gone$"):
            prestige.open(Broken())

    def test_empty(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(prestige.InvalidArgumentError, match=r"^path must not be empty"):
            prestige.open("")
        assert list(tmp_path.iterdir()) == []

    def test_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("mine")
        with pytest.raises(prestige.IOError, match=r"notes\.txt is a file, and a store is a dir"):
            prestige.open(path)
        assert path.read_text() == "mine"

    @pytest.mark.parametrize("arguments", [(), ("my_db",)])
    def test_a_store_that_is_called(self, arguments: tuple[str, ...]) -> None:
        with pytest.raises(TypeError, match=r"prestige\.open\(path\)"):
            prestige.Store(*arguments)
        with pytest.raises(TypeError, match=r"prestige\.open\(path\)"):
            prestige.Store(*arguments, sync_writes=True)


@pytest.mark.parametrize("texts", [5, None, "one text", b"bytes"], ids=repr)
def test_texts_that_are_no_list(texts: object) -> None:
    expected = f"^texts must be a list of str, not {type(texts).__name__}$"
    with pytest.raises(TypeError, match=expected):
        prestige.SemanticModel().embed(texts)


EMPTY_BATCHES: list[tuple[str, bool]] = [
    ("put_many", True),
    ("get_many", False),
    ("contains_many", False),
    ("delete_many", True),
]


class TestHandles:
    @pytest.mark.parametrize(("method", "writes"), EMPTY_BATCHES)
    def test_empty_batches(self, store_path: Path, method: str, writes: bool) -> None:
        store = prestige.open(store_path)
        assert not getattr(store, method)([])
        store.close()
        with pytest.raises(prestige.ClosedError):
            getattr(store, method)([])
        with prestige.open(store_path, read_only=True) as reading:
            if writes:
                with pytest.raises(prestige.ReadOnlyError):
                    getattr(reading, method)([])
            else:
                assert getattr(reading, method)([]) == []

    def test_a_closed_view_is_told_from_a_closed_store(self, store_path: Path) -> None:
        store = prestige.open(store_path)
        view, other = store.namespace("t"), store.namespace("t")
        view.close()
        expected = (
            'this view of the namespace "t" is closed; take it again with store.namespace("t")'
        )
        with pytest.raises(prestige.ClosedError, match=f"^{re.escape(expected)}$"):
            view.get("key")
        with pytest.raises(prestige.ClosedError, match=r"^this view"):
            view.put_many([])
        other.put("key", "value")
        store.close()
        for handle in (store, view, other):
            with pytest.raises(prestige.ClosedError, match=r"^the store at .* is closed"):
                handle.get("key")

    @pytest.mark.parametrize("made", [True, False])
    def test_reading_where_there_is_no_store(self, tmp_path: Path, made: bool) -> None:
        path = tmp_path / "none"
        if made:
            path.mkdir()
        with pytest.raises(prestige.IOError, match=r"no Prestige .*none: .*\. Check the path$"):
            prestige.open(path, read_only=True)
        assert list(tmp_path.rglob("*")) == ([path] if made else [])

    def test_what_was_not_found(self, store: prestige.Store, store_path: Path) -> None:
        with pytest.raises(prestige.NotFoundError, match=r"^key not found: none$"):
            store.get("none")
        with pytest.raises(prestige.NotFoundError, match=r'^namespace not found: "none"$'):
            store.drop_namespace("none")
        with pytest.raises(prestige.NotFoundError, match=r'^family not found: "f"'):
            store.family_report("f")
        store.flush()
        with (
            prestige.open(store_path, read_only=True) as reading,
            pytest.raises(prestige.NotFoundError, match=r'^namespace not found: "new".*read-only'),
        ):
            reading.namespace("new")


def test_arguments_are_named(store: prestige.Store, tmp_path: Path) -> None:
    calls: list[tuple[str, Callable[[Any], object]]] = [
        ("name must be str, not int", store.namespace),
        ("name must be str, not int", store.drop_namespace),
        ("name must be str, not int", prestige.hub.path),
        ("name must be str, not int", prestige.hub.pull),
        ("prefix must be str or bytes, not int", store.list_keys),
        ("prefix must be str or bytes, not int", store.keys),
        (
            "prefix must be str or bytes, not int",
            lambda prefix: store.export_jsonl(tmp_path / "file", prefix=prefix),
        ),
    ]
    for expected, call in calls:
        with pytest.raises(TypeError, match=f"^{re.escape(expected)}$"):
            call(5)


def test_arguments_of_calibrate() -> None:
    pairs = [(0.9, True), (0.5, False)]
    calls: list[tuple[str, Callable[[], object]]] = [
        (
            r"^model must be .*'bge-small'; .*SemanticModel\(model_name",
            lambda: prestige.calibrate(pairs, model="bge-small"),
        ),
        (
            "^pairs must be .* not str; .*`prestige calibrate`",
            lambda: prestige.calibrate("pairs.csv"),
        ),
        ("^thresholds must be numbers.*'a'", lambda: prestige.calibrate(pairs, thresholds=["a"])),
    ]
    for expected, call in calls:
        with pytest.raises(TypeError, match=expected):
            call()


def test_a_part_of_the_name_of_an_option(store_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Unknown option: ttl\. Did you mean default_ttl_seconds"):
        prestige.open(store_path, ttl=3)
