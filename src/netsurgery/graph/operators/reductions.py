"""Sums along axes: means, normalisation and softmax."""

from __future__ import annotations

from netsurgery.graph import shapes as rule
from netsurgery.graph.operators.operator import Attribute, Expected, Images, Length, Operand, Operator, single
from netsurgery.graph.operators.parts import AXIS, X

REDUCTIONS = (
    Operator(
        "LayerNorm",
        18,
        (
            X,
            Operand("scale", constant=True, optional=True, expected=Expected.FROM_AXIS),
            Operand("bias", constant=True, optional=True, expected=Expected.FROM_AXIS),
        ),
        (Attribute("axis", "int", low=0), Attribute("epsilon", "float", single(1e-5))),
        rule.layer_norm,
        "(x - mean) / sqrt(variance + epsilon) over all axes from `axis` on, times scale, plus bias.",
        images=Images.APART_BEHIND_AXIS,
    ),
    Operator(
        "Mean",
        19,
        (X,),
        (Attribute("axes", "ints", low=0, length=Length.ONE), Attribute("keepdims", "flag", True)),
        rule.mean,
        "Mean over the axes.",
        images=Images.APART_OUTSIDE_AXES,
    ),
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
)
