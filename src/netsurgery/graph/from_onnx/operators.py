"""The table from ONNX operators to operators of the graph: what an ONNX model may be made of.

Other operators may stand in a model too, as long as what they compute doesn't depend on its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from netsurgery.graph.from_onnx import layers as layer
from netsurgery.graph.from_onnx import tensors as tensor
from netsurgery.graph.from_onnx.call import Call, Value

Translation: TypeAlias = Callable[[Call], "Value | Sequence[Value | None]"]
"""Answers with nodes; returns the outputs, or the only one that it can give. None for outputs that nothing reads."""

TRANSLATIONS: dict[str, Translation] = {
    "Add": layer.binary("Add"),
    "AveragePool": layer.pool("AveragePool"),
    "BatchNormalization": layer.batch_norm,
    "Cast": tensor.cast,
    "CastLike": tensor.cast_like,
    "Clip": layer.clip,
    "Concat": tensor.concat,
    "Conv": layer.conv,
    "Div": layer.binary("Div"),
    "Dropout": tensor.dropout,
    "Erf": lambda call: call.pending("Erf", call.x),  # has to be part of a Gelu
    "Flatten": tensor.flatten,
    "Gather": tensor.gather,
    "Gelu": layer.unary("Gelu", approximate="none"),
    "Gemm": layer.gemm,
    "GlobalAveragePool": layer.global_pool("AdaptiveAveragePool"),
    "GlobalMaxPool": layer.global_pool("AdaptiveMaxPool"),
    "HardSigmoid": layer.unary("HardSigmoid", alpha=0.2, beta=0.5),
    "HardSwish": layer.unary("HardSwish"),
    "Identity": tensor.same,
    "LRN": layer.lrn,
    "LayerNormalization": layer.layer_norm,
    "LeakyRelu": layer.unary("LeakyRelu", alpha=0.01),
    "LogSoftmax": layer.softmax("LogSoftmax"),
    "MatMul": layer.matmul,
    "MaxPool": layer.pool("MaxPool"),
    "Mul": layer.binary("Mul"),
    "Pad": tensor.pad,
    "ReduceMean": layer.reduce_mean,
    "Relu": layer.unary("Relu"),
    "Reshape": tensor.reshape,
    "Resize": tensor.resize,
    "Shape": tensor.shape,
    "Sigmoid": layer.unary("Sigmoid"),
    "Size": tensor.size,
    "Slice": tensor.cut,
    "Softmax": layer.softmax("Softmax"),
    "Split": tensor.split,
    "Squeeze": tensor.squeeze,
    "Sub": layer.binary("Sub"),
    "Sum": layer.total,
    "Swish": layer.swish,
    "Tanh": layer.unary("Tanh"),
    "Transpose": tensor.transpose,
    "Unsqueeze": tensor.unsqueeze,
}
"""ONNX operator of the default domain -> translation."""
