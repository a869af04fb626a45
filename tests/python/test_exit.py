"""The interpreter exits cleanly whatever is still open: stores, servers, threads."""

from __future__ import annotations

from pathlib import Path

import pytest

import prestige

EXITS = {
    "neither closed": "",
    "only the server stopped": "server.stop()",
    "only the store closed": "store.close()",
    "server, then store": "server.stop(); store.close()",
    "store, then server": "store.close(); server.stop()",
    "names deleted, store first": "del store; del server",
    "names deleted, server first": "del server; del store",
    "inside with": "store.__enter__(); server.__enter__()",
    "garbage cycle": "cycle = [store, server]; cycle.append(cycle); del store, server, cycle",
    "sys.exit": "sys.exit(0)",
    "in another thread": "threading.Thread(target=store.close).start()",
    "daemon thread at work": "threading.Thread(target=work, daemon=True).start(); time.sleep(0.2)",
    "held by a module": "sys.modules['held'] = (store, server)",
}

EXIT_SCRIPT = """
import sys, threading, time, urllib.request
import prestige

def work():
    while True:
        try:
            store.put("key", b"x" * 1000)
            store.get("key")
        except prestige.ClosedError:
            return

store = prestige.open(sys.argv[1])
server = store.serve()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
assert opener.open(server.url + "/health").status == 200
store.put("key", "value")
"""


class TestExit:
    @pytest.mark.parametrize("way", EXITS)
    def test_interpreter_exit_is_clean(self, store_path: Path, run_script, way: str) -> None:
        done = run_script(EXIT_SCRIPT + EXITS[way] + "\n", store_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        with prestige.open(store_path) as store:
            assert "key" in store
            assert store.verify() == []

    @pytest.mark.parametrize(
        ("ending", "code", "last_line"),
        [
            ("sys.exit(3)", 3, ""),
            ("raise RuntimeError('on purpose')", 1, "RuntimeError: on purpose"),
            ("with store, server: raise RuntimeError('inside')", 1, "RuntimeError: inside"),
        ],
    )
    def test_exit_codes_are_kept(
        self, store_path: Path, run_script, ending: str, code: int, last_line: str
    ) -> None:
        done = run_script(EXIT_SCRIPT + ending + "\n", store_path)
        assert (done.returncode, done.stdout) == (code, "")
        assert "".join(done.stderr.splitlines()[-1:]) == last_line
        assert "panicked" not in done.stderr
        with prestige.open(store_path) as store:
            assert store.get("key") == b"value"
            assert store.verify() == []

    def test_what_is_still_open_is_closed_in_order(self, store_path: Path, run_script) -> None:
        """Seen by the index: closing writes its checkpoint, and the log behind it is empty."""
        script = """
            import ctypes, sys, prestige
            store = prestige.open(sys.argv[1], dedup_mode=prestige.DedupMode.SEMANTIC)
            store.put("key", "some text")
            assert store.get_health()["index_log_entries"] == 1
            store.serve()
            # As a leak in another extension would, this keeps the object from ever being freed.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(store))
        """
        done = run_script(script, store_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        with prestige.open(store_path) as store:
            assert store.get_health()["index_log_entries"] == 0
            assert store.get_health()["index_vectors"] == 1
            assert store.verify() == []
