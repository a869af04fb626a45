"""`/metrics` as Prometheus reads it, and what the monitoring page is given."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from http_requests import ask
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

import prestige

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTED = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


def families(server: prestige.Server) -> dict[str, Metric]:
    """What Prometheus' own parser makes of it, by name."""
    answer = ask(f"{server.url}/metrics")
    assert answer.status == 200
    found = list(text_string_to_metric_families(answer.body))
    names = [family.name for family in found]
    assert len(set(names)) == len(names)
    return {family.name: family for family in found}


def value(family: Metric, **labels: str) -> float:
    (only,) = [sample.value for sample in family.samples if sample.labels == labels]
    return only


def buckets(family: Metric, **labels: str) -> list[tuple[float, float]]:
    """Bounds and counts of a histogram, which must be cumulative and end with all."""
    found = []
    for sample in family.samples:
        others = {name: text for name, text in sample.labels.items() if name != "le"}
        if sample.name == f"{family.name}_bucket" and others == labels:
            found.append((float(sample.labels["le"]), sample.value))
    assert found == sorted(found)
    counts = [count for _, count in found]
    assert counts == sorted(counts)
    assert found[-1][0] == float("inf")
    samples = {sample.name: sample.value for sample in family.samples if sample.labels == labels}
    assert samples[f"{family.name}_count"] == counts[-1]
    assert samples[f"{family.name}_sum"] >= 0
    return found


@pytest.fixture
def server(store: prestige.Store) -> Iterator[prestige.Server]:
    with store.serve() as running:
        yield running


