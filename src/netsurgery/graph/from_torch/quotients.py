"""Translations of ATen's divisions of whole numbers, and of what they leave."""

from __future__ import annotations

from collections.abc import Callable

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_torch.call import Call


def quotient(rounding: str = "") -> Callable[[Call], str]:
    """aten.floor_divide, and div with a rounding mode: towards zero, or down."""

    def translate(call: Call) -> str:
        mode = rounding or call.arguments.get("rounding_mode")
        if mode is None:
            return call.node("Div", [call.promoted("self"), call.promoted("other")])
        a, b = _operands(call)
        return call.node("Div", [a, b]) if mode == "trunc" else _rounded_down(call, a, b, "")

    return translate


def remainder(mode: str, of_floats: str) -> Callable[[Call], str]:
    """aten.remainder, with the sign of the divisor, and fmod, with that of the dividend. of_floats: their operator."""

    def translate(call: Call) -> str:
        if not call.kind.whole:
            return call.node(of_floats, [call.promoted("self"), call.promoted("other")])
        a, b = _operands(call)
        whole = call.node("Div", [a, b], "whole") if mode == "trunc" else _rounded_down(call, a, b, "whole")
        return call.node("Sub", [a, call.node("Mul", [whole, b], "part")])

    return translate


def _operands(call: Call) -> tuple[str, str]:
    if not call.kind.whole:
        raise UnsupportedOperatorError("divides floats and rounds; whole numbers can be divided so")
    return call.promoted("self"), call.promoted("other")


def _rounded_down(call: Call, a: str, b: str, suffix: str) -> str:
    """One less than the quotient cut off towards zero where something is left and the signs differ."""
    zero = call.placed(0, "zero", call.kind)
    cut = call.node("Div", [a, b], "cut")
    left = call.node("NotEqual", [call.node("Mul", [cut, b], "product"), a], "left")
    below = [call.node("Less", [one, zero], "below") for one in (a, b)]
    lower = call.node("And", [left, call.node("Xor", below, "signs")], "lower")
    return call.node("Sub", [cut, call.node("Cast", [lower], "one", type=str(call.kind))], suffix)
