"""Exactly the `keep` largest scores of many tensors, found in bounded memory.

Non-negative float32 numbers are ordered like their bit patterns read as integers. Two histograms, of the upper and of
the lower 16 bits, therefore give the exact threshold without sorting and without holding all scores at once; ties are
broken by position, so that the count is exact even where thousands of bfloat16 weights are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

_UPPER_BINS = 1 << 15
_UPPER_MASK = _UPPER_BINS - 1  # of the sign bit, which only a NaN can have set
_LOWER_BINS = 1 << 16
INFINITY = 0x7F800000  # the bit pattern of +infinity; NaN lies above it
_INFINITY_UPPER = INFINITY >> 16


@dataclass
class Cut:
    """Where the ranking is cut: everything above `bits` stays, and the first `ties` that equal it.

    `ties` falls while `select` consumes the scores in the order in which they were counted.
    """

    bits: int
    ties: int

    def select(self, scores: Tensor) -> Tensor:
        """Bool of the scores' shape, True = among the largest. Call once per tensor, in the order of counting."""
        bits = scores.view(torch.int32)
        above = bits > self.bits
        equal = bits == self.bits
        count = int(equal.sum())
        if count <= self.ties:
            self.ties -= count
            return above | equal
        first = equal.flatten().cumsum(0).view_as(equal) <= self.ties
        self.ties = 0
        return above | (equal & first)


def cut_at(scores: Callable[[], Iterable[Tensor]], keep: int) -> Cut | None:
    """The cut that leaves the `keep` largest of all scores.

    scores: called twice, gives the same non-negative contiguous float32 tensors in the same order each time.
    keep: 1 .. number of scores.
    Returns None if a score is infinite or NaN: nothing can be ranked then.
    """
    upper = torch.zeros(_UPPER_BINS, dtype=torch.int64)
    for part in scores():
        upper += torch.bincount((part.view(torch.int32).flatten() >> 16) & _UPPER_MASK, minlength=_UPPER_BINS).cpu()
    if bool(upper[_INFINITY_UPPER:].any()):
        return None
    upper_bin, above = _bin_holding(upper, keep)
    lower = torch.zeros(_LOWER_BINS, dtype=torch.int64)
    for part in scores():
        bits = part.view(torch.int32).flatten()
        inside = bits[(bits >> 16) == upper_bin]
        lower += torch.bincount(inside & (_LOWER_BINS - 1), minlength=_LOWER_BINS).cpu()
    lower_bin, above_inside = _bin_holding(lower, keep - above)
    return Cut(bits=(upper_bin << 16) | lower_bin, ties=keep - above - above_inside)


def _bin_holding(histogram: Tensor, rank: int) -> tuple[int, int]:
    """(bin that holds the rank-th largest entry, number of entries in higher bins)."""
    from_top = histogram.flip(0).cumsum(0)
    position = int(torch.searchsorted(from_top, rank))
    above = int(from_top[position - 1]) if position else 0
    return len(histogram) - 1 - position, above
