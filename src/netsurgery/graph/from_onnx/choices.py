"""Translations of ONNX operators that compare and choose."""

from __future__ import annotations

import numpy as np

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import Call, Value, known


def where(call: Call) -> Value:
    """The second operand where the first is true, elsewhere the third."""
    return call.node("Where", [call.x, call.operand(1), call.operand(2)])


def remainder(call: Call) -> Value:
    """Mod of whole numbers: with the sign of the divisor, or with `fmod` that of the dividend."""
    a, b = call.x, call.operand(1)
    if a.kind is None or not a.kind.whole:
        raise UnsupportedOperatorError(f"takes the remainder of {a.kind}; netsurgery has that of whole numbers")
    cut = call.node("Div", [a, b])
    left = call.node("Sub", [a, call.node("Mul", [cut, b])])
    if call.attributes.get("fmod", 0):
        return left
    zero = known(np.zeros((), a.kind.dtype), "zero")
    differs = call.node("Xor", [call.node("Less", [left, zero]), call.node("Less", [b, zero])])
    moved = call.node("And", [differs, call.node("NotEqual", [left, zero])])
    return call.node("Where", [moved, call.node("Add", [left, b]), left])
