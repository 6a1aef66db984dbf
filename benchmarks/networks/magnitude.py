"""Cutting the smallest weights of a layer: what stays is where a real pruning leaves it, at random."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def cut(weight: Tensor, density: float) -> None:
    """Set the smallest weights to 0, in place, so that `density` of them remains."""
    gone = int((1 - density) * weight.numel())
    if gone:
        weight.mul_(weight.abs() > weight.abs().flatten().kthvalue(gone).values)
