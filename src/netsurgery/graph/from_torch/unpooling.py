"""Translations of ATen's pooling that says where its maxima stand, and of what puts them there again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TypeAlias

import torch

from netsurgery.graph.from_torch import layers as layer
from netsurgery.graph.from_torch.call import Call, Constant
from netsurgery.graph.value_types import ValueType

Outputs: TypeAlias = tuple[str | None, ...]


def max_pool(call: Call) -> Outputs:
    """aten.max_pool1d/2d/3d, also with indices: the maxima, and their places if anything reads them."""
    maxima = layer.max_pool(call)
    return (*maxima, _places(call)) if 1 in call.used else maxima


def _places(call: Call) -> str:
    """Of the first maximum of each window, counted through its map: (N, C, ...)."""
    given = call.sizes(call.first)
    sizes, bins = call.known(given[2:]), call.known(call.shape[2:])
    rank = len(bins)
    kernel = call.whole("kernel_size", rank)
    strides = call.whole("stride", rank) or kernel
    pads, dilations = call.whole("padding", rank), call.whole("dilation", rank)
    ends = [(bins[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - sizes[i] - pads[i] for i in range(rank)]
    around = (0, 0, *pads, 0, 0, *(max(end, 0) for end in ends))
    x = call.operand(call.first)
    parts = [call.node("Pad", [x], "padded", pads=around, value=-math.inf) if any(around) else x]
    for i in range(rank):
        parts = [
            call.node(
                "Slice",
                [part],
                "entry",
                axis=i + 2,
                start=number * dilations[i],
                stop=number * dilations[i] + (bins[i] - 1) * strides[i] + 1,
                step=strides[i],
            )
            for part in parts
            for number in range(kernel[i])
        ]
    columns = [call.reshaped(part, call.shape, (*call.shape, 1), "column") for part in parts]
    beside = call.node("Concat", columns, "window", axis=rank + 2) if len(columns) > 1 else columns[0]
    first = call.node("ArgMax", [beside], "first", axis=rank + 2, keepdims=False)
    steps = [math.prod(sizes[i + 1 :]) for i in range(rank)]
    within = _counted(kernel, [d * s for d, s in zip(dilations, steps, strict=True)])
    begins = _counted(bins, [n * s for n, s in zip(strides, steps, strict=True)])
    before = sum(pad * step for pad, step in zip(pads, steps, strict=True))
    table = call.placed(Constant(torch.tensor(within), "within"), "within", ValueType.INT64)
    windows = torch.tensor(begins).reshape(1, 1, *bins) - before
    place = call.node("Gather", [table, first], "within_window", axis=0)
    return call.node("Add", [place, call.placed(Constant(windows, "windows"), "windows", ValueType.INT64)], "places")


def _counted(sizes: Sequence[int], steps: Sequence[int]) -> list[int]:
    """The places of all entries of a block, neighbours along each axis being so many steps apart."""
    all_entries = itertools.product(*map(range, sizes))
    return [sum(number * step for number, step in zip(entry, steps, strict=True)) for entry in all_entries]


def max_unpool(call: Call) -> str:
    """aten.max_unpool2d and 3d: each entry at its place in its map, and zeros."""
    sizes = call.sizes("self")
    planes, entries, room = sizes[:2], math.prod(call.known(sizes[2:])), math.prod(call.known(call.shape[2:]))
    zeros = call.expanded(call.placed(0.0, "zero"), (*planes, room), "zeros")
    places, x = (
        call.reshaped(call.operand(name), sizes, (*planes, entries), f"{name}.row") for name in ("indices", "self")
    )
    filled = call.node("ScatterElements", [zeros, places, x], "filled", axis=2)
    return call.reshaped(filled, (*planes, room), call.shape)
