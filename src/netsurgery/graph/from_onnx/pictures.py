"""Translations of ONNX operators on pictures: resizing, transposed convolution, channels that become pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import Call, Value, from_front, known
from netsurgery.graph.from_onnx.traced import Share, Traced
from netsurgery.graph.transposed_convolution import as_convolution


def resize(call: Call) -> Value:
    """Nearest neighbours or weighted means of them. Scales as given, or those that follow from the sizes."""
    mode = call.attributes.get("mode", "nearest")
    coordinates = call.attributes.get("coordinate_transformation_mode", "half_pixel")
    if mode not in ("nearest", "linear", "cubic"):
        raise UnsupportedOperatorError(f"resizes by mode {mode!r}; netsurgery has nearest, linear and cubic")
    if coordinates == "tf_half_pixel_for_nn" or (mode == "nearest" and coordinates == "tf_crop_and_resize"):
        raise UnsupportedOperatorError(f"uses coordinates {coordinates!r}; use 'half_pixel' or 'asymmetric'")
    old = call.x.shape
    axes = [from_front(axis, len(old)) for axis in call.attributes.get("axes", range(len(old)))]
    new, scales = _sizes_and_scales(call, [old[axis] for axis in axes])
    wanted = list(old)
    factors = [1.0] * len(old)
    for axis, number, scale in zip(axes, new, scales, strict=True):
        wanted[axis], factors[axis] = number, scale
    if tuple(wanted[:2]) != old[:2]:
        raise UnsupportedOperatorError(f"resizes {old} to {tuple(wanted)}; only spatial axes may change")
    attributes: dict[str, Any] = {"coordinates": coordinates}
    exact = [
        scale == int(number) / int(size) for scale, number, size in zip(factors[2:], wanted[2:], old[2:], strict=True)
    ]
    by_quotients = _by_scales(call) and call.operand(2).numbers is not None  # which are another scale at each size
    if by_quotients and not all(exact):
        raise UnsupportedOperatorError(
            "resizes by quotients of open sizes and by others; fix these sizes (input_shapes=, --input-shape)"
        )
    if not all(exact) or (_by_scales(call) and not by_quotients):
        attributes["scales"] = tuple(factors[2:])
    if not _by_scales(call) or by_quotients:
        attributes["size"] = tuple(wanted[2:])
    if mode == "nearest":
        rounding = call.attributes.get("nearest_mode", "round_prefer_floor")
        made = call.node("Resize", [call.x], rounding=rounding, **attributes)
        return replace(made, shape=tuple(wanted))
    if coordinates == "tf_crop_and_resize":
        attributes["roi"] = _roi(call, axes)
        attributes["value"] = call.attributes.get("extrapolation_value", 0.0)
    made = call.node(
        "Interpolate",
        [call.x],
        mode=mode,
        alpha=call.attributes.get("cubic_coeff_a", -0.75),
        antialias=call.attributes.get("antialias", 0),
        exclude_outside=call.attributes.get("exclude_outside", 0),
        **attributes,
    )
    return replace(made, shape=tuple(wanted))  # which know how they follow open axes


def _by_scales(call: Call) -> bool:
    return call.given(2) and call.array(2, "scales").size > 0


def _roi(call: Call, axes: Sequence[int]) -> tuple[float, ...]:
    """The part of x that is resized, for the spatial axes: begins, then ends, as shares of the size less 1."""
    given, rank = call.floats(1, "roi").reshape(2, -1), len(call.x.shape)
    begins, ends = [0.0] * rank, [1.0] * rank
    for number, axis in enumerate(axes):
        begins[axis], ends[axis] = float(given[0, number]), float(given[1, number])
    return (*begins[2:], *ends[2:])


def _sizes_and_scales(call: Call, old: Sequence[int]) -> tuple[Sequence[int], Sequence[float]]:
    """New size and scale for each axis that is resized."""
    if _by_scales(call):
        scales, traced = call.array(2, "scales").astype(np.float32), call.operand(2).numbers
        if traced is not None:
            own = traced.ravel().tolist()
            new = [_quotient(size, scale) for size, scale in zip(old, own, strict=True)]
            exact = [int(number) / int(size) for number, size in zip(new, old, strict=True)]
            return new, [
                share if isinstance(scale, Share) else float(scale) for share, scale in zip(exact, own, strict=True)
            ]
        factors = [float(scale) for scale in scales]
        return [_scaled(size, scale) for size, scale in zip(old, factors, strict=True)], factors
    sizes = list(call.numbers(3, "sizes"))
    exact = [int(number) / int(size) for number, size in zip(sizes, old, strict=True)]
    policy = call.attributes.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return sizes, exact
    scale = min(exact) if policy == "not_larger" else max(exact)
    return [math.floor(size * scale + 0.5) for size in old], [scale] * len(old)


def _quotient(size: int, scale: Any) -> int:
    """A size times a scale that may be a quotient of sizes, cut off: where one is divided out, the other is left."""
    if isinstance(scale, Share):
        return (size * scale.number) // scale.divisor
    return _scaled(size, float(scale))


def _scaled(size: int, scale: float) -> int:
    """A size times a scale, cut off. The product is rounded to float32 before that, as ONNX Runtime does it."""
    if isinstance(size, Traced) and (scale.is_integer() or (1 / scale).is_integer()):
        return math.floor(Share(size, 1) * scale)
    return int(np.float32(size) * np.float32(scale))


def depth_to_space(call: Call) -> Value:
    """Channels to pixels; ONNX's default is that blocks are the slower part of a channel's number."""
    size = call.attributes["blocksize"]
    return call.node("DepthToSpace", [call.x], blocks=(size, size), order=call.attributes.get("mode", "DCR").lower())


def space_to_depth(call: Call) -> Value:
    """Pixels to channels; ONNX's default is that blocks are the slower part of a channel's number."""
    size = call.attributes["blocksize"]
    return call.node("SpaceToDepth", [call.x], blocks=(size, size), order=call.attributes.get("mode", "DCR").lower())


def conv_transpose(call: Call) -> Value:
    """A Conv that makes every phase of the strides, DepthToSpace, and what is cut off."""
    weight = call.array(1, "weight")
    kernel, count = weight.shape[2:], len(weight.shape) - 2
    strides, dilations, padding = (
        tuple(call.attributes.get(name, ())) or (default,) * count
        for name, default in (("strides", 1), ("dilations", 1), ("output_padding", 0))
    )
    pads = _transposed_pads(call, kernel, strides, dilations, padding)
    way = as_convolution(kernel, strides, dilations, pads, padding, call.attributes.get("group", 1))
    operands = [call.x, known(way.weight(weight), f"{call.operand(1).name}.phases")]
    if call.given(2):
        operands.append(known(way.bias(call.array(2, "bias")), f"{call.operand(2).name}.phases"))
    x = call.node("Conv", operands, pads=way.pads, dilations=way.dilations, groups=way.groups)
    if way.blocks:
        x = call.node("DepthToSpace", [x], blocks=way.blocks)
    if way.crops:
        begins, ends = ([-crop for crop in part] for part in (way.crops[:count], way.crops[count:]))
        x = call.node("Pad", [x], pads=(0, 0, *begins, 0, 0, *ends))
    return x


def _transposed_pads(
    call: Call, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], padding: Sequence[int]
) -> tuple[int, ...]:
    """The pads as given, or those that lead to `output_shape`, or to strides * S with SAME_UPPER and SAME_LOWER."""
    count, automatic = len(kernel), call.attributes.get("auto_pad", "NOTSET")
    wanted = tuple(call.attributes.get("output_shape", ()))[-count:]
    if not wanted and automatic not in ("SAME_UPPER", "SAME_LOWER"):
        return (tuple(call.attributes.get("pads", ())) if automatic == "NOTSET" else ()) or (0,) * (2 * count)
    spatial = call.x.shape[2:]
    wanted = wanted or tuple(stride * size for stride, size in zip(strides, spatial, strict=True))
    total = [
        strides[i] * (spatial[i] - 1) + padding[i] + (kernel[i] - 1) * dilations[i] + 1 - wanted[i]
        for i in range(count)
    ]
    less, more = [free // 2 for free in total], [free - free // 2 for free in total]
    return (*less, *more) if automatic == "SAME_UPPER" else (*more, *less)
