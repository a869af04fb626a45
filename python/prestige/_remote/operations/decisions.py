"""Candidates, explanations, and what was decided about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ... import _native
from ...exceptions import InvalidArgumentError
from ..wire import Operation, Reply, Request, Work, from_json, single, switch, to_json

if TYPE_CHECKING:
    from ...candidates import Candidate, Explanation, FamilyReport, RecordedOutcome
    from ..place import Place


def digest(self: Place, value: Any) -> Operation[str]:  # noqa: ANN401
    """Return the digest by which a value would be found."""
    body = {"value": to_json(_native.value_bytes(value))}
    reply: Reply = yield self._call("POST", "/digest", body, reads=True)
    return str(reply.json()["digest"])


def explain(self: Place, value: Any) -> Operation[Explanation]:  # noqa: ANN401
    """Say what a put of a value would do now, and why."""
    body = {"value": to_json(_native.value_bytes(value))}
    reply: Reply = yield self._call("POST", "/explain", body, reads=True)
    explanation: Explanation = reply.json()
    explanation["candidates"] = _candidates(explanation["candidates"])
    return explanation


def candidates(  # noqa: PLR0913, PLR0917 - as of a store
    self: Place,
    query: Any = None,  # noqa: ANN401
    k: int = 5,
    filter: Mapping[str, Any] | None = None,  # noqa: A002
    min_similarity: float | None = None,
    include_values: bool = False,
    *,
    embedding: Any = None,  # noqa: ANN401
) -> Operation[list[Candidate]]:
    """Return the stored values nearest to a query."""
    body = _options(k, filter, min_similarity, include_values)
    if (query is None) == (embedding is None):
        message = "give either query or embedding"
        raise TypeError(message)
    if embedding is None:
        body["query"] = to_json(_native.value_bytes(query))
    else:
        (body["embedding"],) = _rows(embedding, "embedding", 1)
    reply: Reply = yield self._call("POST", "/candidates", body, reads=True)
    return _candidates(reply.json()["candidates"])


def candidates_many(  # noqa: PLR0913, PLR0917 - as of a store
    self: Place,
    queries: Iterable[Any] | None = None,
    k: int = 5,
    filter: Mapping[str, Any] | None = None,  # noqa: A002
    min_similarity: float | None = None,
    include_values: bool = False,
    *,
    embeddings: Any = None,  # noqa: ANN401
) -> Operation[list[list[Candidate]]]:
    """Return the candidates of many queries."""
    body = _options(k, filter, min_similarity, include_values)
    if (queries is None) == (embeddings is None):
        message = "give either queries or embeddings"
        raise TypeError(message)
    if embeddings is None:
        body["queries"] = yield Work(_values, (queries,))
    else:
        body["embeddings"] = _rows(embeddings, "embeddings", 2)
    request: Request = self._call("POST", "/candidates", body, reads=True)
    reply: Reply = yield request
    return [_candidates(found) for found in reply.json()["results"]]


def _options(
    k: int,
    filter: Mapping[str, Any] | None,  # noqa: A002
    min_similarity: float | None,
    include_values: bool,
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "k": _native.natural_number("k", k),
        "include_values": switch("include_values", include_values),
    }
    if filter is not None:
        body["filter"] = _native.filter_texts(filter)
    if min_similarity is not None:
        body["min_similarity"] = _native.finite_number("min_similarity", min_similarity)
    return body


def _values(queries: Iterable[Any]) -> list[Any]:
    if isinstance(queries, (str, bytes)):
        message = "queries should be an iterable of values, not a single one"
        raise TypeError(message)
    return [to_json(_native.value_bytes(query)) for query in queries]


def _rows(given: Any, name: str, dimensions: int) -> list[list[float]]:  # noqa: ANN401
    rows = _native.float_rows(given, name, dimensions)
    # JSON has no NaN and no infinity; the server says what is wrong with them.
    if not (abs(rows) <= _LARGEST).all():
        message = f"the numbers of {name} must be finite, and one is not"
        raise InvalidArgumentError(message)
    numbers: list[list[float]] = rows.tolist()
    return numbers


_LARGEST = 3.4028235e38


def _candidates(found: list[Any]) -> list[Candidate]:
    for candidate in found:
        candidate["similarity"] = single(candidate["similarity"])
        if "value" in candidate:
            candidate["value"] = from_json(candidate["value"])
    return found


def record_outcome(  # noqa: PLR0913 - as of a store
    self: Place,
    family: str,
    verdict: str,
    *,
    candidate: Mapping[str, Any] | None = None,
    threshold: float | None = None,
    rank: int | None = None,
    similarity: float | None = None,
    reranker_score: float | None = None,
    tool_version: str = "",
    schema_version: str = "",
    reason: str = "",
) -> Operation[int]:
    """Record what was decided about a candidate."""
    _native.check_verdict(verdict)
    if candidate is not None and not isinstance(candidate, Mapping):
        found = type(candidate).__name__
        message = f"candidate must be a dictionary from candidates(), not {found}"
        raise TypeError(message)
    judged: Mapping[str, Any] = candidate or {}
    of: dict[str, Any] = {}
    if (object_id := judged.get("object_id")) is not None:
        of["object_id"] = _native.natural_number("object_id", object_id)
    if (digest := judged.get("digest")) is not None:
        of["digest"] = _native.digest_text(digest)
    if (place := judged.get("rank") if rank is None else rank) is not None:
        of["rank"] = _native.rank_number(place)
    given = {"similarity": similarity, "reranker_score": reranker_score}
    for name, number in given.items():
        if (score := judged.get(name) if number is None else number) is not None:
            of[name] = _native.finite_number(name, score)
    body: dict[str, Any] = {
        "verdict": verdict,
        "candidate": of,
        "tool_version": _text("tool_version", tool_version),
        "schema_version": _text("schema_version", schema_version),
        "reason": _text("reason", reason),
    }
    if threshold is not None:
        body["threshold"] = _native.finite_number("threshold", threshold)
    reply: Reply = yield self._call("POST", f"{_family(family)}/outcomes", body)
    return int(reply.json()["sequence"])


def list_outcomes(
    self: Place, family: str, limit: int | None = None, after_sequence: int = 0
) -> Operation[list[RecordedOutcome]]:
    """Return the outcomes of a family."""
    after = _native.natural_number("after_sequence", after_sequence)
    left = None if limit is None else _native.natural_number("limit", limit)
    path = f"{_family(family)}/outcomes"
    outcomes: list[RecordedOutcome] = []
    while left is None or left > len(outcomes):
        most = MOST_OUTCOMES if left is None else min(left - len(outcomes), MOST_OUTCOMES)
        query = {"limit": str(most), "after_sequence": str(after)}
        reply: Reply = yield self._call("GET", path, query=query, reads=True)
        page: list[RecordedOutcome] = reply.json()["outcomes"]
        outcomes += page
        if len(page) < most:
            break
        after = page[-1]["sequence"]
    return outcomes


# The server's bound for one answer.
MOST_OUTCOMES = 10_000


def list_families(self: Place) -> Operation[list[str]]:
    """Return the families that have outcomes, sorted."""
    reply: Reply = yield self._call("GET", "/families", reads=True)
    families: list[str] = reply.json()["families"]
    return families


def family_report(self: Place, family: str) -> Operation[FamilyReport]:
    """Return figures of the outcomes of a family."""
    reply: Reply = yield self._call("GET", f"{_family(family)}/report", reads=True)
    report: FamilyReport = reply.json()
    return report


def _family(family: str) -> str:
    return "/families/" + quote(_text("family", family), safe="").replace(".", "%2E")


def _text(name: str, given: str) -> str:
    if not isinstance(given, str):
        message = f"{name} must be str, not {type(given).__name__}"
        raise TypeError(message)
    return given
