"""A Python function as the embedder of a semantic store."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

import prestige
from prestige import DedupMode, SemanticModel

DIMENSION = 16
ID = "test-model@16"


def vector_of(text: str) -> np.ndarray:
    """A vector that depends on the text's first word alone: texts that share it mean the same."""
    word = (text.split() or [""])[0]
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(DIMENSION)


def embed(texts: list[str]) -> np.ndarray:
    return np.array([vector_of(text) for text in texts])


def open_with(path: Path, function: Callable = embed, **options: object) -> prestige.Store:
    settings = {"dedup_mode": DedupMode.SEMANTIC, "embedder": function, "embedder_id": ID}
    return prestige.open(path, **{**settings, **options})


def together(count: int, work: Callable[[int], object]) -> None:
    """Runs `work` with the numbers from 0 in threads, and passes on what they raise."""
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))


class Recorder:
    """Embeds, and writes down what it is called with."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, texts: list[str]) -> np.ndarray:
        assert type(texts) is list
        assert {type(text) for text in texts} == {str}
        self.calls.append(texts)
        return embed(texts)


class TestUse:
    def test_texts_of_near_vectors_share_a_value(self, store_path: Path) -> None:
        with open_with(store_path) as store:
            store.put("a", "refund of an order")
            store.put("b", "refund for what I ordered")
            store.put("c", "password")
            assert store.get_object_id("a") == store.get_object_id("b")
            assert store.get_object_id("a") != store.get_object_id("c")
            assert store.get("b") == b"refund of an order"
            assert store.verify() == []

    def test_each_unknown_text_of_a_batch_is_asked_for_once_and_in_order(
        self, store_path: Path
    ) -> None:
        recorder = Recorder()
        with open_with(store_path, recorder) as store:
            assert len(recorder.calls) == 1  # How long its vectors are
            assert len(recorder.calls[0]) == 1
            store.put("held", "held")
            values = ["one", "two", "held", "one", "", b"\xff", "three"]
            store.put_many([(f"k{i}", value) for i, value in enumerate(values)])
            assert recorder.calls[1:] == [["held"], ["one", "two", "three"]]
            assert store.verify() == []

    def test_text_of_every_kind_arrives_as_it_is(self, store_path: Path) -> None:
        recorder = Recorder()
        texts = ["naïve café", "配送", "😀 emoji", "a\0b", " spaces ", "x" * 8000]
        with open_with(store_path, recorder) as store:
            store.put_many((str(i), text) for i, text in enumerate(texts))
        assert recorder.calls[1] == texts

    def test_an_exact_store_does_not_call_it(self, store_path: Path) -> None:
        recorder = Recorder()
        with open_with(store_path, recorder, dedup_mode=DedupMode.EXACT) as store:
            store.put("key", "text")
        assert recorder.calls == []

    def test_as_options_and_as_a_model(self, store_path: Path, tmp_path: Path) -> None:
        options = prestige.Options(dedup_mode=DedupMode.SEMANTIC)
        assert options.embedder is None
        assert options.embedder_id is None
        options.embedder, options.embedder_id = embed, ID
        assert options.embedder is embed
        with prestige.open(store_path, options) as store:
            store.put("key", "text")
        model = SemanticModel(embedder=embed, embedder_id=ID)
        assert (model.embedder, model.embedder_id) == (embed, ID)
        assert repr(model) == f"<prestige.SemanticModel model={ID}>"
        assert model.dimension == DIMENSION
        vectors = model.embed(["text", "other", "text"])
        assert vectors.dtype == np.float32
        assert vectors.shape == (3, DIMENSION)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
        assert model.embed([]).shape == (0, DIMENSION)
        for path in (store_path, tmp_path / "other"):
            with prestige.open(path, dedup_mode=DedupMode.SEMANTIC, semantic_model=model) as store:
                store.put("key", "text")
                assert store.verify() == []

    def test_methods_and_callable_objects(self, store_path: Path) -> None:
        class Model:
            def encode(self, texts: list[str]) -> list[list[float]]:
                return embed(texts).tolist()

        with open_with(store_path, Model().encode) as store:
            store.put("key", "text")
            assert store.verify() == []

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "uint16"])
    def test_every_type_of_number(self, dtype: str) -> None:
        rows = np.arange(1, 9).reshape(2, 4).astype(dtype)
        model = SemanticModel(embedder=lambda texts: rows[: len(texts)], embedder_id=ID)
        unit = rows.astype(float) / np.linalg.norm(rows.astype(float), axis=1, keepdims=True)
        np.testing.assert_allclose(model.embed(["a", "b"]), unit, atol=1e-6)

    @pytest.mark.parametrize("scale", [1e-300, 1e300, 1e-40])
    def test_numbers_beyond_float32_are_scaled(self, scale: float) -> None:
        model = SemanticModel(embedder=lambda _: [[3 * scale, 4 * scale]], embedder_id=ID)
        np.testing.assert_allclose(model.embed(["a"]), [[0.6, 0.8]], atol=1e-6)

    def test_rows_that_are_not_contiguous(self) -> None:
        rows = np.asfortranarray(np.arange(1.0, 9, dtype=np.float32).reshape(2, 4))
        for view in (rows, rows[:, ::-1], rows[:, ::2]):
            model = SemanticModel(embedder=lambda t, v=view: v[: len(t)], embedder_id=ID)
            unit = view / np.linalg.norm(view, axis=1, keepdims=True)
            np.testing.assert_allclose(model.embed(["a", "b"]), unit, atol=1e-6)


class TestIdentity:
    def test_another_name_is_another_model(self, store_path: Path) -> None:
        with open_with(store_path) as store:
            store.put("key", "text")
        with pytest.raises(prestige.ModelError) as caught:
            open_with(store_path, embedder_id="other-model")
        assert ID in str(caught.value)
        assert "other-model" in str(caught.value)
        # Function and object may change as long as the name does not.
        with open_with(store_path, Recorder()) as store:
            store.put("again", "text")
            assert store.get_object_id("again") == store.get_object_id("key")

    def test_another_dimension_is_another_model(self, store_path: Path) -> None:
        with open_with(store_path) as store:
            store.put("key", "text")
        with pytest.raises(prestige.ModelError, match=r"dimension 16.*dimension 8"):
            open_with(store_path, lambda texts: embed(texts)[:, :8])

    def test_the_bundled_model_is_another_model(self, store_path: Path) -> None:
        with open_with(store_path) as store:
            store.put("key", "text")
        with pytest.raises(prestige.ModelError, match=f"{ID}.*MiniLM"):
            prestige.open(store_path)

    def test_the_fingerprint_is_a_constant_of_name_and_dimension(self) -> None:
        model = SemanticModel(embedder=embed, embedder_id=ID)
        # Stores in the field have it recorded.
        parts = [b"prestige python embedder 1", ID.encode(), (16).to_bytes(8, "little")]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(len(part).to_bytes(8, "little") + part)
        assert model.fingerprint == digest.hexdigest()
        other = SemanticModel(embedder=embed, embedder_id="other")
        assert model.fingerprint != other.fingerprint

    @pytest.mark.parametrize("name", [None, "", "  "])
    def test_a_name_is_needed(self, store_path: Path, name: str | None) -> None:
        for mode in (DedupMode.SEMANTIC, DedupMode.EXACT):
            with pytest.raises(prestige.InvalidArgumentError, match="embedder_id"):
                open_with(store_path, embedder_id=name, dedup_mode=mode)
        with pytest.raises(prestige.InvalidArgumentError, match="embedder_id"):
            SemanticModel(embedder=embed, embedder_id=name)
        assert not store_path.exists()

    def test_a_name_alone_is_refused(self, store_path: Path) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match="both or neither"):
            prestige.open(store_path, embedder_id=ID)
        with pytest.raises(prestige.InvalidArgumentError, match="both or neither"):
            SemanticModel(embedder_id=ID)

    @pytest.mark.parametrize(
        "other",
        [
            {"semantic_model": SemanticModel()},
            {"semantic_model_path": "model"},
            {"semantic_pooling": "cls"},
        ],
        ids=lambda other: next(iter(other)),
    )
    def test_a_second_model_is_refused(self, store_path: Path, other: dict[str, object]) -> None:
        with pytest.raises(prestige.InvalidArgumentError, match="embedder"):
            open_with(store_path, **other)

    def test_settings_of_files_are_refused(self, store_path: Path) -> None:
        for settings in ({"model_path": "x"}, {"prefix": "p"}, {"max_tokens": 5}):
            with pytest.raises(prestige.InvalidArgumentError, match="no other setting"):
                SemanticModel(embedder=embed, embedder_id=ID, **settings)
        model = SemanticModel(embedder=embed, embedder_id=ID)
        model.pooling = "cls"
        with pytest.raises(prestige.InvalidArgumentError, match="no other setting"):
            model.embed(["a"])
        with pytest.raises(prestige.InvalidArgumentError, match="no other setting"):
            prestige.open(store_path, dedup_mode=DedupMode.SEMANTIC, semantic_model=model)

    @pytest.mark.parametrize(
        "wrong", [1, "embed", np.ones(3)], ids=lambda wrong: type(wrong).__name__
    )
    def test_what_cannot_be_called_is_refused(self, store_path: Path, wrong: object) -> None:
        for make in (
            lambda: open_with(store_path, wrong),
            lambda: prestige.Options(embedder=wrong),
            lambda: SemanticModel(embedder=wrong, embedder_id=ID),
        ):
            with pytest.raises(TypeError, match="embedder"):
                make()
        with pytest.raises(TypeError, match="embedder_id"):
            prestige.Options(embedder_id=5)


class Moody:
    """Embeds until told to answer otherwise."""

    def __init__(self) -> None:
        self.answer: Callable[[list[str]], object] = embed

    def __call__(self, texts: list[str]) -> object:
        return self.answer(texts)


class Unreadable:
    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise RuntimeError("on another device")


def with_row(number: float) -> Callable[[list[str]], np.ndarray]:
    """Answers with `number` all over the last row."""

    def answer(texts: list[str]) -> np.ndarray:
        rows = embed(texts)
        rows[-1] = number
        return rows

    return answer


async def coroutine(texts: list[str]) -> np.ndarray:
    return embed(texts)


WRONG = {
    "too few rows": (lambda t: embed(t)[1:], r"\(2, 16\).*found \(1, 16\)"),
    "too many rows": (lambda t: embed([*t, "x"]), r"\(2, 16\).*found \(3, 16\)"),
    "another dimension": (lambda t: embed(t)[:, :5], r"\(2, 16\).*found \(2, 5\)"),
    "no dimension": (lambda t: embed(t)[:, :0], r"\(2, 16\).*found \(2, 0\)"),
    "one row": (lambda t: embed(t)[0], r"\(2, 16\).*found \(16,\)"),
    "three dimensions": (lambda t: embed(t)[None], r"\(2, 16\).*found \(1, 2, 16\)"),
    "a number": (lambda _: 1.5, r"\(2, 16\).*found \(\)"),
    "None": (lambda _: None, r"\(2, 16\).*found NoneType"),
    "text": (lambda _: "vectors", r"\(2, 16\).*found str"),
    "texts": (lambda t: [["a"] * 16 for _ in t], r"\(2, 16\).*found an array of <U1"),
    "complex numbers": (lambda t: embed(t) * 1j, r"\(2, 16\).*found an array of complex128"),
    "booleans": (lambda t: embed(t) > 0, r"\(2, 16\).*found an array of bool"),
    "objects": (
        lambda t: [[Decimal(1)] * 16 for _ in t],
        r"\(2, 16\).*found an array of object",
    ),
    "ragged rows": (lambda _: [[1.0] * 16, [1.0] * 15], r"\(2, 16\).*found list: .*inhomogeneous"),
    "an unreadable object": (lambda _: Unreadable(), r"\(2, 16\).*Unreadable.*on another device"),
    "a coroutine": (coroutine, r"\(2, 16\).*found a coroutine"),
    "NaN": (with_row(np.nan), "finite.*found NaN in row 1"),
    "infinity": (with_row(np.inf), "finite.*found an infinity in row 1"),
    "zeros": (with_row(0), "not all zero.*found only zeros in row 1"),
}


# Or while no dimension is known.
RIGHT_FOR_ONE_TEXT = ("too few rows", "ragged rows", "another dimension")


class TestWrongAnswers:
    @pytest.mark.parametrize("name", WRONG)
    def test_at_work(self, store_path: Path, name: str) -> None:
        answer, message = WRONG[name]
        moody = Moody()
        with open_with(store_path, moody) as store:
            store.put("key", "text")
            before = store.get_health()["total_objects"]
            moody.answer = answer
            with pytest.raises(prestige.ModelError, match=message) as caught:
                store.put_many({"key": "one", "new": "two"})
            assert ID in str(caught.value)
            assert store.get("key") == b"text"
            assert "new" not in store
            assert store.get_health()["total_objects"] == before
            # Bytes that are held need no embedder.
            store.put("again", "text")
            moody.answer = embed
            store.put_many({"key": "one", "new": "two"})
            assert store.verify() == []

    @pytest.mark.parametrize("name", [name for name in WRONG if name not in RIGHT_FOR_ONE_TEXT])
    def test_on_opening(self, store_path: Path, name: str) -> None:
        answer, _ = WRONG[name]
        with pytest.raises(prestige.ModelError, match=r"\(1, d\)|row 0"):
            open_with(store_path, answer)
        # No store was made that would ask for an embedder from now on.
        with prestige.open(store_path) as store:
            assert store.dedup_mode == DedupMode.EXACT

    def test_the_cause_is_kept(self, store_path: Path) -> None:
        with pytest.raises(prestige.ModelError) as caught:
            open_with(store_path, lambda _: Unreadable())
        assert isinstance(caught.value.__cause__, RuntimeError)


class Failure(Exception):
    """An exception of the caller's own."""


