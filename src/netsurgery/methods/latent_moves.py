"""How far latent weights may move in a step: not much further than they usually do.

A kept weight that one odd batch has thrown far is brought back by the next ones. A pruned one isn't: nothing depends
on it, so it stays where it was thrown, and its saliency with it. So a step in which the pruned connections of a tensor
move more than BOUND times as far as they usually do counts for BOUND times that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netsurgery.methods.fields import per_stretch

BOUND = 3.0
_RATE = 0.03  # of the running mean, per step
_TINY = 1e-30  # keeps 0 / 0 away


@dataclass
class LatentMoves:
    """Running means of how far pruned connections move in a step, as a Euclidean norm, by stretch of a tensor."""

    means: dict[str, Tensor] = per_stretch()

    def shares(self, names: Sequence[str], lengths: Tensor) -> Tensor:
        """(k,) The share in (0, 1] of this step that each may follow; nothing waits for the device.

        lengths: (k,) how far each has moved.
        """
        means = torch.stack([self.means.get(name, lengths.new_zeros(())) for name in names])
        known = means > 0  # where nothing was pruned so far nothing has moved
        shares = (BOUND * means / lengths.clamp(min=_TINY)).clamp_(max=1).masked_fill_(~known, 1)
        fresh = torch.where(known, torch.lerp(means, lengths * shares, _RATE), lengths)
        self._keep(names, fresh)
        return shares

    def _keep(self, names: Sequence[str], means: Tensor) -> None:
        """Over what is there: small tensors made anew among a step's large ones keep their places from being reused."""
        fresh = list(means.unbind())
        kept = [self.means.setdefault(name, mean) for name, mean in zip(names, fresh, strict=True)]
        torch._foreach_copy_(kept, fresh)
