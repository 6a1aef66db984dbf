"""Shape rules: the shape of an operator's output from those of its inputs, or GraphError saying what doesn't fit.

Every rule takes (shapes of the operands, None where one is left out; attributes) and returns a shape. What would fit if
an axis were longer is a TooSmallError: an open axis may be refused for that, and for nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from netsurgery.errors import GraphError, TooSmallError

Shape = tuple[int, ...]
Shapes = Sequence[Any]  # of Shape, or None where an optional operand is left out
Attributes = Mapping[str, Any]

MOST_BITS = 24
"""Of numbers on a grid, their sign not counted: as many as a float32 holds."""
FARTHEST_EXPONENT = 100
"""Of a grid: its numbers, and products of them, are float32 that are far from subnormal."""


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise GraphError(sentence)


def _require_room(condition: bool, sentence: str) -> None:
    if not condition:
        raise TooSmallError(sentence)


def filled(values: Sequence[int], count: int, default: int, name: str) -> Shape:
    """An attribute with `count` numbers; the empty tuple stands for all of them at their default."""
    if len(values) == 0:
        return (default,) * count
    _require(len(values) == count, f"{name}={tuple(values)} has {len(values)} numbers, {count} are needed.")
    return tuple(values)


def same(shapes: Shapes, attributes: Attributes) -> Shape:
    """The shape of x."""
    return tuple(shapes[0])


def along_axis(shapes: Shapes, attributes: Attributes) -> Shape:
    """The shape of x; `axis` is below its rank."""
    _axis(shapes[0], attributes["axis"])
    return tuple(shapes[0])


def walsh_hadamard(shapes: Shapes, attributes: Attributes) -> Shape:
    """The shape of x, whose `axis` has a power of two of entries."""
    _axis(shapes[0], attributes["axis"])
    size = shapes[0][attributes["axis"]]
    _require(size & (size - 1) == 0, f"x has {size} entries along axis {attributes['axis']}; a power of two is needed.")
    return tuple(shapes[0])


def _axis(shape: Shape, axis: int) -> None:
    _require(0 <= axis < len(shape), f"axis {axis} doesn't exist in shape {shape}.")


def _spatial(shape: Shape) -> Shape:
    _require(3 <= len(shape) <= 5, f"x has shape {shape}; (N, C, *S) with one to three spatial axes is needed.")
    return shape[2:]


def conv(shapes: Shapes, attributes: Attributes) -> Shape:
    """(N, O, *T): x is (N, C, *S), weight (O, C/groups, *K), bias (O,); groups divides C and O.

    T = floor((S + begin + end - (dilations * (K - 1) + 1)) / strides) + 1 along each spatial axis, at least 1.
    """
    x, weight, bias = (*shapes, None)[:3]
    spatial, groups = _spatial(x), attributes["groups"]
    _require(len(weight) == len(x), f"weight has shape {weight}, x has shape {x}: they need as many axes.")
    _require(x[1] % groups == 0, f"{x[1]} input channels can't be shared by {groups} groups.")
    _require(weight[0] % groups == 0, f"{weight[0]} output channels can't be shared by {groups} groups.")
    _require(
        weight[1] == x[1] // groups,
        f"weight has shape {weight}: its second size must be {x[1] // groups} (channels of x / groups).",
    )
    _require(bias is None or tuple(bias) == (weight[0],), f"bias has shape {bias}, ({weight[0]},) is needed.")
    return (x[0], weight[0], *_windows(spatial, weight[2:], attributes, ceil=False))


def pool(shapes: Shapes, attributes: Attributes) -> Shape:
    """(N, C, *T): T as for Conv with K = kernel.

    With ceil_mode the quotient is rounded up, and a last window that would begin at or behind the end of S + begin is
    left out. No pad is as long as dilations * (K - 1) + 1.
    """
    spatial = _spatial(shapes[0])
    kernel = attributes["kernel"]
    _require(len(kernel) == len(spatial), f"kernel={kernel} has {len(kernel)} numbers, {len(spatial)} are needed.")
    pads = filled(attributes["pads"], 2 * len(spatial), 0, "pads")
    dilations = filled(attributes["dilations"], len(spatial), 1, "dilations")
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations, strict=True)]
    _require(
        all(pad < reach[index % len(reach)] for index, pad in enumerate(pads)),
        f"pads={pads}: a window of {kernel} could lie in padding alone.",
    )
    return (*shapes[0][:2], *_windows(spatial, kernel, attributes, ceil=attributes["ceil_mode"]))


def _windows(spatial: Shape, kernel: Shape, attributes: Attributes, *, ceil: bool) -> Shape:
    """How many windows fit along each spatial axis.

    With `ceil` a last window that hangs over the end counts if it begins before the end of input and leading padding.
    """
    count = len(spatial)
    strides = filled(attributes["strides"], count, 1, "strides")
    dilations = filled(attributes["dilations"], count, 1, "dilations")
    pads = filled(attributes["pads"], 2 * count, 0, "pads")
    result = []
    for axis, size in enumerate(spatial):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        free = size + pads[axis] + pads[count + axis] - reach
        fits = free >= 0 or (ceil and free > -strides[axis])
        _require_room(fits, f"a window of {reach} doesn't fit in shape {spatial}.")
        windows = (-(-free // strides[axis]) if ceil else free // strides[axis]) + 1
        if ceil and (windows - 1) * strides[axis] >= size + pads[axis]:
            windows -= 1
        result.append(windows)
    return tuple(result)


def adaptive_pool(shapes: Shapes, attributes: Attributes) -> Shape:
    """(N, C, *size) for x of (N, C, *S)."""
    spatial, size = _spatial(shapes[0]), attributes["size"]
    _require(len(size) == len(spatial), f"size={size} has {len(size)} numbers, {len(spatial)} are needed.")
    return (*shapes[0][:2], *size)


def linear(shapes: Shapes, attributes: Attributes) -> Shape:
    """(..., O): x is (..., I), weight (O, I), bias (O,)."""
    x, weight, bias = (*shapes, None)[:3]
    _require(len(x) >= 1 and len(weight) == 2, f"x has shape {x}, weight {weight}; (..., I) and (O, I) are needed.")
    _require(x[-1] == weight[1], f"x has {x[-1]} features, weight of shape {weight} takes {weight[1]}.")
    _require(bias is None or tuple(bias) == (weight[0],), f"bias has shape {bias}, ({weight[0]},) is needed.")
    return (*x[:-1], weight[0])


def matmul(shapes: Shapes, attributes: Attributes) -> Shape:
    """As numpy.matmul: (..., I, K) from a (..., I, J) and b (..., J, K), leading axes broadcast."""
    a, b = shapes
    _require(len(a) >= 1 and len(b) >= 1, f"shapes {a} and {b} can't be multiplied as matrices.")
    rows, left = (a[:-1], a[-1]) if len(a) == 1 else (a[-2:-1], a[-1])
    right, columns = (b[0], ()) if len(b) == 1 else (b[-2], b[-1:])
    _require(left == right, f"shapes {a} and {b} can't be multiplied as matrices.")
    return (*_broadcast(a[:-2], b[:-2]), *(() if len(a) == 1 else rows), *columns)


def broadcast(shapes: Shapes, attributes: Attributes) -> Shape:
    """All shapes aligned at their ends; along each axis sizes are equal, or 1."""
    return reduce(_broadcast, shapes)


def _broadcast(a: Shape, b: Shape) -> Shape:
    longer = max(len(a), len(b))
    pairs = list(zip((1,) * (longer - len(a)) + tuple(a), (1,) * (longer - len(b)) + tuple(b), strict=True))
    _require(all(p == q or 1 in (p, q) for p, q in pairs), f"shapes {tuple(a)} and {tuple(b)} don't broadcast.")
    return tuple(_larger(p, q) for p, q in pairs)


def _larger(p: int, q: int) -> int:
    """Of equal ones the one that follows an open axis, a kind of int: where it is 1, others of its sizes are not."""
    return q if q > p or (p == q and type(p) is int) else p


def integers(shapes: Shapes, attributes: Attributes) -> Shape:
    """`shape`; there are as many values as it has entries, or one."""
    shape, values = attributes["shape"], attributes["values"]
    count = math.prod(shape)
    _require(len(values) in (1, count), f"{len(values)} values don't fill shape {shape}.")
    return tuple(shape)


def concat(shapes: Shapes, attributes: Attributes) -> Shape:
    """The sum of sizes along `axis`; all other sizes are equal."""
    first, axis = tuple(shapes[0]), attributes["axis"]
    _axis(first, axis)
    for other in shapes[1:]:
        _require(
            len(other) == len(first) and all(p == q for i, (p, q) in enumerate(zip(first, other)) if i != axis),  # noqa: B905
            f"shapes {first} and {tuple(other)} can't be joined along axis {axis}.",
        )
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])


def reshape(shapes: Shapes, attributes: Attributes) -> Shape:
    """`shape`, 0 replaced by the size of x in the same place, -1 by what is left of the number of values."""
    x, said = tuple(shapes[0]), attributes["shape"]
    _require(said.count(-1) <= 1, f"shape={said} must hold -1 at most once.")
    _require(0 not in said[len(x) :], f"shape={said} has a 0 in a place that x of shape {x} doesn't have.")
    target = tuple(x[place] if size == 0 else size for place, size in enumerate(said))
    count, known = math.prod(x), math.prod(size for size in target if size != -1)
    fits = count % known == 0 if -1 in target else count == known
    _require(fits, f"{count} values of shape {x} don't fill shape {said}.")
    return tuple(count // known if size == -1 else size for size in target)


def transpose(shapes: Shapes, attributes: Attributes) -> Shape:
    """The sizes of x in the order of `order`, which names each axis once."""
    order = attributes["order"]
    _require(sorted(order) == list(range(len(shapes[0]))), f"order={order} must name each axis of {shapes[0]} once.")
    return tuple(shapes[0][axis] for axis in order)


def pad(shapes: Shapes, attributes: Attributes) -> Shape:
    """S + begin + end along each axis, at least 1 left of x.

    With mode reflect a pad is below what is left of x, with wrap at most that.
    """
    x, mode = shapes[0], attributes["mode"]
    pads = filled(attributes["pads"], 2 * len(x), 0, "pads")
    result = []
    for axis, size in enumerate(x):
        before, after = pads[axis], pads[len(x) + axis]
        left = size + min(before, 0) + min(after, 0)
        _require_room(left >= 1, f"pads={pads} cut all of axis {axis} of shape {x}.")
        furthest = max(before, after)
        _require_room(mode != "reflect" or furthest < left, f"pads={pads} reflect beyond axis {axis} of shape {x}.")
        _require_room(mode != "wrap" or furthest <= left, f"pads={pads} wrap beyond axis {axis} of shape {x}.")
        result.append(size + before + after)
    return tuple(result)


def cut(shapes: Shapes, attributes: Attributes) -> Shape:
    """ceil((stop - start) / step) along `axis`; start < stop <= the size there."""
    x, axis = shapes[0], attributes["axis"]
    _axis(x, axis)
    start, stop, step = attributes["start"], attributes["stop"], attributes["step"]
    sentence = f"start={start}, stop={stop} must lie inside axis {axis} of shape {x}."
    _require_room(start < stop <= x[axis], sentence)
    return (*x[:axis], -(-(stop - start) // step), *x[axis + 1 :])


def over_axes(shapes: Shapes, attributes: Attributes) -> Shape:
    """1 along each of `axes` with keepdims, those axes left out without."""
    x, axes = shapes[0], attributes["axes"]
    _require(len(axes) > 0 and len(set(axes)) == len(axes), f"axes={axes} must name at least one axis, each once.")
    for axis in axes:
        _axis(x, axis)
    if attributes["keepdims"]:
        return tuple(1 if axis in axes else size for axis, size in enumerate(x))
    return tuple(size for axis, size in enumerate(x) if axis not in axes)


def embedding(shapes: Shapes, attributes: Attributes) -> Shape:
    """(*S, F): x is (*S), weight (V, F)."""
    x, weight = shapes
    _require(len(weight) == 2, f"weight has shape {weight}; (V, F) is needed: a row for each number.")
    return (*x, weight[1])


def gather(shapes: Shapes, attributes: Attributes) -> Shape:
    """X's axes before `axis`, those of the indices, x's axes behind it."""
    x, indices = shapes
    axis = attributes["axis"]
    _axis(x, axis)
    return (*x[:axis], *indices, *x[axis + 1 :])


def gather_elements(shapes: Shapes, attributes: Attributes) -> Shape:
    """The shape of the indices, which have x's number of axes and are no longer than x along others than `axis`."""
    x, indices = shapes[:2]
    axis = attributes["axis"]
    _axis(x, axis)
    fits = len(x) == len(indices) and all(n <= m or i == axis for i, (m, n) in enumerate(zip(x, indices, strict=True)))
    _require(fits, f"indices of shape {tuple(indices)} have no place beside x of shape {tuple(x)}.")
    return tuple(indices)


