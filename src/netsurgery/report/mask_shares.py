"""A mask as a picture's pixels: shares in [0, 1] of what is kept, and lines and dead units between them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SEPARATOR, DEAD = -1.0, -2.0  # in arrays of shares: a line between tiles; a unit without any connection
_LARGEST_SIDE = 1200  # pixels; larger masks show blocks

Shares = NDArray[np.float64]


def vector_shares(mask: NDArray[np.bool_]) -> tuple[Shares, str]:
    """(n,) or () -> shares (1, n or fewer), and how to read them."""
    shares, block = _in_blocks(mask.reshape(1, -1).astype(np.float64))
    return shares, f"; a pixel is a block of {block}" if block > 1 else ""


def matrix_shares(mask: NDArray[np.bool_]) -> tuple[Shares, str]:
    """(out, in) -> shares, outputs top to bottom, and how to read them."""
    shares, block = _in_blocks(mask.astype(np.float64))
    return _mark_dead(shares), f"Outputs top to bottom, inputs left to right{_block_text(block)}"


def kernels_shares(mask: NDArray[np.bool_]) -> tuple[Shares, str]:
    """(out, in, ..., w) -> shares, one tile per kernel or, where they are too many, one pixel; and how to read them."""
    kernels = mask.reshape(*mask.shape[:2], -1, mask.shape[-1])
    reading = "Outputs left to right, inputs top to bottom"
    shares = _tiles(kernels)
    if max(shares.shape) <= _LARGEST_SIDE:
        return shares, f"{reading}; a tile is a kernel"
    shares, block = _in_blocks(np.asarray(kernels.mean(axis=(2, 3))).T)
    return _mark_dead(shares), f"{reading}; a pixel is a kernel, the fuller the more it keeps{_block_text(block)}"


def live_units(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """(out, in, ...) -> outputs and inputs with at least one connection."""
    pairs = np.any(mask.reshape(*mask.shape[:2], -1), axis=2)
    return int(np.any(pairs, axis=1).sum()), int(np.any(pairs, axis=0).sum())


def _block_text(block: int) -> str:
    return f"; a pixel is a block of {block}×{block}, drawn if any of it is kept" if block > 1 else ""


def _tiles(kernels: NDArray[np.bool_]) -> Shares:
    """(out, in, h, w) -> (in (h+1) + 1, out (w+1) + 1): kernels side by side, with lines between them."""
    outputs, inputs, height, width = kernels.shape
    pairs = _mark_dead(np.any(kernels, axis=(2, 3)).astype(np.float64))
    shares = np.where((pairs == DEAD)[:, :, None, None], DEAD, kernels.astype(np.float64))
    framed = np.full((outputs, inputs, height + 1, width + 1), SEPARATOR)
    framed[:, :, 1:, 1:] = shares
    grid = framed.transpose(1, 2, 0, 3).reshape(inputs * (height + 1), outputs * (width + 1))
    return np.pad(grid, ((0, 1), (0, 1)), constant_values=SEPARATOR)


def _in_blocks(values: Shares) -> tuple[Shares, int]:
    """Means over the smallest square blocks that make both sides fit, and the side of a block."""
    block = math.ceil(max(values.shape) / _LARGEST_SIDE)
    rows, columns = (np.arange(0, extent, block) for extent in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    heights, widths = (
        np.diff(np.append(starts, extent)) for starts, extent in zip((rows, columns), values.shape, strict=True)
    )
    return sums / np.outer(heights, widths), block


def _mark_dead(shares: Shares) -> Shares:
    """`shares` with DEAD in rows and columns that keep nothing."""
    kept = shares > 0
    live = np.outer(kept.any(axis=1), kept.any(axis=0))
    return np.where(live, shares, DEAD)
