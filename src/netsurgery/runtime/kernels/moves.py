"""Moves: entries that come out elsewhere, as they are."""

from __future__ import annotations

import numpy as np

from netsurgery.graph import shapes as rule
from netsurgery.graph.ir import Array
from netsurgery.graph.shapes import filled
from netsurgery.runtime.kernels.kernel import Attributes, Kernel, Operands, cast, cut


def _pad(operands: Operands, attributes: Attributes) -> Array:
    """Cuts what is negative first, then pads what is left."""
    left: Array = operands[0]
    mode = attributes["mode"]
    pads = filled(attributes["pads"], 2 * left.ndim, 0, "pads")
    sides = list(zip(pads[: left.ndim], pads[left.ndim :], strict=True))
    for axis, (before, after) in enumerate(sides):
        left = cut(left, axis, max(0, -before), left.shape[axis] + min(after, 0))
    if not sides:  # of which np.pad makes an error
        return left
    fill = {"constant_values": cast(np.float32(attributes["value"]), left.dtype)} if mode == "constant" else {}
    result: Array = np.pad(left, [(max(before, 0), max(after, 0)) for before, after in sides], mode=mode, **fill)
    return result


def _slice(operands: Operands, attributes: Attributes) -> Array:
    return cut(operands[0], attributes["axis"], attributes["start"], attributes["stop"], attributes["step"])


def _stretch(operands: Operands, attributes: Attributes) -> Array:
    """In float64, rounded once."""
    start = operands[0].astype(np.float64)[..., None]
    result: Array = start + np.arange(attributes["count"]) * attributes["scale"]
    return result


def _triangle(operands: Operands, attributes: Attributes) -> Array:
    """By where entries stand: what they are doesn't matter, NaN included."""
    x: Array = operands[0]
    side = np.arange(x.shape[-1]) - np.arange(x.shape[-2])[:, None] - attributes["diagonal"]
    return np.where(side >= 0 if attributes["upper"] else side <= 0, x, x.dtype.type(0))


KERNELS: dict[str, Kernel] = {
    "Reshape": lambda operands, a: operands[0].reshape(rule.reshape([operands[0].shape], a)),
    "Concat": lambda operands, a: np.concatenate(operands, a["axis"]),
    "Transpose": lambda operands, a: operands[0].transpose(a["order"]),
    "Slice": _slice,
    "Pad": _pad,
    "Range": _stretch,
    "Expand": lambda operands, a: np.broadcast_to(operands[0], rule.expand([operands[0].shape], a)),
    "Tile": lambda operands, a: np.tile(operands[0], a["repeats"]),
    "Trilu": _triangle,
    "Reverse": lambda operands, a: np.flip(operands[0], a["axes"]),
}
