"""`usearch` alone: the graph that Prestige keeps, in memory, with the same parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from usearch.index import Index

from workers.vectors import DIMENSION, Vectors

DISTRIBUTION = "usearch"

# The defaults of Prestige's options hnsw_m, hnsw_ef_construction and hnsw_ef_search.
PARAMETERS = {"connectivity": 16, "expansion_add": 200, "expansion_search": 100}
FILE = "graph.usearch"


class Usearch:
    """An index that is kept in a file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE
        self.index = Index(ndim=DIMENSION, metric="cos", dtype="f16", **PARAMETERS)
        if self.file.exists():
            self.index.load(str(self.file))

    def add_many(self, start: int, rows: Vectors) -> None:
        """Add the vectors of the numbers from `start` on."""
        self.index.add(np.arange(start, start + len(rows)), rows)

    def searcher(self) -> Any:  # noqa: ANN401 - a function of a vector and a number
        """A function that finds the `k` nearest of a vector."""
        return self.index.search

    def close(self) -> None:
        """Write the file, if there is none."""
        if not self.file.exists():
            self.index.save(str(self.file))


open_store = Usearch
