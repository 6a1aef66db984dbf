"""Moves: entries that come out elsewhere, as they are."""

from __future__ import annotations

from netsurgery.graph import shapes as rule
from netsurgery.graph.operators.operator import LARGEST_INT, Attribute, Gives, Images, Length, Operand, Operator
from netsurgery.graph.operators.parts import ANY, AXIS, X
from netsurgery.graph.value_types import ALL_TYPES

MOVES = (
    Operator(
        "Reshape",
        5,
        (ANY,),
        (Attribute("shape", "ints", low=-1, length=Length.TWO, flattens=True, follows=1),),
        rule.reshape,
        "The same values in another shape. A size of 0 is that of x in the same place; one may be -1: what remains.",
        images=Images.APART,  # where the batch stays the first axis, which shapes tell
        moves=True,
        gives=Gives.FIRST,
    ),
    Operator(
        "Concat",
        9,
        (Operand("x", variadic=True, types=ALL_TYPES, alike=True),),
        (AXIS,),
        rule.concat,
        "All inputs, one after another.",
        images=Images.APART_BEHIND_AXIS,
        gives=Gives.FIRST,
    ),
    Operator(
        "Transpose",
        16,
        (ANY,),
        (Attribute("order", "ints", low=0, length=Length.RANK),),
        rule.transpose,
        "Output axis i is input axis order[i].",
        images=Images.APART_IN_ORDER,
        moves=True,
        gives=Gives.FIRST,
    ),
    Operator(
        "Slice",
        20,
        (ANY,),
        (
            AXIS,
            Attribute("start", "int", 0, low=0, follows=0),
            Attribute("stop", "int", low=1, follows=1),
            Attribute("step", "int", 1, low=1),
        ),
        rule.cut,
        "Entries start, start + step, ... below stop along the axis.",
        images=Images.APART_BEHIND_AXIS,
        moves=True,
        gives=Gives.FIRST,
    ),
    Operator(
        "Pad",
        26,
        (ANY,),
        (
            Attribute("pads", "ints", length=Length.TWICE_RANK, follows=-LARGEST_INT),
            Attribute("mode", "choice", "constant", choices=("constant", "reflect", "edge", "wrap")),
            Attribute("value", "float", 0.0),
        ),
        rule.pad,
        "Pads every axis (all begins, then all ends; a negative one cuts), as numpy.pad. With whole numbers "
        "and bools `value` is cut off towards zero.",
        images=Images.APART_UNPADDED,
        gives=Gives.FIRST,
    ),
    Operator(
        "Range",
        150,
        (X,),
        (Attribute("count", "int", low=1, follows=1), Attribute("scale", "float", 1.0)),
        rule.stretch,
        "For each entry of x, along a new last axis: x, x + scale, x + 2 * scale, ..., `count` of them.",
    ),
    Operator(
        "Expand",
        151,
        (ANY,),
        (Attribute("shape", "ints", low=1, length=Length.RANK, follows=1),),
        rule.expand,
        "x broadcast to a shape as in NumPy; where that has a size of 1, x keeps its own.",
        images=Images.APART_IN_BROADCASTS,
        moves=True,
        gives=Gives.FIRST,
    ),
    Operator(
        "Tile",
        152,
        (ANY,),
        (Attribute("repeats", "ints", low=1, length=Length.RANK, follows=1),),
        rule.tile,
        "x, so many times one after another along each axis.",
        moves=True,
        gives=Gives.FIRST,
    ),
    Operator(
        "Trilu",
        153,
        (ANY,),
        (
            Attribute("upper", "flag", False),
            Attribute("diagonal", "int", 0, follows=-LARGEST_INT),
        ),
        rule.triangle,
        "The triangle of each matrix (the last two axes) on and below a diagonal, or on and above it with `upper`; the "
        "other entries are 0. Diagonal d is column - row = d.",
        gives=Gives.FIRST,
    ),
    Operator(
        "Reverse",
        154,
        (ANY,),
        (Attribute("axes", "ints", low=0, length=Length.ONE),),
        rule.reverse,
        "x from its last entry to its first along each of `axes`.",
        images=Images.APART_OUTSIDE_AXES,
        moves=True,
        gives=Gives.FIRST,
    ),
)
