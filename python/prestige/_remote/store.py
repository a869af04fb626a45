"""The client: the interface of ``Store``, of which each operation is a request or several."""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, NoReturn, TypeVar

from .._native import DedupMode, Store
from .._protocol import StoreProtocol
from .._workers import run as run_in_worker
from ..exceptions import UnsupportedError
from . import transfer
from .drive import Driver
from .operations import batches, decisions, listing, namespaces, upkeep, values
from .operations.listing import RemoteIterator
from .place import Place
from .wire import Operation

_T = TypeVar("_T")
_Path = str | os.PathLike[str]
_Key = str | bytes
# What `connect` takes, so that another process can connect too.
Arguments = dict[str, Any]


class RemoteStore(Place, StoreProtocol):
    """A store on a server, made by ``prestige.connect``.

    It has the interface of ``Store`` (see ``prestige.StoreProtocol``), the ``asyncio`` forms
    included, and the same results and errors. Threads, event loops and forked processes may share
    it. A context manager, also an asynchronous one, that closes its connections; the store of the
    server stays open.

    Beyond what ``Store`` raises, every call raises ``IOError`` if the server cannot be reached or
    the connection breaks, ``TimedOutError`` if it takes too long, ``BusyError`` if it has too much
    to do, and ``PermissionDeniedError`` if it does not know the token or does not let it do this.
    """

    def __init__(
        self, driver: Driver, namespace: str, root: RemoteStore | None, arguments: Arguments
    ) -> None:
        super().__init__(driver, namespace, root)
        self._arguments = arguments

    @classmethod
    def _made(cls, driver: Driver, arguments: Arguments) -> RemoteStore:
        return cls(driver, arguments["namespace"], None, arguments)

    def _run(self, operation: Operation[_T]) -> _T:
        self._check_open()
        return self._driver.run(operation)

    async def _arun(self, operation: Operation[_T]) -> _T:
        self._check_open()
        return await self._driver.arun(operation)

    @property
    def path(self) -> str:
        """URL of the server, as it was given: where the store is."""
        return self._driver.connections.address.shown

    @property
    def namespace_name(self) -> str:
        """Name of the namespace of this view; ``""`` for the store itself."""
        return self._namespace

    @property
    def read_only(self) -> bool:
        """Whether the server has the store open read-only. Asks the server."""
        return bool(self._run(upkeep.info(self))["read_only"])

    @property
    def dedup_mode(self) -> DedupMode:
        """How values are deduplicated. Asks the server."""
        semantic = self._run(upkeep.info(self))["dedup_mode"] == "semantic"
        return DedupMode.SEMANTIC if semantic else DedupMode.EXACT

    @property
    def total_bytes(self) -> int:
        """Bytes of all keys and distinct values, uncompressed. Asks the server."""
        return int(self._run(upkeep.get_health(self))["total_bytes"])

    def namespace(self, name: str) -> RemoteStore:
        """Return a view of a namespace, which is made if it does not exist."""
        self._run(namespaces.make_namespace(self, name))
        return self._view(name)

    async def anamespace(self, name: str) -> RemoteStore:
        """Return a view of a namespace: the ``asyncio`` form of ``namespace``."""
        await self._arun(namespaces.make_namespace(self, name))
        return self._view(name)

    def _view(self, name: str) -> RemoteStore:
        root = self if self._root is None else self._root
        assert isinstance(root, RemoteStore)
        return type(self)(self._driver, name, root, {**self._arguments, "namespace": name})

    def close(self) -> None:
        """Close the connections; of a view of a namespace it ends the view alone."""
        self._closed = True
        if self._root is None:
            self._driver.connections.close()

    async def aclose(self) -> None:
        """Close the connections: the ``asyncio`` form of ``close``."""
        self._closed = True
        if self._root is None:
            await self._driver.connections.aclose()

    def export_jsonl(self, path: _Path, *, prefix: _Key | None = None) -> int:
        """Write keys, values and times to a file of this machine."""
        self._check_open()
        return transfer.export_jsonl(self, path, prefix)

    def import_jsonl(self, path: _Path) -> int:
        """Put the keys of a file of this machine. They count as put now."""
        self._check_open()
        return transfer.import_jsonl(self, path)

    def export_parquet(self, path: _Path, *, prefix: _Key | None = None) -> int:
        """Write keys, values and times to a Parquet file of this machine."""
        from .. import _parquet  # noqa: PLC0415 - as `Store` does

        self._check_open()
        return _parquet.export(self, path, prefix)

    def import_parquet(self, path: _Path) -> int:
        """Put the keys of a Parquet file of this machine. They count as put now."""
        from .. import _parquet  # noqa: PLC0415

        self._check_open()
        return _parquet.load(self, path)

    def _export_batches(self, prefix: _Key | None, visit: Callable[..., None]) -> int:
        return transfer.export_batches(self, prefix, visit)

    def _import_batch(self, *lists: Any) -> int:  # noqa: ANN401 - see `transfer.Batch`
        return transfer.import_batch(self, *lists)

    async def aexport_jsonl(self, path: _Path, *, prefix: _Key | None = None) -> int:
        """Write to a file: the ``asyncio`` form of ``export_jsonl``."""
        return await run_in_worker(self.export_jsonl, path, prefix=prefix)

    async def aimport_jsonl(self, path: _Path) -> int:
        """Put from a file: the ``asyncio`` form of ``import_jsonl``."""
        return await run_in_worker(self.import_jsonl, path)

    async def aexport_parquet(self, path: _Path, *, prefix: _Key | None = None) -> int:
        """Write to a file: the ``asyncio`` form of ``export_parquet``."""
        return await run_in_worker(self.export_parquet, path, prefix=prefix)

    async def aimport_parquet(self, path: _Path) -> int:
        """Put from a file: the ``asyncio`` form of ``import_parquet``."""
        return await run_in_worker(self.import_parquet, path)

    def refresh(self) -> NoReturn:
        """Refuse with ``UnsupportedError``: the process that has the store open does this."""
        message = (
            "refresh does not work over the wire: call it in the process that has the store open "
            "read-only"
        )
        raise UnsupportedError(message)

    async def arefresh(self) -> NoReturn:
        """Refuse: the ``asyncio`` form of ``refresh``."""
        self.refresh()

    def _make_EmbeddingCache(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, N802
        """What ``prestige.EmbeddingCache`` makes of this store."""
        from .embedding_cache import RemoteEmbeddingCache  # noqa: PLC0415 - not all have one

        return RemoteEmbeddingCache(self, *args, **kwargs)

    def _make_SemanticCache(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, N802
        """What ``prestige.SemanticCache`` makes of this store."""
        from .semantic_cache import RemoteSemanticCache  # noqa: PLC0415

        return RemoteSemanticCache(self, *args, **kwargs)

    def __getitem__(self, key: _Key, /) -> bytes:
        value: bytes = self.get(key)
        return value

    def __setitem__(self, key: _Key, value: Any, /) -> None:  # noqa: ANN401
        self.put(key, value)

    def __delitem__(self, key: _Key, /) -> None:
        self.delete(key)

    def __contains__(self, key: _Key, /) -> bool:
        return self._run(values.contains(self, key))

    async def acontains(self, key: _Key) -> bool:
        """Tell whether a key exists: the ``asyncio`` form of ``key in store``."""
        return await self._arun(values.contains(self, key))

    def __len__(self) -> int:
        return self.count_keys()

    def __bool__(self) -> bool:
        # An empty store is a store: `if store:` asks whether there is one.
        return True

    def __iter__(self) -> Iterator[str]:
        return self.keys()

    def __aiter__(self) -> AsyncGenerator[str, None]:
        return self.akeys()

    def __enter__(self) -> RemoteStore:
        self._check_open()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    async def __aenter__(self) -> RemoteStore:
        self._check_open()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    def __reduce__(self) -> tuple[Any, ...]:
        # With the token: another process connects as this one does.
        from . import connect_with  # noqa: PLC0415 - it imports this

        return connect_with, (self._arguments,)

    def __repr__(self) -> str:
        namespace = f" namespace={self._namespace!r}" if self._namespace else ""
        return f"<prestige.RemoteStore url={self.path!r}{namespace} closed={self.closed}>"


def _add(name: str, forms: dict[str, Callable[..., Any]], operation: Callable[..., Any]) -> None:
    """Add a method and its ``asyncio`` form, with the documentation of that of ``Store``."""
    signature = inspect.signature(operation)
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    signature = signature.replace(parameters=parameters, return_annotation=signature.empty)
    for given, form in forms.items():
        documented = getattr(Store, given)
        form.__module__, form.__name__ = "prestige", given
        form.__qualname__ = f"RemoteStore.{given}"
        form.__doc__ = documented.__doc__
        form.__signature__ = signature  # type: ignore[attr-defined]
        setattr(RemoteStore, given, form)


def _add_operation(operation: Callable[..., Operation[Any]]) -> None:
    name = operation.__name__

    def form(self: RemoteStore, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return self._run(operation(self, *args, **kwargs))

    async def aform(self: RemoteStore, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return await self._arun(operation(self, *args, **kwargs))

    _add(name, {name: form, f"a{name}": aform}, operation)


def _add_iterator(name: str, gives: str) -> None:
    def form(self: RemoteStore, /, *args: Any, **kwargs: Any) -> RemoteIterator[Any]:  # noqa: ANN401
        self._check_open()
        return RemoteIterator(self, listing.listing(self, gives, *args, **kwargs))

    async def aform(self: RemoteStore, /, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:  # noqa: ANN401
        self._check_open()
        way = listing.listing(self, gives, *args, **kwargs)
        while page := await self._arun(way.next_page()):
            for item in page:
                yield item

    _add(name, {name: form, f"a{name}": aform}, _listed)


def _listed(
    self: Place,
    prefix: _Key | None = "",
    start: _Key | None = None,
    limit: int | None = None,
) -> None:
    """What methods that iterate take."""


OPERATIONS = (
    values.put,
    values.get,
    values.delete,
    values.ttl,
    values.touch,
    values.expire_at,
    values.get_object_id,
    values.get_metadata,
    batches.put_many,
    batches.get_many,
    batches.contains_many,
    batches.delete_many,
    listing.list_keys,
    upkeep.count_keys,
    upkeep.count_unique_values,
    upkeep.get_health,
    upkeep.stats,
    upkeep.sweep,
    upkeep.prune,
    upkeep.evict_lru,
    upkeep.flush,
    upkeep.compact,
    upkeep.rebuild_index,
    upkeep.reembed,
    upkeep.verify,
    upkeep.backup,
    decisions.digest,
    decisions.explain,
    decisions.candidates,
    decisions.candidates_many,
    decisions.record_outcome,
    decisions.list_outcomes,
    decisions.list_families,
    decisions.family_report,
    namespaces.namespaces,
    namespaces.drop_namespace,
)
for _operation in OPERATIONS:
    _add_operation(_operation)
_add_iterator("keys", "keys")
_add_iterator("values", "values")
_add_iterator("items", "items")
_add_iterator("scan", "items")
RemoteStore.__module__ = "prestige"
