"""Figures, and what keeps a store in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from ... import _native
from ...exceptions import InvalidArgumentError, UnsupportedError
from ..errors import of_problem
from ..wire import API, Operation, Pause, Reply, Request, switch

if TYPE_CHECKING:
    from ..._native import SemanticModel
    from ...health import HealthStats
    from ...stats import StoreStats
    from ..place import Place

ACCEPTED = 202
# The name of the model that comes with the package.
BUNDLED = "minilm"
# Called with what is done, and what there is to do.
Progress = Callable[[int, int], object]
# Seconds for which the server holds back the answer to a long operation, in case it ends.
WAIT_SECONDS = 10.0
# Seconds between two looks at one that goes on.
FIRST_LOOK, LONGEST_LOOK = 0.1, 2.0

# Figures of `stats` that a store counts for all its namespaces together.
_OF_CACHES: tuple[
    Literal[
        "embedding_cache_hits",
        "embedding_cache_misses",
        "semantic_cache_exact_hits",
        "semantic_cache_semantic_hits",
        "semantic_cache_misses",
    ],
    ...,
] = (
    "embedding_cache_hits",
    "embedding_cache_misses",
    "semantic_cache_exact_hits",
    "semantic_cache_semantic_hits",
    "semantic_cache_misses",
)


def _admin(
    self: Place, name: str, body: dict[str, Any], progress: Progress | None = None
) -> Operation[dict[str, Any]]:
    """Have the server do something that may take long, and wait for its end."""
    request = self._call(
        "POST",
        f"/admin/{name}",
        body,
        headers={"prefer": f"wait={WAIT_SECONDS:.0f}"},
        patience=WAIT_SECONDS,
        # Everything else may be done again.
        fragile=name in ("backup", "reembed"),
    )
    reply: Reply = yield request
    result = yield from ended(self, reply, progress)
    return result


def ended(self: Place, reply: Reply, progress: Progress | None = None) -> Operation[dict[str, Any]]:
    """Wait for the end of a job, if the answer is one that goes on, and tell how far it is."""
    if not reply.body:
        return {}
    answer: dict[str, Any] = reply.json()
    if reply.status != ACCEPTED and "state" not in answer:
        return answer
    look = FIRST_LOOK
    while answer["state"] not in ("succeeded", "failed"):
        if progress is not None and (reached := answer.get("progress")):
            progress(int(reached["done"]), int(reached["total"]))
        yield Pause(look)
        look = min(1.5 * look, LONGEST_LOOK)
        path = f"{API}/jobs/{quote(str(answer['id']), safe='')}"
        reply = yield Request("GET", path, reads=True)
        answer = reply.json()
    if answer["state"] == "failed":
        raise of_problem(answer.get("error") or {"detail": f"{answer['operation']} failed"})
    return answer.get("result") or {}


def sweep(self: Place) -> Operation[int]:
    """Remove expired keys, and values that no key points at."""
    result = yield from _admin(self, "sweep", {})
    return int(result["deleted"])


def prune(self: Place, max_age_seconds: int = 0, max_idle_seconds: int = 0) -> Operation[int]:
    """Remove expired keys, and on request old and idle ones."""
    body = {
        "max_age_s": _native.natural_number("max_age_seconds", max_age_seconds),
        "max_idle_s": _native.natural_number("max_idle_seconds", max_idle_seconds),
    }
    result = yield from _admin(self, "prune", body)
    return int(result["deleted"])


def evict_lru(self: Place, target_bytes: int) -> Operation[int]:
    """Evict least recently used keys until there are at most so many bytes."""
    body = {"target_bytes": _native.natural_number("target_bytes", target_bytes)}
    result = yield from _admin(self, "evict", body)
    return int(result["deleted"])


def flush(self: Place) -> Operation[None]:
    """Make all that was put durable against power loss."""
    yield from _admin(self, "flush", {})


def compact(self: Place) -> Operation[None]:
    """Rewrite the files of the store."""
    yield from _admin(self, "compact", {})


def rebuild_index(self: Place, progress: Progress | None = None) -> Operation[int]:
    """Build the vector index of this namespace anew."""
    _check_progress(progress)
    result = yield from _admin(self, "rebuild_index", {}, progress)
    vectors = int(result["vectors"])
    if progress is not None and vectors:
        progress(vectors, vectors)
    return vectors


def reembed(
    self: Place, model: SemanticModel | str, progress: Progress | None = None
) -> Operation[int]:
    """Embed every text of the store by another model, which becomes that of the store.

    ``model`` is named as the server allows it: by the name of a model that it knows, or of a folder
    that its operator has allowed. The process that serves loads it.
    """
    _check_progress(progress)
    name = _name_of(model)
    if self._root is not None:
        message = "a store has one model for all its namespaces: call reembed on the store itself"
        raise InvalidArgumentError(message)
    result = yield from _admin(self, "reembed", {"model": name}, progress)
    return int(result["embedded"])


def _name_of(model: SemanticModel | str) -> str:
    if isinstance(model, str):
        return model
    if not isinstance(model, _native.SemanticModel):
        message = f"model must be a SemanticModel or its name, not {type(model).__name__}"
        raise TypeError(message)
    if model.embedder is not None:
        message = (
            "reembed by a function does not work over the wire, since the model runs in the "
            "process that has the store open: call it there"
        )
        raise UnsupportedError(message)
    return str(model.model_path or model.model_name or BUNDLED)


def _check_progress(progress: Progress | None) -> None:
    if progress is not None and not callable(progress):
        message = f"progress must be a function (done, total), not {type(progress).__name__}"
        raise TypeError(message)


def verify(self: Place) -> Operation[list[str]]:
    """Check every invariant of the store against a full scan."""
    result = yield from _admin(self, "verify", {})
    violations: list[str] = result["violations"]
    return violations


def backup(self: Place, path: str) -> Operation[None]:
    """Make a copy of the store, on the server.

    ``path`` names a folder of the server's ``backup_directory``.
    """
    if not isinstance(path, str):
        message = f"path must be str, the name of a backup on the server, not {type(path).__name__}"
        raise TypeError(message)
    yield from _admin(self, "backup", {"name": path})


def count_keys(self: Place, approximate: bool = True) -> Operation[int]:
    """Count the keys."""
    path = "/kv/_count/approx" if switch("approximate", approximate) else "/kv/_count"
    reply: Reply = yield self._call("GET", path, reads=True)
    return int(reply.json()["count"])


def count_unique_values(self: Place) -> Operation[int]:
    """Return the number of distinct values."""
    reply: Reply = yield self._call("GET", "/unique", reads=True)
    return int(reply.json()["count"])


def get_health(self: Place) -> Operation[HealthStats]:
    """Return figures of the store."""
    reply: Reply = yield self._call("GET", "/health", reads=True)
    health: HealthStats = reply.json()
    return health


def stats(self: Place) -> Operation[StoreStats]:
    """Return what has happened since the store was opened."""
    reply: Reply = yield self._call("GET", "/stats", reads=True)
    figures: StoreStats = reply.json()
    for name in _OF_CACHES:
        # Null for tokens of some namespaces, since it is counted by the store itself.
        if figures[name] is None:
            figures[name] = 0
    return figures


def info(self: Place) -> Operation[dict[str, Any]]:
    """What does not change while the server runs."""
    reply: Reply = yield self._call("GET", "/info", reads=True)
    answer: dict[str, Any] = reply.json()
    return answer
