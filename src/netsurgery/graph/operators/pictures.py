"""Pictures: pools and resizing."""

from __future__ import annotations

from netsurgery.graph import shapes as rule
from netsurgery.graph.operators.operator import Attribute, Images, Operator, Work
from netsurgery.graph.operators.parts import CEIL_MODE, DILATIONS, KERNEL, PADS, STRIDES, X

PICTURES = (
    Operator(
        "MaxPool",
        4,
        (X,),
        (KERNEL, STRIDES, PADS, DILATIONS, CEIL_MODE),
        rule.pool,
        "Largest value of each window; padding never wins.",
        work=Work.SPATIAL,
        images=Images.APART,
    ),
    Operator(
        "AdaptiveAveragePool",
        7,
        (X,),
        (Attribute("size", "ints", low=1, follows=1),),
        rule.adaptive_pool,
        "Means over windows floor(i*S/size) .. ceil((i+1)*S/size), so that `size` values remain; size 1 is global.",
        work=Work.SPATIAL,
        images=Images.APART,
    ),
    Operator(
        "AveragePool",
        15,
        (X,),
        (KERNEL, STRIDES, PADS, DILATIONS, CEIL_MODE, Attribute("count_include_pad", "flag", False)),
        rule.pool,
        "Mean of each window; padding counts as zeros with count_include_pad, and not at all without.",
        work=Work.SPATIAL,
        images=Images.APART,
    ),
    Operator(
        "AdaptiveMaxPool",
        31,
        (X,),
        (Attribute("size", "ints", low=1, follows=1),),
        rule.adaptive_pool,
        "Largest values over the same windows as AdaptiveAveragePool.",
        work=Work.SPATIAL,
        images=Images.APART,
    ),
    Operator(
        "Resize",
        27,
        (X,),
        (
            Attribute("size", "ints", low=1, follows=1),
            Attribute("scales", "floats", ()),
            Attribute(
                "coordinates",
                "choice",
                "asymmetric",
                choices=(
                    "asymmetric",
                    "half_pixel",
                    "pytorch_half_pixel",
                    "align_corners",
                    "half_pixel_symmetric",
                ),
            ),
            Attribute(
                "rounding",
                "choice",
                "floor",
                choices=("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"),
            ),
        ),
        rule.resize,
        "Nearest neighbour to `size` (spatial); scales (output / input, default size / S), coordinates and rounding "
        "as ONNX names them.",
        work=Work.SPATIAL,
        images=Images.APART,
        moves=True,
    ),
)
