"""Metadata of values, candidates, and outcomes of what callers decided about them."""

from __future__ import annotations

import collections
import hashlib
import multiprocessing
import os
from pathlib import Path

import either
import numpy as np
import pytest

import prestige

OverBoth, embedded = either.OverBoth, either.embedded

MODEL = prestige.SemanticModel()


@pytest.fixture(params=either.KINDS)
def semantic(request: pytest.FixtureRequest, tmp_path: Path):
    """A semantic store of a few questions with metadata, on the bundled model; a client of it."""
    with (
        prestige.open(tmp_path / "semantic", dedup_mode=prestige.DedupMode.SEMANTIC) as store,
        either.as_kind(request.param, store) as opened,
    ):
        opened.put(
            "reset", "How do I reset my password?", metadata={"tenant": "a", "kind": "login"}
        )
        opened.put("change", "How can I change my password?", metadata={"tenant": "b"})
        opened.put("cancel", "How do I cancel my subscription?", metadata={"tenant": "a"})
        opened.put("weather", "What is the weather in Paris?")
        opened.put("binary", b"\xff\xfe", metadata={"tenant": "a"})
        yield opened
        if not store.closed:
            assert store.verify() == []


class TestMetadata(OverBoth):
    def test_belongs_to_the_value_and_merges(self, store: prestige.Store):
        store.put("one", b"answer", metadata={"family": "faq@v3", "tool": "1.4"})
        store.put("two", "answer", None, {"tool": "1.5", "schema": "c@2"})
        merged = {"family": "faq@v3", "tool": "1.5", "schema": "c@2"}
        assert store.get_metadata("one") == store.get_metadata(b"two") == merged
        store.put("three", "answer")
        assert store.get_metadata("three") == merged
        store["plain"] = "value"
        assert store.get_metadata("plain") == {}
        store.put("one", "other")
        assert store.get_metadata("one") == {}
        with pytest.raises(prestige.NotFoundError):
            store.get_metadata("missing")

    def test_goes_with_the_last_key(self, store: prestige.Store):
        empty = store.total_bytes
        store.put("key", "value", metadata={"a": "b"})
        assert store.total_bytes > empty + len("keyvalue") + 2
        store.delete("key")
        assert store.total_bytes == empty
        store.put("key", "value")
        assert store.get_metadata("key") == {}

    def test_put_many_takes_a_fourth_part(self, store: prestige.Store):
        entries = [("a", "1", None, {"n": "1"}), ["b", "2", 60, None], ("c", "3"), ("d", "1", 5)]
        assert store.put_many(entries) == 4
        found = [store.get_metadata(key) for key in "abcd"]
        assert found == [{"n": "1"}, {}, {}, {"n": "1"}]
        with pytest.raises(TypeError, match="entry 1"):
            store.put_many([("a", "1"), ("b", "2", None, {"n": 1})])
        with pytest.raises(TypeError, match="entry 0"):
            store.put_many([("a", "1", None, {}, "more")])

    @pytest.mark.parametrize(
        "metadata",
        [
            {"": "x"},
            {f"k{i}": "v" for i in range(65)},
            {"k" * 257: "v"},
            {"é" * 129: "v"},
            {"k": "v" * 4097},
        ],
    )
    def test_beyond_the_limits_nothing_is_stored(self, store: prestige.Store, metadata):
        with pytest.raises(prestige.InvalidArgumentError):
            store.put("key", "value", metadata=metadata)
        with pytest.raises(prestige.InvalidArgumentError):
            store.put_many([("other", "value"), ("key", "value", None, metadata)])
        assert len(store) == 0

    def test_at_the_limits_it_is_kept(self, store: prestige.Store):
        metadata = {f"{i:0256}": "v" * 4096 for i in range(64)}
        store.put("key", "value", metadata=metadata)
        assert store.get_metadata("key") == metadata
        with pytest.raises(prestige.InvalidArgumentError):
            store.put("key", "value", metadata={"one": "more"})
        assert store.get_metadata("key") == metadata

    @pytest.mark.parametrize(
        "metadata", ["text", 1, ["a"], {"a": 1}, {1: "a"}, {"a": b"b"}, {"a": None}]
    )
    def test_other_types_are_refused(self, store: prestige.Store, metadata):
        with pytest.raises(TypeError):
            store.put("key", "value", metadata=metadata)
        assert len(store) == 0

    def test_lone_surrogates_are_refused_and_other_mappings_taken(self, store: prestige.Store):
        with pytest.raises(UnicodeEncodeError):
            store.put("key", "value", metadata={"a": "\ud800"})
        store.put("key", "value", metadata=collections.ChainMap({"a": "\0é😀"}))
        assert store.get_metadata("key") == {"a": "\0é😀"}

    def test_counts_to_the_size_of_the_store(self, tmp_path: Path):
        with prestige.open(tmp_path / "store", max_store_bytes=2000) as store:
            with pytest.raises(prestige.InvalidArgumentError, match="max_store_bytes"):
                store.put("key", "value", metadata={"a": "b" * 3000})
            for i in range(50):
                store.put(f"key{i}", f"value{i}", metadata={"a": "b" * 300})
            assert store.total_bytes <= 2000
            assert store.verify() == []