def gather_nd(shapes: Shapes, attributes: Attributes) -> Shape:
    """The axes of the indices but the last, and x's behind those that the last one, a number for each, names."""
    x, indices = shapes
    shared = attributes["axes_in_common"]
    fits = len(indices) > shared and tuple(x[:shared]) == tuple(indices[:shared]) and len(x) >= shared + indices[-1]
    _require(fits, f"indices of shape {tuple(indices)} name no places of shape {tuple(x)} with {shared} in common.")
    return (*indices[:-1], *x[shared + indices[-1] :])


def scatter_elements(shapes: Shapes, attributes: Attributes) -> Shape:
    """The shape of x; indices and updates have one shape, as GatherElements takes it."""
    x, indices, updates = shapes
    gather_elements(shapes, attributes)
    _same_updates(updates, tuple(indices))
    return tuple(x)


def scatter_nd(shapes: Shapes, attributes: Attributes) -> Shape:
    """The shape of x; updates have the shape that GatherND gives for the indices."""
    x, indices, updates = shapes
    _same_updates(updates, gather_nd([x, indices], {"axes_in_common": 0}))
    return tuple(x)


def _same_updates(updates: Shape, needed: Shape) -> None:
    _require(tuple(updates) == needed, f"updates have shape {tuple(updates)}, {needed} is needed.")


