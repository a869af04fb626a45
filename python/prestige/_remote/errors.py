"""From what servers answer, and what connections fail with, to the exceptions of ``Store``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .. import exceptions as own
from .address import Address

# By the code of a problem document; whatever has none is a `PrestigeError`.
CLASSES: Mapping[str, type[own.PrestigeError]] = {
    "not_found": own.NotFoundError,
    "invalid_argument": own.InvalidArgumentError,
    "malformed_body": own.InvalidArgumentError,
    "too_large": own.InvalidArgumentError,
    "unauthorized": own.PermissionDeniedError,
    "forbidden": own.PermissionDeniedError,
    "read_only": own.ReadOnlyError,
    "busy": own.BusyError,
    "overloaded": own.BusyError,
    "timed_out": own.TimedOutError,
    "closed": own.ClosedError,
    "corruption": own.CorruptionError,
    "io": own.IOError,
    "model": own.ModelError,
}
# By the status alone, where something between has answered that knows no codes.
STATUSES: Mapping[int, type[own.PrestigeError]] = {
    401: own.PermissionDeniedError,
    403: own.PermissionDeniedError,
    413: own.InvalidArgumentError,
    429: own.BusyError,
    502: own.IOError,
    503: own.BusyError,
    504: own.TimedOutError,
}


def of_answer(address: Address, status: int, body: bytes, namespace: str = "") -> own.PrestigeError:
    """The exception for an answer with an error. ``namespace``: the one that was asked for."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    if isinstance(problem, dict) and "code" in problem:
        error = of_problem(problem)
        if namespace and isinstance(error, own.PermissionDeniedError):
            # The server does not say which one the token does not reach.
            return type(error)(f"{error} (namespace {namespace!r})")
        return error
    if (kind := STATUSES.get(status)) is not None:
        return kind(f"{address.shown} answered with HTTP status {status}")
    message = (
        f"{address.shown} answered with HTTP status {status} and no reason: is it a Prestige "
        "server, of this version?"
    )
    return own.PrestigeError(message)


def of_problem(problem: Mapping[str, Any]) -> own.PrestigeError:
    """The exception for a problem document."""
    code = str(problem.get("code", ""))
    message = str(problem.get("detail") or problem.get("title") or code)
    if code == "no_such_route":
        message += ": the server is of another version, or the URL names something else"
    if code == "unauthorized":
        message += " (give connect a token that the server knows)"
    return CLASSES.get(code, own.PrestigeError)(message)


def unreachable(address: Address, reason: str) -> own.PrestigeError:
    """What is raised where no server listens."""
    start = (
        f"prestige serve DIRECTORY --unix-socket {address.socket}"
        if address.socket
        else "prestige serve DIRECTORY"
    )
    return own.IOError(
        f"no server answers at {address.shown} ({reason}): start one with `{start}`, or with "
        "Store.serve in the process that has the store open"
    )


def broken(address: Address, reason: str, sent: bool) -> own.PrestigeError:
    """What is raised where a connection breaks."""
    known = (
        "; it is not known whether the server has done what it was asked to, so the call was not "
        "repeated"
        if sent
        else ""
    )
    return own.IOError(f"the connection to {address.shown} broke: {reason}{known}")


def too_slow(address: Address, seconds: float, sent: bool) -> own.PrestigeError:
    """What is raised where a server takes too long."""
    known = "; the server may still do what it was asked to" if sent else ""
    return own.TimedOutError(
        f"{address.shown} did not answer within {seconds:g} s{known}: give connect a longer "
        "timeout, or look at what keeps the server busy"
    )
