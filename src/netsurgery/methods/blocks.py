"""Stretches of large tensors, one after another: what a pass over them holds in memory, and in the cache, stays small.

Masks are multiplied by, as int8, instead of selected by.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

ROW_BLOCK = 1 << 18  # connections of which something new is in memory at a time
BLOCK = 1 << 19  # connections: two megabytes of float32
_LAYOUTS = (torch.contiguous_format, torch.channels_last, torch.channels_last_3d)


def row_blocks(tensor: Tensor, size: int = ROW_BLOCK) -> Iterator[slice]:
    """Slices of the first dimension that cover a tensor, about `size` connections each."""
    rows = max(1, size * len(tensor) // max(1, tensor.numel()))
    for start in range(0, len(tensor), rows):
        yield slice(start, start + rows)


def rows_of(factors: Tensor, rows: slice) -> Tensor:
    """What those rows of a tensor are multiplied by, of factors that broadcast to it."""
    return factors if len(factors) == 1 else factors[rows]


def as_number(mask: Tensor) -> Tensor:
    """The same bytes as int8 0 and 1: multiplying by them is several times faster than selecting by bool."""
    return mask.view(torch.int8)


def blocks(*tensors: Tensor, beyond: int | None = 0) -> Iterator[tuple[Tensor, ...]]:
    """The same stretch of each tensor, one after another, all of one shape.

    Several operations on one stretch find it in the processor's cache; on whole tensors each fetches it from memory.
    beyond: how many connections of a larger tensor, of which these are a part, lie before them: stretches end where
    that one's do. None: they stay whole.
    """
    first = BLOCK - (beyond or 0) % BLOCK
    if beyond is None or tensors[0].numel() <= first:
        yield tensors
        return
    for layout in _LAYOUTS:
        if all(tensor.is_contiguous(memory_format=layout) for tensor in tensors):
            order = (0, *range(2, tensors[0].dim()), 1) if layout is not torch.contiguous_format else None
            flat = [(tensor.permute(order) if order else tensor).view(-1) for tensor in tensors]
            yield tuple(tensor[:first] for tensor in flat)
            yield from zip(*(tensor[first:].split(BLOCK) for tensor in flat), strict=True)
            return
    yield tensors
