"""Arithmetic of two values, and matrix products."""

from __future__ import annotations

from netsurgery.graph import shapes as rule
from netsurgery.graph.operators.operator import Images, Operator
from netsurgery.graph.operators.parts import TWO, broadcast, of_floats

ARITHMETIC = (
    broadcast("Add", 6, "a + b, broadcast as in NumPy.", onnx="Add"),
    broadcast("Mul", 8, "a * b, broadcast as in NumPy.", onnx="Mul"),
    broadcast("Sub", 24, "a - b, broadcast as in NumPy.", onnx="Sub"),
    broadcast(
        "Div",
        25,
        "a / b, broadcast as in NumPy. The quotient of whole numbers is cut off towards zero; by 0 it is 0.",
        onnx="Div",
    ),
    of_floats("Pow", 108, "a to the power of b, broadcast as in NumPy; NaN where that isn't real."),
    of_floats("Min", 109, "The smaller of a and b, broadcast as in NumPy; NaN if either is."),
    of_floats("Max", 110, "The larger of a and b, broadcast as in NumPy; NaN if either is."),
    of_floats("Remainder", 111, "a - b * floor(a / b), broadcast as in NumPy: it has the sign of b."),
    of_floats("Fmod", 112, "a - b * trunc(a / b), broadcast as in NumPy: it has the sign of a."),
    of_floats("PRelu", 113, "a where a >= 0, a * b elsewhere, broadcast as in NumPy."),
    Operator(
        "MatMul",
        30,
        TWO,
        (),
        rule.matmul,
        "Matrix product of a (..., I, J) and b (..., J, K), as numpy.matmul.",
        images=Images.APART_IN_PRODUCTS,
    ),
)
