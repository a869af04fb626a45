"""The endpoint that `Store.serve` starts, asked over real HTTP."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_requests import TIMEOUT_SECONDS, ask, parse_metrics

import prestige


def requests_total(server: prestige.Server, **labels: str) -> float:
    samples = parse_metrics(ask(f"{server.url}/metrics").body)
    return samples.get(("prestige_http_requests_total", frozenset(labels.items())), 0)


@pytest.fixture
def server(store: prestige.Store) -> Iterator[prestige.Server]:
    for i in range(6):
        store.put(f"key{i}", f"value {i % 2}")
    with store.serve() as running:
        yield running


class TestHealth:
    def test_handle(self, server: prestige.Server) -> None:
        assert isinstance(server, prestige.Server)
        assert (server.host, server.stopped) == ("127.0.0.1", False)
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert 0 < server.port < 65_536
        assert server.url in repr(server)

    @pytest.mark.parametrize("path", ["/livez", "/readyz"])
    def test_probes(self, server: prestige.Server, path: str) -> None:
        answer = ask(server.url + path)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.body.strip() in {"ok", "ready"}
        assert ask(server.url + path, "HEAD").body == ""

    @pytest.mark.parametrize("path", ["/health", "/health/ready"])
    def test_figures_are_those_of_the_store(
        self, store: prestige.Store, server: prestige.Server, path: str
    ) -> None:
        ages = {name for name in store.get_health() if name.endswith("_s")}
        answer = ask(server.url + path)
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        document, expected = json.loads(answer.body), store.get_health()
        assert (document.pop("status"), document.pop("version")) == ("ok", prestige.__version__)
        assert set(document) == set(expected)
        # A second may pass between the two.
        for name in set(expected) - ages:
            assert document[name] == expected[name]
            assert type(document[name]) is type(expected[name])
        store.put("another", "value 3")
        document = json.loads(ask(server.url + path).body)
        assert (document["total_keys"], document["total_objects"]) == (7, 3)

    def test_a_query_is_ignored(self, server: prestige.Server) -> None:
        assert ask(f"{server.url}/health?pretty=1").status == 200


class TestMetrics:
    def test_it_is_prometheus_text(self, store: prestige.Store, server: prestige.Server) -> None:
        answer = ask(f"{server.url}/metrics")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        samples = parse_metrics(answer.body)
        health = store.get_health()
        for name, figure in (
            ("prestige_keys_total", "total_keys"),
            ("prestige_objects_total", "total_objects"),
            ("prestige_store_bytes", "total_bytes"),
            ("prestige_dedup_ratio", "dedup_ratio"),
            ("prestige_index_ok", "index_ok"),
        ):
            assert samples[name, frozenset()] == health[figure]
        assert "# HELP prestige_keys_total " in answer.body

    def test_requests_are_counted(self, server: prestige.Server) -> None:
        labels = {"method": "GET", "path": "/health", "status": "200"}
        before = requests_total(server, **labels)
        for _ in range(3):
            ask(f"{server.url}/health")
        assert requests_total(server, **labels) == before + 3

    def test_durations_are_a_histogram(self, server: prestige.Server) -> None:
        for _ in range(3):
            ask(f"{server.url}/livez")
        samples = parse_metrics(ask(f"{server.url}/metrics").body)
        name = "prestige_http_request_duration_seconds"
        labels = {("method", "GET"), ("path", "/livez")}
        assert samples[f"{name}_count", frozenset(labels)] == 3
        assert samples[f"{name}_sum", frozenset(labels)] > 0
        assert samples[f"{name}_bucket", frozenset(labels | {("le", "+Inf")})] == 3
        bounds = [
            (float(dict(sample)["le"]), count)
            for (found, sample), count in samples.items()
            if found == f"{name}_bucket" and labels <= sample
        ]
        counts = [count for _, count in sorted(bounds)]
        assert len(counts) > 5
        assert counts == sorted(counts)

    def test_paths_of_scanners_share_one_label(self, server: prestige.Server) -> None:
        for i in range(5):
            ask(f"{server.url}/wp-admin/{i}")
        labels = {"method": "GET", "path": "unmatched", "status": "404"}
        assert requests_total(server, **labels) == 5


class TestErrors:
    @pytest.mark.parametrize("path", ["/healthz", "/health/", "/api/v1/nothing", "/%ff"])
    def test_unknown_path(self, server: prestige.Server, path: str) -> None:
        answer = ask(server.url + path)
        assert answer.status == 404
        assert answer.headers["content-type"] == "application/problem+json"
        problem = json.loads(answer.body)
        assert problem["status"] == 404
        assert problem["title"] == "Not Found"
        assert path in problem["detail"]

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    @pytest.mark.parametrize("path", ["/health", "/metrics", "/livez"])
    def test_wrong_method(self, server: prestige.Server, method: str, path: str) -> None:
        answer = ask(server.url + path, method, b"{}")
        assert answer.status == 405
        assert "GET" in answer.headers["allow"]
        assert answer.headers["content-type"] == "application/problem+json"
        assert json.loads(answer.body)["status"] == 405

    @pytest.mark.parametrize(
        "request_bytes", [b"garbage\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\0\xff" * 50]
    )
    def test_what_is_no_http_leaves_the_server_at_work(
        self, server: prestige.Server, request_bytes: bytes
    ) -> None:
        answer = b""
        # The server may hang up before it has read everything.
        with (
            socket.create_connection((server.host, server.port), TIMEOUT_SECONDS) as connection,
            contextlib.suppress(OSError),
        ):
            connection.sendall(request_bytes)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(4096)
        assert b" 200 " not in answer
        assert ask(f"{server.url}/livez").status == 200


class TestServe:
    def test_a_port_of_ones_own(self, store: prestige.Store) -> None:
        with store.serve(host="127.0.0.1", port=0) as first:
            port = first.port
        with store.serve("127.0.0.1", port) as second:
            assert second.port == port
            assert ask(f"{second.url}/readyz").status == 200

    def test_a_port_in_use(self, store: prestige.Store, server: prestige.Server) -> None:
        with pytest.raises(prestige.IOError, match=str(server.port)):
            store.serve(port=server.port)
        assert ask(f"{server.url}/livez").status == 200

    @pytest.mark.parametrize("port", [-1, 65_536, 2**40])
    def test_a_port_out_of_range(self, store: prestige.Store, port: int) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match=f"port.*{port}"):
            store.serve(port=port)

    def test_a_host_that_is_not_ours(self, store: prestige.Store) -> None:
        # 192.0.2.0/24 belongs to nobody (RFC 5737).
        with pytest.raises(prestige.IOError, match=r"192\.0\.2\.1"):
            store.serve(host="192.0.2.1")

    @pytest.mark.parametrize("host", ["", "999.999.999.999", "not a host", "a\0b"])
    def test_a_host_that_is_none(self, store: prestige.Store, host: str) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match="host"):
            store.serve(host=host)

    def test_wrong_types(self, store: prestige.Store) -> None:
        for arguments in ({"host": None}, {"host": 5}, {"port": "80"}, {"port": None}):
            with pytest.raises(TypeError):
                store.serve(**arguments)

    def test_two_servers_of_one_store(self, store: prestige.Store, server: prestige.Server) -> None:
        with store.serve() as second:
            assert second.port != server.port
            ask(f"{second.url}/health")
            # Each counts its own requests.
            assert requests_total(server, method="GET", path="/health", status="200") == 0
        assert second.stopped is True
        assert ask(f"{server.url}/livez").status == 200

    def test_servers_of_two_stores(self, tmp_path: Path, server: prestige.Server) -> None:
        with prestige.open(tmp_path / "other") as other, other.serve() as second:
            assert json.loads(ask(f"{second.url}/health").body)["total_keys"] == 0
            assert json.loads(ask(f"{server.url}/health").body)["total_keys"] == 6

    def test_many_clients_at_once(self, store: prestige.Store, server: prestige.Server) -> None:
        statuses: list[int] = []

        def client() -> None:
            statuses.extend(ask(f"{server.url}/health").status for _ in range(20))

        clients = [threading.Thread(target=client) for _ in range(8)]
        for thread in clients:
            thread.start()
        for i in range(200):
            store.put(f"more{i}", f"{i}")
        for thread in clients:
            thread.join()
        assert statuses == [200] * 160


class TestStopping:
    def refused(self, server: prestige.Server) -> bool:
        try:
            socket.create_connection((server.host, server.port), TIMEOUT_SECONDS).close()
        except ConnectionRefusedError:
            return True
        return False

    def test_stop_twice(self, server: prestige.Server) -> None:
        assert server.stop() is None
        assert server.stopped is True
        assert self.refused(server)
        assert server.stop() is None
        assert "stopped" in repr(server)

    def test_the_store_goes_on_without_its_server(
        self, store: prestige.Store, server: prestige.Server
    ) -> None:
        server.stop()
        store.put("key", "value")
        assert store.get("key") == b"value"
        with store.serve() as another:
            assert ask(f"{another.url}/readyz").status == 200

    def test_closing_the_store_stops_its_servers(self, store_path: Path) -> None:
        store = prestige.open(store_path)
        servers = [store.serve(), store.serve()]
        store.close()
        for server in servers:
            assert server.stopped is True
            assert self.refused(server)
            server.stop()

    def test_closing_while_clients_ask(self, store_path: Path) -> None:
        store = prestige.open(store_path)
        server = store.serve()
        seen: list[object] = []

        def client() -> None:
            try:
                while True:
                    seen.append(ask(f"{server.url}/health").status)
            except (OSError, urllib.error.URLError) as error:
                seen.append(error)

        clients = [threading.Thread(target=client) for _ in range(4)]
        for thread in clients:
            thread.start()
        while len(seen) < 20:
            time.sleep(0.001)
        store.close()
        for thread in clients:
            thread.join(TIMEOUT_SECONDS)
            assert not thread.is_alive()
        assert {status for status in seen if type(status) is int} <= {200, 503}
        assert prestige.open(store_path).verify() == []

    def test_a_dropped_handle_keeps_serving_until_the_store_closes(
        self, store: prestige.Store
    ) -> None:
        url = store.serve().url
        assert ask(f"{url}/livez").status == 200

    def test_a_connection_left_open_does_not_hold_up_stopping(
        self, server: prestige.Server
    ) -> None:
        with socket.create_connection((server.host, server.port), TIMEOUT_SECONDS) as idle:
            idle.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in idle.recv(4096)
            server.stop()
            assert server.stopped is True
