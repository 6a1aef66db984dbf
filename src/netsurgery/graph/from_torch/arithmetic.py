"""Translations of ATen's elementwise operators and sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_torch.call import Call, Constant, Open, pointwise
from netsurgery.graph.operators import Operator
from netsurgery.graph.value_types import ValueType

Outputs: TypeAlias = tuple[str | None, ...]
_LARGEST = torch.finfo(torch.float32).max


def named(operator: Operator) -> Callable[[Call], str]:
    """An operator that the operator table names in ATen: its operands come first, attributes are arguments."""
    settings = [attribute for attribute in operator.attributes if attribute.torch]

    def translate(call: Call) -> str:
        if operator.name in _OF_WHOLE_NUMBERS and call.kind.whole:
            return _OF_WHOLE_NUMBERS[operator.name](call)
        operands = [call.promoted(argument) for argument, _ in zip(call.arguments, operator.operands, strict=False)]
        given = {one.name: one.of_torch(call.number(one.torch)) for one in settings}
        return call.node(operator.name, operands, **given)

    return translate


def _unsigned(call: Call) -> str:
    """aten.abs of whole numbers."""
    x, zero = call.promoted(), call.placed(0, "zero", call.kind)
    return call.node("Where", [call.node("Less", [x, zero], "below"), call.node("Sub", [zero, x], "opposite"), x])


def _of_positive(call: Call) -> str:
    """aten.relu of whole numbers."""
    x, zero = call.promoted(), call.placed(0, "zero", call.kind)
    return call.node("Where", [call.node("Less", [x, zero], "below"), zero, x])


def _signs(call: Call) -> str:
    """aten.sign of whole numbers."""
    x, zero = call.promoted(), call.placed(0, "zero", call.kind)
    above, below = (
        call.node("Cast", [call.node("Less", operands, side)], f"{side}.one", type=str(call.kind))
        for side, operands in (("above", [zero, x]), ("below", [x, zero]))
    )
    return call.node("Sub", [above, below])


def _unchanged(call: Call) -> str:
    """aten.floor, ceil, round and trunc of whole numbers."""
    return call.promoted()


_OF_WHOLE_NUMBERS: dict[str, Callable[[Call], str]] = {
    "Abs": _unsigned,
    "Relu": _of_positive,
    "Sign": _signs,
    **dict.fromkeys(("Floor", "Ceil", "Round", "Trunc"), _unchanged),
}
"""Of operators that take floats, what they are of whole numbers."""


def along_axis(operator: str) -> Callable[[Call], str]:
    """An operator of one operand that works along an axis."""
    return lambda call: call.node(operator, [call.promoted()], axis=call.axis())


def fixed(operator: str, **attributes: Any) -> Callable[[Call], str]:
    """An operator of one operand with attributes that never change."""
    return lambda call: call.node(operator, [call.promoted()], **attributes)


def clamp(low: str, high: str) -> Callable[[Call], str]:
    """aten.clamp, clamp_min, clamp_max, hardtanh: a bound may be absent or None, or follow open sizes."""

    def translate(call: Call) -> str:
        if call.kind.whole:
            x = call.promoted()
            for operator, name in (("Less", low), ("Greater", high)):
                if call.given(name):
                    bound = call.operand_as(name, call.kind)
                    x = call.node("Where", [call.node(operator, [x, bound], "beyond"), bound, x], "held")
            return x
        if any(isinstance(call.arguments.get(name), Open) for name in (low, high)):
            x = call.promoted()
            for operator, name in (("Max", low), ("Min", high)):
                if call.given(name):
                    x = call.node(operator, [x, call.operand_as(name, call.kind)], "held")
            return x
        minimum = float(call.number(low)) if call.given(low) else -math.inf
        maximum = float(call.number(high)) if call.given(high) else math.inf
        return call.node("Clip", [call.promoted()], minimum=minimum, maximum=maximum)

    return translate


def randomized_leaky_relu(call: Call) -> str:
    """aten.rrelu outside of training: LeakyRelu with the mean of its slopes."""
    slope = (float(call.number("lower")) + float(call.number("upper"))) / 2
    return call.node("LeakyRelu", [call.operand("self")], alpha=slope)


def prelu(call: Call) -> str:
    """aten.prelu: LeakyRelu for one slope; else a slope for each channel, (C,) or in its place already."""
    sizes, value = call.sizes("weight"), call.arguments["weight"]
    if isinstance(value, Constant) and value.tensor.numel() == 1:
        return call.node("LeakyRelu", [call.operand("self")], alpha=value.tensor.item())
    if len(sizes) > 1 or len(call.shape) < 3:
        return call.node("PRelu", [call.operand("self"), call.operand("weight")])
    column = (*sizes, *[1] * (len(call.shape) - 2))
    if isinstance(value, Constant):
        slope = call.placed(Constant(value.tensor.reshape(call.known(column)), value.name))
    else:
        slope = call.reshaped(call.operand("weight"), sizes, column, "slope")
    return call.node("PRelu", [call.operand("self"), slope])


def binary(operator: str, *, swapped: bool = False) -> Callable[[Call], str]:
    """aten.add, sub, rsub, mul, div: numbers become constants, alpha multiplies the second (rsub: the first)."""

    def translate(call: Call) -> str:
        first, second = call.promoted("self"), call.promoted("other")
        alpha = call.number("alpha") if call.given("alpha") else 1
        if call.kind is ValueType.BOOL and operator in _OF_BOOLS:
            return call.node(_OF_BOOLS[operator], [first, second])
        if swapped:
            first, second = second, first
        if alpha != 1:
            second = call.node("Mul", [second, call.placed(alpha, "alpha", call.kind)], "scaled")
        return call.node(operator, [first, second])

    return translate


_OF_BOOLS = {"Add": "Or", "Mul": "And"}
"""What torch makes of bools."""


def of_two(operator: str, comparison: str) -> Callable[[Call], str]:
    """aten.minimum and maximum: of whole numbers by comparison, with the one of which it is true."""

    def translate(call: Call) -> str:
        if not call.kind.whole:
            return call.node(operator, [call.promoted("self"), call.promoted("other")])
        a, b = call.promoted("self"), call.promoted("other")
        return call.node("Where", [call.node(comparison, [a, b], "first"), a, b])

    return translate


def negative(call: Call) -> str:
    """aten.neg."""
    return call.node("Mul", [call.operand("self"), call.placed(-1, "minus", call.kind)])


def reciprocal(call: Call) -> str:
    """aten.reciprocal."""
    return call.node("Div", [call.placed(1.0, "one"), call.promoted()])


def fill_known_mask(call: Call) -> str:
    """aten.masked_fill, where the mask is known but for how much of it is used: x * kept + number * (1 - kept).

    For finite x that is exact. Of an infinite number the largest one is taken, of which Softmax makes 0 as well.
    """
    mask, number = call.arguments["mask"], float(call.number("value"))
    number = min(max(number, -_LARGEST), _LARGEST)
    kept = call.placed(pointwise(mask, lambda hidden: (~hidden).float()))
    rest = call.placed(pointwise(mask, lambda hidden: hidden.float() * number))
    return call.node("Add", [call.node("Mul", [call.operand("self"), kept], "kept"), rest])


def mean(call: Call) -> str:
    """aten.mean over the given axes, or over all."""
    keepdims = bool(call.arguments.get("keepdim"))
    return call.node("Mean", [call.promoted()], axes=call.axes("dim"), keepdims=keepdims)


def identity(call: Call) -> str:
    """What changes neither values nor shape, but perhaps the type: clone, detach, contiguous, conversions."""
    return call.promoted()


def dropout(call: Call) -> Outputs:
    """aten.dropout and its kin, which do nothing unless they are told to train."""
    if call.arguments["train"] and call.arguments["p"]:
        raise UnsupportedOperatorError("is switched on although the model is in eval mode: pass training=self.training")
    return (call.operand(call.first),)