def place_along_axis(shapes: Shapes, attributes: Attributes) -> Shape:
    """1 along `axis` with keepdims, that axis left out without."""
    x, axis = shapes[0], attributes["axis"]
    _axis(x, axis)
    return (*x[:axis], *((1,) if attributes["keepdims"] else ()), *x[axis + 1 :])


def top(shapes: Shapes, attributes: Attributes) -> Shape:
    """`count` along `axis`, at most the size there."""
    x, axis, count = shapes[0], attributes["axis"], attributes["count"]
    _axis(x, axis)
    _require_room(count <= x[axis], f"count={count} is more than axis {axis} of shape {tuple(x)} has.")
    return (*x[:axis], count, *x[axis + 1 :])


def stretch(shapes: Shapes, attributes: Attributes) -> Shape:
    """(*S, count): x is (*S)."""
    return (*shapes[0], attributes["count"])


def expand(shapes: Shapes, attributes: Attributes) -> Shape:
    """Sizes of x and `shape` aligned at their ends; along each axis sizes are equal, or one of them is 1."""
    return _broadcast(shapes[0], attributes["shape"])


def tile(shapes: Shapes, attributes: Attributes) -> Shape:
    """The sizes of x times `repeats`, which has a number for each axis."""
    x, repeats = shapes[0], attributes["repeats"]
    _require(len(repeats) == len(x), f"repeats={repeats} has {len(repeats)} numbers, {len(x)} are needed.")
    return tuple(size * count for size, count in zip(x, repeats, strict=True))


