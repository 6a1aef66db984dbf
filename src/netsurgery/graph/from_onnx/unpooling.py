"""Translations of MaxPool that says where its maxima stand, and of MaxUnpool, which puts them there again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import Call, Value, known
from netsurgery.graph.from_onnx.layers import pool, windows
from netsurgery.graph.from_onnx.places import counted
from netsurgery.graph.from_onnx.traced import Traced
from netsurgery.graph.pooled_windows import PooledWindows

_pooled = pool("MaxPool")


def max_pool(call: Call) -> list[Value | None]:
    """MaxPool: the maxima, and their places among all entries of x if anything reads them."""
    made = _pooled(call)
    if len(call.used) < 2 or not call.used[1]:
        return [made]
    return [made, _places(call, made.shape[2:])]


def _places(call: Call, bins: Sequence[int]) -> Value:
    """Of the first maximum of each window, counted through x as it lies in memory: (N, C, *bins)."""
    x, kernel = call.x, tuple(call.attributes["kernel_shape"])
    sizes = _known(x.shape[2:])
    bins = _known(bins)
    given = windows(call, kernel)
    rank, strides, dilations = len(kernel), given["strides"], given["dilations"]
    pads = given["pads"] or (0,) * (2 * rank)
    pooled = PooledWindows(sizes, bins, kernel, strides, pads[:rank], dilations)
    around = pooled.around()
    parts = [call.node("Pad", [x], pads=around, value=-math.inf) if any(around) else x]
    for axis in range(rank):
        parts = [call.node("Slice", [part], **cut) for part in parts for cut in pooled.cuts(axis)]
    columns = [call.reshaped(part, (*part.shape, 1)) for part in parts]
    beside = call.node("Concat", columns, axis=rank + 2) if len(columns) > 1 else columns[0]
    first = call.node("ArgMax", [beside], axis=rank + 2, keepdims=False)
    steps = _steps(sizes, bool(call.attributes.get("storage_order", 0)))
    within = known(np.array(pooled.within(steps), np.int64), "within")
    begins = known(np.array(pooled.begins(steps), np.int64).reshape(1, 1, *bins), "begins")
    place = call.node("Add", [call.node("Gather", [within, first], axis=0), begins])
    return call.node("Add", [place, _planes(call, math.prod(sizes))])


def _steps(sizes: Sequence[int], columns_first: bool) -> list[int]:
    """How far apart neighbours along each axis are."""
    rank = len(sizes)
    return [math.prod(sizes[:axis] if columns_first else sizes[axis + 1 :]) for axis in range(rank)]


def _planes(call: Call, size: int) -> Value:
    """Where each plane of x begins: (N, C, 1, ...)."""
    x = call.x
    (channels,) = _known(x.shape[1:2])
    ones = (1,) * (len(x.shape) - 2)
    of_channels = known(np.arange(channels, dtype=np.int64).reshape(1, channels, *ones) * size, "channels")
    if not isinstance(x.shape[0], Traced) and x.shape[0] == 1:
        return of_channels
    images = (
        call.reshaped(counted(call, x.shape[0]), (x.shape[0], 1, *ones))
        if isinstance(x.shape[0], Traced)
        else (known(np.arange(x.shape[0]).reshape(-1, 1, *ones), "images"))
    )
    each = known(np.int64(channels * size).reshape(()), "image")
    return call.node("Add", [call.node("Mul", [images, each]), of_channels])


def max_unpool(call: Call) -> Value:
    """MaxUnpool (x, places, shape of the output): each entry at its place among all of the output, and zeros."""
    x, places, given = call.x, call.operand(1), call.attributes
    kernel = tuple(given["kernel_shape"])
    rank = len(kernel)
    strides, pads = tuple(given.get("strides", ())) or (1,) * rank, tuple(given.get("pads", ())) or (0,) * (2 * rank)
    sizes = [
        (size - 1) * strides[i] + kernel[i] - pads[i] - pads[rank + i] for i, size in enumerate(_known(x.shape[2:]))
    ]
    if call.given(2):
        wanted = call.numbers(2, "output_shape")[2:]
        if list(map(int, wanted)) != sizes:
            raise UnsupportedOperatorError(
                f"makes maps of {'x'.join(map(str, wanted))}, where its windows end at {'x'.join(map(str, sizes))}: "
                "what its indices count then isn't the same everywhere; pool sizes that the windows fill"
            )
    (channels,) = _known(x.shape[1:2])
    entries = x.shape[0] * (channels * math.prod(sizes))
    zeros = call.node("Expand", [known(np.zeros(1, np.float32), "zero")], shape=(entries,))
    each = x.shape[0] * (channels * math.prod(map(int, x.shape[2:])))
    flat = [call.reshaped(one, (each,)) for one in (places, x)]
    filled = call.node("ScatterElements", [zeros, *flat], axis=0)
    return call.reshaped(filled, (x.shape[0], channels, *sizes))


def _known(sizes: Sequence[int]) -> tuple[int, ...]:
    if any(isinstance(size, Traced) for size in sizes):
        raise UnsupportedOperatorError("counts places in maps of open sizes; fix them (input_shapes=, --input-shape)")
    return tuple(map(int, sizes))
