"""A short training on random pictures of two channels, and what quantization makes of weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, first: int = 0) -> None:
    """Steps `first`, `first` + 1, ... of the same training each time."""
    for step in range(first, first + steps):
        x = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 2, 1])).backward()
        optimizer.step()


def is_power(tensor: Tensor) -> bool:
    """True if every entry is 0 or a power of two, with either sign."""
    fractions, _ = torch.frexp(tensor.detach())
    return bool(((fractions.abs() == 0.5) | (tensor == 0)).all())
