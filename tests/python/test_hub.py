"""Models by name: found on this machine, or downloaded from a stand-in for the Hugging Face hub."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hub_server import COMMIT, Hub
from tiny_models import expected, write_model

import prestige
import prestige.hub
from prestige import DedupMode, SemanticModel

TEXTS = ["how do i reset my password", "first last", "pear"]
BGE = "BAAI/bge-small-en-v1.5"
ENVIRONMENT = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_TOKEN",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home for the cache, and no setting of whoever runs the tests."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "hf-home"
    monkeypatch.setenv("HF_HOME", str(folder))
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def bge(hub: Hub, tmp_path: Path) -> Path:
    """The folder that the hub serves as bge-small: of its dimension and pooling."""
    folder = write_model(tmp_path / "published", 384, pooling="cls")
    (folder / "pytorch_model.bin").write_bytes(b"not wanted" * 100)
    (folder / "README.md").write_text("not wanted")
    hub.repositories[BGE] = folder
    return folder


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def prestige_command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "prestige", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )


class TestPull:
    def test_a_preset_arrives_and_works(self, hub: Hub, bge: Path, home: Path) -> None:
        folder = prestige.hub.pull("bge-small")
        assert folder == home / "hub" / "models--BAAI--bge-small-en-v1.5" / "snapshots" / COMMIT
        assert prestige.hub.path("bge-small") == folder
        assert sha256(folder / "onnx/model.onnx") == sha256(bge / "onnx/model.onnx")
        model = SemanticModel(model_name="bge-small")
        np.testing.assert_allclose(model.embed(TEXTS), expected(TEXTS, 384, "cls"), atol=1e-6)
        # Only what is used is fetched, once.
        fetched = hub.fetched()
        assert sorted(fetched) == sorted(set(fetched))
        assert {"onnx/model.onnx", "vocab.txt"} <= set(fetched)
        assert not {"pytorch_model.bin", "README.md"} & set(fetched)
        hub.requests.clear()
        assert prestige.hub.pull(BGE) == folder
        assert hub.fetched() == []

    def test_a_repository_that_is_no_preset(self, hub: Hub, tmp_path: Path) -> None:
        hub.repositories["me/tiny"] = write_model(
            tmp_path / "tiny",
            model_file="model.onnx",
            prompts={"query": "query : ", "passage": ""},
            default_prompt="query",
        )
        prestige.hub.pull("me/tiny")
        vectors = SemanticModel(model_name="me/tiny").embed(TEXTS)
        np.testing.assert_allclose(vectors, expected(TEXTS, 8, "mean", "query : "), atol=1e-6)

    def test_weights_beside_the_graph_are_read_through_the_links_of_the_cache(
        self, hub: Hub, tmp_path: Path
    ) -> None:
        folder = write_model(
            tmp_path / "m3", 1024, pooling="cls", max_tokens=8192, weights="model.onnx_data"
        )
        (folder / "onnx/Constant_7_attr__value").write_bytes(b"a constant")
        hub.repositories["BAAI/bge-m3"] = folder
        snapshot = prestige.hub.pull("bge-m3")
        assert (snapshot / "onnx/model.onnx_data").is_file()
        vectors = SemanticModel(model_name="bge-m3").embed(TEXTS)
        np.testing.assert_allclose(vectors, expected(TEXTS, 1024, "cls"), atol=1e-6)

    def test_a_commit(self, hub: Hub, bge: Path) -> None:
        folder = prestige.hub.pull("bge-small", revision=COMMIT)
        assert folder.name == COMMIT
        assert prestige.hub.path("bge-small", revision=COMMIT) == folder
        assert SemanticModel(model_name="bge-small", revision=COMMIT).dimension == 384

    def test_into_a_folder(self, hub: Hub, bge: Path, tmp_path: Path, home: Path) -> None:
        folder = prestige.hub.pull("bge-small", cache_dir=tmp_path / "models")
        assert folder.is_relative_to(tmp_path / "models")
        assert not home.exists()
        assert prestige.hub.path("bge-small", cache_dir=tmp_path / "models") == folder
        model = SemanticModel(model_name="bge-small", cache_dir=tmp_path / "models")
        assert model.dimension == 384

    def test_the_bundled_model_is_there(self, hub: Hub) -> None:
        for name in ("minilm", "all-MiniLM-L6-v2", "MINILM"):
            assert prestige.hub.pull(name) == prestige.hub.path(name)
            assert SemanticModel(model_name=name).fingerprint == SemanticModel().fingerprint
        assert hub.requests == []


class TestFaults:
    def test_a_transfer_that_breaks_off_is_continued(self, hub: Hub, tmp_path: Path) -> None:
        # The client writes 10 MiB at a time.
        folder = write_model(tmp_path / "large", 384, pooling="cls", rows=17_000)
        hub.repositories[BGE] = folder
        hub.break_after["onnx/model.onnx"] = 12 << 20
        snapshot = prestige.hub.pull("bge-small")
        assert sha256(snapshot / "onnx/model.onnx") == sha256(folder / "onnx/model.onnx")
        ranges = [
            wanted for method, path, wanted in hub.requests
            if method == "GET" and path.endswith("model.onnx")
        ]  # fmt: skip
        assert ranges == [None, f"bytes={10 << 20}-"]

    @pytest.mark.parametrize("file", ["onnx/model.onnx", "vocab.txt"])
    def test_other_bytes_than_stated_are_refused(self, hub: Hub, bge: Path, file: str) -> None:
        hub.tampered.add(file)
        with pytest.raises(prestige.ModelError) as caught:
            prestige.hub.pull("bge-small")
        text = str(caught.value)
        assert file in text
        assert BGE in text
        if file.endswith(".onnx"):
            assert sha256(bge / file) in text
        # What was refused is gone, so nobody finds it later.
        with pytest.raises(prestige.ModelError, match="pull bge-small"):
            SemanticModel(model_name="bge-small").embed(TEXTS)
        hub.tampered.clear()
        folder = prestige.hub.pull("bge-small")
        assert (folder / file).read_bytes() == (bge / file).read_bytes()

    def test_no_such_model(self, hub: Hub) -> None:
        with pytest.raises(prestige.ModelError, match=r"nobody/nothing from http.*no such model"):
            prestige.hub.pull("nobody/nothing")

    def test_no_such_revision(self, hub: Hub, bge: Path) -> None:
        with pytest.raises(prestige.ModelError, match=r"at v9 from http.*no such revision"):
            prestige.hub.pull("bge-small", revision="v9")

    def test_a_gated_model(self, hub: Hub, bge: Path) -> None:
        hub.gated.add(BGE)
        with pytest.raises(prestige.ModelError, match=r"gated.*hf auth login"):
            prestige.hub.pull("bge-small")

    @pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
    def test_a_hub_that_refuses(self, hub: Hub, bge: Path, status: int) -> None:
        hub.status = status
        with pytest.raises(prestige.ModelError, match=f"{BGE} from {hub.url}") as caught:
            prestige.hub.pull("bge-small")
        if status != 404:
            assert str(status) in str(caught.value) or "no such model" in str(caught.value)
        hub.status = None
        prestige.hub.pull("bge-small")

    def test_a_hub_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as unused:
            # Bound but not listening: whoever connects is refused at once.
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}"
            monkeypatch.setenv("HF_ENDPOINT", url)
            with pytest.raises(prestige.ModelError, match=f"from {url}"):
                prestige.hub.pull("bge-small")

    def test_a_repository_without_an_onnx_file(self, hub: Hub, bge: Path) -> None:
        shutil.rmtree(bge / "onnx")
        with pytest.raises(prestige.ModelError, match=r"onnx/model\.onnx"):
            prestige.hub.pull("bge-small")

    def test_a_model_of_another_dimension_is_not_the_preset(self, hub: Hub, tmp_path: Path) -> None:
        hub.repositories[BGE] = write_model(tmp_path / "other", 8)
        prestige.hub.pull("bge-small")
        with pytest.raises(prestige.ModelError, match=r"384.*8"):
            SemanticModel(model_name="bge-small").embed(TEXTS)

    def test_a_cache_that_cannot_be_written(self, hub: Hub, bge: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(prestige.ModelError, match="cannot get"):
            prestige.hub.pull("bge-small", cache_dir=tmp_path / "file")

    @pytest.mark.parametrize("name", ["", "bge", "a/b/c", "../x", "/etc", "a b/c"])
    def test_a_name_that_is_none(self, hub: Hub, name: str) -> None:
        for use in (
            lambda: prestige.hub.pull(name),
            lambda: prestige.hub.path(name),
            lambda: SemanticModel(model_name=name),
            lambda: setattr(SemanticModel(), "model_name", name),
        ):
            with pytest.raises(prestige.InvalidArgumentError, match="organisation/name"):
                use()
        assert hub.requests == []

    def test_the_client_is_optional(self, run_script) -> None:
        result = run_script(
            """
            import sys
            sys.modules["huggingface_hub"] = None  # As if it were not installed
            import prestige, prestige.hub
            assert prestige.hub.pull("minilm").is_dir()
            assert prestige.SemanticModel(model_name="minilm").dimension == 384
            try:
                prestige.hub.pull("bge-small")
            except prestige.ModelError as error:
                print(error)
            """
        )
        assert "pip install 'prestige-cache[hub]'" in result.stdout, result.stderr


class TestOffline:
    def test_nothing_is_downloaded_unless_asked_for(self, hub: Hub, bge: Path) -> None:
        model = SemanticModel(model_name="bge-small")
        with pytest.raises(prestige.ModelError, match="prestige models pull bge-small"):
            model.embed(TEXTS)
        with pytest.raises(prestige.ModelError, match="prestige models pull bge-small"):
            prestige.hub.path("bge-small")
        assert hub.requests == []

    def test_download_on_first_use(self, hub: Hub, bge: Path, store_path: Path) -> None:
        model = SemanticModel(model_name="bge-small", download=True)
        assert hub.requests == []
        # An exact store has no use for it.
        with prestige.open(store_path / "exact", semantic_model=model) as store:
            store.put("key", "text")
        assert hub.requests == []
        with prestige.open(
            store_path / "semantic", dedup_mode=DedupMode.SEMANTIC, semantic_model=model
        ) as store:
            store.put("key", "first pear")
            assert store.verify() == []
        assert "onnx/model.onnx" in hub.fetched()
        hub.requests.clear()
        # From now on it is there.
        assert SemanticModel(model_name="bge-small", download=True).dimension == 384
        assert SemanticModel(model_name="bge-small").fingerprint == model.fingerprint
        assert hub.requests == []

    def test_an_error_of_the_download_reaches_who_opens(self, hub: Hub, store_path: Path) -> None:
        model = SemanticModel(model_name="nobody/nothing", download=True)
        with pytest.raises(prestige.ModelError, match="no such model"):
            prestige.open(store_path, dedup_mode=DedupMode.SEMANTIC, semantic_model=model)
        # No store was made that would ask for a model from now on.
        with prestige.open(store_path) as store:
            assert store.dedup_mode == DedupMode.EXACT

    @pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
    @pytest.mark.parametrize("value", ["1", "true", "ON"])
    def test_the_environment_forbids_connections(
        self, hub: Hub, bge: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
    ) -> None:
        monkeypatch.setenv(variable, value)
        for use in (
            lambda: prestige.hub.pull("bge-small"),
            lambda: SemanticModel(model_name="bge-small", download=True).embed(TEXTS),
        ):
            with pytest.raises(prestige.ModelError, match="HF_HUB_OFFLINE"):
                use()
        assert hub.requests == []
        monkeypatch.setenv(variable, "0")
        folder = prestige.hub.pull("bge-small")
        monkeypatch.setenv(variable, value)
        hub.requests.clear()
        assert prestige.hub.pull("bge-small") == folder
        assert SemanticModel(model_name="bge-small", download=True).dimension == 384
        assert hub.requests == []

    def test_local_files_only(self, hub: Hub, bge: Path) -> None:
        for use in (
            lambda: prestige.hub.pull("bge-small", local_files_only=True),
            lambda: (
                SemanticModel(
                    model_name="bge-small", download=True, local_files_only=True
                ).dimension
            ),
        ):
            with pytest.raises(prestige.ModelError, match="prestige models pull"):
                use()
        assert hub.requests == []


class TestPlaces:
    def test_a_folder_of_models(self, tmp_path: Path) -> None:
        for place in ("bge-small", BGE, "bge-small-en-v1.5"):
            folder = tmp_path / place.replace("/", "-") / "models"
            model = write_model(folder / place, 384, pooling="cls", max_tokens=64)
            assert prestige.hub.path("bge-small", cache_dir=folder) == model
            found = SemanticModel(model_name="bge-small", cache_dir=folder)
            named = SemanticModel(model, model_name="bge-small")
            assert found.fingerprint == named.fingerprint
            # The preset says 512 tokens, the files 64.
            assert found.fingerprint != SemanticModel(model).fingerprint
            assert found.fingerprint == SemanticModel(model, max_tokens=512).fingerprint

    @pytest.mark.parametrize(
        ("variable", "inside"),
        [("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")],
    )
    def test_the_variables_of_the_client(
        self,
        hub: Hub,
        bge: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
        inside: str,
    ) -> None:
        monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
        folder = prestige.hub.pull("bge-small")
        assert folder.is_relative_to(tmp_path / "elsewhere" / inside)
        assert prestige.hub.path("bge-small") == folder

    def test_a_preset_goes_before_files_and_arguments_before_it(self, tmp_path: Path) -> None:
        folder = write_model(tmp_path / "m", 384, pooling="cls", max_tokens=64)
        e5 = SemanticModel(folder, model_name="e5-small")
        prefixed = expected(TEXTS, 384, "mean", "query: ")
        np.testing.assert_allclose(e5.embed(TEXTS), prefixed, atol=1e-6)
        e5.prefix = ""
        np.testing.assert_allclose(e5.embed(TEXTS), expected(TEXTS, 384, "mean"), atol=1e-6)
        e5.pooling = "cls"
        np.testing.assert_allclose(e5.embed(TEXTS), expected(TEXTS, 384, "cls"), atol=1e-6)

    def test_every_preset_is_described(self) -> None:
        presets = prestige.hub.presets()
        assert presets[0].name == "minilm"
        assert {"bge-small", "bge-large", "bge-m3", "e5-small", "nomic"} <= {
            preset.name for preset in presets
        }
        for preset in presets:
            assert SemanticModel(model_name=preset.name).model_name == preset.name
            assert preset.pooling in ("mean", "cls")


class TestCommand:
    def test_list_path_and_pull(self, hub: Hub, bge: Path, home: Path) -> None:
        listed = prestige_command("models", "list")
        assert listed.returncode == 0, listed.stderr
        lines = {line.split()[0]: line for line in listed.stdout.splitlines()}
        assert lines["minilm"].endswith("all-MiniLM-L6-v2")
        assert lines["bge-small"].endswith("-")
        assert BGE in lines["bge-small"]
        missing = prestige_command("models", "path", "bge-small")
        assert (missing.returncode, missing.stdout) == (1, "")
        assert "prestige models pull bge-small" in missing.stderr
        assert hub.requests == []

        pulled = prestige_command("models", "pull", "bge-small")
        assert pulled.returncode == 0, pulled.stderr
        folder = Path(pulled.stdout.strip())
        assert folder.is_relative_to(home)
        assert pulled.stderr == ""
        found = prestige_command("models", "path", "bge-small", HF_HUB_OFFLINE="1")
        assert found.stdout == pulled.stdout
        assert prestige_command("models", "list").stdout.count(str(home)) == 1

    def test_what_is_wrong_is_said_in_a_line(self, hub: Hub) -> None:
        for arguments, code, said in (
            (("pull", "bge"), 2, "organisation/name"),
            (("path", "bge"), 2, "organisation/name"),
            (("pull", "nobody/nothing"), 1, "no such model"),
            (("pull", "bge-small", "--local-files-only"), 1, "prestige models pull"),
        ):
            result = prestige_command("models", *arguments)
            assert result.returncode == code, result.stderr
            assert said in result.stderr
            assert result.stderr.startswith("prestige: ")
            assert result.stdout == ""
        assert prestige_command("models").returncode == 2

    def test_progress_is_shown_when_wanted(
        self, hub: Hub, bge: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        prestige.hub.pull("bge-small", progress=True)
        assert "100%" in capfd.readouterr().err


class TestHuggingFaceFolders:
    def test_prompts(self, tmp_path: Path) -> None:
        folder = write_model(tmp_path / "m", prompts={"query": "query : ", "none": ""})
        plain = SemanticModel(folder).embed(TEXTS)
        np.testing.assert_allclose(plain, expected(TEXTS, 8, "mean"), atol=1e-6)
        asked = SemanticModel(folder, prompt_name="query")
        np.testing.assert_allclose(
            asked.embed(TEXTS), expected(TEXTS, 8, "mean", "query : "), atol=1e-6
        )
        assert asked.fingerprint == SemanticModel(folder, prefix="query : ").fingerprint
        assert asked.fingerprint != SemanticModel(folder, prompt_name="none").fingerprint
        with pytest.raises(prestige.InvalidArgumentError, match=r'"none", "query".*found "x"'):
            SemanticModel(folder, prompt_name="x").embed(TEXTS)

    @pytest.mark.parametrize("pooling", ["mean", "cls"])
    def test_pooling(self, tmp_path: Path, pooling: str) -> None:
        folder = write_model(tmp_path / "m", pooling=pooling)
        vectors = SemanticModel(folder).embed(TEXTS)
        np.testing.assert_allclose(vectors, expected(TEXTS, 8, pooling), atol=1e-6)

    @pytest.mark.parametrize(
        ("content", "found"),
        [
            ('{"pooling_mode_max_tokens": true}', "max pooling"),
            ('{"pooling_mode_lasttoken": true}', "lasttoken pooling"),
            ('{"pooling_mode": "weightedmean"}', "weightedmean pooling"),
            ('{"pooling_mode": ["mean", "cls"]}', r"mean \+ cls pooling"),
            ("{}", "no pooling mode"),
        ],
    )
    def test_other_pooling_is_refused(self, tmp_path: Path, content: str, found: str) -> None:
        folder = write_model(tmp_path / "m")
        (folder / "1_Pooling/config.json").write_text(content)
        with pytest.raises(prestige.ModelError, match=rf"1_Pooling/config\.json.*{found}"):
            SemanticModel(folder).embed(TEXTS)

    def test_layers_after_the_pooling_are_refused(self, tmp_path: Path) -> None:
        modules = ["Transformer", "Pooling", "Dense", "Normalize"]
        folder = write_model(tmp_path / "m", modules=modules)
        with pytest.raises(prestige.ModelError, match=r"modules\.json.*Dense"):
            SemanticModel(folder).embed(TEXTS)

    def test_position_ids_count_from_zero(self, tmp_path: Path) -> None:
        inputs = ("input_ids", "attention_mask", "position_ids")
        folder = write_model(tmp_path / "m", inputs=inputs)
        model = SemanticModel(folder)
        together = model.embed(TEXTS)
        for row, text in zip(together, TEXTS, strict=True):
            np.testing.assert_allclose(row, model.embed([text])[0], atol=1e-6)
        positions = np.arange(len(TEXTS[0].split()) + 2)
        plain = write_model(tmp_path / "plain")
        # The mean of the positions, in hundredths, is added to the mean of the tokens.
        base = _unnormalised(plain, TEXTS[0]) + positions.mean() / 100
        np.testing.assert_allclose(together[0], base / np.linalg.norm(base), atol=1e-6)

    def test_the_same_files_anywhere_are_the_same_model(
        self, hub: Hub, bge: Path, tmp_path: Path
    ) -> None:
        snapshot = prestige.hub.pull("bge-small")
        copied = shutil.copytree(bge, tmp_path / "copy")
        fingerprints = {
            SemanticModel(folder, model_name="bge-small").fingerprint
            for folder in (snapshot, bge, copied)
        }
        assert len(fingerprints) == 1


def _unnormalised(folder: Path, text: str) -> np.ndarray:
    from tiny_models import VOCABULARY, table

    ids = [VOCABULARY.index(token) for token in ["[CLS]", *text.split(), "[SEP]"]]
    return table(8)[ids].mean(axis=0)
