"""Weights as a picture's pixels: shades in [-1, 1], and lines and dead units between them.

A pixel that stands for one weight has its sign, and the fuller a shade the larger it is; 0 is pruned. One that stands
for several has the share of them that is kept.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SEPARATOR, DEAD = 2.0, 3.0  # in arrays of shades: a line between tiles; a unit without any connection
_LARGEST_SIDE = 1200  # pixels; larger tensors show blocks
_LEVELS = 8  # of sizes that are told apart: eyes see no more, and the picture stays small

Weights = NDArray[np.floating | np.bool_]
Shades = NDArray[np.float64]


def vector_shades(weights: Weights) -> tuple[Shades, str]:
    """(n,) or () -> shades (1, n or fewer), and how to read them."""
    shades, block = _in_blocks(_shades(weights.reshape(1, -1)))
    return shades, _block_text(f"{block}") if block > 1 else ""


def matrix_shades(weights: Weights) -> tuple[Shades, str]:
    """(out, in) -> shades, outputs top to bottom, and how to read them."""
    shades, block = _in_blocks(_shades(weights))
    return _mark_dead(
        shades
    ), f"Outputs top to bottom, inputs left to right{_block_text(f'{block}×{block}') if block > 1 else ''}"


def kernels_shades(weights: Weights) -> tuple[Shades, str]:
    """(out, in, ..., w) -> shades, one tile per kernel or, where they are too many, one pixel; and how to read them."""
    kernels = weights.reshape(*weights.shape[:2], -1, weights.shape[-1])
    reading = "Outputs left to right, inputs top to bottom"
    shades = _tiles(_shades(kernels))
    if max(shades.shape) <= _LARGEST_SIDE:
        return shades, f"{reading}; a tile is a kernel"
    shades, block = _in_blocks(np.asarray((kernels != 0).mean(axis=(2, 3))).T)
    blocks = _block_text(f"{block}×{block}") if block > 1 else ""
    return _mark_dead(shades), f"{reading}; a pixel is a kernel, orange, the fuller the more it keeps{blocks}"


def live_units(weights: Weights) -> tuple[int, int]:
    """(out, in, ...) -> outputs and inputs with at least one connection."""
    pairs = np.any(weights.reshape(*weights.shape[:2], -1), axis=2)
    return int(np.any(pairs, axis=1).sum()), int(np.any(pairs, axis=0).sum())


def _block_text(extent: str) -> str:
    return f"; a pixel is a block of {extent}, orange, the fuller the more of it is kept"


def _shades(weights: Weights) -> Shades:
    """Signs times sizes in _LEVELS steps, by the root of the share of the largest, as most weights are far below it."""
    largest = float(np.max(np.abs(weights), initial=0))
    if largest == 0 or weights.dtype == np.bool_:
        return np.asarray(weights, np.float64)
    sizes = np.ceil(_LEVELS * np.sqrt(np.abs(weights.astype(np.float64)) / largest)) / _LEVELS
    return np.asarray(np.sign(weights) * sizes)


def _tiles(kernels: Shades) -> Shades:
    """(out, in, h, w) -> (in (h+1) + 1, out (w+1) + 1): kernels side by side, with lines between them."""
    outputs, inputs, height, width = kernels.shape
    pairs = _mark_dead(np.any(kernels, axis=(2, 3)).astype(np.float64))
    shades = np.where((pairs == DEAD)[:, :, None, None], DEAD, kernels)
    framed = np.full((outputs, inputs, height + 1, width + 1), SEPARATOR)
    framed[:, :, 1:, 1:] = shades
    grid = framed.transpose(1, 2, 0, 3).reshape(inputs * (height + 1), outputs * (width + 1))
    return np.pad(grid, ((0, 1), (0, 1)), constant_values=SEPARATOR)


def _in_blocks(shades: Shades) -> tuple[Shades, int]:
    """Shares kept of the smallest square blocks that make both sides fit, and the side of a block; shades where 1."""
    block = math.ceil(max(shades.shape) / _LARGEST_SIDE)
    if block <= 1:
        return shades, block
    values = (shades != 0).astype(np.float64)
    rows, columns = (np.arange(0, extent, block) for extent in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    heights, widths = (
        np.diff(np.append(starts, extent)) for starts, extent in zip((rows, columns), values.shape, strict=True)
    )
    return sums / np.outer(heights, widths), block


def _mark_dead(shades: Shades) -> Shades:
    """`shades` with DEAD in rows and columns that keep nothing."""
    kept = shades != 0
    live = np.outer(kept.any(axis=1), kept.any(axis=0))
    return np.where(live, shades, DEAD)
