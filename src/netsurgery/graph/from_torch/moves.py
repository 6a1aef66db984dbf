"""Translations of ATen's operators that only move values: views, parts, joins, padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TypeAlias

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_torch.call import Activation, Call, Open, Sizes
from netsurgery.graph.from_torch.recurrent import last_step

Outputs: TypeAlias = tuple[str | None, ...]
INT64_MAX = 2**63 - 1


def view(call: Call) -> str:
    """aten.view, reshape, squeeze, unsqueeze, flatten: the output's shape says everything."""
    return call.reshaped(call.operand(call.first), call.sizes(call.first), call.shape)


def permute(call: Call) -> str:
    """aten.permute."""
    return call.transposed(call.operand("self"), call.axes("dims"))


def transpose(call: Call) -> str:
    """aten.transpose."""
    order = list(range(len(call.shape)))
    first, second = call.axes("dim0")[0], call.axes("dim1")[0]
    order[first], order[second] = second, first
    return call.transposed(call.operand("self"), order)


def matrix_transpose(call: Call) -> str:
    """aten.t."""
    return call.transposed(call.operand("self"), range(len(call.shape))[::-1])


def expand(call: Call) -> str:
    """aten.expand: nothing, or a multiplication by ones, which is exact."""
    before, after = call.sizes("self"), call.shape
    padded = (1,) * (len(after) - len(before)) + before
    if isinstance(call.arguments["self"], Activation) and before == after:
        return call.operand("self")
    ones = [1 if old == new else call.known((new,))[0] for old, new in zip(padded, after, strict=True)]
    return call.node("Mul", [call.operand("self"), call.placed(torch.ones(ones), "ones", call.kind)])


def concatenate(call: Call) -> str:
    """aten.cat."""
    tensors = call.arguments["tensors"]
    names = [call.placed(tensor, "part", call.kind) for tensor in tensors]
    return call.node("Concat", names, axis=call.arguments["dim"] % len(call.shape))


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
    start, stop, step = (call.number(name) for name in ("start", "end", "step"))
    size = call.sizes("self")[axis]
    if isinstance(size, Open) and start in (None, 0) and stop in (None, INT64_MAX) and step == 1:
        return call.operand("self")
    if isinstance(size, Open) and start is not None and stop is not None and 0 <= start < stop < INT64_MAX:
        return call.node("Slice", [call.operand("self")], axis=axis, start=start, stop=stop, step=step)
    (closed,) = call.known((size,))
    start, stop, step = slice(start, stop, step).indices(closed)
    if (start, stop, step) == (0, closed, 1):
        return call.operand("self")
    return call.node("Slice", [call.operand("self")], axis=axis, start=start, stop=stop, step=step)


def select(call: Call) -> str:
    """aten.select: a slice of one, without its axis."""
    axis = call.axis()
    size, index = call.sizes("self")[axis], call.number("index")
    if isinstance(size, Open) and index >= 0:
        return _entry(call, axis, index)
    if isinstance(size, Open) and index == -1 and (last := last_step(call, axis)) is not None:
        return last
    (closed,) = call.known((size,))
    return _entry(call, axis, index % closed)


def unbind(call: Call) -> Outputs:
    """aten.unbind."""
    axis = call.axis()
    (size,) = call.known((call.sizes("self")[axis],))
    return tuple(_entry(call, axis, index) if index in call.used else None for index in range(size))


def _entry(call: Call, axis: int, index: int) -> str:
    before = call.sizes("self")
    part = call.node("Slice", [call.operand("self")], "entry", axis=axis, start=index, stop=index + 1)
    return call.reshaped(part, (*before[:axis], 1, *before[axis + 1 :]), (*before[:axis], *before[axis + 1 :]))


def split(call: Call) -> Outputs:
    """aten.split and split_with_sizes: parts of one size, or of those given; what nothing reads is not made."""
    axis = call.axis()
    (size,) = call.known((call.sizes("self")[axis],))
    wanted = call.number("split_sizes" if call.given("split_sizes") else "split_size")
    if isinstance(wanted, Sequence):
        parts = list(wanted)
    else:
        parts = [min(wanted, size - start) for start in range(0, size, wanted)]
    ends = list(accumulate(parts))
    x = call.operand("self")
    return tuple(
        call.node("Slice", [x], axis=axis, start=end - part, stop=end) if index in call.used else None
        for index, (part, end) in enumerate(zip(parts, ends, strict=True))
    )


def pad(mode: str = "") -> Callable[[Call], str]:
    """aten.pad (mode by name), constant_pad_nd, reflection_pad, replication_pad. torch begins with the last axis."""
    names = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}

    def translate(call: Call) -> str:
        rank = len(call.shape)
        given = call.arguments["pad" if call.given("pad") else "padding"]
        before, after = [0] * rank, [0] * rank
        for index in range(len(given) // 2):
            before[rank - 1 - index], after[rank - 1 - index] = given[2 * index : 2 * index + 2]
        if not any(given):
            return call.operand(call.first)
        value = float(call.number("value")) if call.given("value") else 0.0
        kind = mode or names[call.arguments["mode"]]
        return call.node("Pad", [call.operand(call.first)], pads=(*before, *after), mode=kind, value=value)

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
    return call.operand("self")


def _through(call: Call, before: Sizes, split_up: Sizes, order: tuple[int, ...]) -> str:
    parts = call.reshaped(call.operand("self"), before, split_up, "parts")
    moved = call.transposed(parts, order, "moved")
    return call.reshaped(moved, tuple(split_up[axis] for axis in order), call.shape)
