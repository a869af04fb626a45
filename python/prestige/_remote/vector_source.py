"""What computes the vectors that a cache on a server does not have: here, not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import _native
from .._native import SemanticModel
from ..exceptions import InvalidArgumentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEEDS_MODEL_ID = (
    "an embedding function needs a model_id that names its model, for example "
    '"text-embedding-3-small": vectors of different models must not meet'
)


class VectorSource:
    """A model, or a function: ``list[str] -> array (n, d)``."""

    def __init__(
        self, model: SemanticModel | None, embed: Callable[[list[str]], Any] | None
    ) -> None:
        if model is not None and not isinstance(model, SemanticModel):
            message = f"model must be a SemanticModel, not {type(model).__name__}"
            raise TypeError(message)
        if model is not None and embed is not None:
            message = "model and embed are two ways to compute vectors: give one of them"
            raise InvalidArgumentError(message)
        if embed is not None and not callable(embed):
            message = f"embed must be a function of a list of str, not {embed!r}"
            raise TypeError(message)
        self.model = model if embed is not None or model is not None else SemanticModel()
        self._embed = embed

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the model, which is loaded for it."""
        assert self.model is not None
        return self.model.fingerprint

    def vectors(self, texts: list[str]) -> NDArray[np.float32]:
        """The vectors of texts, float32 of shape (n, d)."""
        if self.model is not None:
            return self.model.embed(texts)
        assert self._embed is not None
        return _native.vectors_of(self._embed, texts)

    def reads(self, text: str) -> bool:
        """Whether all of a text is read: otherwise its vector says nothing of what comes after."""
        if not text.strip():
            return False
        return self.model is None or _native.model_fits(self.model, text)