class TestExposition:
    def test_every_family_says_what_it_is_and_is_documented(
        self, store: prestige.Store, server: prestige.Server
    ) -> None:
        store.put("key", "value")
        found = families(server)
        documented = set(re.findall(r"^\| `(\w+)", DOCUMENTED, re.MULTILINE))
        for name, family in found.items():
            assert family.documentation, name
            assert family.type in {"counter", "gauge", "histogram"}, name
            full = f"{name}_total" if family.type == "counter" else name
            assert full in documented
        assert len(found) > 60

    def test_figures_are_those_of_the_store(
        self, store: prestige.Store, server: prestige.Server
    ) -> None:
        for i in range(6):
            store.put(f"key{i}", f"value {i % 2}")
        for i in range(8):
            store.get(f"key{i}", default=None)
        found = families(server)
        health, stats = store.get_health(), store.stats()
        assert value(found["prestige_keys_total"]) == health["total_keys"] == 6
        assert value(found["prestige_objects_total"]) == 2
        assert value(found["prestige_store_bytes"]) == health["total_bytes"]
        assert value(found["prestige_hits"]) == stats["hits"] == 6
        assert value(found["prestige_misses"]) == stats["misses"] == 2
        assert value(found["prestige_put_p99_seconds"]) == stats["put_p99_s"]
        ratios = found["prestige_hit_ratio"]
        assert value(ratios, kind="get") == 6 / 8
        assert value(ratios, kind="put_exact") == 4 / 6
        assert value(ratios, kind="put_semantic") == 0
        assert {sample.labels["kind"] for sample in ratios.samples} == {
            "get",
            "put_exact",
            "put_semantic",
        }

    def test_durations_are_histograms(self, store: prestige.Store, server: prestige.Server) -> None:
        for i in range(5):
            store.put(f"key{i}", f"value {i}")
        store.put_many({"a": "b"})
        durations = families(server)["prestige_operation_duration_seconds"]
        puts = buckets(durations, operation="put")
        assert puts[-1][1] == 5
        assert [bound for bound, _ in puts][:4] == [1e-6, 2.5e-6, 5e-6, 1e-5]
        assert buckets(durations, operation="put_many")[-1][1] == 1
        for operation in ("get", "get_many", "embed", "search", "checkpoint"):
            assert buckets(durations, operation=operation)[-1][1] == 0

    def test_namespaces_add_up_and_are_shown_by_name(
        self, store: prestige.Store, server: prestige.Server
    ) -> None:
        store.put("a", "1")
        odd = 'a "quoted\\ name"\nof two lines'
        store.namespace(odd).put("b", "22")
        store.namespace(odd).get("b")
        found = families(server)
        assert value(found["prestige_keys_total"]) == 2
        assert value(found["prestige_puts"]) == 2
        assert value(found["prestige_namespaces"]) == 2
        assert value(found["prestige_namespace_keys"], namespace="") == 1
        assert value(found["prestige_namespace_bytes"], namespace=odd) == 3
        assert value(found["prestige_namespace_hits"], namespace=odd) == 1

    def test_the_number_of_namespaces_is_bounded(
        self, store: prestige.Store, server: prestige.Server
    ) -> None:
        for i in range(130):
            store.namespace(f"n{i}").put("key", "x" * (i + 1))
        found = families(server)
        shown = {sample.labels["namespace"] for sample in found["prestige_namespace_keys"].samples}
        assert shown == {f"n{i}" for i in range(30, 130)}
        assert value(found["prestige_namespaces"]) == 131
        assert value(found["prestige_keys_total"]) == 130

    def test_a_view_shows_itself_alone(self, store: prestige.Store) -> None:
        store.put("a", "1")
        view = store.namespace("n")
        view.put("b", "2")
        with view.serve() as server:
            found = families(server)
        assert value(found["prestige_keys_total"]) == 1
        assert value(found["prestige_namespace_keys"], namespace="n") == 1

    def test_requests_and_those_in_flight(self, server: prestige.Server) -> None:
        for _ in range(3):
            ask(f"{server.url}/livez")
        found = families(server)
        labels = {"method": "GET", "path": "/livez"}
        assert value(found["prestige_http_requests"], status="200", **labels) == 3
        durations = found["prestige_http_request_duration_seconds"]
        assert buckets(durations, **labels)[-1][1] == 3
        # The one that asks.
        assert value(found["prestige_http_requests_in_flight"]) == 1
        assert value(found["prestige_build_info"], version=prestige.__version__) == 1

    def test_the_semantic_stage_and_the_models(self, semantic_store: prestige.Store) -> None:
        view = semantic_store.namespace("metrics")
        view.put("a", "How do I reset my password?")
        view.put("b", "How do I reset my password ?")
        with semantic_store.serve() as server:
            body = json.dumps({"model": "minilm", "input": ["one", "two", "one"]}).encode()
            headers = {"content-type": "application/json"}
            assert ask(f"{server.url}/v1/embeddings", "POST", body, headers).status == 200
            found = families(server)
        durations = found["prestige_operation_duration_seconds"]
        assert buckets(durations, operation="embed")[-1][1] >= 2
        assert buckets(durations, operation="search")[-1][1] >= 2
        decisions = found["prestige_similarity_decisions"]
        assert value(decisions, decision="put", le="1") >= 1
        assert value(decisions, decision="lookup", le="1") == 0
        sizes = found["prestige_embed_batch_size"]
        assert buckets(sizes, of="store", model="")[-1][1] >= 2
        assert buckets(sizes, of="embeddings", model="minilm")[-1][1] >= 1
        texts = found["prestige_embeddings_texts"]
        assert value(texts, result="miss") == 3
        assert value(found["prestige_embedding_cache_misses"]) == 3
        assert value(found["prestige_embed_waiting_texts"], of="store", model="") == 0

    def test_it_may_be_asked_while_much_happens(
        self, store: prestige.Store, server: prestige.Server
    ) -> None:
        stop = threading.Event()

        def work() -> None:
            number = 0
            while not stop.is_set():
                store.namespace(f"n{number % 5}").put(f"{number}", f"{number}")
                if number % 50 == 49:
                    store.drop_namespace(f"n{number % 5}")
                number += 1

        worker = threading.Thread(target=work)
        worker.start()
        try:
            for _ in range(30):
                families(server)
                assert monitor(server)["health"]["total_keys"] >= 0
        finally:
            stop.set()
            worker.join()


def monitor(server: prestige.Server, query: str = "", **headers: str) -> Any:
    answer = ask(f"{server.url}/api/v1/monitor{query}", headers=headers)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


