"""Translations of ATen's operators that only move values: views, parts, joins, padding."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TypeAlias

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.extents import Number, larger, rounded_up, smaller
from netsurgery.graph.from_torch.call import FIX, Activation, Call, Constant, Open, Sizes, in_a_row
from netsurgery.graph.from_torch.recurrent import last_step
from netsurgery.graph.value_types import ValueType

Outputs: TypeAlias = tuple[str | None, ...]
INT64_MAX = 2**63 - 1


def view(call: Call) -> str:
    """aten.view, reshape, squeeze, unsqueeze, flatten: the output's shape says everything."""
    return call.reshaped(call.promoted(), call.sizes(call.first), call.shape)


def permute(call: Call) -> str:
    """aten.permute."""
    return call.transposed(call.promoted("self"), call.axes("dims"))


def transpose(call: Call) -> str:
    """aten.transpose."""
    order = list(range(len(call.shape)))
    first, second = call.axes("dim0")[0], call.axes("dim1")[0]
    order[first], order[second] = second, first
    return call.transposed(call.promoted("self"), order)


def matrix_transpose(call: Call) -> str:
    """aten.t."""
    return call.transposed(call.promoted("self"), range(len(call.shape))[::-1])


def expand(call: Call) -> str:
    """aten.expand and expand_as."""
    before, after = call.sizes("self"), call.shape
    padded = (1,) * (len(after) - len(before)) + before
    if isinstance(call.arguments["self"], Activation) and before == after:
        return call.promoted("self")
    wanted = tuple(1 if old == new else call.extent(new) for old, new in zip(padded, after, strict=True))
    return call.node("Expand", [call.promoted("self")], shape=wanted)


def repeat(call: Call) -> str:
    """aten.repeat and tile: so many times one after another, along new axes in front, too."""
    before = call.sizes("self")
    counts = tuple(call.extent(count) for count in call.arguments["repeats" if call.given("repeats") else "dims"])
    counts = (1,) * (len(before) - len(counts)) + counts
    padded = (1,) * (len(counts) - len(before)) + before
    x = call.reshaped(call.promoted("self"), before, padded, "padded")
    return call.node("Tile", [x], repeats=counts)


def flip(call: Call) -> str:
    """aten.flip."""
    return call.node("Reverse", [call.promoted("self")], axes=call.axes("dims"))


def roll(call: Call) -> str:
    """aten.roll: what leaves an axis at one end comes back at the other; without axes, of the values in a row."""
    x, shape = call.promoted("self"), call.shape
    shifts = call.arguments["shifts"]
    axes = call.arguments["dims"]
    if not axes:
        row = in_a_row(shape)
        return call.reshaped(_rolled(call, call.reshaped(x, shape, row, "row"), row[0], 0, shifts[0]), row, shape)
    for axis, shift in zip(call.axes("dims"), shifts, strict=True):
        x = _rolled(call, x, shape[axis], axis, shift)
    return x


def _rolled(call: Call, x: str, size: int | Open, axis: int, shift: int | Open) -> str:
    if isinstance(size, int) and isinstance(shift, int):
        start = -shift % max(size, 1)
        if start == 0:
            return x
        tail = call.node("Slice", [x], "tail", axis=axis, start=start, stop=size)
        head = call.node("Slice", [x], "head", axis=axis, start=0, stop=start)
        return call.node("Concat", [tail, head], axis=axis)
    length = call.size_value(size)
    places = call.node("Range", [call.placed(0.0, "first")], "places", count=call.extent(size))
    come_from = call.node("Sub", [places, call.placed(shift, "shift", ValueType.FLOAT32)], "moved")
    index = call.node("Cast", [call.node("Remainder", [come_from, length], "come_from")], "index", type="int64")
    return call.node("Gather", [x, index], axis=axis)


