"""Layers: what has weights."""

from __future__ import annotations

from netsurgery.graph import shapes as rule
from netsurgery.graph.operators.operator import Attribute, Expected, Images, Operand, Operator, Work
from netsurgery.graph.operators.parts import BIAS, DILATIONS, PADS, STRIDES, X
from netsurgery.graph.value_types import WHOLE

LAYERS = (
    Operator(
        "Conv",
        1,
        (X, Operand("weight", constant=True, expected=Expected.KERNEL), BIAS),
        (STRIDES, PADS, DILATIONS, Attribute("groups", "int", 1, low=1)),
        rule.conv,
        "Cross-correlation of x (N, C, *S) with weight (O, C/groups, *K), plus bias (O,).",
        work=Work.LAYER,
        images=Images.APART,
    ),
    Operator(
        "Linear",
        3,
        (X, Operand("weight", constant=True, expected=Expected.MATRIX), BIAS),
        (),
        rule.linear,
        "x (..., I) times the transpose of weight (O, I), plus bias (O,).",
        work=Work.LAYER,
        images=Images.APART_IN_MATRICES,
    ),
    Operator(
        "Embedding",
        33,
        (Operand("x", types=WHOLE), Operand("weight", constant=True)),
        (),
        rule.embedding,
        "Row x of weight (V, F) for each entry of x, -V to V - 1; -1 is the last row.",
        images=Images.APART,
    ),
)
