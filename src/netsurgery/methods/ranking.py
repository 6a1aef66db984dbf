"""Exactly the `keep` largest scores of many tensors, found in bounded memory.

Non-negative float32 numbers are ordered like their bit patterns read as integers. Two histograms, of the upper and of
the lower 16 bits, therefore give the exact threshold without sorting and without holding all scores at once; ties are
broken by position, so that the count is exact even where thousands of bfloat16 weights are equal.

Where other processes hold parts of the scores, histograms are summed over all of them: first of stretches of 256 bins,
then of the bins of one stretch. That is 6 kB for a cut, however many scores there are, and it is the same cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netsurgery.methods.readings import numbers, reads_at_once
from netsurgery.methods.shards import Groups, before_and_all, summed

_UPPER_BINS = 1 << 15
_STRETCH = 1 << 8  # bins that are exchanged as one at first
_UPPER_MASK = _UPPER_BINS - 1  # of the sign bit, which only a NaN can have set
_LOWER_BINS = 1 << 16
INFINITY = 0x7F800000  # the bit pattern of +infinity; NaN lies above it
_INFINITY_UPPER = INFINITY >> 16


@dataclass(frozen=True)
class Scores:
    """The scores of one tensor, or of what is here of it.

    parts: gives the same non-negative contiguous float32 tensors in the same order each time. groups: over which
    other parts are spread.
    """

    parts: Callable[[], Iterable[Tensor]]
    groups: Groups = ()


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
class TensorCut:
    """A cut as it falls in one tensor. parts: in those that are here. kept: how many scores of the whole stay."""

    parts: list[PartCut]
    kept: int


@dataclass(frozen=True)
class Cut:
    """Where the ranking is cut: everything above `bits` stays, and the first `ties` that equal it."""

    bits: int
    ties: int

    def shared(self, scores: Sequence[Scores]) -> list[TensorCut]:
        """One for each tensor: ties go to the first ones that have some, of one tensor in the order of its parts."""
        sizes: list[int] = []

        def counts() -> Iterator[Tensor]:
            for each in scores:
                sizes.append(0)
                for part in each.parts():
                    sizes[-1] += 1
                    bits = part.view(torch.int32)
                    yield torch.count_nonzero(bits > self.bits)
                    yield torch.count_nonzero(bits == self.bits)

        read = iter(numbers(counts()))
        found = [[(next(read), next(read)) for _ in range(size)] for size in sizes]
        spread = {index: each.groups for index, each in enumerate(scores) if each.groups}
        above = before_and_all({index: sum(above for above, _ in found[index]) for index in spread}, spread)
        equal = before_and_all({index: sum(equal for _, equal in found[index]) for index in spread}, spread)
        cuts, left = [], self.ties
        for index, parts in enumerate(found):
            before, together = equal.get(index, (0, sum(equal for _, equal in parts)))
            mine = max(left - before, 0)
            cut = []
            for over, same in parts:
                cut.append(PartCut(self.bits, over, same, min(same, mine)))
                mine -= cut[-1].ties
            ties = min(together, left)
            left -= ties
            cuts.append(TensorCut(cut, ties + above.get(index, (0, sum(over for over, _ in parts)))[1]))
        return cuts


def cut_at(scores: Sequence[Scores], keep: int) -> Cut | None:
    """The cut that leaves the `keep` largest of all scores.

    keep: 1 .. number of scores, wherever they are.
    Returns None if a score is infinite or NaN: nothing can be ranked then.
    """

    def upper_bits(part: Tensor) -> Tensor:
        return (part.view(torch.int32) >> 16) & _UPPER_MASK

    upper = _Histogram.of(scores, upper_bits, _UPPER_BINS)
    if upper.any_from(_INFINITY_UPPER):
        return None
    upper_bin, above = upper.bin_holding(keep)

    def lower_bits(part: Tensor) -> Tensor:
        """Of what lies in that bin; on a graphics card, for all other scores a number beyond."""
        bits = part.view(torch.int32)
        lies, low = (bits >> 16) == upper_bin, bits & (_LOWER_BINS - 1)
        # To pick them would be quicker everywhere, but a graphics card is waited for then.
        return low[lies] if reads_at_once(part) else torch.where(lies, low, _LOWER_BINS)

    lower_bin, above_inside = _Histogram.of(scores, lower_bits, _LOWER_BINS).bin_holding(keep - above)
    return Cut(bits=(upper_bin << 16) | lower_bin, ties=keep - above - above_inside)


class _Histogram:
    """How often each of 0 .. bins - 1 occurs. here: (bins,) int64 by the groups over which it is to be summed."""

    def __init__(self, here: dict[Groups, Tensor]) -> None:
        self._here = here

    @classmethod
    def of(cls, scores: Sequence[Scores], values: Callable[[Tensor], Tensor], bins: int) -> _Histogram:
        """Of the values of all scores; those of `bins` and more are left out."""
        alike: dict[Groups, list[Scores]] = {}
        for each in scores:
            alike.setdefault(each.groups, []).append(each)
        parts = {groups: (values(part) for each in these for part in each.parts()) for groups, these in alike.items()}
        return cls({groups: _counts(these, bins) for groups, these in parts.items()})

    def any_from(self, first: int) -> bool:
        """True if a value of `first` or more occurs."""
        return bool(self._all(lambda counts: counts[first:].sum()) > 0)

    def bin_holding(self, rank: int) -> tuple[int, int]:
        """(bin that holds the rank-th largest value, number of values in higher bins)."""
        if not any(self._here):
            return _bin_holding(self._here[()], rank)
        stretch, above = _bin_holding(self._all(lambda counts: counts.view(-1, _STRETCH).sum(dim=1)), rank)
        bins = slice(stretch * _STRETCH, (stretch + 1) * _STRETCH)
        place, more = _bin_holding(self._all(lambda counts: counts[bins]), rank - above)
        return bins.start + place, above + more

    def _all(self, look: Callable[[Tensor], Tensor]) -> Tensor:
        """Part of the histogram over all processes."""
        seen = summed([look(counts) for counts in self._here.values()], list(self._here))
        return torch.stack([each.cpu() for each in seen]).sum(dim=0)


def _counts(values: Iterable[Tensor], bins: int) -> Tensor:
    """(bins,) int64 on the processor: how often each of 0 .. bins - 1 occurs; values beyond are left out."""
    totals: dict[torch.device, Tensor] = {}
    for part in values:
        flat = part.flatten()
        if reads_at_once(flat):
            counts = torch.bincount(flat, minlength=bins)
        else:  # where bincount would wait for the device
            counts = torch.zeros(bins + 1, dtype=torch.int64, device=flat.device)
            counts.scatter_add_(0, flat.to(torch.int64), torch.ones_like(flat, dtype=torch.int64))
        totals[flat.device] = counts if flat.device not in totals else totals[flat.device].add_(counts)
    return torch.stack([total.cpu()[:bins] for total in totals.values()] or [torch.zeros(bins, dtype=torch.int64)]).sum(
        dim=0
    )


def _bin_holding(histogram: Tensor, rank: int) -> tuple[int, int]:
    """(bin that holds the rank-th largest entry, number of entries in higher bins)."""
    from_top = histogram.flip(0).cumsum(0)
    position = int(torch.searchsorted(from_top, rank))
    above = int(from_top[position - 1]) if position else 0
    return len(histogram) - 1 - position, above
