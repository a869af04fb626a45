"""Another model for a store, and its index built anew."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import either
import numpy as np
import pytest
from test_embedder import vector_of

import prestige
from prestige import DedupMode, SemanticModel

TEXTS = [f"word{i} and more" for i in range(700)]


def first_word(texts: list[str]) -> np.ndarray:
    return np.array([vector_of(text) for text in texts])


def whole_text(texts: list[str]) -> np.ndarray:
    return np.hstack([first_word([text.replace(" ", "") for text in texts])] * 2)


OLD = {"embedder": first_word, "embedder_id": "old"}
NEW = {"embedder": whole_text, "embedder_id": "new"}


def model(settings: dict) -> SemanticModel:
    return SemanticModel(**settings)


def counting(loads: list[int]) -> SemanticModel:
    """A model that notes each call, the first of which is made when it is loaded."""

    def embed(texts: list[str]) -> np.ndarray:
        loads.append(len(texts))
        return whole_text(texts)

    return SemanticModel(embedder=embed, embedder_id="counting")


def opened(path: Path, settings: dict, **options: object) -> prestige.Store:
    return prestige.open(path, dedup_mode=DedupMode.SEMANTIC, **settings, **options)


@pytest.fixture
def made(store_path: Path) -> Path:
    """A store by the old model."""
    with opened(store_path, OLD) as store:
        store.put_many((text, text) for text in TEXTS)
        store.namespace("view").put_many((text, text) for text in TEXTS[:10])
    return store_path


class TestReembed:
    def test_while_the_store_is_in_use(self, made: Path) -> None:
        told: list[tuple[int, int]] = []

        def progress(done: int, total: int) -> None:
            told.append((done, total))
            store.put(f"new {len(told)}", f"fresh{len(told)} text")
            assert store.candidates("word7 in another text")[0]["digest"]

        with opened(made, OLD) as store:
            assert store.reembed(model(NEW), progress) >= len(TEXTS) + 10
            assert store.verify() == []
            assert told == sorted(told)
            assert told[-1][0] == told[-1][1]
            # By the old model these would be the same.
            store.put("other", "word7 in another text")
            assert store.get("other") == b"word7 in another text"
        with pytest.raises(
            prestige.ModelError, match=r"new .*old .*reembed\(model\).*reembed=True"
        ):
            opened(made, OLD)
        with opened(made, NEW) as store:
            assert store.get(TEXTS[5], decode=True) == TEXTS[5]
            assert store.namespace("view").get_health()["index_vectors"] == 10
            assert store.verify() == []

    def test_without_the_old_model(self, made: Path) -> None:
        with opened(made, NEW, reembed=True) as store:
            assert store.verify() == []
            assert store.get_health()["index_vectors"] == len(TEXTS)
        calls: list[int] = []

        def counted(texts: list[str]) -> np.ndarray:
            calls.append(len(texts))
            return whole_text(texts)

        with opened(made, {**NEW, "embedder": counted}, reembed=True):
            assert calls == [1]  # to find out the dimension

    def test_of_a_closed_store(self, made: Path, tmp_path: Path) -> None:
        told: list[tuple[int, int]] = []
        prestige.reembed(made, model(NEW), lambda done, total: told.append((done, total)))
        assert told
        asyncio.run(prestige.areembed(made, model(OLD), semantic_threshold=0.9))
        with opened(made, OLD) as store:
            assert store.verify() == []
        with pytest.raises(prestige.IOError, match="no store"):
            prestige.reembed(tmp_path / "none", model(NEW))
        assert not (tmp_path / "none").exists()

    def test_a_call_goes_on_where_the_last_one_ended(self, made: Path) -> None:
        def enough(done: int, _total: int) -> None:
            if done > 400:
                raise LookupError("enough")

        with opened(made, OLD) as store:
            with pytest.raises(LookupError, match="enough"):
                store.reembed(model(NEW), enough)
            assert store.verify() == []
            assert store.reembed(model(NEW)) < len(TEXTS)
            assert store.reembed(model(NEW)) == 0

    def test_the_asynchronous_forms(self, made: Path) -> None:
        async def main() -> None:
            async with prestige.aopen(made, dedup_mode=DedupMode.SEMANTIC, **OLD) as store:
                assert await store.arebuild_index() == len(TEXTS)
                running = asyncio.create_task(store.areembed(model(NEW)))
                while not running.done():
                    assert await store.aget(TEXTS[0]) == TEXTS[0].encode()
                    await asyncio.sleep(0)
                assert running.result() == len(TEXTS) + 10
                assert await store.averify() == []

        asyncio.run(main())

    def test_what_the_embedder_raises_comes_back_and_all_is_as_before(self, made: Path) -> None:
        def failing(texts: list[str]) -> np.ndarray:
            if len(texts) > 1:
                raise ConnectionError("out of service")
            return whole_text(texts)

        with opened(made, OLD) as store:
            with pytest.raises(ConnectionError, match="out of service"):
                store.reembed(model({**NEW, "embedder": failing}))
            store.put("more", "still works")
            assert store.verify() == []

    def test_wrong_arguments(self, made: Path, tmp_path: Path) -> None:
        with opened(made, OLD) as store:
            with pytest.raises(TypeError, match=r"SemanticModel, not function; .*embedder_id"):
                store.reembed(first_word)
            with pytest.raises(TypeError, match="SemanticModel, not NoneType"):
                store.reembed(None)
            for call in (lambda: store.reembed(model(NEW), 7), lambda: store.rebuild_index(7)):
                with pytest.raises(TypeError, match="progress must be a function"):
                    call()
            with pytest.raises(prestige.InvalidArgumentError, match="not on a view"):
                store.namespace("view").reembed(model(NEW))
        with pytest.raises(prestige.ClosedError):
            store.reembed(model(NEW))
        with prestige.open(tmp_path / "exact") as exact:
            with pytest.raises(prestige.InvalidArgumentError, match="exact store"):
                exact.reembed(model(NEW))
            assert exact.rebuild_index() == 0
        with opened(made, OLD, read_only=True) as reader:
            for refused in (lambda: reader.reembed(model(NEW)), reader.rebuild_index):
                with pytest.raises(prestige.ReadOnlyError):
                    refused()
        with pytest.raises(prestige.InvalidArgumentError, match="read_only"):
            opened(made, NEW, reembed=True, read_only=True)


CHILD = """
    import sys, time
    sys.path.insert(0, sys.argv[2])
    from test_reembed import NEW, OLD, model, opened

    def slowly(done, total):
        print(done, flush=True)
        time.sleep(0.05)

    with opened(sys.argv[1], OLD) as store:
        try:
            store.reembed(model(NEW), slowly)
        except KeyboardInterrupt:
            assert store.verify() == []
            print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_it_and_the_next_call_goes_on(
    made: Path, start: Callable[..., subprocess.Popen[str]], how: signal.Signals
) -> None:
    folder = Path(__file__).parent
    child = start(CHILD, made, folder)
    assert child.stdout is not None
    first = child.stdout.readline()
    assert int(first) > 0
    child.send_signal(how)
    output, _ = child.communicate(timeout=60)
    assert ("interrupted" in output) == (how == signal.SIGINT)
    with opened(made, OLD) as store:
        assert store.verify() == []
        assert store.reembed(model(NEW)) < len(TEXTS) + 10
        assert store.verify() == []


