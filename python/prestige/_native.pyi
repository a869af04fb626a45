"""The extension module: a store, its options, the model of a semantic store, a running server.

Use these names from ``prestige``. A ``Store`` and a ``Server`` may be used from any number of
threads; every method that can block releases the GIL.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Literal, TypeAlias, TypeVar, final, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Buffer, Self, disjoint_base

from prestige._aio import StoreOpening
from prestige._protocol import StoreProtocol
from prestige.caches import EmbeddingStats, SemanticStats
from prestige.candidates import Candidate, Explanation, FamilyReport, RecordedOutcome
from prestige.exceptions import NotFoundError
from prestige.health import HealthStats
from prestige.stats import StoreStats
from prestige.upstream import Upstream

__all__ = [
    "SEMANTIC_AVAILABLE",
    "SERVER_AVAILABLE",
    "DedupMode",
    "EmbeddingCache",
    "Hit",
    "ManualClock",
    "NormalizationMode",
    "Options",
    "SemanticCache",
    "SemanticModel",
    "Server",
    "Store",
    "StoreIterator",
    "__version__",
    "calibrate_similarities",
    "check_verdict",
    "client_token",
    "close_all",
    "digest_text",
    "end_long_calls_at_exit",
    "entry_metadata",
    "entry_parts",
    "filter_texts",
    "find_model",
    "finite_number",
    "float_rows",
    "hub_cache",
    "hub_is_offline",
    "jsonl_problem",
    "key_bytes",
    "key_text",
    "make_hit",
    "metadata_pairs",
    "missing_key",
    "model_fits",
    "model_presets",
    "model_repository",
    "moment_micros",
    "natural_number",
    "numbered_key",
    "parse_command",
    "prefix_bytes",
    "rank_number",
    "reembed",
    "response_of_parts",
    "response_parts",
    "restore",
    "scope_json",
    "seconds_from_zero",
    "serve_main",
    "texts_of",
    "value_bytes",
    "vector_argument",
    "vectors_of",
]

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])
_T_co = TypeVar("_T_co", covariant=True)
_Path: TypeAlias = str | PathLike[str]
_Key: TypeAlias = str | bytes
_Value: TypeAlias = str | Buffer | NDArray[Any]
_Scope: TypeAlias = str | float | Mapping[str, Any] | Sequence[Any] | None
_Response: TypeAlias = str | bytes | float | dict[str, Any] | list[Any] | None
_Entries: TypeAlias = (
    Mapping[_Key, _Value]
    | Mapping[str, _Value]
    | Mapping[bytes, _Value]
    | Iterable[
        tuple[_Key, _Value]
        | tuple[_Key, _Value, int | None]
        | tuple[_Key, _Value, int | None, Mapping[str, str] | None]
    ]
)

__version__: Final[str]
"""Version of the package, such as ``"0.1.0"``."""
SEMANTIC_AVAILABLE: Final[bool]
"""Whether semantic mode is part of this build. True in every ordinary installation."""
SERVER_AVAILABLE: Final[bool]
"""Whether ``Store.serve`` is part of this build. True in every ordinary installation."""

def close_all() -> None:
    """Close every store of the process that is still open, servers first.

    Runs at interpreter exit.
    """

def end_long_calls_at_exit() -> None:
    """Let long calls of this thread end early when the interpreter exits."""

def calibrate_similarities(
    similarities: list[float],
    same: list[bool],
    precision: float,
    thresholds: list[float] | None = None,
) -> dict[str, Any]:
    """Return what thresholds do with pairs of these similarities and labels.

    ``prestige.calibrate`` is what to call: it takes pairs of every form.

    Args:
        similarities: Cosine similarities, -1 to 1.
        same: For each whether the pair means the same.
        precision: The precision wanted, over 0 and at most 1.
        thresholds: Thresholds to try, -1 to 1; None: every hundredth from the lowest similarity, or
            0, to 1.

    Returns:
        The fields of ``prestige.Calibration`` that follow from it.

    Raises:
        InvalidArgumentError: There are no pairs or only of one kind, or a number is out of range.

    """

def model_presets() -> list[tuple[str, str, int, int, str, str, int, str]]:
    """Every preset, the default one first.

    Name, repository, dimension, longest text in tokens, pooling, prefix, megabytes, purpose.
    """

def model_repository(name: str) -> tuple[str, list[str]]:
    """The repository of a model on the hub, and the files of it that are used."""

def find_model(name: str, revision: str | None = None, cache_dir: _Path | None = None) -> Path:
    """The folder of a model on this machine; ``ModelError`` when it is not there."""

def hub_cache() -> Path | None:
    """The cache of the Hugging Face client, by the environment."""

def hub_is_offline() -> bool:
    """Whether the environment forbids connections to the hub."""

def parse_command(argv: list[str]) -> dict[str, Any]:
    """Parse the arguments of the ``prestige`` command.

    Args:
        argv: The arguments, without the name of the program. The environment is read, too.

    Returns:
        The arguments of a command by name, with its name as ``command``; bytes, where they need not
        be UTF-8. Or, where there is only something to print, ``message``, ``styled`` (for
        terminals), ``is_error`` and ``exit_code``.

    """

def client_token(text: str) -> str:
    """Read the token of a client out of the text of a token file.

    Args:
        text: The token alone, or a single line of a server's file, ``ROLE TOKEN [NAMESPACES]``.
            Empty lines and those that begin with ``#`` are skipped.

    Returns:
        The token.

    Raises:
        InvalidArgumentError: There is none, or they are the tokens of a server. The message
            shows none.

    """

def jsonl_problem(line: bytes) -> str | None:
    """Say what is wrong with a line of a file of ``Store.export_jsonl``.

    Args:
        line: The line.

    Returns:
        What was expected and what was found; ``None`` if nothing is wrong.

    """

def serve_main(argv: list[str], heed_interrupt: bool) -> int:
    """Run ``prestige serve`` until a signal ends it.

    SIGTERM ends it in order, a second signal at once. Python's own handlers are not called
    meanwhile if they are set to ``SIG_DFL`` before.

    Args:
        argv: The arguments, ``"serve"`` the first of them.
        heed_interrupt: Whether SIGINT ends it as well.

    Returns:
        The exit code: 0 ended in order, 1 failed, 2 settings that cannot be used.

    """

def reembed(
    path: _Path,
    model: SemanticModel | None = None,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,  # noqa: ANN401 - of every option's type
) -> None:
    """Embed every text of a closed store by another model, for which its own is not needed.

    Opens the store, does what ``Store.reembed`` does, and closes it. If that is ended, the next
    call goes on where it was. ``prestige.open`` with ``reembed=True`` does the same and leaves it
    open.

    Args:
        path: Directory of the store.
        model: The new model; None: the bundled one.
        progress: As in ``Store.reembed``.
        **options: Other attributes of ``Options``.

    Raises:
        Exception: As ``prestige.open`` and ``Store.reembed``.

    """

def restore(backup: _Path, path: _Path) -> None:
    """Make a store from a backup.

    The backup stays as it is, so that it can be restored again; opened as a store it would change.
    The copy is durable when the call returns, and a failure leaves nothing behind.

    Args:
        backup: Directory that ``Store.backup`` made, or of any store that is closed.
        path: Directory of the store to make: it does not exist or is empty, its parent exists.

    Raises:
        InvalidArgumentError: There is something at ``path``, one directory lies in the other, or
            ``backup`` is of a newer format.
        BusyError: ``backup`` is open as a store.
        IOError: ``backup`` is no store or cannot be read, or the copy cannot be written.
        CorruptionError: Files of the backup are missing or damaged.
        PrestigeError: The process was forked from one that had opened a store.

    """

# What the client of a server takes from the classes: the same checks of the same arguments.

def key_bytes(key: _Key) -> bytes:
    """The bytes of a key."""

def numbered_key(key: object, number: int) -> bytes:
    """The bytes of the key with this number in an iterable."""

def key_text(key: bytes) -> str:
    """A key as Python shows it."""

def missing_key(key: bytes) -> NotFoundError:
    """What is raised where a key is not there."""

def value_bytes(value: _Value) -> bytes:
    """The bytes of a value."""

def prefix_bytes(prefix: _Key | None) -> bytes:
    """The bytes that the argument ``prefix`` gives; those of the empty one for None."""

def entry_parts(
    entry: object, ttl_seconds: int | None, number: int
) -> tuple[bytes, bytes, int | None, dict[str, str] | None]:
    """An entry of ``put_many``, the one with this number: key, value, TTL and metadata."""

def metadata_pairs(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata of a value."""

def filter_texts(filter: Mapping[str, Any]) -> dict[str, list[str]]:
    """A filter of candidates: for each name the texts of which one must be it."""

def natural_number(name: str, given: object) -> int:
    """An integer from 0 to 2**63 - 1 that the argument ``name`` gives."""

def finite_number(name: str, given: object) -> float:
    """A finite number that the argument ``name`` gives."""

def rank_number(given: object) -> int:
    """The rank of a candidate."""

def digest_text(given: object) -> str:
    """The digest of a candidate, as hexadecimal digits."""

def check_verdict(verdict: str) -> None:
    """Refuse what is no verdict about a candidate."""

def moment_micros(name: str, given: float | datetime) -> int:
    """Microseconds since the Unix epoch that the argument ``name`` gives."""

def float_rows(given: object, name: str, dimensions: int) -> NDArray[np.float32]:
    """Numbers with 1 or 2 dimensions as rows, float32 of shape (n, d)."""

def texts_of(given: Iterable[str]) -> list[str]:
    """A list of the texts of an iterable; none has a lone surrogate."""

def scope_json(given: _Scope) -> str:
    """Canonical JSON of a scope: equal scopes have equal JSON."""

def response_parts(given: _Response) -> tuple[str, bytes]:
    """Kind, ``"text"``, ``"bytes"`` or ``"json"``, and bytes of a response."""

def response_of_parts(kind: str, bytes: bytes) -> Any:  # noqa: ANN401 - a JSON value
    """The response that has these parts."""

def entry_metadata(given: Mapping[str, str] | None) -> dict[str, str]:
    """Metadata of an entry of a semantic cache."""

def seconds_from_zero(name: str, given: float | timedelta) -> float:
    """Seconds from 0 on that the argument ``name`` gives."""

def vector_argument(given: object, name: str) -> NDArray[np.float32]:
    """The float32 array of shape (d,) that the argument ``name`` gives."""

def vectors_of(function: Callable[[list[str]], Any], texts: list[str]) -> NDArray[np.float32]:
    """What an embedding function returns for texts, float32 of shape (n, d)."""

def model_fits(model: SemanticModel, text: str) -> bool:
    """Whether a model reads all of a text. Loads the model."""

def make_hit(
    response: object,
    query: str,
    similarity: float,
    exact: bool,
    age_seconds: float,
    metadata: dict[str, str],
    scope: object,
) -> Hit:
    """A hit of a cache on a server."""

@final
class DedupMode:
    """Which values share one object."""

    EXACT: ClassVar[DedupMode]
    """Values of identical bytes, after normalisation, by SHA-256."""
    SEMANTIC: ClassVar[DedupMode]
    """Also texts whose embeddings have a cosine similarity of at least ``semantic_threshold``."""

    def __int__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@disjoint_base
