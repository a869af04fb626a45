"""Draws the BERT encoder as an ONNX graph from named weight tensors.

The graph is written operator by operator instead of being traced from a framework, so its bytes
depend on nothing but the weights and this file. It keeps to standard operators, in the patterns
that ONNX Runtime replaces when a session opens: scaled scores by FusedMatMul, bias and GELU by
BiasGelu.

Input   input_ids, attention_mask, token_type_ids: int64 [batch, sequence], sequence <= 512
Output  last_hidden_state: float32 [batch, sequence, hidden]; pooling is left to the caller
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from weights import quantize

# ONNX Runtime reads both from 1.18 on; opset 21 is the first with block_size in DequantizeLinear.
OPSET = 21
IR_VERSION = 10
PRODUCER = "prestige-models"

# Inputs of a matrix that share a scale. One scale for a whole output channel would be set by its
# largest weight: the worst cosine to float32 falls from 0.999 to 0.995. Smaller blocks gain little
# more and cost size.
BLOCK = 64

# Added to the scores of padding. exp(-10000) is exactly 0 in float32: padding reaches no result.
MASKED = -10000.0


class Form(Enum):
    """How matrices are stored, and in which numbers they are multiplied."""

    FP32 = "fp32"
    INT8W = "int8w"  # int8 weights, float32 arithmetic
    INT8_DYNAMIC = "int8-dynamic"  # int8 weights, and activations rounded at every MatMul


@dataclass(frozen=True)
class Bert:
    """The numbers of a BERT encoder that the shapes of its tensors do not tell."""

    layers: int
    heads: int
    layer_norm_eps: float


class _Graph:
    """Collects nodes and initializers; every name follows from the place in the network."""

    def __init__(self, weights: dict[str, np.ndarray], bert: Bert, form: Form) -> None:
        self.weights = weights
        self.bert = bert
        self.form = form
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        # int8 form of an activation (values, scale, zero point), made once for all its readers.
        self.rounded: dict[str, tuple[str, str, str]] = {}

    def node(self, op: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, array: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def parameter(self, name: str) -> str:
        return self.constant(name, self.weights[name])

    def table_rows(self, name: str, ids: str, output: str) -> str:
        """The rows `ids` of an embedding table, which has one scale a row.

        Only the rows taken become float32. A DequantizeLinear on the whole table would be folded
        into a float32 table when the session opens: the same numbers, 47 MB instead of 12 MB.
        """
        if self.form is Form.FP32:
            return self.node("Gather", [self.parameter(name), ids], output)
        values, scales = quantize(self.weights[name], axes=(0,))
        values = self.constant(f"{name}_int8", values)
        values = self.node("Gather", [values, ids], f"{output}/values")
        values = self.node("Cast", [values], f"{output}/Cast", to=TensorProto.FLOAT)
        scales = self.constant(f"{name}_scale", scales)
        scales = self.node("Gather", [scales, ids], f"{output}/scales")
        return self.node("Mul", [values, scales], output)

    def linear(self, name: str, x: str) -> str:
        # Stored [out, in]; MatMul wants [in, out].
        weight = self.weights[f"{name}.weight"].T
        if self.form is Form.INT8_DYNAMIC:
            product = self.rounded_product(name, x, weight)
        else:
            product = self.node("MatMul", [x, self.matrix(name, weight)], f"{name}/MatMul")
        return self.node("Add", [product, self.parameter(f"{name}.bias")], f"{name}/Add")

    def matrix(self, name: str, weight: np.ndarray) -> str:
        """A weight [in, out]; as int8 it has one scale for BLOCK inputs of each output."""
        if self.form is Form.FP32:
            return self.constant(f"{name}.weight", weight)
        values, scales = quantize(weight.reshape(-1, BLOCK, weight.shape[1]), axes=(0, 2))
        inputs = [
            self.constant(f"{name}.weight_int8", values.reshape(weight.shape)),
            self.constant(f"{name}.weight_scale", scales[:, 0, :]),
        ]
        output = f"{name}.weight"
        return self.node("DequantizeLinear", inputs, output, axis=0, block_size=BLOCK)

    def rounded_product(self, name: str, x: str, weight: np.ndarray) -> str:
        """Multiplies in integers. One scale serves all of x, so a result depends on its batch."""
        if x not in self.rounded:
            outputs = (f"{x}/uint8", f"{x}/scale", f"{x}/zero_point")
            node = f"{x}/DynamicQuantizeLinear"
            self.nodes.append(helper.make_node("DynamicQuantizeLinear", [x], outputs, name=node))
            self.rounded[x] = outputs
        values, scale, zero_point = self.rounded[x]
        # 7 bits: x86 without VNNI adds two products of uint8 and int8 in 16 bits, which 8 overflow.
        int8, scales = quantize(weight, axes=(1,), largest=63)
        int8 = self.constant(f"{name}.weight_int8", int8)
        scales = self.constant(f"{name}.weight_scale", scales.reshape(-1))
        sums = self.node("MatMulInteger", [values, int8, zero_point], f"{name}/MatMulInteger")
        sums = self.node("Cast", [sums], f"{name}/Cast", to=TensorProto.FLOAT)
        scales = self.node("Mul", [scale, scales], f"{name}/scales")
        return self.node("Mul", [sums, scales], f"{name}/Mul")

    def layer_norm(self, name: str, x: str, output: str | None = None) -> str:
        inputs = [x, self.parameter(f"{name}.weight"), self.parameter(f"{name}.bias")]
        output = output or f"{name}/LayerNormalization"
        epsilon = self.bert.layer_norm_eps
        return self.node("LayerNormalization", inputs, output, axis=-1, epsilon=epsilon)


def _constants(g: _Graph, hidden: int) -> None:
    heads = g.bert.heads
    head = hidden // heads
    # In a Reshape 0 copies the dimension of the input: batch and sequence stay as they are.
    integers = {
        "zero": [0],
        "one_and_two": [1, 2],
        "split_heads": [0, 0, heads, head],
        "join_heads": [0, 0, hidden],
    }
    for name, values in integers.items():
        g.constant(name, np.array(values, np.int64))
    scalars = {
        "one": 1.0,
        "half": 0.5,
        "sqrt_two": 2.0**0.5,
        "sqrt_head_size": head**0.5,
        "masked": MASKED,
    }
    for name, value in scalars.items():
        g.constant(name, np.array(value, np.float32))


def _embeddings(g: _Graph) -> str:
    x = g.table_rows("embeddings.word_embeddings.weight", "input_ids", "words")
    kinds = g.parameter("embeddings.token_type_embeddings.weight")
    kinds = g.node("Gather", [kinds, "token_type_ids"], "token_types")
    x = g.node("Add", [x, kinds], "embeddings/Add")
    # The rows of the first `sequence` positions. The table is small: float32 in every form.
    length = g.node("Shape", ["input_ids"], "length", start=1, end=2)
    positions = g.parameter("embeddings.position_embeddings.weight")
    positions = g.node("Slice", [positions, "zero", length, "zero"], "positions")
    x = g.node("Add", [x, positions], "embeddings/Add_1")
    return g.layer_norm("embeddings.LayerNorm", x)


def _additive_mask(g: _Graph) -> str:
    """[batch, sequence] of 1 and 0 → [batch, 1, 1, sequence] of 0 and MASKED."""
    mask = g.node("Unsqueeze", ["attention_mask", "one_and_two"], "mask/Unsqueeze")
    mask = g.node("Cast", [mask], "mask/Cast", to=TensorProto.FLOAT)
    mask = g.node("Sub", ["one", mask], "mask/Sub")
    return g.node("Mul", [mask, "masked"], "mask")


def _attention(g: _Graph, prefix: str, x: str, mask: str) -> str:
    """Multi-head self-attention up to, not including, its output projection."""
    heads = {}
    for role in ("query", "key", "value"):
        projected = g.linear(f"{prefix}.{role}", x)
        split = g.node("Reshape", [projected, "split_heads"], f"{prefix}.{role}/Reshape")
        # Keys: [batch, head, channel, sequence]; the others: [batch, head, sequence, channel].
        order = [0, 2, 3, 1] if role == "key" else [0, 2, 1, 3]
        heads[role] = g.node("Transpose", [split], f"{prefix}.{role}/Transpose", perm=order)
    scores = g.node("MatMul", [heads["query"], heads["key"]], f"{prefix}/scores")
    scores = g.node("Div", [scores, "sqrt_head_size"], f"{prefix}/scaled")
    scores = g.node("Add", [scores, mask], f"{prefix}/masked")
    shares = g.node("Softmax", [scores], f"{prefix}/Softmax", axis=-1)
    context = g.node("MatMul", [shares, heads["value"]], f"{prefix}/context")
    context = g.node("Transpose", [context], f"{prefix}/Transpose", perm=[0, 2, 1, 3])
    return g.node("Reshape", [context, "join_heads"], f"{prefix}/Reshape")


def _gelu(g: _Graph, prefix: str, x: str) -> str:
    """The exact form, x · (1 + erf(x / √2)) / 2."""
    y = g.node("Div", [x, "sqrt_two"], f"{prefix}/gelu/Div")
    y = g.node("Erf", [y], f"{prefix}/gelu/Erf")
    y = g.node("Add", [y, "one"], f"{prefix}/gelu/Add")
    y = g.node("Mul", [x, y], f"{prefix}/gelu/Mul")
    return g.node("Mul", [y, "half"], f"{prefix}/gelu")


def _layer(g: _Graph, prefix: str, x: str, mask: str, output: str | None) -> str:
    y = _attention(g, f"{prefix}.attention.self", x, mask)
    y = g.linear(f"{prefix}.attention.output.dense", y)
    y = g.node("Add", [y, x], f"{prefix}.attention.output/Add")
    x = g.layer_norm(f"{prefix}.attention.output.LayerNorm", y)
    y = _gelu(g, prefix, g.linear(f"{prefix}.intermediate.dense", x))
    y = g.linear(f"{prefix}.output.dense", y)
    y = g.node("Add", [y, x], f"{prefix}.output/Add")
    return g.layer_norm(f"{prefix}.output.LayerNorm", y, output)


def build(
    weights: dict[str, np.ndarray], bert: Bert, form: Form, layer_done: Callable[[int], None]
) -> onnx.ModelProto:
    """Builds and checks the model.

    `weights` are float32 tensors under the names of the PyTorch checkpoint (KeyError for a missing
    one), `form` says how matrices are stored and multiplied: biases, norms and attention are
    float32 in all forms. `layer_done` is called with the number of layers built so far.
    """
    hidden = weights["embeddings.word_embeddings.weight"].shape[1]
    g = _Graph(weights, bert, form)
    _constants(g, hidden)
    x = _embeddings(g)
    mask = _additive_mask(g)
    for i in range(bert.layers):
        output = "last_hidden_state" if i == bert.layers - 1 else None
        x = _layer(g, f"encoder.layer.{i}", x, mask, output)
        layer_done(i + 1)

    def tensor(name: str, kind: int, shape: list[str | int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    ids = ("input_ids", "attention_mask", "token_type_ids")
    graph = helper.make_graph(
        g.nodes,
        "bert",
        [tensor(name, TensorProto.INT64, ["batch", "sequence"]) for name in ids],
        [tensor("last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", hidden])],
        g.initializers,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name=PRODUCER,
    )
    onnx.checker.check_model(model)
    return model
