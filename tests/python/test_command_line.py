"""The `prestige` command: every command on a directory and, alike, on a server."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from commands import COMMAND, TIMEOUT_SECONDS, Result, run, run_process

import prestige
from prestige import _native

RAW = bytes(range(256))


class Place(NamedTuple):
    """Where a command finds its store."""

    arguments: tuple[str, ...]
    """The same for all commands."""
    path: Path
    is_server: bool

    def run(self, *arguments: object, given: bytes = b"") -> Result:
        """Runs a command on the store."""
        return run(*arguments, *self.arguments, given=given)

    def json(self, *arguments: object) -> Any:
        """The document that a command prints; it must succeed."""
        result = self.run(*arguments, "--json")
        assert (result.code, result.err) == (0, ""), result
        return json.loads(result.out)


@pytest.fixture(params=["directory", "server"])
def place(request: pytest.FixtureRequest, store_path: Path) -> Iterator[Place]:
    """An empty store; it is valid when the test ends."""
    if request.param == "directory":
        prestige.open(store_path).close()
        yield Place(("--path", str(store_path)), store_path, False)
        with prestige.open(store_path) as store:
            assert store.verify() == []
        return
    with prestige.open(store_path) as store, store.serve() as server:
        yield Place(("--url", server.url), store_path, True)
        assert store.verify() == []


class TestValues:
    def test_bytes_go_in_and_come_out_as_they_are(self, place: Place, tmp_path: Path) -> None:
        assert place.run("put", "text", "Größe") == (0, b"", "")
        assert place.run("get", "text") == (0, "Größe".encode(), "")
        assert place.run("put", "raw", "-", given=RAW).code == 0
        assert place.run("get", "raw").out == RAW
        assert place.run("put", "stdin", given=b"").code == 0
        assert place.run("get", "stdin") == (0, b"", "")
        file = tmp_path / "value"
        file.write_bytes(RAW * 1000)
        assert place.run("put", "file", "--file", file).code == 0
        output = tmp_path / "output"
        assert place.run("get", "file", "--output", output) == (0, b"", "")
        assert output.read_bytes() == RAW * 1000

    def test_keys_need_not_be_utf8(self, place: Place) -> None:
        for key in (b"a/b", b"\xff\xfe", b"%", b"-", b" ", "schlüssel".encode()):
            assert place.run("put", key, "v").code == 0, key
            assert place.run("get", key).out == b"v"
        keys = place.run("keys", "--null").out.split(b"\0")
        assert keys == [b" ", b"%", b"-", b"a/b", "schlüssel".encode(), b"\xff\xfe", b""]
        shown = [json.loads(line) for line in place.run("keys", "--json").out.splitlines()]
        assert shown == [" ", "%", "-", "a/b", "schlüssel", {"base64": "//4="}]

    def test_ttl_and_metadata(self, place: Place) -> None:
        assert place.run("put", "k", "v", "--ttl", "1h", "-m", "a=1", "-m", "b=x=y").code == 0
        known = place.json("get", "k")
        assert (known["key"], known["value"]) == ("k", "v")
        assert 3590 < known["ttl_seconds"] <= 3600
        assert known["metadata"] == {"a": "1", "b": "x=y"}
        assert re.fullmatch("[0-9a-f]{64}", known["digest"])
        assert place.json("put", "k", "v2") == {"key": "k", "bytes": 2}

    def test_a_key_that_is_not_there(self, place: Place) -> None:
        result = place.run("get", "none")
        assert (result.code, result.out) == (1, b"")
        assert result.err.startswith("prestige: ")
        assert result.err.count("\n") == 1

    def test_deleting(self, place: Place) -> None:
        place.run("put", "a", "1")
        place.run("put", "b", "2")
        result = place.run("del", "a", "none", "a")
        assert result == (1, b"", "prestige: there is no key 'none'\n")
        assert place.run("del", "none", "--force") == (0, b"", "")
        result = place.run("del", "b", "none", "--json", "-f")
        assert json.loads(result.out) == {"deleted": 1, "missing": ["none"]}
        assert place.run("keys").out == b""


class TestLists:
    def test_keys_and_counts(self, place: Place) -> None:
        for number in range(5):
            place.run("put", f"k{number}", str(number % 2))
        place.run("put", "other", "0")
        assert place.run("keys").out == b"k0\nk1\nk2\nk3\nk4\nother\n"
        assert place.run("keys", "k", 2).out == b"k0\nk1\n"
        assert place.run("keys", "k", "--start", "k3").out == b"k3\nk4\n"
        assert place.run("keys", "none").out == b""
        assert place.run("count").out == b"6\n"
        assert place.json("count") == {"count": 6}
        assert place.run("count-approx").out == b"6\n"
        assert place.run("count", "--unique").out == b"2\n"

    def test_namespaces_are_apart(self, place: Place) -> None:
        place.run("put", "k", "own")
        assert place.run("put", "k", "tenant's", "-n", "tenant").code == 0
        assert place.run("get", "k", "--namespace", "tenant").out == b"tenant's"
        assert place.run("get", "k").out == b"own"
        assert place.run("namespaces").out == b"tenant\n"
        assert place.json("namespaces") == {"namespaces": ["tenant"]}


class TestUpkeep:
    def test_what_removes_says_how_much(self, place: Place) -> None:
        for number in range(4):
            place.run("put", f"k{number}", "x" * 100 + str(number))
        assert place.run("sweep").out == b"0 values removed\n"
        assert place.json("prune", "--max-age", "1day") == {"deleted": 0}
        assert place.run("evict", "150B").out == b"3 keys removed\n"
        assert place.json("evict", 0) == {"deleted": 1}

    def test_what_has_no_figure(self, place: Place) -> None:
        place.run("put", "k", "v")
        for command in ("flush", "compact"):
            assert place.run(command) == (0, b"", "")
            assert place.json(command) == {}
        assert place.run("verify").out == b"The store is valid.\n"
        assert place.json("verify") == {"violations": []}

    def test_figures(self, place: Place) -> None:
        place.run("put", "k", "v")
        health = place.json("health")
        assert health["status"] == "ok"
        assert health["figures"]["total_keys"] == 1
        assert set(health["figures"]) == set(prestige.HealthStats.__annotations__)
        shown = place.run("health").out.decode()
        assert shown.startswith("PRESTIGE OK: 1 key, 1 distinct value, 2 B\n")
        assert "total_keys" in shown
        stats = place.json("stats")
        assert set(stats) == set(prestige.StoreStats.__annotations__)
        assert stats["puts"] == (1 if place.is_server else 0)
        shown = place.run("stats")
        assert b"puts" in shown.out
        # Of a directory they are those of the command itself, which is no news to anybody.
        assert ("--url" in shown.err) is not place.is_server

    def test_an_index_that_is_built_anew_says_of_what(self, tmp_path: Path) -> None:
        path = tmp_path / "store"
        with prestige.open(path, dedup_mode=prestige.DedupMode.SEMANTIC) as store:
            store.put("1", "How do I reset my password?")
            store.namespace("tenant").put("2", "Where is my invoice?")
        figures = json.loads(run("rebuild-index", path, "--json").out)
        assert (figures["vectors"], figures["namespaces"]) == (2, 2)
        assert figures["seconds"] >= 0
        figures = json.loads(run("rebuild-index", path, "-n", "tenant", "--json").out)
        assert (figures["vectors"], figures["namespaces"]) == (1, 1)
        assert run("rebuild-index", path).out.startswith(b"2 vectors of 2 namespaces indexed in ")


class TestHealth:
    def test_thresholds_decide_the_exit_code(self, place: Place) -> None:
        for key in "abc":
            place.run("put", key, "v")
        for arguments, code in [
            (["--warn", "total_keys=5"], 0),
            (["--warn", "total_keys=2"], 1),
            (["--warn", "total_keys=2", "--crit", "total_keys=4"], 1),
            (["--warn", "total_keys=2", "--crit", "total_keys=@3:4"], 2),
            (["--crit", "total_keys=4:"], 2),
            (["--crit", "total_bytes=~:1KiB", "--crit", "dedup_ratio=2:"], 0),
            (["--warn", "total_kyes=2"], 3),
            (["--warn", "dedup_mode=2"], 3),
            (["--warn", "last_sweep_age_s=10"], 3),
            (["--warn", "oldest_object_age_s=1h"], 0),
            (["--warn", "oldest_object_age_s=30m", "--crit", "oldest_object_age_s=1day:"], 2),
            (["--warn", "oldest_object_age_s=1GiB"], 3),
            (["--warn", "nonsense"], 3),
        ]:
            result = place.run("health", *arguments)
            assert result.code == code, (arguments, result)

    def test_one_line_with_performance_data(self, place: Place) -> None:
        place.run("put", "a", "v")
        arguments = ["--warn", "total_keys=~:5", "--crit", "total_bytes=1MiB"]
        result = place.run("health", "--nagios", *arguments)
        text, _, data = result.out.decode().rstrip("\n").partition(" | ")
        assert (result.code, text) == (0, "PRESTIGE OK: 1 key, 1 distinct value, 2 B")
        figures = dict(part.split("=", 1) for part in data.split(" "))
        assert figures["total_keys"] == "1;~:5"
        assert figures["total_bytes"] == "2B"
        assert figures["dedup_ratio"] == "1"
        assert figures["last_sweep_age_s"] == "U"
        assert re.fullmatch(r"\d+s", figures["oldest_object_age_s"])
        assert "dedup_mode" not in figures
        assert "index_ok" not in figures
        result = place.run("health", "--nagios", "--crit", "total_keys=5:")
        assert result.code == 2
        assert result.out.startswith(b"PRESTIGE CRITICAL: total_keys is 1, expected 5: | ")

    def test_what_cannot_be_looked_at(self, tmp_path: Path) -> None:
        result = run("health", tmp_path / "none", "--nagios")
        assert result.code == 3
        assert result.out.startswith(b"PRESTIGE UNKNOWN: ")
        assert result.out.count(b"\n") == 1
        path = tmp_path / "store"
        with prestige.open(path) as store:
            store.put("k", "v")
            # Its owner has it open: looking is no trouble.
            assert run("health", path).code == 0
        (path / "CURRENT").write_bytes(b"damaged")
        result = run("health", path, "--json")
        assert result.code == 2
        document = json.loads(result.out)
        assert (document["status"], document["figures"]) == ("critical", None)

    def test_a_server_that_is_not_there(self) -> None:
        result = run("health", "--url", "http://127.0.0.1:9", "--nagios", "--timeout", "1")
        assert result.code == 2
        assert result.out.startswith(b"PRESTIGE CRITICAL: ")


class TestTransfer:
    def test_backup_and_restore(self, tmp_path: Path) -> None:
        store, backup, restored = tmp_path / "store", tmp_path / "backup", tmp_path / "restored"
        assert run("put", "k", "v", "--path", store).code == 0
        assert run("backup", backup, "--path", store).code == 0
        result = run("restore", backup, restored, "--json")
        assert json.loads(result.out) == {"path": str(restored)}
        assert run("get", "k", "--path", restored).out == b"v"
        assert run("restore", backup, restored).code == 2
        assert run("restore", tmp_path / "none", tmp_path / "new").code == 2
        assert not (tmp_path / "new").exists()

    def test_export_and_import(self, tmp_path: Path) -> None:
        store, file, other = tmp_path / "store", tmp_path / "keys.jsonl", tmp_path / "other"
        for key in ("a/1", "a/2", "b/1"):
            run("put", key, RAW.hex(), "--path", store)
        result = run("export", file, "--path", store, "--prefix", "a/")
        assert result.out == b"2 keys exported\n"
        assert run("import", file, "--path", other, "--json").out == b'{"imported": 2}\n'
        exported = run("export", "-", "--path", store)
        assert exported.out.count(b"\n") == 3
        assert run("import", "-", "--path", other, given=exported.out).out == b"3 keys imported\n"
        assert run("keys", "--path", other).out == b"a/1\na/2\nb/1\n"
        assert run("import", file, "--path", other, given=b"").code == 0
        assert run("import", tmp_path / "none", "--path", tmp_path / "new").code == 2
        assert not (tmp_path / "new").exists()
        bad = run("import", "-", "--path", other, given=b'{"key": 1}\n')
        assert bad.code == 2
        assert "line 1" in bad.err

    def test_a_line_that_is_no_record_says_what_was_expected(self, place: Place) -> None:
        good = b'{"key":"k","value":"v"}\n'
        for line, said in [
            (b'{"key":1,"value":"v"}', "expected a string as `key`, found the number 1"),
            (b'{"key":"k","value":"v","expires_us":"x"}', "as `expires_us`, found a string"),
            (
                b'{"key":"k","value":"v","metadata":{"a":1}}',
                "`a` of `metadata`, found the number 1",
            ),
            (b'["k"]', "found a list"),
            (b"k,v", "found what is not JSON at column 1"),
            (b'{"key":"k"}', "it should have either `value` or `value_b64`"),
        ]:
            result = place.run("import", "-", given=good + line + b"\n")
            assert result.code == 2, result
            assert "line 2: " in result.err
            assert said in result.err, result.err


class TestFiles:
    """A file that is named and cannot be used is a wrong argument, and the message names it."""

    def test_files_that_cannot_be_read(self, place: Place, tmp_path: Path) -> None:
        place.run("put", "k", "v")
        none = tmp_path / "no" / "such"
        for argument, words in [
            ("--file", ["put", "k", "--file", none]),
            ("--file", ["put", "k", "--file", tmp_path]),
            ("FILE", ["import", none]),
            ("FILE", ["import", tmp_path]),
            ("--output", ["get", "k", "--output", none]),
            ("--output", ["get", "k", "--output", tmp_path]),
            ("FILE", ["export", none]),
        ]:
            result = place.run(*words)
            assert (result.code, result.out) == (2, b""), (words, result)
            assert result.err.startswith(f"prestige: {argument}: cannot "), result.err
            assert "[Errno" not in result.err
        assert place.run("get", "k").out == b"v"

    def test_files_beside_a_store(self, tmp_path: Path) -> None:
        none = tmp_path / "none"
        pairs = tmp_path / "pairs.csv"
        pairs.write_text("similarity,label\n0.9,1\n0.1,0\n")
        for argument, words in [
            ("FILE", ["calibrate", tmp_path / "none.csv"]),
            ("--model", ["calibrate", pairs, "--model", none]),
            ("--chart", ["calibrate", pairs, "--chart", none / "chart.svg"]),
            ("BACKUP", ["restore", none, tmp_path / "new"]),
            ("BACKUP", ["restore", pairs, tmp_path / "new"]),
            ("--ca-file", ["count", "--url", "https://127.0.0.1:9", "--ca-file", none]),
            ("--token-file", ["count", "--url", "http://127.0.0.1:9", "--token-file", none]),
            ("none", ["demo", none]),
        ]:
            result = run(*words)
            assert (result.code, result.out) == (2, b""), (words, result)
            assert argument in result.err, result.err
            assert "[Errno" not in result.err
        assert not (tmp_path / "new").exists()

    def test_token_files_of_clients(self, store: prestige.Store, tmp_path: Path) -> None:
        file = tmp_path / "tokens"
        with store.serve(token="secret-1") as server:
            for text, code in [
                ("secret-1\n", 0),
                ("# mine\nread secret-1 tenant-*\n", 0),
                ("read secret-1\nwrite secret-2\n", 2),
                ("# nothing\n", 2),
            ]:
                file.write_text(text)
                result = run("count", "--url", server.url, "--token-file", file)
                assert result.code == code, (text, result)
                assert "secret" not in result.err
                assert code == 0 or str(file) in result.err


class TestCandidates:
    def test_the_nearest_come_first(self, tmp_path: Path) -> None:
        path = tmp_path / "store"
        with prestige.open(path, dedup_mode=prestige.DedupMode.SEMANTIC) as store:
            store.put("1", "How do I reset my password?", metadata={"lang": "en"})
            store.put("2", "Where is my invoice?\x1b[31m")
        result = run("candidates", "reset the password", path, "--json")
        assert result.code == 2  # The directory is an option here.
        result = run("candidates", "reset the password", "--path", path, "--json")
        found = json.loads(result.out)["candidates"]
        assert [candidate["rank"] for candidate in found] == [0, 1]
        assert found[0]["value"] == "How do I reset my password?"
        filtered = run("candidates", "-", "--path", path, "--filter", "lang=en", given=b"invoice")
        assert filtered.out.count(b"\n") == 2
        shown = run("candidates", "invoice", "-k", 1, "--path", path).out
        assert b"\x1b" not in shown
        assert b"Where is my invoice?" in shown
        assert run("candidates", "q", "-k", 0, "--path", path).code == 2


class TestUse:
    def test_a_store_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        for words in (
            ["get", "k"],
            ["keys"],
            ["count"],
            ["health"],
            ["stats"],
            ["del", "k"],
            ["sweep"],
            ["prune"],
            ["evict", "0"],
            ["verify"],
            ["compact"],
            ["flush"],
            ["rebuild-index"],
            ["namespaces"],
            ["backup", tmp_path / "backup"],
            ["export", tmp_path / "file"],
            ["candidates", "q"],
        ):
            result = run(*words, "--path", tmp_path / "none")
            assert result.code == (3 if words == ["health"] else 1), (words, result)
        assert list(tmp_path.iterdir()) == []
        assert run("put", "k", "v", "--path", tmp_path / "new").code == 0

    def test_an_open_store_can_be_read_and_not_written(self, store: prestige.Store) -> None:
        store.put("k", "v")
        assert run("get", "k", "--path", store.path).out == b"v"
        assert run("verify", store.path).code == 0
        for words in (["put", "k", "v"], ["backup", f"{store.path}-copy"], ["sweep"]):
            result = run(*words, "--path", store.path)
            assert result.code == 1
            for word in (store.path, words[0], "--url", "prestige serve"):
                assert word in result.err, result.err
        result = run("restore", store.path, f"{store.path}-copy")
        assert (result.code, "prestige backup" in result.err) == (1, True), result.err
        # What reads is enough to find the identical value.
        found = json.loads(run("candidates", "v", "--path", store.path, "--json").out)
        assert [candidate["value"] for candidate in found["candidates"]] == ["v"]

    def test_an_open_semantic_store_is_searched(self, tmp_path: Path) -> None:
        path = tmp_path / "store"
        with prestige.open(path, dedup_mode=prestige.DedupMode.SEMANTIC) as store:
            store.put("1", "How do I reset my password?")
            store.flush()
            store.put("2", "Where is my invoice?")
            for place in (["--path", path], ["--url", store.serve().url]):
                result = run("candidates", "reset the password", *place, "--json")
                found = [one["value"] for one in json.loads(result.out)["candidates"]]
                assert found == ["How do I reset my password?", "Where is my invoice?"]
            assert store.verify() == []

    def test_what_is_open_for_reading_only_says_so(self, tmp_path: Path) -> None:
        path = tmp_path / "store"
        prestige.open(path).close()
        result = run("put", "k", "v", "-p", path, "-o", "read_only=true")
        assert (result.code, "--option read_only" in result.err) == (1, True), result.err
        with prestige.open(path, read_only=True) as store, store.serve() as server:
            result = run("put", "k", "v", "--url", server.url)
            assert (result.code, "--read-only" in result.err) == (1, True), result.err

    def test_options_of_the_directory(self, tmp_path: Path) -> None:
        path = tmp_path / "store"
        text = "How do I reset my password?"
        options = ["-o", "dedup_mode=semantic", "-o", "semantic_threshold=0.9"]
        assert run("put", "k", text, "-p", path, *options).code == 0
        with prestige.open(path) as store:
            assert store.dedup_mode == prestige.DedupMode.SEMANTIC
        options = ["-o", "max_store_bytes=1KiB", "-o", "default_ttl_seconds=12h"]
        assert run("put", "other", text, "-p", path, *options).code == 0
        assert json.loads(run("get", "other", "-p", path, "--json").out)["ttl_seconds"] > 43_000
        long = run("put", "long", "x" * 2000, "-p", path, *options)
        assert (long.code, "max_store_bytes = 1024" in long.err) == (2, True), long
        for option in (
            "nonsense=1",
            "semantic_model=./none",
            "max_store_bytes=much",
            "hnsw_m=many",
            "sync_writes=maybe",
            "dedup_mode=both",
            "_x=1",
        ):
            result = run("put", "k", "v", "-p", path, "-o", option)
            assert result.code == 2, option
            assert option.partition("=")[0] in result.err, result.err
        chosen = run("put", "k", "v", "-p", path, "-o", "dedup_mode=both")
        assert "expected exact or semantic, found 'both'" in chosen.err

    def test_a_file_is_no_store(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_text("text")
        for command in (["get", "k"], ["del", "k"], ["verify"]):
            result = run(*command, "-p", path)
            assert (result.code, "it is no directory. Check the path" in result.err) == (1, True)

    def test_the_environment_names_the_store(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PRESTIGE_PATH", str(tmp_path / "store"))
        monkeypatch.setenv("PRESTIGE_NAMESPACE", "tenant")
        assert run("put", "k", "v").code == 0
        assert run("get", "k").out == b"v"
        assert run("get", "k", "-n", "").code == 1
        monkeypatch.delenv("PRESTIGE_PATH")
        result = run("get", "k")
        assert result.code == 2
        assert "PRESTIGE_PATH" in result.err

    def test_completions_are_scripts(self, tmp_path: Path) -> None:
        script = tmp_path / "completion"
        script.write_bytes(run("completions", "bash").out)
        checked = subprocess.run(["bash", "-n", script], check=False, timeout=TIMEOUT_SECONDS)
        assert checked.returncode == 0
        for shell in ("zsh", "fish", "elvish", "powershell"):
            assert b"rebuild-index" in run("completions", shell).out

    def test_every_command_has_help(self) -> None:
        text = _native.parse_command(["--help"])["message"]
        commands = re.findall(r"^  ([a-z-]+)  ", text, re.MULTILINE)
        assert {"put", "serve", "completions", "demo", "rebuild-index"} <= set(commands)
        for command in commands:
            result = run(command, "--help")
            assert (result.code, result.err) == (0, "")
            assert f"Usage: prestige {command}".encode() in result.out

    def test_a_gone_reader_and_a_full_disk(self, tmp_path: Path) -> None:
        path = tmp_path / "store"
        run("put", "k", "x" * 1_000_000, "-p", path)
        reader, writer = os.pipe()
        os.close(reader)
        words = [*COMMAND, "get", "k", "-p", str(path)]
        done = subprocess.run(
            words, stdout=writer, stderr=subprocess.PIPE, timeout=TIMEOUT_SECONDS, check=False
        )
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, b"")
        if Path("/dev/full").exists():
            with open("/dev/full", "wb") as full:
                done = subprocess.run(
                    words, stdout=full, stderr=subprocess.PIPE, timeout=TIMEOUT_SECONDS, check=False
                )
            assert done.returncode == 1
            assert b"No space left" in done.stderr


@pytest.mark.parametrize("plain", [False, True])
def test_styles_are_for_terminals_that_want_them(plain: bool) -> None:
    master, slave = pty.openpty()
    environment = {name: text for name, text in os.environ.items() if name != "NO_COLOR"}
    environment |= {"TERM": "xterm"} | ({"NO_COLOR": "1"} if plain else {})
    done = subprocess.run(
        [*COMMAND, "--help"], stdout=slave, env=environment, timeout=TIMEOUT_SECONDS, check=False
    )
    os.close(slave)
    said = b""
    try:
        while chunk := os.read(master, 65536):
            said += chunk
    except OSError:
        # Linux says so when the last writer has closed a terminal.
        assert sys.platform == "linux"
    os.close(master)
    assert done.returncode == 0
    assert (b"\x1b[" in said) is not plain


def test_json_is_json_whatever_the_output_can_encode(tmp_path: Path) -> None:
    run("put", "schlüssel", "größe", "-p", tmp_path / "store")
    done = run_process(
        "get", "schlüssel", "-p", tmp_path / "store", "--json", PYTHONIOENCODING="ascii"
    )
    assert json.loads(done.stdout)["value"] == "größe"
