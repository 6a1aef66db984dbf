"""Translations of ONNX operators that compare and choose."""

from __future__ import annotations

from netsurgery.graph.from_onnx.call import Call, Value


def where(call: Call) -> Value:
    """The second operand where the first is true, elsewhere the third."""
    return call.node("Where", [call.x, call.operand(1), call.operand(2)])


def is_infinite(call: Call) -> Value:
    """IsInf, of either sign or of one."""
    sides = {name: bool(call.attributes.get(f"detect_{name}", 1)) for name in ("positive", "negative")}
    return call.node("IsInf", [call.x], **sides)
