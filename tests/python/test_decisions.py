"""Margin, reciprocal neighbours, verifier, vector precision: what they let merge; `explain`."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import prestige

SEMANTIC = prestige.DedupMode.SEMANTIC
PASSWORD = "How do I reset my password?"
OTHER_PASSWORD = "How can I reset my password?"

Open = Callable[..., prestige.Store]


@pytest.fixture
def opened(store_path: Path) -> Iterator[Open]:
    """Opens the semantic store of the test, anew each time; its invariants hold at its end."""
    stores: list[prestige.Store] = []

    def end() -> None:
        if stores and not stores[-1].closed:
            assert stores[-1].verify() == []
            stores[-1].close()

    def begin(**options: object) -> prestige.Store:
        end()
        stores.append(prestige.open(store_path, dedup_mode=SEMANTIC, **options))
        return stores[-1]

    yield begin
    end()


def gates(explanation: prestige.Explanation) -> dict[str, bool]:
    return {gate["name"]: gate["passed"] for gate in explanation["gates"]}


class TestExplain:
    def test_says_what_a_put_does(self, opened: Open) -> None:
        store = opened(semantic_max_text_bytes=100)
        assert store.explain(PASSWORD) == {
            "verdict": "new",
            "object_id": None,
            "digest": store.digest(PASSWORD),
            "threshold": 0.97,
            "candidates": [],
            "gates": [],
        }
        store.put("key", PASSWORD, metadata={"a": "b"})
        same = store.explain(PASSWORD)
        assert (same["verdict"], same["object_id"]) == ("identical", store.get_object_id("key"))
        near = store.explain(OTHER_PASSWORD)
        assert (near["verdict"], near["object_id"]) == ("merge", store.get_object_id("key"))
        (candidate,) = near["candidates"]
        assert candidate["value"] == PASSWORD.encode()
        assert (candidate["rank"], candidate["metadata"]) == (0, {"a": "b"})
        (gate,) = near["gates"]
        assert gate == {
            "name": "threshold",
            "needed": 0.97,
            "found": candidate["similarity"],
            "passed": True,
        }
        far = store.explain("What is the weather in Paris?")
        assert (far["verdict"], far["object_id"]) == ("new", None)
        assert gates(far) == {"threshold": False}
        assert store.explain(b"\xff")["verdict"] == "not_text"
        assert store.explain("  ")["verdict"] == "not_text"
        assert store.explain("word " * 30)["verdict"] == "too_long"
        assert (len(store), store.count_unique_values()) == (1, 1)
        assert set(near) == set(prestige.Explanation.__annotations__)

    def test_of_an_exact_store(self, store: prestige.Store) -> None:
        store["key"] = "text"
        assert store.explain("text")["object_id"] == store.get_object_id("key")
        other = store.explain("other")
        assert (other["verdict"], other["threshold"]) == ("new", None)

    def test_bad_values_closed_and_read_only_stores(self, opened: Open, store_path: Path) -> None:
        store = opened()
        with pytest.raises(TypeError):
            store.explain(5)
        store.close()
        with pytest.raises(prestige.ClosedError):
            store.explain("text")
        with prestige.open(store_path, read_only=True) as reader:
            assert reader.explain("text")["verdict"] == "new"


class TestGates:
    def test_margin(self, opened: Open) -> None:
        store = opened(
            semantic_threshold=0.9, semantic_margin_enabled=True, semantic_margin_threshold=0.3
        )
        store.put("a", PASSWORD)
        near = store.explain(OTHER_PASSWORD)
        assert gates(near) == {"threshold": True, "margin": True}
        assert near["gates"][1]["found"] is None
        store.put("b", "How do I change my password?")
        near = store.explain(OTHER_PASSWORD)
        assert near["verdict"] == "new"
        margin = near["gates"][1]
        one, other = (candidate["similarity"] for candidate in near["candidates"])
        assert margin["found"] == pytest.approx(one - other, abs=1e-6)
        assert gates(near) == {"threshold": True, "margin": False}
        store.put("c", OTHER_PASSWORD)
        assert store.count_unique_values() == 3

    def test_reciprocal_neighbours(self, opened: Open) -> None:
        opened(semantic_threshold=1.0).put_many(
            (text, text) for text in (PASSWORD, "How do I reset the password?")
        )
        store = opened(semantic_threshold=0.5, semantic_rnn_enabled=True)
        near = store.explain("password reset")
        assert near["verdict"] == "merge"
        assert near["gates"][1]["needed"] == 8.0
        store = opened(semantic_threshold=0.5, semantic_rnn_enabled=True, semantic_rnn_k=1)
        near = store.explain("password reset")
        assert gates(near) == {"threshold": True, "reciprocal": False}
        assert near["gates"][1]["found"] == 1.0
        assert near["verdict"] == "new"


class TestPrecision:
    def test_every_precision_decides_alike(self, opened: Open) -> None:
        similarities = []
        for precision in ("f16", "i8", "f32", "f16"):
            store = opened(semantic_vector_precision=precision)
            store.put("key", PASSWORD)
            near = store.explain(OTHER_PASSWORD)
            assert near["verdict"] == "merge"
            similarities.append(near["candidates"][0]["similarity"])
            assert store.verify() == []
            store.close()
        # The vector that was stored decides, and it stays as it was.
        assert len(set(similarities)) == 1

    def test_full_precision_is_kept(self, opened: Open) -> None:
        store = opened(semantic_vector_precision="f32")
        store.put("key", PASSWORD)
        one, other = prestige.SemanticModel().embed([PASSWORD, OTHER_PASSWORD])
        (found,) = store.candidates(OTHER_PASSWORD)
        assert found["similarity"] == pytest.approx(float(one @ other), abs=1e-6)


class TestVerifier:
    def test_has_the_last_word(self, opened: Open) -> None:
        asked = []

        def same_numbers(new: str, stored: str, similarity: float) -> bool:
            asked.append((new, stored, similarity))
            return re.findall(r"\d+", new) == re.findall(r"\d+", stored)

        store = opened(semantic_threshold=0.9, verifier=same_numbers)
        store.put("a", "Please cancel order 1041")
        assert asked == []
        store.put("b", "Please cancel order 1042")
        assert asked[0][:2] == ("Please cancel order 1042", "Please cancel order 1041")
        assert 0.9 <= asked[0][2] <= 1
        store.put("c", "Please cancel the order 1041")
        assert store.get("c", decode=True) == "Please cancel order 1041"
        assert store.count_unique_values() == 2
        explanation = store.explain("Please cancel order 1043")
        assert gates(explanation) == {"threshold": True, "verifier": False}
        assert store.put_many({"d": "Please cancel order 7", "e": "Please cancel the order 7"}) == 2
        assert store.get_object_id("d") == store.get_object_id("e")

    def test_numpy_truth_is_truth(self, opened: Open) -> None:
        store = opened(verifier=lambda *_: np.bool_(True))
        store.put("a", PASSWORD)
        store.put("b", OTHER_PASSWORD)
        assert store.count_unique_values() == 1

    def test_exceptions_are_passed_on_and_nothing_is_stored(self, opened: Open) -> None:
        class Odd(Exception):
            pass

        failure = Odd("what now")

        def verifier(*_: object) -> bool:
            raise failure

        store = opened(verifier=verifier)
        store.put("a", PASSWORD)
        for call in (
            lambda: store.put("b", OTHER_PASSWORD),
            lambda: store.put_many({"c": "fine", "b": OTHER_PASSWORD}),
            lambda: store.explain(OTHER_PASSWORD),
        ):
            with pytest.raises(Odd) as raised:
                call()
            assert raised.value is failure
        assert list(store) == ["a"]
        store.put("a", "What is the weather?")

    @pytest.mark.parametrize("answer", [None, 1, "yes", [], 0.0])
    def test_other_answers_are_refused(self, opened: Open, answer: object) -> None:
        store = opened(verifier=lambda *_: answer)
        store.put("a", PASSWORD)
        with pytest.raises(TypeError, match="True or False"):
            store.put("b", OTHER_PASSWORD)
        assert len(store) == 1

    def test_a_coroutine_is_no_answer(self, opened: Open) -> None:
        async def verifier(*_: object) -> bool:
            await asyncio.sleep(0)
            return True

        store = opened(verifier=verifier)
        store.put("a", PASSWORD)
        with pytest.raises(TypeError, match="coroutine"):
            store.put("b", OTHER_PASSWORD)

    def test_it_may_use_the_store_and_other_threads_go_on(self, opened: Open) -> None:
        inside, go_on = threading.Event(), threading.Event()

        def verifier(new: str, stored: str, similarity: float) -> bool:
            inside.set()
            assert go_on.wait(20)
            store.put("log", f"{new} / {stored}: {similarity:.1f}")
            assert store.candidates(new)
            return True

        store = opened(verifier=verifier)
        store.put("a", PASSWORD)
        asking = threading.Thread(target=store.put, args=("b", OTHER_PASSWORD))
        asking.start()
        assert inside.wait(20)
        # The very key and value that are being put, and new texts.
        store.put("b", "Which trains go to Lyon?")
        store.put("c", PASSWORD)
        assert store.verify() == []
        go_on.set()
        asking.join(20)
        assert store.get("b", decode=True) == PASSWORD
        assert "log" in store

    def test_many_threads_at_once(self, opened: Open) -> None:
        store = opened(
            semantic_threshold=0.9, verifier=lambda new, stored, _: new[-2] == stored[-2]
        )

        def put(thread: int) -> None:
            for i in range(12):
                how = ("How do I", "How can I")[(i + thread) % 2]
                store.put(f"{thread}/{i}", f"{how} cancel order {i % 3}?")

        threads = [threading.Thread(target=put, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert store.count_unique_values() == 3
