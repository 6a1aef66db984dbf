"""Translations of ATen's functions of one entry that the operator table has under another name, or by composition."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.extents import Number
from netsurgery.graph.from_torch.call import Activation, Call, Constant
from netsurgery.graph.value_types import ValueType

_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def _number(value: Any) -> float | None:
    """A number, or the only entry of a constant without axes."""
    if isinstance(value, Constant):
        return float(value.tensor.item()) if value.tensor.ndim == 0 else None
    return None if isinstance(value, Activation) else float(value)


def power(call: Call) -> str:
    """aten.pow; by products and roots where the exponent is a number that allows it."""
    exponent = _number(call.arguments["exponent"])
    x = call.operand("self")
    if exponent == 1:
        return x
    if exponent == 2:
        return call.node("Mul", [x, x])
    if exponent == 3:
        return call.node("Mul", [call.node("Mul", [x, x], "square"), x])
    if exponent == 0.5:
        return call.node("Sqrt", [x])
    if exponent == -0.5:
        return inverse_root(call)
    if exponent == -1:
        return call.node("Div", [call.placed(1.0, "one"), x])
    if exponent is not None:
        return call.node("Pow", [x, call.placed(exponent, "exponent")])
    return call.node("Pow", [x, call.operand("exponent")])


def square(call: Call) -> str:
    """aten.square."""
    return call.node("Mul", [call.operand("self"), call.operand("self")])


def inverse_root(call: Call) -> str:
    """aten.rsqrt."""
    root = call.node("Sqrt", [call.operand("self")], "root")
    return call.node("Div", [call.placed(1.0, "one"), root])


def logarithm_to(base: int) -> Callable[[Call], str]:
    """aten.log2 and log10."""

    def translate(call: Call) -> str:
        natural = call.node("Log", [call.operand("self")], "natural")
        return call.node("Mul", [natural, call.placed(1 / math.log(base), "factor")])

    return translate


def power_of_two(call: Call) -> str:
    """aten.exp2."""
    return call.node("Pow", [call.placed(2.0, "two"), call.operand("self")])


def selu(call: Call) -> str:
    """aten.selu."""
    return call.node("Elu", [call.operand("self")], alpha=_SELU_ALPHA, scale=_SELU_SCALE)


def celu(call: Call) -> str:
    """aten.celu: alpha * (exp(x / alpha) - 1) below 0."""
    alpha = float(call.number("alpha"))
    return call.node("Elu", [call.operand("self")], alpha=alpha, input_scale=1 / alpha)


def softplus(call: Call) -> str:
    """aten.softplus: log(1 + exp(beta * x)) / beta; beyond the threshold, where x is no other float, torch takes x."""
    beta, threshold = float(call.number("beta")), float(call.number("threshold"))
    if threshold < 17:  # exp(-17) is half an ulp of 1
        raise UnsupportedOperatorError(f"threshold {threshold} is not supported; leave it at 20")
    if beta == 1:
        return call.node("Softplus", [call.operand("self")])
    scaled = call.node("Mul", [call.operand("self"), call.placed(beta, "beta")], "scaled")
    return call.node("Div", [call.node("Softplus", [scaled], "softplus"), call.placed(beta, "beta")])


def _is_negative(call: Call, x: str) -> str:
    """Whether a value has the sign of negative numbers; of zeros, 1 / x says it."""
    zero = call.placed(0.0, "zero")
    under = call.node("Less", [call.node("Div", [call.placed(1.0, "one"), x], "inverse"), zero], "under")
    return call.node("Or", [call.node("Less", [x, zero], "below"), under], "negative")


def rest_of_error(call: Call) -> str:
    """aten.erfc: 1 - erf(x)."""
    return call.node("Sub", [call.placed(1.0, "one"), call.node("Erf", [call.promoted()], "erf")])


def rounded_to(call: Call) -> str:
    """aten.round to so many decimals, or to tens, hundreds, ... where they are negative."""
    decimals = int(call.number("decimals"))
    if decimals == 0:
        return call.node("Round", [call.promoted()])
    factor = call.placed(float(10 ** abs(decimals)), "factor")
    there, back = ("Mul", "Div") if decimals > 0 else ("Div", "Mul")
    scaled = call.node(there, [call.promoted(), factor], "scaled")
    return call.node(back, [call.node("Round", [scaled], "rounded"), factor])


def times_power_of_two(call: Call) -> str:
    """aten.ldexp."""
    exponent = call.operand_as("other", ValueType.FLOAT32)
    power = call.node("Pow", [call.placed(2.0, "two"), exponent], "power")
    return call.node("Mul", [call.promoted("self"), power])


def has_minus(call: Call) -> str:
    """aten.signbit: true for -0, too."""
    return _is_negative(call, call.operand_as("self", ValueType.FLOAT32))


def number_of_two(operator: str) -> Callable[[Call], str]:
    """aten.fmax and fmin: where one is NaN, the other one."""

    def translate(call: Call) -> str:
        a, b = (call.promoted(name) for name in ("self", "other"))
        both = call.node(operator, [a, b], "both")
        first = call.node("Where", [call.node("IsNaN", [b], "b.is_nan"), a, both], "first")
        return call.node("Where", [call.node("IsNaN", [a], "a.is_nan"), b, first])

    return translate


def with_sign(call: Call) -> str:
    """aten.copysign: the size of the first with the sign of the second."""
    size = call.node("Abs", [call.promoted("self")], "size")
    opposite = call.node("Mul", [size, call.placed(-1.0, "minus")], "opposite")
    return call.node("Where", [_is_negative(call, call.promoted("other")), opposite, size])


def hypotenuse(call: Call) -> str:
    """aten.hypot, by the larger one's size, so that no square overflows."""
    sizes = [call.node("Abs", [call.promoted(name)], f"{name}.size") for name in ("self", "other")]
    long, short = call.node("Max", sizes, "long"), call.node("Min", sizes, "short")
    slope = call.node("Div", [short, long], "slope")
    one, zero = call.placed(1.0, "one"), call.placed(0.0, "zero")
    under = call.node("Add", [one, call.node("Mul", [slope, slope], "square")], "under")
    whole = call.node("Mul", [long, call.node("Sqrt", [under], "root")], "whole")
    alone = call.node("Or", [call.node("Equal", [long, zero], "none"), call.node("IsInf", [long], "endless")], "alone")
    return call.node("Where", [alone, long, whole])


