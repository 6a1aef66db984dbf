"""How far latent weights may move in a step: hardly more than they did so far.

A kept weight that one odd batch has thrown far is brought back by the next ones. A pruned one isn't: nothing depends on
it, so it stays where it was thrown, and its saliency with it. So a step in which the pruned connections of a tensor move
more than BOUND times as far as they used to counts for BOUND times that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from netsurgery.methods.filters import length

BOUND = 3.0
_RATE = 0.03  # of the running mean, per step
_TINY = 1e-30  # keeps 0 / 0 away


class LatentMoves:
    """Parameter name -> running mean of how far its pruned connections move in a step, as a Euclidean norm."""

    def __init__(self, means: Mapping[str, Tensor] | None = None) -> None:
        self.means: dict[str, Tensor] = dict(means or {})

    def share(self, name: str, moves: Iterable[Tensor]) -> Tensor:
        """The share in (0, 1] of a step that may be followed; () on the moves' device, without waiting for it.

        moves: what the optimizer has added to the pruned connections of the tensor, in any number of pieces.
        """
        moved = length(torch.stack([length(move) for move in moves]))
        mean = self.means.setdefault(name, torch.zeros_like(moved))
        known = mean > 0  # a tensor of which nothing was pruned so far has not moved
        share = (BOUND * mean / moved.clamp(min=_TINY)).clamp(max=1).masked_fill(~known, 1)
        mean.copy_(torch.where(known, torch.lerp(mean, moved * share, _RATE), moved))
        return share
