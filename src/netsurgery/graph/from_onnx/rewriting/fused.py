"""Operators that ONNX Runtime's optimiser writes in the place of several (com.microsoft), as these again."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx

from netsurgery.graph.from_onnx.constants import attributes
from netsurgery.graph.from_onnx.rewriting.names import names_in
from netsurgery.graph.ir import unlike

DOMAIN = "com.microsoft"

UNDER_ONNX_NAME = frozenset(("SimplifiedLayerNormalization",))
"""Operators that ONNX Runtime has in ONNX's own domain, and ONNX doesn't."""

Rewrite: TypeAlias = Callable[["_Rewriting", onnx.NodeProto, dict[str, Any]], None]


def without_fusion(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, of opset 11 or later, with what they stand for in their place; what isn't known stays.

    The reader takes the operators that are written here in any opset; another program needn't.
    """
    if not any(node.op_type in _REWRITES and _is_fused(node) for node in model.graph.node):
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    _Rewriting(made.graph).rewrite()
    return made


def runtimes_own(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Nodes of a model that are ONNX Runtime's own and under ONNX's name.

    It has LayerNormalization, which ONNX has since opset 17, in all opsets.
    """
    early = any(entry.version < 17 for entry in model.opset_import if not entry.domain)
    names = UNDER_ONNX_NAME | ({"LayerNormalization"} if early else set())
    return [node for node in model.graph.node if not node.domain and node.op_type in names]


def _is_fused(node: onnx.NodeProto) -> bool:
    return bool(node.domain == DOMAIN) or (not node.domain and node.op_type in UNDER_ONNX_NAME)


class _Rewriting:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self._nodes: list[onnx.NodeProto] = []
        self._taken = names_in(graph)
        self._node = onnx.NodeProto()

    def rewrite(self) -> None:
        for node in self.graph.node:
            rewrite = _REWRITES.get(node.op_type) if _is_fused(node) else None
            before = len(self._nodes)
            self._node = node
            try:
                if rewrite is not None:
                    rewrite(self, node, attributes(node))
            except _UnknownError:
                del self._nodes[before:]
                rewrite = None
            if rewrite is None:
                self._nodes.append(node)
        del self.graph.node[:]
        self.graph.node.extend(self._nodes)

    def add(self, operator: str, inputs: Sequence[str], output: str = "", **more: Any) -> str:
        """A new node; returns its output."""
        made = output or unlike(f"{self._node.output[0]}.{operator.lower()}", self._taken)
        self._nodes.append(onnx.helper.make_node(operator, list(inputs), [made], name=self._node.name, **more))
        return made

    def constant(self, value: Any, kind: type[np.generic] = np.float32) -> str:
        """The name of a new constant."""
        name = unlike(f"{self._node.output[0]}.constant", self._taken)
        self.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def summed(self, names: Sequence[str], output: str) -> str:
        """The sum of those that aren't left out."""
        first, *others = (name for name in names if name)
        for place, name in enumerate(others, 1):
            first = self.add("Add", [first, name], output if place == len(others) else "")
        return first


class _UnknownError(Exception):
    """The present node is used in a way that isn't known."""


def _given(names: Sequence[str], place: int) -> str:
    return names[place] if place < len(names) else ""


def _gelu(rewriting: _Rewriting, node: onnx.NodeProto, _: dict[str, Any]) -> None:
    """Gelu, and BiasGelu, which adds its second operand first: x * (1 + erf(x / sqrt(2))) / 2."""
    x = node.input[0] if len(node.input) == 1 else rewriting.add("Add", node.input)
    shares = rewriting.add("Erf", [rewriting.add("Mul", [x, rewriting.constant(math.sqrt(0.5))])])
    ones = rewriting.add("Add", [shares, rewriting.constant(1)])
    rewriting.add("Mul", [rewriting.add("Mul", [x, rewriting.constant(0.5)]), ones], node.output[0])


def _fast_gelu(rewriting: _Rewriting, node: onnx.NodeProto, _: dict[str, Any]) -> None:
    """FastGelu: x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2, after a bias."""
    x = rewriting.add("Add", node.input[:2]) if _given(node.input, 1) else node.input[0]
    cube = rewriting.add("Mul", [rewriting.add("Mul", [x, x]), x])
    inner = rewriting.add("Add", [x, rewriting.add("Mul", [cube, rewriting.constant(0.044715)])])
    shares = rewriting.add("Tanh", [rewriting.add("Mul", [inner, rewriting.constant(math.sqrt(2 / math.pi))])])
    ones = rewriting.add("Add", [shares, rewriting.constant(1)])
    rewriting.add("Mul", [rewriting.add("Mul", [x, rewriting.constant(0.5)]), ones], node.output[0])


def _quick_gelu(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    """QuickGelu: x * sigmoid(alpha * x)."""
    x = node.input[0]
    scaled = rewriting.add("Mul", [x, rewriting.constant(given.get("alpha", 1.702))])
    rewriting.add("Mul", [x, rewriting.add("Sigmoid", [scaled])], node.output[0])


def _matmul(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    """FusedMatMul: alpha * A' B', where ' exchanges the last two axes, of operands that have two to four.

    Before that, `transBatch` puts the first axis behind those of the batch, which follow it.
    """
    operands = list(node.input)
    for place, name in enumerate("AB"):
        rows_first, turned = given.get(f"transBatch{name}", 0), given.get(f"trans{name}", 0)
        if rows_first or turned:
            before, after = "i...j" if rows_first else "...ij", "...ji" if turned else "...ij"
            operands[place] = rewriting.add("Einsum", [operands[place]], equation=f"{before}->{after}")
    alpha = given.get("alpha", 1.0)
    if alpha == 1:
        rewriting.add("MatMul", operands, node.output[0])
    else:
        rewriting.add("Mul", [rewriting.add("MatMul", operands), rewriting.constant(alpha)], node.output[0])


def _conv(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    """FusedConv (x, w, bias, z): a convolution, z added, and an activation."""
    activation, numbers = given.pop("activation", ""), list(given.pop("activation_params", ()))
    named = {"LeakyRelu": ["alpha"], "HardSigmoid": ["alpha", "beta"], "Relu": [], "Sigmoid": [], "Tanh": [], "": []}
    if activation not in (*named, "Clip") or len(numbers) != len(named.get(activation, [0, 1])):
        raise _UnknownError
    addend = _given(node.input, 3)
    plain = not addend and not activation
    y = rewriting.add("Conv", [name for name in node.input[:3] if name], node.output[0] if plain else "", **given)
    if addend:
        y = rewriting.add("Add", [y, addend], "" if activation else node.output[0])
    if activation == "Clip":
        rewriting.add("Clip", [y, *map(rewriting.constant, numbers)], node.output[0])
    elif activation:
        rewriting.add(activation, [y], node.output[0], **dict(zip(named[activation], numbers, strict=True)))


def _gemm(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    """FusedGemm: Gemm and an activation, whose attributes are called with activation_ before them."""
    activation = given.pop("activation", "")
    if activation not in ("Elu", "HardSigmoid", "LeakyRelu", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Tanh"):
        raise _UnknownError
    of_activation = {name: given.pop(name) for name in list(given) if name.startswith("activation_")}
    product = rewriting.add("Gemm", list(node.input), **given)
    own = {name.removeprefix("activation_"): value for name, value in of_activation.items()}
    rewriting.add(activation, [product], node.output[0], **own)


def _layer_norm(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    """SkipLayerNormalization (x, skip, scale, shift, bias): of x + skip + bias, which is its fourth output."""
    x, skip, scale, shift, bias = (_given(node.input, place) for place in range(5))
    _normalised(rewriting, node, rewriting.summed([x, skip, bias], _given(node.output, 3)), [scale, shift], given)


def _rms_norm(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    """SkipSimplifiedLayerNormalization (x, skip, scale, bias): of x + skip + bias, which is its fourth output."""
    x, skip, scale, bias = (_given(node.input, place) for place in range(4))
    total = rewriting.summed([x, skip, bias], _given(node.output, 3))
    _normalised(rewriting, node, total, [scale], given)


def _simplified(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    """SimplifiedLayerNormalization (x, scale): ONNX's RMSNormalization of later opsets."""
    if any(node.output[1:]):
        raise _UnknownError
    axis, epsilon = given.get("axis", -1), given.get("epsilon", 1e-5)
    rewriting.add("RMSNormalization", node.input, node.output[0], axis=axis, epsilon=epsilon)


def _normalised(
    rewriting: _Rewriting, node: onnx.NodeProto, x: str, operands: Sequence[str], given: dict[str, Any]
) -> None:
    """By mean and variance where there are two operands, else by the root of the mean square."""
    if any(node.output[1:3]):
        raise _UnknownError
    operator = "LayerNormalization" if len(operands) == 2 else "RMSNormalization"
    operands = [x, *(name for name in operands if name)]
    rewriting.add(operator, operands, node.output[0], axis=-1, epsilon=given.get("epsilon", 1e-12))


def _embedding(rewriting: _Rewriting, node: onnx.NodeProto, given: dict[str, Any]) -> None:
    """EmbedLayerNormalization (ids, segments, tables of words, places and segments, scale, shift, mask, places)."""
    ids, segments, words, places, of_segments, scale, shift, mask, chosen = (_given(node.input, at) for at in range(9))
    if _given(node.output, 1) and any(node.output[1] in one.input for one in rewriting.graph.node):
        if not mask:
            raise _UnknownError
        seen = rewriting.add("Einsum", [rewriting.add("Cast", [mask], to=onnx.TensorProto.FLOAT)], equation="bt->b")
        rewriting.add("Cast", [seen], node.output[1], to=onnx.TensorProto.INT32)
    if chosen:
        at_places = rewriting.add("Gather", [places, chosen])
    else:
        zero, one = (rewriting.constant([number], np.int64) for number in range(2))
        end = rewriting.add("Slice", [rewriting.add("Shape", [ids]), one, rewriting.constant([2], np.int64)])
        at_places = rewriting.add("Slice", [places, zero, end, zero])
    parts = [rewriting.add("Gather", [words, ids]), at_places]
    if segments:
        parts.append(rewriting.add("Gather", [of_segments, segments]))
    total = rewriting.summed(parts, _given(node.output, 2))
    rewriting.add(
        "LayerNormalization", [total, scale, shift], node.output[0], axis=-1, epsilon=given.get("epsilon", 1e-12)
    )


_REWRITES: dict[str, Rewrite] = {
    "BiasGelu": _gelu,
    "EmbedLayerNormalization": _embedding,
    "FastGelu": _fast_gelu,
    "FusedConv": _conv,
    "FusedGemm": _gemm,
    "FusedMatMul": _matmul,
    "Gelu": _gelu,
    "QuickGelu": _quick_gelu,
    "SimplifiedLayerNormalization": _simplified,
    "SkipLayerNormalization": _layer_norm,
    "SkipSimplifiedLayerNormalization": _rms_norm,
}
"""Operators of ONNX Runtime, and what they become."""
