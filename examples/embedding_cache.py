"""An embedding cache: a text is embedded once, whoever asks for it and however often.

    python embedding_cache.py

Run it twice: the second run computes nothing, since the vectors are in ./embedding_cache_db.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

import prestige

Vectors = NDArray[np.float32]
WEEK_SECONDS = 7 * 24 * 3600


class EmbeddingCache:
    """Vectors by model and text, in an exact store, as raw little-endian float32."""

    def __init__(self, path: str, model_id: str, embed: Callable[[list[str]], Vectors]) -> None:
        """Open the cache in the directory `path`.

        `model_id` must change whenever the vectors would: with the model, its version, its
        dimension. `embed` turns n texts into an array of shape (n, d).
        """
        self._store = prestige.open(path, default_ttl_seconds=WEEK_SECONDS)
        self._model_id = model_id
        self._embed = embed
        self.computed = 0
        """Texts that were not in the cache."""

    def __enter__(self) -> EmbeddingCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._store.close()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of `texts` (at least one), one a row, in their order."""
        keys = [self._key(text) for text in texts]
        cached = {key: self._store.get(key, default=None) for key in keys}
        # By key, so that a text that occurs twice is embedded once.
        missing = {key: text for key, text in zip(keys, texts, strict=True) if cached[key] is None}
        if missing:
            rows = self._embed(list(missing.values())).astype("<f4", copy=False)
            self.computed += len(missing)
            for key, row in zip(missing, rows, strict=True):
                self._store.put(key, row)
                cached[key] = row.tobytes()
        return np.stack([np.frombuffer(cached[key] or b"", "<f4") for key in keys])

    def _key(self, text: str) -> str:
        # Of the text its hash: keys have at most 65,536 bytes, texts any number.
        return f"emb:{self._model_id}:{hashlib.sha256(text.encode()).hexdigest()}"


def main() -> None:
    """Embed some questions, of which two are the same."""
    questions = ["How do I reset my password?", "Where is my order?", "How do I reset my password?"]
    model = prestige.SemanticModel()
    with EmbeddingCache("./embedding_cache_db", model.fingerprint, model.embed) as cache:
        vectors = cache.embed(questions)
        print(f"{len(vectors)} vectors of {vectors.shape[1]}, {cache.computed} computed")
        cache.embed(questions)
        print(f"asked again, {cache.computed} computed in all")


if __name__ == "__main__":
    main()
