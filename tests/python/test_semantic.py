"""Semantic stores with the bundled model: what merges, what does not, what reopening keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import prestige
from prestige import DedupMode, SemanticModel

QUESTION = "How do I reset my password?"
NEAR = "How can I reset my password?"
FAR = "What is the capital of Australia?"


# Keeps the model loaded, so that the stores of this module open fast.
pytestmark = pytest.mark.usefixtures("semantic_store")


@pytest.fixture(scope="module")
def similarity() -> float:
    """Cosine similarity of QUESTION and NEAR under the bundled model."""
    question, near = SemanticModel().embed([QUESTION, NEAR])
    return float(question @ near)


def open_semantic(path: Path, **options: object) -> prestige.Store:
    return prestige.open(path, dedup_mode=DedupMode.SEMANTIC, **options)


class TestMerging:
    def test_it_works_without_a_setting(self, store_path: Path) -> None:
        with open_semantic(store_path) as store:
            store.put("a", QUESTION)
            store.put("b", FAR)
            assert store.get("a", decode=True) == QUESTION
            assert store.get("b", decode=True) == FAR
            assert store.count_unique_values() == 2
            health = store.get_health()
            assert (health["dedup_mode"], health["index_vectors"]) == ("semantic", 2)
            assert health["index_ok"] is True
            assert store.verify() == []

    def test_near_duplicates_share_a_value_below_their_similarity(
        self, store_path: Path, similarity: float
    ) -> None:
        assert 0.8 < similarity < 0.999
        with open_semantic(store_path, semantic_threshold=similarity - 0.005) as store:
            store.put("a", QUESTION)
            store.put("b", NEAR)
            store.put("c", FAR)
            assert store.get_object_id("a") == store.get_object_id("b")
            assert store.get("b", decode=True) == QUESTION
            assert store.get("c", decode=True) == FAR
            assert store.get_health()["index_vectors"] == 2
            assert store.verify() == []

    def test_near_duplicates_stay_apart_above_their_similarity(
        self, store_path: Path, similarity: float
    ) -> None:
        with open_semantic(store_path, semantic_threshold=similarity + 0.0005) as store:
            store.put("a", QUESTION)
            store.put("b", NEAR)
            assert store.get("b", decode=True) == NEAR
            assert store.count_unique_values() == 2
            assert store.verify() == []

    def test_a_merged_value_goes_with_its_last_key(
        self, store_path: Path, similarity: float
    ) -> None:
        with open_semantic(store_path, semantic_threshold=similarity - 0.005) as store:
            store.put("a", QUESTION)
            store.put("b", NEAR)
            store.delete("a")
            assert store.get("b", decode=True) == QUESTION
            store.delete("b")
            assert (store.count_unique_values(), store.get_health()["index_vectors"]) == (0, 0)
            # With the earlier wording gone the later one is stored as it is.
            store.put("b", NEAR)
            assert store.get("b", decode=True) == NEAR
            assert store.verify() == []

    def test_identical_bytes_share_a_value_and_leave_the_index_alone(
        self, store_path: Path
    ) -> None:
        with open_semantic(store_path) as store:
            store.put("a", QUESTION)
            before = store.get_health()
            for i in range(10):
                store.put(f"b{i}", QUESTION)
                assert store.get_object_id(f"b{i}") == store.get_object_id("a")
            after = store.get_health()
            for name in ("index_vectors", "index_log_entries", "total_objects"):
                assert after[name] == before[name] == 1

    @pytest.mark.parametrize(
        "value",
        [b"\xff\xfe" + QUESTION.encode(), b"", b" \n\t", np.ones(384, np.float32)],
        ids=["not UTF-8", "empty", "blank", "vector"],
    )
    def test_what_is_no_text_deduplicates_exactly(self, store_path: Path, value: object) -> None:
        with open_semantic(store_path, semantic_threshold=0.01) as store:
            store.put("text", QUESTION)
            store.put("a", value)
            store.put("b", value)
            assert store.get("a") == bytes(value)
            assert store.count_unique_values() == 2
            assert store.get_health()["index_vectors"] == 1
            assert store.verify() == []

    def test_long_texts_deduplicate_exactly(self, store_path: Path) -> None:
        with open_semantic(
            store_path, semantic_max_text_bytes=len(QUESTION), semantic_threshold=0.5
        ) as store:
            store.put("a", QUESTION)
            store.put("b", NEAR)
            assert len(NEAR) > len(QUESTION)
            assert store.get("b", decode=True) == NEAR
            assert store.get_health()["index_vectors"] == 1

    def test_texts_beyond_what_the_model_reads_do_not_merge(self, store_path: Path) -> None:
        """The model sees the first 256 tokens: by them alone these texts are the same."""
        beginning = "The report of the committee goes on and on. " * 60
        texts = [f"{beginning}It was accepted.", f"{beginning}It was rejected.", beginning]
        with open_semantic(store_path, semantic_threshold=0.5) as store:
            for text in texts * 2:
                store.put(text[-30:], text)
                assert store.get(text[-30:], decode=True) == text
            assert store.count_unique_values() == 3
            assert store.verify() == []

    def test_many_texts(self, store_path: Path) -> None:
        nouns = ["apple", "bicycle", "candle", "dolphin", "engine", "forest", "guitar", "hammer"]
        verbs = ["paints", "breaks", "hides"]
        places = ["castle", "volcano", "library"]
        texts = [
            f"A {noun} {verb} the old {place}"
            for noun in nouns
            for verb in verbs
            for place in places
        ]
        with open_semantic(store_path, semantic_threshold=1.0) as store:
            for text in texts * 2:
                store.put(text, text)
            assert store.count_unique_values() == len(texts)
            assert all(store.get(text, decode=True) == text for text in texts)
            assert store.verify() == []


class TestEmbed:
    def test_shape_type_and_length(self) -> None:
        model = SemanticModel()
        vectors = model.embed([QUESTION, NEAR, FAR, ""])
        assert vectors.dtype == np.float32
        assert vectors.shape == (4, model.dimension) == (4, 384)
        assert vectors.flags.c_contiguous
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]

    def test_no_texts(self) -> None:
        vectors = SemanticModel().embed([])
        assert (vectors.shape, vectors.dtype) == ((0, 384), np.float32)

    def test_any_sequence_of_str(self) -> None:
        model = SemanticModel()
        expected = model.embed([QUESTION, FAR])
        for texts in ((QUESTION, FAR), iter([QUESTION, FAR]), {QUESTION: 1, FAR: 2}):
            assert np.array_equal(model.embed(texts), expected)

    @pytest.mark.parametrize(
        "wrong", [QUESTION, b"bytes", None, 5, [QUESTION, 5], [b"bytes"], [None], [[QUESTION]]]
    )
    def test_wrong_types(self, wrong: object) -> None:
        with pytest.raises(TypeError):
            SemanticModel().embed(wrong)

    def test_a_vector_does_not_depend_on_the_batch(self) -> None:
        texts = [QUESTION, FAR, "", "word", "a much longer text " * 60, "größe 大小 🙂"]
        model = SemanticModel()
        batch = model.embed(texts)
        for text, vector in zip(texts, batch, strict=True):
            (alone,) = model.embed([text])
            assert float(alone @ vector) >= 0.999999
        assert np.array_equal(model.embed(texts), batch)

    def test_identical_files_and_settings_have_one_fingerprint(self) -> None:
        model = SemanticModel()
        assert model.fingerprint == SemanticModel(num_threads=1).fingerprint
        assert len(model.fingerprint) == 64
        others = [
            SemanticModel(prefix="query: "),
            SemanticModel(max_tokens=64),
            SemanticModel(pooling="cls"),
        ]
        assert len({model.fingerprint, *(other.fingerprint for other in others)}) == 4

    def test_settings(self) -> None:
        model = SemanticModel()
        settings = (model.model_path, model.tokenizer_path, model.pooling, model.prefix)
        assert settings == (None, None, None, None)
        assert (model.max_tokens, model.num_threads) == (None, 0)
        assert repr(model).startswith("<prestige.SemanticModel")
        with pytest.raises(prestige.InvalidArgumentError, match="max"):
            model.pooling = "max"
        with pytest.raises(prestige.InvalidArgumentError, match="-1"):
            model.num_threads = -1
        with pytest.raises(TypeError):
            model.prefix = 5
        model.pooling, model.prefix, model.max_tokens = "cls", "query: ", 64
        assert (model.pooling, model.prefix, model.max_tokens) == ("cls", "query: ", 64)


class TestReopening:
    def put_both(self, path: Path, threshold: float) -> None:
        with open_semantic(path, semantic_threshold=threshold) as store:
            store.put("a", QUESTION)
            store.put("far", FAR)

    def test_a_reopened_store_is_semantic_and_knows_its_texts(
        self, store_path: Path, similarity: float
    ) -> None:
        threshold = similarity - 0.005
        self.put_both(store_path, threshold)
        for key in ("b", "c"):
            with prestige.open(store_path, semantic_threshold=threshold) as store:
                assert store.dedup_mode == DedupMode.SEMANTIC
                assert store.get_health()["index_vectors"] == 2
                store.put(key, NEAR)
                assert store.get_object_id(key) == store.get_object_id("a")
                assert store.verify() == []

    def test_a_store_keeps_its_mode(self, tmp_path: Path) -> None:
        self.put_both(tmp_path / "semantic", 0.9)
        with pytest.raises(prestige.InvalidArgumentError, match=r"(?i)semantic.*exact"):
            prestige.open(tmp_path / "semantic", dedup_mode=DedupMode.EXACT)
        prestige.open(tmp_path / "exact").close()
        with pytest.raises(prestige.InvalidArgumentError, match=r"(?i)exact.*semantic"):
            open_semantic(tmp_path / "exact")
        with prestige.open(tmp_path / "exact") as store:
            assert store.dedup_mode == DedupMode.EXACT

    @pytest.mark.parametrize("damage", ["deleted", "folder deleted", "empty", "cut", "flipped"])
    def test_the_index_file_is_only_a_cache(
        self, store_path: Path, similarity: float, damage: str
    ) -> None:
        threshold = similarity - 0.005
        self.put_both(store_path, threshold)
        (index,) = (store_path / "index").iterdir()
        content = index.read_bytes()
        if damage == "flipped":
            middle = len(content) // 2
            flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            index.write_bytes(flipped)
        elif damage in ("empty", "cut"):
            index.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
        else:
            index.unlink()
            if damage == "folder deleted":
                index.parent.rmdir()
        for _ in range(2):
            with prestige.open(store_path, semantic_threshold=threshold) as store:
                assert store.get_health()["index_vectors"] == 2
                store.put("b", NEAR)
                assert store.get_object_id("b") == store.get_object_id("a")
                assert store.get_object_id("b") != store.get_object_id("far")
                assert store.verify() == []

    def test_an_index_file_from_an_earlier_time_is_not_taken(
        self, store_path: Path, similarity: float
    ) -> None:
        threshold = similarity - 0.005
        self.put_both(store_path, threshold)
        (earlier,) = (store_path / "index").iterdir()
        content = earlier.read_bytes()
        with prestige.open(store_path, semantic_threshold=threshold) as store:
            store.delete("a")
        (later,) = (store_path / "index").iterdir()
        later.write_bytes(content)
        with prestige.open(store_path, semantic_threshold=threshold) as store:
            assert store.get_health()["index_vectors"] == 1
            store.put("b", NEAR)
            assert store.get("b", decode=True) == NEAR
            assert store.verify() == []
