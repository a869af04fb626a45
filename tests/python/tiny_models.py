"""Model folders of a few kilobytes, laid out as in repositories of the Hugging Face hub.

A model looks each token up in a table of fixed random vectors, so it knows nothing of meaning; but
pooling, prefix, limits and files are those of a real one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ASKED = ["how", "do", "i", "reset", "my", "password"]
WORDS = [*ASKED, "query", "clustering", ":", "first", "last", "apple", "pear", "plum", "fig"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
POOLING_FLAGS = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}
MODULES = ["Transformer", "Pooling", "Normalize"]


def table(dimension: int, rows: int = len(VOCABULARY)) -> np.ndarray:
    """The vectors of the tokens."""
    return np.random.default_rng(7).standard_normal((rows, dimension)).astype(np.float32)


def write_onnx(
    path: Path,
    dimension: int,
    inputs: Sequence[str] = ("input_ids", "attention_mask"),
    weights: str | None = None,
    rows: int = len(VOCABULARY),
) -> None:
    """A table of vectors behind `input_ids`; `weights` names a file beside it for the table.

    With the input `position_ids` the position, in hundredths, is added to every number.
    """
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["tokens"])]
    initializers = [numpy_helper.from_array(table(dimension, rows), "table")]
    if "position_ids" in inputs:
        initializers += [
            numpy_helper.from_array(np.array([2], np.int64), "axis"),
            numpy_helper.from_array(np.array(0.01, np.float32), "hundredth"),
        ]
        nodes += [
            helper.make_node("Cast", ["position_ids"], ["positions"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["positions", "hundredth"], ["small"]),
            helper.make_node("Unsqueeze", ["small", "axis"], ["column"]),
            helper.make_node("Add", ["tokens", "column"], ["last_hidden_state"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["tokens"], ["last_hidden_state"]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "s"]) for name in inputs],
        [
            helper.make_tensor_value_info(
                "last_hidden_state", TensorProto.FLOAT, ["n", "s", dimension]
            )
        ],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    if weights is None:
        onnx.save(model, path)
    else:
        onnx.save(model, path, save_as_external_data=True, location=weights, size_threshold=0)


def write_model(
    folder: Path,
    dimension: int = 8,
    *,
    model_file: str = "onnx/model.onnx",
    pooling: str = "mean",
    max_tokens: int = 512,
    prompts: dict[str, str] | None = None,
    default_prompt: str | None = None,
    modules: Sequence[str] = MODULES,
    inputs: Sequence[str] = ("input_ids", "attention_mask"),
    weights: str | None = None,
    rows: int = len(VOCABULARY),
) -> Path:
    """A folder with model, `vocab.txt` and the settings files of sentence-transformers."""
    write_onnx(folder / model_file, dimension, inputs, weights, rows)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY), encoding="utf-8")
    settings = {
        "1_Pooling/config.json": {
            "word_embedding_dimension": dimension,
            **{flag: name == pooling for name, flag in POOLING_FLAGS.items()},
        },
        "sentence_bert_config.json": {"max_seq_length": max_tokens, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "prompts": prompts or {},
            "default_prompt_name": default_prompt,
        },
        "tokenizer_config.json": {"do_lower_case": True},
        "modules.json": [
            {
                "idx": i,
                "name": str(i),
                "path": f"{i}_{name}" if i else "",
                "type": f"sentence_transformers.models.{name}",
            }
            for i, name in enumerate(modules)
        ],
    }
    for name, content in settings.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    return folder


def expected(texts: Sequence[str], dimension: int, pooling: str, prefix: str = "") -> np.ndarray:
    """The vectors of texts of `WORDS`, computed by hand."""
    vectors = table(dimension)
    rows = []
    for text in texts:
        words = (prefix + text).replace(":", " : ").split()
        ids = [VOCABULARY.index(token) for token in ["[CLS]", *words, "[SEP]"]]
        row = vectors[ids[0]] if pooling == "cls" else vectors[ids].mean(axis=0)
        rows.append(row / np.linalg.norm(row))
    return np.array(rows)
