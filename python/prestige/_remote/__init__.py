"""The client of a server: what ``prestige.connect`` makes.

- `address`, `connections`: where the server is, and the pools of connections to it
- `wire`, `errors`, `retry`: requests and answers, failures, and what is tried again
- `drive`: how an operation, written once as a generator, is made to go by a thread or a coroutine
- `operations`: what a store does, one file for each kind
- `place`, `store`: the methods; `transfer`: exports and imports
- `single_flight`, `embedding_cache`, `semantic_cache`: the caches on a server
"""

from __future__ import annotations

from typing import Any

from .. import _native
from ..exceptions import InvalidArgumentError
from . import address
from .connections import Connections
from .drive import Driver
from .store import Arguments, RemoteStore

__all__ = ["RemoteStore", "connect_with"]

MOST_RETRIES = 100


def connect_with(arguments: Arguments) -> RemoteStore:
    """Make a client of the arguments of ``prestige.connect``."""
    place = address.parse(arguments["url"])
    token = _token(arguments["token"])
    namespace = arguments["namespace"]
    if not isinstance(namespace, str):
        message = f"namespace must be str, not {type(namespace).__name__}"
        raise TypeError(message)
    timeout = arguments["timeout"]
    if timeout is not None and _native.finite_number("timeout", timeout) <= 0:
        message = f"timeout must be over 0 seconds, or None for no bound, not {timeout}"
        raise InvalidArgumentError(message)
    retries = _native.natural_number("retries", arguments["retries"])
    if retries > MOST_RETRIES:
        message = f"retries must be at most {MOST_RETRIES}, not {retries}"
        raise InvalidArgumentError(message)
    connections = Connections(place, token, timeout, arguments["ca_file"])
    return RemoteStore._made(Driver(connections, retries), arguments)


def _token(given: Any) -> str | None:  # noqa: ANN401
    """The token. Messages do not repeat it."""
    if given is None:
        return None
    if not isinstance(given, str):
        message = f"token must be str, not {type(given).__name__}"
        raise TypeError(message)
    if not given or not all("!" <= character <= "~" for character in given):
        message = "token must consist of visible ASCII characters, without white space"
        raise InvalidArgumentError(message)
    return given
