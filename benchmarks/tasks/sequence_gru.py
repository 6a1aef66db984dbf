"""A GRU that adds up the two marked numbers of a sequence: the adding problem (Hochreiter and Schmidhuber 1997).

Made data: 24 pairs of a number in [0, 1) and a mark, two of which are 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from kept import kept, train_on
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

DATA = "made: the adding problem"
LENGTH = 24


def split(part: int) -> TensorDataset:
    """0: to train on, 1: held out, 2: for the end."""
    generator = torch.Generator().manual_seed(part)
    count = 8000 if part == 0 else 2000
    numbers = torch.rand(count, LENGTH, generator=generator)
    marks = torch.zeros(count, LENGTH)
    marks.scatter_(1, torch.rand(count, LENGTH, generator=generator).argsort(1)[:, :2], 1.0)
    return TensorDataset(torch.stack([numbers, marks], 2), (numbers * marks).sum(1, keepdim=True))


class Adder(nn.Module):
    """(n, 24, 2) -> (n, 1), 13,000 connections."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.GRU(2, 64, batch_first=True)
        self.head = nn.Linear(64, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0][:, -1])


def model() -> nn.Module:
    """The network, trained for 25 passes."""
    return kept("sequence_gru", Adder, train)


def train(trained: nn.Module) -> None:
    loader = train_loader()
    optimizer = torch.optim.AdamW(trained.parameters(), lr=5e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=25 * len(loader))
    train_on(trained, loader, lambda model, batch: F.mse_loss(model(batch[0]), batch[1]), schedule, 25, 1.0)


def train_loader() -> DataLoader:
    return DataLoader(split(0), batch_size=64, shuffle=True, drop_last=True)


def val_loader() -> DataLoader:
    return DataLoader(split(1), batch_size=1000)


def test_loader() -> DataLoader:
    return DataLoader(split(2), batch_size=1000)
