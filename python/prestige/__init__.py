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
from typing import TYPE_CHECKING, Any

# ONNX Runtime reports usage to its vendor unless told not to before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from . import _caches, _native  # noqa: F401 - it gives the caches their forms
from ._aio import aopen, areembed, arestore
from ._cache_classes import EmbeddingCache, SemanticCache
from ._native import (
    SEMANTIC_AVAILABLE,
    SERVER_AVAILABLE,
    DedupMode,
    Hit,
    NormalizationMode,
    Options,
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
    PermissionDeniedError,
    PrestigeError,
    ReadOnlyError,
    TimedOutError,
    UnsupportedError,
)
from .health import HealthStats
from .stats import StoreStats
from .upstream import Upstream

if TYPE_CHECKING:
    from ._protocol import StoreProtocol
    from ._remote import RemoteStore

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
    "PermissionDeniedError",
    "PrestigeError",
    "ReadOnlyError",
    "RecordedOutcome",
    "RemoteStore",
    "SemanticCache",
    "SemanticModel",
    "SemanticStats",
    "Server",
    "Store",
    "StoreProtocol",
    "StoreStats",
    "TimedOutError",
    "UnsupportedError",
    "Upstream",
    "__version__",
    "aopen",
    "areembed",
    "arestore",
    "calibrate",
    "connect",
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


def connect(  # noqa: PLR0913 - keywords
    url: str,
    token: str | None = None,
    *,
    namespace: str = "",
    timeout: float | None = 30.0,
    retries: int = 3,
    ca_file: str | None = None,
) -> RemoteStore:
    """Make a client of a server: a store that other processes can use at the same time.

    It has the interface of ``Store``, the ``asyncio`` forms included. Nothing is sent before the
    first call. Connections are kept open and shared by threads; each event loop and each forked
    process has its own.

    What could not be sent, or was refused because the server has too much to do, is sent again, and
    so is what the server recognises as sent before; see ``docs/client.md``.

    Args:
        url: ``"http://HOST:PORT"``, ``"https://HOST:PORT"``, perhaps with a path before that of the
            API, or ``"unix:///PATH/OF/SOCKET"``.
        token: The bearer token; None: none.
        namespace: Name of the namespace; ``""``: that of the store itself.
        timeout: Longest wait in seconds for a connection, and for the server to go on; None: no
            bound. Default 30.
        retries: How often a request is sent again, 0 to 100. Default 3.
        ca_file: PEM file of the authorities that may have signed the certificate of an https
            server; None: those of the system.

    Returns:
        The client; a context manager, also an asynchronous one, that closes its connections.

    Raises:
        InvalidArgumentError: An argument is none of these.
        IOError: ``ca_file`` cannot be read.
    """
    from ._remote import connect_with  # noqa: PLC0415 - takes longer to import than all the rest

    return connect_with(
        {
            "url": url,
            "token": token,
            "namespace": namespace,
            "timeout": timeout,
            "retries": retries,
            "ca_file": ca_file,
        }
    )


if not TYPE_CHECKING:
    # What clients need is imported with the first of them. Type checkers see the names above.
    _LATER = {"RemoteStore": "_remote", "StoreProtocol": "_protocol"}

    def __getattr__(name: str) -> Any:  # noqa: ANN401
        if name not in _LATER:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        import importlib  # noqa: PLC0415 - see above

        value = getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


def _end() -> None:
    """End what is left when the interpreter exits.

    In order: calls that wait for a worker, servers, stores, which wait for what is running, and
    the workers, whose longer calls end with their store.
    """
    WORKERS.stop()
    _native.close_all()
    WORKERS.join()


atexit.register(_end)
