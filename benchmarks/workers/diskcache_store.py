"""`diskcache`: SQLite, without deduplication."""

from __future__ import annotations

from pathlib import Path

import diskcache

from workers.adapter import Adapter

DISTRIBUTION = "diskcache"


class Diskcache(Adapter):
    """`diskcache.Cache`."""

    def __init__(self, folder: Path) -> None:
        store = diskcache.Cache(str(folder / "store"))
        self.put = store.set
        self.get = store.get
        self.close = store.close


open_store = Diskcache
