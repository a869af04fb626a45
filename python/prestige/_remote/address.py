"""Where a server is: the URL that ``connect`` takes."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from ..exceptions import InvalidArgumentError

FORMS = (
    "http://HOST:PORT, https://HOST:PORT or unix:///PATH/OF/SOCKET, for example "
    '"http://127.0.0.1:8080"'
)


class Address(NamedTuple):
    """A server, as requests name it."""

    shown: str
    """The URL as it was given, without a slash at its end."""
    base: str
    """What stands before the path of every request."""
    socket: str | None
    """Path of the Unix socket; None: TCP."""


def parse(url: str) -> Address:
    """Read a URL.

    Raises:
        TypeError: It is no ``str``.
        InvalidArgumentError: It is none of the forms, or has parts that belong elsewhere. The
            message does not repeat what could be a password.

    """
    if not isinstance(url, str):
        message = f"url must be str, not {type(url).__name__}"
        raise TypeError(message)
    try:
        parts = urlsplit(url)
        port = parts.port  # Raises for what is no port.
    except ValueError as error:
        message = f"url must be {FORMS}: {error}"
        raise InvalidArgumentError(message) from None
    if "@" in parts.netloc:
        message = "url must not have a user or password in it: give the token as token=…"
        raise InvalidArgumentError(message)
    if parts.query or parts.fragment:
        message = f"url must end with its path, without ? and #: {FORMS}"
        raise InvalidArgumentError(message)
    shown = url.rstrip("/")
    if parts.scheme == "unix":
        return Address(shown, "http://localhost", _socket(parts))
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        message = f"url must be {FORMS}, not {url!r}"
        raise InvalidArgumentError(message)
    return Address(shown, shown, None)


def _socket(parts: SplitResult) -> str:
    path = unquote(parts.path)
    if parts.netloc or len(path) < 2 or "\0" in path:
        message = f"a Unix socket is named by an absolute path: unix:///run/prestige.sock ({FORMS})"
        raise InvalidArgumentError(message)
    return path
