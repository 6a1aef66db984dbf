"""Boxes: what detectors do with them, and how many of what was found there are."""

from __future__ import annotations

from netsurgery.graph import shapes as rule
from netsurgery.graph.operators.operator import Attribute, Gives, Operand, Operator
from netsurgery.graph.operators.parts import ANY, AXIS, INDICES, X
from netsurgery.graph.value_types import ValueType

BOXES = (
    Operator(
        "RoiAlign",
        134,
        (X, INDICES, Operand("boxes")),
        (
            Attribute("size", "ints", low=1),
            Attribute("count", "int", 0, low=0),
            Attribute("scale", "float", 1.0),
            Attribute("coordinates", "choice", "half_pixel", choices=("half_pixel", "asymmetric")),
            Attribute("mode", "choice", "mean", choices=("mean", "max")),
        ),
        rule.roi_align,
        "Of each box (left, top, right, bottom, times scale) in the image that its index names, `size` bins of the "
        "mean of count x count bilinear samples, or of as many as a bin has entries (0). max takes the largest share "
        "of a neighbour instead, weight times entry, as ONNX has it. Samples further than 1 outside of x are 0, as is "
        "a box with NaN or a number beyond 2^22. With asymmetric coordinates boxes aren't moved by half an entry, and "
        "are at least 1 wide and high.",
    ),
    Operator(
        "NonMaxSuppression",
        135,
        (Operand("boxes"), Operand("scores")),
        (
            Attribute("result", "choice", "rows", choices=("rows", "count")),
            Attribute("count", "int", low=1),
            Attribute("threshold", "float", 0.0),
            Attribute("minimum", "float", float("-inf")),
            Attribute("order", "choice", "corners", choices=("corners", "center")),
        ),
        rule.non_max_suppression,
        "Of each image and class the best boxes, best first, `count` at most: those with a score above `minimum` whose "
        "intersection over union with none of the better ones that are kept is above the threshold. Boxes are two "
        "opposite corners, or center (x, y), width and height. Rows (image, class, box), and zeros in the place of "
        "those that there aren't; or how many there are.",
        gives=Gives.INT64,
    ),
    Operator(
        "FirstEntries",
        136,
        (ANY, Operand("count", types=(ValueType.INT64,))),
        (AXIS,),
        rule.first_entries,
        "x, of which the first `count` entries along the axis are there, as an output of the network, and no others. "
        "The count is an output as well, which only says that; one larger than the axis means all, one below 0 "
        "that many less than all.",
        gives=Gives.FIRST,
    ),
)
