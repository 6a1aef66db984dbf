"""The table from ONNX operators to operators of the graph: what an ONNX model may be made of.

Entrywise ones with no more than renamed attributes come from the operator table itself. Other operators may stand in a
model too, as long as what they compute doesn't depend on its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from netsurgery.graph.from_onnx import arithmetic as arithmetic
from netsurgery.graph.from_onnx import layers as layer
from netsurgery.graph.from_onnx import normalisations as norm
from netsurgery.graph.from_onnx import tensors as tensor
from netsurgery.graph.from_onnx.call import Call, Value
from netsurgery.graph.operators import OPERATORS

Translation: TypeAlias = Callable[[Call], "Value | Sequence[Value | None]"]
"""Answers with nodes; returns the outputs, or the only one that it can give. None for outputs that nothing reads."""

TRANSLATIONS: dict[str, Translation] = {
    **{operator.onnx: layer.unary(operator) for operator in OPERATORS.values() if operator.onnx},
    "Add": layer.binary("Add"),
    "AveragePool": layer.pool("AveragePool"),
    "BatchNormalization": layer.batch_norm,
    "Cast": tensor.cast,
    "CastLike": tensor.cast_like,
    "Celu": arithmetic.celu,
    "Clip": layer.clip,
    "Concat": tensor.concat,
    "Conv": layer.conv,
    "Div": layer.binary("Div"),
    "Dropout": tensor.dropout,
    "Elu": arithmetic.elu,
    "Flatten": tensor.flatten,
    "Gather": tensor.gather,
    "Gemm": layer.gemm,
    "GlobalAveragePool": layer.global_pool("AdaptiveAveragePool"),
    "GlobalMaxPool": layer.global_pool("AdaptiveMaxPool"),
    "GroupNormalization": norm.group_norm,
    "Identity": tensor.same,
    "InstanceNormalization": norm.instance_norm,
    "LRN": layer.lrn,
    "LayerNormalization": layer.layer_norm,
    "LogSoftmax": layer.softmax("LogSoftmax"),
    "LpNormalization": norm.lp_norm,
    "MatMul": layer.matmul,
    "Max": arithmetic.several("Max"),
    "MaxPool": layer.pool("MaxPool"),
    "Mean": arithmetic.mean_of_several,
    "MeanVarianceNormalization": norm.mean_variance_norm,
    "Min": arithmetic.several("Min"),
    "Mod": arithmetic.remainder,
    "Mul": layer.binary("Mul"),
    "Neg": arithmetic.negative,
    "PRelu": arithmetic.prelu,
    "Pad": tensor.pad,
    "Pow": arithmetic.power,
    "RMSNormalization": norm.rms_norm,
    "Reciprocal": arithmetic.reciprocal,
    "ReduceL1": arithmetic.reduction("ReduceSum", before=arithmetic.magnitude),
    "ReduceL2": arithmetic.reduction("ReduceL2", of_one=arithmetic.magnitude),
    "ReduceLogSum": arithmetic.reduction("ReduceSum", after=arithmetic.logarithm),
    "ReduceLogSumExp": arithmetic.log_sum_exp,
    "ReduceMax": arithmetic.reduction("ReduceMax"),
    "ReduceMean": arithmetic.reduction("Mean"),
    "ReduceMin": arithmetic.reduction("ReduceMin"),
    "ReduceProd": arithmetic.reduction("ReduceProd"),
    "ReduceSum": arithmetic.reduction("ReduceSum", operand_from=13),
    "ReduceSumSquare": arithmetic.reduction("ReduceSumSquare", of_one=arithmetic.square),
    "Reshape": tensor.reshape,
    "Resize": tensor.resize,
    "Selu": arithmetic.selu,
    "Shape": tensor.shape,
    "Size": tensor.size,
    "Slice": tensor.cut,
    "Softmax": layer.softmax("Softmax"),
    "Split": tensor.split,
    "Squeeze": tensor.squeeze,
    "Sub": layer.binary("Sub"),
    "Sum": arithmetic.several("Add"),
    "Swish": layer.swish,
    "Transpose": tensor.transpose,
    "Unsqueeze": tensor.unsqueeze,
}
"""ONNX operator of the default domain -> translation."""