def differences(call: Call) -> str:
    """aten.diff: of entries that follow each other, n times; `prepend` and `append` stand beside them first."""
    if call.kind is ValueType.BOOL:
        raise UnsupportedOperatorError("differences of truth values are not supported")
    axis = call.axis()
    names = [name for name in ("prepend", "self", "append") if call.given(name)]
    parts = [call.promoted(name) for name in names]
    x = parts[0] if len(parts) == 1 else call.node("Concat", parts, "whole", axis=axis)
    size: Number = sum(call.extent(call.sizes(name)[axis]) for name in names)
    if isinstance(size, int) and call.arguments["n"] >= size:
        raise UnsupportedOperatorError(f"takes differences {call.arguments['n']} times of {size} entries: none is left")
    for more in reversed(range(call.arguments["n"])):
        later = call.node("Slice", [x], "later", axis=axis, start=1, stop=size)
        earlier = call.node("Slice", [x], "earlier", axis=axis, start=0, stop=size - 1)
        x, size = call.node("Sub", [later, earlier], "difference" if more else ""), size - 1
    return x


def angle(call: Call) -> str:
    """aten.atan2: of the first quarter, mirrored by the signs of both."""
    y, x = call.promoted("self"), call.promoted("other")
    sizes = [call.node("Abs", [given], f"{name}.size") for name, given in (("y", y), ("x", x))]
    quarter = call.node("Atan", [call.node("Div", sizes, "slope")], "quarter")
    zero = call.placed(0.0, "zero")
    quarter = call.node("Where", [call.node("Equal", [y, zero], "flat"), zero, quarter], "angle")
    beyond = call.node("Sub", [call.placed(math.pi, "half_turn"), quarter], "beyond")
    half = call.node("Where", [_is_negative(call, x), beyond, quarter], "half")
    opposite = call.node("Mul", [half, call.placed(-1.0, "minus")], "opposite")
    return call.node("Where", [_is_negative(call, y), opposite, half])


def log_sigmoid(call: Call) -> tuple[str | None, ...]:
    """aten.log_sigmoid: -log(1 + exp(-x)). What log_sigmoid_forward gives for its gradient isn't made."""
    minus = call.placed(-1.0, "minus")
    negative = call.node("Mul", [call.operand("self"), minus], "negative")
    return (call.node("Mul", [call.node("Softplus", [negative], "softplus"), minus]),)


def gated(call: Call) -> str:
    """aten.glu: the first half along an axis times the sigmoid of the second."""
    axis = call.axis()
    (size,) = call.known((call.sizes("self")[axis],))
    first, second = (
        call.node("Slice", [call.operand("self")], part, axis=axis, start=start, stop=start + size // 2)
        for part, start in (("first", 0), ("second", size // 2))
    )
    return call.node("Mul", [first, call.node("Sigmoid", [second], "gate")])


def threshold(call: Call) -> str:
    """aten.threshold: below it 0, or the threshold itself."""
    bound, value = float(call.number("threshold")), float(call.number("value"))
    if value == bound:
        return call.node("Clip", [call.operand("self")], minimum=bound)
    if value != 0:
        raise UnsupportedOperatorError(f"value {value} is not supported, only 0 and the threshold are")
    return call.node("ThresholdedRelu", [call.operand("self")], alpha=bound)


def between_values(call: Call) -> str:
    """aten.clamp with tensors as bounds, each of which may be left out."""
    x = call.operand("self")
    bounds = [(operator, name) for operator, name in (("Max", "min"), ("Min", "max")) if call.given(name)]
    for operator, name in bounds:
        x = call.node(operator, [x, call.operand(name)], "" if name == bounds[-1][1] else "raised")
    return x
