"""Prestige in semantic mode with vectors made from numbers: no model runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import prestige
from workers import vectors

DISTRIBUTION = "prestige-cache"
EMBEDDER_ID = "benchmark"


def text_of(number: int) -> str:
    """The text whose vector is that of a number."""
    return f"text {number}"


class VectorStore:
    """A semantic store that tasks open themselves: how, and how long it takes, is their work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.given: dict[str, vectors.Vectors] = {}
        """Vectors of texts that are not made from a number."""
        self._opened: list[prestige.Store] = []

    def embed(self, texts: list[str]) -> vectors.Vectors:
        """The function in place of a model."""
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> vectors.Vectors:
        if text in self.given:
            return self.given[text]
        # Opening asks for the vector of some text, to learn its length.
        _, _, number = text.rpartition(" ")
        return vectors.of_number(int(number) if number.isdigit() else 0)

    def open(self, folder: Path | None = None, **options: Any) -> prestige.Store:  # noqa: ANN401 - of every option's type
        """Open the store; whoever opens it may close it."""
        store = prestige.open(
            folder or self.folder,
            dedup_mode=prestige.DedupMode.SEMANTIC,
            embedder=self.embed,
            embedder_id=EMBEDDER_ID,
            **options,
        )
        self._opened.append(store)
        return store

    def searcher(self) -> Any:  # noqa: ANN401 - a function of a vector and a number
        """A function that finds the `k` nearest of a vector."""
        store = self.open()
        return lambda vector, k: store.candidates(k=k, embedding=vector)

    def close(self) -> None:
        """Close what is open."""
        for store in self._opened:
            store.close()


open_store = VectorStore
