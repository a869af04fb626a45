"""The workers of the process: several loops, forks, and the end of the interpreter."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from asynchronous import LIMIT_SECONDS, worker_threads
from together import run_all

import prestige
from prestige import _workers

FORK_SCRIPT = """
import asyncio, os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import prestige
path, other = sys.argv[1:]

async def use():
    await asyncio.gather(*(store.aput(f"key{i}", "value") for i in range(50)))
    return await store.aget("key1")

async def refused():
    keys = store.akeys()
    uses = [
        store.aget("key1"), store.aget("missing", None), store.aput("child", "value"),
        store.averify(), store.anamespace("child"), store.acontains("key1"), keys.__anext__(),
        prestige.aopen(other), store.__aenter__(),
    ]
    for use in uses:
        try:
            await use
        except prestige.PrestigeError as error:
            assert "fork" in str(error), error
        else:
            raise AssertionError(use)
    await store.aclose()
    return [thread.name for thread in threading.enumerate()]

store = prestige.open(path)
assert asyncio.run(use()) == b"value"
pid = os.fork()
if pid == 0:
    names = asyncio.run(refused())
    assert sum(name.startswith("prestige-worker-") for name in names) >= 1, names
    ENDING
_, status = os.waitpid(pid, 0)
assert asyncio.run(use()) == b"value"
assert asyncio.run(store.averify()) == []
print("parent unharmed, child", os.waitstatus_to_exitcode(status), flush=True)
"""

# `WORK` is called when every worker is at work, and a thousand calls wait for one.
EXIT_SCRIPT = """
import asyncio, sys, threading, time
import prestige
from prestige import _workers

begun = threading.Semaphore(0)

def slowly(name):
    yield f"{name}:a", "value"
    begun.release()
    time.sleep(0.3)
    yield f"{name}:b", "value"
    open(f"{name}.ended", "w").close()

async def main():
    global store, tasks
    store = await prestige.aopen(sys.argv[1])
    await store.aput("key", "value")
    tasks = [
        asyncio.create_task(store.aput_many(slowly(f"running{i}")))
        for i in range(_workers.THREADS)
    ]
    await asyncio.sleep(0)
    for _ in tasks:
        while not begun.acquire(blocking=False):
            await asyncio.sleep(0.001)
    tasks += [asyncio.create_task(store.aput(f"queued{i}", "value")) for i in range(1000)]
    # Not of a store, so closing the stores does not refuse it.
    tasks.append(asyncio.create_task(_workers.run(open, "queued", "w")))
    await asyncio.sleep(0)
    WORK

