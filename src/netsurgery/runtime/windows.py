"""What the windows of convolution and pooling see, one place of the kernel at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from netsurgery.graph.ir import Array
from netsurgery.graph.operators import Shape
from netsurgery.graph.shapes import filled


def taps(
    x: Array, kernel: Shape, counts: Shape, attributes: Mapping[str, Any], padding: float
) -> Iterator[tuple[Shape, Array]]:
    """Each place in the kernel, with what every window sees there: a view (N, C, *counts) of the padded input.

    `x` (N, C, *S), `counts` windows along each spatial axis; `attributes` gives strides, dilations and pads. What a
    window sees outside x is `padding`, also where the last window hangs over the end of the declared padding.
    """
    axes = range(len(kernel))
    strides = filled(attributes["strides"], len(kernel), 1, "strides")
    dilations = filled(attributes["dilations"], len(kernel), 1, "dilations")
    begins = filled(attributes["pads"], 2 * len(kernel), 0, "pads")[: len(kernel)]
    spans = [(counts[axis] - 1) * strides[axis] + 1 for axis in axes]
    ends = [
        max(0, spans[axis] + (kernel[axis] - 1) * dilations[axis] - begins[axis] - x.shape[2 + axis]) for axis in axes
    ]
    padded = _padded(x, begins, ends, padding)
    for place in np.ndindex(*kernel):
        starts = [place[axis] * dilations[axis] for axis in axes]
        cuts = [slice(starts[axis], starts[axis] + spans[axis], strides[axis]) for axis in axes]
        yield place, padded[(slice(None),) * 2 + tuple(cuts)]


def inside(spatial: Shape, attributes: Mapping[str, Any]) -> tuple[Array, Mapping[str, Any]]:
    """Ones (1, 1, *S) where x is, and the attributes to see them by; with count_include_pad the padding is a part of x.

    Summed over the taps with padding 0 they tell by how much a mean over each window is to be divided. What hangs over
    the declared padding never counts.
    """
    ones = np.ones((1, 1, *spatial), np.float32)
    if not attributes["count_include_pad"]:
        return ones, attributes
    pads = filled(attributes["pads"], 2 * len(spatial), 0, "pads")
    return _padded(ones, pads[: len(spatial)], pads[len(spatial) :], 1.0), {**attributes, "pads": ()}


def _padded(x: Array, begins: Sequence[int], ends: Sequence[int], value: float) -> Array:
    return np.pad(x, [(0, 0), (0, 0), *zip(begins, ends, strict=True)], constant_values=value)
