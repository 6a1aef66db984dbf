"""What the rows of several families share: operands, attributes, and operators that work entry by entry."""

from __future__ import annotations

from dataclasses import replace

from netsurgery.graph import shapes as rule
from netsurgery.graph.operators.operator import Attribute, Expected, Gives, Images, Length, Operand, Operator, Work
from netsurgery.graph.value_types import ALL_TYPES, NUMBERS, WHOLE, ValueType

X = Operand("x")
BIAS = Operand("bias", constant=True, optional=True, expected=Expected.OUTPUTS)
ANY = Operand("x", types=ALL_TYPES)
TWO = (Operand("a"), Operand("b"))
TWO_NUMBERS = (Operand("a", types=NUMBERS, alike=True), Operand("b", types=NUMBERS, alike=True))
TWO_OF_ANY = (Operand("a", types=ALL_TYPES, alike=True), Operand("b", types=ALL_TYPES, alike=True))
KERNEL = Attribute("kernel", "ints", low=1)
STRIDES = Attribute("strides", "ints", (), low=1, neutral=1)
DILATIONS = Attribute("dilations", "ints", (), low=1, neutral=1)
PADS = Attribute("pads", "ints", (), low=0, neutral=0, length=Length.TWICE_SPATIAL)
CEIL_MODE = Attribute("ceil_mode", "flag", False)
AXIS = Attribute("axis", "int", low=0, onnx="axis", onnx_default=0, is_axis=True)
INDICES = Operand("indices", types=WHOLE)
TYPE = Attribute("type", "choice", choices=tuple(map(str, ValueType)))
"""The choices are in the order of the types' codes."""


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


def broadcast(name: str, code: int, summary: str, *, onnx: str = "") -> Operator:
    """An operator of two numbers of one type, which it gives, too; they broadcast as in NumPy."""
    return Operator(
        name,
        code,
        TWO_NUMBERS,
        (),
        rule.broadcast,
        summary,
        work=Work.BROADCAST,
        images=Images.APART_IN_BROADCASTS,
        gives=Gives.FIRST,
        onnx=onnx,
    )


def of_floats(name: str, code: int, summary: str) -> Operator:
    """An operator of two floats, which broadcast as in NumPy."""
    return replace(broadcast(name, code, summary), operands=TWO, gives=Gives.FLOAT32)
