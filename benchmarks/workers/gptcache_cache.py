"""GPTCache on SQLite and FAISS, as its documentation sets it up, with embeddings that are given."""

from __future__ import annotations

from pathlib import Path

from gptcache import Cache
from gptcache.adapter.api import get, put
from gptcache.manager import manager_factory
from gptcache.processor.pre import get_prompt
from gptcache.similarity_evaluation.distance import SearchDistanceEvaluation

from workers.vectors import DIMENSION, Vectors

DISTRIBUTION = "gptcache"
MOST_ENTRIES = 1_000_000
"""So that nothing is evicted; its default is 1,000."""


class Gptcache:
    """A `gptcache.Cache`."""

    def __init__(self, folder: Path) -> None:
        self._embedding: Vectors | None = None
        self._cache = Cache()
        self._data = manager_factory(
            "sqlite,faiss",
            data_dir=str(folder / "store"),
            vector_params={"dimension": DIMENSION},
            eviction_params={"max_size": MOST_ENTRIES},
        )
        self._cache.init(
            pre_embedding_func=get_prompt,
            embedding_func=lambda _, **__: self._embedding,
            data_manager=self._data,
            similarity_evaluation=SearchDistanceEvaluation(),
        )

    def put(self, query: str, response: str, embedding: Vectors) -> None:
        """Store the response to a query."""
        self._embedding = embedding
        put(query, response, cache_obj=self._cache)

    def get(self, query: str, embedding: Vectors) -> str | None:
        """The response to the nearest query."""
        self._embedding = embedding
        response: str | None = get(query, cache_obj=self._cache)
        return response

    def close(self) -> None:
        """Close the files."""
        self._data.close()


open_store = Gptcache
