"""The `asyncio` forms and the event loop: iteration, turns of other tasks, threads, exceptions."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import threading
import types
import weakref
from typing import Any

import pytest
from asynchronous import LIMIT_SECONDS, until, worker_threads

import prestige
from prestige import _workers

ITERATORS = ["keys", "values", "items", "scan"]

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


class TestIteration:
    def test_all_that_iterates(self, store: prestige.Store) -> None:
        store.put_many((f"key{i:05}", f"value {i % 100}") for i in range(3000))

        async def call() -> None:
            for name in ITERATORS:
                for given in ({}, {"prefix": "key01"}, {"start": "key02500"}, {"limit": 700}):
                    sync, form = getattr(store, name), getattr(store, f"a{name}")
                    assert [item async for item in form(**given)] == list(sync(**given))
            assert [key async for key in store] == list(store)
            assert [key async for key in store.akeys("none")] == []
            with pytest.raises(TypeError):
                await store.akeys(prefix=1).__anext__()

        asyncio.run(call())

    def test_workers_read_pages(
        self, store: prestige.Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.put_many((f"key{i:05}", "value") for i in range(5000))
        calls: list[object] = []
        submit = _workers.WORKERS.submit
        monkeypatch.setattr(
            _workers.WORKERS, "submit", lambda work: (calls.append(work), submit(work))
        )

        async def call() -> int:
            return sum([1 async for _ in store.aitems()])

        assert asyncio.run(call()) == 5000
        assert len(calls) <= 5000 / 512 + 3

    def test_large_values_come_in_small_pages(self, store: prestige.Store) -> None:
        store.put_many((f"key{i}", bytes([i]) * 600_000) for i in range(10))

        async def call() -> None:
            iterator = store.items()
            pages = []
            while page := iterator._next_page():
                pages.append(len(page))
            assert pages == [2] * 5
            assert [value[0] async for value in store.avalues()] == list(range(10))

        asyncio.run(call())

    def test_it_sees_the_store_as_it_was(self, store: prestige.Store) -> None:
        store.put_many((f"key{i:05}", "value") for i in range(2000))

        async def call() -> None:
            async with contextlib.aclosing(store.akeys()) as keys:
                first = await keys.__anext__()
                assert await store.adelete_many(store.keys()) == 2000
                await store.aput("key01000a", "value")
                assert [first] + [key async for key in keys] == [f"key{i:05}" for i in range(2000)]

        asyncio.run(call())

    def test_a_generator_that_is_closed_or_dropped_gives_up_its_snapshot(
        self, store: prestige.Store
    ) -> None:
        async def size_without(end: str) -> tuple[int, int]:
            """Bytes on disk after all was deleted: with a begun iteration, and without it."""

            async def compacted() -> int:
                # RocksDB looks at what it may drop when it writes files.
                await store.aput("another", "write")
                await store.aflush()
                await store.acompact()
                return (await store.aget_health())["bytes_on_disk"]

            await store.aput_many(
                (f"{i:04}", bytes([i % 256]) * 5000 + b"%d" % i) for i in range(600)
            )
            items = store.aitems()
            await items.__anext__()
            await store.adelete_many(store.keys())
            during = await compacted()
            if end == "closed":
                await items.aclose()
                with pytest.raises(StopAsyncIteration):
                    await items.__anext__()
            else:
                del items
                gc.collect()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            return during, await compacted()

        async def call() -> None:
            for end in ("closed", "dropped"):
                during, afterwards = await size_without(end)
                assert afterwards < during, end

        asyncio.run(call())

    def test_a_store_closed_meanwhile(self, store: prestige.Store) -> None:
        store.put_many((f"key{i:05}", "value") for i in range(1000))

        async def call() -> None:
            keys = store.akeys()
            await keys.__anext__()
            await store.aclose()
            with pytest.raises(prestige.ClosedError):
                async for _ in keys:
                    pass
            async with prestige.aopen(store.path) as again:
                assert await again.averify() == []

        asyncio.run(call())


class TestLoop:
    def test_it_runs_on_while_a_call_takes_long(self, store: prestige.Store) -> None:
        """The call can end only because another task of the loop lets it."""
        turns = threading.Semaphore(0)

        def entries() -> Any:
            for i in range(100):
                assert turns.acquire(timeout=LIMIT_SECONDS), "the loop stands still"
                yield f"key{i}", "value"

        async def beat() -> None:
            while True:
                turns.release()
                await asyncio.sleep(0)

        async def call() -> None:
            heart = asyncio.create_task(beat())
            assert await store.aput_many(entries()) == 100
            heart.cancel()
            assert await store.averify() == []

        asyncio.run(call())

    def test_answers_from_memory_leave_the_others_their_turn(self, store: prestige.Store) -> None:
        store.put("key", "value")

        async def call() -> None:
            beats = 0

            async def beat() -> None:
                nonlocal beats
                while True:
                    beats += 1
                    await asyncio.sleep(0)

            heart = asyncio.create_task(beat())
            for _ in range(10_000):
                await store.aget("key")
            heart.cancel()
            assert beats >= 100

        asyncio.run(call())

    def test_ten_thousand_calls_and_few_threads(self, store: prestige.Store) -> None:
        async def call() -> None:
            names = range(10_000)
            await asyncio.gather(*(store.aput(f"key{i}", f"value {i % 1000}") for i in names))
            found = await asyncio.gather(*(store.aget(f"key{i}", decode=True) for i in names))
            assert found == [f"value {i % 1000}" for i in names]
            assert await store.acount_keys() == 10_000
            assert await store.acount_unique_values() == 1000
            assert await store.averify() == []

        asyncio.run(call())
        assert 1 <= len(worker_threads()) <= _workers.THREADS
        assert all(thread.daemon for thread in worker_threads())

    def test_threads_come_as_they_are_needed_and_none_twice(self) -> None:
        workers, gate, entered = _workers.Workers(3), threading.Event(), threading.Semaphore(0)

        def work() -> None:
            entered.release()
            gate.wait(LIMIT_SECONDS)

        for expected in (1, 2, 3, 3):
            workers.submit(work)
            assert len(workers._threads) == expected
        gate.set()
        for _ in range(4):
            assert entered.acquire(timeout=LIMIT_SECONDS)
        workers.stop()
        workers.join()
        assert not any(thread.is_alive() for thread in workers._threads)
        # Later the caller's thread makes the calls.
        workers.submit(entered.release)
        assert entered.acquire(blocking=False)

    def test_a_call_submitted_while_another_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As the garbage collector may do anywhere, when it ends a coroutine that nobody awaits."""
        workers, made = _workers.Workers(2), threading.Semaphore(0)
        start, once = workers._start, [True]

        def collect() -> None:
            start()
            if once:
                once.clear()
                workers.submit(made.release)

        monkeypatch.setattr(workers, "_start", collect)
        workers.submit(made.release)
        for _ in range(2):
            assert made.acquire(timeout=LIMIT_SECONDS)
        workers.stop()
        workers.join()

    def test_where_no_thread_can_be_had(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those that are there go on; without any the caller's thread makes the calls."""

        def refuse(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        async def call(workers: _workers.Workers) -> list[str]:
            monkeypatch.setattr(_workers, "WORKERS", workers)
            name = await _workers.run(lambda: threading.current_thread().name)
            monkeypatch.setattr(threading.Thread, "start", refuse)
            names = [_workers.run(lambda: threading.current_thread().name) for _ in range(9)]
            return [name, *await asyncio.gather(*names)]

        one, none = _workers.Workers(2), _workers.Workers(2)
        assert set(asyncio.run(call(one))) == {"prestige-worker-0"}
        assert set(asyncio.run(call(none))) == {threading.current_thread().name}
        one.stop()
        one.join()

    def test_context_variables_come_along(self, store: prestige.Store) -> None:
        seen: list[tuple[str, str]] = []

        def progress(_stored: int) -> None:
            seen.append((VARIABLE.get(), threading.current_thread().name))
            VARIABLE.set("changed in the worker")

        async def call() -> None:
            VARIABLE.set("of the caller")
            await store.aput_many({"key": "value"}, progress=progress)
            assert VARIABLE.get() == "of the caller"

        asyncio.run(call())
        ((value, thread),) = seen
        assert value == "of the caller"
        assert thread.startswith("prestige-worker-")

    @pytest.mark.parametrize(
        "error", [ZeroDivisionError, StopIteration, asyncio.CancelledError, GeneratorExit]
    )
    def test_whatever_a_call_raises(
        self, store: prestige.Store, error: type[BaseException]
    ) -> None:
        def progress(_stored: int) -> None:
            raise error("on purpose")

        async def call() -> None:
            # A coroutine cannot raise StopIteration: Python makes a RuntimeError of it.
            expected = RuntimeError if error is StopIteration else error
            with pytest.raises(expected):
                await store.aput_many({"key": "value"}, progress=progress)

        asyncio.run(call())

    def test_what_is_done_is_not_kept(self, store: prestige.Store) -> None:
        """Neither an idle worker nor a traceback in a cycle keeps arguments and results alive."""

        class Progress:
            def __init__(self, error: bool) -> None:
                self.error = error

            def __call__(self, _stored: int) -> None:
                if self.error:
                    raise ValueError("on purpose")

        async def call() -> None:
            for error in (False, True):
                progress = Progress(error)
                with contextlib.suppress(ValueError):
                    await store.aput_many({"key": "value"}, progress=progress)
                # The worker that made the call is done with it when it has made another.
                await until(lambda p=progress: len(gc.get_referrers(p)) <= 2)

        gc.collect()
        gc.disable()
        try:
            asyncio.run(call())
        finally:
            gc.enable()

    def test_an_idle_worker_keeps_no_loop_alive(self, store: prestige.Store, wait_until) -> None:
        async def call() -> weakref.ref[asyncio.AbstractEventLoop]:
            await store.aput("key", "value")
            return weakref.ref(asyncio.get_running_loop())

        loop = asyncio.run(call())
        wait_until(lambda: gc.collect() is not None and loop() is None)

    def test_outside_of_a_loop(self, store: prestige.Store) -> None:
        with pytest.raises(RuntimeError, match="no running event loop"):
            store.aput("key", "value").send(None)
        assert isinstance(store.akeys(), types.AsyncGeneratorType)
        assert "key" not in store
