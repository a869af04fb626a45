"""Candidates, explanations, and what was decided about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Literal

    from numpy.typing import NDArray

    from ..candidates import Candidate, Explanation, FamilyReport, RecordedOutcome
    from .arguments import Value


class Decisions(Protocol):
    """Candidates, explanations, and what was decided about them."""

    def digest(self, value: Value) -> str:
        """Return the digest by which a value would be found: SHA-256, after normalisation."""

    async def adigest(self, value: Value) -> str:
        """Return the digest by which a value would be found: SHA-256, after normalisation."""

    def candidates(
        self,
        query: Value | None = None,
        k: int = ...,
        filter: Mapping[str, str | list[str] | tuple[str, ...]] | None = None,
        min_similarity: float | None = None,
        include_values: bool = False,
        *,
        embedding: Sequence[float] | NDArray[Any] | None = None,
    ) -> list[Candidate]:
        """Return the stored values nearest to a query, for a caller that decides what is a hit."""

    async def acandidates(
        self,
        query: Value | None = None,
        k: int = ...,
        filter: Mapping[str, str | list[str] | tuple[str, ...]] | None = None,
        min_similarity: float | None = None,
        include_values: bool = False,
        *,
        embedding: Sequence[float] | NDArray[Any] | None = None,
    ) -> list[Candidate]:
        """Return the stored values nearest to a query, for a caller that decides what is a hit."""

    def candidates_many(
        self,
        queries: Iterable[Value] | None = None,
        k: int = ...,
        filter: Mapping[str, str | list[str] | tuple[str, ...]] | None = None,
        min_similarity: float | None = None,
        include_values: bool = False,
        *,
        embeddings: Sequence[Sequence[float]] | NDArray[Any] | None = None,
    ) -> list[list[Candidate]]:
        """Return the candidates of many queries, as ``candidates`` does of one."""

    async def acandidates_many(
        self,
        queries: Iterable[Value] | None = None,
        k: int = ...,
        filter: Mapping[str, str | list[str] | tuple[str, ...]] | None = None,
        min_similarity: float | None = None,
        include_values: bool = False,
        *,
        embeddings: Sequence[Sequence[float]] | NDArray[Any] | None = None,
    ) -> list[list[Candidate]]:
        """Return the candidates of many queries, as ``candidates`` does of one."""

    def explain(self, value: Value) -> Explanation:
        """Say what a put of a value would do now, and why. Changes nothing."""

    async def aexplain(self, value: Value) -> Explanation:
        """Say what a put of a value would do now, and why. Changes nothing."""

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
        """Record what was decided about a candidate, for a family of tasks."""

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
        """Record what was decided about a candidate, for a family of tasks."""

    def list_outcomes(
        self, family: str, limit: int | None = None, after_sequence: int = ...
    ) -> list[RecordedOutcome]:
        """Return the outcomes of a family, in the order in which they were recorded."""

    async def alist_outcomes(
        self, family: str, limit: int | None = None, after_sequence: int = ...
    ) -> list[RecordedOutcome]:
        """Return the outcomes of a family, in the order in which they were recorded."""

    def list_families(self) -> list[str]:
        """Return the families that have outcomes, sorted."""

    async def alist_families(self) -> list[str]:
        """Return the families that have outcomes, sorted."""

    def family_report(self, family: str) -> FamilyReport:
        """Return figures of the outcomes of a family. Reads all of them."""

    async def afamily_report(self, family: str) -> FamilyReport:
        """Return figures of the outcomes of a family. Reads all of them."""
