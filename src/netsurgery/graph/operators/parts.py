"""What the rows of several families share: operands, attributes, and operators that work entry by entry."""

from __future__ import annotations

from netsurgery.graph import shapes as rule
from netsurgery.graph.operators.operator import Attribute, Expected, Images, Length, Operand, Operator, Work

X = Operand("x")
BIAS = Operand("bias", constant=True, optional=True, expected=Expected.OUTPUTS)
TWO = (Operand("a"), Operand("b"))
KERNEL = Attribute("kernel", "ints", low=1)
STRIDES = Attribute("strides", "ints", (), low=1, neutral=1)
DILATIONS = Attribute("dilations", "ints", (), low=1, neutral=1)
PADS = Attribute("pads", "ints", (), low=0, neutral=0, length=Length.TWICE_SPATIAL)
CEIL_MODE = Attribute("ceil_mode", "flag", False)
AXIS = Attribute("axis", "int", low=0)


def entrywise(name: str, code: int, summary: str, *attributes: Attribute, torch: str = "", onnx: str = "") -> Operator:
    """An operator whose output's entry depends on the same entry of its only operand."""
    return Operator(
        name,
        code,
        (X,),
        attributes,
        rule.same,
        summary,
        work=Work.ENTRYWISE,
        images=Images.APART,
        torch=torch,
        onnx=onnx,
    )


def broadcast(name: str, code: int, summary: str) -> Operator:
    """An operator of two operands that broadcast as in NumPy."""
    return Operator(
        name,
        code,
        TWO,
        (),
        rule.broadcast,
        summary,
        work=Work.BROADCAST,
        images=Images.APART_IN_BROADCASTS,
    )
