"""Exactly the `keep` largest scores of many tensors, found in bounded memory.

Non-negative float32 numbers are ordered like their bit patterns read as integers. Two histograms, of the upper and of
the lower 16 bits, therefore give the exact threshold without sorting and without holding all scores at once; ties are
broken by position, so that the count is exact even where thousands of bfloat16 weights are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from netsurgery.methods.readings import numbers

_UPPER_BINS = 1 << 15
_UPPER_MASK = _UPPER_BINS - 1  # of the sign bit, which only a NaN can have set
_LOWER_BINS = 1 << 16
INFINITY = 0x7F800000  # the bit pattern of +infinity; NaN lies above it
_INFINITY_UPPER = INFINITY >> 16


@dataclass(frozen=True)
class PartCut:
    """A cut as it falls in one tensor: everything above `bits` stays, and the first `ties` of the `equal` ones."""

    bits: int
    above: int
    equal: int
    ties: int

    @property
    def kept(self) -> int:
        """How many scores of the tensor stay."""
        return self.above + self.ties

    def select(self, scores: Tensor) -> Tensor:
        """Bool of the scores' shape, True = stays. scores: those that were counted."""
        bits = scores.view(torch.int32)
        if not self.ties:
            return bits > self.bits
        if self.ties == self.equal:
            return bits >= self.bits
        equal = bits == self.bits
        first = equal.flatten().cumsum(0).view_as(equal) <= self.ties
        return (bits > self.bits) | (equal & first)


@dataclass(frozen=True)
class Cut:
    """Where the ranking is cut: everything above `bits` stays, and the first `ties` that equal it."""

    bits: int
    ties: int

    def shared(self, scores: Iterable[Tensor]) -> list[PartCut]:
        """One for each tensor: ties go to the first ones that have some. scores: non-negative contiguous float32."""

        def counts() -> Iterator[Tensor]:
            for part in scores:
                bits = part.view(torch.int32)
                yield torch.count_nonzero(bits > self.bits)
                yield torch.count_nonzero(bits == self.bits)

        read = numbers(counts())
        cuts, left = [], self.ties
        for above, equal in zip(read[::2], read[1::2], strict=True):
            cuts.append(PartCut(self.bits, above, equal, min(equal, left)))
            left -= cuts[-1].ties
        return cuts


def cut_at(scores: Callable[[], Iterable[Tensor]], keep: int) -> Cut | None:
    """The cut that leaves the `keep` largest of all scores.

    scores: called twice, gives the same non-negative contiguous float32 tensors in the same order each time.
    keep: 1 .. number of scores.
    Returns None if a score is infinite or NaN: nothing can be ranked then.
    """
    upper = _histogram((((part.view(torch.int32) >> 16) & _UPPER_MASK) for part in scores()), _UPPER_BINS)
    if bool(upper[_INFINITY_UPPER:].any()):
        return None
    upper_bin, above = _bin_holding(upper, keep)

    def inside() -> Iterator[Tensor]:
        """The lower bits of what lies in that bin; on a graphics card, for all other scores a number beyond."""
        for part in scores():
            bits = part.view(torch.int32)
            lies, low = (bits >> 16) == upper_bin, bits & (_LOWER_BINS - 1)
            # To pick them would be quicker everywhere, but a graphics card is waited for then.
            yield low[lies] if part.device.type == "cpu" else torch.where(lies, low, _LOWER_BINS)

    lower = _histogram(inside(), _LOWER_BINS + 1)[:_LOWER_BINS]
    lower_bin, above_inside = _bin_holding(lower, keep - above)
    return Cut(bits=(upper_bin << 16) | lower_bin, ties=keep - above - above_inside)


def _histogram(values: Iterable[Tensor], bins: int) -> Tensor:
    """(bins,) int64 on the processor: how often each of 0 .. bins - 1 occurs."""
    totals: dict[torch.device, Tensor] = {}
    for part in values:
        flat = part.flatten()
        if flat.device.type == "cpu":
            counts = torch.bincount(flat, minlength=bins)
        else:  # where bincount would wait for the device
            counts = torch.zeros(bins, dtype=torch.int64, device=flat.device)
            counts.scatter_add_(0, flat.to(torch.int64), torch.ones_like(flat, dtype=torch.int64))
        totals[flat.device] = counts if flat.device not in totals else totals[flat.device].add_(counts)
    return torch.stack([total.cpu() for total in totals.values()]).sum(dim=0)


def _bin_holding(histogram: Tensor, rank: int) -> tuple[int, int]:
    """(bin that holds the rank-th largest entry, number of entries in higher bins)."""
    from_top = histogram.flip(0).cumsum(0)
    position = int(torch.searchsorted(from_top, rank))
    above = int(from_top[position - 1]) if position else 0
    return len(histogram) - 1 - position, above
