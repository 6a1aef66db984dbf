"""A convolutional network with batch norm and residual additions, for the handwritten digits in scikit-learn.

Real data: 1,797 images of 8x8; 1,097 to train on, 350 held out, 350 for the end.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from kept import kept, train_on
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

DATA = "real: handwritten digits"


class Block(nn.Module):
    """Two convolutions around which the input is added: (n, c, h, w) -> (n, c, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(x + self.second_norm(self.second(y)))


def split(part: int) -> TensorDataset:
    """0: to train on, 1: held out, 2: for the end."""
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    chosen = order.split([1097, 350, 350])[part]
    pixels = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    return TensorDataset(pixels[chosen], torch.tensor(labels)[chosen])


def network() -> nn.Module:
    """(n, 1, 8, 8) -> (n, 10), 77,000 connections."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        Block(32),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 48, 3, padding=1, bias=False),
        nn.BatchNorm2d(48),
        nn.ReLU(),
        Block(48),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(48, 10),
    )


def model() -> nn.Module:
    """The network, trained for 30 passes."""
    return kept("digits_cnn", network, train)


def train(trained: nn.Module) -> None:
    loader = train_loader()
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=30 * len(loader))
    train_on(trained, loader, lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]), schedule, 30)


def train_loader() -> DataLoader:
    return DataLoader(split(0), batch_size=64, shuffle=True, drop_last=True)


def val_loader() -> DataLoader:
    return DataLoader(split(1), batch_size=350)


def test_loader() -> DataLoader:
    return DataLoader(split(2), batch_size=350)
