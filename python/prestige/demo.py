"""`prestige demo`: an embedding cache, a semantic store and the health endpoint at work on texts.

Written on the public interface alone, so that every part of it can be copied into a program.
"""

from __future__ import annotations

import sys
import tempfile
import time
from importlib import resources
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

import prestige
from prestige import _demo_report as report
from prestige._terminal import Progress

DEFAULT_LIMIT = 2_000
"""Texts taken from a file unless told otherwise: short ones embed in some ten seconds."""

BATCH = 32
"""Texts looked up, and embedded where missing, at a time."""

MAX_LINE_BYTES = 1 << 20
"""Bytes of the longest line accepted: beyond, the file hardly holds one text a line."""

EXIT_FAILED = 1
EXIT_UNUSABLE_FILE = 2


class FileProblem(Exception):
    """The file of texts cannot be used; the message says why."""


class CheckFailed(Exception):
    """The store did not do what the demo is there to show; the message says what was expected."""


class Pass(NamedTuple):
    """One walk over the texts through an embedding cache."""

    vectors: list[bytes]
    """Little-endian f32 of each text's unit vector, in the order of the texts."""
    computed: int
    """Texts that the model ran for. The others came from the cache or repeat one of their batch."""
    seconds: float


def run(
    file: str | None = None, *, threshold: float | None = None, limit: int = DEFAULT_LIMIT
) -> int:
    """Show the store at work on the texts of `file` (one a line; `None`: the bundled questions).

    `threshold` is the cosine similarity from which two texts share one value, in (0, 1]; `None`
    is the store's default. At most `limit` texts are used. Results go to standard output, progress
    and errors to standard error. Everything is written to a temporary directory, which is removed
    on success, on errors and on Ctrl-C.

    Returns the exit code: 0 done, 1 failed, 2 `file` cannot be used. Raises `OSError` if the
    temporary directory cannot be made, the output not be written or the server not be reached.
    """
    try:
        texts, more = _load(file, limit)
        with tempfile.TemporaryDirectory(prefix="prestige-demo-") as directory:
            _show(texts, more, Path(directory), threshold)
    except FileProblem as problem:
        print(f"prestige demo: {problem}", file=sys.stderr)
        return EXIT_UNUSABLE_FILE
    except (CheckFailed, prestige.PrestigeError) as error:
        print(f"prestige demo: {error}", file=sys.stderr)
        return EXIT_FAILED
    return 0


def _show(texts: list[str], more: bool, directory: Path, threshold: float | None) -> None:
    started = time.perf_counter()
    model = prestige.SemanticModel()
    # The first call loads the model, which is not to count as the cache's time.
    dimensions = model.embed(texts[:1]).shape[1]
    report.introduction(texts, more, dimensions, time.perf_counter() - started)

    vectors = _embedding_cache(texts, model, directory / "embeddings")
    _semantic_store(texts, vectors, model, directory / "questions", threshold)
    report.next_steps()


def _load(file: str | None, limit: int) -> tuple[list[str], bool]:
    """The texts of `file`, and whether it holds more than `limit`."""
    if file is None:
        bundled = resources.files("prestige") / "data" / "questions.txt"
        with bundled.open("rb") as stream:
            return read_texts(stream, "questions.txt", limit)
    try:
        with open(file, "rb") as stream:
            return read_texts(stream, file, limit)
    except IsADirectoryError as error:
        raise FileProblem(f"{file}: is a directory; expected one text a line") from error
    except OSError as error:
        raise FileProblem(f"{file}: {error.strerror or error}") from error
    except ValueError as error:  # A path with a NUL character.
        raise FileProblem(f"{file!r}: {error}") from error