def test_no_model_is_loaded_for_a_call_that_is_refused(made: Path, tmp_path: Path) -> None:
    loads: list[int] = []
    other = counting(loads)
    with (
        prestige.open(tmp_path / "exact") as exact,
        pytest.raises(prestige.InvalidArgumentError, match="exact store"),
    ):
        exact.reembed(other)
    told: list[int] = []

    def progress(done: int, _total: int) -> None:
        if not told:
            with pytest.raises(prestige.BusyError, match="already"):
                store.reembed(other)
        told.append(done)

    with opened(made, OLD) as store:
        with pytest.raises(prestige.InvalidArgumentError, match="all its namespaces"):
            store.namespace("view").reembed(other)
        store.reembed(model(NEW), progress)
        assert told
        assert loads == []


@pytest.mark.parametrize("kind", either.KINDS)
def test_an_index_is_rebuilt_with_progress(made: Path, kind: str) -> None:
    told: list[tuple[int, int]] = []
    with opened(made, OLD) as opened_store, either.as_kind(kind, opened_store) as store:
        linked = store.rebuild_index(lambda done, total: told.append((done, total)))
        assert linked == len(TEXTS)
        assert told[-1] == (linked, linked)
        assert store.namespace("view").rebuild_index() == 10
        with pytest.raises(ZeroDivisionError):
            store.rebuild_index(lambda _done, _total: 1 // 0)
        with pytest.raises(TypeError, match="progress must be a function"):
            store.rebuild_index(7)
        assert asyncio.run(store.namespace("view").arebuild_index()) == 10
        assert store.verify() == []
