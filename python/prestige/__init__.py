"""Prestige: an embedded store that keeps one copy of every distinct value.

    >>> import prestige
    >>> with prestige.open("./my_db") as store:
    ...     store["greeting"] = "hello"
    ...     store.get("greeting", decode=True)
    'hello'

Values of identical bytes are stored once. In semantic mode (``dedup_mode=DedupMode.SEMANTIC``)
texts that mean the same share one value too.
"""

from __future__ import annotations

import atexit
import os
from typing import Any

# ONNX Runtime reports usage to its vendor unless told not to before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from . import _caches, _native  # noqa: F401 - it gives the caches their forms
from ._aio import aopen, areembed, arestore
from ._native import (
    SEMANTIC_AVAILABLE,
    SERVER_AVAILABLE,
    DedupMode,
    EmbeddingCache,
    Hit,
    NormalizationMode,
    Options,
    SemanticCache,
    SemanticModel,
    Server,
    Store,
    __version__,
    reembed,
    restore,
)
from ._workers import WORKERS
from .caches import EmbeddingStats, SemanticStats
from .calibration import Calibration, CalibrationRow, calibrate
from .candidates import Candidate, Explanation, FamilyReport, Gate, RecordedOutcome
from .exceptions import (
    BusyError,
    ClosedError,
    CorruptionError,
    InvalidArgumentError,
    IOError,
    ModelError,
    NotFoundError,
    PrestigeError,
    ReadOnlyError,
    TimedOutError,
)
from .health import HealthStats
from .stats import StoreStats

__all__ = [
    "SEMANTIC_AVAILABLE",
    "SERVER_AVAILABLE",
    "BusyError",
    "Calibration",
    "CalibrationRow",
    "Candidate",
    "ClosedError",
    "CorruptionError",
    "DedupMode",
    "EmbeddingCache",
    "EmbeddingStats",
    "Explanation",
    "FamilyReport",
    "Gate",
    "HealthStats",
    "Hit",
    "IOError",
    "InvalidArgumentError",
    "ModelError",
    "NormalizationMode",
    "NotFoundError",
    "Options",
    "PrestigeError",
    "ReadOnlyError",
    "RecordedOutcome",
    "SemanticCache",
    "SemanticModel",
    "SemanticStats",
    "Server",
    "Store",
    "StoreStats",
    "TimedOutError",
    "__version__",
    "aopen",
    "areembed",
    "arestore",
    "calibrate",
    "open",
    "reembed",
    "restore",
]


def open(path: str | os.PathLike[str], options: Options | None = None, **kwargs: Any) -> Store:  # noqa: ANN401 - of every option's type
    """Open the store in the directory ``path``, or create it.

    Args:
        path: Directory of the store; made if it does not exist, unless ``read_only=True``.
        options: How to open it; the defaults if left out.
        **kwargs: Attributes of ``Options`` that go before those of ``options``, for example
            ``default_ttl_seconds=3600``.

    Returns:
        The open store; a context manager that closes it.

    Raises:
        ValueError: An unknown option, or (``InvalidArgumentError``) one out of its range.
        BusyError: The store is open already, in this process or another.
        IOError: The path is a file, or cannot be read or written; read-only, there is no store.
        CorruptionError: The files of the store are damaged.
        ModelError: The model of a semantic store is missing, damaged or another one; for another
            one see ``reembed``.
    """
    return Store.open(path, options, **kwargs)


def _end() -> None:
    """End what is left when the interpreter exits.

    In order: calls that wait for a worker, servers, stores, which wait for what is running, and
    the workers, whose longer calls end with their store.
    """
    WORKERS.stop()
    _native.close_all()
    WORKERS.join()


atexit.register(_end)