def windows(call: Call) -> str:
    """aten.unfold: pieces of an axis, so many entries apart, their entries along a new last axis."""
    axis, size, step = call.axis("dimension"), call.number("size"), call.number("step")
    length = call.sizes("self")[axis]
    within = Constant(torch.arange(size), f"{call.name}.within")
    if isinstance(length, int):
        first = torch.arange(0, length - size + 1, step)
        places = call.placed(Constant(first[:, None] + within.tensor, f"{call.name}.places"), "places", ValueType.INT64)
    else:
        count = (call.extent(length) - size) // step + 1
        starts = call.node("Range", [call.placed(0.0, "first")], "starts", count=count, scale=float(step))
        column = call.node("Reshape", [starts], "column", shape=(-1, 1))
        places = call.node("Add", [column, call.placed(within)], "sums")
        places = call.node("Cast", [places], "places", type="int64")
    pieces = call.node("Gather", [call.promoted("self"), places], "pieces", axis=axis)
    return call.transposed(pieces, [place for place in range(len(call.shape)) if place != axis + 1] + [axis + 1])


def fill(call: Call) -> str:
    """aten.fill: the shape of the first, the number of the second."""
    number = call.operand_as("value", call.kind)
    return call.expanded(number, call.shape)


def copied(call: Call) -> str:
    """aten.copy: the second in the shape and the type of the first."""
    x = call.operand_as("src", call.kind)
    if call.sizes("src") == call.shape:
        return x
    return call.expanded(x, call.shape)


def put(call: Call) -> str:
    """aten.slice_scatter and select_scatter: a tensor with another in the place of a slice or of one entry."""
    axis, shape = call.axis(), call.shape
    whole = call.extent(shape[axis])
    if "index" in call.arguments:
        index = call.number("index")
        start = index if index >= 0 else whole + index
        stop: Number = start + 1
        one = (*shape[:axis], 1, *shape[axis + 1 :])
        part = call.reshaped(call.operand_as("src", call.kind), call.sizes("src"), one, "part")
    else:
        if call.number("step") != 1:
            return _put_in_steps(call, axis, call.number("step"))
        start = _place(call.whole_number("start"), whole, 0)
        stop = _place(call.whole_number("end"), whole, whole)
        part = call.operand_as("src", call.kind)
    x = call.promoted()
    before = [] if start == 0 else [call.node("Slice", [x], "before", axis=axis, start=0, stop=start)]
    after = [] if stop == whole else [call.node("Slice", [x], "after", axis=axis, start=stop, stop=whole)]
    return call.node("Concat", [*before, part, *after], axis=axis)


def _put_in_steps(call: Call, axis: int, step: int) -> str:
    """aten.slice_scatter with a step: each entry of the axis is taken out of both, one after the other."""
    shape, whole = call.shape, call.extent(call.shape[axis])
    start, stop = (_place(call.whole_number(name), whole, other) for name, other in (("start", 0), ("end", whole)))
    zero = call.placed(0.0, "zero")
    places = call.node("Range", [zero], "places", count=whole)
    apart = call.node("Sub", [places, call.size_value(start)], "apart")
    quotient = call.node("Floor", [call.node("Div", [apart, call.placed(float(step), "step")], "quotient")], "number")
    product_of = call.node("Mul", [quotient, call.placed(float(step), "step")], "product")
    on_step = call.node("Equal", [product_of, apart], "on_step")
    inside = call.node("GreaterOrEqual", [apart, zero], "behind_start")
    inside = call.node("And", [inside, call.node("Less", [places, call.size_value(stop)], "before_stop")], "inside")
    put_there = call.node("And", [on_step, inside], "put")
    count = rounded_up(stop - start, step)
    held = call.node("Min", [call.node("Max", [quotient, zero], "from_first"), call.size_value(count - 1)], "held")
    part = call.operand_as("src", call.kind)
    taken = call.node("Gather", [part, call.node("Cast", [held], "index", type="int64")], "taken", axis=axis)
    column = call.node("Reshape", [put_there], "where", shape=(-1, *[1] * (len(shape) - axis - 1)))
    return call.node("Where", [column, taken, call.promoted()])