class EmbeddingCache:
    """A cache of embeddings: each text is computed once, and its vector kept in a store.

    A cache of a model and a length of vectors is a namespace of its own, so that vectors of
    different models never meet. Its entries are keys of the store: TTL, ``max_store_bytes``,
    backups and ``verify()`` hold for them. Threads share it freely.

    A context manager that closes the store if the cache has opened it.
    """

    def __new__(
        cls,
        path_or_store: _Path | StoreProtocol,
        model: SemanticModel | None = None,
        embed: Callable[[list[str]], Any] | None = None,
        *,
        model_id: str | None = None,
        dimension: int | None = None,
        dtype: Literal["float32", "float16"] = "float32",
        ttl_seconds: int | None = None,
        batch_size: int | None = None,
        **options: Any,  # noqa: ANN401 - of every option's type
    ) -> Self:
        """Open the cache.

        Args:
            path_or_store: An open ``Store``, the client of a server (``prestige.connect``) or its
                view of a namespace, or the directory of a store, which the cache opens and closes.
            model: The model that computes vectors; None, and no ``embed``: the bundled one.
            embed: A function that does, in place of a model: ``list[str]`` in, array-like of shape
                (n, d) out. Each vector is kept as it is, at whatever length. It gets each text of a
                call once, in their order, and is called from one thread at a time for the same
                text.
            model_id: Names the model; give another for whatever makes other vectors. Needed with
                ``embed``, and refused without it and ``model``; None: the fingerprint of the
                model. At most 238 bytes of UTF-8.
            dimension: Length of the vectors; None: as the store has them for the model, or as the
                first that is computed.
            dtype: How new vectors are stored, ``"float32"`` or ``"float16"``. They are float32 when
                they are read, in either case.
            ttl_seconds: Seconds until a vector expires, 0 to 2**63 - 1; 0: never; None:
                ``default_ttl_seconds`` of the store.
            batch_size: Most texts of one call of ``embed`` or the model; None: 256, or 64 for a
                model.
            **options: Attributes of ``Options``, for a store that the cache opens.

        Raises:
            InvalidArgumentError: A view of an open store was given, ``embed`` without ``model_id``,
                ``model_id`` without ``embed`` and ``model``, both of these, an unknown ``dtype``,
                or the store has vectors of several lengths for the model and ``dimension`` names
                none.
            ModelError: The model or ONNX Runtime is missing or damaged.
            Exception: As ``prestige.open`` raises for a path.

        """

    def embed(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Return the vectors of texts; those that are not in the cache are computed and stored.

        Each distinct text is computed once, in batches, and once across concurrent callers: who
        asks for a text that another thread is computing waits for it, and gets its vector or its
        error. After an error the next call tries again. A batch that fails ends the call; what was
        computed before it stays. A vector that cannot be stored, for example on a full disk or in a
        read-only store, is returned all the same, and counted in ``stats()`` as ``not_stored``.

        Args:
            texts: A list or other iterable of ``str``, of any length; a single ``str`` is refused.

        Returns:
            float32 array of shape (n, d), C order: a row for each text, in their order. Without
            texts the shape is (0, d), d being 0 as long as it is not known.

        Raises:
            TypeError: ``texts`` is not an iterable of ``str``.
            UnicodeEncodeError: A text holds a lone surrogate.
            InvalidArgumentError: The function returned another shape, another length of vectors
                than the cache has, a NaN or an infinity, or asked the cache for the same text.
            Exception: What the function or the model raises.

        """

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of one text, computed and stored if it is not in the cache.

        Args:
            text: The text.

        Returns:
            float32 array of shape (d,).

        Raises:
            Exception: As ``embed``.

        """

    def get(self, text: str) -> NDArray[np.float32] | None:
        """Return the vector of a text if it is in the cache. Computes nothing.

        Args:
            text: The text.

        Returns:
            float32 array of shape (d,), or None.

        """

    def get_many(self, texts: Iterable[str]) -> list[NDArray[np.float32] | None]:
        """Return the vectors of those texts that are in the cache. Computes nothing.

        Args:
            texts: A list or other iterable of ``str``.

        Returns:
            For each text a float32 array of shape (d,), or None.

        """

    def put(self, text: str, vector: ArrayLike) -> None:
        """Store the vector of a text in place of what is there.

        Args:
            text: The text.
            vector: Its components: an array or sequence of d numbers.

        Raises:
            InvalidArgumentError: ``vector`` has another shape or length, or a NaN or an infinity.
            TimedOutError: Another thread held the text for ``lock_timeout_ms``.

        """

    def delete_many(self, texts: Iterable[str]) -> int:
        """Remove the vectors of texts.

        Args:
            texts: A list or other iterable of ``str``.

        Returns:
            The number of vectors removed.

        """

    def clear(self) -> int:
        """Remove every vector of this model and length, in one write.

        Returns:
            The number of vectors removed.

        """

    def stats(self) -> EmbeddingStats:
        """Return what this object has done.

        Returns:
            A dictionary: ``hits`` and ``misses`` (texts asked for), ``computed`` (texts),
            ``batches``, ``damaged`` (stored vectors that did not read and were computed again),
            ``not_stored``, ``seconds_computing``, and ``seconds_saved``: the hits at the average
            time of what was computed, 0 before anything was.

        """

    def close(self) -> None:
        """Close the store if the cache has opened it. A second call does nothing.

        Raises:
            IOError: The last writes failed. The store is closed all the same.

        """

    async def aembed(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Return the vectors of texts; those that are not in the cache are computed and stored.

        The ``asyncio`` form of ``embed``.
        """

    async def aembed_query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of one text, computed and stored if it is not in the cache.

        The ``asyncio`` form of ``embed_query``.
        """

    async def aget(self, text: str) -> NDArray[np.float32] | None:
        """Return the vector of a text if it is in the cache. Computes nothing.

        The ``asyncio`` form of ``get``.
        """

    async def aget_many(self, texts: Iterable[str]) -> list[NDArray[np.float32] | None]:
        """Return the vectors of those texts that are in the cache. Computes nothing.

        The ``asyncio`` form of ``get_many``.
        """

    async def aput(self, text: str, vector: ArrayLike) -> None:
        """Store the vector of a text in place of what is there.

        The ``asyncio`` form of ``put``.
        """

    async def adelete_many(self, texts: Iterable[str]) -> int:
        """Remove the vectors of texts.

        The ``asyncio`` form of ``delete_many``.
        """

    async def aclear(self) -> int:
        """Remove every vector of this model and length, in one write.

        The ``asyncio`` form of ``clear``.
        """

    async def aclose(self) -> None:
        """Close the store if the cache has opened it. A second call does nothing.

        The ``asyncio`` form of ``close``.
        """

    @property
    def path(self) -> str:
        """Directory of the store, as it was given."""
    @property
    def closed(self) -> bool:
        """Whether the store is closed."""
    @property
    def model_id(self) -> str:
        """Name of the model."""
    @property
    def dimension(self) -> int | None:
        """Length of the vectors; None as long as it is not known."""
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __contains__(self, text: object, /) -> bool: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_exception: object) -> None: ...

@final
class Hit:
    """A response that was found, and all that is needed to judge it.

    Made by ``SemanticCache.get``.
    """

    @property
    def response(self) -> Any:  # noqa: ANN401 - a JSON value
        """The response, as it was given to ``put``."""
    @property
    def query(self) -> str:
        """The query that the response was put with."""
    @property
    def similarity(self) -> float:
        """Cosine similarity of the two queries, -1 to 1; 1.0 if they are the same text."""
    @property
    def exact(self) -> bool:
        """Whether the two queries are the same text."""
    @property
    def age_seconds(self) -> float:
        """Seconds since the response was put."""
    @property
    def metadata(self) -> dict[str, str]:
        """What was put with it: a dictionary of ``str`` to ``str``."""
    @property
    def scope(self) -> Any:  # noqa: ANN401 - a JSON value
        """The scope of both queries, as it was given."""

@final
class ManualClock:
    """A clock that moves only when told to, for tests of what expires.

    Given as ``prestige.open(path, clock=clock)`` it takes the place of the system's clock. Several
    stores may share it. Latencies and the rhythm of background work stay in real time.
    """

    def __new__(cls, start: float | datetime | None = None) -> ManualClock:
        """Make a clock.

        Args:
            start: Where it stands: seconds since the epoch or an aware ``datetime``; None: now.

        Raises:
            InvalidArgumentError: ``start`` is not finite, or a ``datetime`` without a time zone.

        """
    def advance(self, seconds: float) -> None:
        """Move the clock.

        Args:
            seconds: How far; negative: back.

        Raises:
            InvalidArgumentError: ``seconds`` is not finite.

        """
    def time(self) -> float:
        """Return where the clock stands, in seconds since the epoch."""

@final
class NormalizationMode:
    """How values that are UTF-8 text are normalised before they are hashed and stored.

    What is stored, and what ``get`` returns, is the normalised text. Values that are not UTF-8, or
    longer than ``normalization_max_bytes``, are stored as they are.
    """

    NONE: ClassVar[NormalizationMode]
    """Stored byte for byte."""
    LOWERCASE: ClassVar[NormalizationMode]
    """Unicode lower case."""
    WHITESPACE: ClassVar[NormalizationMode]
    """White space at both ends removed, every other run of it one space."""
    FULL: ClassVar[NormalizationMode]
    """``LOWERCASE`` and ``WHITESPACE``."""
    UNICODE: ClassVar[NormalizationMode]
    """NFKC, full case folding and ``WHITESPACE``: one form for all variants of width and case."""
    ASCII: ClassVar[NormalizationMode]
    """Another name of ``FULL``."""

    def __int__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@disjoint_base
class SemanticCache:
    """A cache of responses to queries, which finds a response by the meaning of its query.

    A lookup returns the response to the same text, or else to the most similar query of the same
    scope, if it is similar enough. Queries are compared with queries, never with responses, and
    every hit says which query it answers and how similar that is.

    A scope is a hard partition: no lookup returns an entry of another one. Put into it whatever a
    response depends on besides the query: tenant, model, system prompt, earlier turns.

    Entries are keys of the store: TTL, ``max_store_bytes``, backups and ``verify()`` hold for them.
    Threads share a cache freely. A context manager that closes the store if the cache has opened
    it.
    """

    def __new__(
        cls,
        path_or_store: _Path | StoreProtocol,
        threshold: float = 0.97,
        scope: _Scope = None,
        *,
        model: SemanticModel | None = None,
        embed: Callable[[list[str]], Any] | None = None,
        model_id: str | None = None,
        ttl_seconds: int | None = None,
        price_per_call: float = 0.0,
        price_per_1k_tokens: float = 0.0,
        **options: Any,  # noqa: ANN401 - of every option's type
    ) -> Self:
        """Open the cache.

        Args:
            path_or_store: An open ``Store``, the client of a server (``prestige.connect``) or its
                view of a namespace, or the directory of a store, which the cache opens and closes.
            threshold: Least cosine similarity of a hit, over 0 and at most 1. Default 0.97.
            scope: The scope of calls that name none: ``str``, int, float, bool, None, or mappings
                and sequences of them. Equal values are one scope.
            model: The model that embeds queries; None, and neither ``embed`` nor ``model_id``: the
                bundled one.
            embed: A function that does, in place of a model: ``list[str]`` in, array-like of shape
                (n, d) out. Needs ``model_id``.
            model_id: Names the model; give another for whatever makes other vectors. Without
                ``embed`` and ``model`` embeddings are given with queries, and queries without one
                are found by their exact text alone.
            ttl_seconds: Seconds until an entry expires, 0 to 2**63 - 1; 0: never; None:
                ``default_ttl_seconds`` of the store.
            price_per_call: What a computed response costs, for ``stats()``. Default 0.
            price_per_1k_tokens: What a thousand tokens cost, for ``stats()``. Default 0.
            **options: Attributes of ``Options``, for a store that the cache opens.

        Raises:
            InvalidArgumentError: A view of an open store was given, ``embed`` without ``model_id``,
                both ``embed`` and ``model``, or a number out of its range.
            TypeError: ``scope`` is made of something else.
            ModelError: The model or ONNX Runtime is missing or damaged, or the store has entries of
                another model.
            Exception: As ``prestige.open`` raises for a path.

        """

    def get(
        self,
        query: str,
        scope: _Scope = None,
        threshold: float | None = None,
        embedding: ArrayLike | None = None,
    ) -> Hit | None:
        """Look up the response to a query.

        The same text is looked for first; that runs no model. Otherwise the nearest queries of the
        scope are, with the embedding of the query, and the best at or above the threshold counts,
        of equals the one put last. A blank query, or one that the model does not read to its end,
        is found by its exact text alone.

        Args:
            query: The query.
            scope: Its scope; None: that of the cache.
            threshold: Least cosine similarity, over 0 and at most 1; None: that of the cache.
            embedding: The embedding of the query, an array or sequence of d numbers, of any length
                but 0; None: it is computed if it is needed.

        Returns:
            A ``Hit``, or None.

        Raises:
            InvalidArgumentError: A number is out of its range, or the embedding has another shape
                than those of the scope, a NaN or an infinity.
            ModelError: The scope has embeddings of another model.
            Exception: What the function or the model raises.

        """

    def put(
        self,
        query: str,
        response: _Response,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, str] | None = None,
        scope: _Scope = None,
        embedding: ArrayLike | None = None,
        tokens: int = 0,
        seconds: float = 0.0,
    ) -> None:
        """Store a response in place of what is there for the query and scope.

        Nothing is merged: each query of a scope has an entry of its own, however similar others
        are. Query, response and metadata are one entry: they come and go together.

        Args:
            query: The query.
            response: ``str``, ``bytes``, or a value made of dict, list, str, int, float, bool and
                None; it comes back as it was.
            ttl_seconds: Seconds until it expires, 0 to 2**63 - 1; 0: never; None: as the cache
                says.
            metadata: A mapping of ``str`` to ``str``, at most 64 pairs of at most 256 and 4096
                bytes.
            scope: The scope; None: that of the cache.
            embedding: As in ``get``; None: it is computed, unless the query is found by its exact
                text alone.
            tokens: Tokens that it cost, for ``stats()``; 0 (default): not known.
            seconds: Seconds that computing it took, for ``stats()``; 0 (default): not known.

        Raises:
            InvalidArgumentError: As in ``get``; also metadata out of its bounds, a NaN in the
                response.
            TypeError: The response is of another type, or holds one, such as a tuple, that would
                not come back as it was.
            ModelError: The scope has embeddings of another model.
            TimedOutError: Another thread held the query for ``lock_timeout_ms``.
            Exception: What the function or the model raises.

        """

    def get_or_compute(
        self,
        query: str,
        function: Callable[[str], _T],
        *,
        scope: _Scope = None,
        threshold: float | None = None,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, str] | None = None,
        embedding: ArrayLike | None = None,
        tokens: int | Callable[[_T], int] = 0,
    ) -> _T:
        """Return the response to a query, computed and stored if it is not in the cache.

        It is computed once for all threads that ask for the same query and scope at once: the
        others wait for it, and get the response or the error. After an error the next call tries
        again. A response that cannot be stored, for whatever reason, is returned all the same, and
        counted in ``stats()`` as ``not_stored``.

        Args:
            query: The query.
            function: Called with the query; returns the response, as ``put`` takes it.
            scope: As in ``get``.
            threshold: As in ``get``.
            ttl_seconds: As in ``put``.
            metadata: As in ``put``.
            embedding: As in ``get``.
            tokens: Tokens that the response cost, or a function of the response that says so.

        Returns:
            The response. ``get`` says more of a hit.

        Raises:
            InvalidArgumentError: As in ``get`` and ``put``; also if ``function`` asks the cache for
                the same query and would wait for itself, or for what another function computes that
                waits for this one.
            TypeError: ``function`` is async, for which there is ``aget_or_compute``, or returned
                what cannot be stored.
            Exception: What ``function``, the embedding function or the model raises.

        """

    def invalidate(
        self,
        *,
        scope: _Scope = None,
        metadata: Mapping[str, str] | None = None,
        older_than: float | timedelta | None = None,
    ) -> int:
        """Remove entries.

        Without ``metadata`` and ``older_than`` whole scopes go, in one write each, however much
        they hold; otherwise each entry is looked at.

        Args:
            scope: Only those of this scope; None: of the scope that the cache was given, or, if it
                was given none, of all scopes.
            metadata: Only those that have all these pairs.
            older_than: Only those that were put longer ago: seconds, or a ``timedelta``.

        Returns:
            The number of entries removed, without those that had expired.

        Raises:
            InvalidArgumentError: ``older_than`` is negative or not finite.
            TimedOutError: Another thread held a query for ``lock_timeout_ms``.

        """

    def clear(self) -> int:
        """Remove every entry of the scope that the cache was given, or, if none, of all scopes.

        Returns:
            The number of entries removed, without those that had expired.

        """

    def scopes(self) -> list[Any]:
        """Return the scopes that have had an entry and were not removed since.

        Returns:
            A list of scopes, as JSON reads them: a tuple comes back as a list.

        """

    def stats(self) -> SemanticStats:
        """Return what this object has done.

        Returns:
            A dictionary: ``exact_hits``, ``semantic_hits``, ``misses``, ``puts``, ``computed``,
            ``shared`` (callers who got what another one computed), ``not_stored``,
            ``seconds_computing``, ``seconds_saved`` (what computing the hits took, as far as it is
            known) and ``money_saved`` (what the hits would have cost, at the given prices).

        """

    def close(self) -> None:
        """Close the store if the cache has opened it. A second call does nothing.

        Raises:
            IOError: The last writes failed. The store is closed all the same.

        """

    async def aget(
        self,
        query: str,
        scope: _Scope = None,
        threshold: float | None = None,
        embedding: ArrayLike | None = None,
    ) -> Hit | None:
        """Look up the response to a query.

        The ``asyncio`` form of ``get``.
        """

    async def aput(
        self,
        query: str,
        response: _Response,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, str] | None = None,
        scope: _Scope = None,
        embedding: ArrayLike | None = None,
        tokens: int = 0,
        seconds: float = 0.0,
    ) -> None:
        """Store a response in place of what is there for the query and scope.

        The ``asyncio`` form of ``put``.
        """

    async def ainvalidate(
        self,
        *,
        scope: _Scope = None,
        metadata: Mapping[str, str] | None = None,
        older_than: float | timedelta | None = None,
    ) -> int:
        """Remove entries.

        The ``asyncio`` form of ``invalidate``.
        """

    async def aclear(self) -> int:
        """Remove every entry of the scope that the cache was given, or, if none, of all scopes.

        The ``asyncio`` form of ``clear``.
        """

    async def ascopes(self) -> list[Any]:
        """Return the scopes that have had an entry and were not removed since.

        The ``asyncio`` form of ``scopes``.
        """

    async def aclose(self) -> None:
        """Close the store if the cache has opened it. A second call does nothing.

        The ``asyncio`` form of ``close``.
        """

    async def aget_or_compute(
        self,
        query: str,
        function: Callable[[str], Awaitable[_T] | _T],
        *,
        scope: _Scope = None,
        threshold: float | None = None,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, str] | None = None,
        embedding: ArrayLike | None = None,
        tokens: int | Callable[[_T], int] = 0,
    ) -> _T:
        """Return the response to a query, computed and stored if it is not in the cache.

        The ``asyncio`` form of ``get_or_compute``. The function may be async; one that is not holds
        up the event loop. The first of several callers, in whatever loops and threads, computes. If
        it is cancelled, another one does.
        """

    @overload
    def cached(self, function: _F) -> _F:
        """Have the results of a function looked up: ``@cache.cached`` or ``@cache.cached(…)``.

        One parameter of the function is the query, and matches by meaning. All others match
        exactly: with the name of the function they are the scope. So no result is returned for
        other arguments. The function may be async. ``function.scope_of(…)`` of the result is the
        scope of a call, for ``invalidate``.

        Args:
            function: The function.
            query: Name of the parameter that is the query; None: the first that is not ignored.
            scope: Name of the parameter that takes the place of the cache's own scope.
            ignore: Names of parameters that say nothing about the result, such as ``self`` or a
                client.
            threshold: As in ``get``.
            ttl_seconds: As in ``put``.
            metadata: As in ``put``.
            tokens: As in ``get_or_compute``.

        Returns:
            A function of the same signature, or a decorator.

        Raises:
            TypeError: The function has no such parameter; when it is called, the query is not
                ``str``, or another argument cannot be part of a scope.

        """
    @overload
    def cached(
        self,
        function: None = None,
        *,
        query: str | None = None,
        scope: str | None = None,
        ignore: Iterable[str] = (),
        threshold: float | None = None,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, str] | None = None,
        tokens: int | Callable[[Any], int] = 0,
    ) -> Callable[[_F], _F]: ...
    @property
    def path(self) -> str:
        """Directory of the store, as it was given."""
    @property
    def closed(self) -> bool:
        """Whether the store is closed."""
    @property
    def threshold(self) -> float:
        """Least cosine similarity of a hit, where a call names none."""
    @property
    def scope(self) -> _Scope:
        """The scope of calls that name none, as it was given."""
    @property
    def model_id(self) -> str:
        """Name of the model."""
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_exception: object) -> None: ...

