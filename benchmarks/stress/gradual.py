"""Gradual magnitude pruning, the comparator that most libraries have: Zhu and Gupta 2017, arXiv 1710.01878."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from netsurgery.methods.base import Layer
from netsurgery.methods.masking import MaskMethod, MaskState, Piece


@final
@dataclass(frozen=True)
class GradualPruning(MaskMethod):
    """Every tensor loses its smallest weights, more and more of them, until each has the same density.

    density: kept / all of each weight tensor, in (0, 1]; s_f = 1 - density is the paper's final sparsity, s_i = 0.
    steps: optimizer steps of the training, >= 2. The sparsity rises over the first half of them, from t_0 = 0 on, by
        the paper's equation 1: s_t = s_f + (s_i - s_f) (1 - t / (n dt))^3. Masks stay as they are afterwards.
    biases: cut them too; the paper leaves them.
    """

    density: float
    steps: int
    biases: bool = False

    name: ClassVar[str] = "gradual-pruning"

    @property
    def active_steps(self) -> int:
        return self.steps // 2

    def due(self, state: MaskState, layers: Sequence[Layer], step: int) -> Sequence[Layer]:
        interval = max(1, self.active_steps // _PRUNINGS)
        return layers if step and (step % interval == 0 or step == self.active_steps) else ()

    def refreshed(self, state: MaskState, layers: Sequence[Layer], step: int) -> Iterator[Piece]:
        density = self.density_at(step)
        for layer in layers:
            for name, tensor in layer.tensors.items():
                keep = max(1, round(density * tensor.numel()))
                # The optimizer has just moved the pruned weights, too: what it did to them is not theirs.
                yield name, slice(0, len(tensor)), _largest(tensor * state.masks[name], keep)

    def density_at(self, step: int) -> float:
        """1 - s_t."""
        left = max(0.0, 1 - step / self.active_steps)
        return self.density + (1 - self.density) * left**3


_PRUNINGS = 25
"""How often masks change; dt is a 25th of the ramp."""


def _largest(tensor: Tensor, keep: int) -> Tensor:
    """Bool of the tensor's shape, True for exactly `keep` entries."""
    mask = torch.zeros(tensor.numel(), dtype=torch.bool)
    mask[tensor.abs().flatten().topk(keep).indices] = True
    return mask.view_as(tensor)
