"""Models of semantic stores that are missing, damaged, changed, or fail at work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import prestige
from prestige import DedupMode, SemanticModel

# Keeps the bundled model loaded, so that the stores of this module open fast.
pytestmark = pytest.mark.usefixtures("semantic_store")

BUNDLED = Path(prestige.__file__).parent / "models" / "all-MiniLM-L6-v2"


def open_semantic(path: Path, **options: object) -> prestige.Store:
    return prestige.open(path, dedup_mode=DedupMode.SEMANTIC, **options)


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A copy of the bundled model whose files can be damaged."""
    return Path(shutil.copytree(BUNDLED, tmp_path / "model"))


class TestMissingAndDamagedFiles:
    def refused(self, folder: Path, named: str, store_path: Path) -> None:
        """Both the model by itself and a store refuse, and name what is at fault."""
        model = SemanticModel(folder)
        with pytest.raises(prestige.ModelError, match=named) as caught:
            model.embed(["text"])
        assert "expected" in str(caught.value)
        with pytest.raises(prestige.ModelError, match=named):
            open_semantic(store_path, semantic_model=model)
        with pytest.raises(prestige.ModelError, match=named):
            open_semantic(store_path, semantic_model_path=folder)

    @pytest.mark.parametrize("name", ["missing", "missing.onnx"])
    def test_nothing_there(self, tmp_path: Path, store_path: Path, name: str) -> None:
        self.refused(tmp_path / name, name, store_path)

    def test_a_folder_without_a_model(self, tmp_path: Path, store_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        self.refused(tmp_path / "folder", "folder", store_path)

    def test_a_file_of_another_kind(self, tmp_path: Path, store_path: Path) -> None:
        (tmp_path / "model.txt").write_text("text")
        self.refused(tmp_path / "model.txt", "model.txt", store_path)

    @pytest.mark.parametrize("length", [0, 100, 12_000_000])
    def test_truncated_model(self, model_folder: Path, store_path: Path, length: int) -> None:
        with (model_folder / "model.onnx").open("r+b") as file:
            file.truncate(length)
        self.refused(model_folder, r"model\.onnx", store_path)

    def test_garbage_for_a_model(self, model_folder: Path, store_path: Path) -> None:
        (model_folder / "model.onnx").write_bytes(b"\x08\x09garbage" * 1000)
        self.refused(model_folder, r"model\.onnx", store_path)

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\0garbage", b'{"version": "1.0"}'])
    def test_garbage_for_a_tokenizer(
        self, model_folder: Path, store_path: Path, content: bytes
    ) -> None:
        (model_folder / "tokenizer.json").write_bytes(content)
        self.refused(model_folder, r"tokenizer\.json", store_path)

    def test_missing_tokenizer(self, model_folder: Path, store_path: Path) -> None:
        (model_folder / "tokenizer.json").unlink()
        self.refused(model_folder, r"tokenizer\.json", store_path)

    def test_garbage_for_settings(self, model_folder: Path, store_path: Path) -> None:
        (model_folder / "prestige.json").write_text("{")
        self.refused(model_folder, r"prestige\.json", store_path)

    def test_another_dimension_than_described(self, model_folder: Path, store_path: Path) -> None:
        settings = json.loads((model_folder / "prestige.json").read_text())
        (model_folder / "prestige.json").write_text(json.dumps({**settings, "dimension": 768}))
        self.refused(model_folder, "768.*384", store_path)

    def test_more_tokens_than_the_bundled_model_can_read(self, store_path: Path) -> None:
        for name in (None, "minilm"):
            model = SemanticModel(model_name=name, max_tokens=513)
            with pytest.raises(prestige.InvalidArgumentError, match=r"at most 512.* found 513"):
                model.embed(["text"])
            with pytest.raises(prestige.InvalidArgumentError, match="max_tokens of at most 512"):
                open_semantic(store_path, semantic_model=model)
        assert SemanticModel(max_tokens=512).embed(["word " * 600]).shape == (1, 384)

    def test_more_tokens_than_a_model_can_read(self, model_folder: Path) -> None:
        model = SemanticModel(model_folder, max_tokens=1000)
        assert len(model.embed(["short"])) == 1
        with pytest.raises(prestige.ModelError, match=r"texts of 1000 tokens.*lower max_tokens"):
            model.embed(["word " * 1200])
        (model_folder / "config.json").write_text('{"max_position_embeddings": 512}')
        with pytest.raises(prestige.InvalidArgumentError, match=r"at most 512.* found 1000"):
            SemanticModel(model_folder, max_tokens=1000).embed(["short"])
        # Of such models it is no bound.
        (model_folder / "config.json").write_text(
            '{"max_position_embeddings": 512, "position_embedding_type": "rotary"}'
        )
        assert len(SemanticModel(model_folder, max_tokens=1000).embed(["short"])) == 1

    def test_a_refused_model_leaves_the_store_usable(
        self, tmp_path: Path, store_path: Path
    ) -> None:
        for path in (tmp_path / "exact", store_path):
            with pytest.raises(prestige.ModelError):
                open_semantic(path, semantic_model_path=tmp_path / "missing")
        # Nothing was created that would ask for a model from now on.
        with prestige.open(tmp_path / "exact") as store:
            assert store.dedup_mode == DedupMode.EXACT
        with open_semantic(store_path) as store:
            store.put("key", "text")
        with pytest.raises(prestige.ModelError):
            prestige.open(store_path, semantic_model_path=tmp_path / "missing")
        with prestige.open(store_path) as store:
            assert store.get("key") == b"text"
            assert store.verify() == []

    def test_an_exact_store_asks_for_no_model(self, tmp_path: Path, store_path: Path) -> None:
        with prestige.open(store_path, semantic_model_path=tmp_path / "missing") as store:
            store.put("key", "text")
            assert store.get("key") == b"text"


class TestAnotherModel:
    @pytest.mark.parametrize(
        "setting", [{"max_tokens": 64}, {"prefix": "query: "}, {"pooling": "cls"}], ids=str
    )
    def test_both_models_are_named(self, store_path: Path, setting: dict[str, object]) -> None:
        own, other = SemanticModel(), SemanticModel(**setting)
        with open_semantic(store_path) as store:
            store.put("key", "text")
        with pytest.raises(prestige.ModelError) as caught:
            prestige.open(store_path, semantic_model=other)
        assert own.fingerprint[:12] in str(caught.value)
        assert other.fingerprint[:12] in str(caught.value)
        with prestige.open(store_path, semantic_model=own) as store:
            assert store.get("key") == b"text"
            assert store.verify() == []

    def test_the_same_files_elsewhere_are_the_same_model(
        self, model_folder: Path, store_path: Path
    ) -> None:
        with open_semantic(store_path) as store:
            store.put("key", "text")
        for path in (model_folder, model_folder / "model.onnx"):
            with prestige.open(store_path, semantic_model_path=path) as store:
                store.put("again", "text")
                assert store.get_object_id("again") == store.get_object_id("key")

    def test_a_store_without_vectors_takes_any_model(self, store_path: Path) -> None:
        with open_semantic(store_path) as store:
            store.put("binary", b"\xff")
        with prestige.open(store_path, semantic_model=SemanticModel(max_tokens=64)) as store:
            store.put("key", "text")
            assert store.verify() == []


class TestFailureAtWork:
    """A tokenizer that gives one word an id beyond the vocabulary: texts with it fail."""

    WORD = "banana"

    @pytest.fixture
    def failing_model(self, model_folder: Path) -> SemanticModel:
        path = model_folder / "tokenizer.json"
        tokenizer = json.loads(path.read_text(encoding="utf-8"))
        assert self.WORD in tokenizer["model"]["vocab"]
        tokenizer["model"]["vocab"][self.WORD] = 999_999
        path.write_text(json.dumps(tokenizer), encoding="utf-8")
        return SemanticModel(model_folder)

    def test_embed_says_so(self, failing_model: SemanticModel) -> None:
        assert failing_model.embed(["apple"]).shape == (1, 384)
        with pytest.raises(prestige.ModelError, match="failed"):
            failing_model.embed(["apple", self.WORD])

    def test_a_put_that_fails_changes_nothing(
        self, failing_model: SemanticModel, store_path: Path
    ) -> None:
        with open_semantic(store_path, semantic_model=failing_model) as store:
            store.put("key", "apple")
            before = store.get_health()
            for key in ("key", "new"):
                with pytest.raises(prestige.ModelError, match="failed"):
                    store.put(key, self.WORD)
            assert store.get_health()["total_objects"] == before["total_objects"]
            assert store.get("key") == b"apple"
            assert "new" not in store
            store.put("new", "cherry")
            assert store.verify() == []

    def test_bytes_already_held_never_run_the_model(
        self, failing_model: SemanticModel, store_path: Path
    ) -> None:
        # Texts beyond the limit are stored without the model.
        with open_semantic(
            store_path, semantic_model=failing_model, semantic_max_text_bytes=3
        ) as store:
            store.put("first", self.WORD)
        with prestige.open(store_path, semantic_model=failing_model) as store:
            with pytest.raises(prestige.ModelError, match="failed"):
                store.put("fresh", self.WORD + " split")
            for i in range(3):
                store.put(f"again{i}", self.WORD)
                assert store.get_object_id(f"again{i}") == store.get_object_id("first")
            assert store.verify() == []