class TestMonitor:
    def test_everything_in_one_answer(self, store: prestige.Store, server: prestige.Server) -> None:
        store.put("a", "same")
        store.namespace("n").put("b", "same")
        store.get("a")
        found = monitor(server)
        assert found["version"] == prestige.__version__
        assert (found["read_only"], found["dedup_mode"], found["threshold"]) == (
            False,
            "exact",
            None,
        )
        assert found["uptime_seconds"] >= 0
        assert set(found["health"]) == set(store.get_health())
        assert set(found["stats"]) == set(store.stats())
        assert (found["health"]["total_keys"], found["stats"]["puts"]) == (2, 2)
        assert found["namespaces"] == [
            {"name": "", "keys": 1, "unique_values": 1, "bytes": 5},
            {"name": "n", "keys": 1, "unique_values": 1, "bytes": 5},
        ]
        assert (found["role"], found["restricted"]) == ("admin", False)
        similarities = found["similarities"]
        assert (similarities["bins"], similarities["decisions"]) == ([0] * 40, 0)
        assert set(similarities) == {"bins", "decisions", "puts", "lookups"}

    def test_one_namespace(self, store: prestige.Store, server: prestige.Server) -> None:
        store.put("a", "1")
        store.namespace("n").put("b", "22")
        found = monitor(server, "?namespace=n")
        assert found["health"]["total_bytes"] == 3
        assert [one["name"] for one in found["namespaces"]] == ["n"]
        assert monitor(server, "?namespace=")["health"]["total_bytes"] == 2
        assert monitor(server, "?namespace=missing")["health"]["total_keys"] == 0
        assert store.namespaces() == ["n"]

    def test_history(
        self,
        store: prestige.Store,
        server: prestige.Server,
        wait_until: Callable[[Callable[[], object]], None],
    ) -> None:
        wait_until(lambda: monitor(server)["history"])
        store.put("a", "1")
        store.get("a")
        seen = len(monitor(server)["history"])
        wait_until(lambda: len(monitor(server)["history"]) > seen)
        history = monitor(server)["history"]
        last = history[-1]
        assert set(last) == {
            *("at", "gets", "hits", "misses", "puts", "keys", "bytes", "http_requests"),
            *("get_p50_us", "get_p99_us", "put_p50_us", "put_p99_us"),
        }
        assert (last["gets"], last["hits"], last["puts"], last["keys"], last["bytes"]) == (
            *(1, 1, 1, 1),
            2,
        )
        assert last["http_requests"] > 0
        assert [one["at"] for one in history] == sorted(one["at"] for one in history)
        newer = monitor(server, f"?since={history[0]['at']!r}")["history"]
        assert [one["at"] for one in newer][: len(history) - 1] == [
            one["at"] for one in history[1:]
        ]

    def test_similarities(self, semantic_store: prestige.Store) -> None:
        view = semantic_store.namespace("monitor")
        view.put("a", "How do I reset my password?")
        view.put("b", "The weather in Lisbon is mild.")
        with semantic_store.serve() as server:
            found = monitor(server, "?namespace=monitor")
        assert (found["dedup_mode"], found["threshold"]) == (
            "semantic",
            prestige.Options().semantic_threshold,
        )
        similarities = found["similarities"]
        assert (sum(similarities["bins"]), similarities["decisions"]) == (1, 1)
        assert similarities["puts"] == {"bins": similarities["bins"], "decisions": 1}
        assert similarities["lookups"] == {"bins": [0] * 40, "decisions": 0}

    def test_a_token_sees_its_namespaces_alone(self, store: prestige.Store, tmp_path: Path) -> None:
        store.put("a", "1")
        store.namespace("mine").put("b", "22")
        store.namespace("theirs").put("c", "333")
        tokens = tmp_path / "tokens"
        tokens.write_text("read some mine*\nread all\n", encoding="utf-8")
        with store.serve(token_file=tokens) as server:
            found = monitor(server, authorization="Bearer some")
            assert [one["name"] for one in found["namespaces"]] == ["mine"]
            assert (found["health"]["total_keys"], found["stats"]["puts"]) == (1, 1)
            assert found["history"] == []
            assert (found["role"], found["restricted"]) == ("read", True)
            headers = {"authorization": "Bearer some"}
            for path in ("/api/v1/monitor?namespace=theirs", "/metrics"):
                assert ask(server.url + path, headers=headers).status == 403
            everything = monitor(server, authorization="Bearer all")
            assert everything["health"]["total_keys"] == 3

    @pytest.mark.parametrize("query", ["?since=soon", "?since=1,5"])
    def test_bad_input(self, server: prestige.Server, query: str) -> None:
        assert ask(f"{server.url}/api/v1/monitor{query}").status == 400
