"""Models of Prestige without a store."""

from __future__ import annotations

from pathlib import Path

import prestige

DISTRIBUTION = "prestige-cache"


class Models:
    """The bundled model, and where that of full precision may be."""

    def __init__(self, folder: Path) -> None:
        del folder
        self.model = prestige.SemanticModel()

    def full_precision(self, folder: Path) -> prestige.SemanticModel:
        """The model with the published weights."""
        return prestige.SemanticModel(model_path=folder)

    def close(self) -> None:
        """Nothing is open."""


open_store = Models