def diagonal(call: Call) -> str:
    """aten.diagonal: one entry of each row, the rows last."""
    sizes = call.sizes("self")
    rows, columns = (call.axes(name)[0] for name in ("dim1", "dim2"))
    offset = call.number("offset")
    order = [place for place in range(len(sizes)) if place not in (rows, columns)]
    if offset < 0:
        rows, columns, offset = columns, rows, -offset
    x = call.transposed(call.promoted("self"), [*order, rows, columns], "matrices")
    places = [
        call.node("Range", [call.placed(float(first), "first")], "places", count=call.extent(sizes[axis]))
        for axis, first in ((rows, offset), (columns, 0))
    ]
    column = call.node("Reshape", [places[0]], "column", shape=(-1, 1))
    picked = call.node("Equal", [column, places[1]], "picked")
    alone = call.node("Where", [picked, x, call.placed(0, "zero", call.kind)], "alone")
    axes = (len(sizes) - 1,)
    if call.kind is ValueType.FLOAT32:
        entries = call.node("ReduceSum", [alone], "entries", axes=axes, keepdims=False)
    else:
        raise UnsupportedOperatorError("takes the diagonal of whole numbers")
    stop = call.extent(call.shape[-1])
    return call.node("Slice", [entries], axis=len(order), start=0, stop=stop)


def grid(call: Call) -> Outputs:
    """aten.meshgrid: each row along an axis of its own; with `xy` the first two change places."""
    tensors = list(call.arguments["tensors"])
    swapped = call.arguments.get("indexing") == "xy" and len(tensors) > 1
    made = []
    for number, tensor in enumerate(tensors):
        place = 1 - number if swapped and number < 2 else number
        shape = tuple(-1 if axis == place else 1 for axis in range(len(tensors)))
        row = call.node("Reshape", [call.placed(tensor, "row", call.types[number])], "row", shape=shape)
        made.append(call.expanded(row, call.shape, "grid"))
    return tuple(made)


def triangle(*, upper: bool) -> Callable[[Call], str]:
    """aten.tril and triu."""
    return lambda call: call.node("Trilu", [call.promoted("self")], upper=upper, diagonal=call.whole_number("diagonal"))


def filled(value: float | None = None) -> Callable[[Call], str]:
    """aten.full, zeros, ones and their kin, whose sizes follow open axes: a number, broadcast."""

    def translate(call: Call) -> str:
        given = call.arguments["fill_value"] if value is None else value
        if isinstance(given, Open):
            return call.expanded(call.placed(given, "number", call.kind), call.shape)
        filling = call.number("fill_value") if value is None else value
        if call.kind is ValueType.FLOAT32:
            number = call.placed(filling, "number", ValueType.FLOAT32)
        else:
            number = call.placed(filling, "number", call.kind)
        if not call.shape:
            return call.reshaped(number, (), ())
        return call.expanded(number, call.shape)

    return translate


def stretch(call: Call) -> str:
    """aten.arange, of a length that follows open axes."""
    if isinstance(call.arguments.get("step"), Open):
        return _open_steps(call)
    step = call.number("step") if "step" in call.arguments else 1
    first = call.placed(call.arguments.get("start", 0), "first", ValueType.FLOAT32)
    whole = call.kind is not ValueType.FLOAT32
    places = call.node("Range", [first], "places" * whole, count=call.extent(call.shape[0]), scale=float(step))
    return call.node("Cast", [places], type=str(call.kind)) if whole else places


def _open_steps(call: Call) -> str:
    count = call.extent(call.shape[0])
    numbers = call.node("Range", [call.placed(0.0, "zero")], "numbers", count=count)
    kind = ValueType.FLOAT32 if call.kind is ValueType.FLOAT32 else ValueType.INT64
    steps = call.placed(call.arguments["step"], "step", kind)
    whole = numbers if kind is ValueType.FLOAT32 else call.node("Cast", [numbers], "whole", type=str(kind))
    product_of = call.node("Mul", [whole, steps], "steps")
    start = call.arguments.get("start", 0)
    x = product_of if start == 0 else call.node("Add", [product_of, call.placed(start, "start", kind)], "places")
    return x if kind is call.kind else call.node("Cast", [x], type=str(call.kind))


