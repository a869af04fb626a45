"""One test over both: the store of this process, and the client of a server that has it.

A module that imports `store` from here, or a class derived from `OverBoth`, has each of its tests
that uses the fixture run twice. `embedded` marks those that make sense in one process alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

import prestige

KINDS = ("embedded", "server")

embedded = pytest.mark.embedded


@contextlib.contextmanager
def as_kind(kind: str, store: prestige.Store) -> Iterator[prestige.StoreProtocol]:
    """The store itself, or a client of a server over it."""
    if kind == "embedded":
        yield store
        return
    with store.serve() as server, prestige.connect(server.url) as client:
        yield client


@pytest.fixture(params=KINDS)
def store(
    request: pytest.FixtureRequest, store: prestige.Store
) -> Iterator[prestige.StoreProtocol]:
    with as_kind(request.param, store) as over:
        yield over


class OverBoth:
    @pytest.fixture(params=KINDS)
    def store(
        self, request: pytest.FixtureRequest, store: prestige.Store
    ) -> Iterator[prestige.StoreProtocol]:
        with as_kind(request.param, store) as over:
            yield over
