"""`prestige serve`: settings, readiness, and its end by signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import COMMAND, TIMEOUT_SECONDS, run_process
from servers import OPENER, serving

import prestige

tomllib = pytest.importorskip("tomllib")  # From Python 3.11 on.
KV = "/api/v1/kv/"


def serve(*arguments: object, **environment: str) -> tuple[int, str, str]:
    """Runs `prestige serve` where it ends by itself."""
    done = run_process("serve", *arguments, **environment)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class TestLife:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_in_order(self, tmp_path: Path, number: signal.Signals) -> None:
        path = tmp_path / "store"
        with serving(path) as server:
            assert server.said["path"] == str(path)
            assert server.said["pid"] == server.process.pid
            assert server.url.startswith("http://127.0.0.1:")
            assert server.ask(KV + "k", "PUT", b"value")[0] == 201
            assert server.ask(KV + "k") == (200, b"value")
            code, errors = server.end(number)
            assert (code, b"Traceback" in errors) == (0, False), errors
        with prestige.open(path) as store:
            assert store["k"] == b"value"
            assert store.verify() == []

    def test_its_line_for_people(self, tmp_path: Path) -> None:
        words = [*COMMAND, "serve", str(tmp_path / "store"), "--port", "0"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            process.terminate()
            rest, _ = process.communicate(timeout=TIMEOUT_SECONDS)
        assert line.startswith(f"Serving {tmp_path / 'store'} at http://127.0.0.1:")
        assert (process.returncode, rest) == (0, b"")

    @pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGINT), (signal.SIGKILL,)])
    def test_a_second_signal_ends_it_at_once_and_loses_nothing(
        self, tmp_path: Path, numbers: tuple[signal.Signals, ...]
    ) -> None:
        """A request that does not end keeps the first signal's way from its end."""
        path = tmp_path / "store"
        acknowledged: list[int] = []
        ended = threading.Event()
        with serving(
            path, "--grace-seconds", "3600", "--request-timeout-seconds", "3600"
        ) as server:
            host, port = server.url.removeprefix("http://").split(":")
            stuck = socket.create_connection((host, int(port)))
            head = f"PUT {KV}stuck HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 9\r\n\r\n"
            stuck.sendall(head.encode() + b"part")

            def write() -> None:
                number = 0
                while not ended.is_set():
                    number += 1
                    try:
                        status, _ = server.ask(f"{KV}k{number:06}", "PUT", b"v" * 500)
                    except OSError:
                        return
                    if status == 503:
                        continue
                    assert status == 201
                    acknowledged.append(number)

            writer = threading.Thread(target=write)
            writer.start()
            while len(acknowledged) < 50:
                assert writer.is_alive(), "a write was refused"
                time.sleep(0.01)
            for number in numbers[:-1]:
                server.process.send_signal(number)
                # Draining: the server refuses connections, and waits for the stuck request.
                writer.join(TIMEOUT_SECONDS)
                assert server.process.poll() is None
            code, _ = server.end(numbers[-1])
            ended.set()
            writer.join()
            stuck.close()
        assert code == (-9 if numbers[-1] == signal.SIGKILL else 128 + numbers[-1])
        with prestige.open(path) as store:
            keys = set(store.keys())
            assert {f"k{number:06}" for number in acknowledged} <= keys
            assert "stuck" not in keys
            assert store.verify() == []

    def test_ctrl_c_of_a_job_in_the_background_is_not_for_it(
        self, tmp_path: Path, wait_until: Callable[[Callable[[], object]], None]
    ) -> None:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with serving(tmp_path / "store") as server:
                server.process.send_signal(signal.SIGINT)
                assert server.ask("/livez")[0] == 200
                assert server.end()[0] == 0
        finally:
            signal.signal(signal.SIGINT, before)

    def test_the_service_manager_is_told(self, tmp_path: Path) -> None:
        place = tmp_path / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.bind(str(place))
            told.settimeout(TIMEOUT_SECONDS)
            with serving(tmp_path / "store", NOTIFY_SOCKET=str(place)) as server:
                assert told.recv(100) == b"READY=1\n"
                assert server.end()[0] == 0
                assert told.recv(100) == b"STOPPING=1\n"

    def test_a_unix_socket_alone(self, tmp_path: Path) -> None:
        place = tmp_path / "socket"
        with serving(tmp_path / "store", "--tcp=false", "--unix-socket", place) as server:
            assert server.url == f"unix://{place}"
            assert place.stat().st_mode & 0o777 == 0o600
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(place))
                client.sendall(b"GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.")
            assert server.end()[0] == 0
        assert not place.exists()

    def test_a_relative_socket_is_told_with_its_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        place = tmp_path / "a socket%"
        arguments = ["--unix-socket", place.name, "--tcp", "false"]
        with serving(tmp_path / "store", *arguments) as server:
            assert server.said["unix_socket"] == str(place)
            with prestige.connect(server.url) as store:
                store.put("k", "v")
            assert server.end()[0] == 0
        for more, listed in [(["--tcp", "false"], 1), (["--tcp", "true", "--port", "0"], 1)]:
            words = [*COMMAND, "serve", "store", *arguments[:2], *more]
            with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                line = process.stdout.readline().decode()
                process.terminate()
            assert line.count(f"unix://{tmp_path}/a%20socket%25") == listed, line
            assert ("http://" in line) is (more[1] == "true")

    def test_the_directory_of_backups_is_made(self, tmp_path: Path) -> None:
        backups = tmp_path / "in" / "backups"
        with serving(tmp_path / "store", "--backup-directory", backups) as server:
            assert backups.stat().st_mode & 0o777 == 0o700
            with prestige.connect(server.url) as store:
                store.put("k", "v")
                store.backup("first")
            assert server.end()[0] == 0
        with prestige.open(backups / "first") as store:
            assert store["k"] == b"v"

    def test_a_file_with_a_token_alone(self, tmp_path: Path) -> None:
        """The same file serves the server and its clients."""
        file = tmp_path / "token"
        file.write_text("everything\n")
        with serving(tmp_path / "store", PRESTIGE_TOKEN_FILE=str(file)) as server:
            assert server.ask(KV + "k")[0] == 401
            done = run_process("put", "k", "v", "--url", server.url, PRESTIGE_TOKEN_FILE=str(file))
            assert done.returncode == 0, done.stderr
            assert server.ask(KV + "k", token="everything") == (200, b"v")

    def test_the_threshold_of_the_cache(self, tmp_path: Path) -> None:
        body = {"scope": 1, "model_id": "m"}
        put = body | {"query": "a", "response": "r", "embedding": [1.0, 0.0]}
        lookup = body | {"query": "b", "embedding": [0.8, 0.6]}
        for given, hit in [({"PRESTIGE_CACHE_THRESHOLD": "0.7"}, True), ({}, False)]:
            with serving(tmp_path / "store", **given) as server:
                for path, document, found in [
                    ("put", put, None),
                    ("lookup", lookup, hit),
                    ("lookup", lookup | {"threshold": 0.9}, False),
                    ("lookup", lookup | {"threshold": 0.5}, True),
                ]:
                    request = urllib.request.Request(f"{server.url}/api/v1/cache/{path}")
                    request.add_header("Content-Type", "application/json")
                    data = json.dumps(document).encode()
                    with OPENER.open(request, data, timeout=TIMEOUT_SECONDS) as answer:
                        said = answer.read()
                    assert found is None or (json.loads(said)["hit"] is not None) is found
                assert server.end()[0] == 0

    def test_sizes_and_times_have_units_wherever_they_are_given(self, tmp_path: Path) -> None:
        file = tmp_path / "prestige.toml"
        file.write_text('[store]\nvalue_cache_bytes = "1GiB"\nreaper_interval_seconds = "2min"\n')
        words = ["db", "--config", file, "--max-body-bytes", "1MiB", "--lock-timeout-ms", "2s"]
        code, out, errors = serve(*words, "--print-config", PRESTIGE_MAX_STORE_BYTES="10GiB")
        assert (code, errors) == (0, "")
        parsed = tomllib.loads(out)
        assert parsed["store"]["max_store_bytes"] == 10 << 30
        assert parsed["store"]["value_cache_bytes"] == 1 << 30
        assert parsed["store"]["reaper_interval_seconds"] == 120
        assert parsed["store"]["lock_timeout_ms"] == 2000
        assert parsed["limits"]["max_body_bytes"] == 1 << 20
        assert parsed["cache"]["cache_threshold"] == 0.97

    def test_options_reach_the_store(self, tmp_path: Path) -> None:
        path = tmp_path / "store"
        with serving(path, "--dedup-mode", "semantic", PRESTIGE_DEFAULT_TTL_SECONDS="1h") as server:
            assert server.ask(KV + "k", "PUT", b"How do I reset my password?")[0] == 201
            assert server.end()[0] == 0
        with prestige.open(path) as store:
            assert store.dedup_mode == prestige.DedupMode.SEMANTIC
            assert 0 < (store.ttl("k") or 0) <= 3600

    def test_tokens(self, tmp_path: Path) -> None:
        tokens = tmp_path / "tokens"
        tokens.write_text("# who\nread reader\nwrite writer\n")
        arguments = ("--token-file", tokens, "--host", "0.0.0.0")
        with serving(tmp_path / "store", *arguments, PRESTIGE_TOKEN="everything") as server:
            server.url = server.url.replace("0.0.0.0", "127.0.0.1")
            assert server.ask("/livez")[0] == 200
            assert server.ask(KV + "k")[0] == 401
            assert server.ask(KV + "k", "PUT", b"v", token="reader")[0] == 403
            assert server.ask(KV + "k", "PUT", b"v", token="writer")[0] == 201
            assert server.ask(KV + "k", token="reader") == (200, b"v")
            assert server.ask(KV + "k", token="everything") == (200, b"v")
            _, errors = server.end()
            assert not any(secret in errors for secret in (b"reader", b"writer", b"everything"))