class TestExceptions:
    @pytest.mark.parametrize(
        "raised",
        [Failure("busy"), ValueError("v"), KeyboardInterrupt(), SystemExit(3), KeyError(1)],
    )
    def test_the_very_object_reaches_the_caller(
        self, store_path: Path, raised: BaseException
    ) -> None:
        def fail(_: list[str]) -> None:
            raise raised

        with pytest.raises(type(raised)) as caught:
            open_with(store_path, fail)
        assert caught.value is raised
        moody = Moody()
        with open_with(store_path, moody) as store:
            store.put("key", "text")
            moody.answer = fail
            for put in (
                lambda: store.put("key", "other"),
                lambda: store.put_many({"key": "other", "new": "more"}),
            ):
                with pytest.raises(type(raised)) as caught:
                    put()
                assert caught.value is raised
            assert store.get("key") == b"text"
            assert len(store) == 1
            moody.answer = embed
            store.put("key", "other")
            assert store.verify() == []
        model = SemanticModel(embedder=fail, embedder_id=ID)
        with pytest.raises(type(raised)) as caught:
            model.embed(["text"])
        assert caught.value is raised

    def test_the_traceback_shows_where_it_was_raised(self, store_path: Path) -> None:
        def place_of_the_fault(_: list[str]) -> None:
            raise Failure

        with pytest.raises(Failure) as caught:
            open_with(store_path, place_of_the_fault)
        assert "place_of_the_fault" in [entry.name for entry in caught.traceback]

    def test_in_many_threads_each_gets_its_own(self, store_path: Path) -> None:
        def answer(texts: list[str]) -> np.ndarray:
            for text in texts:
                if text.startswith("bad"):
                    raise Failure(text)
            return embed(texts)

        with open_with(store_path, answer) as store:
            failures = []

            def work(number: int) -> None:
                for i in range(20):
                    text = f"{'bad' if (number + i) % 2 else 'good'} {number} {i}"
                    if text.startswith("good"):
                        store.put(f"{number}/{i}", text)
                        continue
                    with pytest.raises(Failure) as caught:
                        store.put(f"{number}/{i}", text)
                    assert str(caught.value) == text
                    failures.append(text)

            together(8, work)
            assert len(failures) == 80
            assert len(store) == 80
            assert store.verify() == []


