"""Types, comparisons and choices: what makes whole numbers and bools, and what they decide."""

from __future__ import annotations

from netsurgery.graph import shapes as rule
from netsurgery.graph.operators.operator import LARGEST_INT, Attribute, Gives, Images, Length, Operand, Operator
from netsurgery.graph.operators.parts import ANY, TWO_NUMBERS, TWO_OF_ANY, TYPE, X
from netsurgery.graph.value_types import ALL_TYPES, ValueType

MOST_INTEGERS = 2**16
"""Whole numbers that a node may hold."""

_BOOL = (ValueType.BOOL,)
_TWO_BOOLS = (Operand("a", types=_BOOL), Operand("b", types=_BOOL))


def _compared(
    name: str, code: int, summary: str, operands: tuple[Operand, ...] = TWO_NUMBERS, *, onnx: bool = True
) -> Operator:
    """An operator of two operands that broadcast; it gives bools. onnx: ONNX has it, under the same name."""
    return Operator(
        name,
        code,
        operands,
        (),
        rule.broadcast,
        summary,
        images=Images.APART_IN_BROADCASTS,
        gives=Gives.BOOL,
        onnx=name if onnx else "",
    )


INTEGERS = (
    Operator(
        "Integers",
        40,
        (),
        (
            TYPE,
            Attribute("shape", "ints", low=1, length=Length.ONE),
            Attribute("values", "ints", low=-LARGEST_INT, length=Length.ONE, most=MOST_INTEGERS, follows=-LARGEST_INT),
        ),
        rule.integers,
        "Whole numbers, in row-major order, as entries of a type; a single one stands for all.",
        gives=Gives.SAID,
    ),
    Operator(
        "Cast",
        41,
        (ANY,),
        (TYPE,),
        rule.same,
        "The same numbers as another type. Floats are cut off towards zero; what lies beyond a type of whole numbers "
        "becomes its smallest or largest number, NaN becomes 0, and int64 keeps its lower half as int32. As a bool "
        "all but 0 is true, NaN too; true is 1.",
        images=Images.APART,
        gives=Gives.SAID,
    ),
    _compared("Equal", 42, "a = b, broadcast as in NumPy. NaN equals nothing.", TWO_OF_ANY),
    _compared("NotEqual", 43, "The opposite of Equal.", TWO_OF_ANY, onnx=False),
    _compared("Less", 44, "a < b, broadcast as in NumPy; false for NaN."),
    _compared("LessOrEqual", 45, "a <= b, broadcast as in NumPy; false for NaN."),
    _compared("Greater", 46, "a > b, broadcast as in NumPy; false for NaN."),
    _compared("GreaterOrEqual", 47, "a >= b, broadcast as in NumPy; false for NaN."),
    _compared("And", 48, "Both, broadcast as in NumPy.", _TWO_BOOLS),
    _compared("Or", 49, "At least one, broadcast as in NumPy.", _TWO_BOOLS),
    _compared("Xor", 50, "Just one, broadcast as in NumPy.", _TWO_BOOLS),
    Operator(
        "Not",
        51,
        (Operand("x", types=_BOOL),),
        (),
        rule.same,
        "The other one.",
        images=Images.APART,
        gives=Gives.BOOL,
        onnx="Not",
    ),
    Operator("IsNaN", 52, (X,), (), rule.same, "True for NaN.", images=Images.APART, gives=Gives.BOOL, onnx="IsNaN"),
    Operator(
        "IsInf",
        53,
        (X,),
        (
            Attribute("positive", "flag", True, onnx="detect_positive", onnx_default=1),
            Attribute("negative", "flag", True, onnx="detect_negative", onnx_default=1),
        ),
        rule.same,
        "True for infinity of either sign, or of one.",
        images=Images.APART,
        gives=Gives.BOOL,
        onnx="IsInf",
    ),
    Operator(
        "Where",
        54,
        (
            Operand("condition", types=_BOOL),
            Operand("a", types=ALL_TYPES, alike=True),
            Operand("b", types=ALL_TYPES, alike=True),
        ),
        (),
        rule.broadcast,
        "a where the condition is true, b elsewhere; all three broadcast as in NumPy.",
        images=Images.APART_IN_BROADCASTS,
        gives=Gives.LAST,
    ),
)
