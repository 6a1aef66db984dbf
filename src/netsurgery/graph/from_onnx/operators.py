"""The table from ONNX operators to operators of the graph: what an ONNX model may be made of.

Entrywise ones with no more than renamed attributes come from the operator table itself. Other operators may stand in a
model too, as long as what they compute doesn't depend on its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from netsurgery.graph.from_onnx import choices as choice
from netsurgery.graph.from_onnx import layers as layer
from netsurgery.graph.from_onnx import tensors as tensor
from netsurgery.graph.from_onnx.call import Call, Value
from netsurgery.graph.operators import OPERATORS

Translation: TypeAlias = Callable[[Call], "Value | Sequence[Value | None]"]
"""Answers with nodes; returns the outputs, or the only one that it can give. None for outputs that nothing reads."""

TRANSLATIONS: dict[str, Translation] = {
    **{operator.onnx: layer.unary(operator) for operator in OPERATORS.values() if operator.onnx},
    "Add": layer.binary("Add"),
    "And": layer.binary("And"),
    "AveragePool": layer.pool("AveragePool"),
    "BatchNormalization": layer.batch_norm,
    "Cast": tensor.cast,
    "CastLike": tensor.cast_like,
    "Clip": layer.clip,
    "Concat": tensor.concat,
    "Conv": layer.conv,
    "Div": layer.binary("Div"),
    "Dropout": tensor.dropout,
    "Equal": layer.binary("Equal"),
    "Erf": lambda call: call.pending("Erf", call.x),  # has to be part of a Gelu
    "Flatten": tensor.flatten,
    "Gather": tensor.gather,
    "Gemm": layer.gemm,
    "GlobalAveragePool": layer.global_pool("AdaptiveAveragePool"),
    "GlobalMaxPool": layer.global_pool("AdaptiveMaxPool"),
    "Greater": layer.binary("Greater"),
    "GreaterOrEqual": layer.binary("GreaterOrEqual"),
    "Identity": tensor.same,
    "IsInf": choice.is_infinite,
    "IsNaN": lambda call: call.node("IsNaN", [call.x]),
    "LRN": layer.lrn,
    "LayerNormalization": layer.layer_norm,
    "Less": layer.binary("Less"),
    "LessOrEqual": layer.binary("LessOrEqual"),
    "LogSoftmax": layer.softmax("LogSoftmax"),
    "MatMul": layer.matmul,
    "MaxPool": layer.pool("MaxPool"),
    "Mul": layer.binary("Mul"),
    "Not": lambda call: call.node("Not", [call.x]),
    "Or": layer.binary("Or"),
    "Pad": tensor.pad,
    "ReduceMean": layer.reduce_mean,
    "Reshape": tensor.reshape,
    "Resize": tensor.resize,
    "Shape": tensor.shape,
    "Size": tensor.size,
    "Slice": tensor.cut,
    "Softmax": layer.softmax("Softmax"),
    "Split": tensor.split,
    "Squeeze": tensor.squeeze,
    "Sub": layer.binary("Sub"),
    "Sum": layer.total,
    "Swish": layer.swish,
    "Transpose": tensor.transpose,
    "Unsqueeze": tensor.unsqueeze,
    "Where": choice.where,
    "Xor": layer.binary("Xor"),
}
"""ONNX operator of the default domain -> translation."""
