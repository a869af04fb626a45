"""The ``asyncio`` forms of methods that block: ``await store.aput(…)`` for ``store.put(…)``.

``add_forms`` gives a class the forms of its methods: named with an ``a`` in front, and of the same
signature, results and errors. Every public method of ``Store`` has one; the stub declares them.
"""

from __future__ import annotations

import functools
import itertools
import os
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
from typing import Any

from . import _native
from ._native import Options, SemanticModel, Server, Store
from ._workers import Call, finish, run

# Methods that return an iterator: their forms are asynchronous generators.
ITERATORS = frozenset({"items", "keys", "scan", "values"})
# Methods that end something: they are not dropped from the queue when their caller is cancelled.
ENDINGS = frozenset({"close", "stop"})
# What ends the result of a method when its caller was cancelled meanwhile.
RELEASES: dict[str, Callable[[Any], None]] = {"open": Store.close, "serve": Server.stop}

# After so many values from memory in a row the other tasks of the loop have their turn.
ANSWERS = 64
_answers = itertools.count(1)


def add_forms(cls: type, names: Iterable[str]) -> None:
    """Give a class the forms of methods, where it does not have them yet."""
    for name in names:
        if not hasattr(cls, f"a{name}"):
            make = _pages if name in ITERATORS else _form
            _add(cls, name, make(name, getattr(cls, name)))


def methods_of(cls: type) -> list[str]:
    """Names of the public methods of a class; without class methods and static ones."""
    kinds = (types.MethodDescriptorType, types.FunctionType)
    members = vars(cls).items()
    return [name for name, member in members if isinstance(member, kinds) and name[0] != "_"]


def _add(cls: type, name: str, form: Callable[..., Any]) -> None:
    """Add the form of a method, with the signature and the docstring of the method."""
    method = getattr(cls, name)
    summary, _, rest = (method.__doc__ or "").partition("\n")
    note = form.__doc__ or "."
    functools.update_wrapper(form, method)
    form.__doc__ = f"{summary}\n\nThe ``asyncio`` form of ``{name}``{note}\n{rest}"
    _give(cls, **{f"a{name}": form})


def _give(cls: type, **members: Any) -> None:  # noqa: ANN401 - functions and class methods
    for name, member in members.items():
        function = getattr(member, "__func__", member)
        function.__module__, function.__name__ = cls.__module__, name
        function.__qualname__ = f"{cls.__qualname__}.{name}"
        setattr(cls, name, member)


