"""`prestige.SemanticCache` with embeddings that the caller has computed."""

from __future__ import annotations

from pathlib import Path

import prestige
from workers.vectors import Vectors

DISTRIBUTION = "prestige-cache"
THRESHOLD = 0.9


class Responses:
    """A cache of responses."""

    def __init__(self, folder: Path) -> None:
        cache = prestige.SemanticCache(folder, threshold=THRESHOLD, model_id="benchmark")
        self._put = cache.put
        self._get = cache.get
        self.close = cache.close

    def put(self, query: str, response: str, embedding: Vectors) -> None:
        """Store the response to a query."""
        self._put(query, response, embedding=embedding)

    def get(self, query: str, embedding: Vectors) -> str | None:
        """The response to the nearest query."""
        hit = self._get(query, embedding=embedding)
        return None if hit is None else hit.response


open_store = Responses
