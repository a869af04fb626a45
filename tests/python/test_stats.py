"""What a store says it has done."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from http_requests import ask

import prestige
from prestige.testing import ManualClock

COUNTS = {
    "gets",
    "hits",
    "misses",
    "puts",
    "deletes",
    "dedup_hits",
    "semantic_hits",
    "evictions",
    "expirations",
    "pruned",
    "value_cache_hits",
    "value_cache_misses",
    "bytes_read",
    "bytes_written",
    "texts_embedded",
    "embedding_cache_hits",
    "embedding_cache_misses",
    "semantic_cache_exact_hits",
    "semantic_cache_semantic_hits",
    "semantic_cache_misses",
}
BINS = {"put_similarities", "lookup_similarities"}
OPERATIONS = ("get", "put", "get_many", "put_many")
SEMANTIC_OPERATIONS = ("embed", "search", "checkpoint")


def counts(store: prestige.Store, *names: str) -> tuple[int, ...]:
    stats = store.stats()
    return tuple(stats[name] for name in names)  # type: ignore[literal-required]


class TestCounts:
    def test_a_new_store_has_done_nothing(self, store: prestige.Store) -> None:
        stats = store.stats()
        assert set(stats) == set(prestige.StoreStats.__annotations__)
        for name, figure in stats.items():
            if name in BINS:
                assert figure == [0] * 40
                continue
            assert type(figure) is (int if name in COUNTS else float), name
            assert figure == 0, name

    def test_gets(self, store: prestige.Store) -> None:
        store.put("key", b"12345")
        for _ in range(3):
            store.get("key")
            assert store["key"] == b"12345"
            store.get("missing", default=None)
        with pytest.raises(KeyError):
            store["missing"]
        assert store.get_many(["key", "missing", "key"]) == [b"12345", None, b"12345"]
        assert counts(store, "gets", "hits", "misses", "bytes_read") == (13, 8, 5, 40)
        assert counts(store, "value_cache_misses", "value_cache_hits") == (0, 8)
        assert "key" in store
        assert counts(store, "gets") == (13,)

    def test_without_a_value_cache_every_hit_misses_it(self, store_path: Path) -> None:
        with prestige.open(store_path, value_cache_bytes=0) as store:
            store.put("key", "value")
            for _ in range(3):
                store.get("key")
            store.get_many(["key"])
            assert counts(store, "hits", "value_cache_hits", "value_cache_misses") == (4, 0, 4)

    def test_puts(self, store: prestige.Store) -> None:
        store.put("a", "same")
        store["b"] = "same"
        store.put_many({"c": "same", "d": "other", "e": "other"})
        store.put("a", "same")
        with pytest.raises(prestige.InvalidArgumentError):
            store.put("x" * 70_000, "value")
        assert counts(store, "puts", "dedup_hits", "semantic_hits") == (6, 4, 0)
        assert counts(store, "bytes_written") == (4 * 4 + 2 * 5,)

    def test_each_removal_counts_once(self, store_path: Path) -> None:
        clock = ManualClock(1_700_000_000)
        with prestige.open(store_path, clock=clock, reaper_interval_seconds=0) as store:
            for i in range(20):
                store.put(f"{i:02}", f"value {i:02}", ttl_seconds=5 if i < 4 else 0)
            store.delete("19")
            assert store.delete_many(["18", "17", "none"]) == 2
            clock.advance(10)
            store.sweep()
            store.put("new", "new value")
            assert store.evict_lru(store.total_bytes - 1) == 1
            assert store.prune(max_age_seconds=5) == 12
            names = ("deletes", "expirations", "evictions", "pruned")
            assert counts(store, *names) == (3, 4, 1, 12)

    def test_automatic_evictions_count(self, store_path: Path, wait_until) -> None:
        with prestige.open(store_path, max_store_bytes=100_000) as store:
            for i in range(50):
                store.put(f"key{i}", f"{i:04}".encode() * 1000)
            # Eviction may still be going on.
            wait_until(lambda: counts(store, "evictions") == (50 - store.count_keys(),))
            assert counts(store, "evictions") >= (25,)

    def test_a_reopened_store_begins_anew(self, store: prestige.Store) -> None:
        store.put("key", "value")
        store.get("key")
        store.close()
        with prestige.open(store.path) as reopened:
            assert counts(reopened, "puts", "gets") == (0, 0)
            assert reopened.stats()["put_max_s"] == 0.0

    def test_namespaces_count_for_themselves(self, store: prestige.Store) -> None:
        view = store.namespace("other")
        view.put("key", "value")
        view.get("key")
        assert counts(store, "puts", "gets") == (0, 0)
        assert counts(view, "puts", "gets") == (1, 1)
        assert store.namespace("other").stats() == view.stats()
        store.drop_namespace("other")
        with pytest.raises(prestige.InvalidArgumentError):
            view.stats()

    def test_threads_add_up(self, store: prestige.Store) -> None:
        for i in range(10):
            store.put(f"key{i}", f"value {i}")

        def read() -> None:
            for i in range(2000):
                store.get(f"key{i % 20}", default=None)

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counts(store, "gets", "hits", "misses") == (16_000, 8_000, 8_000)

    def test_similar_texts_count(self, semantic_store: prestige.Store) -> None:
        view = semantic_store.namespace("stats")
        view.put("a", "How do I reset my password?")
        view.put("b", "How do I reset my password ?")
        view.put("c", "How do I reset my password?")
        view.put("d", "The weather in Lisbon is mild.")
        assert counts(view, "puts", "dedup_hits") == (4, 1)
        assert view.stats()["semantic_hits"] == 4 - 1 - view.count_unique_values()

    def test_similarities_of_decisions(self, semantic_store: prestige.Store) -> None:
        view = semantic_store.namespace("similarities")
        view.put("a", "How do I reset my password?")
        assert view.stats()["put_similarities"] == [0] * 40
        view.put("b", "How do I reset my password ?")
        view.put("c", "The weather in Lisbon is mild.")
        view.candidates("Where is my parcel?")
        stats = view.stats()
        bins = stats["put_similarities"]
        assert (len(bins), sum(bins), sum(stats["lookup_similarities"])) == (40, 2, 0)
        # One is nearly the same, the other something else.
        assert sum(bins[36:]) == 1
        assert sum(bins[:20]) == 1
        assert stats["texts_embedded"] == 4
        assert 0 < stats["search_p50_s"] <= stats["search_max_s"]
        assert 0 < stats["embed_p50_s"] <= stats["embed_max_s"]

    def test_caches_are_counted_by_the_store(self, store: prestige.Store) -> None:
        def embed(texts: list[str]) -> list[list[float]]:
            return [[len(text), 1.0] for text in texts]

        embeddings = prestige.EmbeddingCache(store, embed=embed, model_id="m")
        embeddings.embed(["a", "b", "a"])
        embeddings.embed(["a"])
        responses = prestige.SemanticCache(store, embed=embed, model_id="m")
        assert responses.get("question") is None
        responses.put("question", "answer")
        assert responses.get("question") is not None
        names = ("embedding_cache_hits", "embedding_cache_misses")
        assert counts(store, *names) == (1, 3)
        names = ("semantic_cache_exact_hits", "semantic_cache_misses")
        assert counts(store, *names) == (1, 1)
        assert counts(store.namespace(store.namespaces()[0]), *names) == (0, 0)

    def test_a_closed_store_says_so(self, store: prestige.Store) -> None:
        store.close()
        with pytest.raises(prestige.ClosedError):
            store.stats()


class TestLatencies:
    def test_each_kind_of_call_is_measured(self, store: prestige.Store) -> None:
        store.put("key", "value")
        for _ in range(1_000):  # a random sixteenth of cached gets is measured
            store.get("key")
        store.get_many(["key"])
        store.put_many({"other": "value"})
        stats = store.stats()
        for operation in OPERATIONS:
            p50, p90, p99, longest = (
                stats[f"{operation}_{what}_s"]  # type: ignore[literal-required]
                for what in ("p50", "p90", "p99", "max")
            )
            assert 0 < p50 <= p90 <= p99 <= longest < 60

    def test_metrics_give_the_same_figures(self, store: prestige.Store) -> None:
        store.put("key", "value")
        for _ in range(5):
            store.get("key")
        with store.serve() as server:
            body = ask(server.url + "/metrics").body
        samples = dict(
            line.rsplit(" ", 1) for line in body.splitlines() if line and not line.startswith("#")
        )
        stats = store.stats()
        for name in COUNTS:
            assert int(samples[f"prestige_{name}_total"]) == stats[name], name  # type: ignore[literal-required]
            assert f"# TYPE prestige_{name}_total counter" in body
        for operation in OPERATIONS + SEMANTIC_OPERATIONS:
            for what in ("p50", "p90", "p99", "max"):
                shown = float(samples[f"prestige_{operation}_{what}_seconds"])
                assert shown == stats[f"{operation}_{what}_s"]  # type: ignore[literal-required]
