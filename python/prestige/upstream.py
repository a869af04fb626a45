"""A server that computes the embeddings that a served store does not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Upstream:
    """A server with OpenAI's interface to embeddings, for ``Store.serve(upstream=...)``."""

    url: str
    """What stands before ``/embeddings``, for example ``"https://api.openai.com/v1"``."""
    key: str | None = field(default=None, repr=False)
    """The key that it is asked with; None: without one. Never logged or stored."""
    pass_authorization: bool = False
    """Whether clients bring their own key.

    In ``Prestige-Upstream-Authorization``, or in ``Authorization`` where the server has no tokens.
    A client that brings none is served with ``key``.
    """
    models: Sequence[str] = ()
    """The models that it is asked for; empty: any."""
    timeout_seconds: float = 50.0
    """For the answer to a batch, with its repetitions; over 0."""
    retries: int = 2
    """How often a batch is tried again after a failure that may pass."""
    batch_size: int = 256
    """Most texts of a batch, at least 1."""
