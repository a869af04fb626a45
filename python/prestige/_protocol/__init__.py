"""The interface that a store has, in this process or on a server.

``StoreProtocol`` is for annotations: what takes it works with ``prestige.open(path)`` and
``prestige.connect(url)`` alike. Its methods are documented at ``Store``.
"""

from __future__ import annotations

from typing import Protocol

from .batches import Batches
from .decisions import Decisions
from .iteration import Iteration
from .lifecycle import Lifecycle
from .transfers import Transfers
from .upkeep import Upkeep
from .values import Values


class StoreProtocol(Values, Batches, Iteration, Upkeep, Decisions, Transfers, Lifecycle, Protocol):
    """What ``Store`` and ``RemoteStore`` have in common, which is all but ``serve``.

    For annotations: a function that takes a ``StoreProtocol`` works with either. At run time it is
    no class to test with: ``isinstance`` is not supported.
    """


StoreProtocol.__module__ = "prestige"