def triangle(shapes: Shapes, attributes: Attributes) -> Shape:
    """The shape of x, (..., rows, columns)."""
    _require(len(shapes[0]) >= 2, f"x has shape {shapes[0]}; (..., rows, columns) is needed.")
    return tuple(shapes[0])


def reverse(shapes: Shapes, attributes: Attributes) -> Shape:
    """The shape of x; `axes` names axes of it, each once."""
    axes = attributes["axes"]
    _require(len(axes) > 0 and len(set(axes)) == len(axes), f"axes={axes} must name at least one axis, each once.")
    for axis in axes:
        _axis(shapes[0], axis)
    return tuple(shapes[0])


def lrn(shapes: Shapes, attributes: Attributes) -> Shape:
    """The shape of x, (N, C, ...)."""
    _require(len(shapes[0]) >= 2, f"x has shape {shapes[0]}; (N, C, ...) is needed.")
    return tuple(shapes[0])


def layer_norm(shapes: Shapes, attributes: Attributes) -> Shape:
    """The shape of x; scale and bias have its sizes from `axis` on."""
    x, scale, bias = (*shapes, None, None)[:3]
    _axis(x, attributes["axis"])
    normal = tuple(x[attributes["axis"] :])
    for name, given in (("scale", scale), ("bias", bias)):
        _require(given is None or tuple(given) == normal, f"{name} has shape {given}, {normal} is needed.")
    return tuple(x)


