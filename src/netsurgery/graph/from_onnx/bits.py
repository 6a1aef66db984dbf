"""Translations of ONNX's operators of bits, where one side is a number that is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.bits import runs_of_ones
from netsurgery.graph.from_onnx.call import Call, Value, known


def bitwise(operator: str) -> Callable[[Call], Value]:
    """BitwiseAnd, BitwiseOr and BitwiseXor of whole numbers with a sign and one known number."""

    def translate(call: Call) -> Value:
        x, other = call.x, call.operand(1)
        if x.array is not None:
            x, other = other, x
        if x.kind is None or not x.kind.whole:
            raise UnsupportedOperatorError(f"combines bits of {x.kind}; netsurgery does those of int32 and int64")
        if other.array is None or len(np.unique(other.array)) != 1:
            raise UnsupportedOperatorError("combines bits of computed numbers; one side must be a single known number")
        both = _masked(call, x, int(other.array.flat[0]), x.kind.dtype)
        if operator == "And":
            return call.node("Add", [both, known(np.zeros_like(other.array), "zeros")]) if other.array.ndim else both
        mine, others = call.node("Sub", [x, both]), call.node("Sub", [other, both])
        return call.node("Add", [mine, others if operator == "Xor" else other])

    return translate


def _masked(call: Call, x: Value, mask: int, dtype: np.dtype[Any]) -> Value:
    """The bits of x that are in a mask."""
    parts = [
        (_below(call, x, start, dtype), x if stop is None else _below(call, x, stop, dtype))
        for start, stop in runs_of_ones(mask)
    ]
    terms = [after if before is None else call.node("Sub", [after, before]) for before, after in parts if after]
    total = terms[0] if terms else call.node("Sub", [x, x])
    for term in terms[1:]:
        total = call.node("Add", [total, term])
    return total


def _below(call: Call, x: Value, place: int, dtype: np.dtype[Any]) -> Value | None:
    """The bits below a place: x mod 2^place, never negative; None where there are none."""
    if place == 0:
        return None
    power, zero = (known(np.array(number, dtype), name) for number, name in ((2**place, "power"), (0, "zero")))
    left = call.node("Sub", [x, call.node("Mul", [call.node("Div", [x, power]), power])])
    return call.node("Where", [call.node("Less", [left, zero]), call.node("Add", [left, power]), left])
