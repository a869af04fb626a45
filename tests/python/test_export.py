"""Exports and imports: what comes back, and how bad files are refused."""

from __future__ import annotations

import base64
import builtins
import datetime
import json
import os
import random
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import prestige

FORMATS = ["jsonl", "parquet"]


def export(store: prestige.Store, path: Path, **options: object) -> int:
    return getattr(store, f"export_{path.suffix[1:]}")(path, **options)


def load(store: prestige.Store, path: Path) -> int:
    return getattr(store, f"import_{path.suffix[1:]}")(path)


def records(store: prestige.Store, folder: Path) -> list[dict[str, object]]:
    """Everything in a store, with its times."""
    store.export_jsonl(folder / "records.jsonl")
    lines = (folder / "records.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    return [json.loads(line) for line in lines]


def random_bytes(chance: random.Random, most: int) -> bytes:
    length = chance.randrange(most)
    if chance.random() < 0.5:
        text = "".join(
            chr(chance.choice([0, 9, 10, 34, 92, 127, 0xE9, 0x2028, 0x1F600]))
            for _ in range(length)
        )
        return text.encode()[:most]
    return chance.randbytes(length)


@pytest.fixture
def other(tmp_path: Path):
    with prestige.open(tmp_path / "other") as opened:
        yield opened
        assert opened.verify() == []


@pytest.mark.parametrize("ending", FORMATS)
class TestBothFormats:
    def test_arbitrary_bytes_and_times_come_back(
        self, store: prestige.Store, other: prestige.Store, tmp_path: Path, ending: str
    ) -> None:
        chance = random.Random(7)
        for _ in range(3000):
            ttl = chance.choice([None, 0, 1000, 2**40])
            store.put(random_bytes(chance, 12), random_bytes(chance, 300), ttl_seconds=ttl)
        path = tmp_path / f"keys.{ending}"
        count = store.count_keys(approximate=False)
        assert export(store, path) == count
        assert load(other, path) == count
        assert records(other, tmp_path) == records(store, tmp_path)
        # Again: nothing doubles.
        assert load(other, path) == count
        assert records(other, tmp_path) == records(store, tmp_path)

    def test_prefix_and_empty_stores(
        self, store: prestige.Store, other: prestige.Store, tmp_path: Path, ending: str
    ) -> None:
        path = tmp_path / f"keys.{ending}"
        assert export(store, path) == 0
        assert load(other, path) == 0
        for key in (b"a", b"b", b"b/1", b"b\xff", b"c"):
            store[key] = b"value of " + key
        assert export(store, path, prefix="b") == 3
        assert export(store, path, prefix=b"b\xff") == 1
        assert export(store, path, prefix="b") == 3
        assert load(other, path) == 3
        assert set(other) == {"b", "b/1", "b\udcff"}

    def test_expired_keys_are_neither_written_nor_read(
        self, store: prestige.Store, other: prestige.Store, tmp_path: Path, ending: str
    ) -> None:
        store["stays"] = b"value"
        store.put("goes", b"value", ttl_seconds=1)
        store.put("stays a while", b"value", ttl_seconds=1000)
        path, later = tmp_path / f"keys.{ending}", tmp_path / f"later.{ending}"
        written = export(store, path)
        assert written in (2, 3)
        time.sleep(1.1)
        assert export(store, later) == 2
        assert load(other, path) == 2
        assert list(other) == ["stays", "stays a while"]

    def test_values_above_the_batch_size(
        self, store: prestige.Store, other: prestige.Store, tmp_path: Path, ending: str
    ) -> None:
        for i in range(5):
            store.put(f"key{i}", os.urandom(9_000_000))
        path = tmp_path / f"keys.{ending}"
        assert export(store, path) == load(other, path) == 5
        assert all(other[key] == store[key] for key in store)

    def test_a_file_is_replaced_only_by_a_complete_one(
        self, store: prestige.Store, store_path: Path, tmp_path: Path, ending: str, run_script
    ) -> None:
        path = tmp_path / f"keys.{ending}"
        path.write_text("old")
        for i in range(2000):
            store.put(f"key{i}", os.urandom(1000))
        store.flush()
        script = f"""
            import resource, sys
            import prestige
            store = prestige.open(sys.argv[1], read_only=True)
            resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
            try:
                store.export_{ending}(sys.argv[2])
            except prestige.IOError as error:
                print(error)
        """
        done = run_script(script, store_path, path)
        assert "File too large" in done.stdout, done
        assert path.read_text() == "old"
        assert sorted(os.listdir(tmp_path)) == [path.name, "store"]
        assert export(store, path) == 2000
        assert sorted(os.listdir(tmp_path)) == [path.name, "store"]

    def test_bad_places_are_refused(
        self, store: prestige.Store, store_path: Path, tmp_path: Path, ending: str
    ) -> None:
        for place in (f"d.{ending}", f"store/k.{ending}"):
            (tmp_path / f"d.{ending}").mkdir(exist_ok=True)
            with pytest.raises(prestige.InvalidArgumentError):
                export(store, tmp_path / place)
        with pytest.raises(prestige.IOError):
            export(store, tmp_path / "no" / f"such.{ending}")
        with pytest.raises(prestige.IOError):
            load(store, tmp_path / f"none.{ending}")
        with pytest.raises(prestige.IOError):
            load(store, tmp_path / f"d.{ending}")
        with pytest.raises(TypeError):
            getattr(store, f"export_{ending}")(tmp_path / f"k.{ending}", prefix=1)
        assert sorted(os.listdir(tmp_path)) == [f"d.{ending}", "store"]

    def test_import_deduplicates_and_normalises_as_the_store_does(
        self, store: prestige.Store, tmp_path: Path, ending: str
    ) -> None:
        store["a"], store["b"] = "Same  value", "same value"
        path = tmp_path / f"keys.{ending}"
        export(store, path)
        mode = prestige.NormalizationMode.FULL
        with prestige.open(tmp_path / "full", normalization_mode=mode) as full:
            assert load(full, path) == 2
            assert full.count_unique_values() == 1
            assert full["a"] == b"same value"

    def test_an_import_does_not_take_the_default_ttl(
        self, store: prestige.Store, tmp_path: Path, ending: str
    ) -> None:
        store["key"] = b"value"
        path = tmp_path / f"keys.{ending}"
        export(store, path)
        with prestige.open(tmp_path / "ttl", default_ttl_seconds=5) as other:
            load(other, path)
            assert "expires_us" not in records(other, tmp_path)[0]


class TestJsonLines:
    def test_the_documented_fields(self, store: prestige.Store, tmp_path: Path) -> None:
        before = time.time_ns() // 1000
        store["greeting"] = "hello\n"
        store.put(b"\xff", b"\x00\xff", ttl_seconds=60)
        after = time.time_ns() // 1000
        text, binary = records(store, tmp_path)
        assert list(text) == ["key", "value", "created_us"]
        assert (text["key"], text["value"]) == ("greeting", "hello\n")
        assert list(binary) == ["key_b64", "value_b64", "created_us", "expires_us"]
        assert base64.b64decode(binary["key_b64"]) == b"\xff"
        assert base64.b64decode(binary["value_b64"]) == b"\x00\xff"
        assert before <= text["created_us"] <= binary["created_us"] <= after
        assert before <= binary["expires_us"] - 60_000_000 <= after

    def test_a_file_made_by_hand(self, store: prestige.Store, tmp_path: Path) -> None:
        path = tmp_path / "hand.jsonl"
        path.write_text('{"value": "v", "key": "k"}\n\n  {"key_b64": "aw==", "value": ""}')
        assert store.import_jsonl(path) == 2
        assert store["k"] == b""

    def test_a_bad_line_is_named_and_the_lines_before_it_stay(
        self, store: prestige.Store, tmp_path: Path
    ) -> None:
        path = tmp_path / "bad.jsonl"
        good = "".join(json.dumps({"key": f"{i}", "value": "v"}) + "\n" for i in range(1000))
        for bad in (b"oops", b'{"key": "k"}', b'{"key": "k", "value": "v", "ttl": 1}', b"\xff"):
            path.write_bytes(good.encode() + bad + b"\n" + good.encode())
            with pytest.raises(prestige.InvalidArgumentError, match=r"bad\.jsonl, line 1001: "):
                store.import_jsonl(path)
            assert len(store) == 1000


class TestParquet:
    def test_the_documented_columns(self, store: prestige.Store, tmp_path: Path) -> None:
        store["greeting"] = "hello"
        store.put(b"\xff", b"\x00", ttl_seconds=60)
        store.export_parquet(tmp_path / "keys.parquet")
        table = pq.read_table(tmp_path / "keys.parquet")
        times = pa.timestamp("us", tz="UTC")
        assert table.schema.names == ["key", "value", "created", "expires", "metadata"]
        texts = pa.map_(pa.string(), pa.string())
        assert table.schema.types == [pa.binary(), pa.binary(), times, times, texts]
        assert table["key"].to_pylist() == [b"greeting", b"\xff"]
        assert table["value"].to_pylist() == [b"hello", b"\x00"]
        never, expires = table["expires"].to_pylist()
        assert never is None
        lifetime = expires - table["created"].to_pylist()[1]
        assert abs(lifetime - datetime.timedelta(seconds=60)) < datetime.timedelta(seconds=5)

    def test_text_columns_other_units_and_missing_times(
        self, store: prestige.Store, tmp_path: Path
    ) -> None:
        path = tmp_path / "foreign.parquet"
        expires = pa.array([4_000_000_000, None], pa.timestamp("s", tz="Europe/Paris"))
        columns = {"key": ["a", "é"], "value": pa.array([b"1", b"2"], pa.large_binary())}
        pq.write_table(pa.table({**columns, "note": [1, 2], "expires": expires}), path)
        assert store.import_parquet(path) == 2
        first, second = records(store, tmp_path)
        assert (first["expires_us"], "expires_us" in second) == (4_000_000_000_000_000, False)
        naive = pa.array([4_000_000_000_000, 1], pa.timestamp("ms"))
        pq.write_table(pa.table({**columns, "created": naive}), path)
        assert store.import_parquet(path) == 2
        first, second = records(store, tmp_path)
        assert (first["created_us"], second["created_us"]) == (4_000_000_000_000_000, 1000)

    def test_bad_files_and_rows_are_named(self, store: prestige.Store, tmp_path: Path) -> None:
        path = tmp_path / "bad.parquet"
        early = pa.array([-1], pa.timestamp("us"))
        for columns in (
            {"key": ["k"]},
            {"value": ["v"]},
            {"key": [1], "value": ["v"]},
            {"key": ["k"], "value": ["v"], "expires": [5]},
            {"key": pa.array([None], pa.binary()), "value": ["v"]},
            {"key": ["k"], "value": pa.array([None], pa.string())},
            {"key": ["k"], "value": ["v"], "created": early},
            {"key": ["k" * 65_537], "value": ["v"]},
        ):
            pq.write_table(pa.table(columns), path)
            with pytest.raises(prestige.InvalidArgumentError, match=r"bad\.parquet"):
                store.import_parquet(path)
            path.write_bytes(path.read_bytes()[:-20])
            with pytest.raises(prestige.InvalidArgumentError, match=r"bad\.parquet"):
                store.import_parquet(path)
        path.write_bytes(b"")
        with pytest.raises(prestige.InvalidArgumentError, match=r"bad\.parquet"):
            store.import_parquet(path)
        assert len(store) == 0
        rows = [f"k{i}" for i in range(3000)]
        pq.write_table(pa.table({"key": rows, "value": [*rows[:-1], None]}), path)
        with pytest.raises(prestige.InvalidArgumentError, match="rows 2049 to 3000: row 952"):
            store.import_parquet(path)
        assert len(store) == 2048

    def test_without_pyarrow_the_error_names_the_extra(
        self, store: prestige.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import_module = builtins.__import__

        def refuse(name: str, *rest: object) -> object:
            if name.startswith("pyarrow"):
                raise ImportError(name)
            return import_module(name, *rest)

        monkeypatch.setattr(builtins, "__import__", refuse)
        for call in (store.export_parquet, store.import_parquet):
            with pytest.raises(ImportError, match=r"prestige-cache\[parquet\]"):
                call(tmp_path / "keys.parquet")


class TestMetadata:
    @pytest.mark.parametrize("ending", FORMATS)
    def test_goes_with_its_values(
        self, store: prestige.Store, other: prestige.Store, tmp_path: Path, ending: str
    ):
        store.put("a", "shared", metadata={"task": "é\0", "empty": ""})
        store.put("b", "shared")
        store.put("c", b"\xff alone")
        path = tmp_path / f"keys.{ending}"
        assert export(store, path) == 3
        other.put("z", "shared", metadata={"task": "old", "own": "kept"})
        assert load(other, path) == 3
        merged = {"task": "é\0", "empty": "", "own": "kept"}
        assert other.get_metadata("b") == other.get_metadata("z") == merged
        assert other.get_metadata("c") == {}

    def test_bad_metadata_is_refused(self, store: prestige.Store, tmp_path: Path):
        path = tmp_path / "keys.parquet"
        maps = pa.map_(pa.string(), pa.string())
        columns = {"key": ["k"], "value": ["v"]}
        for metadata in (
            pa.array([[("", "x")]], maps),
            pa.array([[("k", None)]], maps),
            pa.array(["text"]),
            pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        ):
            pq.write_table(pa.table({**columns, "metadata": metadata}), path)
            with pytest.raises(prestige.InvalidArgumentError, match=r"keys\.parquet"):
                store.import_parquet(path)
        assert len(store) == 0
        pq.write_table(pa.table({**columns, "metadata": pa.array([None], maps)}), path)
        assert store.import_parquet(path) == 1
