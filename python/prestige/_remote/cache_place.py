"""What both caches on a server have in common."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ..exceptions import InvalidArgumentError
from .single_flight import Flights
from .wire import Operation, Request

if TYPE_CHECKING:
    from typing_extensions import Self

    from .store import RemoteStore

_T = TypeVar("_T")


class CachePlace:
    """A cache in the store of a server. What is computed is computed here."""

    def __init__(self, store: RemoteStore, options: Mapping[str, Any]) -> None:
        for name in options:
            message = (
                f"{name} is an option of a store that the cache opens by its path; this one is "
                "open already"
            )
            raise InvalidArgumentError(message)
        # Of a view the caches are those of its namespace, which share nothing with others.
        self._store = store
        self._counts = Counts()

    def _run(self, operation: Operation[_T]) -> _T:
        return self._store._run(operation)

    async def _arun(self, operation: Operation[_T]) -> _T:
        return await self._store._arun(operation)

    def _ask(self, path: str, body: Mapping[str, Any], reads: bool = False) -> Request:
        return self._store._call("POST", path, body, reads=reads)

    @property
    def _flights(self) -> Flights[Any]:
        """What the caches of the client compute now."""
        return self._store._driver.flights_of(type(self).__name__)

    @property
    def _whose(self) -> str:
        """The namespace, for messages; nothing for that of the store itself."""
        name = self._store.namespace_name
        return f" in the namespace {name!r}" if name else ""

    @property
    def _shown_namespace(self) -> str:
        name = self._store.namespace_name
        return f" namespace={name!r}" if name else ""

    @property
    def path(self) -> str:
        """URL of the server."""
        return self._store.path

    @property
    def closed(self) -> bool:
        """Whether the client is closed."""
        return self._store.closed

    def close(self) -> None:
        """Nothing: the client was open before, and stays so."""

    async def aclose(self) -> None:
        """Nothing: the ``asyncio`` form of ``close``."""

    def __enter__(self) -> Self:
        self._store._check_open()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._store._check_open()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    def __bool__(self) -> bool:
        # An empty cache is a cache: `if cache:` asks whether there is one.
        return True

    def __reduce__(self) -> NoReturn:
        message = (
            "a cache cannot be pickled; pass the client, and make the cache where it is needed"
        )
        raise TypeError(message)


class Counts:
    """Figures that threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._figures: dict[str, float] = {}

    def add(self, **changes: float) -> None:
        """Add to figures."""
        with self._lock:
            for name, change in changes.items():
                self._figures[name] = self._figures.get(name, 0) + change

    def of(self, name: str) -> float:
        """A figure."""
        return self._figures.get(name, 0)

    def whole(self, name: str) -> int:
        """A figure that is a whole number."""
        return int(self.of(name))


def add_forms(
    cls: type, documented: type, operations: Iterable[Callable[..., Operation[Any]]]
) -> None:
    """Give a class the methods that operations make, and their ``asyncio`` forms."""
    for operation in operations:
        for name, form in _forms(operation).items():
            form.__module__, form.__name__ = "prestige", name
            form.__qualname__ = f"{documented.__name__}.{name}"
            form.__doc__ = getattr(documented, name).__doc__
            setattr(cls, name, form)


def _forms(operation: Callable[..., Operation[Any]]) -> dict[str, Callable[..., Any]]:
    def form(self: CachePlace, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return self._run(operation(self, *args, **kwargs))

    async def aform(self: CachePlace, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return await self._arun(operation(self, *args, **kwargs))

    name = operation.__name__.removeprefix("_")
    return {name: form, f"a{name}": aform}
