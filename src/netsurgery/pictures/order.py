"""In which order pictures are shown: known for any moment from the seed alone, so that a training goes on anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

SHARDS_AT_ONCE = 16
"""Shards whose pictures are mixed: more of them would have a disk's head jump more."""


@dataclass
class Order:
    """A new order of `pictures` for each epoch; an epoch's incomplete last batch is left out.

    pictures: int64 (n,), which ones there are. neighbourhoods: (n,), the file that each lies in, None where each has
    its own; files come in a random order then, and the pictures of a few of them are mixed.
    """

    pictures: NDArray[np.int64]
    neighbourhoods: NDArray[np.int64] | None
    batch_size: int
    seed: int
    _epoch: int = -1
    _shown: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def batch(self, number: int) -> tuple[int, NDArray[np.int64]]:
        """The epoch of batch `number` = 0, 1, 2, ... and the pictures in it, int64 (batch_size,)."""
        epoch, place = divmod(number, len(self.pictures) // self.batch_size)
        if epoch != self._epoch:
            self._epoch, self._shown = epoch, self.pictures[self._drawn(epoch)]
        return epoch, self._shown[place * self.batch_size : (place + 1) * self.batch_size]

    def _drawn(self, epoch: int) -> NDArray[np.int64]:
        """Places in `pictures`, all of them, in the epoch's order."""
        entropy = np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(entropy[0]) >> 1)
        order: NDArray[np.int64] = torch.randperm(len(self.pictures), generator=generator).numpy()
        if self.neighbourhoods is None:
            return order
        files = torch.randperm(int(self.neighbourhoods.max()) + 1, generator=generator).numpy()
        groups = files[self.neighbourhoods[order]] // SHARDS_AT_ONCE
        return order[np.argsort(groups, kind="stable")]
