"""`prestige-uvs`, the C++ original; its import name is that of Prestige."""

from __future__ import annotations

from pathlib import Path

import prestige
from workers.adapter import Adapter

DISTRIBUTION = "prestige-uvs"


class PrestigeUvs(Adapter):
    """Its `Store`, in exact mode."""

    def __init__(self, folder: Path) -> None:
        store = prestige.open(str(folder / "store"))
        self.put = store.put
        self.get = store.get
        self.close = store.close


open_store = PrestigeUvs
