"""Fixed point: what rounds values to a grid, between which all is exact."""

from __future__ import annotations

from netsurgery.graph import shapes as rule
from netsurgery.graph.operators.operator import Attribute, Images, Operand, Operator
from netsurgery.graph.operators.parts import X

_GRID = (
    Attribute("exponent", "int", low=-rule.FARTHEST_EXPONENT),
    Attribute("bits", "int", 8, low=1),
    Attribute("signed", "flag", True),
    Attribute("axis", "int", 1, low=0),
)

FIXED_POINT = (
    Operator(
        "Quantize",
        155,
        (X, Operand("scale", constant=True, optional=True), Operand("shift", constant=True, optional=True)),
        _GRID,
        rule.quantize,
        "The nearest multiple of 2^exponent to x * scale + shift, of two equally near ones the even one, within "
        "±(2^(bits - 1) - 1) of them if `signed`, else from 0 to 2^bits - 1. Scale and shift (C,) belong to the "
        "entries of an axis; product and sum are rounded to float32, one after the other. NaN becomes the lowest "
        "number, zero is +0.",
        images=Images.APART_BEHIND_AXIS,
    ),
    Operator(
        "QuantizePlanes",
        157,
        (X, Operand("scale", constant=True), Operand("shift", constant=True, optional=True)),
        (*_GRID, Attribute("planes", "int", low=1)),
        rule.quantize_planes,
        "The sums of a layer of binary planes, on a grid: of `planes` neighbours along the axis, each times its scale, "
        "the sum, plus a shift, rounded and limited as Quantize says. Products and sums are rounded to float32, one "
        "after the other, from the first plane on.",
        images=Images.APART_BEHIND_AXIS,
    ),
)
