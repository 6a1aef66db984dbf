"""Translations of ONNX arithmetic and reductions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx import choices
from netsurgery.graph.from_onnx.call import Call, Value, from_front, known
from netsurgery.graph.from_onnx.traced import Traced
from netsurgery.graph.operators.reductions import OF_WHOLE_NUMBERS, halves
from netsurgery.graph.value_types import ValueType

LARGEST = float(np.finfo(np.float32).max)


def number(value: float, name: str) -> Value:
    """A constant with a single entry."""
    return known(np.asarray(value, np.float32), name)


def _is_whole(x: Value) -> bool:
    return x.kind is not None and x.kind.whole


def _whole_number(call: Call, value: int, name: str) -> Value:
    """A constant of the type of x, which is one of whole numbers."""
    return known(np.asarray(value, np.int32 if call.x.kind is ValueType.INT32 else np.int64), name)


def negative(call: Call) -> Value:
    """Neg."""
    if _is_whole(call.x):
        return call.node("Sub", [_whole_number(call, 0, "zero"), call.x])
    return call.node("Mul", [call.x, number(-1, "minus")])


def absolute(call: Call) -> Value:
    """Abs."""
    return magnitude(call, call.x)


def relu(call: Call) -> Value:
    """Relu."""
    if _is_whole(call.x):
        return extreme(call, "Max", call.x, _whole_number(call, 0, "zero"))
    return call.node("Relu", [call.x])


def bitwise_not(call: Call) -> Value:
    """BitwiseNot of whole numbers with a sign: what lies as far below -1 as they lie above 0."""
    if not _is_whole(call.x):
        raise UnsupportedOperatorError(f"turns the bits of {call.x.kind}; netsurgery does those of int32 and int64")
    return call.node("Sub", [_whole_number(call, -1, "ones"), call.x])


def sign(call: Call) -> Value:
    """Sign."""
    if not _is_whole(call.x):
        return call.node("Sign", [call.x])
    zero, one, minus = (_whole_number(call, number, name) for number, name in ((0, "zero"), (1, "one"), (-1, "minus")))
    not_above = call.node("Where", [call.node("Less", [call.x, zero]), minus, zero])
    return call.node("Where", [call.node("Greater", [call.x, zero]), one, not_above])


def reciprocal(call: Call) -> Value:
    """Reciprocal."""
    return call.node("Div", [number(1, "one"), call.x])


def power(call: Call) -> Value:
    """Pow; by products and roots where the exponent is a single number that allows it."""
    exponent = call.operand(1)
    if exponent.array is not None and call.x.array is None and exponent.array.size == 1:
        if len(exponent.shape) <= len(call.x.shape):
            return _resultof_number(call, call.x, float(exponent.array.item()))
        exponent = known(np.asarray(exponent.array, np.float32), exponent.name)
    elif exponent.array is not None:
        exponent = known(np.asarray(exponent.array, np.float32), exponent.name)
    result = call.node("Pow", [call.as_type(call.x, ValueType.FLOAT32), call.as_type(exponent, ValueType.FLOAT32)])
    return call.as_type(result, call.x.kind) if call.x.kind is not None and call.x.kind.whole else result


def _resultof_number(call: Call, x: Value, exponent: float) -> Value:
    if exponent == 2:
        return call.node("Mul", [x, x])
    if exponent == 3:
        return call.node("Mul", [call.node("Mul", [x, x]), x])
    if exponent == 0.5:
        return call.node("Sqrt", [x])
    if exponent == -0.5:
        return call.node("Div", [number(1, "one"), call.node("Sqrt", [x])])
    if exponent == -1:
        return call.node("Div", [number(1, "one"), x])
    return call.node("Pow", [x, number(exponent, "exponent")])


_FIRST = {"Min": "LessOrEqual", "Max": "GreaterOrEqual"}
"""Operator of floats -> what is true where the first of two whole numbers is what it gives."""


def extreme(call: Call, operator: str, a: Value, b: Value) -> Value:
    """Max or Min of two, which for whole numbers is one of them, picked."""
    if _is_whole(a):
        return call.node("Where", [call.node(_FIRST[operator], [a, b]), a, b])
    return call.node(operator, [a, b])


def several(operator: str) -> Callable[[Call], Value]:
    """The same of any number of operands, from left to right."""

    def translate(call: Call) -> Value:
        operands = [call.operand(index) for index in range(len(call.operands))]
        if operator in _FIRST:
            return reduce(lambda a, b: extreme(call, operator, a, b), operands)
        return reduce(lambda a, b: call.node(operator, [a, b]), operands)

    return translate


def mean_of_several(call: Call) -> Value:
    """Mean: the sum of all operands over their number."""
    total, count = several("Add")(call), len(call.operands)
    return total if count == 1 else call.node("Div", [total, number(count, "count")])


def remainder(call: Call) -> Value:
    """Mod."""
    if _is_whole(call.x):
        return choices.remainder(call)
    return call.node("Fmod" if call.attributes.get("fmod", 0) else "Remainder", [call.x, call.operand(1)])


def prelu(call: Call) -> Value:
    """PRelu: LeakyRelu where there is one slope."""
    slope = call.operand(1)
    if slope.array is not None and slope.array.size == 1 and len(slope.shape) <= len(call.x.shape):
        return call.node("LeakyRelu", [call.x], alpha=float(slope.array.item()))
    return call.node("PRelu", [call.x, slope])


def elu(call: Call) -> Value:
    """Elu."""
    return call.node("Elu", [call.x], alpha=call.attributes.get("alpha", 1.0))


def selu(call: Call) -> Value:
    """Selu, whose numbers are those of the specification."""
    alpha = call.attributes.get("alpha", 1.67326319217681884765625)
    return call.node("Elu", [call.x], alpha=alpha, scale=call.attributes.get("gamma", 1.05070102214813232421875))


def celu(call: Call) -> Value:
    """Celu: alpha * (exp(x / alpha) - 1) below 0."""
    alpha = call.attributes.get("alpha", 1.0)
    return call.node("Elu", [call.x], alpha=alpha, input_scale=1 / alpha)


Before = Callable[[Call, Value], Value]


def magnitude(call: Call, x: Value) -> Value:
    """What ReduceL1 adds up."""
    if not _is_whole(x):
        return call.node("Abs", [x])
    zero = _whole_number(call, 0, "zero")
    return call.node("Where", [call.node("Less", [x, zero]), call.node("Sub", [zero, x]), x])


def square(call: Call, x: Value) -> Value:
    """What ReduceSumSquare adds up."""
    return call.node("Mul", [x, x])


def logarithm(call: Call, x: Value) -> Value:
    """What ReduceLogSum makes of the sum."""
    return call.node("Log", [x])


def axes_of(call: Call, operand_from: int) -> tuple[int, ...]:
    """The axes that a reduction goes over, each once; none where it is told to do nothing, or x has none."""
    rank = len(call.x.shape)
    axes = call.whole(1, "axes", operand_from=operand_from)
    if not axes:
        return () if call.attributes.get("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(dict.fromkeys(from_front(axis, rank) for axis in axes))


def reduction(
    operator: str,
    *,
    operand_from: int = 18,
    before: Before | None = None,
    after: Before | None = None,
    of_one: Before | None = None,
) -> Callable[[Call], Value]:
    """A reduction of `before` of the entries, and `after` of that. of_one: what becomes of an entry alone."""

    def translate(call: Call) -> Value:
        axes = axes_of(call, operand_from)
        if not axes:
            alone = before or after or of_one
            return alone(call, call.x) if alone else call.x
        keepdims = call.attributes.get("keepdims", 1)
        whole = _is_whole(call.x)
        if whole and operator == "ReduceSumSquare":
            return of_whole_numbers(call, square(call, call.x), "ReduceSum", axes, keepdims)
        if whole and operator == "Mean":
            return _mean_of_whole(call, axes, keepdims)
        x = before(call, call.x) if before else call.x
        if whole and operator in OF_WHOLE_NUMBERS and after is None:
            return of_whole_numbers(call, x, operator, axes, keepdims)
        if whole and operator == "ReduceProd":
            return _product_of_whole(call, axes, keepdims)
        result = call.node(operator, [x], axes=axes, keepdims=keepdims)
        return after(call, result) if after else result

    return translate


def of_whole_numbers(call: Call, x: Value, operator: str, axes: Sequence[int], keepdims: bool) -> Value:
    """A reduction of whole numbers, one axis after another."""
    along, settings = OF_WHOLE_NUMBERS[operator]
    for axis in axes:
        size = x.shape[axis]
        x = call.node(along, [x], axis=axis, **settings)
        if operator == "ReduceSum":
            x = call.node("Slice", [x], axis=axis, start=size - 1, stop=size)
    return x if keepdims else call.reshaped(x, [size for axis, size in enumerate(x.shape) if axis not in axes])


def _product_of_whole(call: Call, axes: Sequence[int], keepdims: bool) -> Value:
    """By halves: the first numbers along an axis times as many others, until one is left."""
    x = call.x
    for axis in axes:
        if isinstance(x.shape[axis], Traced):
            raise UnsupportedOperatorError("multiplies whole numbers along an open axis; cast them to floats before")
        left, count = [], int(x.shape[axis])
        for half in halves(count):
            parts = ((0, half), (half, 2 * half), (2 * half, count))
            first, second, *rest = (
                call.node("Slice", [x], axis=axis, start=start, stop=stop) for start, stop in parts if stop > start
            )
            left += rest
            x, count = call.node("Mul", [first, second]), half
        for one in left:
            x = call.node("Mul", [x, one])
    return x if keepdims else call.reshaped(x, [size for axis, size in enumerate(x.shape) if axis not in axes])


def _mean_of_whole(call: Call, axes: Sequence[int], keepdims: bool) -> Value:
    """A whole number again, cut off towards zero."""
    sizes = [call.x.shape[axis] for axis in axes]
    if any(isinstance(size, Traced) for size in sizes):
        raise UnsupportedOperatorError("takes means of whole numbers along an open axis; cast them to floats before")
    total = of_whole_numbers(call, call.x, "ReduceSum", axes, keepdims)
    return call.node("Div", [total, _whole_number(call, math.prod(sizes), "count")])


def log_sum_exp(call: Call) -> Value:
    """ReduceLogSumExp, less the largest entry, so that nothing overflows. An infinite one is held finite meanwhile."""
    axes = axes_of(call, 18)
    if not axes:
        return call.x
    largest = call.node("ReduceMax", [call.x], axes=axes)
    largest = call.node("Clip", [largest], minimum=-LARGEST, maximum=LARGEST)
    powers = call.node("Exp", [call.node("Sub", [call.x, largest])])
    total = call.node("Log", [call.node("ReduceSum", [powers], axes=axes)])
    if call.attributes.get("keepdims", 1):
        return call.node("Add", [total, largest])
    return call.node("ReduceMax", [call.node("Add", [total, largest])], axes=axes, keepdims=False)
