"""Prestige in semantic mode with the bundled model."""

from __future__ import annotations

import os
from pathlib import Path

import prestige

DISTRIBUTION = "prestige-cache"


class TextStore:
    """A `prestige.Store`; the model runs with a thread a core."""

    def __init__(self, folder: Path) -> None:
        store = prestige.open(
            folder,
            dedup_mode=prestige.DedupMode.SEMANTIC,
            semantic_num_threads=os.cpu_count() or 1,
        )
        self.put = store.put
        self.get = store.get
        self.count = store.count_keys
        self.close = store.close
        self._put_many = store.put_many
        store.put("warm", "up")

    def embed(self, texts: list[str]) -> None:
        """Put all texts in one call; that embeds them."""
        self._put_many([(f"key-{number}", text) for number, text in enumerate(texts)])


open_store = TextStore
