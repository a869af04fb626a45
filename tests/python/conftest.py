"""Fixtures of the Python tests: stores in temporary directories, scripts in other processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from browser import Visit
    from playwright.sync_api import Browser

# Before anything loads ONNX Runtime, which reports usage to its vendor otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import pytest

import prestige

# A shell that runs the tests in the background has SIGINT ignored, in every process they start too.
signal.signal(signal.SIGINT, signal.default_int_handler)

SCRIPT_TIMEOUT_SECONDS = 60
POLL_SECONDS = 0.02
POLL_LIMIT_SECONDS = 20

RunScript = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a client cannot be asked: see `either.py`."""
    out = {item for item in items if item.get_closest_marker("embedded") and over_a_client(item)}
    config.hook.pytest_deselected(items=list(out))
    items[:] = [item for item in items if item not in out]


def over_a_client(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    return call is not None and any(
        isinstance(value, str) and value == "server" for value in call.params.values()
    )


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Directory for a store; not made yet."""
    return tmp_path / "store"


@pytest.fixture
def store(store_path: Path) -> Iterator[prestige.Store]:
    """An exact store with the default options, whose invariants hold when the test ends."""
    with prestige.open(store_path) as opened:
        yield opened
        if not opened.closed:
            assert opened.verify() == []


@pytest.fixture(scope="module")
def semantic_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[prestige.Store]:
    """A semantic store with the bundled model, one a module.

    While it is open, other stores of the module share its loaded model.
    """
    path = tmp_path_factory.mktemp("semantic") / "store"
    with prestige.open(path, dedup_mode=prestige.DedupMode.SEMANTIC) as opened:
        yield opened
        assert opened.verify() == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, one a module."""
    from browser import chromium

    with chromium() as started:
        yield started


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Makes pages, each with cookies and storage of its own, in which nothing may go wrong."""
    from browser import Watched

    visits: list[Watched] = []

    def make(**options: Any) -> Watched:
        watched = Watched(browser.new_context(**options).new_page())
        visits.append(watched)
        return watched

    yield make
    errors = [error for watched in visits for error in watched.errors]
    asked = [url for watched in visits for url in watched.requests]
    for watched in visits:
        watched.page.context.close()
    assert errors == []
    assert all(url.startswith("http://127.0.0.1:") for url in asked)


@pytest.fixture(scope="module")
def model() -> prestige.SemanticModel:
    """The bundled model, loaded once for all tests of the module."""
    model = prestige.SemanticModel()
    assert model.dimension == 384
    return model


@pytest.fixture
def cache(store: prestige.Store, model: prestige.SemanticModel) -> prestige.SemanticCache:
    """A semantic cache with the bundled model."""
    return prestige.SemanticCache(store, model=model)


@pytest.fixture
def given(store: prestige.Store) -> prestige.SemanticCache:
    """A semantic cache whose embeddings are given, two numbers each."""
    return prestige.SemanticCache(store, 0.9, model_id="two numbers")


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    """Calls a condition again and again until it holds; for what happens after a real time."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + POLL_LIMIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true"
            time.sleep(POLL_SECONDS)

    return wait


@pytest.fixture
def run_script(tmp_path: Path) -> RunScript:
    """Runs Python source in another process, with `arguments` in `sys.argv[1:]`."""

    def run(source: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            cwd=tmp_path,
            timeout=SCRIPT_TIMEOUT_SECONDS,
            check=False,
        )

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python source in another process, which does not outlive the test."""
    children: list[subprocess.Popen[str]] = []

    def begin(source: str, *arguments: object) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        children.append(child)
        return child

    yield begin
    for child in children:
        child.kill()
        child.communicate()