def concatenate(call: Call) -> str:
    """aten.cat. What has no entries adds nothing, as the state of a decoder before its first word; torch has it so."""
    axis = call.arguments["dim"] % len(call.shape)
    tensors = [one for one in call.arguments["tensors"] if one.shape != (0,) and one.shape[axis] != 0]
    names = [call.placed(tensor, "part", call.kind) for tensor in tensors]
    return names[0] if len(names) == 1 else call.node("Concat", names, axis=axis)


def stack(call: Call) -> str:
    """aten.stack: each gets an axis of one, then they are joined along it."""
    axis = call.arguments["dim"] % len(call.shape)
    one = (*call.shape[:axis], 1, *call.shape[axis + 1 :])
    names = [
        call.reshaped(call.placed(tensor, "part", call.kind), tensor.shape, one, "part")
        for tensor in call.arguments["tensors"]
    ]
    return call.node("Concat", names, axis=axis)


def cut(call: Call) -> str:
    """aten.slice."""
    axis = call.axis()
    start, stop, step = (call.whole_number(name) for name in ("start", "end", "step"))
    size = call.extent(call.sizes("self")[axis])
    if not isinstance(step, int):
        raise UnsupportedOperatorError(f"takes a step that follows open axes; {FIX}")
    begin, start, stop = start, _place(start, size, 0), _place(stop, size, size)
    length = call.shape[axis]
    if call.cuts_whole and isinstance(length, int) and not isinstance(size, int) and step == 1:
        start, stop = _with_room(begin, start, stop, length, size)
    if start == 0 and step == 1 and stop == size:
        return call.promoted("self")
    return call.node("Slice", [call.promoted("self")], axis=axis, start=start, stop=stop, step=step)


def _place(bound: Number | None, size: Number, default: Number) -> Number:
    """A bound of a slice, from the front and inside an axis."""
    if bound is None:
        return default
    if isinstance(bound, int) and bound >= INT64_MAX:
        return size
    if bound == 0:
        return 0
    behind = larger(size + bound, 0) if (isinstance(bound, int) and bound < 0) or _is_negative(bound) else bound
    return smaller(behind, size)


def _with_room(begin: Number | None, start: Number, stop: Number, length: int, size: Number) -> tuple[Number, Number]:
    """The bounds of a slice so long, counted from where it begins in an axis, or from its end.

    begin: where, as the model says it; start, stop: its bounds, kept inside of the axis.
    """
    if isinstance(begin, int) and begin < 0:
        return size + begin, size + begin + length
    if isinstance(start, int):
        return start, start + length
    return (size - length, size) if stop == size else (start, start + length)


def _is_negative(bound: Number) -> bool:
    """Whether a bound that follows axes is below zero at all their sizes."""
    below = -1 - bound
    lowest = below if isinstance(below, int) else below.lowest()
    return lowest is not None and lowest >= 0


def select(call: Call) -> str:
    """aten.select: a slice of one, without its axis."""
    axis = call.axis()
    whole, index = call.sizes("self")[axis], call.whole_number("index")
    if index is None:
        raise UnsupportedOperatorError("names no entry")
    if isinstance(whole, Open) and index == -1 and (last := last_step(call, axis)) is not None:
        return last
    return _entry(call, axis, call.extent(whole) + index if _is_negative(index) else index)


def unbind(call: Call) -> Outputs:
    """aten.unbind."""
    axis = call.axis()
    (size,) = call.known((call.sizes("self")[axis],))
    return tuple(_entry(call, axis, index) if index in call.used else None for index in range(size))


