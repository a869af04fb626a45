"""Cancelled calls and closed stores: a call happens wholly or not at all; the store is valid."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
from asynchronous import LIMIT_SECONDS, Held, busy_workers, until

import prestige
from prestige import _workers


class TestCancelled:
    def test_a_call_that_waits_for_a_worker_is_dropped(self, store: prestige.Store) -> None:
        async def call() -> None:
            async with busy_workers(store):
                waiting = [asyncio.create_task(store.aput(f"key{i}", "v")) for i in range(50)]
                keys = asyncio.create_task(anext(store.akeys()))
                await asyncio.sleep(0)
                for task in waiting[::2]:
                    task.cancel()
                keys.cancel()
                await asyncio.sleep(0)
                assert all(task.cancelled() for task in [*waiting[::2], keys])
                assert not any(task.done() for task in waiting[1::2])
            await asyncio.gather(*waiting[1::2])
            found = await store.acontains_many([f"key{i}" for i in range(50)])
            assert found == [i % 2 == 1 for i in range(50)]

        asyncio.run(call())

    def test_a_dropped_call_frees_its_arguments_at_once(self, store: prestige.Store) -> None:
        class Progress:
            def __call__(self, _stored: int) -> None:
                raise AssertionError

        async def call() -> None:
            async with busy_workers(store):
                progress = Progress()
                alive = weakref.ref(progress)
                task = asyncio.create_task(store.aput_many({"key": "v"}, progress=progress))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                del task, progress
                gc.collect()
                assert alive() is None

        asyncio.run(call())

    def test_a_call_that_runs_goes_on_to_its_end(self, store: prestige.Store) -> None:
        async def call() -> None:
            held = Held()
            task = held.start(store)
            await until(held.begun.is_set)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # The worker goes on, and so does the loop.
            assert not await store.acontains("held:after")
            held.released.set()
            await until(lambda: "held:after" in store)
            assert store.list_keys() == ["held:after", "held:before"]

        asyncio.run(call())

    def test_a_timeout(self, store: prestige.Store) -> None:
        async def call() -> None:
            held = Held()
            task = held.start(store)
            await until(held.begun.is_set)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(task, 0.01)
            held.released.set()
            await until(lambda: "held:after" in store)

        asyncio.run(call())

    def test_it_takes_effect_before_the_task_hears_of_it(self) -> None:
        made: list[str] = []

        async def call() -> None:
            work = _workers.Call(made.append, ("dropped",), {})
            work.ended.cancel()
            work()
            kept = _workers.Call(made.append, ("kept",), {}, droppable=False)
            kept.ended.cancel()
            kept()

        asyncio.run(call())
        assert made == ["kept"]

    def test_before_it_was_called(self, store: prestige.Store) -> None:
        async def call() -> None:
            task = asyncio.create_task(store.aput("key", "value"))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not await store.acontains("key")

        asyncio.run(call())

    @pytest.mark.parametrize("moment", ["while it runs", "when it has ended"])
    def test_an_error_that_nobody_waits_for_makes_no_noise(
        self, store: prestige.Store, caplog: pytest.LogCaptureFixture, moment: str
    ) -> None:
        reported: list[Any] = []
        raised = threading.Event()
        held = Held()

        def entries() -> Any:
            yield from held.entries()
            raised.set()
            raise ValueError("nobody hears it")

        async def call() -> None:
            asyncio.get_running_loop().set_exception_handler(
                lambda _, report: reported.append(report)
            )
            task = asyncio.create_task(store.aput_many(entries()))
            await until(held.begun.is_set)
            if moment == "while it runs":
                task.cancel()
                held.released.set()
            else:
                held.released.set()
                # Without a turn of the loop: the call has ended, and its task does not know it yet.
                assert raised.wait(LIMIT_SECONDS)
                task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert raised.wait(LIMIT_SECONDS)
            del task
            # What the worker posts arrives before it makes another call of this kind.
            await asyncio.gather(*(store.aput("key", "value") for _ in range(100)))
            gc.collect()
            await asyncio.sleep(0)

        with caplog.at_level(logging.DEBUG):
            asyncio.run(call())
        gc.collect()
        assert reported == []
        assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []

    def test_many_at_random_moments(self, store: prestige.Store) -> None:
        make = random.Random(5)

        async def work(name: int) -> None:
            pairs = {f"{name}:{i}": f"{name}" for i in range(20)}
            await store.aput_many(pairs)
            await store.adelete_many(list(pairs)[:10])
            await store.aput(f"{name}:done", "done")

        async def call() -> None:
            tasks = [asyncio.create_task(work(name)) for name in range(600)]
            for _ in range(100):
                for task in make.sample(tasks, 4):
                    task.cancel()
                await asyncio.sleep(make.choice([0, 0, 0.001]))
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            cancelled = [isinstance(one, asyncio.CancelledError) for one in ended]
            assert [one for one in ended if one is not None] == [
                one for one in ended if isinstance(one, asyncio.CancelledError)
            ]
            assert 0 < sum(cancelled) < len(tasks)
            # Running calls end; nothing is called any more.
            await until(lambda: _workers.WORKERS._unfinished == 0)
            for name in range(600):
                keys = await store.alist_keys(f"{name}:")
                # A batch of this size is one write, and so is its removal.
                assert len(keys) in ((11,) if not cancelled[name] else (0, 20, 10, 11))
            assert await store.averify() == []

        asyncio.run(call())


class TestCancelledWithAResource:
    """What a call makes is ended if its caller is gone when it is there."""

    @pytest.mark.parametrize("moment", ["while it runs", "when it has ended"])
    def test_open(self, store_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
        begun, released, ended = threading.Event(), threading.Event(), threading.Event()
        really_open = prestige.Store.open
        opened: list[prestige.Store] = []

        def gated(*arguments: Any, **options: Any) -> prestige.Store:
            begun.set()
            assert released.wait(LIMIT_SECONDS)
            opened.append(really_open(*arguments, **options))
            ended.set()
            return opened[0]

        monkeypatch.setattr(prestige.Store, "open", gated)

        async def call() -> None:
            task = asyncio.create_task(prestige.aopen(store_path))
            await until(begun.is_set)
            if moment == "while it runs":
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                released.set()
            else:
                released.set()
                assert ended.wait(LIMIT_SECONDS)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await until(lambda: opened and opened[0].closed)

        asyncio.run(call())
        monkeypatch.undo()
        opened[0].close()  # Waits for the close that has begun.
        with prestige.open(store_path) as store:
            assert store.verify() == []

    def test_open_that_waits_for_a_worker(self, store: prestige.Store, tmp_path: Path) -> None:
        async def call() -> None:
            async with busy_workers(store):
                task = asyncio.create_task(prestige.aopen(tmp_path / "other"))
                await asyncio.sleep(0)
                # From now on, and not only when the task has heard of it.
                task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(call())
        assert not (tmp_path / "other").exists()

    @pytest.mark.parametrize("moment", ["before", "while", "after"])
    def test_any(self, moment: str) -> None:
        begun, released, ended = threading.Event(), threading.Event(), threading.Event()
        gone: list[tuple[str, str]] = []

        def make() -> str:
            begun.set()
            assert released.wait(LIMIT_SECONDS)
            ended.set()
            return "resource"

        def release(made: str) -> None:
            gone.append((made, threading.current_thread().name))
            raise ValueError("nobody hears it")

        async def call() -> None:
            task = asyncio.create_task(
                _workers.finish(_workers.Call(make, (), {}, release=release))
            )
            if moment != "before":
                await until(begun.is_set)
            if moment == "after":
                released.set()
                assert ended.wait(LIMIT_SECONDS)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            released.set()
            if moment != "before":
                await until(lambda: gone)

        asyncio.run(call())
        assert [made for made, _ in gone] == ([] if moment == "before" else ["resource"])
        assert all(thread.startswith("prestige-worker-") for _, thread in gone)


class TestClosing:
    def test_closing_waits_for_what_runs(self, store_path: Path) -> None:
        begun, released = threading.Event(), threading.Event()

        def visit(*_columns: Any) -> None:
            begun.set()
            assert released.wait(LIMIT_SECONDS)

        async def call() -> None:
            # More than one batch of an export, which has the store in use while `visit` is called.
            store = await prestige.aopen(store_path)
            await store.aput_many((f"key{i}", bytes(1 << 20)) for i in range(20))
            export = asyncio.create_task(_workers.run(store._export_batches, None, visit))
            await until(begun.is_set)
            closing = asyncio.create_task(store.aclose())
            await until(lambda: store.closed)
            with pytest.raises(prestige.ClosedError):
                await store.aget("key1")
            assert not closing.done()
            released.set()
            assert await export == 20
            await closing
            async with prestige.aopen(store_path) as again:
                assert await again.averify() == []

        asyncio.run(call())

    def test_pending_calls_happen_wholly_or_not_at_all(self, store_path: Path) -> None:
        async def call() -> None:
            store = await prestige.aopen(store_path)
            puts = [
                asyncio.create_task(store.aput_many({f"{i}:a": "v", f"{i}:b": "v"}))
                for i in range(500)
            ]
            await asyncio.sleep(0)
            await store.aclose()
            ended = await asyncio.gather(*puts, return_exceptions=True)
            async with prestige.aopen(store_path) as again:
                for i, one in enumerate(ended):
                    keys = await again.alist_keys(f"{i}:")
                    if isinstance(one, prestige.ClosedError):
                        assert keys == []
                    else:
                        assert one == 2
                        assert keys == [f"{i}:a", f"{i}:b"]
                assert await again.averify() == []

        asyncio.run(call())

    def test_an_input_without_an_end_ends_with_the_store(self, store_path: Path) -> None:
        begun = threading.Event()

        def endless() -> Any:
            for i in range(10**9):
                yield f"key{i % 5000}", "value"
                if i > 3000:
                    begun.set()

        async def call() -> None:
            store = await prestige.aopen(store_path)
            task = asyncio.create_task(store.aput_many(endless()))
            await until(begun.is_set)
            await store.aclose()
            with pytest.raises(prestige.ClosedError):
                await task

        asyncio.run(call())
        with prestige.open(store_path) as again:
            assert len(again) >= 3000
            assert again.verify() == []

    def test_a_cancelled_close_closes_all_the_same(
        self, store: prestige.Store, tmp_path: Path
    ) -> None:
        async def call() -> None:
            other = await prestige.aopen(tmp_path / "other")
            async with busy_workers(store):
                task = asyncio.create_task(other.aclose())
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert not other.closed
            await until(lambda: other.closed)
            other.close()  # Waits for the close that has begun.
            async with prestige.aopen(tmp_path / "other") as again:
                assert await again.averify() == []

        asyncio.run(call())

    def test_a_loop_that_ends_first(self, store: prestige.Store) -> None:
        """What a worker finishes later has nobody to go to."""
        held = Held()

        async def call() -> None:
            held.start(store)
            await until(held.begun.is_set)

        asyncio.run(call())
        held.released.set()

        async def later() -> None:
            await until(lambda: "held:after" in store)
            assert await store.averify() == []

        asyncio.run(later())
