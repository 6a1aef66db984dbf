"""Where the entries of pooling windows stand, for readers that have to say which one was the largest."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PooledWindows:
    """Windows over maps (N, C, ...), all by spatial axis. pads: before the first entry. bins: of windows."""

    sizes: Sequence[int]
    bins: Sequence[int]
    kernel: Sequence[int]
    strides: Sequence[int]
    pads: Sequence[int]
    dilations: Sequence[int]

    def around(self) -> tuple[int, ...]:
        """Entries to add before and behind each axis of (N, C, ...), so that windows see nothing beyond."""
        given = zip(self.sizes, self.bins, self.kernel, self.strides, self.pads, self.dilations, strict=True)
        ends = [(bins - 1) * stride + (k - 1) * d + 1 - size - pad for size, bins, k, stride, pad, d in given]
        return (0, 0, *self.pads, 0, 0, *(max(end, 0) for end in ends))

    def cuts(self, axis: int) -> list[dict[str, int]]:
        """Slices along an axis: of each entry of a window, what all windows have there."""
        last, stride = (self.bins[axis] - 1) * self.strides[axis], self.strides[axis]
        starts = [number * self.dilations[axis] for number in range(self.kernel[axis])]
        return [{"axis": axis + 2, "start": start, "stop": start + last + 1, "step": stride} for start in starts]

    def within(self, steps: Sequence[int]) -> list[int]:
        """How far each entry of a window is from its first; steps: between neighbours along each axis of a map."""
        return _counted(self.kernel, self.dilations, steps)

    def begins(self, steps: Sequence[int]) -> list[int]:
        """Where each window begins, counted from the first entry of the map."""
        before = sum(math.prod(each) for each in zip(self.pads, steps, strict=True))
        return [place - before for place in _counted(self.bins, self.strides, steps)]


def _counted(sizes: Sequence[int], strides: Sequence[int], steps: Sequence[int]) -> list[int]:
    all_entries = itertools.product(*map(range, sizes))
    return [sum(map(math.prod, zip(entry, strides, steps, strict=True))) for entry in all_entries]
