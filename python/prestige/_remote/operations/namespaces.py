"""Namespaces of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from ...exceptions import InvalidArgumentError, NotFoundError
from ..wire import API, Operation, Reply, Request
from .upkeep import WAIT_SECONDS, ended

if TYPE_CHECKING:
    from ..place import Place

FORBIDDEN, NOT_FOUND = 403, 404


def make_namespace(self: Place, name: str) -> Operation[None]:
    """Make a namespace if it does not exist, and if this client may."""
    path = _path(name)
    if not name:
        return
    expects = frozenset({FORBIDDEN})
    reply: Reply = yield Request("PUT", path, expects=expects)
    if reply.status == FORBIDDEN:
        # A client that only reads has views of those that are there.
        reply = yield Request("GET", f"{API}/namespaces", reads=True)
        if name not in reply.json()["namespaces"]:
            message = f"there is no namespace {name!r}, and this client cannot make one"
            raise NotFoundError(message)


def namespaces(self: Place) -> Operation[list[str]]:
    """Return the names of all namespaces but the store's own, sorted."""
    reply: Reply = yield Request("GET", f"{API}/namespaces", reads=True)
    return [name for name in reply.json()["namespaces"] if name]


def drop_namespace(self: Place, name: str) -> Operation[None]:
    """Remove a namespace and all it holds."""
    path = _path(name)
    if not name:
        message = "the namespace of the store itself, which has no name, cannot be dropped"
        raise InvalidArgumentError(message)
    prefer = {"prefer": f"wait={WAIT_SECONDS:.0f}"}
    reply: Reply = yield Request(
        "DELETE", path, headers=prefer, patience=WAIT_SECONDS, fragile=True
    )
    yield from ended(self, reply)


def _path(name: str) -> str:
    if not isinstance(name, str):
        message = f"name must be str, not {type(name).__name__}"
        raise TypeError(message)
    return f"{API}/namespaces/{quote(name, safe='').replace('.', '%2E')}"
