"""Another model for the store of a server, and by the command."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from concurrent import futures
from pathlib import Path

import numpy as np
import pytest
from commands import COMMAND, run
from servers import serving
from test_reembed import NEW, OLD, TEXTS, counting, first_word, made, model, opened, whole_text
from tiny_models import write_model

import prestige

__all__ = ["made"]  # A fixture.


class TestClient:
    def test_by_a_model_of_the_server(self, made: Path) -> None:
        told: list[tuple[int, int]] = []
        with (
            opened(made, OLD) as store,
            store.serve(models={"new": model(NEW), "old": model(OLD)}) as server,
            prestige.connect(server.url) as client,
        ):
            embedded = client.reembed("NEW", lambda done, total: told.append((done, total)))
            assert embedded == len(TEXTS) + 10
            assert all(done <= total for done, total in told)
            assert client.reembed(prestige.SemanticModel("new")) == 0
            assert client.get(TEXTS[5], decode=True) == TEXTS[5]
            assert client.verify() == []
            assert asyncio.run(client.areembed(prestige.SemanticModel("old"))) == len(TEXTS) + 10
            client.reembed("new")
            assert store.verify() == []
        with pytest.raises(prestige.ModelError):
            opened(made, OLD)
        with opened(made, NEW) as store:
            assert store.verify() == []

    def test_what_is_refused(self, made: Path, tmp_path: Path) -> None:
        write_model(tmp_path / "folder")
        with (
            opened(made, OLD) as store,
            store.serve(token="everything", models={"new": model(NEW)}) as server,
            prestige.connect(server.url, token="everything") as client,
        ):
            # What is loaded is never a path that a client chooses.
            for name in (str(tmp_path / "folder"), "none", ""):
                with pytest.raises(
                    prestige.InvalidArgumentError, match=r"allows are new, all-MiniLM"
                ):
                    client.reembed(name)
            with pytest.raises(prestige.UnsupportedError, match="function"):
                client.reembed(prestige.SemanticModel(embedder=first_word, embedder_id="old"))
            with pytest.raises(TypeError, match="model"):
                client.reembed(5)
            with pytest.raises(TypeError, match="progress"):
                client.reembed("new", 5)
            with pytest.raises(prestige.InvalidArgumentError, match="all its namespaces"):
                client.namespace("view").reembed("new")
            with (
                prestige.connect(server.url, token="another") as stranger,
                pytest.raises(prestige.PermissionDeniedError),
            ):
                stranger.reembed("new")
            assert store.candidates("word7 in another text")[0]["similarity"] > 0.99
            assert store.verify() == []

    def test_no_model_is_loaded_for_a_call_that_is_refused(
        self, made: Path, tmp_path: Path
    ) -> None:
        loads: list[int] = []
        begun, go = threading.Event(), threading.Event()

        def slow(texts: list[str]) -> np.ndarray:
            begun.set()
            assert go.wait(60)
            return whole_text(texts)

        models = {
            "slow": prestige.SemanticModel(embedder=slow, embedder_id="slow"),
            "counting": counting(loads),
        }
        with (
            prestige.open(tmp_path / "exact") as store,
            store.serve(models=models) as server,
            prestige.connect(server.url) as client,
            pytest.raises(prestige.InvalidArgumentError, match="exact store"),
        ):
            client.reembed("counting")
        with (
            opened(made, OLD) as store,
            store.serve(models=models) as server,
            prestige.connect(server.url) as client,
            futures.ThreadPoolExecutor() as pool,
        ):
            first = pool.submit(client.reembed, "slow")
            try:
                assert begun.wait(60)
                with pytest.raises(prestige.BusyError):
                    client.reembed("counting")
            finally:
                go.set()
            assert first.result(60) == len(TEXTS) + 10
        assert loads == []

    def test_an_exact_store_and_one_that_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "exact"
        for read_only, kind in [
            (False, prestige.InvalidArgumentError),
            (True, prestige.ReadOnlyError),
        ]:
            with (
                prestige.open(path, read_only=read_only) as store,
                store.serve() as server,
                prestige.connect(server.url) as client,
                pytest.raises(kind),
            ):
                client.reembed("minilm")


class TestCommand:
    def test_of_a_directory_and_of_a_server(self, tmp_path: Path) -> None:
        folder, other, path = tmp_path / "folder", tmp_path / "other", tmp_path / "store"
        write_model(folder)
        write_model(other, dimension=12)
        options = {"dedup_mode": prestige.DedupMode.SEMANTIC, "semantic_model_path": folder}
        with prestige.open(path, **options) as store:
            store.put_many([("1", "apple pear"), ("2", "plum fig")])
            store.namespace("view").put("3", "reset my password")
            # Its owner has it open.
            result = run("reembed", other, "--path", path)
            assert (result.code, "--url" in result.err) == (1, True)
        result = run("reembed", other, "--path", path, "--json")
        said = json.loads(result.out)
        assert (said["model"], said["embedded"]) == (str(other), 3)
        assert json.loads(run("reembed", other, "--path", path, "--json").out)["embedded"] == 0
        with serving(path, "--model", other, "--reembed-model", folder) as server:
            result = run("reembed", other, "--url", server.url)
            assert (result.code, "folder" in result.err) == (2, True), result.err
            result = run("reembed", "folder", "--url", server.url)
            assert result.out.startswith(b"3 texts embedded by folder in "), result
            assert server.end()[0] == 0
        with prestige.open(path, **options) as store:
            assert store.verify() == []
        exact = tmp_path / "exact"
        prestige.open(exact).close()
        assert run("reembed", "minilm", "--path", exact).code == 2
        assert run("reembed", tmp_path / "none", "--path", path).code == 2

    def test_a_folder_goes_before_a_model_known_by_its_name(self, tmp_path: Path) -> None:
        first, named, path = tmp_path / "first", tmp_path / "minilm", tmp_path / "store"
        write_model(first)
        write_model(named, dimension=12)
        with prestige.open(
            path, dedup_mode=prestige.DedupMode.SEMANTIC, semantic_model_path=first
        ) as store:
            store.put("1", "apple pear")
        with serving(path, "--model", first, "--reembed-model", named) as server:
            result = run("reembed", "minilm", "--url", server.url)
            assert result.out.startswith(b"1 text embedded by minilm in "), result
            assert server.end()[0] == 0
        with prestige.open(path, semantic_model_path=named) as store:
            assert store.verify() == []
        again = tmp_path / "again" / "minilm"
        words = ["serve", path, "--reembed-model", named, "--reembed-model", again]
        ended = subprocess.run(
            [*COMMAND, *map(str, words)], check=False, capture_output=True, timeout=60
        )
        assert (ended.returncode, b"rename one" in ended.stderr) == (2, True), ended
