"""``SemanticCache`` on a server: entries are kept and found there, responses computed here."""

from __future__ import annotations

import base64
import inspect
import json
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _cache_classes as _classes
from .. import _native, exceptions
from .cache_place import CachePlace, add_forms
from .single_flight import Computation, Flight, leading, waiting
from .vector_source import NEEDS_MODEL_ID, VectorSource
from .wire import JSON, Compute, Operation, Reply, Request, Work, dumps, from_json, single

if TYPE_CHECKING:
    from .._native import Hit, SemanticModel
    from ..caches import SemanticStats
    from .store import RemoteStore

DEFAULT_THRESHOLD = 0.97
# Bounds of metadata, as of the cache of a store.
MOST_PAIRS, NAME_BYTES, TEXT_BYTES = 64, 256, 4096


class _Scope(NamedTuple):
    """A scope as it was given, and as canonical JSON."""

    given: Any
    json: str


class _Lookup(NamedTuple):
    """What to look up."""

    query: str
    scope: _Scope
    threshold: float
    embedding: Any


class _Entry(NamedTuple):
    """What to put, but for the response and what computing it took."""

    query: str
    scope: _Scope
    ttl_seconds: int | None
    metadata: Mapping[str, str]


class RemoteSemanticCache(CachePlace):
    """What ``prestige.SemanticCache`` makes of a client."""

    if TYPE_CHECKING:
        # What `add_forms` makes of the operations below.
        get: Any
        aget: Any
        put: Any
        aput: Any
        get_or_compute: Any
        aget_or_compute: Any
        invalidate: Any
        ainvalidate: Any
        clear: Any
        aclear: Any
        scopes: Any
        ascopes: Any
        cached: Any

    def __init__(  # noqa: PLR0913 - as of the cache of a store
        self,
        store: RemoteStore,
        threshold: float = DEFAULT_THRESHOLD,
        scope: Any = None,  # noqa: ANN401
        *,
        model: SemanticModel | None = None,
        embed: Callable[[list[str]], Any] | None = None,
        model_id: str | None = None,
        ttl_seconds: int | None = None,
        price_per_call: float = 0.0,
        price_per_1k_tokens: float = 0.0,
        **options: Any,  # noqa: ANN401
    ) -> None:
        self._threshold = _share(_native.finite_number("threshold", threshold))
        self._ttl = None if ttl_seconds is None else _natural("ttl_seconds", ttl_seconds)
        self._prices = (
            _price("price_per_call", price_per_call),
            _price("price_per_1k_tokens", price_per_1k_tokens),
        )
        self._own = _Scope(scope, _native.scope_json(scope))
        # Whether calls that name no scope are for one, or for all of them.
        self._has_scope = scope is not None
        only_given = model is None and embed is None and model_id is not None
        self._source = None if only_given else VectorSource(model, embed)
        self._model = self._named_model(model_id)
        super().__init__(store, options)

    def _named_model(self, model_id: str | None) -> dict[str, str]:
        """The model as requests name it."""
        if model_id is not None:
            if not model_id:
                message = "model_id must not be empty"
                raise exceptions.InvalidArgumentError(message)
            return {"model_id": model_id}
        if self._source is None or self._source.model is None:
            raise exceptions.InvalidArgumentError(NEEDS_MODEL_ID)
        return {"model_id": self._source.fingerprint}

    def _within(self, given: Any) -> _Scope:  # noqa: ANN401
        return self._own if given is None else _Scope(given, _native.scope_json(given))

    def _post(self, path: str, members: Mapping[str, bytes], reads: bool = False) -> Request:
        """A request whose body has these members, each JSON already: nothing is written anew."""
        parts = [dumps(name) + b":" + text for name, text in members.items()]
        request = self._store._call("POST", f"/cache/{path}", reads=reads)
        headers = {"content-type": JSON}
        body = b"{" + b",".join(parts) + b"}"
        return Request(
            request.method, request.path, request.query, headers, body, reads=request.reads
        )

    def _body(self, **members: Any) -> dict[str, bytes]:  # noqa: ANN401
        """The members of a body, without those that are None."""
        given = {name: member for name, member in members.items() if member is not None}
        return {
            name: member if isinstance(member, bytes) else dumps(member)
            for name, member in given.items()
        }

    def _lookup_of(
        self,
        query: str,
        scope: Any,  # noqa: ANN401
        threshold: float | None,
        embedding: Any,  # noqa: ANN401
    ) -> _Lookup:
        """Check the arguments of a lookup."""
        limit = self._threshold
        if threshold is not None:
            limit = _share(_native.finite_number("threshold", threshold))
        vector = None if embedding is None else _native.vector_argument(embedding, "embedding")
        return _Lookup(_text(query), self._within(scope), limit, vector)

    def _find(self, lookup: _Lookup) -> Operation[tuple[Hit | None, Any]]:
        """The hit, and the embedding of the query if there is one by now."""
        vector = lookup.embedding
        answer = yield from self._look_up(lookup, vector)
        if answer["hit"] is None and vector is None and answer.get("wants_embedding", True):
            vector = yield from self._vector_of(lookup.query)
            if vector is not None:
                answer = yield from self._look_up(lookup, vector)
        found = answer["hit"]
        if found is None:
            self._counts.add(misses=1)
            return None, vector
        name = "exact_hits" if found["exact"] else "semantic_hits"
        saved = {"saved": found.get("seconds") or 0.0, "tokens": found.get("tokens") or 0}
        self._counts.add(**{name: 1}, **saved)
        return self._hit(found, lookup.scope), vector

    def _look_up(self, lookup: _Lookup, vector: Any) -> Operation[dict[str, Any]]:  # noqa: ANN401
        body = self._body(
            **self._model,
            query=lookup.query,
            scope=lookup.scope.json.encode(),
            threshold=lookup.threshold,
            embedding=None if vector is None else _numbers(vector),
        )
        reply: Reply = yield self._post("lookup", body, reads=True)
        answer: dict[str, Any] = reply.json()
        return answer

    def _hit(self, found: dict[str, Any], scope: _Scope) -> Hit:
        return _native.make_hit(
            _native.response_of_parts(found["kind"], _data(found)),
            found["query"],
            single(found["similarity"]),
            found["exact"],
            found["age_seconds"],
            found.get("metadata") or {},
            scope.given,
        )

    def _vector_of(self, query: str) -> Operation[Any]:
        """The embedding of a query; None if it cannot have one."""
        if self._source is None or not self._source.reads(query):
            return None
        rows = yield Work(self._source.vectors, ([query],))
        return rows[0]

    def _get(
        self,
        query: str,
        scope: Any = None,  # noqa: ANN401
        threshold: float | None = None,
        embedding: Any = None,  # noqa: ANN401
    ) -> Operation[Hit | None]:
        """Look up the response to a query."""
        hit, _ = yield from self._find(self._lookup_of(query, scope, threshold, embedding))
        return hit

    def _put(  # noqa: PLR0913, PLR0917 - as of the cache of a store
        self,
        query: str,
        response: Any,  # noqa: ANN401
        ttl_seconds: int | None = None,
        metadata: Mapping[str, str] | None = None,
        scope: Any = None,  # noqa: ANN401
        embedding: Any = None,  # noqa: ANN401
        tokens: int = 0,
        seconds: float = 0.0,
    ) -> Operation[None]:
        """Store a response in place of what is there for the query and scope."""
        parts = _native.response_parts(response)
        entry = self._entry(query, ttl_seconds, metadata, scope)
        vector = None if embedding is None else _native.vector_argument(embedding, "embedding")
        cost = _native.natural_number("tokens", tokens)
        took = _native.seconds_from_zero("seconds", seconds)
        yield from self._store_entry(entry, parts, vector, cost, took)

    def _entry(
        self,
        query: str,
        ttl_seconds: int | None,
        metadata: Mapping[str, str] | None,
        scope: Any,  # noqa: ANN401
    ) -> _Entry:
        ttl = self._ttl if ttl_seconds is None else _natural("ttl_seconds", ttl_seconds)
        pairs = _native.entry_metadata(metadata)
        _check_metadata(pairs)
        return _Entry(_text(query), self._within(scope), ttl, pairs)

    def _store_entry(
        self,
        entry: _Entry,
        parts: tuple[str, bytes],
        vector: Any,  # noqa: ANN401
        tokens: int,
        seconds: float,
    ) -> Operation[None]:
        if vector is None:
            vector = yield from self._vector_of(entry.query)
        kind, data = parts
        body = self._body(
            **self._model,
            query=entry.query,
            kind=kind,
            response=_wire(kind, data),
            scope=entry.scope.json.encode(),
            ttl_seconds=entry.ttl_seconds,
            metadata=entry.metadata or None,
            embedding=None if vector is None else _numbers(vector),
            tokens=tokens,
            seconds=seconds,
        )
        yield self._post("put", body)
        self._counts.add(puts=1)

    def _get_or_compute(  # noqa: PLR0913 - as of the cache of a store
        self,
        query: str,
        function: Callable[[str], Any],
        *,
        scope: Any = None,  # noqa: ANN401
        threshold: float | None = None,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, str] | None = None,
        embedding: Any = None,  # noqa: ANN401
        tokens: int | Callable[[Any], int] = 0,
    ) -> Operation[Any]:
        """Return the response to a query, computed and stored if it is not in the cache."""
        lookup = self._lookup_of(query, scope, threshold, embedding)
        entry = self._entry(query, ttl_seconds, metadata, scope)
        if not callable(tokens):
            _native.natural_number("tokens", tokens)
        ended = self._flights.ended
        hit, vector = yield from self._find(lookup)
        if hit is not None:
            return hit.response
        # Entries of another model are refused, so what is computed for them is no answer either.
        namespace, model = self._store.namespace_name, self._model["model_id"]
        key = namespace, model, entry.scope.json, entry.query
        computation = Computation()
        while True:
            flight, leads = self._flights.join(key, computation)
            if leads:
                try:
                    if self._flights.ended != ended:
                        # Whoever led before may have put it between our look and our turn.
                        answer = yield from self._look_up(lookup, None)
                        if (found := answer["hit"]) is not None:
                            parts = found["kind"], _data(found)
                            self._flights.succeed(flight, parts)
                            self._counts.add(shared=1)
                            return _native.response_of_parts(*parts)
                    with leading(computation):
                        return (yield from self._lead(flight, entry, vector, function, tokens))
                except BaseException as error:
                    # Does nothing where there is an outcome already.
                    self._flights.fail(flight, error)
                    raise
            with waiting(flight):
                yield flight
            if flight.error is not None:
                raise flight.error
            if not flight.abandoned:
                self._counts.add(shared=1)
                return _native.response_of_parts(*flight.value)

    def _lead(
        self,
        flight: Flight[Any],
        entry: _Entry,
        vector: Any,  # noqa: ANN401
        function: Callable[[str], Any],
        tokens: int | Callable[[Any], int],
    ) -> Operation[Any]:
        """Compute a response, store it and give it to those who wait."""
        begun = time.perf_counter()
        response = yield CallFunction(function, entry.query)
        seconds = time.perf_counter() - begun
        parts = _native.response_parts(response)
        cost = tokens(response) if callable(tokens) else tokens
        cost = _native.natural_number("tokens", cost)
        self._counts.add(computed=1, seconds_computing=seconds)
        try:
            yield from self._store_entry(entry, parts, vector, cost, seconds)
        except Exception:
            self._counts.add(not_stored=1)
        finally:
            # It has been paid for, so whoever waits gets it, even if this caller is interrupted.
            self._flights.succeed(flight, parts)
        return _native.response_of_parts(*parts)

    def _invalidate(
        self,
        *,
        scope: Any = None,  # noqa: ANN401
        metadata: Mapping[str, str] | None = None,
        older_than: float | timedelta | None = None,
    ) -> Operation[int]:
        """Remove entries."""
        pairs = _native.entry_metadata(metadata)
        if metadata is not None and not pairs:
            message = "metadata must name at least one pair; leave it out to remove whole scopes"
            raise exceptions.InvalidArgumentError(message)
        age = None if older_than is None else _native.seconds_from_zero("older_than", older_than)
        body = self._body(scope=self._spanned(scope), metadata=pairs or None, older_than=age)
        reply: Reply = yield self._post("invalidate", body)
        return int(reply.json()["removed"])

    def _spanned(self, given: Any) -> bytes | None:  # noqa: ANN401
        """The scope of a call on whole scopes; None: all."""
        if given is None and not self._has_scope:
            return None
        return self._within(given).json.encode()

    def _clear(self) -> Operation[int]:
        """Remove every entry of the scope that the cache was given, or of all scopes."""
        return (yield from self._invalidate())

    def _scopes(self) -> Operation[list[Any]]:
        """Return the scopes that have had an entry and were not removed since."""
        listed = yield from self._listed()
        return [scope for scope, _ in listed]

    def _listed(self) -> Operation[list[tuple[Any, int]]]:
        reply: Reply = yield self._store._call("GET", "/cache/scopes", reads=True)
        return [(one["scope"], one["entries"]) for one in reply.json()["scopes"]]

    def stats(self) -> SemanticStats:
        """Return what this object has done, in this process."""
        of = self._counts
        hits = of.of("exact_hits") + of.of("semantic_hits")
        per_call, per_1k_tokens = self._prices
        return {
            "exact_hits": of.whole("exact_hits"),
            "semantic_hits": of.whole("semantic_hits"),
            "misses": of.whole("misses"),
            "puts": of.whole("puts"),
            "computed": of.whole("computed"),
            "shared": of.whole("shared"),
            "not_stored": of.whole("not_stored"),
            "seconds_computing": of.of("seconds_computing"),
            "seconds_saved": of.of("saved"),
            "money_saved": hits * per_call + of.of("tokens") / 1000 * per_1k_tokens,
        }

    @property
    def threshold(self) -> float:
        """Least cosine similarity of a hit, where a call names none."""
        return self._threshold

    @property
    def scope(self) -> Any:  # noqa: ANN401
        """The scope of calls that name none, as it was given."""
        return self._own.given

    @property
    def model_id(self) -> str:
        """Name of the model."""
        return self._model["model_id"]

    def __len__(self) -> int:
        listed = self._run(self._listed())
        if not self._has_scope:
            return sum(entries for _, entries in listed)
        return sum(n for scope, n in listed if _native.scope_json(scope) == self._own.json)

    def __repr__(self) -> str:
        return (
            f"<prestige.SemanticCache path={self.path!r}{self._shown_namespace} "
            f"model_id={self.model_id!r} threshold={self._threshold} closed={self.closed}>"
        )


