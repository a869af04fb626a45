"""Whether a request is sent again, and when.

- What has not reached the server is: nobody listened, or it refused for having too much to do.
- After a broken connection what only reads is, and so is what writes: with each write goes an
  ``Idempotency-Key``, by which the server gives the answer of the first time instead of writing
  twice.
- What takes longer than the timeout is not: a busy server is not helped by more of it.
"""

from __future__ import annotations

import random
import ssl
import uuid
from collections.abc import Iterator, Mapping

import httpx2

from .. import exceptions as own
from . import errors
from .address import Address
from .wire import Reply, Request

# Seconds before the first repetition; each further one waits twice as long, up to the bound.
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
# A server that names a longer time than this is not waited for.
LONGEST_RETRY_AFTER = 60.0

TOO_MANY_REQUESTS, CONFLICT = 429, 409
BAD_GATEWAY, UNAVAILABLE = 502, 503


class Attempts:
    """The attempts of one request."""

    def __init__(
        self, address: Address, request: Request, retries: int, timeout: float | None
    ) -> None:
        self._address = address
        self._reads = request.reads
        self._fragile = request.fragile
        self._left = retries
        self._timeout = (timeout or 0.0) + request.patience
        self._delay = FIRST_DELAY
        self.headers: Mapping[str, str] = (
            {} if request.reads else {"idempotency-key": uuid.uuid4().hex}
        )

    def after_failure(self, error: Exception) -> float:
        """Seconds until the next attempt after one without an answer.

        Raises:
            IOError: There is none, or the last one failed.
            TimedOutError: The server took too long.

        """
        if isinstance(error, httpx2.TimeoutException):
            sent = isinstance(error, (httpx2.ReadTimeout, httpx2.WriteTimeout))
            raise errors.too_slow(self._address, self._timeout, sent and not self._reads)
        reason = str(error) or type(error).__name__
        if isinstance(error, httpx2.ConnectError):
            if any(isinstance(cause, ssl.SSLError) for cause in _causes(error)):
                message = f"no TLS connection to {self._address.shown}: {reason}"
                raise own.IOError(message)
            if self._left == 0 or any(isinstance(c, PermissionError) for c in _causes(error)):
                raise errors.unreachable(self._address, reason)
        elif self._left == 0 or self._fragile:
            raise errors.broken(self._address, reason, not self._reads)
        return self._next()

    def after_answer(self, reply: Reply) -> float | None:
        """Seconds until the next attempt after an answer; None: it is to be taken."""
        if reply.status not in (CONFLICT, TOO_MANY_REQUESTS, BAD_GATEWAY, UNAVAILABLE):
            return None
        named = _retry_after(reply.headers.get("retry-after"))
        if reply.status == CONFLICT and named is None:
            return None
        if reply.status == BAD_GATEWAY and self._fragile:
            return None
        if self._left == 0 or (named or 0.0) > LONGEST_RETRY_AFTER:
            return None
        # A closed store does not open again, and who waited for a lock has waited already.
        if reply.code in ("closed", "timed_out"):
            return None
        return max(self._next(), named or 0.0)

    def _next(self) -> float:
        self._left -= 1
        delay, self._delay = self._delay, min(2 * self._delay, LONGEST_DELAY)
        # Clients that were cut off together do not come back together.
        return delay * random.uniform(0.5, 1.0)


def _retry_after(value: str | None) -> float | None:
    """Seconds of the header; a date, which servers of ours do not send, is passed over."""
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
