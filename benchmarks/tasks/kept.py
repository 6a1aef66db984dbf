"""References of the tasks here: how they are trained, and that they are kept from one run to the next."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler


def kept(name: str, network: Callable[[], nn.Module], train: Callable[[nn.Module], None]) -> nn.Module:
    """The network with its trained weights: from the folder in NETSURGERY_REFERENCES where they are there already."""
    torch.manual_seed(0)
    model = network()
    folder = os.environ.get("NETSURGERY_REFERENCES")
    path = Path(folder) / f"{name}.pt" if folder else None
    if path is not None and path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
    else:
        train(model)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(model.state_dict(), path)
    return model.eval()


def train_on(
    model: nn.Module,
    loader: Iterable[Any],
    loss: Callable[[nn.Module, Any], Tensor],
    schedule: LRScheduler,
    passes: int,
    most_gradient: float = float("inf"),
) -> None:
    """Passes over a loader. schedule: of the optimizer that trains. most_gradient: its norm is cut to that."""
    optimizer = schedule.optimizer
    for _ in range(passes):
        for batch in loader:
            optimizer.zero_grad()
            loss(model, batch).backward()
            if most_gradient < float("inf"):
                nn.utils.clip_grad_norm_(model.parameters(), most_gradient)
            optimizer.step()
            schedule.step()