class CallFunction(Compute):
    """The step that calls the function of a caller: by the thread, or in the event loop."""

    def __init__(self, function: Callable[[str], Any], query: str) -> None:
        self._function = function
        self._query = query

    def run(self) -> Any:  # noqa: ANN401 - what the function returns
        """Call it."""
        answer = self._function(self._query)
        if inspect.isawaitable(answer):
            if (close := getattr(answer, "close", None)) is not None:
                close()
            message = (
                "the function must return a response, not an awaitable: use aget_or_compute for an "
                "async function"
            )
            raise TypeError(message)
        return answer

    async def arun(self) -> Any:  # noqa: ANN401
        """Call it, and wait for what it returns if it is async."""
        answer = self._function(self._query)
        return await answer if inspect.isawaitable(answer) else answer


def _share(threshold: float) -> float:
    if not 0.0 < threshold <= 1.0:
        message = f"threshold must be over 0 and at most 1, not {threshold:g}"
        raise exceptions.InvalidArgumentError(message)
    return threshold


def _price(name: str, given: float) -> float:
    price = _native.finite_number(name, given)
    if price < 0:
        message = f"{name} must be from 0 on, not {price:g}"
        raise exceptions.InvalidArgumentError(message)
    return price


def _check_metadata(pairs: Mapping[str, str]) -> None:
    """Refuse what the server would, before anything is computed."""
    longest = {
        "names": max((len(name.encode()) for name in pairs), default=0),
        "texts": max((len(text.encode()) for text in pairs.values()), default=0),
    }
    if len(pairs) > MOST_PAIRS or longest["names"] > NAME_BYTES or longest["texts"] > TEXT_BYTES:
        message = (
            f"metadata must have at most {MOST_PAIRS} pairs, with names of at most {NAME_BYTES} "
            f"and texts of at most {TEXT_BYTES} bytes; it has {len(pairs)}, of up to "
            f"{longest['names']} and {longest['texts']}"
        )
        raise exceptions.InvalidArgumentError(message)


