"""Translations of ONNX normalisations, by LayerNorm, RmsNorm and arithmetic."""

from __future__ import annotations

import math

import numpy as np

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.arithmetic import number
from netsurgery.graph.from_onnx.call import Call, Value, from_front, known


def _by_channel(call: Call, x: Value, index: int, role: str, operator: str) -> Value:
    """X with a number for each channel multiplied or added, unless the numbers change nothing."""
    array = call.array(index, role)
    column = array.reshape(-1, *[1] * (len(call.x.shape) - 2))
    return call.node(operator, [x, known(column, f"{call.operand(index).name}.column")])


def instance_norm(call: Call) -> Value:
    """InstanceNormalization: each map of (N, C, *S) by itself."""
    normal = call.node("LayerNorm", [call.x], axis=2, epsilon=call.attributes.get("epsilon", 1e-5))
    return _by_channel(call, _by_channel(call, normal, 1, "scale", "Mul"), 2, "bias", "Add")


def group_norm(call: Call) -> Value:
    """GroupNormalization: scale and bias are by group before opset 21, by channel since."""
    shape, groups = call.x.shape, call.attributes["num_groups"]
    grouped = call.reshaped(call.x, (shape[0], groups, math.prod(shape[1:]) // groups))
    normal = call.node("LayerNorm", [grouped], axis=2, epsilon=call.attributes.get("epsilon", 1e-5))
    result = call.reshaped(normal, shape)
    for index, role, operator in ((1, "scale", "Mul"), (2, "bias", "Add")):
        array = call.array(index, role)
        if len(array) not in (groups, shape[1]):
            raise UnsupportedOperatorError(f"has {len(array)} numbers as {role}; {groups} or {shape[1]} are needed")
        column = array.repeat(shape[1] // len(array)).reshape(-1, *[1] * (len(shape) - 2))
        result = call.node(operator, [result, known(column, f"{call.operand(index).name}.column")])
    return result


def rms_norm(call: Call) -> Value:
    """RMSNormalization; a scale may have fewer axes than what is normalised."""
    axis = call.axis(-1)
    normal = call.x.shape[axis:]
    epsilon = call.attributes.get("epsilon", 1e-5)
    scale = call.operand(1)
    if scale.array is None or len(scale.shape) > len(normal):
        return call.node("Mul", [call.node("RmsNorm", [call.x], axis=axis, epsilon=epsilon), scale])
    if scale.shape != normal:
        scale = known(np.broadcast_to(scale.array, normal), f"{scale.name}.repeated")
    return call.node("RmsNorm", [call.x, scale], axis=axis, epsilon=epsilon)


def lp_norm(call: Call) -> Value:
    """LpNormalization: x over the sum of magnitudes along an axis, or over the root of the sum of squares; 0 of 0."""
    axes = (call.axis(-1),)
    if call.attributes.get("p", 2) == 1:
        norm = call.node("ReduceSum", [call.node("Abs", [call.x])], axes=axes)
    else:
        norm = call.node("ReduceL2", [call.x], axes=axes)
    smallest = float(np.finfo(np.float32).tiny)
    return call.node("Div", [call.x, call.node("Clip", [norm], minimum=smallest)])


def mean_variance_norm(call: Call) -> Value:
    """MeanVarianceNormalization: x less its mean, over the deviation plus 1e-9."""
    axes = tuple(from_front(axis, len(call.x.shape)) for axis in call.attributes.get("axes", (0, 2, 3)))
    centred = call.node("Sub", [call.x, call.node("Mean", [call.x], axes=axes)])
    deviation = call.node("Sqrt", [call.node("Mean", [call.node("Mul", [centred, centred])], axes=axes)])
    return call.node("Div", [centred, call.node("Add", [deviation, number(1e-9, "epsilon")])])