class TestReentrancy:
    def test_it_may_use_the_store_it_embeds_for(self, store_path: Path) -> None:
        store = None

        def answer(texts: list[str]) -> np.ndarray:
            if store is not None:
                for text in texts:
                    # Reads, and writes whose embedding is known or not wanted, of the same keys.
                    assert store.get("absent", None) is None
                    store.put("log", b"\xff" + text.encode())
                    store.put(f"seen/{text}", "opened")
            return embed(texts)

        with open_with(store_path, answer) as opened:
            opened.put("first", "opened")
            store = opened
            store.put("log", "fresh text")
            store.put_many({"a": "more", "b": "texts"})
            assert store.get("log") == b"\xfftexts"
            assert "seen/more" in store
            assert store.verify() == []

    def test_it_may_put_unknown_texts_which_calls_it_again(self, store_path: Path) -> None:
        store = None

        def answer(texts: list[str]) -> np.ndarray:
            for text in texts:
                if store is not None and len(text) > 1:
                    store.put(text[1:], text[1:])
            return embed(texts)

        with open_with(store_path, answer) as opened:
            store = opened
            store.put("abcd", "abcd")
            assert sorted(store) == ["abcd", "bcd", "cd", "d"]
            assert store.verify() == []

    def test_another_thread_may_close_the_store_meanwhile(self, store_path: Path) -> None:
        store = None
        closing = []

        def answer(texts: list[str]) -> np.ndarray:
            if store is not None:
                closing.append(threading.Thread(target=store.close))
                closing[0].start()
                while not store.closed:
                    time.sleep(0.001)
                # Whoever comes now is refused at once, instead of waiting for the end of this call.
                with pytest.raises(prestige.ClosedError):
                    store.get("key")
            return embed(texts)

        with open_with(store_path, answer) as opened:
            store = opened
            # What has begun is finished before the store is closed.
            store.put("key", "text")
            closing[0].join(20)
            assert not closing[0].is_alive()
        with open_with(store_path) as opened:
            assert opened.get("key") == b"text"
            assert opened.verify() == []

    def test_it_cannot_close_the_store_that_waits_for_it(
        self, store_path: Path, tmp_path: Path
    ) -> None:
        store = None

        def answer(texts: list[str]) -> np.ndarray:
            if store is not None:
                with pytest.raises(prestige.BusyError, match="embedder"):
                    store.close()
                with prestige.open(tmp_path / "another") as other:
                    other.put("seen", texts[0])
                # A view is only a handle.
                store.namespace("view").close()
            return embed(texts)

        with open_with(store_path, answer) as opened:
            store = opened
            store.put("key", "text")
            store.namespace("other").put("key", "more")
            assert store.verify() == []
        assert store.closed

    def test_others_go_on_while_it_works(self, store_path: Path) -> None:
        started, proceed = threading.Event(), threading.Event()

        def answer(texts: list[str]) -> np.ndarray:
            if "slow" in texts:
                started.set()
                assert proceed.wait(20)
            return embed(texts)

        with open_with(store_path, answer, lock_timeout_ms=100) as store:
            thread = threading.Thread(target=store.put, args=("key", "slow"))
            thread.start()
            assert started.wait(20)
            # The same key, another fresh text, reads, scans and checks: no lock is held.
            store.put("key", "meanwhile")
            store.put("other", "something else")
            assert store.get("key") == b"meanwhile"
            assert store.verify() == []
            store.flush()
            proceed.set()
            thread.join()
            assert store.get("key") == b"slow"
            assert store.verify() == []

    def test_it_is_called_by_several_threads_at_once(self, store_path: Path) -> None:
        barrier = threading.Barrier(4, timeout=20)

        def answer(texts: list[str]) -> np.ndarray:
            if texts[0].startswith("meet"):
                barrier.wait()
            return embed(texts)

        with open_with(store_path, answer) as store:
            together(4, lambda number: store.put(str(number), f"meet {number}"))
            assert len(store) == 4
            assert store.verify() == []

    def test_near_texts_of_many_threads_share_values(self, store_path: Path) -> None:
        with open_with(store_path) as store:
            together(8, lambda n: [store.put(f"{n}/{i}", f"{i} {n}") for i in range(25)])
            # The first word decides: as many values as different ones.
            assert store.count_unique_values() == 25
            assert store.verify() == []