def _natural(name: str, given: int) -> int:
    return _native.natural_number(name, given)


def _text(given: str) -> str:
    """The query; one with a lone surrogate is refused."""
    if not isinstance(given, str):
        message = f"query must be str, not {type(given).__name__}"
        raise TypeError(message)
    given.encode()
    return given


def _numbers(vector: Any) -> list[float]:  # noqa: ANN401 - float32 of shape (d,)
    if not np.isfinite(vector).all():
        message = "the components of an embedding must be finite, and one is not"
        raise exceptions.InvalidArgumentError(message)
    numbers: list[float] = vector.tolist()
    return numbers


def _wire(kind: str, data: bytes) -> bytes:
    """A response as a member of a body: JSON goes as it is, to the last digit."""
    if kind == "json":
        return data
    if kind == "text":
        return dumps(data.decode())
    return dumps({"base64": base64.b64encode(data).decode("ascii")})


def _data(found: dict[str, Any]) -> bytes:
    """The bytes of the response of a hit, as `_native.response_of_parts` takes them."""
    if found["kind"] == "json":
        return json.dumps(found["response"], ensure_ascii=False).encode()
    return from_json(found["response"])


_Cache = RemoteSemanticCache
add_forms(
    _Cache,
    _native.SemanticCache,
    (
        _Cache._get,
        _Cache._put,
        _Cache._get_or_compute,
        _Cache._invalidate,
        _Cache._clear,
        _Cache._scopes,
    ),
)
_classes.SemanticCache.register(_Cache)
# The same decorator: it asks of a cache what both have.
_Cache.cached = _native.SemanticCache.cached
