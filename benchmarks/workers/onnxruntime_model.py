"""The bundled model's file in the Python package `onnxruntime`, without Prestige."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "python"))

import reference

DISTRIBUTION = "onnxruntime"
BATCH = 32


class Alone:
    """Length-sorted batches, with as many threads as the store and the package's own options."""

    def __init__(self, folder: Path) -> None:
        del folder
        package = find_spec("prestige")
        if package is None or package.origin is None:
            raise ValueError("the package prestige, which has the model, is not installed")
        self.model = Path(package.origin).parent / "models" / "all-MiniLM-L6-v2"
        self.embed(["warm up"])

    def embed(self, texts: list[str]) -> None:
        """Embed all texts."""
        vectors = reference.embed(self.model, texts, BATCH, os.cpu_count() or 1)
        if len(vectors) != len(texts):
            raise ValueError(f"{len(vectors)} vectors of {len(texts)} texts")

    def close(self) -> None:
        """Nothing is open."""


open_store = Alone
