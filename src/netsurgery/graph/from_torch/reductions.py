"""Translations of ATen's reductions: sums, extremes, norms, variances."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_torch.call import Call, Constant, Open, in_a_row, product
from netsurgery.graph.operators.reductions import OF_WHOLE_NUMBERS, halves
from netsurgery.graph.value_types import ValueType

Outputs: TypeAlias = tuple[str | None, ...]


def _keepdims(call: Call) -> bool:
    return bool(call.arguments.get("keepdim"))


def over_axes(operator: str) -> Callable[[Call], str]:
    """A reduction over the axes named, or over all."""

    def translate(call: Call) -> str:
        if call.kind.whole and operator in OF_WHOLE_NUMBERS:
            return _of_whole_numbers(call, OF_WHOLE_NUMBERS[operator])
        if call.kind.whole and operator == "ReduceProd":
            return _product_of_whole_numbers(call)
        return call.node(operator, [call.promoted()], axes=call.axes("dim"), keepdims=_keepdims(call))

    return translate


def _of_whole_numbers(call: Call, way: tuple[str, dict[str, Any]]) -> str:
    x, sizes, axes = call.promoted(), list(call.sizes(call.first)), call.axes("dim")
    operator, settings = way
    for axis in axes:
        x = call.node(operator, [x], "along", axis=axis, **settings)
        if operator == "CumSum":
            end = call.extent(sizes[axis])
            x = call.node("Slice", [x], "last", axis=axis, start=end - 1, stop=end)
        sizes[axis] = 1
    return call.reshaped(x, tuple(sizes), call.shape)


def _product_of_whole_numbers(call: Call) -> str:
    """By halves: the first numbers along an axis times as many others, until one is left."""
    x, sizes = call.promoted(), list(call.sizes(call.first))
    for axis in call.axes("dim"):
        count = sizes[axis]
        if not isinstance(count, int):
            raise UnsupportedOperatorError("multiplies whole numbers along an open axis; cast them to floats before")
        left = []
        for half in halves(count):
            parts = ((0, half), (half, 2 * half), (2 * half, count))
            first, second, rest = (
                call.node("Slice", [x], f"from_{axis}_{start}_{stop}", axis=axis, start=start, stop=stop)
                if stop > start
                else None
                for start, stop in parts
            )
            left += [rest] if rest else []
            x, count = call.node("Mul", [first, second], f"times_{axis}_{half}"), half
        for place, rest in enumerate(left):
            x = call.node("Mul", [x, rest], f"rest_{axis}_{place}")
        sizes[axis] = 1
    return call.reshaped(x, tuple(sizes), call.shape)


def histogram(call: Call) -> str:
    """aten.histc between two numbers: of how many entries each of the bins, all of one width, is the place."""
    least, most, bins = (call.number(name) for name in ("min", "max", "bins"))
    if not least < most:
        raise UnsupportedOperatorError("has bins between the smallest and the largest entry; give min and max")
    entries = in_a_row(call.sizes("self"))
    x = call.reshaped(call.promoted("self"), call.sizes("self"), (*entries, 1), "column")
    low, high = call.placed(float(least), "min"), call.placed(float(most), "max")
    share = call.node("Div", [call.node("Sub", [x, low], "above"), call.placed(float(most - least), "width")], "share")
    place = call.node("Floor", [call.node("Mul", [share, call.placed(float(bins), "bins")], "scaled")], "place")
    place = call.node("Min", [place, call.placed(float(bins - 1), "last")], "bin")  # the end belongs to the last one
    inside = call.node("And", [call.node("LessOrEqual", [low, x]), call.node("LessOrEqual", [x, high])], "inside")
    numbers = call.placed(Constant(torch.arange(float(bins)), f"{call.name}.numbers"), "numbers")
    counted = call.node("And", [inside, call.node("Equal", [place, numbers], "equal")], "counted")
    ones = call.node("Cast", [counted], "ones", type=str(ValueType.FLOAT32))
    return call.node("ReduceSum", [ones], axes=(0,), keepdims=False)


def any_of(operator: str) -> Callable[[Call], str]:
    """aten.any and all: the largest or the smallest of what is 1 where it is true."""

    def translate(call: Call) -> str:
        if not call.sizes("self"):
            return call.operand_as("self", ValueType.BOOL)
        ones = call.node("Cast", [call.operand_as("self", ValueType.BOOL)], "ones", type=str(ValueType.FLOAT32))
        found = call.node(operator, [ones], "found", axes=call.axes("dim"), keepdims=_keepdims(call))
        return call.node("Cast", [found], type=str(call.kind))

    return translate


def distances(call: Call) -> str:
    """aten.cdist: of each row of one tensor from each row of the other."""
    first, second, order = call.sizes("x1"), call.sizes("x2"), float(call.number("p"))
    x = call.reshaped(call.operand("x1"), first, (*first[:-1], 1, first[-1]), "rows")
    y = call.reshaped(call.operand("x2"), second, (*second[:-2], 1, *second[-2:]), "others")
    apart, axes = call.node("Sub", [x, y], "apart"), (len(call.shape),)
    if order == 0:  # how many entries differ; NaN makes it NaN, which a norm of order 0 counts
        larger = call.node("Ceil", [call.node("Abs", [apart], "sizes")], "larger")
        ones = call.node("Min", [larger, call.placed(1.0, "one")], "ones")
        return call.node("ReduceSum", [ones], axes=axes, keepdims=False)
    return _norm(call, apart, order, axes, keepdims=False)


def distance(call: Call) -> str:
    """aten.dist: the norm of a difference over all axes."""
    axes = tuple(range(max(len(call.sizes("self")), len(call.sizes("other")))))
    apart = call.node("Sub", [call.promoted("self"), call.promoted("other")], "apart")
    return _norm(call, apart, float(call.number("p")), axes, keepdims=False)


def norm(call: Call) -> str:
    """aten.linalg_vector_norm and norm, of any order; of order 0 how many entries there are other than 0."""
    name = "ord" if "ord" in call.arguments else "p"
    order = float(call.number(name)) if call.given(name) else 2.0
    return _norm(call, call.promoted(), order, call.axes("dim"), keepdims=_keepdims(call))


def _norm(call: Call, x: str, order: float, axes: tuple[int, ...], *, keepdims: bool) -> str:
    if order == 2:
        return call.node("ReduceL2", [x], axes=axes, keepdims=keepdims)
    if order == 0:
        others = call.node("NotEqual", [x, call.placed(0.0, "zero")], "others")
        ones = call.node("Cast", [others], "ones", type=str(ValueType.FLOAT32))
        return call.node("ReduceSum", [ones], axes=axes, keepdims=keepdims)
    sizes = call.node("Abs", [x], "sizes")
    if order == 1:
        return call.node("ReduceSum", [sizes], axes=axes, keepdims=keepdims)
    if math.isinf(order):
        return call.node("ReduceMax" if order > 0 else "ReduceMin", [sizes], axes=axes, keepdims=keepdims)
    powers = call.node("Pow", [sizes, call.placed(order, "order")], "powers")
    total = call.node("ReduceSum", [powers], "total", axes=axes, keepdims=keepdims)
    return call.node("Pow", [total, call.placed(1 / order, "root")])


def log_sum_exp(call: Call) -> str:
    """aten.logsumexp, less the largest entry, so that nothing overflows. An infinite one is held finite meanwhile."""
    axes, x, largest = call.axes("dim"), call.promoted(), torch.finfo(torch.float32).max
    top = call.node("ReduceMax", [x], "largest", axes=axes)
    top = call.node("Clip", [top], "held", minimum=-largest, maximum=largest)
    powers = call.node("Exp", [call.node("Sub", [x, top], "shifted")], "powers")
    total = call.node("Log", [call.node("ReduceSum", [powers], "total", axes=axes)], "log")
    if _keepdims(call):
        return call.node("Add", [total, top])
    return call.node("ReduceMax", [call.node("Add", [total, top], "sum")], axes=axes, keepdims=False)


def variance(call: Call) -> str:
    """aten.var: the sum of squares around the mean, over their number less the correction."""
    return _variance(call, "")


def deviation(call: Call) -> str:
    """aten.std."""
    return call.node("Sqrt", [_variance(call, "variance")])


def variance_and_mean(call: Call) -> Outputs:
    """aten.var_mean."""
    mean = None
    if 1 in call.used:
        mean = call.node("Mean", [call.promoted()], "mean", axes=call.axes("dim"), keepdims=_keepdims(call))
    return (_variance(call, ""), mean)


def deviation_and_mean(call: Call) -> Outputs:
    """aten.std_mean."""
    deviations, mean = variance_and_mean(replace(call, name=f"{call.name}.variance"))
    return (None if deviations is None else call.node("Sqrt", [deviations]), mean)


def _variance(call: Call, suffix: str) -> str:
    axes, x, sizes = call.axes("dim"), call.promoted(), call.sizes("self")
    if "unbiased" in call.arguments:
        correction = float(bool(call.arguments["unbiased"]))
    else:
        correction = float(call.number("correction")) if call.given("correction") else 1.0
    centred = call.node("Sub", [x, call.node("Mean", [x], "centre", axes=axes)], "centred")
    squares = call.node("Mul", [centred, centred], "squares")
    if correction == 0:
        return call.node("Mean", [squares], suffix, axes=axes, keepdims=_keepdims(call))
    count = product(tuple(sizes[axis] for axis in axes))
    total = call.node("ReduceSum", [squares], "total", axes=axes, keepdims=_keepdims(call))
    if not isinstance(count, int):
        entries = call.node("Sub", [call.size_value(Open(count)), call.placed(correction, "correction")], "count")
        return call.node("Div", [total, entries], suffix)
    if count <= correction:
        raise UnsupportedOperatorError(f"divides by {count} entries less {correction:g}, which leaves nothing")
    return call.node("Div", [total, call.placed(count - correction, "count")], suffix)
