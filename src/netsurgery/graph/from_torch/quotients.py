"""Translations of ATen's divisions that round, and of what they leave."""

from __future__ import annotations

from collections.abc import Callable

from netsurgery.graph.from_torch.call import Call


def quotient(rounding: str = "") -> Callable[[Call], str]:
    """aten.floor_divide, and div with a rounding mode: towards zero, or down."""

    def translate(call: Call) -> str:
        mode = rounding or call.arguments.get("rounding_mode")
        if mode is None:
            return call.node("Div", [call.promoted("self"), call.promoted("other")])
        a, b = call.promoted("self"), call.promoted("other")
        if call.kind.whole:
            return call.node("Div", [a, b]) if mode == "trunc" else _rounded_down(call, a, b, "")
        if mode == "trunc":
            return call.node("Trunc", [call.node("Div", [a, b], "quotient")])
        return _floats_rounded_down(call, a, b)

    return translate


def remainder(mode: str, of_floats: str) -> Callable[[Call], str]:
    """aten.remainder, with the sign of the divisor, and fmod, with that of the dividend. of_floats: their operator."""

    def translate(call: Call) -> str:
        if not call.kind.whole:
            return call.node(of_floats, [call.promoted("self"), call.promoted("other")])
        a, b = call.promoted("self"), call.promoted("other")
        whole = call.node("Div", [a, b], "whole") if mode == "trunc" else _rounded_down(call, a, b, "whole")
        return call.node("Sub", [a, call.node("Mul", [whole, b], "part")])

    return translate


def _rounded_down(call: Call, a: str, b: str, suffix: str) -> str:
    """One less than the quotient cut off towards zero where something is left and the signs differ."""
    zero = call.placed(0, "zero", call.kind)
    cut = call.node("Div", [a, b], "cut")
    left = call.node("NotEqual", [call.node("Mul", [cut, b], "product"), a], "left")
    below = [call.node("Less", [one, zero], "below") for one in (a, b)]
    lower = call.node("And", [left, call.node("Xor", below, "signs")], "lower")
    return call.node("Sub", [cut, call.node("Cast", [lower], "one", type=str(call.kind))], suffix)


def _floats_rounded_down(call: Call, a: str, b: str) -> str:
    """As torch and Python round it: by what is left, as the quotient itself may have been rounded up to a whole number.

    Where b is 0, the quotient as it is.
    """
    zero, half = call.placed(0.0, "zero"), call.placed(0.5, "half")

    def one_where(condition: str, suffix: str) -> str:
        return call.node("Cast", [condition], suffix, type="float32")

    left = call.node("Fmod", [a, b], "left")
    whole = call.node("Div", [call.node("Sub", [a, left], "part"), b], "whole")  # but for a rounding
    signs = call.node("Xor", [call.node("Less", [one, zero], "below") for one in (left, b)], "signs")
    is_lower = call.node("And", [call.node("NotEqual", [left, zero], "some"), signs], "is_lower")
    lower = call.node("Sub", [whole, one_where(is_lower, "lower.one")], "lower")
    down = call.node("Floor", [lower], "down")
    is_next = call.node("Greater", [call.node("Sub", [lower, down], "rest"), half], "is_next")
    rounded = call.node("Add", [down, one_where(is_next, "next.one")], "rounded")
    plain = call.node("Div", [a, b], "quotient")
    return call.node("Where", [call.node("Equal", [b, zero], "by_nothing"), plain, rounded])