def read_texts(stream: IO[bytes], name: str, limit: int) -> tuple[list[str], bool]:
    """Up to `limit` texts of `stream`, one a line, and whether there are more.

    White space around a text is removed, blank lines are skipped. Raises `FileProblem`, naming the
    line, for one that is not UTF-8 or too long, and for a file without any text.
    """
    texts: list[str] = []
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise FileProblem(
                f"{name}: line {number} is longer than {MAX_LINE_BYTES:,} bytes; "
                "expected one text a line"
            )
        try:
            # A byte order mark is a mark at the start of a file only.
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            found = error.object[error.start]
            raise FileProblem(
                f"{name}: line {number} is not UTF-8 (byte 0x{found:02x}); save the file as UTF-8"
            ) from error
        if text and len(texts) == limit:
            return texts, True
        if text:
            texts.append(text)
    if not texts:
        raise FileProblem(f"{name}: holds no text; expected one text a line")
    return texts, False


def embed_through(
    store: prestige.Store, model: prestige.SemanticModel, texts: list[str], label: str
) -> Pass:
    """Vectors of `texts`, from `store` if it holds them, else from `model` and put into `store`.

    The key names the model as well as the text: vectors of two models never mix.
    """
    vectors: list[bytes] = []
    computed = 0
    prefix = f"emb:{model.fingerprint}:"
    started = time.perf_counter()
    with Progress(label, len(texts)) as progress:
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            keys = [prefix + text for text in batch]
            held = [store.get(key, default=None) for key in keys]
            # By key, so that a text which the batch repeats is embedded once.
            missing = {
                key: text for key, text, raw in zip(keys, batch, held, strict=True) if raw is None
            }
            fresh: dict[str, bytes] = {}
            if missing:
                rows = model.embed(list(missing.values())).astype("<f4", copy=False)
                fresh = {key: row.tobytes() for key, row in zip(missing, rows, strict=True)}
            for key, raw in fresh.items():
                store.put(key, raw)
            computed += len(fresh)
            vectors += [
                fresh[key] if raw is None else raw for key, raw in zip(keys, held, strict=True)
            ]
            progress.update(len(vectors))
    return Pass(vectors, computed, time.perf_counter() - started)


def _embedding_cache(
    texts: list[str], model: prestige.SemanticModel, path: Path
) -> dict[str, NDArray[np.float32]]:
    """Cold and warm pass over an exact store; returns the vector of each distinct text."""
    with prestige.open(str(path)) as store:
        cold = embed_through(store, model, texts, "embedding, cold")
    # Opened anew: the warm pass reads what reached the disk, as the next run of a program would.
    with prestige.open(str(path)) as store:
        warm = embed_through(store, model, texts, "embedding, warm")
    if warm.vectors != cold.vectors:
        raise CheckFailed("a cached vector differs from the computed one; expected the same bits")
    report.embedding_cache(cold, warm)
    return {text: np.frombuffer(raw, "<f4") for text, raw in zip(texts, cold.vectors, strict=True)}


def _semantic_store(
    texts: list[str],
    vectors: dict[str, NDArray[np.float32]],
    model: prestige.SemanticModel,
    path: Path,
    threshold: float | None,
) -> None:
    """Every text under a key of its own in a semantic store, then the store's health over HTTP."""
    options = prestige.Options()
    options.dedup_mode = prestige.DedupMode.SEMANTIC
    options.semantic_model = model
    if threshold is not None:
        options.semantic_threshold = threshold

    digits = max(4, len(str(len(texts))))
    keys = [f"q:{number:0{digits}}" for number in range(1, len(texts) + 1)]
    with prestige.open(str(path), options) as store:
        started = time.perf_counter()
        with Progress("semantic store", len(texts)) as progress:
            for done, (key, text) in enumerate(zip(keys, texts, strict=True), start=1):
                store.put(key, text)
                progress.update(done)
        seconds = time.perf_counter() - started

        violations = store.verify()
        if violations:
            raise CheckFailed(f"verify() found {len(violations)} violations: {violations[0]}")
        kept = [store.get(key, decode=True) for key in keys]
        report.semantic_store(store, texts, kept, seconds, options.semantic_threshold)
        report.merges(texts, kept, vectors, options.semantic_threshold)
        with store.serve(host="127.0.0.1", port=0) as server:
            report.health_endpoint(server.url)
