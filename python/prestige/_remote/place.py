"""Where operations go: a server, and a namespace of its store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..exceptions import ClosedError, PrestigeError, UnsupportedError
from . import errors
from .drive import Driver
from .wire import API, LONGEST_LAST_RESORT, Reply, Request, call, in_path


class Place:
    """A namespace on a server."""

    def __init__(self, driver: Driver, namespace: str, root: Place | None) -> None:
        self._driver = driver
        self._namespace = namespace
        # Closing the store closes its views.
        self._root = root
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the client is closed; nothing is said of the store of the server."""
        return self._closed or (self._root is not None and self._root.closed)

    def _check_open(self) -> None:
        if self.closed:
            message = (
                f"the client of {self._driver.connections.address.shown} is closed; "
                "prestige.connect(url) makes another"
            )
            raise ClosedError(message)

    def _error(self, reply: Reply) -> PrestigeError:
        """The exception for an answer that is not what was asked for."""
        address = self._driver.connections.address
        return errors.of_answer(address, reply.status, reply.body, self._namespace)

    def _call(
        self,
        method: str,
        path: str,
        body: Any = None,  # noqa: ANN401 - what JSON can be made of
        query: Mapping[str, str] | None = None,
        **more: Any,  # noqa: ANN401 - fields of `Request`
    ) -> Request:
        """A request to a route of the API. Values of ``query`` are percent-encoded."""
        return call(method, path, body, query=self._within(query), **more)

    def _within(self, query: Mapping[str, str] | None = None) -> dict[str, str]:
        """Query parameters with the namespace."""
        query = dict(query or {})
        if self._namespace:
            query["namespace"] = quote(self._namespace, safe="")
        return query

    def _key_path(self, key: bytes) -> str:
        """The path of a key; refused if the key is too long for one."""
        path = in_path(key, LONGEST_LAST_RESORT)
        if path is None and key:
            message = (
                f"a key of {len(key)} bytes cannot be part of a URL: of such keys get, put, delete "
                "and `in` and the batches work on a server, and the rest does not"
            )
            raise UnsupportedError(message)
        return f"{API}/kv/{path or ''}"