class TestRefusals:
    def test_elsewhere_without_a_token(self, tmp_path: Path) -> None:
        code, out, errors = serve(tmp_path / "store", "--host", "0.0.0.0", "--port", "0")
        assert (code, out) == (2, "")
        assert "token" in errors

    def test_what_cannot_be_used(self, tmp_path: Path) -> None:
        store = tmp_path / "store"
        empty = tmp_path / "empty"
        empty.write_text("# nobody\n")
        (tmp_path / "bad.toml").write_text("[store]\nmax_store_byte = 1\n")
        for words, code, said in [
            ([], 2, "which store?"),
            ([store, "--port", "99999"], 2, "--port"),
            ([store, "--model", "no/such/model/here"], 2, "model"),
            ([store, "--dedup-mode", "semantic", "--model", tmp_path / "none"], 2, "none"),
            ([store, "--token-file", tmp_path / "none"], 2, "token_file"),
            ([store, "--backup-directory", empty], 2, "backup_directory"),
            ([store, "--backup-directory", empty / "in"], 2, "backup_directory"),
            ([store, "--cache-threshold", "1.5"], 2, "--cache-threshold"),
            ([store, "--token-file", empty], 2, "no tokens"),
            ([store, "--tls-key", empty], 2, "tls_certificate"),
            ([store, "--tcp=false"], 2, "listen"),
            ([store, "--write-buffer-bytes", "1"], 2, "write_buffer_bytes"),
            ([store, "--config", tmp_path / "bad.toml"], 2, "line 2"),
            ([store, "--log-level", "loud=very=much"], 2, "log"),
            ([empty], 1, "empty"),
        ]:
            found, out, errors = serve(*words)
            assert (found, out) == (code, ""), (words, errors)
            assert said in errors, (words, errors)
            assert "Traceback" not in errors
            # What cannot be served is not made.
            assert not store.exists(), words

    def test_a_port_and_a_store_that_are_taken(self, tmp_path: Path) -> None:
        path = tmp_path / "store"
        with serving(path) as server:
            port = server.url.rpartition(":")[2]
            code, _, errors = serve(tmp_path / "other", "--port", port)
            assert (code, port in errors) == (1, True)
            backups = tmp_path / "backups"
            code, _, errors = serve(path, "--port", "0", "--backup-directory", backups)
            assert (code, str(path) in errors, "--url" in errors) == (1, True, True)
            assert not backups.exists()
            assert server.end()[0] == 0