"""

EXITS = {
    "the main coroutine returns": ("return", "asyncio.run(main())", 0),
    "sys.exit": ("sys.exit(3)", "asyncio.run(main())", 3),
    "sys.exit afterwards": ("return", "asyncio.run(main()); sys.exit(4)", 4),
    "the store is dropped": ("del globals()['store']", "asyncio.run(main())", 0),
    "the loop is neither stopped nor closed": (
        "reached.set(); await asyncio.sleep(60)",
        "reached = threading.Event()\n"
        "threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()\n"
        "reached.wait()",
        0,
    ),
}


class TestLoops:
    def test_two_loops_in_two_threads(self, store: prestige.Store) -> None:
        failures: list[BaseException] = []

        def loop(name: str) -> Callable[[], None]:
            async def call() -> None:
                for round_number in range(5):
                    keys = [f"{name}:{round_number}:{i}" for i in range(100)]
                    await asyncio.gather(*(store.aput(key, key) for key in keys))
                    found = await asyncio.gather(*(store.aget(key, decode=True) for key in keys))
                    assert found == keys
                    listed = [key async for key in store.akeys(f"{name}:{round_number}:")]
                    assert listed == sorted(keys)

            def run() -> None:
                try:
                    asyncio.run(call())
                except BaseException as failure:
                    failures.append(failure)

            return run

        run_all([loop("one"), loop("two")])
        assert failures == []
        assert len(store) == 1000
        assert len(worker_threads()) <= _workers.THREADS

    def test_a_loop_of_another_thread_outlives_the_main_thread(
        self, store_path: Path, run_script
    ) -> None:
        script = """
            import asyncio, sys, threading
            import prestige

            async def main():
                async with prestige.aopen(sys.argv[1]) as store:
                    ready.set()
                    main_thread.join()
                    await asyncio.gather(*(store.aput(f"key{i}", "value") for i in range(100)))
                    print(await store.acount_keys(), await store.averify(), flush=True)

            main_thread, ready = threading.main_thread(), threading.Event()
            threading.Thread(target=lambda: asyncio.run(main())).start()
            ready.wait()
        """
        done = run_script(script, store_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "100 []\n", "")


class TestFork:
    @pytest.mark.parametrize("ending", ["os._exit(0)", "sys.exit(0)"])
    def test_the_child_is_told_and_the_parent_unharmed(
        self, tmp_path: Path, store_path: Path, run_script, ending: str
    ) -> None:
        done = run_script(FORK_SCRIPT.replace("ENDING", ending), store_path, tmp_path / "other")
        assert (done.returncode, done.stdout) == (0, "parent unharmed, child 0\n"), done.stderr
        assert done.stderr == ""

    def test_a_child_has_workers_of_its_own(self, tmp_path: Path, run_script) -> None:
        """Forked before a store was opened, and after the workers have begun."""
        script = """
            import asyncio, os, sys, threading, warnings
            warnings.simplefilter("ignore", DeprecationWarning)
            import prestige

            async def begin():
                try:
                    await prestige.SemanticModel().aembed("no list")
                except TypeError:
                    return
                raise AssertionError

            async def use(name):
                async with prestige.aopen(f"{sys.argv[1]}/{name}") as store:
                    await asyncio.gather(*(store.aput(f"key{i}", name) for i in range(100)))
                    assert await store.acount_keys() == 100
                    assert await store.averify() == []

            asyncio.run(begin())
            pid = os.fork()
            asyncio.run(use("child" if pid == 0 else "parent"))
            if pid:
                sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
        done = run_script(script, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")


class TestExit:
    @pytest.mark.parametrize("way", EXITS)
    def test_with_calls_that_run_and_calls_that_wait(
        self, tmp_path: Path, store_path: Path, run_script, way: str
    ) -> None:
        work, start, code = EXITS[way]
        done = run_script(EXIT_SCRIPT.replace("WORK", work) + start + "\n", store_path)
        assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
        assert not (tmp_path / "queued").exists()
        assert len(list(tmp_path.glob("running*.ended"))) == _workers.THREADS
        with prestige.open(store_path) as store:
            assert store.get("key") == b"value"
            assert store.list_keys("queued") == []
            for i in range(_workers.THREADS):
                keys = store.list_keys(f"running{i}:")
                assert keys in ([], [f"running{i}:a", f"running{i}:b"])
            assert store.verify() == []

    def test_an_input_without_an_end(self, store_path: Path, run_script) -> None:
        script = """
            import asyncio, itertools, sys, threading
            import prestige

            begun = threading.Event()

            async def main():
                store = await prestige.aopen(sys.argv[1])
                task = asyncio.create_task(store.aput_many(
                    ((f"key{i % 5000}", "value") for i in itertools.count()),
                    progress=lambda stored: begun.set(),
                ))
                while not begun.is_set():
                    await asyncio.sleep(0.001)

            asyncio.run(main())
        """
        done = run_script(script, store_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        with prestige.open(store_path) as store:
            assert len(store) >= 1000
            assert store.verify() == []

    def test_handlers_that_run_after_the_workers_have_ended(
        self, store_path: Path, run_script
    ) -> None:
        script = """
            import asyncio, atexit, sys

            async def late():
                try:
                    await store.aput("late", "value")
                except prestige.ClosedError:
                    print("closed", flush=True)
                await store.aclose()

            # Registered before prestige is imported, so called after it has ended.
            atexit.register(lambda: asyncio.run(late()))
            import prestige

            store = prestige.open(sys.argv[1])
            asyncio.run(store.aput("key", "value"))
        """
        done = run_script(script, store_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "closed\n", "")

    @pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
    def test_ctrl_c_during_a_long_embed(self, start) -> None:
        script = """
            import asyncio
            import prestige

            async def main():
                model = prestige.SemanticModel()
                await model.aembed(["loaded"])
                texts = [f"question number {i} about an order" for i in range(200_000)]
                work = asyncio.create_task(model.aembed(texts))
                await asyncio.sleep(1.0)
                print("embedding", flush=True)
                await work

            try:
                asyncio.run(main())
            except KeyboardInterrupt:
                print("interrupted", flush=True)
        """
        child: subprocess.Popen[str] = start(script)
        assert child.stdout is not None
        assert child.stdout.readline() == "embedding\n"
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=LIMIT_SECONDS)
        assert (output, errors, child.returncode) == ("interrupted\n", "", 0)

    def test_asyncio_is_imported_when_it_is_used(self, run_script) -> None:
        """It takes several times as long to import as all of prestige."""
        done = run_script("import sys, prestige; print('asyncio' in sys.modules)")
        assert (done.returncode, done.stdout) == (0, "False\n")


def test_the_threads_have_names(store: prestige.Store) -> None:
    names: list[str] = []

    def progress(_stored: int) -> None:
        names.append(threading.current_thread().name)

    asyncio.run(store.aput_many({"key": "value"}, progress=progress))
    assert [name.rpartition("-")[0] for name in names] == ["prestige-worker"]
