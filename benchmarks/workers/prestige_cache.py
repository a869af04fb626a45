"""Prestige."""

from __future__ import annotations

from pathlib import Path

import prestige
from workers.adapter import OwnAdapter

DISTRIBUTION = "prestige-cache"


class Prestige(OwnAdapter):
    """`prestige.Store`."""

    def __init__(self, folder: Path) -> None:
        options = prestige.Options()
        store = prestige.open(folder, options)
        self.store = store
        self.put = store.put
        self.get = store.get
        self.put_many = store.put_many
        self.get_many = store.get_many
        self.sweep = store.sweep
        self.compact = store.compact
        self.close = store.close
        self.value_cache_bytes = options.value_cache_bytes
        self.cached_bytes = (
            options.block_cache_bytes + options.write_buffer_bytes + options.value_cache_bytes
        )


open_store = Prestige