class TestExactCandidates(OverBoth):
    def test_the_identical_value_or_nothing(self, store: prestige.Store):
        store.put("key", b"the answer", metadata={"family": "a"})
        (found,) = store.candidates(b"the answer")
        assert found.pop("created_at_us") > 1_600_000_000_000_000
        assert found == {
            "rank": 0,
            "similarity": 1.0,
            "reranker_score": None,
            "object_id": store.get_object_id("key"),
            "digest": store.digest("the answer"),
            "metadata": {"family": "a"},
            "size_bytes": 10,
        }
        assert store.candidates("the answer", include_values=True)[0]["value"] == b"the answer"
        assert store.candidates("other") == []
        assert store.candidates("the answer", filter={"family": "a"})
        assert store.candidates("the answer", filter={"family": "b"}) == []
        assert store.candidates("the answer", min_similarity=1)

    def test_a_digest_is_of_what_would_be_stored(self, tmp_path: Path, store: prestige.Store):
        assert store.digest("abc") == hashlib.sha256(b"abc").hexdigest()
        full = prestige.NormalizationMode.FULL
        with prestige.open(tmp_path / "other", normalization_mode=full) as other:
            other["key"] = "  The Answer "
            assert other.digest("THE  ANSWER") == hashlib.sha256(b"the answer").hexdigest()
            assert other.candidates("THE  ANSWER")[0]["digest"] == other.digest("the answer")

    def test_vectors_are_refused(self, store: prestige.Store):
        with pytest.raises(prestige.InvalidArgumentError, match="exact"):
            store.candidates(embedding=[1.0])


