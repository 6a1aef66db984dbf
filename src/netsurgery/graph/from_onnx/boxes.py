"""Translations of ONNX operators on boxes, grids and patches of pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.arithmetic import number
from netsurgery.graph.from_onnx.call import Call, Value, from_front, known
from netsurgery.graph.from_onnx.layers import windows
from netsurgery.graph.from_onnx.pictures import conv_transpose
from netsurgery.graph.from_onnx.places import as_value, counted
from netsurgery.graph.from_onnx.traced import Traced, at_least_zero
from netsurgery.graph.value_types import ValueType


def roi_align(call: Call) -> Value:
    """RoiAlign; before opset 16 boxes aren't moved by half an entry."""
    given = call.attributes
    mode = given.get("mode", "avg")
    if mode not in ("avg", "max"):
        raise UnsupportedOperatorError(f"pools by mode {mode!r}; avg and max are what there is")
    coordinates = given.get("coordinate_transformation_mode", "half_pixel") if call.opset >= 16 else ""
    return call.node(
        "RoiAlign",
        [call.x, call.operand(2), call.operand(1)],
        size=(given.get("output_height", 1), given.get("output_width", 1)),
        count=given.get("sampling_ratio", 0),
        scale=given.get("spatial_scale", 1.0),
        coordinates="half_pixel" if coordinates == "half_pixel" else "asymmetric",
        mode="mean" if mode == "avg" else "max",
    )


def affine_grid(call: Call) -> Value:
    """AffineGrid (theta, size): theta (N, D, D + 1) times the positions of all entries, the last axis first."""
    size = call.numbers(1, "size")
    spatial = [_known_size(number) for number in size[2:]]
    corners = bool(call.attributes.get("align_corners", 0))
    along = []
    for count in spatial:
        steps = np.linspace(-1.0, 1.0, count) if corners else (2 * np.arange(count) + 1) / count - 1
        along.append(steps if count > 1 or not corners else np.zeros(1))
    places = np.stack([*np.meshgrid(*along, indexing="ij")[::-1], np.ones(spatial)], -1).reshape(-1, len(spatial) + 1)
    theta = call.node("Transpose", [call.x], order=(0, 2, 1))
    positions = call.node("MatMul", [known(places.astype(np.float32), "positions"), theta])
    return call.reshaped(positions, (call.x.shape[0], *spatial, len(spatial)))


def _known_size(size: int) -> int:
    if isinstance(size, Traced):
        raise UnsupportedOperatorError("makes a grid of an open size; fix it (input_shapes=, --input-shape)")
    return int(size)


