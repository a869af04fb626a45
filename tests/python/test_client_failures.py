"""A client and servers that refuse, break off, take too long, or are not there."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from unruly_server import Asked, Unruly, answer, problem, unruly

import prestige

TOKEN = "s3cret-t0ken"
DONE = answer(200, {"count": 7})
STORED = answer(200, {"stored": 1})


def key_of(asked: Asked) -> str | None:
    return asked.headers.get("idempotency-key")


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    from prestige._remote import retry

    monkeypatch.setattr(retry, "FIRST_DELAY", 0.001)


class TestRetries:
    @pytest.mark.parametrize("first", [None, problem(503, "overloaded", retry_after="0")])
    def test_reads_are_repeated(self, first: bytes | None) -> None:
        with unruly(first, first, DONE) as server, prestige.connect(server.url) as client:
            assert client.count_keys() == 7
        assert [asked.method for asked in server.asked] == ["GET"] * 3
        assert [key_of(asked) for asked in server.asked] == [None] * 3

    @pytest.mark.parametrize("first", [None, problem(503, "overloaded", retry_after="0")])
    def test_writes_are_repeated_with_the_same_key(self, first: bytes | None) -> None:
        writes: list[Callable[[prestige.RemoteStore], object]] = [
            lambda client: client.put("k", "v", 60),
            lambda client: client.put_many({"k": "v"}),
            lambda client: client.delete("k"),
            lambda client: client.touch("k"),
        ]
        for write in writes:
            with unruly(first, STORED) as server, prestige.connect(server.url) as client:
                write(client)
                write(client)
            one, again, another = server.asked
            assert one == again
            assert key_of(one) is not None
            assert key_of(another) not in (None, key_of(one))

    def test_not_more_often_than_asked_for(self) -> None:
        with unruly(None) as server:
            with prestige.connect(server.url, retries=2) as client:
                with pytest.raises(prestige.IOError, match=r"the connection to http.* broke"):
                    client.count_keys()
                assert len(server.asked) == 3
                with pytest.raises(prestige.IOError, match="not known whether"):
                    client.put("k", "v")
            with prestige.connect(server.url, retries=0) as client:
                server.asked.clear()
                with pytest.raises(prestige.IOError):
                    client.count_keys()
            assert len(server.asked) == 1

    def test_the_server_says_when(self, monkeypatch: pytest.MonkeyPatch) -> None:
        slept: list[float] = []
        monkeypatch.setattr(time, "sleep", slept.append)
        busy = problem(503, "overloaded", retry_after="7")
        with unruly(busy, DONE) as server, prestige.connect(server.url) as client:
            assert client.count_keys() == 7
        assert slept == [7.0]
        for_ever = problem(503, "overloaded", "come back tomorrow", retry_after="86400")
        with unruly(for_ever) as server, prestige.connect(server.url) as client:
            with pytest.raises(prestige.BusyError, match="tomorrow"):
                client.count_keys()
            assert len(server.asked) == 1

    def test_delays_grow_and_differ(self, monkeypatch: pytest.MonkeyPatch) -> None:
        slept: list[float] = []
        monkeypatch.setattr(time, "sleep", slept.append)
        with unruly(None) as server, prestige.connect(server.url, retries=8) as client:
            for _ in range(2):
                with pytest.raises(prestige.IOError):
                    client.count_keys()
        first, second = slept[:8], slept[8:]
        assert first != second
        for number, delay in enumerate(first):
            assert 0.5 <= delay / (0.001 * 2**number) <= 1.0

    @pytest.mark.parametrize(
        ("code", "status", "expected"),
        [
            ("closed", 503, prestige.ClosedError),
            ("timed_out", 503, prestige.TimedOutError),
            ("corruption", 500, prestige.CorruptionError),
            ("io", 500, prestige.IOError),
            ("model", 500, prestige.ModelError),
            ("invalid_argument", 400, prestige.InvalidArgumentError),
            ("malformed_body", 400, prestige.InvalidArgumentError),
            ("too_large", 413, prestige.InvalidArgumentError),
            ("unauthorized", 401, prestige.PermissionDeniedError),
            ("forbidden", 403, prestige.PermissionDeniedError),
            ("read_only", 403, prestige.ReadOnlyError),
            ("no_such_route", 404, prestige.PrestigeError),
            ("something new", 418, prestige.PrestigeError),
        ],
    )
    def test_what_is_wrong_stays_wrong(
        self, code: str, status: int, expected: type[Exception]
    ) -> None:
        with unruly(problem(status, code)) as server, prestige.connect(server.url) as client:
            for call in (client.count_keys, lambda: client.put("k", "v")):
                with pytest.raises(prestige.PrestigeError, match="what is wrong") as caught:
                    call()
                assert type(caught.value) is expected
        assert len(server.asked) == 2

    def test_an_answer_that_breaks_off_is_asked_for_again(self) -> None:
        part = answer(200, {"count": 7})[:-3]

        def half(connection: socket.socket) -> None:
            connection.sendall(part)

        with unruly(half, DONE) as server, prestige.connect(server.url) as client:
            assert client.count_keys() == 7
        lines = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n"
        with (
            unruly(lines + b'"a"\n\n\n', lines + b'"a"\n1\n') as server,
            prestige.connect(server.url) as client,
            pytest.raises(prestige.IOError, match="should have sent 2 lines"),
        ):
            client.get_many(["a", "b"])

    def test_asyncio(self) -> None:
        async def main(server: Unruly) -> None:
            async with prestige.connect(server.url) as client:
                assert await client.acount_keys() == 7
                await client.aput("k", "v")

        with unruly(None, DONE, None, STORED) as server:
            asyncio.run(main(server))
        assert server.asked[2] == server.asked[3]


class TestTimeouts:
    def test_a_silent_server(self) -> None:
        released = threading.Event()

        def silent(_: socket.socket) -> None:
            released.wait(30)

        with unruly(silent) as server, prestige.connect(server.url, timeout=0.05) as client:
            with pytest.raises(prestige.TimedOutError, match=r"0\.05 s.*longer timeout"):
                client.count_keys()
            with pytest.raises(TimeoutError, match="may still do"):
                client.put("k", "v")
            # A server that is busy is not helped by more of it.
            assert len(server.asked) == 2

            async def main() -> None:
                with pytest.raises(prestige.TimedOutError):
                    await client.acount_keys()

            asyncio.run(main())
            released.set()

    def test_cancelled(self) -> None:
        released = threading.Event()

        def silent(_: socket.socket) -> None:
            released.wait(30)

        async def main(server: Unruly) -> None:
            async with prestige.connect(server.url) as client:
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(client.acount_keys(), 0.05)
                released.set()
                assert await client.acount_keys() == 7

        with unruly(silent, DONE) as server:
            asyncio.run(main(server))


class TestNobodyThere:
    def test_the_message_names_the_url_and_a_way_out(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            free = listener.getsockname()[1]
        urls = [f"http://127.0.0.1:{free}", f"unix://{tmp_path}/no.sock"]
        for url in urls:
            with prestige.connect(url, TOKEN) as client:
                with pytest.raises(prestige.IOError) as caught:
                    client.get("k")
                message = str(caught.value)
                assert url in message
                assert "prestige serve" in message
                assert isinstance(caught.value, OSError)
                assert TOKEN not in "".join(traceback.format_exception(caught.value))
                with pytest.raises(prestige.IOError):
                    client.put("k", "v")

    def test_a_server_that_comes_late(self, store: prestige.Store) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with prestige.connect(f"http://127.0.0.1:{port}", retries=40) as client:
            found: list[object] = []
            thread = threading.Thread(target=lambda: found.append(client.get("k", None)))
            thread.start()
            with store.serve(port=port):
                thread.join(30)
            assert found == [None]

    def test_something_else_there(self) -> None:
        page = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>"
        missing = b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n"
        elsewhere = b"HTTP/1.1 307 No\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"
        for given in (page, missing, elsewhere):
            with unruly(given) as server, prestige.connect(server.url, TOKEN) as client:
                with pytest.raises(prestige.PrestigeError, match="is it a Prestige server"):
                    client.count_keys()
                assert len(server.asked) == 1
        with unruly(missing) as server, prestige.connect(server.url) as client:
            with pytest.raises(prestige.PrestigeError) as caught:
                client.get("k")
            assert not isinstance(caught.value, prestige.NotFoundError)


class TestTheTokenStaysSecret:
    def test_it_is_sent_and_nowhere_else(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        script = (DONE, problem(401, "unauthorized"), None)
        with unruly(*script) as server:
            client = prestige.connect(server.url, TOKEN, retries=0)
            shown = [repr(client), str(client)]
            client.count_keys()
            for _ in range(2):
                with pytest.raises(prestige.PrestigeError) as caught:
                    client.get("the key")
                shown.append("".join(traceback.format_exception(caught.value)))
                error: BaseException | None = caught.value
                while error is not None:
                    shown.append(repr(vars(error)))
                    error = error.__context__
            client.close()
            assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {TOKEN}"}
        assert TOKEN not in "".join(shown)
        assert TOKEN not in caplog.text
        assert "the%20key" not in caplog.text

    @pytest.mark.parametrize("bad", ["", "two words", "line\nbreak", "ümlaut", 5, b"bytes"])
    def test_a_bad_one_is_not_repeated(self, bad: object) -> None:
        with pytest.raises((TypeError, prestige.InvalidArgumentError)) as caught:
            prestige.connect("http://127.0.0.1:1", bad)
        assert not bad or str(bad) not in str(caught.value)
        with pytest.raises(prestige.InvalidArgumentError) as caught:
            prestige.connect(f"http://user:{TOKEN}@127.0.0.1:1")
        assert TOKEN not in str(caught.value)
