"""Trained references of the tasks here, kept from one run to the next."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn


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
