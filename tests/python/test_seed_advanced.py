"""The reference document from "Advanced Usage" on: one class a heading."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import prestige


class TestSemanticDeduplication:
    FOX = ("The quick brown fox", "A fast brown fox")

    def put_and_get(self, path: Path, options: prestige.Options) -> None:
        with prestige.open(path, options) as store:
            assert store.dedup_mode == prestige.DedupMode.SEMANTIC
            store.put("key1", self.FOX[0])
            store.put("key2", self.FOX[1])
            assert store.count_keys() == 2
            # They may share a value; then both keys read the wording that came first.
            expected = self.FOX if store.count_unique_values() == 2 else (self.FOX[0],) * 2
            assert (store.get("key1", decode=True), store.get("key2", decode=True)) == expected
            assert store.verify() == []

    def test_model_that_is_made_and_not_attached(self, store_path: Path) -> None:
        options = prestige.Options()
        options.dedup_mode = prestige.DedupMode.SEMANTIC
        model = prestige.SemanticModel()
        model.model_path = "/path/to/model.onnx"
        self.put_and_get(store_path, options)

    def test_model_that_is_attached(self, store_path: Path) -> None:
        options = prestige.Options()
        options.dedup_mode = prestige.DedupMode.SEMANTIC
        options.semantic_model = prestige.SemanticModel()
        self.put_and_get(store_path, options)

    def test_attached_model_that_does_not_exist_is_named(self, store_path: Path) -> None:
        options = prestige.Options()
        options.dedup_mode = prestige.DedupMode.SEMANTIC
        options.semantic_model = prestige.SemanticModel()
        options.semantic_model.model_path = "/path/to/model.onnx"
        with pytest.raises(prestige.ModelError, match=r"/path/to/model\.onnx"):
            prestige.open(store_path, options)


class TestCacheManagement:
    def test_prune_and_sweep_count_what_they_remove(self, store_path: Path, wait_until) -> None:
        options = prestige.Options()
        options.default_ttl_seconds = 3600
        options.max_store_bytes = 1024**3
        with prestige.open(store_path, options) as store:
            store.put("session:123", "user_data", ttl_seconds=7200)
            store.put("session:456", "other_data", ttl_seconds=1)
            wait_until(lambda: "session:456" not in store)
            assert store.prune(max_age_seconds=24 * 3600) == 1
            assert store.sweep() == 0
            assert store.list_keys() == ["session:123"]

    def test_sweep_also_removes_expired_entries_with_their_values(
        self, store: prestige.Store, wait_until
    ) -> None:
        store.put("session:123", "user_data", ttl_seconds=1)
        wait_until(lambda: "session:123" not in store)
        assert store.sweep() == 1
        assert (store.count_keys(), store.count_unique_values()) == (0, 0)


class TestBatchOperations:
    def test_a_thousand_puts_a_flush_and_a_thousand_gets(self, store: prestige.Store) -> None:
        data = {f"key_{i}": f"value_{i}" for i in range(1000)}
        for key, value in data.items():
            store.put(key, value)
        store.flush()
        assert [store.get(key, decode=True) for key in data] == list(data.values())
        assert sorted(store) == sorted(data)


class TestErrorHandling:
    @pytest.mark.parametrize(
        ("path", "handler"),
        [("mydb", "NotFoundError"), ("file", "IOError"), ("damaged", "CorruptionError")],
    )
    def test_each_error_reaches_its_handler(self, tmp_path: Path, path: str, handler: str) -> None:
        (tmp_path / "file").write_text("not a directory")
        (tmp_path / "damaged").mkdir()
        (tmp_path / "damaged" / "CURRENT").write_text("garbage")
        reached, message = "", ""
        try:
            with prestige.open(tmp_path / path) as store:
                store.get("missing")
        except prestige.NotFoundError as error:
            reached, message = "NotFoundError", str(error)
        except prestige.IOError as error:
            reached, message = "IOError", str(error)
        except prestige.CorruptionError as error:
            reached, message = "CorruptionError", str(error)
        except prestige.PrestigeError as error:
            reached, message = "PrestigeError", str(error)
        assert message
        assert reached == handler


class TestPersistence:
    def test_data_persists_across_sessions(self, store_path: Path) -> None:
        with prestige.open(store_path) as store:
            store.put("user:123", "John Doe")
            store.put("user:456", "Jane Smith")
        with prestige.open(store_path) as store:
            assert store.get("user:123", decode=True) == "John Doe"
            assert store.list_keys() == ["user:123", "user:456"]
            assert store.verify() == []

    def test_data_persists_across_processes(self, store_path: Path, run_script) -> None:
        script = """
            import sys, prestige
            with prestige.open(sys.argv[1]) as store:
                print(store.get("user:123", default="nobody", decode=True))
                store.put("user:789", "Max Mustermann")
        """
        with prestige.open(store_path) as store:
            store.put("user:123", "John Doe")
        done = run_script(script, store_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "John Doe\n", "")
        with prestige.open(store_path) as store:
            assert store.get("user:789", decode=True) == "Max Mustermann"


class TestAsAnEmbeddingCache:
    def test_a_vector_is_computed_once(self, store_path: Path) -> None:
        np = pytest.importorskip("numpy")
        computed = []

        def embed(text: str) -> object:
            computed.append(text)
            return np.linspace(0, 1, 384, dtype=np.float32)

        with prestige.open(store_path, default_ttl_seconds=7 * 24 * 3600) as store:
            for _ in range(3):
                try:
                    vector = np.frombuffer(store.get("emb:hello world"), np.float32)
                except prestige.NotFoundError:
                    vector = embed("hello world")
                    store.put("emb:hello world", vector)
                assert np.array_equal(vector, np.linspace(0, 1, 384, dtype=np.float32))
        assert computed == ["hello world"]


class TestSessionStore:
    def test_sessions_expire_and_are_cleaned_up(self, store_path: Path, wait_until) -> None:
        with prestige.open(store_path, default_ttl_seconds=1) as store:
            store.put("session:abc123", json.dumps({"user_id": 42, "role": "admin"}))
            data = json.loads(store.get("session:abc123", decode=True))
            assert data == {"user_id": 42, "role": "admin"}
            wait_until(lambda: "session:abc123" not in store)
            with pytest.raises(prestige.NotFoundError):
                store.delete("session:abc123")
            assert store.prune() == 1


class TestRuntimeErrors:
    def test_missing_keys_without_exceptions(self, store: prestige.Store) -> None:
        assert store.get("missing", default=None) is None
        assert "missing" not in store

    def test_sweep_frees_unreferenced_values(self, store_path: Path) -> None:
        with prestige.open(store_path, enable_gc=False) as store:
            store.put("key", b"x" * 10_000)
            store.delete("key")
            assert store.total_bytes >= 10_000
            assert store.sweep() == 1
            assert store.total_bytes == 0

    def test_a_small_block_cache_works(self, store_path: Path) -> None:
        with prestige.open(store_path, block_cache_bytes=64 * 1024) as store:
            for i in range(50):
                store.put(f"key{i}", f"{i}".encode() * 5000)
            store.flush()
            assert all(store.get(f"key{i}") == f"{i}".encode() * 5000 for i in range(50))