def _form(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    release, droppable = RELEASES.get(name), name not in ENDINGS

    async def form(self: object, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return await finish(Call(method, (self, *args), kwargs, release, droppable))

    if not droppable:
        form.__doc__ = """. Once it has begun it goes on even if its caller is
cancelled."""
    elif release is not None:
        form.__doc__ = ". Cancelled meanwhile, what it returns is ended."
    return form


def _pages(_name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    async def form(self: object, /, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:  # noqa: ANN401
        # This frame alone keeps the iterator: the snapshot goes when it ends, or is closed.
        iterator = await run(method, self, *args, **kwargs)
        while page := await run(iterator._next_page):
            for item in page:
                yield item

    form.__doc__ = """: an asynchronous generator. It sees the store as it is when
the first item is asked for, and has its pages read by workers."""
    return form


def _get_form() -> Callable[..., Any]:
    async def form(self: Store, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        # Memory first: that never waits, and takes a twentieth of the way over a worker.
        try:
            value = self._get_cached(*args, **kwargs)
        except TypeError:  # ``get`` says it with its own name.
            value = None
        if value is None:
            return await run(Store.get, self, *args, **kwargs)
        if next(_answers) % ANSWERS == 0:
            import asyncio  # noqa: PLC0415 - see ``Call``

            await asyncio.sleep(0)
        return value

    form.__doc__ = ". A value in memory is returned at once, without a worker."
    return form


async def _contains(self: Store, key: str | bytes) -> bool:
    """Tell whether a key exists: the ``asyncio`` form of ``key in store``."""
    return await run(Store.__contains__, self, key)


def _iterate(self: Store) -> AsyncGenerator[str, None]:
    return self.akeys()


async def _enter(self: Store) -> Store:
    # A closed store refuses, as with the sync form.
    return await run(Store.__enter__, self)


async def _exit(self: Store, *_exception: object) -> None:
    await self.aclose()


async def _enter_server(self: Server) -> Server:
    return self


async def _exit_server(self: Server, *_exception: object) -> None:
    await self.astop()


class StoreOpening(Coroutine[Any, Any, Store]):
    """What ``aopen`` returns: ``await`` it for the store, or enter it with ``async with``."""

    def __init__(
        self, path: str | os.PathLike[str], options: Options | None, changes: dict[str, object]
    ) -> None:
        self._opening = _open(path, options, changes)

    def __await__(self) -> Generator[Any, Any, Store]:
        return self._opening.__await__()

    async def __aenter__(self) -> Store:
        self._store = await self._opening
        return self._store

    async def __aexit__(self, *_exception: object) -> None:
        await self._store.aclose()

    def send(self, value: Any, /) -> Any:  # noqa: ANN401
        """As of every coroutine."""
        return self._opening.send(value)

    def throw(self, *exception: Any) -> Any:  # noqa: ANN401
        """As of every coroutine."""
        return self._opening.throw(*exception)

    def close(self) -> None:
        """As of every coroutine; of the store it is ``aclose``."""
        self._opening.close()


async def _open(
    path: str | os.PathLike[str], options: Options | None, changes: dict[str, object]
) -> Store:
    opening = Call(Store.open, (path, options), changes, RELEASES["open"])
    store: Store = await finish(opening)
    return store


def aopen(
    path: str | os.PathLike[str],
    options: Options | None = None,
    **kwargs: Any,  # noqa: ANN401 - of every option's type
) -> StoreOpening:
    """Open the store in the directory ``path``, or create it: the ``asyncio`` form of ``open``.

    ``store = await prestige.aopen(path)``, or ``async with prestige.aopen(path) as store:``. If the
    caller is cancelled while the store opens, it is closed again.

    Args:
        path: As in ``open``.
        options: As in ``open``.
        **kwargs: As in ``open``.

    Returns:
        An awaitable of the store, and an asynchronous context manager that closes it.

    Raises:
        Exception: When it is awaited or entered, as ``open``.

    """
    return StoreOpening(path, options, kwargs)


async def arestore(backup: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Make a store from a backup: the ``asyncio`` form of ``restore``.

    Args:
        backup: As in ``restore``.
        path: As in ``restore``.

    Raises:
        Exception: As ``restore``.

    """
    await run(_native.restore, backup, path)


async def areembed(
    path: str | os.PathLike[str],
    model: SemanticModel | None = None,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,  # noqa: ANN401 - of every option's type
) -> None:
    """Embed every text of a closed store by another model: the ``asyncio`` form of ``reembed``.

    Args:
        path: As in ``reembed``.
        model: As in ``reembed``.
        progress: As in ``reembed``; called in a worker thread.
        **options: As in ``reembed``.

    Raises:
        Exception: As ``reembed``.

    """
    await run(_native.reembed, path, model, progress, **options)


def _open_class(
    _class: type[Store],
    /,
    path: str | os.PathLike[str],
    options: Options | None = None,
    **changes: Any,  # noqa: ANN401 - of every option's type
) -> StoreOpening:
    """Open the store in a directory, or create it.

    The ``asyncio`` form of ``open``, and what ``prestige.aopen`` does.
    """
    return StoreOpening(path, options, changes)


_STORE_METHODS = methods_of(Store)
_add(Store, "get", _get_form())
add_forms(Store, _STORE_METHODS)
_give(Store, aopen=classmethod(_open_class), acontains=_contains)
_give(Store, __aiter__=_iterate, __aenter__=_enter, __aexit__=_exit)
add_forms(SemanticModel, ["embed"])
add_forms(Server, ["stop"])
_give(Server, __aenter__=_enter_server, __aexit__=_exit_server)
