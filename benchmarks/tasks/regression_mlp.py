"""A multilayer perceptron for a table of numbers: Friedman's first function of ten columns, five of which say nothing.

Made data: y = 10 sin(pi x1 x2) + 20 (x3 - 1/2)^2 + 10 x4 + 5 x5 + noise of deviation 1 (Friedman 1991).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from kept import kept, train_on
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

DATA = "made: Friedman's function"


def split(part: int) -> TensorDataset:
    """0: to train on, 1: held out, 2: for the end. Targets have mean 0 and deviation 1, about."""
    generator = torch.Generator().manual_seed(part)
    x = torch.rand(8000 if part == 0 else 3000, 10, generator=generator)
    y = 10 * torch.sin(math.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    y = y + torch.randn(len(x), generator=generator)
    return TensorDataset(x, ((y - 14.4) / 5.0)[:, None])


def network() -> nn.Module:
    """(n, 10) -> (n, 1), 34,000 connections."""
    return nn.Sequential(
        nn.Linear(10, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 1)
    )


def model() -> nn.Module:
    """The network, trained for 40 passes."""
    return kept("regression_mlp", network, train)


def train(trained: nn.Module) -> None:
    loader = train_loader()
    optimizer = torch.optim.AdamW(trained.parameters(), lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40 * len(loader))
    train_on(trained, loader, lambda model, batch: F.mse_loss(model(batch[0]), batch[1]), schedule, 40)


def train_loader() -> DataLoader:
    return DataLoader(split(0), batch_size=64, shuffle=True, drop_last=True)


def val_loader() -> DataLoader:
    return DataLoader(split(1), batch_size=1000)


def test_loader() -> DataLoader:
    return DataLoader(split(2), batch_size=1000)