@final
class SemanticModel:
    """Which model embeds texts, and how.

    ``SemanticModel()`` is the bundled all-MiniLM-L6-v2, with 384 dimensions. Another one is named
    by ``model_path`` (files), ``model_name`` (a preset or repository of the Hugging Face hub), or
    ``embedder`` and ``embedder_id`` (a function of your own).

    The files are read when the model is first used: by ``embed``, ``dimension``, ``fingerprint``,
    or by opening a semantic store, which takes about half a second. The model then stays loaded
    for as long as this object, or a store that uses it, lives. Objects that name the same files and
    settings share one loaded model. In a forked child it is loaded anew.
    """

    model_name: str | None
    """A preset, see ``prestige.hub.presets``, or ``"organisation/name"`` of the Hugging Face hub.

    It is looked for in ``cache_dir``. With ``model_path`` it says how the files there are used.
    """
    revision: str | None
    """Branch, tag or commit of ``model_name``; None: ``"main"``."""
    download: bool
    """Whether ``model_name`` is downloaded, by ``prestige.hub.pull``, if it is not there.

    Default False: nothing here opens a connection. Nor does it where ``HF_HUB_OFFLINE`` is set.
    """
    local_files_only: bool
    """Whether ``download`` is to be ignored. Default False."""
    prompt_name: str | None
    """Name of a prompt in the model's files that goes before every text, for example ``"query"``.

    None: their default prompt, if they have one. ``prefix`` goes before it. Checked when the
    model is loaded.
    """
    pooling: str | None
    """``"mean"`` or ``"cls"``, in any case; None: as the preset or the files say, else mean.

    ``InvalidArgumentError`` for another name.
    """
    prefix: str | None
    """Text put in front of every text; None: as the preset or the files say, else nothing."""
    max_tokens: int | None
    """Longest text in tokens, special ones included; more than their number.

    None: as the preset or the model's files say, else 256. Of a longer text ``embed`` reads the
    beginning; a store deduplicates it exactly. Checked when the model is loaded: the bundled
    one has positions for 512, others for what their ``config.json`` says.
    """
    num_threads: int
    """Threads that compute one batch; 0: one for each core. Default 0."""

    def __new__(
        cls,
        model_path: _Path | None = None,
        *,
        model_name: str | None = None,
        revision: str | None = None,
        cache_dir: _Path | None = None,
        download: bool = False,
        local_files_only: bool = False,
        tokenizer_path: _Path | None = None,
        pooling: str | None = None,
        prefix: str | None = None,
        prompt_name: str | None = None,
        max_tokens: int | None = None,
        num_threads: int = ...,
        embedder: Callable[[list[str]], Any] | None = None,
        embedder_id: str | None = None,
    ) -> SemanticModel:
        """Name a model. Nothing is read yet.

        Args:
            model_path: See the attribute.
            model_name: See the attribute.
            revision: See the attribute.
            cache_dir: See the attribute.
            download: See the attribute.
            local_files_only: See the attribute.
            tokenizer_path: See the attribute.
            pooling: See the attribute.
            prefix: See the attribute.
            prompt_name: See the attribute.
            max_tokens: See the attribute.
            num_threads: See the attribute; 0 by default.
            embedder: See ``Options.embedder``; goes with ``embedder_id`` alone.
            embedder_id: See ``Options.embedder_id``.

        Raises:
            InvalidArgumentError: ``pooling`` is neither ``"mean"`` nor ``"cls"``, ``model_name`` is
                no name of a model, a number is negative, or ``embedder`` comes without
                ``embedder_id`` or with other arguments.
            TypeError: ``embedder`` cannot be called.

        """

    @property
    def model_path(self) -> Path | None:
        """An ``.onnx`` file, or a folder with ``model.onnx`` or ``onnx/model.onnx``.

        None: as ``model_name`` says, else the bundled model.
        """
    @model_path.setter
    def model_path(self, value: _Path | None) -> None: ...
    @property
    def cache_dir(self) -> Path | None:
        """Folder in which ``model_name`` is looked for, and downloaded to.

        A folder of model folders, or a cache of the Hugging Face client. None: the cache that
        ``HF_HUB_CACHE`` or ``HF_HOME`` name, by default ``~/.cache/huggingface/hub``.
        """
    @cache_dir.setter
    def cache_dir(self, value: _Path | None) -> None: ...
    @property
    def embedder(self) -> Callable[[list[str]], Any] | None:
        """The function that embeds in place of model files, as given; see ``Options.embedder``."""
    @property
    def embedder_id(self) -> str | None:
        """The name of the model behind ``embedder``, as given; see ``Options.embedder_id``."""
    @property
    def tokenizer_path(self) -> Path | None:
        """``tokenizer.json``, or ``vocab.txt`` of a WordPiece model; None: beside the model."""
    @tokenizer_path.setter
    def tokenizer_path(self, value: _Path | None) -> None: ...
    @property
    def dimension(self) -> int:
        """Length of the vectors. Loads the model. Raises ``ModelError`` if that fails."""
    @property
    def fingerprint(self) -> str:
        """SHA-256 over model file, tokenizer file, pooling, prefix and max tokens, in hexadecimal.

        Of an ``embedder`` it is over ``embedder_id`` and the dimension.

        Vectors of different fingerprints cannot be compared, so it belongs into the key of every
        cached vector. Loads the model. Raises ``ModelError`` if that fails.
        """
    def embed(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Embed texts.

        A text's vector does not depend on the other texts of the call, nor on the thread.

        Concurrent calls share batches. Of a text with more than ``max_tokens`` tokens only the
        beginning is read. Ctrl-C ends a long call within about a second.

        Args:
            texts: A list or other iterable of ``str``; a single ``str`` is refused. May be empty.

        Returns:
            float32 array of shape (n, d), C order: a row of unit length for each text, in their
            order.

        Raises:
            TypeError: ``texts`` is not an iterable of ``str``.
            UnicodeEncodeError: A text holds a lone surrogate.
            InvalidArgumentError: ``max_tokens`` leaves no room for text or is more than the model
                can read, or the model has no prompt ``prompt_name``.
            ModelError: The model or ONNX Runtime is missing or damaged, or the model failed on a
                text, or could not be downloaded.
            Exception: What ``embedder`` raises.

        """
    async def aembed(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Embed texts.

        The ``asyncio`` form of ``embed``.
        """

@final
class Options:
    """How a store is opened.

    Every attribute can be given as a keyword to ``Options()`` and ``prestige.open()``.

    Integers run from 0 to 2**63 - 1 where no other range is named. A wrong type raises
    ``TypeError``, a number out of range ``InvalidArgumentError``: on assignment, or where noted
    "checked on opening", by ``prestige.open()``.
    """

    normalization_mode: NormalizationMode
    """How text is normalised before it is stored. Default ``NormalizationMode.NONE``."""
    default_ttl_seconds: int
    """Seconds until keys put without ``ttl_seconds`` expire; 0: never. Default 0."""
    max_store_bytes: int
    """Upper bound of ``Store.total_bytes``; 0: none. Default 0.

    When a put exceeds it, expired keys and values without a key are removed, then least recently
    used keys are evicted.
    """
    block_cache_bytes: int
    """RocksDB's cache of table blocks, indexes and filters, 0 to 2**50; checked on opening.

    Default 64 MiB.
    """
    value_cache_bytes: int
    """Cache of hot keys and values in front of RocksDB, 0 to 2**50; 0: none. Checked on opening.

    Default 256 MiB.
    """
    write_buffer_bytes: int
    """RocksDB's write buffers, all together, 64 KiB to 2**40; checked on opening.

    Default 64 MiB.
    """
    enable_statistics: bool
    """Whether RocksDB gathers statistics. Default False."""
    bloom_bits_per_key: int
    """Bits of the Bloom filters for a key, 0 to 64; 0: none. Checked on opening. Default 10."""
    lock_timeout_ms: int
    """Longest wait for another thread's work on a key or value, in milliseconds, from 1.

    Checked on opening. Default 2000.
    """
    max_retries: int
    """Accepted for compatibility, without effect: writes wait for locks. Default 3."""
    retry_base_delay_us: int
    """Accepted for compatibility, without effect. Default 1000."""
    retry_max_delay_us: int
    """Accepted for compatibility, without effect. Default 100000."""
    retry_jitter_factor: float
    """Accepted for compatibility, without effect. Default 0.5."""
    enable_gc: bool
    """Whether a value goes with its last key; else it stays until ``sweep()``. Default True."""
    eviction_target_ratio: float
    """Share of ``max_store_bytes`` that eviction leaves, over 0 and at most 1. Default 0.8."""
    track_access_time: bool
    """Whether reads count as use; otherwise only puts do. Default True."""
    lru_update_interval_seconds: int
    """A key's access time is refreshed at most once in so many seconds. Default 3600."""
    reaper_interval_seconds: float
    """Seconds between background rounds that remove expired keys of all namespaces; 0: none.

    A finite number from 0 on. Default 60.
    """
    normalization_max_bytes: int
    """Longest value that is normalised, in bytes. Default 1 MiB."""
    read_only: bool
    """Whether the store is opened for reading only. Default False.

    Nothing of its directory changes, and a store that is not there is not created. It may be open
    for writing elsewhere; what was written since is seen after ``Store.refresh()``. Of a semantic
    store keys and values are read; it needs no model.
    """
    sync_writes: bool
    """Whether every write reaches the disk before it is acknowledged. Default False.

    Without it a power cut can take the latest writes; the end of the process alone takes none.
    """
    clock: ManualClock | None
    """For tests, a ``prestige.testing.ManualClock``; None: the system's clock. Default None."""
    semantic_model: SemanticModel | None
    """The model of a semantic store; None: the bundled one. Default None."""
    semantic_threshold: float
    """Least cosine similarity at which two texts share a value, over 0 and at most 1.

    Default 0.97.
    """
    semantic_max_text_bytes: int
    """Longest text that is embedded, in bytes. Default 8192.

    Longer ones deduplicate exactly, and so do those of more tokens than the model reads: 256 for
    the bundled one, see ``SemanticModel.max_tokens``.
    """
    semantic_search_k: int
    """Nearest neighbours compared with the threshold, 1 to 10000; checked on opening. Default 8."""
    semantic_margin_enabled: bool
    """Whether the best candidate must lead over the second best to merge. Default False."""
    semantic_margin_threshold: float
    """By how much more similar it must be, over 0 and at most 1. Default 0.05."""
    semantic_rnn_enabled: bool
    """Whether candidates must be near in return to be merged with. Default False.

    Then a text merges only if it is among the ``semantic_rnn_k`` nearest of its candidate: a text
    that is near to everything takes no others.
    """
    semantic_rnn_k: int
    """How many nearest ones count, at most 10000; 0: ``semantic_search_k``. Default 0.

    Checked on opening.
    """
    semantic_vector_precision: Literal["f32", "f16", "i8"]
    """Bits of each number of a vector: ``"f32"``, ``"f16"`` or ``"i8"``. Default ``"f16"``.

    That of the index; with another one than at the last opening it is rebuilt. On disk vectors have
    32 bits for ``"f32"`` and else 16, and those decide.
    """
    semantic_num_threads: int
    """Goes before ``semantic_model.num_threads``; 0: as the model says. Default 0."""
    embedder_id: str | None
    """Name of the model behind ``embedder``; it must change whenever the vectors do.

    Part of the fingerprint: a store with vectors of another name refuses to open. Default None.
    """
    reembed: bool
    """Whether opening embeds all texts anew where the vectors are of another model. Default False.

    The former model is not needed. See ``Store.reembed``, which does the same while the store is in
    use, and ``prestige.reembed``, which tells how far it is.
    """
    semantic_pooling: str | None
    """Goes before ``semantic_model.pooling``; None: as the model says. Default None.

    Checked on opening.
    """
    semantic_verify_exact: bool
    """Whether candidates are scored again with their stored vectors. Default True."""
    semantic_index_save_interval: int
    """Index operations between background checkpoints. Default 0.

    0: a quarter of the index, at least 4096.
    """
    hnsw_m: int
    """Links of a vector in the graph, 2 to 512; checked on opening. Default 16.

    M of Malkov and Yashunin, arXiv:1603.09320. With another value than at the last opening the
    index is rebuilt.
    """
    hnsw_ef_construction: int
    """Candidates considered when a vector is linked, 1 to 65536; checked on opening. Default 200.

    efConstruction of the same paper. With another value than at the last opening the index is
    rebuilt.
    """
    hnsw_ef_search: int
    """Candidates considered in a search, 1 to 65536; checked on opening. Default 100.

    efSearch of the same paper.
    """
    semantic_max_index_entries: int
    """Most vectors of the index; texts beyond it deduplicate exactly; 0: no bound. Default 0."""
    semantic_compact_threshold: float
    """Accepted for compatibility, without effect: the index renews itself. Default 0.2."""

    def __new__(cls, **options: object) -> Options:
        """Make options, the defaults where nothing is given.

        Args:
            **options: Attributes, for example ``default_ttl_seconds=3600``.

        Raises:
            ValueError: ``Unknown option: …``.
            InvalidArgumentError: A value is out of its range; the message names the option.
            TypeError: A value has the wrong type; the message names the option.

        """

    @property
    def dedup_mode(self) -> DedupMode:
        """Which values share one object. A store keeps the mode it was created with.

        Unset (also by None) it reads ``DedupMode.EXACT`` and means: as the store was created, exact
        for a new one. Set to another mode than that of the store, opening raises
        ``InvalidArgumentError``.
        """
    @dedup_mode.setter
    def dedup_mode(self, value: DedupMode | None) -> None: ...
    @property
    def verifier(self) -> Callable[[str, str, float], bool] | None:
        """A function that has the last word on a merge; None: nobody is asked. Default None.

        ``(new: str, stored: str, similarity: float) -> bool``: called before a put merges a text
        with the most similar stored one, after every other condition, without any lock and by
        whichever thread puts. It may use the store, but not close it. True merges, False keeps
        both. What it raises, the put raises, and nothing is stored; anything but a ``bool`` is a
        ``TypeError``.
        """
    @verifier.setter
    def verifier(self, value: Callable[[str, str, float], bool] | None) -> None: ...
    @property
    def semantic_model_path(self) -> Path | None:
        """Goes before ``semantic_model.model_path``; None: as the model says. Default None."""
    @semantic_model_path.setter
    def semantic_model_path(self, value: _Path | None) -> None: ...
    @property
    def embedder(self) -> Callable[[list[str]], Any] | None:
        """A function in place of a model: ``list[str] -> array (n, d)``, a row for each text.

        Needs ``embedder_id``, and excludes ``semantic_model``, its path and pooling. Checked on
        opening, which calls it once to learn d. It returns what ``numpy.asarray`` makes a finite
        array of float or integers, no row all zero; rows are scaled to unit length. It is called
        without any lock, by whichever thread puts, and by several at once: it must be thread-safe.
        It may use stores, even this one; a put of an unknown text in the same store calls it
        again. What it raises, the put raises, and nothing is stored. Default None.
        """
    @embedder.setter
    def embedder(self, value: Callable[[list[str]], Any] | None) -> None: ...

@final
class Server:
    """A running HTTP endpoint, made by ``Store.serve``: a context manager that stops it.

    It runs until it is stopped or its store is closed, whether or not this handle is kept.
    """

    @property
    def url(self) -> str:
        """Base URL without a slash at its end, such as ``"http://127.0.0.1:40123"``.

        Of a Unix socket ``"unix://"`` and its path.
        """
    @property
    def host(self) -> str:
        """Address it listens on; empty if that is a Unix socket."""
    @property
    def port(self) -> int:
        """Port it listens on, 1 to 65535; the one that was chosen where 0 was asked for.

        0 if it listens on a Unix socket.
        """
    @property
    def stopped(self) -> bool:
        """Whether it was stopped, by ``stop()`` or with its store."""
    def stop(self) -> None:
        """Refuse new requests, wait up to 5 s for those in progress, and end.

        A second call does nothing.
        """
    async def astop(self) -> None:
        """Refuse new requests, wait up to 5 s for those in progress, and end.

        The ``asyncio`` form of ``stop``. Once it has begun it goes on even if its caller is
        cancelled.
        """
    def __enter__(self) -> Server: ...
    def __exit__(self, *_exception: object) -> None: ...
    async def __aenter__(self) -> Server: ...
    async def __aexit__(self, *_exception: object) -> None: ...

@final
class StoreIterator(Generic[_T_co]):
    """Iterator over a store, in byte order of the keys.

    It sees the store as it was when the iterator was made, whatever is put and deleted meanwhile.
    It holds no locks; until it is exhausted or deleted, what was removed since takes space on disk.
    Several threads may share it; each of them gets other keys.
    """

    def __iter__(self) -> StoreIterator[_T_co]: ...
    def __next__(self) -> _T_co: ...
    def _next_page(self) -> list[_T_co]:
        """Return a list of the items left of this page, or those of the next; empty at the end."""

@final
class Store:
    """An open store: a directory that keeps one copy of every distinct value.

    Made by ``prestige.open``.

    A context manager that closes it, and dict-like: ``store[key]``, ``del store[key]``, ``key in
    store``, ``len(store)``, iteration over the keys. It is true even when empty.

    Every method has an ``asyncio`` form with an ``a`` in front: ``await store.aget(key)``, ``async
    for key in store.akeys()``. A worker thread of the process makes the call. If its task is
    cancelled before the call has begun, it is not made; later it runs to its end.

    Keys are ``str`` (stored as UTF-8; lone surrogates stand for single bytes, as in file names) or
    ``bytes``, at most 65,536 bytes. Values are ``str`` (stored as UTF-8) or bytes-like (bytes,
    bytearray, memoryview, NumPy array of another dtype than object), at most 1 GiB. ``str`` and
    ``bytes`` are not copied on their way in, other buffers once.

    Beyond what is listed, every method raises ``ClosedError`` (a ``ValueError``) once the store is
    closed, ``PrestigeError`` in a forked child of the process that opened it, ``IOError`` or
    ``CorruptionError`` if the files cannot be read or written, ``TypeError`` for arguments of wrong
    types and ``InvalidArgumentError`` for negative numbers. A failed write changes nothing. Methods
    that write raise ``ReadOnlyError`` in a store that was opened with ``read_only=True``.
    """

    def __new__(cls, *_arguments: object, **_options: object) -> Store:
        """Raise ``TypeError``: ``prestige.open`` makes stores."""

    @property
    def path(self) -> str:
        """Directory of the store, as it was given."""
    @property
    def closed(self) -> bool:
        """Whether the store is closed."""
    @property
    def read_only(self) -> bool:
        """Whether the store was opened read-only."""
    @property
    def total_bytes(self) -> int:
        """Bytes of all keys and distinct values, uncompressed: what ``max_store_bytes`` bounds."""
    @property
    def dedup_mode(self) -> DedupMode:
        """How values are deduplicated; fixed when the store was created."""
    @property
    def namespace_name(self) -> str:
        """Name of the namespace of this view; ``""`` for the store itself."""
    @classmethod
    def open(cls, path: _Path, options: Options | None = None, **changes: object) -> Store:
        """Open the store in a directory, or create it.

        Args:
            path: Directory of the store; made if it does not exist, with its parents.
            options: How to open it; the defaults if left out.
            **changes: Attributes of ``Options`` that go before those of ``options``.

        Returns:
            The open store; a context manager that closes it.

        Raises:
            ValueError: ``Unknown option: …``; as ``InvalidArgumentError``, an option out of its
                range, a mode other than the store's, or a directory with files of something else.
            BusyError: The store is open already, in this process or another.
            IOError: The path is a file, or cannot be read or written; read-only, there is no
                store.
            CorruptionError: Files of the store are missing, damaged or replaced by older ones.
            ModelError: The model of a semantic store is missing, damaged or another one.
            PrestigeError: The process was forked from one that had opened a store.

        """
    def put(
        self,
        key: _Key,
        value: _Value,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Store a value under a key, in place of what was there.

        In a semantic store a text that is similar enough to a stored one is not stored: the key
        then points at the earlier wording. A text with more tokens than the model reads is
        deduplicated exactly.

        Args:
            key: The key.
            value: The value.
            ttl_seconds: Seconds until the key expires, 0 to 2**63 - 1; 0: never; None:
                ``default_ttl_seconds``.
            metadata: Texts that belong to the value, whatever its key: at most 64 pairs, keys of 1
                to 256 bytes and values of up to 4096 bytes of UTF-8. They are added to what the
                value has already, and go with it.

        Raises:
            InvalidArgumentError: Key, value or metadata is too long, or all of them are larger than
                ``max_store_bytes``.
            TimedOutError: Another thread held the key or value for ``lock_timeout_ms``.
            ModelError: The model failed on the text.
            TypeError: ``value`` is neither ``str`` nor bytes-like, or an array of Python objects.
            UnicodeEncodeError: ``value`` is a ``str`` with a lone surrogate.

        """
    @overload
    def get(self, key: _Key, *, decode: Literal[False] = False) -> bytes:
        """Return the value of a key.

        Args:
            key: The key.
            default: Returned as it is where the key does not exist; None counts as given.
            decode: Whether to decode the value from UTF-8.

        Returns:
            The value, ``str`` if decoded, or ``default``.

        Raises:
            NotFoundError: The key does not exist or has expired, and there is no ``default``.
            UnicodeDecodeError: The value is to be decoded and is not UTF-8.

        """
    @overload
    def get(self, key: _Key, *, decode: Literal[True]) -> str: ...
    @overload
    def get(self, key: _Key, *, decode: bool) -> bytes | str: ...
    @overload
    def get(self, key: _Key, default: _T, decode: Literal[False] = False) -> bytes | _T: ...
    @overload
    def get(self, key: _Key, default: _T, decode: Literal[True]) -> str | _T: ...
    @overload
    def get(self, key: _Key, default: _T, decode: bool) -> bytes | str | _T: ...
    def _get_cached(
        self, key: _Key, default: object = None, decode: bool = False
    ) -> bytes | str | None:
        """What ``get`` returns if memory has the value; None: ask ``get``. Never waits."""
    def put_many(
        self,
        entries: _Entries,
        ttl_seconds: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """Store many values, in few large writes.

        Up to 1,000 entries or 4 MiB at a time are one atomic write, in which equal values are
        stored and, in a semantic store, embedded once. Of several entries with one key the last
        wins. The input may be endless: only one write's worth of it is held. Of a list or dict a
        semantic store embeds the texts of the next writes while it makes one.

        Args:
            entries: A mapping, or an iterable of ``(key, value)``, ``(key, value, ttl_seconds)`` or
                ``(key, value, ttl_seconds, metadata)``.
            ttl_seconds: For entries that name none, as in ``put``.
            progress: Called after every write with the number of entries stored so far.

        Returns:
            The number of entries stored.

        Raises:
            TypeError: An entry is of another form; the message gives its number, from 0.
            InvalidArgumentError: As ``put``; the message gives the number of the entry.
            Exception: As ``put``, and what the input or ``progress`` raises. What was written
                before stays; the write in progress leaves nothing.

        """
    @overload
    def get_many(
        self, keys: Iterable[_Key], default: None = None, decode: Literal[False] = False
    ) -> list[bytes | None]:
        """Return the values of many keys.

        Args:
            keys: An iterable of keys; a single ``str`` or ``bytes`` is refused.
            default: Stands for the value of a key that does not exist or has expired.
            decode: Whether to decode the values from UTF-8.

        Returns:
            The values, in the order of the keys.

        Raises:
            TypeError: A key is neither ``str`` nor ``bytes``; the message gives its number.
            UnicodeDecodeError: A value is to be decoded and is not UTF-8.

        """
    @overload
    def get_many(
        self, keys: Iterable[_Key], default: None = None, *, decode: Literal[True]
    ) -> list[str | None]: ...
    @overload
    def get_many(
        self, keys: Iterable[_Key], default: None = None, *, decode: bool
    ) -> list[bytes | None] | list[str | None]: ...
    @overload
    def get_many(
        self, keys: Iterable[_Key], default: _T, decode: Literal[False] = False
    ) -> list[bytes | _T]: ...
    @overload
    def get_many(
        self, keys: Iterable[_Key], default: _T, decode: Literal[True]
    ) -> list[str | _T]: ...
    @overload
    def get_many(
        self, keys: Iterable[_Key], default: _T, decode: bool
    ) -> list[bytes | _T] | list[str | _T]: ...
    def contains_many(self, keys: Iterable[_Key]) -> list[bool]:
        """Tell for many keys whether they exist.

        Args:
            keys: An iterable of keys; a single ``str`` or ``bytes`` is refused.

        Returns:
            True or False, in the order of the keys.

        Raises:
            TypeError: A key is neither ``str`` nor ``bytes``; the message gives its number.

        """
    def delete_many(self, keys: Iterable[_Key]) -> int:
        """Delete many keys, in bounded writes.

        Args:
            keys: An iterable of keys, of which only some thousand are held at a time; those that do
                not exist are passed over. A single ``str`` or ``bytes`` is refused.

        Returns:
            The number of keys deleted.

        Raises:
            TypeError: A key is neither ``str`` nor ``bytes``; the message gives its number.
            TimedOutError: Another thread held a key or value for ``lock_timeout_ms``.
            Exception: What the input raises. What was deleted before an error stays deleted.

        """
    def delete(self, key: _Key) -> None:
        """Delete a key, and with the last key of a value the value (see ``enable_gc``).

        Args:
            key: The key.

        Raises:
            NotFoundError: The key does not exist or has expired.
            TimedOutError: Another thread held the key or value for ``lock_timeout_ms``.

        """
    def keys(
        self, prefix: _Key | None = "", start: _Key | None = None, limit: int | None = None
    ) -> StoreIterator[str]:
        """Iterate over the keys, in byte order, as they are now.

        Args:
            prefix: Only keys that begin with it; None or ``""``: all.
            start: Only keys from this one on; None: all.
            limit: At most so many, from 0; None: no limit.

        Returns:
            An iterator that reads a page at a time, over a snapshot, and holds no locks.

        """
    def values(
        self, prefix: _Key | None = "", start: _Key | None = None, limit: int | None = None
    ) -> StoreIterator[bytes]:
        """Iterate over the values, in byte order of their keys, as they are now.

        Args:
            prefix: Only of keys that begin with it; None or ``""``: of all.
            start: Only of keys from this one on; None: of all.
            limit: At most so many, from 0; None: no limit.

        Returns:
            An iterator that reads a page at a time, over a snapshot, and holds no locks.

        """
    def items(
        self, prefix: _Key | None = "", start: _Key | None = None, limit: int | None = None
    ) -> StoreIterator[tuple[str, bytes]]:
        """Iterate over pairs of key and value, in byte order of the keys, as they are now.

        Args:
            prefix: Only keys that begin with it; None or ``""``: all.
            start: Only keys from this one on; None: all.
            limit: At most so many, from 0; None: no limit.

        Returns:
            An iterator that reads a page at a time, over a snapshot, and holds no locks.

        """
    def scan(
        self, prefix: _Key | None = "", start: _Key | None = None, limit: int | None = None
    ) -> StoreIterator[tuple[str, bytes]]:
        """Iterate over pairs of key and value: another name of ``items``.

        Args:
            prefix: Only keys that begin with it; None or ``""``: all.
            start: Only keys from this one on; None: all.
            limit: At most so many, from 0; None: no limit.

        Returns:
            An iterator that reads a page at a time, over a snapshot, and holds no locks.

        """
    def list_keys(self, prefix: _Key | None = "", limit: int | None = None) -> list[str]:
        """List keys in byte order, the expired left out.

        Args:
            prefix: Only keys that begin with it; None or ``""``: all.
            limit: At most so many, from 0; None: no limit.

        Returns:
            The keys as ``str``; bytes that are not UTF-8 appear as lone surrogates, which every
            method takes back.

        """
    def count_keys(self, approximate: bool = True) -> int:
        """Count the keys.

        Args:
            approximate: True: the expired and not yet swept count too, and a counter is read.
                False: they do not; each key is looked at once, when it has expired.

        Returns:
            The number of keys.

        """
    def count_unique_values(self) -> int:
        """Return the number of distinct values, those that wait for ``sweep()`` included."""
    def sweep(self) -> int:
        """Remove expired keys, and values that no key points at.

        Returns:
            The number of values deleted, those of the expired keys included.

        Raises:
            TimedOutError: Another thread held a key or value for ``lock_timeout_ms``.

        """
    def prune(self, max_age_seconds: int = ..., max_idle_seconds: int = ...) -> int:
        """Remove expired keys, and on request old and idle ones.

        Args:
            max_age_seconds: Also keys whose last put is longer ago; 0 (default): no such bound.
            max_idle_seconds: Also keys neither put nor read for longer, as exact as
                ``lru_update_interval_seconds`` allows; 0 (default): no such bound.

        Returns:
            The number of keys removed.

        Raises:
            TimedOutError: Another thread held a key or value for ``lock_timeout_ms``.

        """
    def evict_lru(self, target_bytes: int) -> int:
        """Evict least recently used keys until ``total_bytes`` is at most ``target_bytes``.

        If it is more, expired keys and values without a key are removed first.

        Args:
            target_bytes: Bytes that may stay, from 0.

        Returns:
            The number of keys evicted, without the expired ones.

        Raises:
            TimedOutError: Another thread held a key or value for ``lock_timeout_ms``.

        """
    def get_health(self) -> HealthStats:
        """Return figures of the store.

        Costs a few reads, and one for each key that has expired since the last call.

        Returns:
            A dictionary with the keys of ``prestige.HealthStats``.

        """
    def stats(self) -> StoreStats:
        """Return what has happened since the store was opened.

        Counts and latencies of this handle's namespace, of all threads. Costs some microseconds.

        Returns:
            A dictionary with the keys of ``prestige.StoreStats``.

        """
    def ttl(self, key: _Key) -> float | None:
        """Return the time a key has left.

        Args:
            key: The key.

        Returns:
            Seconds until the key expires; None: it does not expire.

        Raises:
            NotFoundError: The key does not exist or has expired.

        """
    def touch(self, key: _Key, ttl_seconds: int | None = None) -> None:
        """Set the time a key has left anew, and count as a use of it.

        Value and put time stay. ``touch(key)`` renews the store's default, ``touch(key, n)`` sets
        n seconds, ``touch(key, 0)`` lets the key live for ever.

        Args:
            key: The key.
            ttl_seconds: As in ``put``: seconds from now until the key expires, 0 to 2**63 - 1; 0:
                never; None: ``default_ttl_seconds``.

        Raises:
            NotFoundError: The key does not exist or has expired.
            TimedOutError: Another thread held the key for ``lock_timeout_ms``.

        """
    def expire_at(self, key: _Key, when: float | datetime) -> None:
        """Let a key expire at a moment.

        Value, put time and access time stay. A moment that is not in the future removes the key at
        once.

        Args:
            key: The key.
            when: Seconds since the epoch, as ``time.time()`` gives, or an aware ``datetime``.

        Raises:
            NotFoundError: The key does not exist or has expired.
            InvalidArgumentError: ``when`` is not finite, or a ``datetime`` without a time zone.
            TimedOutError: Another thread held the key or value for ``lock_timeout_ms``.

        """
    def verify(self) -> list[str]:
        """Check every invariant of the store against a full scan.

        Writers wait only while a snapshot is taken.

        Returns:
            A sentence for each violation; an empty list when all is well.

        """
    def flush(self) -> None:
        """Make all that was put durable against power loss, and checkpoint the vector index.

        From then on a store that has lost some of it is refused by ``open``.
        """
    def compact(self) -> None:
        """Rewrite the files of the store, so that removed data takes no space on disk.

        Needs as much free space as the store has data, for a while. Other threads go on meanwhile.

        Raises:
            ReadOnlyError: The store was opened read-only.

        """
    def rebuild_index(self, progress: Callable[[int, int], object] | None = None) -> int:
        """Build the vector index of this namespace anew from its vectors.

        Puts and searches go on meanwhile with the old index, so both are in memory for a while.
        Whatever ends the call, Ctrl-C or a crash: before the new index is complete nothing has
        changed. A store does this by itself where an index file is missing or damaged.

        Args:
            progress: Called after every few hundred vectors with the number of those linked and of
                those there are.

        Returns:
            The number of vectors; 0 in exact mode.

        Raises:
            BusyError: Another call builds this index, or embeds the texts of the store anew.
            TimedOutError: Another thread held a key for ten times ``lock_timeout_ms``.
            TypeError: ``progress`` cannot be called.
            Exception: What ``progress`` raises.

        """
    def reembed(
        self, model: SemanticModel, progress: Callable[[int, int], object] | None = None
    ) -> int:
        """Embed every text of the store by another model, and make it the model of the store.

        Puts and searches go on meanwhile by the old model and its index. One write makes the
        switch, for all namespaces; from then on the store is opened with the new model. If anything
        ends the call before, Ctrl-C or a crash, the store works as before, and the next call with
        the same model goes on from there; a call with another model begins anew, and one with the
        model of the store gives up what was begun. Texts that have merged stay merged, and others
        stay apart. Caches of the store have models of their own and stay as they are.

        Both indexes are in memory for a while, and both sets of vectors on the disk.

        Args:
            model: The new model, of any dimension.
            progress: Called after every few hundred steps with the number of those done and of
                those there are: one for each value, and one for each vector linked into the new
                index.

        Returns:
            The number of texts that this call has embedded.

        Raises:
            InvalidArgumentError: The store is exact, or this is a view of a namespace.
            BusyError: Another call does this, or rebuilds an index.
            ModelError: The new model cannot be loaded, or failed on a text.
            TimedOutError: Another thread held a key or value for ten times ``lock_timeout_ms``.
            TypeError: ``model`` is no ``SemanticModel``, or ``progress`` cannot be called.
            Exception: What ``progress``, or the ``embedder`` of the model, raises.

        """
    def backup(self, path: _Path) -> None:
        """Make a copy of the store while it is in use.

        The copy is a store by itself, with everything that was put before the call and perhaps some
        of what is put during it. It is durable when the call returns, and a failure leaves nothing
        at ``path``. On one file system it shares the table files, which never change, and takes
        little space at first. ``prestige.restore`` makes a store of it.

        Args:
            path: Directory to make: it does not exist or is empty, its parent exists, and it lies
                outside of the store.

        Raises:
            InvalidArgumentError: There is something at ``path``, or it lies in the store.
            IOError: The copy cannot be written.
            ReadOnlyError: The store was opened read-only.

        """
    def export_jsonl(self, path: _Path, *, prefix: _Key | None = None) -> int:
        """Write keys, values and times to a file, one JSON object a line.

        Those of this handle's namespace; the others are exported through their views.

        Fields: ``key`` and ``value`` as text, or ``key_b64`` and ``value_b64`` in Base64 where they
        are not UTF-8; ``created_us``, and ``expires_us`` for keys that expire, in microseconds
        since the Unix epoch; ``metadata`` of values that have some. The keys come in byte order, as
        they all were when the call began, the expired left out. The file is durable and complete
        when it appears.

        Args:
            path: The file; one that is there is replaced.
            prefix: Only keys that begin with it; None: all.

        Returns:
            The number of keys written.

        Raises:
            InvalidArgumentError: ``path`` is a directory or lies in the store.
            IOError: The file cannot be written. Nothing is left of it.

        """
    def import_jsonl(self, path: _Path) -> int:
        """Put the keys of a file that ``export_jsonl`` wrote.

        These are ordinary puts in batches: a value is normalised and deduplicated as this store
        does, and a key that is there is replaced. Keys keep the times they have in the file, and
        lines of expired keys are skipped. Without ``created_us`` a key counts as put now.

        Args:
            path: The file.

        Returns:
            The number of lines put.

        Raises:
            InvalidArgumentError: A line is no record, or the store refuses it; the message names
                file and line. What stands before it stays imported.
            IOError: The file cannot be read.
            ReadOnlyError: The store was opened read-only.

        """
    def export_parquet(self, path: _Path, *, prefix: _Key | None = None) -> int:
        """Write keys, values and times to a Parquet file.

        Columns: ``key`` and ``value`` (binary), ``created`` and ``expires`` (timestamps in
        microseconds, UTC; null: never), ``metadata`` (a map of text to text, or null). Otherwise as
        ``export_jsonl``. Needs the package pyarrow: ``pip install "prestige-cache[parquet]"``.

        Args:
            path: The file; one that is there is replaced.
            prefix: Only keys that begin with it; None: all.

        Returns:
            The number of keys written.

        Raises:
            ImportError: pyarrow is not installed.
            InvalidArgumentError: ``path`` is a directory or lies in the store.
            IOError: The file cannot be written. Nothing is left of it.

        """
    def import_parquet(self, path: _Path) -> int:
        """Put the keys of a Parquet file, such as ``export_parquet`` writes.

        ``key`` and ``value`` may be text as well; ``created``, ``expires`` and ``metadata`` may be
        missing, and timestamps have any unit. Other columns are not read. Otherwise as
        ``import_jsonl``.

        Args:
            path: The file.

        Returns:
            The number of rows put.

        Raises:
            ImportError: pyarrow is not installed.
            InvalidArgumentError: The file is not Parquet or lacks a column, or a row has no key or
                value or is refused; the message names file and rows. What was put before stays.
            IOError: The file cannot be read.
            ReadOnlyError: The store was opened read-only.

        """
    def _export_batches(
        self,
        prefix: _Key | None,
        visit: Callable[
            [
                list[bytes],
                list[bytes],
                list[int],
                list[int | None],
                list[dict[str, str] | None],
            ],
            None,
        ],
    ) -> int:
        """Call ``visit`` with lists of keys, values, put and expiry times and metadata."""
    def _import_batch(
        self,
        keys: list[bytes],
        values: list[bytes],
        created: list[int | None],
        expires: list[int | None],
        metadata: list[dict[str, str] | None],
    ) -> int:
        """Put records that come as lists of one length."""
    def refresh(self) -> None:
        """Show what was written since, in a store that was opened read-only.

        Waits for running operations. Does nothing in a store that is open for writing, which shows
        everything anyway.

        Raises:
            BusyError: The owner kept changing its files; the store shows what it did before.

        """
    def get_object_id(self, key: _Key) -> int:
        """Return the id of the value a key points at.

        Args:
            key: The key.

        Returns:
            The id: the same for keys that share a value, and never used for another value.

        Raises:
            NotFoundError: The key does not exist or has expired.

        """
    def namespace(self, name: str) -> Store:
        """Return a view of a namespace, which is made if it does not exist.

        A namespace is a hard partition of the store: its own keys, values, figures and, in a
        semantic store, index. Nothing is found or shared across. ``max_store_bytes``, ``flush()``,
        ``compact()`` and ``bytes_on_disk`` are of the whole store.

        Args:
            name: At most 255 bytes of UTF-8. ``""`` names the namespace of the store itself.

        Returns:
            A view with the whole interface of a store. Closing it leaves the store open; closing
            the store closes it.

        Raises:
            InvalidArgumentError: The name is too long.
            NotFoundError: The store was opened read-only and has no namespace of that name.

        """
    def namespaces(self) -> list[str]:
        """Return the names of all namespaces but the store's own, sorted."""
    def drop_namespace(self, name: str) -> None:
        """Remove a namespace and all it holds.

        It is one write, whatever the namespace holds: after a crash all of it is there, or nothing.
        Views of it raise ``InvalidArgumentError`` from then on.

        Args:
            name: Name of the namespace.

        Raises:
            NotFoundError: There is no namespace of that name.
            InvalidArgumentError: The name is ``""``.
            TimedOutError: A write of another thread took longer than ``lock_timeout_ms``.

        """
    def get_metadata(self, key: _Key) -> dict[str, str]:
        """Return the metadata of the value of a key.

        Args:
            key: The key.

        Returns:
            The pairs that puts of this value have given it; an empty dictionary if there are none.

        Raises:
            NotFoundError: The key does not exist or has expired.

        """
    def digest(self, value: _Value) -> str:
        """Return the digest by which a value would be found: SHA-256, after normalisation.

        Args:
            value: The value, which need not be stored.

        Returns:
            64 hexadecimal digits.

        """
    def candidates(
        self,
        query: _Value | None = None,
        k: int = ...,
        filter: Mapping[str, str | list[str] | tuple[str, ...]] | None = None,
        min_similarity: float | None = None,
        include_values: bool = False,
        *,
        embedding: Sequence[float] | NDArray[Any] | None = None,
    ) -> list[Candidate]:
        """Return the stored values nearest to a query, for a caller that decides what is a hit.

        The most similar comes first. Of an exact store it is the identical value, with similarity
        1.0, or nothing; so too for a value that a semantic store does not embed. Nothing changes,
        and no key counts as used. A value whose last key has expired counts until that key is
        removed. A value that is stored already is not embedded again.

        Args:
            query: The value to compare with.
            k: At most so many, 1 to 10,000.
            filter: Only values whose metadata has, for each key, the text given, or one of a list
                of texts. A filter that few values satisfy still finds ``k`` if there are so many.
            min_similarity: Only values of at least this cosine similarity, -1 to 1; None: all.
            include_values: Whether the values are returned, too.
            embedding: In place of ``query``, its embedding: ``d`` finite numbers, brought to unit
                length. No model runs. Not in exact stores.

        Returns:
            A list of dictionaries with the keys of ``prestige.Candidate``.

        Raises:
            InvalidArgumentError: A number is out of range, or the embedding does not fit.
            ModelError: The model failed on the text, or is not that of a store opened read-only.
            TypeError: Neither or both of ``query`` and ``embedding`` are given, or ``filter`` is
                no dictionary of texts.

        """
    def candidates_many(
        self,
        queries: Iterable[_Value] | None = None,
        k: int = ...,
        filter: Mapping[str, str | list[str] | tuple[str, ...]] | None = None,
        min_similarity: float | None = None,
        include_values: bool = False,
        *,
        embeddings: Sequence[Sequence[float]] | NDArray[Any] | None = None,
    ) -> list[list[Candidate]]:
        """Return the candidates of many queries, as ``candidates`` does of one.

        Texts that are not stored are embedded together, each distinct one once.

        Args:
            queries: A list or other iterable of values; a single ``str`` or ``bytes`` is refused.
            k: At most so many for each query, 1 to 10,000.
            filter: As in ``candidates``, for all queries.
            min_similarity: As in ``candidates``, for all queries.
            include_values: Whether the values are returned, too.
            embeddings: In place of ``queries``, an array of shape (n, d).

        Returns:
            A list of candidates for each query, in their order.

        Raises:
            Exception: As ``candidates``.

        """
    def explain(self, value: _Value) -> Explanation:
        """Say what a put of a value would do now, and why. Changes nothing.

        Goes through all that the put would: the model runs on a text that is not stored, and the
        ``verifier`` is asked. Other threads can change the store before the put comes.

        Args:
            value: The value.

        Returns:
            A dictionary with the keys of ``prestige.Explanation``.

        Raises:
            ModelError: The model failed on the text, or is not that of a store opened read-only.
            Exception: What the ``verifier`` raises.

        """
    def record_outcome(
        self,
        family: str,
        verdict: Literal["accepted", "rejected", "no_candidate"],
        *,
        candidate: Mapping[str, Any] | None = None,
        threshold: float | None = None,
        rank: int | None = None,
        similarity: float | None = None,
        reranker_score: float | None = None,
        tool_version: str = "",
        schema_version: str = "",
        reason: str = "",
    ) -> int:
        """Record what was decided about a candidate, for a family of tasks.

        The outcomes of a family say from which similarity on its candidates can be trusted: see
        ``family_report`` and ``prestige.calibrate``. They stay until their namespace is dropped,
        and do not count as bytes of the store.

        Args:
            family: Name of the tasks, 1 to 255 bytes of UTF-8 without NUL, best with a version:
                ``"support-faq@v3"``.
            verdict: ``"accepted"``: the candidate was used; ``"rejected"``: it was similar enough
                and failed another check; ``"no_candidate"``: nothing was similar enough.
            candidate: The dictionary from ``candidates``; gives object id, digest, rank and
                scores, unless they are given by name.
            threshold: Least similarity that was looked at, -1 to 1.
            rank: Place of the candidate, from 0.
            similarity: Cosine similarity of the candidate, -1 to 1.
            reranker_score: Score of the candidate by a reranker of your own.
            tool_version: Version of what decided, at most 4096 bytes, as the next two.
            schema_version: Version of the rules in force.
            reason: Why.

        Returns:
            The sequence of the outcome, from 1; it counts those of all families.

        Raises:
            InvalidArgumentError: Another verdict, a bad name, or a number out of its range.
            TypeError: ``candidate`` is no dictionary.
            TimedOutError: Other threads wrote for ``lock_timeout_ms``.

        """
    def list_outcomes(
        self, family: str, limit: int | None = None, after_sequence: int = ...
    ) -> list[RecordedOutcome]:
        """Return the outcomes of a family, in the order in which they were recorded.

        Args:
            family: Name of the tasks.
            limit: At most so many, from 0; None: all.
            after_sequence: Only those that come after this one.

        Returns:
            A list of dictionaries with the keys of ``prestige.RecordedOutcome``.

        Raises:
            InvalidArgumentError: The name is empty, too long, or has a NUL.

        """
    def list_families(self) -> list[str]:
        """Return the families that have outcomes, sorted."""
    def family_report(self, family: str) -> FamilyReport:
        """Return figures of the outcomes of a family. Reads all of them.

        Args:
            family: Name of the tasks.

        Returns:
            A dictionary with the keys of ``prestige.FamilyReport``.

        Raises:
            NotFoundError: The family has no outcomes.
            InvalidArgumentError: The name is empty, too long, or has a NUL.

        """
    def serve(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token: str | None = None,
        token_file: _Path | None = None,
        unix_socket: _Path | None = None,
        tls_certificate: _Path | None = None,
        tls_key: _Path | None = None,
        backup_directory: _Path | None = None,
        models: Mapping[str, SemanticModel] | None = None,
        upstream: Upstream | None = None,
    ) -> Server:
        """Serve the store over HTTP, on threads of this process.

        Keys and values, maintenance, health, metrics and a page to watch it all; see
        ``docs/http.md``. Everything goes through this store: its options, its model, its embedder.
        Of a view of a namespace, that namespace alone is served.

        Without a token everybody who reaches the server may read and change everything, so it then
        listens on loopback addresses and Unix sockets only.

        Args:
            host: Name or address to listen on. ``"0.0.0.0"`` means every IPv4 interface of the
                machine, and needs a token.
            port: 0 to 65535; 0: a free one.
            token: What clients send as ``Authorization: Bearer TOKEN``, for everything.
            token_file: File with more of them, one a line: ``ROLE TOKEN [NAMESPACE,...]``. ROLE is
                ``read``, ``write`` or ``admin``; NAMESPACE may end in ``*``.
            unix_socket: Path of a Unix socket to listen on, instead of ``host`` and ``port``. Its
                owner alone may connect.
            tls_certificate: PEM file with the certificate of the server and those that lead to the
                root; given together with ``tls_key``.
            tls_key: PEM file with its private key.
            backup_directory: Where ``POST /api/v1/admin/backup`` makes copies; made if it is not
                there. None: nowhere.
            models: Models of ``POST /v1/embeddings`` by the names that requests call them; besides
                them there is the bundled one, ``"minilm"``. Each is loaded with the first request
                for it.
            upstream: The server that it asks for every other model.

        Returns:
            The running server; a context manager that stops it.

        Raises:
            InvalidArgumentError: ``host`` does not resolve, or is reached from other machines and
                there is no token; ``port`` is out of range; a token, certificate or key cannot be
                used; ``upstream`` is out of range.
            BusyError: Another server listens on ``unix_socket``.
            IOError: The address cannot be listened on, or ``token_file`` not be read.

        """
    def close(self) -> None:
        """Close the store.

        Stops its servers, waits for running operations, writes what is pending and releases the
        directory.

        A second call does nothing. Of a view of a namespace it ends the view alone.

        Raises:
            IOError: The last writes failed. The store is closed all the same.
            BusyError: ``Options.embedder`` calls this while a put waits for it. It stays open.

        """
    def __getitem__(self, key: _Key, /) -> bytes: ...
    def __setitem__(self, key: _Key, value: _Value, /) -> None: ...
    def __delitem__(self, key: _Key, /) -> None: ...
    def __contains__(self, key: _Key, /) -> bool: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __iter__(self) -> StoreIterator[str]: ...
    def __enter__(self) -> Store: ...
    def __exit__(self, *_exception: object) -> None: ...
    @classmethod
    def aopen(cls, path: _Path, options: Options | None = None, **changes: object) -> StoreOpening:
        """Open the store in a directory, or create it.

        The ``asyncio`` form of ``open``, and what ``prestige.aopen`` does.
        """
    async def aput(
        self,
        key: _Key,
        value: _Value,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Store a value under a key, in place of what was there.

        The ``asyncio`` form of ``put``.
        """
    @overload
    async def aget(self, key: _Key, *, decode: Literal[False] = False) -> bytes:
        """Return the value of a key.

        The ``asyncio`` form of ``get``. A value in memory is returned at once, without a worker.
        """
    @overload
    async def aget(self, key: _Key, *, decode: Literal[True]) -> str: ...
    @overload
    async def aget(self, key: _Key, *, decode: bool) -> bytes | str: ...
    @overload
    async def aget(self, key: _Key, default: _T, decode: Literal[False] = False) -> bytes | _T: ...
    @overload
    async def aget(self, key: _Key, default: _T, decode: Literal[True]) -> str | _T: ...
    @overload
    async def aget(self, key: _Key, default: _T, decode: bool) -> bytes | str | _T: ...
    async def aput_many(
        self,
        entries: _Entries,
        ttl_seconds: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """Store many values, in few large writes.

        The ``asyncio`` form of ``put_many``.
        """
    @overload
    async def aget_many(
        self, keys: Iterable[_Key], default: None = None, decode: Literal[False] = False
    ) -> list[bytes | None]:
        """Return the values of many keys.

        The ``asyncio`` form of ``get_many``.
        """
    @overload
    async def aget_many(
        self, keys: Iterable[_Key], default: None = None, *, decode: Literal[True]
    ) -> list[str | None]: ...
    @overload
    async def aget_many(
        self, keys: Iterable[_Key], default: None = None, *, decode: bool
    ) -> list[bytes | None] | list[str | None]: ...
    @overload
    async def aget_many(
        self, keys: Iterable[_Key], default: _T, decode: Literal[False] = False
    ) -> list[bytes | _T]: ...
    @overload
    async def aget_many(
        self, keys: Iterable[_Key], default: _T, decode: Literal[True]
    ) -> list[str | _T]: ...
    @overload
    async def aget_many(
        self, keys: Iterable[_Key], default: _T, decode: bool
    ) -> list[bytes | _T] | list[str | _T]: ...
    async def acontains_many(self, keys: Iterable[_Key]) -> list[bool]:
        """Tell for many keys whether they exist.

        The ``asyncio`` form of ``contains_many``.
        """
    async def adelete_many(self, keys: Iterable[_Key]) -> int:
        """Delete many keys, in bounded writes.

        The ``asyncio`` form of ``delete_many``.
        """
    async def adelete(self, key: _Key) -> None:
        """Delete a key, and with the last key of a value the value (see ``enable_gc``).

        The ``asyncio`` form of ``delete``.
        """
    def akeys(
        self, prefix: _Key | None = "", start: _Key | None = None, limit: int | None = None
    ) -> AsyncGenerator[str]:
        """Iterate over the keys, in byte order, as they are now.

        The ``asyncio`` form of ``keys``: an asynchronous generator. It sees the store as it is
        when the first item is asked for, and has its pages read by workers.
        """
    def avalues(
        self, prefix: _Key | None = "", start: _Key | None = None, limit: int | None = None
    ) -> AsyncGenerator[bytes]:
        """Iterate over the values, in byte order of their keys, as they are now.

        The ``asyncio`` form of ``values``: an asynchronous generator. It sees the store as it is
        when the first item is asked for, and has its pages read by workers.
        """
    def aitems(
        self, prefix: _Key | None = "", start: _Key | None = None, limit: int | None = None
    ) -> AsyncGenerator[tuple[str, bytes]]:
        """Iterate over pairs of key and value, in byte order of the keys, as they are now.

        The ``asyncio`` form of ``items``: an asynchronous generator. It sees the store as it is
        when the first item is asked for, and has its pages read by workers.
        """
    def ascan(
        self, prefix: _Key | None = "", start: _Key | None = None, limit: int | None = None
    ) -> AsyncGenerator[tuple[str, bytes]]:
        """Iterate over pairs of key and value: another name of ``items``.

        The ``asyncio`` form of ``scan``: an asynchronous generator. It sees the store as it is
        when the first item is asked for, and has its pages read by workers.
        """
    async def alist_keys(self, prefix: _Key | None = "", limit: int | None = None) -> list[str]:
        """List keys in byte order, the expired left out.

        The ``asyncio`` form of ``list_keys``.
        """
    async def acount_keys(self, approximate: bool = True) -> int:
        """Count the keys.

        The ``asyncio`` form of ``count_keys``.
        """
    async def acount_unique_values(self) -> int:
        """Return the number of distinct values, those that wait for ``sweep()`` included.

        The ``asyncio`` form of ``count_unique_values``.
        """
    async def asweep(self) -> int:
        """Remove expired keys, and values that no key points at.

        The ``asyncio`` form of ``sweep``.
        """
    async def aprune(self, max_age_seconds: int = ..., max_idle_seconds: int = ...) -> int:
        """Remove expired keys, and on request old and idle ones.

        The ``asyncio`` form of ``prune``.
        """
    async def aevict_lru(self, target_bytes: int) -> int:
        """Evict least recently used keys until ``total_bytes`` is at most ``target_bytes``.

        The ``asyncio`` form of ``evict_lru``.
        """
    async def aget_health(self) -> HealthStats:
        """Return figures of the store.

        The ``asyncio`` form of ``get_health``.
        """
    async def astats(self) -> StoreStats:
        """Return what has happened since the store was opened.

        The ``asyncio`` form of ``stats``.
        """
    async def attl(self, key: _Key) -> float | None:
        """Return the time a key has left.

        The ``asyncio`` form of ``ttl``.
        """
    async def atouch(self, key: _Key, ttl_seconds: int | None = None) -> None:
        """Set the time a key has left anew, and count as a use of it.

        The ``asyncio`` form of ``touch``.
        """
    async def aexpire_at(self, key: _Key, when: float | datetime) -> None:
        """Let a key expire at a moment.

        The ``asyncio`` form of ``expire_at``.
        """
    async def averify(self) -> list[str]:
        """Check every invariant of the store against a full scan.

        The ``asyncio`` form of ``verify``.
        """
    async def aflush(self) -> None:
        """Make all that was put durable against power loss, and checkpoint the vector index.

        The ``asyncio`` form of ``flush``.
        """
    async def acompact(self) -> None:
        """Rewrite the files of the store, so that removed data takes no space on disk.

        The ``asyncio`` form of ``compact``.
        """
    async def arebuild_index(self, progress: Callable[[int, int], object] | None = None) -> int:
        """Build the vector index of this namespace anew from its vectors.

        The ``asyncio`` form of ``rebuild_index``.
        """
    async def areembed(
        self, model: SemanticModel, progress: Callable[[int, int], object] | None = None
    ) -> int:
        """Embed every text of the store by another model, and make it the model of the store.

        The ``asyncio`` form of ``reembed``.
        """
    async def abackup(self, path: _Path) -> None:
        """Make a copy of the store while it is in use.

        The ``asyncio`` form of ``backup``.
        """
    async def aexport_jsonl(self, path: _Path, *, prefix: _Key | None = None) -> int:
        """Write keys, values and times to a file, one JSON object a line.

        The ``asyncio`` form of ``export_jsonl``.
        """
    async def aimport_jsonl(self, path: _Path) -> int:
        """Put the keys of a file that ``export_jsonl`` wrote.

        The ``asyncio`` form of ``import_jsonl``.
        """
    async def aexport_parquet(self, path: _Path, *, prefix: _Key | None = None) -> int:
        """Write keys, values and times to a Parquet file.

        The ``asyncio`` form of ``export_parquet``.
        """
    async def aimport_parquet(self, path: _Path) -> int:
        """Put the keys of a Parquet file, such as ``export_parquet`` writes.

        The ``asyncio`` form of ``import_parquet``.
        """
    async def arefresh(self) -> None:
        """Show what was written since, in a store that was opened read-only.

        The ``asyncio`` form of ``refresh``.
        """
    async def aget_object_id(self, key: _Key) -> int:
        """Return the id of the value a key points at.

        The ``asyncio`` form of ``get_object_id``.
        """
    async def aget_metadata(self, key: _Key) -> dict[str, str]:
        """Return the metadata of the value of a key.

        The ``asyncio`` form of ``get_metadata``.
        """
    async def adigest(self, value: _Value) -> str:
        """Return the digest by which a value would be found: SHA-256, after normalisation.

        The ``asyncio`` form of ``digest``.
        """
    async def acandidates(
        self,
        query: _Value | None = None,
        k: int = ...,
        filter: Mapping[str, str | list[str] | tuple[str, ...]] | None = None,
        min_similarity: float | None = None,
        include_values: bool = False,
        *,
        embedding: Sequence[float] | NDArray[Any] | None = None,
    ) -> list[Candidate]:
        """Return the stored values nearest to a query, for a caller that decides what is a hit.

        The ``asyncio`` form of ``candidates``.
        """
    async def acandidates_many(
        self,
        queries: Iterable[_Value] | None = None,
        k: int = ...,
        filter: Mapping[str, str | list[str] | tuple[str, ...]] | None = None,
        min_similarity: float | None = None,
        include_values: bool = False,
        *,
        embeddings: Sequence[Sequence[float]] | NDArray[Any] | None = None,
    ) -> list[list[Candidate]]:
        """Return the candidates of many queries, as ``candidates`` does of one.

        The ``asyncio`` form of ``candidates_many``.
        """
    async def aexplain(self, value: _Value) -> Explanation:
        """Say what a put of a value would do now, and why. Changes nothing.

        The ``asyncio`` form of ``explain``.
        """
    async def arecord_outcome(
        self,
        family: str,
        verdict: Literal["accepted", "rejected", "no_candidate"],
        *,
        candidate: Mapping[str, Any] | None = None,
        threshold: float | None = None,
        rank: int | None = None,
        similarity: float | None = None,
        reranker_score: float | None = None,
        tool_version: str = "",
        schema_version: str = "",
        reason: str = "",
    ) -> int:
        """Record what was decided about a candidate, for a family of tasks.

        The ``asyncio`` form of ``record_outcome``.
        """
    async def alist_outcomes(
        self, family: str, limit: int | None = None, after_sequence: int = ...
    ) -> list[RecordedOutcome]:
        """Return the outcomes of a family, in the order in which they were recorded.

        The ``asyncio`` form of ``list_outcomes``.
        """
    async def alist_families(self) -> list[str]:
        """Return the families that have outcomes, sorted.

        The ``asyncio`` form of ``list_families``.
        """
    async def afamily_report(self, family: str) -> FamilyReport:
        """Return figures of the outcomes of a family. Reads all of them.

        The ``asyncio`` form of ``family_report``.
        """
    async def anamespace(self, name: str) -> Store:
        """Return a view of a namespace, which is made if it does not exist.

        The ``asyncio`` form of ``namespace``.
        """
    async def anamespaces(self) -> list[str]:
        """Return the names of all namespaces but the store's own, sorted.

        The ``asyncio`` form of ``namespaces``.
        """
    async def adrop_namespace(self, name: str) -> None:
        """Remove a namespace and all it holds.

        The ``asyncio`` form of ``drop_namespace``.
        """
    async def aserve(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token: str | None = None,
        token_file: _Path | None = None,
        unix_socket: _Path | None = None,
        tls_certificate: _Path | None = None,
        tls_key: _Path | None = None,
        backup_directory: _Path | None = None,
        models: Mapping[str, SemanticModel] | None = None,
        upstream: Upstream | None = None,
    ) -> Server:
        """Serve the store over HTTP, on threads of this process.

        The ``asyncio`` form of ``serve``.

        Cancelled meanwhile, the server is stopped.
        """
    async def aclose(self) -> None:
        """Close the store.

        The ``asyncio`` form of ``close``.

        Once it has begun it goes on even if its caller is cancelled.
        """
    async def acontains(self, key: _Key) -> bool:
        """Tell whether a key exists: the ``asyncio`` form of ``key in store``."""
    def __aiter__(self) -> AsyncGenerator[str]: ...
    async def __aenter__(self) -> Store: ...
    async def __aexit__(self, *_exception: object) -> None: ...
