"""`rocksdict`: RocksDB for Python, without deduplication."""

from __future__ import annotations

from pathlib import Path

import rocksdict

from workers.adapter import Adapter

DISTRIBUTION = "rocksdict"


class Rocksdict(Adapter):
    """`rocksdict.Rdict`."""

    def __init__(self, folder: Path) -> None:
        store = rocksdict.Rdict(str(folder / "store"))
        self.put = store.put
        self.get = store.get
        self.close = store.close


open_store = Rocksdict
