"""The dictionaries that candidates, outcomes and their figures are returned as."""

from __future__ import annotations

from typing import Literal, TypedDict


class _Candidate(TypedDict):
    rank: int
    """Place among the candidates, from 0."""
    similarity: float
    """Cosine similarity to the query, -1 to 1; 1.0 of the identical value."""
    reranker_score: float | None
    """None; a place for the score of a reranker of your own."""
    object_id: int
    """Id of the value, as ``Store.get_object_id`` returns it for its keys."""
    digest: str
    """Its digest, as ``Store.digest`` returns it."""
    metadata: dict[str, str]
    """Its metadata."""
    size_bytes: int
    """Its length."""
    created_at_us: int
    """When it was first stored, in microseconds since the Unix epoch."""


class Candidate(_Candidate, total=False):
    """A stored value near a query, from ``Store.candidates``."""

    value: bytes
    """The value; only with ``include_values=True``."""


class Gate(TypedDict):
    """A condition of a merge, from ``Store.explain``."""

    name: Literal["threshold", "margin", "reciprocal", "verifier"]
    """Which one."""
    needed: float
    """Least similarity; least margin; number of texts of which fewer must be nearer to the
    candidate; 1.0 for the verifier."""
    found: float | None
    """The similarity; the margin over the second best, None without one; the texts that are nearer
    to the candidate than the new one is; 1.0 or 0.0 for the verifier's answer."""
    passed: bool
    """Whether it lets the candidate pass."""


class Explanation(TypedDict):
    """What a put would do, and why, from ``Store.explain``."""

    verdict: Literal["identical", "merge", "new", "not_text", "too_long", "index_full"]
    """``"identical"``: its bytes are stored; ``"merge"``: it shares the value of a similar text;
    ``"new"``: it is like no stored value. The others become values of their own because they are
    not embedded: not UTF-8 or blank, longer than the model reads, or the index is full."""
    object_id: int | None
    """Id of the value it would share; None: it would be one of its own."""
    digest: str
    """Its digest."""
    threshold: float | None
    """``semantic_threshold``; None in an exact store."""
    candidates: list[Candidate]
    """The stored texts it was compared with, most similar first, with their values."""
    gates: list[Gate]
    """What was asked of the first candidate, in order; all must pass. Without candidates none, and
    the verifier only if all before it passed."""


class RecordedOutcome(TypedDict):
    """What was decided about a candidate, from ``Store.list_outcomes``."""

    sequence: int
    """Its place among the outcomes of all families, from 1."""
    recorded_at_us: int
    """When it was recorded, in microseconds since the Unix epoch."""
    family_id: str
    """Name of the family of tasks."""
    verdict: Literal["accepted", "rejected", "no_candidate"]
    """The decision."""
    candidate_object_id: int | None
    """Id of the candidate that was judged."""
    candidate_digest: str | None
    """Its digest."""
    rank: int | None
    """Its place among the candidates, from 0."""
    similarity: float | None
    """Its cosine similarity."""
    reranker_score: float | None
    """Its score by a reranker of the caller."""
    threshold: float | None
    """Least similarity that was looked at."""
    tool_version: str
    """Version of what decided."""
    schema_version: str
    """Version of the rules in force."""
    reason: str
    """Why."""


class FamilyReport(TypedDict):
    """Figures of the outcomes of a family, from ``Store.family_report``."""

    family_id: str
    """Name of the family of tasks."""
    accepted: int
    """Candidates that were used."""
    rejected: int
    """Candidates that were similar enough and failed another check."""
    no_candidate: int
    """Times that nothing was similar enough."""
    false_accept_rate: float | None
    """``rejected / (accepted + rejected)``; None without any."""
    accepted_similarity_hist: list[int]
    """Accepted candidates by similarity: 20 buckets of 0.05 from 0 to 1, the last with 1."""
    rejected_similarity_hist: list[int]
    """Rejected candidates by similarity."""
    rejected_rank_hist: list[int]
    """Rejected candidates by rank: 16 buckets, the last with 15 and above."""
    suggested_threshold: float | None
    """Lowest edge of a bucket with at least 20 judged candidates at or above it, of which at most
    5 % were rejected. None if there is none, or nothing was rejected yet."""
    first_sequence: int
    """Sequence of the first outcome."""
    last_sequence: int
    """Sequence of the last outcome."""
    last_recorded_at_us: int
    """When the last one was recorded, in microseconds since the Unix epoch."""
