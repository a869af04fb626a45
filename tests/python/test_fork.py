"""Stores and child processes: forked ones are told, spawned ones open stores of their own."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

import prestige


def put_in_spawned_child(path: str, key: str) -> None:
    with prestige.open(path) as store:
        store.put(key, "from the child")


# `child` runs in the forked child; the parent then uses its store and reports.
FORK_SCRIPT = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import prestige
path, other = sys.argv[1:]
store = prestige.open(path)
server = store.serve()
store.put("key", "value")

def child():
    CHILD

pid = os.fork()
if pid == 0:
    child()
    ENDING
_, status = os.waitpid(pid, 0)
store.put("after", "value")
assert store.get("key") == store.get("after") == b"value"
assert store.verify() == []
assert not server.stopped
store.close()
print("parent unharmed, child", os.waitstatus_to_exitcode(status), flush=True)
"""

USE = """
    uses = [
        lambda: store.put("child", "value"), lambda: store.get("key"), lambda: "key" in store,
        lambda: store.delete("key"), store.list_keys, store.get_health, store.verify, store.sweep,
        store.prune, store.flush, store.compact, lambda: len(store), lambda: list(store),
        store.serve, lambda: store.evict_lru(0), lambda: store.total_bytes,
    ]
    for use in uses:
        try:
            use()
        except prestige.PrestigeError as error:
            assert "fork" in str(error) and path in str(error) and str(os.getppid()) in str(error)
        else:
            raise AssertionError(use)
"""

FORKS = {
    "uses the store": USE,
    "closes the store": "store.close(); server.stop()",
    "drops the store": "global store, server; del store, server",
    "does nothing": "pass",
    "opens the store of the parent": """
    try:
        prestige.open(path)
    except prestige.PrestigeError as error:
        assert path in str(error), error
    else:
        raise AssertionError("a second owner")
""",
    "opens another directory": """
    try:
        with prestige.open(other) as mine:
            mine.put("key", "child")
            mine.flush()
            assert mine.get("key") == b"child"
    except prestige.PrestigeError as error:
        assert "fork" in str(error), error
""",
}


class TestFork:
    @pytest.mark.parametrize("child", FORKS)
    @pytest.mark.parametrize("ending", ["os._exit(0)", "sys.exit(0)"])
    def test_the_child_is_told_and_the_parent_unharmed(
        self, tmp_path: Path, store_path: Path, run_script, child: str, ending: str
    ) -> None:
        source = FORK_SCRIPT.replace("CHILD", FORKS[child].strip()).replace("ENDING", ending)
        done = run_script(source, store_path, tmp_path / "other")
        assert (done.returncode, done.stdout) == (0, "parent unharmed, child 0\n"), done.stderr
        assert done.stderr == ""
        with prestige.open(store_path) as store:
            assert store.list_keys() == ["after", "key"]
            assert store.verify() == []

    def test_a_process_forked_before_the_store_was_opened(self, tmp_path: Path, run_script) -> None:
        script = """
            import os, sys, prestige
            pid = os.fork()
            name = "child" if pid == 0 else "parent"
            with prestige.open(f"{sys.argv[1]}/{name}") as store:
                store.put("key", name)
                store.flush()
                assert store.get("key", decode=True) == name
            if pid:
                sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
        done = run_script(script, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_spawned_child_opens_another_directory(
        self, store: prestige.Store, tmp_path: Path
    ) -> None:
        store.put("key", "value")
        context = multiprocessing.get_context("spawn")
        child = context.Process(target=put_in_spawned_child, args=(str(tmp_path / "b"), "key"))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        with prestige.open(tmp_path / "b") as other:
            assert other.get("key") == b"from the child"
        assert store.get("key") == b"value"


class TestModels:
    def test_a_forked_child_loads_the_model_anew_and_the_parent_goes_on(self, run_script) -> None:
        script = """
            import gc, os, sys
            import prestige
            model = prestige.SemanticModel()
            before = model.embed(["text"])
            pid = os.fork()
            if pid == 0:
                # The threads of the parent's model are not here: with it, this would wait for ever.
                assert (model.embed(["text"] * 40)[7] == before[0]).all()
                assert (prestige.SemanticModel().embed(["text"]) == before).all()
                del model
                gc.collect()
                sys.exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            assert (model.embed(["text"]) == before).all()
            print("both")
        """
        done = run_script(script)
        assert (done.stdout, done.stderr, done.returncode) == ("both\n", "", 0)
