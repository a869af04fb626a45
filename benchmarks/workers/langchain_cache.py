"""LangChain's `CacheBackedEmbeddings` on `LocalFileStore`, around made-up vectors."""

from __future__ import annotations

from pathlib import Path

from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_classic.storage import LocalFileStore
from langchain_core.embeddings import Embeddings

from workers import vectors

DISTRIBUTION = "langchain-classic"


class MadeUp(Embeddings):
    """A model without work."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector for each text."""
        made: list[list[float]] = vectors.numbered(0, len(texts)).tolist()
        return made

    def embed_query(self, text: str) -> list[float]:
        """The vector of one text."""
        return self.embed_documents([text])[0]


class Langchain:
    """A cache of embeddings."""

    passes = 1

    def __init__(self, folder: Path) -> None:
        cache = CacheBackedEmbeddings.from_bytes_store(
            MadeUp(),
            LocalFileStore(folder / "store"),
            namespace="benchmark",
            key_encoder="blake2b",
        )
        self.embed = cache.embed_documents

    def close(self) -> None:
        """Nothing is open."""


open_store = Langchain
