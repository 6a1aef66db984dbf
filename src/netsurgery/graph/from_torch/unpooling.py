"""Translations of ATen's pooling that says where its maxima stand, and of what puts them there again."""

from __future__ import annotations

import math
from typing import TypeAlias

import torch

from netsurgery.graph.from_torch import layers as layer
from netsurgery.graph.from_torch.call import Call, Constant
from netsurgery.graph.pooled_windows import PooledWindows
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
    windows = PooledWindows(sizes, bins, kernel, strides, call.whole("padding", rank), call.whole("dilation", rank))
    around, x = windows.around(), call.operand(call.first)
    parts = [call.node("Pad", [x], "padded", pads=around, value=-math.inf) if any(around) else x]
    for axis in range(rank):
        parts = [call.node("Slice", [part], "entry", **cut) for part in parts for cut in windows.cuts(axis)]
    columns = [call.reshaped(part, call.shape, (*call.shape, 1), "column") for part in parts]
    beside = call.node("Concat", columns, "window", axis=rank + 2) if len(columns) > 1 else columns[0]
    first = call.node("ArgMax", [beside], "first", axis=rank + 2, keepdims=False)
    steps = [math.prod(sizes[i + 1 :]) for i in range(rank)]
    table = call.placed(Constant(torch.tensor(windows.within(steps)), "within"), "within", ValueType.INT64)
    begins = Constant(torch.tensor(windows.begins(steps)).reshape(1, 1, *bins), "windows")
    place = call.node("Gather", [table, first], "within_window", axis=0)
    return call.node("Add", [place, call.placed(begins, "windows", ValueType.INT64)], "places")


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
