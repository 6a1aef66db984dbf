"""A transposed convolution as a convolution whose channels become pixels: exact, and sparse where its weight is.

Output entry v of an axis is the sum of x[i] * weight[k] over all i, k with strides * i + dilations * k = v + begin.
So v = strides * q + phase sees the taps with dilations * k = phase + begin (mod strides) alone, at distances from q
that don't depend on q: a Conv makes all phases at once, each a channel, and DepthToSpace puts them side by side. What
it makes too much of goes in a Pad with negative pads. Taps that a phase doesn't see are zeros of the Conv's weight.
Shi et al., "Is the deconvolution layer the same as a convolutional layer?", arXiv 1609.07009.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from netsurgery.errors import GraphError
from netsurgery.graph.ir import Array


@dataclass(frozen=True)
class _Axis:
    """What becomes of one spatial axis: a kernel of `width` taps, `dilation` apart, for each of `stride` phases."""

    stride: int
    width: int
    dilation: int
    pads: tuple[int, int]
    crops: tuple[int, int]
    places: tuple[tuple[tuple[int, int], ...], ...]  # for each phase: (tap of the given weight, tap of the new one)


@dataclass(frozen=True)
class Convolution:
    """The Conv, DepthToSpace and Pad that together are a transposed convolution.

    blocks: of DepthToSpace, whose order is crd; empty where it has nothing to do. crops: cut off (spatial begins, then
    ends); empty where nothing is.
    """

    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    blocks: tuple[int, ...]
    crops: tuple[int, ...]
    axes: tuple[_Axis, ...]
    groups: int

    @property
    def phases(self) -> int:
        """How many channels of the Conv make one of the result."""
        return math.prod(axis.stride for axis in self.axes)

    def weight(self, given: Array) -> Array:
        """(O * phases, C / groups, *width) from a transposed convolution's weight (C, O / groups, *K)."""
        channels, outputs = given.shape[:2]
        by_group = given.reshape(self.groups, channels // self.groups, outputs, *given.shape[2:]).swapaxes(1, 2)
        rows = by_group.reshape(self.groups * outputs, channels // self.groups, *given.shape[2:])
        result = np.zeros((len(rows), self.phases, rows.shape[1], *(axis.width for axis in self.axes)), given.dtype)
        every: Any = slice(None)
        for number, phase in enumerate(product(*(axis.places for axis in self.axes))):
            for taps in product(*phase):
                from_place = (every, every, *(old for old, _ in taps))
                to_place = (every, number, every, *(new for _, new in taps))
                result[to_place] = rows[from_place]
        return result.reshape(-1, *result.shape[2:])

    def bias(self, given: Array) -> Array:
        """(O * phases,) from (O,)."""
        return given.repeat(self.phases)


def as_convolution(
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int],
    output_padding: Sequence[int],
    groups: int,
) -> Convolution:
    """The convolution for a weight (C, O / groups, *kernel). pads: all begins, then all ends; negative ones add zeros.

    Raises GraphError where a number isn't allowed.
    """
    count = len(kernel)
    axes = tuple(
        _axis(kernel[i], strides[i], dilations[i], pads[i], pads[count + i] - output_padding[i]) for i in range(count)
    )
    crops = (*(axis.crops[0] for axis in axes), *(axis.crops[1] for axis in axes))
    return Convolution(
        pads=(*(axis.pads[0] for axis in axes), *(axis.pads[1] for axis in axes)),
        dilations=tuple(axis.dilation for axis in axes),
        blocks=tuple(strides) if any(stride > 1 for stride in strides) else (),
        crops=crops if any(crops) else (),
        axes=axes,
        groups=groups,
    )


def _axis(kernel: int, stride: int, dilation: int, begin: int, end: int) -> _Axis:
    """Of the ways to begin in the middle of a block, the one with the fewest taps."""
    if kernel < 1 or stride < 1 or dilation < 1:
        raise GraphError(f"kernel {kernel}, stride {stride}, dilation {dilation}: each must be at least 1.")
    return min(
        (_begun(kernel, stride, dilation, begin, end, early) for early in range(stride)), key=lambda way: way.width
    )


def _begun(kernel: int, stride: int, dilation: int, begin: int, end: int, early: int) -> _Axis:
    """Outputs begin `early` entries before the first that is wanted.

    A phase sees tap k at distance m: entry q of it is a sum of x[q - m] * weight[k]. Tap j of the Conv has distance
    latest - j * step.
    """
    distances = [
        [(tap, (dilation * tap - phase - begin + early) // stride) for tap in range(kernel)
         if (dilation * tap - phase - begin + early) % stride == 0]
        for phase in range(stride)
    ]  # fmt: skip
    seen = [distance for phase in distances for _, distance in phase]
    earliest, latest = min(seen), max(seen)
    step = dilation if stride == 1 else 1
    places = tuple(tuple((tap, (latest - distance) // step) for tap, distance in phase) for phase in distances)
    # x of S entries gives T = stride * (S - 1) + reach of them, in Q = S - 1 + blocks blocks; the last one, q = Q - 1,
    # sees x[q - earliest].
    reach = dilation * (kernel - 1) + 1 - begin - end + early
    blocks = -(-reach // stride)
    pads = (latest, blocks - 1 - earliest)
    too_many = stride * blocks - reach
    crops = (early + stride * max(-pads[0], 0), too_many + stride * max(-pads[1], 0))
    return _Axis(stride, (latest - earliest) // step + 1, step, (max(pads[0], 0), max(pads[1], 0)), crops, places)
