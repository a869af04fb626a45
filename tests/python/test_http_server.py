"""What `Store.serve` is told: tokens, Unix sockets, TLS, backups."""

from __future__ import annotations

import json
import os
import socket
import ssl
import stat
from pathlib import Path

import pytest
from http_requests import TIMEOUT_SECONDS, ask

import prestige

# A certificate of localhost that signs itself, valid for a hundred years.
TLS = Path(__file__).parent.parent / "fixtures" / "tls"


def ask_raw(connection: socket.socket, path: str, host: str = "localhost") -> tuple[int, bytes]:
    """One GET over a connection that is made already: status and body."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    connection.sendall(request.encode())
    answer = b""
    while piece := connection.recv(65_536):
        answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


class TestTokens:
    def test_one_token_may_do_everything(self, store: prestige.Store) -> None:
        with store.serve(token="secret-token") as server:
            assert ask(f"{server.url}/readyz").status == 200
            refused = ask(f"{server.url}/health")
            assert refused.status == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert json.loads(refused.body)["code"] == "unauthorized"
            headers = {"Authorization": "Bearer secret-token"}
            assert ask(f"{server.url}/health", headers=headers).status == 200
            assert "secret" not in repr(server)

    def test_a_file_of_tokens(self, store: prestige.Store, tmp_path: Path) -> None:
        file = tmp_path / "tokens"
        file.write_text("# for the dashboard\nread reader\n\nadmin owner\nread scoped a,b-*\n")
        with store.serve(token="own", token_file=file) as server:
            for token, health, sweep in (
                ("reader", 200, 403),
                ("owner", 200, 200),
                ("own", 200, 200),
                ("scoped", 403, 403),
                ("other", 401, 401),
            ):
                headers = {"Authorization": f"Bearer {token}"}
                assert ask(f"{server.url}/health", headers=headers).status == health
                url = f"{server.url}/api/v1/admin/sweep"
                assert ask(url, "POST", b"", headers=headers).status == sweep

    @pytest.mark.parametrize(
        "text", ["", "# nothing\n", "owner x\n", "admin\n", "admin tökén\n", "admin a b c\n"]
    )
    def test_bad_files_of_tokens(self, store: prestige.Store, tmp_path: Path, text: str) -> None:
        file = tmp_path / "tokens"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(prestige.InvalidArgumentError, match="token"):
            store.serve(token_file=file)

    def test_a_file_that_is_not_there(self, store: prestige.Store, tmp_path: Path) -> None:
        with pytest.raises(prestige.IOError, match="absent"):
            store.serve(token_file=tmp_path / "absent")

    @pytest.mark.parametrize("token", ["", "two words", "ümlaut", "x" * 2000, "line\n"])
    def test_what_is_no_token(self, store: prestige.Store, token: str) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match="token"):
            store.serve(token=token)

    def test_wrong_types(self, store: prestige.Store) -> None:
        for arguments in (
            {"token": 5},
            {"token": b"secret"},
            {"token_file": 5},
            {"unix_socket": 5},
            {"backup_directory": 5},
        ):
            with pytest.raises(TypeError):
                store.serve(**arguments)
        with pytest.raises(TypeError):
            store.serve("127.0.0.1", 0, "secret")

    @pytest.mark.parametrize("host", ["0.0.0.0", "::"])
    def test_other_machines_need_a_token(self, store: prestige.Store, host: str) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match="token"):
            store.serve(host=host)
        with store.serve(host="0.0.0.0", token="secret") as server:
            assert server.host == "0.0.0.0"
            assert ask(f"http://127.0.0.1:{server.port}/livez").status == 200


class TestUnixSocket:
    def test_it_is_for_its_owner(self, store: prestige.Store, tmp_path: Path) -> None:
        path = tmp_path / "socket"
        with store.serve(unix_socket=path) as server:
            assert server.url == f"unix://{path}"
            assert (server.host, server.port) == ("", 0)
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(TIMEOUT_SECONDS)
                connection.connect(str(path))
                status, body = ask_raw(connection, "/health", "any.example")
            assert status == 200
            assert json.loads(body)["total_keys"] == 0
            with pytest.raises(prestige.BusyError, match="socket"):
                store.serve(unix_socket=path)
        assert not path.exists()

    def test_other_files_are_left_alone(self, store: prestige.Store, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_text("precious")
        with pytest.raises(prestige.InvalidArgumentError, match="file"):
            store.serve(unix_socket=path)
        assert path.read_text() == "precious"


class TestTls:
    def test_both_files_or_none(self, store: prestige.Store, tmp_path: Path) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match="together"):
            store.serve(tls_certificate=tmp_path / "a")
        with pytest.raises(prestige.InvalidArgumentError, match="together"):
            store.serve(tls_key=tmp_path / "a")
        with pytest.raises(prestige.InvalidArgumentError, match="absent"):
            store.serve(tls_certificate=tmp_path / "absent", tls_key=tmp_path / "absent")

    def test_a_client_that_trusts_the_certificate(self, store: prestige.Store) -> None:
        certificate, key = TLS / "certificate.pem", TLS / "key.pem"
        with store.serve(tls_certificate=certificate, tls_key=key) as server:
            assert server.url == f"https://127.0.0.1:{server.port}"
            trust = ssl.create_default_context(cafile=str(certificate))
            address = (server.host, server.port)
            with (
                socket.create_connection(address, TIMEOUT_SECONDS) as plain,
                trust.wrap_socket(plain, server_hostname="localhost") as connection,
            ):
                assert ask_raw(connection, "/readyz") == (200, b"ready\n")
            with (
                socket.create_connection(address, TIMEOUT_SECONDS) as plain,
                pytest.raises(ssl.SSLError),
            ):
                ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")


class TestMaintenance:
    def post(self, server: prestige.Server, operation: str, body: object = None) -> object:
        encoded = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Prefer": "wait=30"}
        url = f"{server.url}/api/v1/admin/{operation}"
        answer = ask(url, "POST", encoded, headers=headers)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def test_it_is_that_of_the_store(self, store: prestige.Store, tmp_path: Path) -> None:
        for i in range(10):
            store.put(f"key{i}", f"value {i}" * 100)
        with store.serve(backup_directory=tmp_path) as server:
            assert self.post(server, "flush") == {}
            assert self.post(server, "sweep") == {"deleted": 0}
            assert self.post(server, "evict", {"target_bytes": 0}) == {"deleted": 10}
            assert store.count_keys() == 0
            store.put("key", "value")
            assert self.post(server, "compact") == {}
            assert self.post(server, "verify") == {"violations": []}
            assert self.post(server, "backup", {"name": "copy"}) == {"name": "copy"}
        with prestige.open(tmp_path / "copy") as copy:
            assert copy["key"] == b"value"
            assert copy.verify() == []

    def test_a_view_is_served_alone(self, store: prestige.Store) -> None:
        store.put("key", "value")
        view = store.namespace("view")
        view.put("own", "value")
        with view.serve() as server:
            assert json.loads(ask(f"{server.url}/health").body)["total_keys"] == 1
            assert self.post(server, "evict", {"target_bytes": 0}) == {"deleted": 1}
            url = "evict?namespace=other"
            assert self.post(server, url, {"target_bytes": 0}) == {"deleted": 0}
        assert store.count_keys() == 1
        assert store.namespaces() == ["view"]


def test_a_semantic_store_is_ready_with_its_model(semantic_store: prestige.Store) -> None:
    with semantic_store.serve() as server:
        answer = ask(f"{server.url}/readyz?verbose")
        assert answer.status == 200
        assert answer.body == "[+]store ok\n[+]model ok\n[+]server ok\nready\n"
