"""``EmbeddingCache`` on a server: vectors are kept there and computed here."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _cache_classes as _classes
from .. import _native, exceptions
from .cache_place import CachePlace, add_forms
from .single_flight import Computation, Flight, leading, waiting
from .vector_source import NEEDS_MODEL_ID, VectorSource
from .wire import Operation, Reply, Work

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .._native import SemanticModel
    from ..caches import EmbeddingStats
    from .store import RemoteStore

# Texts that one call of a function gets, and of a model, where nothing else is said.
FUNCTION_BATCH, MODEL_BATCH = 256, 64
# A request has so many texts, and ends with the one that makes them so many bytes.
PAGE_TEXTS, PAGE_BYTES = 1_024, 4 << 20
# Bytes of the name of a model, as of the cache of a store.
LONGEST_MODEL_ID = 238
# Errors of a store that do not take from the caller what was computed.
NOT_STORED = (
    exceptions.IOError,
    exceptions.TimedOutError,
    exceptions.CorruptionError,
    exceptions.BusyError,
    exceptions.ReadOnlyError,
    exceptions.PermissionDeniedError,
)

_Found = dict[str, Any]


class RemoteEmbeddingCache(CachePlace):
    """What ``prestige.EmbeddingCache`` makes of a client."""

    if TYPE_CHECKING:
        # What `add_forms` makes of the operations below.
        embed: Any
        aembed: Any
        embed_query: Any
        aembed_query: Any
        get: Any
        aget: Any
        get_many: Any
        aget_many: Any
        put: Any
        aput: Any
        delete_many: Any
        adelete_many: Any
        clear: Any
        aclear: Any

    def __init__(  # noqa: PLR0913 - as of the cache of a store
        self,
        store: RemoteStore,
        model: SemanticModel | None = None,
        embed: Callable[[list[str]], Any] | None = None,
        *,
        model_id: str | None = None,
        dimension: int | None = None,
        dtype: str = "float32",
        ttl_seconds: int | None = None,
        batch_size: int | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        if dtype not in ("float32", "float16"):
            message = f'dtype must be "float32" or "float16", not "{dtype}"'
            raise exceptions.InvalidArgumentError(message)
        if model is None and embed is None and model_id is not None:
            message = (
                f'model_id "{model_id}" names a model, and neither embed nor model says what '
                "computes with it: give embed, a function, or model; leave all three out for the "
                "bundled model"
            )
            raise exceptions.InvalidArgumentError(message)
        self._source = VectorSource(model, embed)
        if self._source.model is None and model_id is None:
            raise exceptions.InvalidArgumentError(NEEDS_MODEL_ID)
        super().__init__(store, options)
        number = _natural("dimension", dimension, 1)
        batch = _natural("batch_size", batch_size, 1)
        if self._source.model is not None:
            own = self._source.model.dimension
            if number not in (None, own):
                message = f"dimension must be {own}: the vectors of the model have {own} components"
                raise exceptions.InvalidArgumentError(message)
            number = own
            batch = batch or MODEL_BATCH
        self._batch_size = batch or FUNCTION_BATCH
        self._model_id = model_id if model_id is not None else self._source.fingerprint
        longest = LONGEST_MODEL_ID - _namespace_bytes(store.namespace_name, self._model_id)
        if not 1 <= (length := len(self._model_id.encode())) <= longest:
            message = f"model_id must have 1 to {longest} bytes of UTF-8{self._whose}, not {length}"
            raise exceptions.InvalidArgumentError(message)
        self._dimension = number
        self._dtype = dtype
        self._ttl = _natural("ttl_seconds", ttl_seconds, 0)
        self._learn_dimension(self._run(self._stats_of_server()))

    def _stats_of_server(self) -> Operation[dict[str, Any]]:
        reply: Reply = yield self._ask("/embeddings:stats", self._named(), reads=True)
        answer: dict[str, Any] = reply.json()
        return answer

    def _named(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - a body
        """A body that names the model, and the length of its vectors if it is known."""
        body = {"model_id": self._model_id, **more}
        if self._dimension is not None:
            body["dimension"] = self._dimension
        return body

    def _learn_dimension(self, answer: dict[str, Any]) -> None:
        if self._dimension is None and answer.get("dimension") is not None:
            self._dimension = int(answer["dimension"])

    def _check_dimension(self, found: int) -> None:
        if self._dimension is None:
            self._dimension = found
        elif self._dimension != found:
            message = (
                f'the vectors of the model "{self._model_id}"{self._whose} should have '
                f"{self._dimension} components and have {found}: give another model another "
                "model_id"
            )
            raise exceptions.InvalidArgumentError(message)

    def _look_up(self, texts: list[str]) -> Operation[_Found]:
        """Those of different texts that are there."""
        found: _Found = {}
        for page in _pages(texts):
            body = self._named(texts=page)
            reply: Reply = yield self._ask("/embeddings:lookup", body, reads=True)
            answer = reply.json()
            self._learn_dimension(answer)
            vectors = yield Work(_decoded, (answer["vectors"],))
            found.update(
                (text, vector)
                for text, vector in zip(page, vectors, strict=True)
                if vector is not None
            )
        return found

    def _store_vectors(self, texts: list[str], vectors: Sequence[Any]) -> Operation[None]:
        rows = iter(vectors)
        for page in _pages(texts):
            body: dict[str, Any] = {"model_id": self._model_id, "dtype": self._dtype, "texts": page}
            body["vectors"] = [_encoded(next(rows)) for _ in page]
            if self._ttl is not None:
                body["ttl_seconds"] = self._ttl
            yield self._ask("/embeddings:put", body)

    def _flown(self, text: str) -> tuple[object, ...]:
        """What the flight of a text is called among those of all caches of the client.

        Vectors that must fit into 16 bits are another matter; their length may not be known yet.
        """
        return self._store.namespace_name, self._model_id, self._dtype, text

    def _embed(self, texts: Iterable[str]) -> Operation[NDArray[np.float32]]:
        """Return the vectors of texts; those that are not in the cache are computed and stored."""
        given: list[str] = yield Work(_native.texts_of, (texts,))
        distinct = list(dict.fromkeys(given))
        ended = self._flights.ended
        found = yield from self._look_up(distinct)
        misses = sum(text not in found for text in given)
        self._counts.add(hits=len(given) - misses, misses=misses)
        wanted = [text for text in distinct if text not in found]
        computation = Computation()
        while wanted:
            led: dict[str, Flight[Any]] = {}
            followed: dict[str, Flight[Any]] = {}
            try:
                for text in wanted:
                    flight, leads = self._flights.join(self._flown(text), computation)
                    (led if leads else followed)[text] = flight
                # What this caller leads comes first: whoever follows it may be whom it follows.
                yield from self._lead(led, computation, found, ended)
            except BaseException as error:
                for flight in led.values():
                    self._flights.fail(flight, error)
                raise
            for text, flight in followed.items():
                with waiting(flight):
                    yield flight
                if flight.error is not None:
                    raise flight.error
                # A vector of another length is that of another cache.
                if not flight.abandoned and self._dimension in {None, len(flight.value)}:
                    self._dimension = len(flight.value)
                    found[text] = flight.value
            wanted = [text for text in wanted if text not in found]
        if not given:
            return np.empty((0, self._dimension or 0), dtype=np.float32)
        rows: NDArray[np.float32] = yield Work(_stacked, (given, found))
        return rows

    def _lead(
        self, led: dict[str, Flight[Any]], computation: Computation, found: _Found, ended: int
    ) -> Operation[None]:
        """Compute and store what this caller leads. Flights that are done leave ``led``."""
        if led and self._flights.ended != ended:
            # Whoever led before may have stored it between the look of this caller and its turn.
            stored = yield from self._look_up(list(led))
            self._land(led, found, stored)
        missing = list(led)
        if self._source.model is not None:
            # Texts of like length are computed faster together.
            missing.sort(key=len, reverse=True)
        for start in range(0, len(missing), self._batch_size):
            batch = missing[start : start + self._batch_size]
            begun = time.perf_counter()
            vectors = yield Work(self._compute, (batch, computation))
            seconds = time.perf_counter() - begun
            self._check_dimension(vectors.shape[1])
            self._counts.add(computed=len(batch), batches=1, seconds_computing=seconds)
            try:
                yield from self._store_vectors(batch, vectors)
            except NOT_STORED:
                self._counts.add(not_stored=len(batch))
            self._land(led, found, dict(zip(batch, vectors, strict=True)))

    def _land(self, led: dict[str, Flight[Any]], found: _Found, vectors: _Found) -> None:
        """End flights with what was wanted."""
        found.update(vectors)
        for text, vector in vectors.items():
            self._flights.succeed(led.pop(text), vector)

    def _compute(self, texts: list[str], computation: Computation) -> NDArray[np.float32]:
        with leading(computation):
            vectors = self._source.vectors(texts)
        for number, row in enumerate(vectors):
            if not self._is_finite(row):
                message = (
                    f"vector {number} of {len(texts)} that the embedding function returned: "
                    f"{self._not_finite()}"
                )
                raise exceptions.InvalidArgumentError(message)
        return vectors

    def _is_finite(self, row: NDArray[np.float32]) -> bool:
        """Whether its components are finite as they will be stored."""
        largest = np.finfo(np.float16 if self._dtype == "float16" else np.float32).max
        return bool((np.abs(row) <= largest).all())

    def _not_finite(self) -> str:
        bound = " and, for float16, at most 65504" if self._dtype == "float16" else ""
        return f"the components of a vector must be finite{bound}, and one is not"

    def _embed_query(self, text: str) -> Operation[NDArray[np.float32]]:
        """Return the vector of one text, computed and stored if it is not in the cache."""
        rows = yield from self._embed([_text(text)])
        row: NDArray[np.float32] = rows[0]
        return row

    def _get(self, text: str) -> Operation[NDArray[np.float32] | None]:
        """Return the vector of a text if it is in the cache."""
        (vector,) = yield from self._get_many([_text(text)])
        return vector

    def _get_many(self, texts: Iterable[str]) -> Operation[list[NDArray[np.float32] | None]]:
        """Return the vectors of those texts that are in the cache."""
        given: list[str] = yield Work(_native.texts_of, (texts,))
        found = yield from self._look_up(list(dict.fromkeys(given)))
        hits = sum(text in found for text in given)
        self._counts.add(hits=hits, misses=len(given) - hits)
        return [found[text].copy() if text in found else None for text in given]

    def _put(self, text: str, vector: ArrayLike) -> Operation[None]:
        """Store the vector of a text in place of what is there."""
        _native.texts_of([_text(text)])
        row = _native.vector_argument(vector, "vector")
        if not row.size:
            message = "a vector must have at least one component"
            raise exceptions.InvalidArgumentError(message)
        if not self._is_finite(row):
            raise exceptions.InvalidArgumentError(self._not_finite())
        self._check_dimension(row.size)
        yield from self._store_vectors([text], [row])

    def _delete_many(self, texts: Iterable[str]) -> Operation[int]:
        """Remove the vectors of texts."""
        given: list[str] = yield Work(_native.texts_of, (texts,))
        deleted = 0
        for page in _pages(list(dict.fromkeys(given))):
            reply: Reply = yield self._ask("/embeddings:delete", self._named(texts=page))
            deleted += reply.json()["deleted"]
        return deleted

    def _clear(self) -> Operation[int]:
        """Remove every vector of this model and length."""
        reply: Reply = yield self._ask("/embeddings:clear", self._named())
        return int(reply.json()["deleted"])

    def _contains(self, text: str) -> Operation[bool]:
        found = yield from self._look_up(_native.texts_of([text]))
        return bool(found)

    def stats(self) -> EmbeddingStats:
        """Return what this object has done, in this process."""
        of = self._counts
        seconds, computed = of.of("seconds_computing"), of.whole("computed")
        return {
            "hits": of.whole("hits"),
            "misses": of.whole("misses"),
            "computed": computed,
            "batches": of.whole("batches"),
            "damaged": 0,
            "not_stored": of.whole("not_stored"),
            "seconds_computing": seconds,
            "seconds_saved": seconds * of.whole("hits") / max(computed, 1),
        }

    @property
    def model_id(self) -> str:
        """Name of the model."""
        return self._model_id

    @property
    def dimension(self) -> int | None:
        """Length of the vectors; None as long as it is not known."""
        return self._dimension

    def __len__(self) -> int:
        return int(self._run(self._stats_of_server())["vectors"])

    def __contains__(self, text: object, /) -> bool:
        if not isinstance(text, str):
            message = f"a text must be str, not {text!r}"
            raise TypeError(message)
        return self._run(self._contains(text))

    def __repr__(self) -> str:
        return (
            f"<prestige.EmbeddingCache path={self.path!r}{self._shown_namespace} "
            f"model_id={self._model_id!r} closed={self.closed}>"
        )


def _namespace_bytes(namespace: str, model_id: str) -> int:
    """Bytes by which a model's name on the server is longer than here.

    There the two names are one list in JSON.
    """
    if not namespace:
        return 0
    pair = json.dumps([namespace, model_id], ensure_ascii=False, separators=(",", ":"))
    return len(pair.encode()) - len(model_id.encode())


def _natural(name: str, given: int | None, least: int) -> int | None:
    if given is None:
        return None
    number = _native.natural_number(name, given)
    if number < least:
        message = f"{name} must be at least {least}, not {number}"
        raise exceptions.InvalidArgumentError(message)
    return number


def _text(given: str) -> str:
    if not isinstance(given, str):
        message = f"a text must be str, not {type(given).__name__}"
        raise TypeError(message)
    return given


def _pages(texts: list[str]) -> Iterable[list[str]]:
    page: list[str] = []
    size = 0
    for text in texts:
        page.append(text)
        size += len(text)
        if len(page) == PAGE_TEXTS or size >= PAGE_BYTES:
            yield page
            page, size = [], 0
    if page:
        yield page


def _encoded(row: Any) -> str:  # noqa: ANN401 - float32 of shape (d,)
    return base64.b64encode(row.astype("<f4").tobytes()).decode("ascii")


def _decoded(vectors: list[str | None]) -> list[Any]:
    return [
        None if vector is None else np.frombuffer(base64.b64decode(vector), dtype="<f4")
        for vector in vectors
    ]


def _stacked(texts: list[str], found: _Found) -> NDArray[np.float32]:
    return np.stack([found[text] for text in texts]).astype(np.float32, copy=False)


_Cache = RemoteEmbeddingCache
add_forms(
    _Cache,
    _native.EmbeddingCache,
    (
        _Cache._embed,
        _Cache._embed_query,
        _Cache._get,
        _Cache._get_many,
        _Cache._put,
        _Cache._delete_many,
        _Cache._clear,
    ),
)
_classes.EmbeddingCache.register(_Cache)
