"""What the work asks of a store.

The timed calls are attributes rather than methods: where a store's own call fits, it is called
without a Python frame in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

STORES = {
    "prestige": "workers.prestige_cache",
    "prestige-uvs": "workers.prestige_uvs",
    "rocksdict": "workers.rocksdict_store",
    "lmdb": "workers.lmdb_store",
    "diskcache": "workers.diskcache_store",
    "prestige-texts": "workers.prestige_texts",
    "prestige-vectors": "workers.prestige_vectors",
    "prestige-responses": "workers.prestige_responses",
    "prestige-embeddings": "workers.prestige_embeddings",
    "prestige-model": "workers.prestige_model",
    "onnxruntime": "workers.onnxruntime_model",
    "usearch": "workers.usearch_index",
    "gptcache": "workers.gptcache_cache",
    "langchain": "workers.langchain_cache",
}
"""Module of each store; it has `DISTRIBUTION` and `open_store`."""

OWN = frozenset(
    {
        "prestige",
        "prestige-texts",
        "prestige-vectors",
        "prestige-responses",
        "prestige-embeddings",
        "prestige-model",
        "onnxruntime",
    }
)
"""Those that the interpreter of the project has."""

# Odd, so that multiplication modulo 2**32 maps different numbers to different ones; 2**32 divided
# by the golden ratio, which scatters consecutive ones (Knuth, The Art of Computer Programming 6.4).
SCATTER = 0x9E3779B1


class Adapter:
    """An open store with its documented defaults, and no fsync for each write."""

    put: Callable[[Any, bytes], object]
    get: Callable[[Any], bytes]
    close: Callable[[], object]

    def key(self, number: int) -> Any:  # noqa: ANN401 - each store has its own type of key
        """The key of a number below 2**32; consecutive numbers are far apart in key order."""
        return f"key-{number * SCATTER & 0xFFFFFFFF:08x}"


class OwnAdapter(Adapter):
    """What only Prestige is asked for."""

    put_many: Callable[[Iterable[tuple[Any, ...]]], object]
    get_many: Callable[[Iterable[Any]], list[bytes]]
    sweep: Callable[[], int]
    compact: Callable[[], None]
    value_cache_bytes: int
    cached_bytes: int
    """Bound of all configured caches and write buffers together."""


class StoreModule(Protocol):
    """A module of `STORES`."""

    DISTRIBUTION: str
    """Its name on PyPI."""

    def open_store(self, folder: Path) -> Adapter:
        """Make a store in an empty directory."""


def load(store: str) -> StoreModule:
    """The module of a store. Imports the store itself."""
    module: Any = import_module(STORES[store])
    return module
