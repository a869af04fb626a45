"""Embeds texts with the Python packages onnxruntime and tokenizers, independently of our own code.

Known answers are computed with it, and the vectors of the store are compared with it.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

# Before ONNX Runtime is loaded, which reports usage to its vendor otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime
from tokenizers import Tokenizer


@functools.lru_cache(maxsize=8)
def _open(model_dir: Path, threads: int) -> tuple[onnxruntime.InferenceSession, Tokenizer, dict]:
    spec = json.loads((model_dir / "prestige.json").read_text(encoding="utf-8"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Folds DequantizeLinear on constants when the session opens.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(
        str(model_dir / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    tokenizer.enable_truncation(spec["max_tokens"])
    tokenizer.no_padding()
    return session, tokenizer, spec


def embed(
    model_dir: str | Path,
    texts: Sequence[str],
    batch_size: int = 32,
    threads: int = 1,
) -> np.ndarray:
    """Returns float32 [len(texts), dimension], unit rows in the order of `texts`.

    `model_dir` holds model.onnx, tokenizer.json and prestige.json. Texts are run in batches of
    similar length, each padded to its longest text; mean pooling leaves padding out.
    """
    session, tokenizer, spec = _open(Path(model_dir).resolve(), threads)
    encodings = tokenizer.encode_batch(list(texts))
    vectors = np.empty((len(texts), spec["dimension"]), np.float32)
    order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        longest = len(encodings[rows[-1]].ids)
        ids = np.zeros((len(rows), longest), np.int64)
        mask = np.zeros((len(rows), longest), np.int64)
        for row, i in enumerate(rows):
            length = len(encodings[i].ids)
            ids[row, :length] = encodings[i].ids
            mask[row, :length] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (hidden,) = session.run(["last_hidden_state"], inputs)
        weights = mask[:, :, None].astype(np.float32)
        pooled = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
        vectors[rows] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    return vectors
