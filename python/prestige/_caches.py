"""What the caches have beyond their classes: ``asyncio`` forms, and ``cached`` for functions."""

from __future__ import annotations

import contextlib
import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any

from ._aio import add_forms, methods_of
from ._native import EmbeddingCache, SemanticCache
from ._workers import run

# Methods that return at once, and those that are written as coroutines here.
IMMEDIATE = frozenset({"stats"})
ASYNC = frozenset({"get_or_compute", "aget_or_compute"})


def _give(cls: type, name: str, function: Callable[..., Any]) -> None:
    function.__module__, function.__name__ = cls.__module__, name
    function.__qualname__ = f"{cls.__qualname__}.{name}"
    setattr(cls, name, function)


async def _aget_or_compute(  # noqa: PLR0913 - as its blocking form
    self: Any,  # noqa: ANN401 - a SemanticCache, with what is not public
    query: str,
    function: Callable[[str], Any],
    *,
    scope: Any = None,  # noqa: ANN401 - whatever names a scope
    threshold: float | None = None,
    ttl_seconds: int | None = None,
    metadata: Mapping[str, str] | None = None,
    embedding: Any = None,  # noqa: ANN401 - an array or sequence
    tokens: int | Callable[[Any], int] = 0,
) -> Any:  # noqa: ANN401 - what the function returns
    """Return the response to a query, computed and stored if it is not in the cache.

    The ``asyncio`` form of ``get_or_compute``. The function may be async; one that is not holds up
    the event loop. The first of several callers, in whatever loops and threads, computes. If it is
    cancelled, another one does.
    """
    hit = await run(self.get, query, scope, threshold, embedding)
    if hit is not None:
        return hit.response
    while True:
        turn = await run(self._begin, query, scope, ttl_seconds, metadata, tokens)
        if turn.leads:
            start = time.perf_counter()
            try:
                with _part_of(turn):
                    response = function(query)
                    if inspect.isawaitable(response):
                        response = await response
                    seconds = time.perf_counter() - start
                    more = (ttl_seconds, metadata, scope, embedding, tokens, seconds)
                    finish: Callable[..., None] = self._finish
                    await run(finish, turn, query, response, *more)
            except BaseException as error:
                turn.fail(error)
                raise
            return response
        if (outcome := turn.outcome()) is None:
            try:
                await _ended(turn)
            finally:
                turn.release()
            outcome = turn.outcome()
        if outcome is not None:
            return outcome[0]


@contextlib.contextmanager
def _part_of(turn: Any) -> Iterator[None]:  # noqa: ANN401 - `_native._Turn`
    """Have the cache refuse what is called here to wait for what it computes itself."""
    token = turn.enter()
    try:
        yield
    finally:
        # A coroutine that is never finished may be closed in another context.
        with contextlib.suppress(ValueError):
            turn.leave(token)


async def _ended(turn: Any) -> None:  # noqa: ANN401 - `_native._Turn`
    """Wait until another caller has an outcome. No thread waits meanwhile."""
    import asyncio  # noqa: PLC0415 - see `run`

    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def tell() -> None:
        if not ended.done():
            ended.set_result(None)

    def end() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell)

    turn.on_end(end)
    await ended


class _Cached:
    """How the calls of a function are looked up."""

    def __init__(
        self,
        cache: SemanticCache,
        function: Callable[..., Any],
        query: str | None,
        scope: str | None,
        ignore: Iterable[str],
    ) -> None:
        self._cache = cache
        self._signature = inspect.signature(function)
        names = list(self._signature.parameters)
        self._ignore = frozenset(ignore)
        named = [name for name in names if name not in self._ignore]
        self._query = query if query is not None else next(iter(named), "")
        self._scope = scope
        for name in (self._query, *([] if scope is None else [scope]), *self._ignore):
            if name not in names:
                message = f"{function.__qualname__} has no parameter {name!r}; it has {names}"
                raise TypeError(message)
        self._function = f"{function.__module__}.{function.__qualname__}"

    def of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Query and scope of a call."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        query = arguments.pop(self._query)
        if not isinstance(query, str):
            message = f"the query, {self._query!r}, must be str, not {type(query).__name__}"
            raise TypeError(message)
        scope = self._cache.scope if self._scope is None else arguments.pop(self._scope)
        for name in self._ignore:
            arguments.pop(name, None)
        return query, {"function": self._function, "scope": scope, "arguments": arguments}


def _cached(  # noqa: PLR0913, D417 - keywords, and a method
    self: SemanticCache,
    function: Callable[..., Any] | None = None,
    *,
    query: str | None = None,
    scope: str | None = None,
    ignore: Iterable[str] = (),
    threshold: float | None = None,
    ttl_seconds: int | None = None,
    metadata: Mapping[str, str] | None = None,
    tokens: int | Callable[[Any], int] = 0,
) -> Any:  # noqa: ANN401 - a function of the type of the given one, or a decorator
    """Have the results of a function looked up: ``@cache.cached`` or ``@cache.cached(…)``.

    One parameter of the function is the query, and matches by meaning. All others match exactly:
    with the name of the function they are the scope. So no result is returned for other arguments.
    The function may be async. ``function.scope_of(…)`` of the result is the scope of a call, for
    ``invalidate``.

    Args:
        function: The function.
        query: Name of the parameter that is the query; None: the first that is not ignored.
        scope: Name of the parameter that takes the place of the cache's own scope.
        ignore: Names of parameters that say nothing about the result, such as ``self`` or a client.
        threshold: As in ``get``.
        ttl_seconds: As in ``put``.
        metadata: As in ``put``.
        tokens: As in ``get_or_compute``.

    Returns:
        A function of the same signature, or a decorator.

    Raises:
        TypeError: The function has no such parameter; when it is called, the query is not ``str``,
            or another argument cannot be part of a scope.
    """
    more: dict[str, Any] = {
        "threshold": threshold,
        "ttl_seconds": ttl_seconds,
        "metadata": metadata,
        "tokens": tokens,
    }

    def decorate(function: Callable[..., Any]) -> Any:  # noqa: ANN401
        cached = _Cached(self, function, query, scope, ignore)
        wrapper: Any
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
                text, within = cached.of(args, kwargs)

                def call(_: str) -> Awaitable[Any]:
                    result: Awaitable[Any] = function(*args, **kwargs)
                    return result

                return await self.aget_or_compute(text, call, scope=within, **more)

        else:

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
                text, within = cached.of(args, kwargs)
                return self.get_or_compute(
                    text, lambda _: function(*args, **kwargs), scope=within, **more
                )

        wrapper.scope_of = lambda *args, **kwargs: cached.of(args, kwargs)[1]
        return wrapper

    return decorate if function is None else decorate(function)


async def _enter(self: Any) -> Any:  # noqa: ANN401 - either cache
    """Enter the cache; one that is closed refuses."""
    return await run(type(self).__enter__, self)


async def _exit(self: Any, *_exception: object) -> None:  # noqa: ANN401 - either cache
    """Leave the cache: ``aclose``."""
    await self.aclose()


_give(SemanticCache, "aget_or_compute", _aget_or_compute)
for _class in (EmbeddingCache, SemanticCache):
    add_forms(_class, [name for name in methods_of(_class) if name not in IMMEDIATE | ASYNC])
    # Set as they are: both classes share them.
    setattr(_class, "__aenter__", _enter)  # noqa: B010 - not an attribute of the stub's
    setattr(_class, "__aexit__", _exit)  # noqa: B010
_give(SemanticCache, "cached", _cached)
