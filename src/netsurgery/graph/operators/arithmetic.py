"""Arithmetic of two values, and matrix products."""

from __future__ import annotations

from netsurgery.graph import shapes as rule
from netsurgery.graph.operators.operator import Images, Operator
from netsurgery.graph.operators.parts import TWO, broadcast

ARITHMETIC = (
    broadcast("Add", 6, "a + b, broadcast as in NumPy."),
    broadcast("Mul", 8, "a * b, broadcast as in NumPy."),
    broadcast("Sub", 24, "a - b, broadcast as in NumPy."),
    broadcast(
        "Div",
        25,
        "a / b, broadcast as in NumPy. The quotient of whole numbers is cut off towards zero; by 0 it is 0.",
    ),
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
