"""Layers: what has weights."""

from __future__ import annotations

import math

import numpy as np

from netsurgery.errors import InputError
from netsurgery.graph import shapes as rule
from netsurgery.graph.ir import Array
from netsurgery.runtime.kernels.kernel import Attributes, Kernel, Operands
from netsurgery.runtime.windows import taps


def _conv(operands: Operands, attributes: Attributes) -> Array:
    """The sum over the places of the kernel: weight (G, O/G, C/G) there times what the windows see there."""
    x, weight, bias = (*operands, None)[:3]
    batch, channels, *windows = rule.conv([x.shape, weight.shape], attributes)
    groups, kernel = attributes["groups"], weight.shape[2:]
    split = weight.reshape(groups, channels // groups, weight.shape[1], math.prod(kernel))
    by_place = np.ascontiguousarray(split.transpose(3, 0, 1, 2)).reshape(*kernel, *split.shape[:3])
    total = np.zeros((batch, groups, channels // groups, math.prod(windows)), np.float32)
    for place, seen in taps(x, kernel, tuple(windows), attributes, 0.0):
        total += by_place[place] @ seen.reshape(batch, groups, weight.shape[1], -1)
    result = total.reshape(batch, channels, *windows)
    return result if bias is None else result + bias.reshape(-1, *[1] * len(windows))


def _linear(operands: Operands, _: Attributes) -> Array:
    x, weight, bias = (*operands, None)[:3]
    result: Array = x @ weight.T
    return result if bias is None else result + bias


def _embedding(operands: Operands, _: Attributes) -> Array:
    x, weight = operands
    odd = np.argwhere((x < -len(weight)) | (x >= len(weight)))
    if len(odd):
        place = tuple(odd[0].tolist())
        raise InputError(outside_of_table(int(x[place]), place, len(weight)))
    rows: Array = weight[x]
    return rows


def outside_of_table(number: int, place: tuple[int, ...], rows: int) -> str:
    """What is said of a whole number that is no row of a table."""
    return f"{number} at place {place} is none of the table's {rows} rows: 0 to {rows - 1} are, or -{rows} to -1."


KERNELS: dict[str, Kernel] = {
    "Conv": _conv,
    "Linear": _linear,
    "Embedding": _embedding,
}
