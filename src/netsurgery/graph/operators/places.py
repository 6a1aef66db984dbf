"""Places: entries that are picked, or put, where whole numbers say, and where the largest ones are."""

from __future__ import annotations

from netsurgery.graph import shapes as rule
from netsurgery.graph.operators.operator import Attribute, Gives, Images, Operand, Operator
from netsurgery.graph.operators.parts import ANY, AXIS, INDICES
from netsurgery.graph.value_types import ALL_TYPES, NUMBERS

_NUMBERS = Operand("x", types=NUMBERS)
_BOTH = (Operand("x", types=ALL_TYPES, alike=True), INDICES, Operand("updates", types=ALL_TYPES, alike=True))
_REDUCTION = Attribute(
    "reduction", "choice", "none", choices=("none", "add", "mul", "max", "min"), onnx="reduction", onnx_default="none"
)
_PLACE = (
    AXIS,
    Attribute("keepdims", "flag", True, onnx="keepdims", onnx_default=1),
    Attribute("last", "flag", False, onnx="select_last_index", onnx_default=0),
)
_TOP = (AXIS, Attribute("count", "int", low=1, follows=1), Attribute("largest", "flag", True))
_FROM_END = "An index counts from the front, or below 0 from the end."

PLACES = (
    Operator(
        "Gather",
        55,
        (ANY, INDICES),
        (AXIS,),
        rule.gather,
        f"What stands at each of the indices along the axis of x. {_FROM_END}",
        gives=Gives.FIRST,
    ),
    Operator(
        "GatherElements",
        56,
        (ANY, INDICES),
        (AXIS,),
        rule.gather_elements,
        f"For each place of the indices the entry of x there, but at the index along the axis. {_FROM_END}",
        images=Images.APART_BEHIND_AXIS,
        gives=Gives.FIRST,
        onnx="GatherElements",
    ),
    Operator(
        "GatherND",
        57,
        (ANY, INDICES),
        (Attribute("axes_in_common", "int", 0, low=0, onnx="batch_dims", onnx_default=0),),
        rule.gather_nd,
        "What stands at the places of x that the last axis of the indices names, of the same entry of the axes in "
        f"common. {_FROM_END}",
        gives=Gives.FIRST,
        onnx="GatherND",
    ),
    Operator(
        "ScatterElements",
        58,
        _BOTH,
        (AXIS, _REDUCTION),
        rule.scatter_elements,
        "x, and each update at its own place, but at the index along the axis: in the place of what is there, or "
        f"combined with it, one after another; bools by or (add, max) and by and (mul, min). {_FROM_END}",
        images=Images.APART_BEHIND_AXIS,
        gives=Gives.FIRST,
        onnx="ScatterElements",
    ),
    Operator(
        "ScatterND",
        59,
        _BOTH,
        (_REDUCTION,),
        rule.scatter_nd,
        "x, and the updates at the places that the last axis of the indices names, as in ScatterElements.",
        gives=Gives.FIRST,
        onnx="ScatterND",
    ),
    Operator(
        "ArgMax",
        60,
        (_NUMBERS,),
        _PLACE,
        rule.place_along_axis,
        "The first place of the largest entry along the axis, or the last one; NaN is larger than all else.",
        images=Images.APART_BEHIND_AXIS,
        gives=Gives.INT64,
        onnx="ArgMax",
    ),
    Operator(
        "ArgMin",
        61,
        (_NUMBERS,),
        _PLACE,
        rule.place_along_axis,
        "The first place of the smallest entry along the axis, or the last one; NaN is smaller than all else.",
        images=Images.APART_BEHIND_AXIS,
        gives=Gives.INT64,
        onnx="ArgMin",
    ),
    Operator(
        "TopKValues",
        62,
        (_NUMBERS,),
        _TOP,
        rule.top,
        "The `count` largest entries along the axis, largest first, or the smallest, smallest first; NaN is the "
        "largest.",
        images=Images.APART_BEHIND_AXIS,
        gives=Gives.FIRST,
    ),
    Operator(
        "TopKIndices",
        63,
        (_NUMBERS,),
        _TOP,
        rule.top,
        "Where the entries of TopKValues stand; of equal ones the first comes first.",
        images=Images.APART_BEHIND_AXIS,
        gives=Gives.INT64,
    ),
    Operator(
        "CumSum",
        64,
        (_NUMBERS,),
        (AXIS, Attribute("exclusive", "flag", False), Attribute("reverse", "flag", False)),
        rule.along_axis,
        "Sums of all entries along the axis up to each one, or before it; in reverse from the end.",
        images=Images.APART_BEHIND_AXIS,
        gives=Gives.FIRST,
    ),
)
