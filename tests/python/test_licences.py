"""What is bundled is named with its terms, in the package's metadata."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PYTHON = Path(__file__).resolve().parents[2] / "python"
FILES = ["LICENSE", "NOTICE", "THIRD-PARTY-LICENSES"]


def text(name: str) -> str:
    return (PYTHON / name).read_text(encoding="utf-8")


def test_the_package_carries_the_files() -> None:
    metadata = importlib.metadata.metadata("prestige-cache")
    assert sorted(metadata.get_all("License-File") or []) == FILES
    assert all(text(name).strip() for name in FILES)
    assert "Apache License" in text("LICENSE")


def test_the_model_and_rocksdb_are_named() -> None:
    notice = " ".join(text("NOTICE").split())
    assert "all-MiniLM-L6-v2" in notice
    assert "used here under the Apache License" in notice


@pytest.mark.skipif(shutil.which("cargo") is None, reason="asks cargo what is linked")
def test_the_list_fits_cargo_lock() -> None:
    command = [sys.executable, str(PYTHON / "licences.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_terms_that_must_be_shown_are() -> None:
    listed = text("THIRD-PARTY-LICENSES")
    for name in ("librocksdb-sys ", "usearch ", "tokenizers ", "pyo3 ", "tokio ", "ort "):
        assert f"\n{name}" in listed
    for holder in ("LevelDB Authors", "Yann Collet", "Ferry Toth", "K.Kosako", "Meta Platforms"):
        assert holder in listed
    assert "/root/" not in listed
    assert str(Path.home()) not in listed
