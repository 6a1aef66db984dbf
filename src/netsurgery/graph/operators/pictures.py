"""Pictures: pools, resizing, and channels that become pixels."""

from __future__ import annotations

from netsurgery.graph import shapes as rule
from netsurgery.graph.operators.operator import Attribute, Images, Length, Operand, Operator, Work
from netsurgery.graph.operators.parts import CEIL_MODE, DILATIONS, KERNEL, PADS, STRIDES, X

_SIZE = Attribute("size", "ints", (), low=1, follows=1)
_SCALES = Attribute("scales", "floats", ())
_COORDINATES = ("asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners", "half_pixel_symmetric")
_ORDER = Attribute("order", "choice", "crd", choices=("crd", "dcr"))

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
            _SIZE,
            _SCALES,
            Attribute("coordinates", "choice", "asymmetric", choices=_COORDINATES),
            Attribute(
                "rounding",
                "choice",
                "floor",
                choices=("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"),
            ),
        ),
        rule.resize,
        "Nearest neighbour to `size` (spatial; by default floor(S * scales)); scales (output / input, default size / "
        "S), coordinates and rounding as ONNX names them.",
        work=Work.SPATIAL,
        images=Images.APART,
        moves=True,
    ),
    Operator(
        "DepthToSpace",
        130,
        (X,),
        (Attribute("blocks", "ints", low=1), _ORDER),
        rule.depth_to_space,
        "(N, B*C, *S) to (N, C, *(S * blocks)), B the product of blocks. Channels are C x B "
        "with order crd, B x C with dcr.",
        images=Images.APART,
        moves=True,
    ),
    Operator(
        "SpaceToDepth",
        131,
        (X,),
        (Attribute("blocks", "ints", low=1), _ORDER),
        rule.space_to_depth,
        "The inverse of DepthToSpace.",
        images=Images.APART,
        moves=True,
    ),
    Operator(
        "Interpolate",
        132,
        (X,),
        (
            _SIZE,
            _SCALES,
            Attribute("coordinates", "choice", "half_pixel", choices=(*_COORDINATES, "tf_crop_and_resize")),
            Attribute("mode", "choice", "linear", choices=("linear", "cubic")),
            Attribute("alpha", "float", -0.75),
            Attribute("antialias", "flag", False),
            Attribute("exclude_outside", "flag", False),
            Attribute("roi", "floats", (), length=Length.TWICE_SPATIAL),
            Attribute("value", "float", 0.0),
        ),
        rule.interpolate,
        "Weighted means of neighbours along each spatial axis, linear or cubic, as ONNX's Resize; size, scales and "
        "coordinates as for Resize. alpha is the coefficient of cubic; roi (begins, then ends) and value, which stands "
        "outside of it, belong to tf_crop_and_resize.",
        work=Work.SPATIAL,
        images=Images.APART,
    ),
    Operator(
        "GridSample",
        133,
        (X, Operand("grid")),
        (
            Attribute(
                "mode",
                "choice",
                "linear",
                choices=("linear", "nearest", "cubic"),
                torch="interpolation_mode",
                torch_values=("linear", "nearest", "cubic"),
                onnx="mode",
                onnx_default="linear",
                onnx_values=(("linear", "linear"), ("bilinear", "linear"), ("cubic", "cubic"), ("bicubic", "cubic")),
            ),
            Attribute(
                "padding",
                "choice",
                "zeros",
                choices=("zeros", "border", "reflection"),
                torch="padding_mode",
                torch_values=("zeros", "border", "reflection"),
                onnx="padding_mode",
                onnx_default="zeros",
            ),
            Attribute(
                "coordinates",
                "choice",
                "half_pixel",
                choices=("half_pixel", "align_corners"),
                torch="align_corners",
                torch_values=("half_pixel", "align_corners"),
                onnx="align_corners",
                onnx_default=0,
                onnx_values=((0, "half_pixel"), (1, "align_corners")),
            ),
        ),
        rule.grid_sample,
        "x at the positions of the grid, each of which names a place along the spatial axes, the last axis first: -1 "
        "and 1 are the outer edges of the outermost entries, or with align_corners their middles. A weighted mean of "
        "neighbours, cubic with the coefficient -0.75, or the nearest one, of two the even one. Outside of x are "
        "zeros, the entry at its border, or its reflection; a position that is no number lies far before x.",
        work=Work.SPATIAL,
        images=Images.APART_IN_BROADCASTS,
        torch="grid_sampler.default grid_sampler_2d.default grid_sampler_3d.default",
        onnx="GridSample",
    ),
)
