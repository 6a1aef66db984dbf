"""Small networks, data and tasks that a search is tried on."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Batch = Any


class Residual(nn.Module):
    """Convolutions, batch norm and an addition: (n, 1, 8, 8) -> (n, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 12, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(12)
        self.second = nn.Conv2d(12, 12, 3, padding=1, bias=False)
        self.other = nn.BatchNorm2d(12)
        self.head = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x)))
        x = x + F.relu(self.other(self.second(x)))
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]


class Sequences(nn.Module):
    """An embedding that is left alone and a GRU: ids (n, 6), a mask by keyword -> (n, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 8)
        self.recurrent = nn.GRU(8, 16, batch_first=True)
        self.head = nn.Linear(16, 1)

    def forward(self, ids: Tensor, scale: Tensor) -> Tensor:
        _, last = self.recurrent(self.embedding(ids))
        return self.head(last[-1]) * scale[:, None]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Given:
    """What `compress` takes."""

    model: nn.Module
    batches: Iterable[Batch]
    held_out: Batch

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        if isinstance(batch, dict):
            return F.mse_loss(model(batch["ids"], scale=batch["scale"]), batch["target"])
        return F.cross_entropy(model(batch[0]), batch[1])

    def evaluate(self, model: nn.Module) -> Tensor:
        if isinstance(self.held_out, dict):
            made = model(self.held_out["ids"], scale=self.held_out["scale"])
            return -(made - self.held_out["target"]).square().flatten()
        return (model(self.held_out[0]).argmax(1) == self.held_out[1]).float()


def pictures(seed: int = 0) -> Given:
    """Where a bright spot lies: classes 0 .. 3. A trained network."""
    torch.manual_seed(seed)
    return _copied(_pictures(seed))


@cache
def _pictures(seed: int) -> Given:
    torch.manual_seed(seed)

    def drawn(count: int) -> tuple[Tensor, Tensor]:
        quarter = torch.randint(0, 4, (count,))
        x = 0.3 * torch.randn(count, 1, 8, 8)
        for place, which in enumerate(quarter.tolist()):
            x[place, 0, which // 2 * 4 : which // 2 * 4 + 3, which % 2 * 4 : which % 2 * 4 + 3] += 1 + which
        return x, quarter

    given = Given(Residual(), [drawn(16) for _ in range(12)], drawn(100))
    return _trained(given, 120, 0.01)


def sequences(seed: int = 0) -> Given:
    """The share of a word in a sequence: a regression with batches that are dicts. A trained network."""
    torch.manual_seed(seed)
    return _copied(_sequences(seed))


@cache
def _sequences(seed: int) -> Given:
    torch.manual_seed(seed)

    def drawn(count: int) -> dict[str, Tensor]:
        ids = torch.randint(0, 9, (count, 6))
        return {"ids": ids, "scale": torch.ones(count), "target": (ids == 3).float().mean(1, keepdim=True) * 4}

    given = Given(Sequences(), [drawn(16) for _ in range(12)], drawn(100))
    return _trained(given, 250, 0.01)


def _copied(given: Given) -> Given:
    """With a network of its own: training it takes longer than most of what is tried on it."""
    return Given(copy.deepcopy(given.model), given.batches, given.held_out)


def _trained(given: Given, steps: int, rate: float) -> Given:
    optimizer = torch.optim.Adam(given.model.parameters(), rate)
    batches = list(given.batches)
    for step in range(steps):
        optimizer.zero_grad()
        given.loss(given.model, batches[step % len(batches)]).backward()
        optimizer.step()
    given.model.eval()
    return given