def quantize(shapes: Shapes, attributes: Attributes) -> Shape:
    """The shape of x; scale and shift have a number for each entry of `axis`."""
    return _quantized(shapes, attributes, 1)


def quantize_planes(shapes: Shapes, attributes: Attributes) -> Shape:
    """The shape of x, but for one entry of `axis` in the place of `planes`; scale has one for each, shift for a sum."""
    return _quantized(shapes, attributes, attributes["planes"])


def _quantized(shapes: Shapes, attributes: Attributes, planes: int) -> Shape:
    x, scale, shift = (*shapes, None, None)[:3]
    axis = attributes["axis"]
    _axis(x, axis)
    _require(x[axis] % planes == 0, f"planes={planes} does not divide the {x[axis]} entries along axis {axis}.")
    made = x[axis] // planes
    for name, given, needed in (("scale", scale, (x[axis],)), ("shift", shift, (made,))):
        _require(given is None or tuple(given) == needed, f"{name} has shape {given}, {needed} is needed.")
    _require(attributes["exponent"] <= FARTHEST_EXPONENT, f"exponent={attributes['exponent']} is too far from 0.")
    bits, most = attributes["bits"], MOST_BITS + attributes["signed"]
    _require(bits - attributes["signed"] >= 1, f"bits={bits} leave none beside the sign.")
    _require(bits <= most, f"bits={bits} is not allowed: at most {most} are.")
    return (*x[:axis], made, *x[axis + 1 :])


def resize(shapes: Shapes, attributes: Attributes) -> Shape:
    """(N, C, *size) for x of (N, C, *S); scales are finite and above 0, or none.

    Without a size it is floor(S * scales), the product in float32, at least 1.
    """
    spatial, size, scales = _spatial(shapes[0]), attributes["size"], attributes["scales"]
    _require(len(size) > 0 or len(scales) > 0, "size and scales are both missing: one of them is needed.")
    _require(len(scales) in (0, len(spatial)), f"scales={scales} has {len(scales)} numbers, {len(spatial)} are needed.")
    _require(all(0 < scale < math.inf for scale in scales), f"scales={scales} must be finite numbers above 0.")
    _require(len(size) in (0, len(spatial)), f"size={size} has {len(size)} numbers, {len(spatial)} are needed.")
    if size:
        return (*shapes[0][:2], *size)
    scaled = [float(np.float32(old) * np.float32(scale)) for old, scale in zip(spatial, scales, strict=True)]
    _require_room(all(new >= 1 for new in scaled), f"scales={scales} leave nothing of shape {shapes[0]}.")
    _require(all(new < 2**31 for new in scaled), f"scales={scales} make too much of shape {shapes[0]}.")
    return (*shapes[0][:2], *(int(new) for new in scaled))


def interpolate(shapes: Shapes, attributes: Attributes) -> Shape:
    """As resize. With coordinates tf_crop_and_resize `roi` has two finite numbers for each spatial axis.

    With antialias and scales S * scales is at least 1/2, and size at most that plus 1.
    """
    roi, needed = attributes["roi"], 2 * (len(shapes[0]) - 2)
    crops = attributes["coordinates"] == "tf_crop_and_resize"
    _require(len(roi) == (needed if crops else 0), f"roi={roi} has {len(roi)} numbers, {needed * crops} are needed.")
    for name in ("roi", "alpha", "value"):
        numbers = roi if name == "roi" else (attributes[name],)
        _require(all(math.isfinite(number) for number in numbers), f"{name}={attributes[name]} must be finite.")
    result, scales = resize(shapes, attributes), attributes["scales"]
    if attributes["antialias"] and scales:  # or a few entries would be means of very many
        scaled = [size * scale for size, scale in zip(shapes[0][2:], scales, strict=True)]
        fits = all(one >= 0.5 and new <= one + 1 for one, new in zip(scaled, result[2:], strict=True))
        _require(fits, f"scales={scales} don't give {result} from {shapes[0]}, as antialias needs it.")
    return result