class TestEnds:
    def test_a_closed_store_does_not_call_it(self, store_path: Path) -> None:
        recorder = Recorder()
        store = open_with(store_path, recorder)
        store.close()
        calls = len(recorder.calls)
        with pytest.raises(prestige.ClosedError):
            store.put("key", "text")
        assert len(recorder.calls) == calls

    def test_a_forked_child_is_told(self, store_path: Path, run_script) -> None:
        result = run_script(
            """
            import os, sys
            import prestige
            def embed(texts):
                return [[1.0, 2.0]] * len(texts)
            model = prestige.SemanticModel(embedder=embed, embedder_id="m")
            model.embed(["a"])
            store = prestige.open(sys.argv[1], dedup_mode=prestige.DedupMode.SEMANTIC,
                                  semantic_model=model)
            store.put("key", "text")
            pid = os.fork()
            if pid == 0:
                try:
                    store.put("key", "other")
                except prestige.PrestigeError as error:
                    assert "fork" in str(error)
                    # A function has no threads: by itself it works.
                    assert model.embed(["b"]).shape == (1, 2)
                    os._exit(7)
                os._exit(1)
            _, status = os.waitpid(pid, 0)
            store.put("key", "more")
            print(os.waitstatus_to_exitcode(status), store.get("key"), store.verify())
            """,
            store_path,
        )
        assert result.stdout == "7 b'text' []\n", result.stderr

    def test_the_interpreter_exits_with_an_open_store(self, store_path: Path, run_script) -> None:
        result = run_script(
            """
            import sys
            import prestige
            class Model:
                def embed(self, texts):
                    return [[1.0, float(len(text))] for text in texts]
            store = prestige.open(sys.argv[1], dedup_mode=prestige.DedupMode.SEMANTIC,
                                  embedder=Model().embed, embedder_id="m")
            store.put("key", "text")
            print("done")
            """,
            store_path,
        )
        assert (result.stdout, result.stderr, result.returncode) == ("done\n", "", 0)
