"""What goes over the wire: requests, answers, and bytes as JSON has them."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar
from urllib.parse import quote

from ..exceptions import PrestigeError

API = "/api/v1"
JSON = "application/json"
NDJSON = "application/x-ndjson"
BINARY = "application/octet-stream"
# Longest key in a path, percent-encoded, where another way leads to it: proxies refuse long paths,
# so longer keys, up to 65,536 bytes, travel in bodies. Where there is no other way, the
# longest that our servers take.
LONGEST_PATH = 4_000
LONGEST_LAST_RESORT = 64_000


class Sink(Protocol):
    """What takes the body of an answer piece by piece."""

    def feed(self, piece: bytes) -> None:
        """Take the next piece."""

    def finish(self) -> Any:  # noqa: ANN401 - whatever the pieces make
        """Return what they make; an unfinished body is an error."""


@dataclass(frozen=True)
class Request:
    """A request, and what may be done with it."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    reads: bool = False
    """It changes nothing, so it may be sent again whatever happened. What writes has a key by which
    the server knows a repetition, and is sent again if the connection breaks."""
    fragile: bool = False
    """The server would do it twice, so it is not sent again where it may have arrived."""
    expects: frozenset[int] = frozenset()
    """Statuses from 400 on that are an answer, not an error."""
    sink: Callable[[], Sink] | None = None
    """Makes what takes the body; None: it is held whole."""
    patience: float = 0.0
    """Seconds that the server may take on top of what it always may."""


class Reply(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    made: Any = None
    """What the sink has made of the body."""

    def json(self) -> Any:  # noqa: ANN401
        """The body as JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            message = (
                f"the server should have answered with JSON, and {error}: is it a Prestige server, "
                "and is no proxy between that answers in its place?"
            )
            raise PrestigeError(message) from None

    @property
    def code(self) -> str:
        """The machine-readable name of the error, empty if it has none."""
        try:
            problem = json.loads(self.body)
        except ValueError:
            return ""
        return str(problem.get("code", "")) if isinstance(problem, dict) else ""


@dataclass(frozen=True)
class Work:
    """What may take long or run code of the caller: an event loop has it done by a thread."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Pause:
    """A time to wait, in seconds."""

    seconds: float


class Compute:
    """What a caller computes: a thread calls it, an event loop calls it and waits for its end."""

    def run(self) -> Any:  # noqa: ANN401 - whatever it computes
        """Compute it in this thread."""
        raise NotImplementedError

    async def arun(self) -> Any:  # noqa: ANN401
        """Compute it in this task."""
        raise NotImplementedError


class Wait(Protocol):
    """An end to wait for, that another thread or task brings about."""

    def listen(self, listener: Callable[[], None]) -> None:
        """Have ``listener`` called at the end, by whoever brings it about, or at once."""


_T = TypeVar("_T")
Step: TypeAlias = Request | Work | Pause | Compute | Wait
# An operation, written once: it yields what is to be done and is sent what came of it. What it
# returns is the result; how it waits is for `drive` to say.
Operation: TypeAlias = Generator[Step, Any, _T]


def switch(name: str, given: object) -> bool:
    """A truth value that the argument ``name`` gives, also of NumPy."""
    if type(given).__name__ not in ("bool", "bool_"):
        message = f"{name} must be True or False, not {given!r}"
        raise TypeError(message)
    return bool(given)


def call(
    method: str,
    path: str,
    body: Any = None,  # noqa: ANN401
    **more: Any,  # noqa: ANN401 - fields of `Request`
) -> Request:
    """A request with a JSON body, or none."""
    headers = dict(more.pop("headers", {}))
    content: bytes | None = None
    if body is not None:
        headers["content-type"] = JSON
        content = dumps(body)
    return Request(method, API + path, headers=headers, content=content, **more)


def dumps(value: Any) -> bytes:  # noqa: ANN401
    """Compact JSON. Lone surrogates, which UTF-8 has not, are refused where they are given."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def to_json(data: bytes) -> str | dict[str, str]:
    """Bytes as a member of JSON: text where they are UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def from_json(given: Any) -> bytes:  # noqa: ANN401
    """The bytes that a member of JSON stands for."""
    if isinstance(given, str):
        return given.encode()
    try:
        return base64.b64decode(given["base64"], validate=True)
    except (TypeError, KeyError, ValueError):
        message = f"the server should have sent bytes as text or Base64, not {str(given)[:80]!r}"
        raise PrestigeError(message) from None


def single(number: float) -> float:
    """A number of single precision, which JSON has in fewer digits, as Python has it."""
    rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    return rounded


def in_path(data: bytes, longest: int = LONGEST_PATH) -> str | None:
    """Bytes as the end of a path; None if they are none or too many.

    A dot is encoded too, since libraries and proxies take ``..`` for the folder above, and a ``_``
    at the beginning, which names counts.
    """
    if not data or len(data) > longest:
        return None
    path = quote(data, safe="").replace(".", "%2E")
    if path[0] == "_":
        path = "%5F" + path[1:]
    return path if len(path) <= longest else None


def in_query(data: bytes) -> str:
    """Bytes as the value of a query parameter."""
    return quote(data, safe="")