def grid_sample(shapes: Shapes, attributes: Attributes) -> Shape:
    """(N, C, *T) for x of (N, C, *S) and a grid of (N, *T, number of spatial axes)."""
    x, grid = shapes
    count = len(_spatial(x))
    fits = len(grid) == len(x) and grid[0] == x[0] and grid[-1] == count
    _require(fits, f"grid has shape {tuple(grid)}; ({x[0]}, *T, {count}) is needed for x of shape {tuple(x)}.")
    return (*x[:2], *grid[1:-1])


MOST_SAMPLES = 64
"""Of RoiAlign, along each side of a bin."""


def roi_align(shapes: Shapes, attributes: Attributes) -> Shape:
    """(R, C, *size) for x of (N, C, H, W), indices of (R,) and boxes of (R, 4); count is at most 64, scale finite."""
    x, indices, boxes = shapes
    size, count, scale = attributes["size"], attributes["count"], attributes["scale"]
    _require(len(x) == 4, f"x has shape {tuple(x)}; (N, C, H, W) is needed.")
    fits = len(boxes) == 2 and boxes[1] == 4 and tuple(indices) == (boxes[0],)
    _require(fits, f"boxes have shape {tuple(boxes)}, indices {tuple(indices)}; (R, 4) and (R,) are needed.")
    _require(len(size) == 2, f"size={size} has {len(size)} numbers, 2 are needed.")
    _require(count <= MOST_SAMPLES, f"count={count} must be at most {MOST_SAMPLES}.")
    _require(math.isfinite(scale), f"scale={scale} must be finite.")
    return (boxes[0], x[1], *size)


def non_max_suppression(shapes: Shapes, attributes: Attributes) -> Shape:
    """(N * C * min(count, B), 3), or (1,) for result `count`; boxes (N, B, 4), scores (N, C, B)."""
    boxes, scores = shapes
    fits = len(boxes) == 3 and boxes[2] == 4 and len(scores) == 3 and (boxes[0], boxes[1]) == (scores[0], scores[2])
    _require(fits, f"boxes have shape {tuple(boxes)}, scores {tuple(scores)}; (N, B, 4) and (N, C, B) are needed.")
    if attributes["result"] == "count":
        return (1,)
    return (scores[0] * scores[1] * min(attributes["count"], scores[2]), 3)


def first_entries(shapes: Shapes, attributes: Attributes) -> Shape:
    """The shape of x, whose entries along `axis` are as many as there may be; count is (1,)."""
    x, count = shapes
    _axis(x, attributes["axis"])
    _require(tuple(count) == (1,), f"count has shape {tuple(count)}; (1,) is needed.")
    return tuple(x)


def depth_to_space(shapes: Shapes, attributes: Attributes) -> Shape:
    """(N, C / B, *(S * blocks)) for x of (N, C, *S), B the product of blocks, which divides C."""
    x, blocks = shapes[0], _blocks(shapes[0], attributes)
    count = math.prod(blocks)
    _require(x[1] % count == 0, f"{x[1]} channels can't be shared by blocks of {blocks}.")
    return (x[0], x[1] // count, *(size * block for size, block in zip(x[2:], blocks, strict=True)))


def space_to_depth(shapes: Shapes, attributes: Attributes) -> Shape:
    """(N, C * B, *(S / blocks)) for x of (N, C, *S), B the product of blocks, each of which divides its size."""
    x, blocks = shapes[0], _blocks(shapes[0], attributes)
    pairs = list(zip(x[2:], blocks, strict=True))
    _require(all(size % block == 0 for size, block in pairs), f"shape {x} can't be cut in blocks of {blocks}.")
    return (x[0], x[1] * math.prod(blocks), *(size // block for size, block in pairs))


def _blocks(x: Shape, attributes: Attributes) -> Shape:
    blocks: Shape = attributes["blocks"]
    needed = len(_spatial(x))
    _require(len(blocks) == needed, f"blocks={blocks} has {len(blocks)} numbers, {needed} are needed.")
    return blocks