def _entry(call: Call, axis: int, index: Number) -> str:
    before = call.sizes("self")
    part = call.node("Slice", [call.promoted("self")], "entry", axis=axis, start=index, stop=index + 1)
    return call.reshaped(part, (*before[:axis], 1, *before[axis + 1 :]), (*before[:axis], *before[axis + 1 :]))


def split(call: Call) -> Outputs:
    """aten.split and split_with_sizes: parts of one size, or of those given; what nothing reads is not made."""
    axis = call.axis()
    size = call.extent(call.sizes("self")[axis])
    wanted = call.arguments["split_sizes" if call.given("split_sizes") else "split_size"]
    if isinstance(wanted, Sequence):
        parts = [call.extent(part) for part in wanted]
        ends = list(accumulate(parts, lambda one, other: one + other))
        starts = [0, *ends[:-1]]
    else:
        each = call.extent(wanted)
        starts = [each * index for index in range(max(call.used, default=-1) + 1)]
        ends = [smaller(start + each, size) for start in starts]
    x = call.promoted("self")
    return tuple(
        call.node("Slice", [x], axis=axis, start=start, stop=end) if index in call.used else None
        for index, (start, end) in enumerate(zip(starts, ends, strict=True))
    )


def chunk(call: Call) -> Outputs:
    """aten.chunk: so many parts of one size, the last of them perhaps smaller; fewer where these are all."""
    axis = call.axis()
    (size,) = call.known(call.sizes("self")[axis : axis + 1])
    each = max(1, math.ceil(size / call.arguments["chunks"]))
    x = call.promoted("self")
    return tuple(
        call.node("Slice", [x], axis=axis, start=start, stop=min(start + each, size)) if index in call.used else None
        for index, start in enumerate(range(0, max(size, 1), each))
    )


def pad(mode: str = "") -> Callable[[Call], str]:
    """aten.pad (mode by name), constant_pad_nd, reflection_pad, replication_pad. torch begins with the last axis."""
    names = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}

    def translate(call: Call) -> str:
        rank = len(call.shape)
        given = call.arguments["pad" if call.given("pad") else "padding"]
        before: list[Number] = [0] * rank
        after: list[Number] = [0] * rank
        for index in range(len(given) // 2):
            before[rank - 1 - index], after[rank - 1 - index] = map(call.extent, given[2 * index : 2 * index + 2])
        if not any(before) and not any(after):
            return call.promoted()
        value = float(call.number("value")) if call.given("value") else 0.0
        kind = mode or names[call.arguments["mode"]]
        return call.node("Pad", [call.promoted()], pads=(*before, *after), mode=kind, value=value)

    return translate


def pixel_shuffle(call: Call) -> str:
    """aten.pixel_shuffle: (N, C*r*r, H, W) -> (N, C, H*r, W*r)."""
    return call.node("DepthToSpace", [_images(call)], blocks=(call.arguments["upscale_factor"],) * 2)


def pixel_unshuffle(call: Call) -> str:
    """aten.pixel_unshuffle: (N, C, H*r, W*r) -> (N, C*r*r, H, W)."""
    return call.node("SpaceToDepth", [_images(call)], blocks=(call.arguments["downscale_factor"],) * 2)


def channel_shuffle(call: Call) -> str:
    """aten.channel_shuffle: channels (groups, C/groups) -> (C/groups, groups)."""
    before, groups = call.sizes("self"), call.arguments["groups"]
    (channels,) = call.known(before[1:2])
    order = (0, 2, 1, *range(3, len(before) + 1))
    return _through(call, before, (before[0], groups, channels // groups, *before[2:]), order)


def _images(call: Call) -> str:
    if len(call.sizes("self")) != 4:
        raise UnsupportedOperatorError("4 axes are needed, the first of them the batch")
    return call.promoted("self")


def _through(call: Call, before: Sizes, split_up: Sizes, order: tuple[int, ...]) -> str:
    parts = call.reshaped(call.promoted("self"), before, split_up, "parts")
    moved = call.transposed(parts, order, "moved")
    return call.reshaped(moved, tuple(split_up[axis] for axis in order), call.shape)
