"""Sums along axes: means, normalisation, softmax and the Walsh-Hadamard transform."""

from __future__ import annotations

from typing import Any

from netsurgery.graph import shapes as rule
from netsurgery.graph.operators.operator import Attribute, Expected, Images, Length, Operand, Operator, single
from netsurgery.graph.operators.parts import AXIS, X

_SCALE = Operand("scale", constant=True, optional=True, expected=Expected.FROM_AXIS)
_EPSILON = Attribute("epsilon", "float", single(1e-5))


def _over_axes(name: str, code: int, summary: str) -> Operator:
    """One number of all entries along some axes."""
    return Operator(
        name,
        code,
        (X,),
        (Attribute("axes", "ints", low=0, length=Length.ONE), Attribute("keepdims", "flag", True)),
        rule.over_axes,
        summary,
        images=Images.APART_OUTSIDE_AXES,
    )


REDUCTIONS = (
    Operator(
        "LayerNorm",
        18,
        (
            X,
            _SCALE,
            Operand("bias", constant=True, optional=True, expected=Expected.FROM_AXIS),
        ),
        (AXIS, _EPSILON),
        rule.layer_norm,
        "(x - mean) / sqrt(variance + epsilon) over all axes from `axis` on, times scale, plus bias.",
        images=Images.APART_BEHIND_AXIS,
    ),
    _over_axes("Mean", 19, "Mean over the axes."),
    Operator(
        "Softmax",
        21,
        (X,),
        (AXIS,),
        rule.along_axis,
        "exp(x) over its sum along the axis.",
        images=Images.APART_BEHIND_AXIS,
    ),
    Operator(
        "LogSoftmax",
        22,
        (X,),
        (AXIS,),
        rule.along_axis,
        "x minus the log of the sum of exp(x) along the axis.",
        images=Images.APART_BEHIND_AXIS,
    ),
    Operator(
        "Lrn",
        29,
        (X,),
        (
            Attribute("size", "int", low=1),
            Attribute("alpha", "float", single(1e-4)),
            Attribute("beta", "float", 0.75),
            Attribute("bias", "float", 1.0),
        ),
        rule.lrn,
        "x / (bias + alpha/size * sum of x² over channels c - floor((size-1)/2) .. c + ceil((size-1)/2)) ^ beta.",
        images=Images.APART,
    ),
    _over_axes("ReduceSum", 115, "Sum over the axes."),
    _over_axes("ReduceMax", 116, "Largest entry along the axes; NaN if one is."),
    _over_axes("ReduceMin", 117, "Smallest entry along the axes; NaN if one is."),
    _over_axes("ReduceProd", 118, "Product over the axes."),
    _over_axes("ReduceSumSquare", 119, "Sum of squares over the axes."),
    _over_axes("ReduceL2", 120, "Square root of the sum of squares over the axes."),
    Operator(
        "RmsNorm",
        122,
        (X, _SCALE),
        (AXIS, _EPSILON),
        rule.layer_norm,
        "x / sqrt(mean of x² + epsilon) over all axes from `axis` on, times scale.",
        images=Images.APART_BEHIND_AXIS,
    ),
    Operator(
        "WalshHadamard",
        156,
        (X,),
        (AXIS,),
        rule.walsh_hadamard,
        "Entry i along the axis is the sum of all entries j there, those with an odd number of ones in the binary "
        "digits of i & j taken away. The axis has a power of two of entries; twice in a row multiplies by that.",
        images=Images.APART_BEHIND_AXIS,
    ),
)

OF_WHOLE_NUMBERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ReduceSum": ("CumSum", {}),
    "ReduceMax": ("TopKValues", {"count": 1}),
    "ReduceMin": ("TopKValues", {"count": 1, "largest": False}),
}
"""What gives along an axis, last, what a reduction gives: floats don't hold all whole numbers."""


def halves(count: int) -> list[int]:
    """How many pairs are combined, step by step, until one of so many entries is left; of an odd number one waits."""
    steps = []
    while count > 1:
        count //= 2
        steps.append(count)
    return steps