class TestSemanticCandidates:
    def test_the_nearest_come_first(self, semantic: prestige.Store):
        query = "How do I change the password?"
        found = semantic.candidates(query, k=3, include_values=True)
        assert [one["rank"] for one in found] == [0, 1, 2]
        assert found[0]["value"] == b"How can I change my password?"
        assert found[1]["value"] == b"How do I reset my password?"
        similarities = [one["similarity"] for one in found]
        assert similarities == sorted(similarities, reverse=True)
        vectors = MODEL.embed([query, "How can I change my password?"])
        assert similarities[0] == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-3)
        assert found[0]["metadata"] == {"tenant": "b"}
        assert len(semantic) == 5

    def test_filters_hold_all_pairs_and_any_text_of_a_list(self, semantic: prestige.Store):
        def keys(**wanted: object) -> set[str]:
            found = semantic.candidates("password", filter=wanted, include_values=True)
            by_value = {semantic[key]: key for key in semantic}
            return {by_value[one["value"]] for one in found}

        assert keys(tenant="a") == {"reset", "cancel"}
        assert keys(tenant=["b", "c"]) == {"change"}
        assert keys(tenant=("a", "b"), kind="login") == {"reset"}
        assert keys(tenant="b", kind="login") == set()
        assert keys(tenant=[]) == set()
        for bad in ["tenant", {"tenant": 1}, {1: "a"}, {"tenant": {"a": "b"}}]:
            with pytest.raises(TypeError):
                semantic.candidates("password", filter=bad)

    def test_least_similarity_and_identical_values(self, semantic: prestige.Store):
        (found,) = semantic.candidates("How do I reset my password?", min_similarity=0.99)
        assert found["similarity"] == 1.0
        assert semantic.candidates(b"\xff\xfe")[0]["similarity"] == 1.0
        assert semantic.candidates(b"\xff") == []
        assert semantic.candidates("") == []

    def test_embeddings_in_place_of_texts(self, semantic: prestige.Store):
        texts = ["a password", "the weather", "a password"]
        vectors = MODEL.embed(texts)
        expected = semantic.candidates_many(texts, k=2)
        assert semantic.candidates_many(embeddings=vectors, k=2) == expected
        assert expected[0] == expected[2]
        assert semantic.candidates(embedding=vectors[0], k=2) == expected[0]
        assert semantic.candidates(embedding=list(map(float, vectors[0])), k=2) == expected[0]
        doubled = semantic.candidates(embedding=vectors[1].astype("float64") * 2, k=2)
        assert [one["object_id"] for one in doubled] == [one["object_id"] for one in expected[1]]
        assert (
            semantic.candidates_many([]) == semantic.candidates_many(embeddings=vectors[:0]) == []
        )
        # Of every second column, which do not lie side by side.
        strided = np.repeat(vectors, 2, axis=1)[:, ::2]
        assert semantic.candidates_many(embeddings=strided, k=2) == expected

    @pytest.mark.parametrize(
        ("embedding", "error"),
        [
            (np.zeros(384, "f4"), prestige.InvalidArgumentError),
            (np.full(384, np.nan), prestige.InvalidArgumentError),
            (np.full(384, 1e300), prestige.InvalidArgumentError),
            (np.ones(383), prestige.InvalidArgumentError),
            (np.ones((1, 384)), prestige.InvalidArgumentError),
            ([], prestige.InvalidArgumentError),
            ("text", TypeError),
            (["1"] * 384, TypeError),
            (np.ones(384, bool), TypeError),
            (np.ones(384, complex), TypeError),
        ],
    )
    @pytest.mark.filterwarnings("ignore:overflow")
    def test_bad_embeddings_are_refused(self, semantic: prestige.Store, embedding, error):
        with pytest.raises(error):
            semantic.candidates(embedding=embedding)

    def test_bad_arguments_are_refused(self, semantic: prestige.Store):
        for k in (0, 10_001, -1):
            with pytest.raises(prestige.InvalidArgumentError, match="k "):
                semantic.candidates("text", k=k)
        with pytest.raises(prestige.InvalidArgumentError, match="min_similarity"):
            semantic.candidates("text", min_similarity=float("nan"))
        for outside in (2, -1.01):
            with pytest.raises(prestige.InvalidArgumentError, match=r"min_similarity.*-1 to 1"):
                semantic.candidates("text", min_similarity=outside)
        for arguments in ({}, {"query": "a", "embedding": [1.0]}):
            with pytest.raises(TypeError, match="either"):
                semantic.candidates(**arguments)
        with pytest.raises(TypeError, match="either"):
            semantic.candidates_many()
        for queries in ("text", b"text", 1):
            with pytest.raises(TypeError):
                semantic.candidates_many(queries)
        with pytest.raises(TypeError):
            semantic.candidates(1)

    @embedded
    def test_a_closed_store_and_a_reader(self, semantic: prestige.Store):
        path = semantic.path
        semantic.close()
        for call in (
            lambda: semantic.candidates("text"),
            lambda: semantic.candidates_many(["text"]),
            lambda: semantic.get_metadata("reset"),
            lambda: semantic.digest("text"),
            lambda: semantic.record_outcome("f", "accepted"),
            lambda: semantic.list_outcomes("f"),
            semantic.list_families,
            lambda: semantic.family_report("f"),
        ):
            with pytest.raises(prestige.ClosedError):
                call()
        with prestige.open(path, read_only=True) as reader:
            assert reader.get_metadata("change") == {"tenant": "b"}
            assert len(reader.candidates("text", k=3)) == 3
            with pytest.raises(prestige.ReadOnlyError):
                reader.record_outcome("f", "accepted")