class TestPrintedConfiguration:
    def test_every_setting_has_a_source_and_secrets_are_masked(self, tmp_path: Path) -> None:
        file = tmp_path / "prestige.toml"
        file.write_text('[server]\nport = 9000\n[store]\nmax_store_bytes = "1GiB"\n')
        words = ["db", "--config", file, "--port", "9001", "--print-config"]
        code, out, errors = serve(*words, PRESTIGE_TOKEN="hunter2", PRESTIGE_HOST="127.0.0.2")
        assert (code, errors) == (0, "")
        assert "hunter2" not in out
        sources = {
            line.partition(" =")[0].removeprefix("# "): line.rpartition("  # ")[2]
            for line in out.splitlines()
            if " =" in line
        }
        assert sources["port"] == "--port"
        assert sources["host"] == "PRESTIGE_HOST"
        assert sources["token"] == "PRESTIGE_TOKEN"
        assert sources["max_store_bytes"] == f"{file}, line 4"
        assert sources["path"] == "argument"
        assert sources["log_format"] == "default"

    def test_it_can_be_used_as_a_file(self, tmp_path: Path) -> None:
        words = ["db", "--sync-writes", "--allowed-host", "a.example", "--print-config"]
        first = serve(*words)
        assert first[0] == 0
        parsed = tomllib.loads(first[1])
        assert parsed["server"]["port"] == 8080
        assert parsed["store"]["path"] == "db"
        assert parsed["store"]["sync_writes"] is True
        file = tmp_path / "prestige.toml"
        file.write_text(first[1])
        code, out, _ = serve("--config", file, "--print-config")
        assert code == 0
        assert tomllib.loads(out) == parsed

    def test_json(self) -> None:
        code, out, _ = serve("db", "--print-config", "--json", PRESTIGE_TOKEN="hunter2")
        assert (code, "hunter2" in out) == (0, False)
        settings = json.loads(out)
        assert settings["port"]["value"] == 8080
        assert settings["token"]["value"] == "***"
        assert all(setting["help"] and setting["table"] for setting in settings.values())

    def test_wrong_settings_are_told(self, tmp_path: Path) -> None:
        code, out, errors = serve("db", "--tcp=false", "--print-config")
        assert code == 2
        assert "[server]" in out
        assert "listen" in errors
        assert not Path("db").exists()


def test_no_other_variable_is_read(tmp_path: Path) -> None:
    """A setting is where it is documented, or the default."""
    names = [name for name in os.environ if name.startswith("PRESTIGE_")]
    code, out, _ = serve("db", "--print-config", "--json", **dict.fromkeys(names, ""))
    assert code == 0
    sources = {name: setting["source"] for name, setting in json.loads(out).items()}
    assert {name for name, source in sources.items() if source != "default"} == {"path"}