def col2im(call: Call) -> Value:
    """Col2Im (N, C * product of the block, blocks): sums of blocks where they overlap, a transposed convolution."""
    image, block = (
        tuple(map(_known_size, call.numbers(place, role))) for place, role in ((1, "image_shape"), (2, "block_shape"))
    )
    count = len(image)
    strides, dilations = (tuple(call.attributes.get(name, ())) or (1,) * count for name in ("strides", "dilations"))
    pads = tuple(call.attributes.get("pads", ())) or (0,) * (2 * count)
    reach = [dilation * (size - 1) + 1 for dilation, size in zip(dilations, block, strict=True)]
    free = [image[i] + pads[i] + pads[count + i] - reach[i] for i in range(count)]
    blocks = [free[i] // strides[i] + 1 for i in range(count)]
    entries = int(np.prod(block))
    channels = int(call.x.shape[1]) // entries
    ones = np.tile(np.eye(entries, dtype=np.float32).reshape(entries, 1, *block), (channels, *(1,) * (count + 1)))
    x = call.reshaped(call.x, (call.x.shape[0], channels * entries, *blocks))
    attributes = {
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
        "group": channels,
        "output_padding": [free[i] - (blocks[i] - 1) * strides[i] for i in range(count)],
    }
    return conv_transpose(replace(call, operands=[x, known(ones, "patches")], attributes=attributes))


def center_crop_pad(call: Call) -> Value:
    """CenterCropPad (x, shape): as much is cut off, or added, at both ends; at an odd number, one more at the end."""
    x, rank = call.x, len(call.x.shape)
    axes = [from_front(axis, rank) for axis in call.attributes.get("axes", range(rank))]
    begins, ends = [0] * rank, [0] * rank
    for axis, wanted in zip(axes, call.numbers(1, "shape"), strict=True):
        more = wanted - x.shape[axis]
        begins[axis] = at_least_zero(more) // 2 - at_least_zero(-more) // 2
        ends[axis] = more - begins[axis]
    return call.node("Pad", [x], pads=(*begins, *ends))


def deformable_convolution(call: Call) -> Value:
    """DeformConv (x, weight, offset, bias, mask): each connection reads x beside its place, and some by a weight.

    What it reads is sampled for all places of the kernel at once (GridSample), and convolved by one pixel.
    """
    weight, offset = call.array(1, "weight"), call.operand(2)
    if len(call.x.shape) != 4:
        raise UnsupportedOperatorError(f"has {len(call.x.shape) - 2} spatial axes; netsurgery has 2")
    groups, own = call.attributes.get("offset_group", 1), windows(call, weight.shape[2:])
    channels, places = int(call.x.shape[1]) // groups, int(np.prod(weight.shape[2:]))
    batch, _, high, wide = offset.shape
    read = []
    for group in range(groups):
        x = _part(call, call.x, group, channels)
        moves = call.reshaped(_part(call, offset, group, 2 * places), (batch, places, 2, high, wide))
        grid = [_positions(call, moves, axis, weight.shape[2:], own) for axis in (1, 0)]
        sampled = call.node(
            "GridSample",
            [x, call.node("Concat", grid, axis=3)],
            mode="linear",
            padding="zeros",
            coordinates="half_pixel",
        )
        sampled = call.reshaped(sampled, (batch, channels, places, high, wide))
        if call.given(4):
            mask = call.reshaped(_part(call, call.operand(4), group, places), (batch, 1, places, high, wide))
            sampled = call.node("Mul", [sampled, mask])
        read.append(call.reshaped(sampled, (batch, channels * places, high, wide)))
    pixels = known(weight.reshape(weight.shape[0], -1, 1, 1), f"{call.operand(1).name}.pixels")
    bias = known(call.array(3, "bias"), call.operand(3).name) if call.given(3) else None
    x = read[0] if len(read) == 1 else call.node("Concat", read, axis=1)
    return call.node("Conv", [x, pixels, bias], groups=call.attributes.get("group", 1))


def _part(call: Call, x: Value, group: int, size: int) -> Value:
    """So many channels of x, those of a group."""
    if x.shape[1] == size:
        return x
    return call.node("Slice", [x], axis=1, start=group * size, stop=(group + 1) * size)


def _positions(
    call: Call, moves: Value, axis: int, kernel: tuple[int, ...], settings: dict[str, tuple[int, ...]]
) -> Value:
    """Where x is read along an axis, of -1 to 1: (N, places of the kernel * height, width, 1)."""
    batch, places, _, high, wide = moves.shape
    pads = settings["pads"] or (0,) * 4
    steps = np.arange(kernel[axis]) * settings["dilations"][axis] - int(pads[axis])
    begins = np.broadcast_to(steps[:, None] if axis == 0 else steps[None, :], kernel).reshape(1, places, 1, 1)
    count = call.as_type(counted(call, (high, wide)[axis]), ValueType.FLOAT32)
    along = call.reshaped(count, (1, 1, high, 1) if axis == 0 else (1, 1, 1, wide))
    strides = known(np.asarray(settings["strides"][axis], np.float32), "stride")
    at = call.node("Add", [call.node("Mul", [along, strides]), known(begins.astype(np.float32), "begins")])
    own = call.reshaped(call.node("Slice", [moves], axis=2, start=axis, stop=axis + 1), (batch, places, high, wide))
    at = call.node("Add", [at, own])
    size = call.as_type(as_value(call, call.x.shape[2 + axis]), ValueType.FLOAT32)
    middle = call.node("Add", [call.node("Mul", [at, number(2, "two")]), number(1, "one")])
    share = call.node("Sub", [call.node("Div", [middle, size]), number(1, "one")])
    return call.reshaped(share, (batch, places * high, wide, 1))
