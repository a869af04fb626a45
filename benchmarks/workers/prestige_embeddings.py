"""`prestige.EmbeddingCache`, around made-up vectors."""

from __future__ import annotations

from pathlib import Path

import prestige
from workers import vectors

DISTRIBUTION = "prestige-cache"


class Embeddings:
    """A cache of embeddings."""

    passes = 10
    """A pass over the texts is too short to be timed alone."""

    def __init__(self, folder: Path) -> None:
        cache = prestige.EmbeddingCache(
            folder, embed=lambda texts: vectors.numbered(0, len(texts)), model_id="benchmark"
        )
        self.embed = cache.embed
        self.close = cache.close


open_store = Embeddings