class TestOutcomes(OverBoth):
    def test_a_candidate_gives_what_is_known_of_it(self, store: prestige.Store):
        store.put("key", "answer")
        (candidate,) = store.candidates("answer")
        first = store.record_outcome(
            "faq@v3",
            "accepted",
            candidate=candidate,
            threshold=0.92,
            tool_version="resolver/1.4",
            schema_version="c@2",
        )
        assert first == 1
        second = store.record_outcome(
            "faq@v3", "rejected", rank=1, similarity=0.93, reason="tenant"
        )
        assert second == 2
        assert store.record_outcome("faq@v3", "no_candidate") == 3
        assert store.record_outcome("billing@v1", "accepted", similarity=0.99) == 4
        outcomes = store.list_outcomes("faq@v3")
        assert outcomes[0].pop("recorded_at_us") >= candidate["created_at_us"]
        assert outcomes[0] == {
            "sequence": 1,
            "family_id": "faq@v3",
            "verdict": "accepted",
            "candidate_object_id": candidate["object_id"],
            "candidate_digest": candidate["digest"],
            "rank": 0,
            "similarity": 1.0,
            "reranker_score": None,
            "threshold": 0.92,
            "tool_version": "resolver/1.4",
            "schema_version": "c@2",
            "reason": "",
        }
        assert outcomes[1]["reason"] == "tenant"
        assert outcomes[2]["similarity"] is None
        limited = store.list_outcomes("faq@v3", limit=1, after_sequence=1)
        assert [one["sequence"] for one in limited] == [2]
        assert store.list_outcomes("unknown") == []
        assert store.list_families() == ["billing@v1", "faq@v3"]
        own = dict(candidate, digest=bytes.fromhex(candidate["digest"]), reranker_score=0.25)
        store.record_outcome("other", "accepted", candidate=own, similarity=0.5)
        (other,) = store.list_outcomes("other")
        assert other["candidate_digest"] == candidate["digest"]
        assert (other["similarity"], other["reranker_score"]) == (0.5, 0.25)

    def test_the_report_of_a_family(self, store: prestige.Store):
        store.record_outcome("f", "accepted", similarity=0.97)
        store.record_outcome("f", "rejected", rank=1, similarity=0.93)
        store.record_outcome("f", "no_candidate")
        report = store.family_report("f")
        assert (report["accepted"], report["rejected"], report["no_candidate"]) == (1, 1, 1)
        assert report["false_accept_rate"] == 0.5
        assert len(report["accepted_similarity_hist"]) == 20
        assert report["accepted_similarity_hist"][19] == report["rejected_similarity_hist"][18] == 1
        assert len(report["rejected_rank_hist"]) == 16
        assert report["rejected_rank_hist"][1] == 1
        assert report["suggested_threshold"] is None
        assert (report["first_sequence"], report["last_sequence"]) == (1, 3)
        assert report["last_recorded_at_us"] > 0
        assert set(report) == set(prestige.FamilyReport.__annotations__)
        with pytest.raises(prestige.NotFoundError):
            store.family_report("unknown")

    def test_a_threshold_is_suggested_from_enough_of_them(self, store: prestige.Store):
        for similarity, verdict, count in [
            (0.96, "accepted", 40),
            (0.97, "rejected", 2),
            (0.91, "rejected", 10),
        ]:
            for _ in range(count):
                store.record_outcome("f", verdict, similarity=similarity)
        report = store.family_report("f")
        assert report["suggested_threshold"] == 0.95
        assert report["false_accept_rate"] == pytest.approx(12 / 52)

    def test_bad_outcomes_are_refused(self, store: prestige.Store):
        bad = [
            ("f", "maybe", {}),
            ("f", "Accepted", {}),
            ("", "accepted", {}),
            ("a\0b", "accepted", {}),
            ("f" * 256, "accepted", {}),
            ("f", "accepted", {"similarity": 1.5}),
            ("f", "accepted", {"threshold": float("nan")}),
            ("f", "accepted", {"reranker_score": float("inf")}),
            ("f", "accepted", {"rank": -1}),
            ("f", "accepted", {"rank": 2**32}),
            ("f", "accepted", {"reason": "r" * 4097}),
            ("f", "accepted", {"candidate": {"digest": "abc"}}),
            ("f", "accepted", {"candidate": {"object_id": -1}}),
        ]
        for family, verdict, arguments in bad:
            with pytest.raises(prestige.InvalidArgumentError):
                store.record_outcome(family, verdict, **arguments)
        for arguments in ({"candidate": 5}, {"rank": "1"}, {"similarity": "high"}):
            with pytest.raises(TypeError):
                store.record_outcome("f", "accepted", **arguments)
        with pytest.raises(TypeError):
            store.record_outcome(b"f", "accepted")
        assert store.list_families() == []

    def test_survive_and_are_apart_in_namespaces(self, store_path: Path):
        with prestige.open(store_path) as store:
            store.record_outcome("f", "accepted")
            view = store.namespace("tenant")
            assert view.record_outcome("f", "rejected") == 1
        with prestige.open(store_path) as store:
            assert store.record_outcome("f", "accepted") == 2
            assert len(store.namespace("tenant").list_outcomes("f")) == 1
            store.drop_namespace("tenant")
            assert store.namespace("tenant").list_families() == []
            assert store.verify() == []


def in_child(store: prestige.Store, result) -> None:
    for call in (lambda: store.candidates("text"), lambda: store.record_outcome("f", "accepted")):
        try:
            call()
        except prestige.PrestigeError as error:
            result.put(str(error))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_is_refused(store: prestige.Store):
    context = multiprocessing.get_context("fork")
    result = context.Queue()
    child = context.Process(target=in_child, args=(store, result))
    child.start()
    messages = [result.get(timeout=20) for _ in range(2)]
    child.join(20)
    assert all(str(os.getpid()) in message for message in messages)
