"""Training and evaluation: batches of 64 drawn at random, one of two optimizers, one of two schedules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

import netsurgery as ns
from netsurgery.attachment.operation import Operation
from netsurgery.methods.base import Method
from stress.digits import Images

BATCH_SIZE = 64


@dataclass(frozen=True)
class TrainingSchedule:
    """steps: optimizer steps. falls: the learning rate goes to 0 along half a cosine; else it stays as it is."""

    steps: int
    falls: bool


SCHEDULES = {"short": TrainingSchedule(400, falls=False), "long": TrainingSchedule(1_200, falls=True)}

OPTIMIZERS = {
    "sgd": lambda parameters, rate: SGD(parameters, lr=rate, momentum=0.9, weight_decay=1e-4),
    "adamw": lambda parameters, rate: AdamW(parameters, lr=rate, weight_decay=1e-2),
}


def train(
    model: nn.Module,
    optimizer: Optimizer,
    schedule: TrainingSchedule,
    training: Images,
    seed: int,
    method: Method[Any] | None = None,
) -> Operation | None:
    """Train `model` in place on batches that depend on `seed` alone; returns the finished operation of `method`."""
    operation = None if method is None else ns.attach(model, optimizer, method)
    scheduler = _scheduler(optimizer, schedule, method)
    draws = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(schedule.steps):
        chosen = torch.randint(len(training.labels), (BATCH_SIZE,), generator=draws)
        optimizer.zero_grad()
        F.cross_entropy(model(training.images[chosen]), training.labels[chosen]).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    if operation is not None:
        operation.finish()
    return operation


@torch.no_grad()
def accuracy_percent(model: nn.Module, images: Images) -> float:
    """Top-1; a network whose outputs aren't numbers has none right."""
    model.eval()
    outputs = model(images.images)
    right = (outputs.argmax(1) == images.labels) & outputs.isfinite().all(1)
    return 100 * right.double().mean().item()


def _scheduler(
    optimizer: Optimizer, schedule: TrainingSchedule, method: Method[Any] | None
) -> CosineAnnealingLR | ns.Restarts | None:
    if not schedule.falls:
        return None
    if not isinstance(method, ns.INQ):
        return CosineAnnealingLR(optimizer, T_max=schedule.steps)
    starts = method.round_starts
    return ns.Restarts(CosineAnnealingLR(optimizer, T_max=method.steps // len(starts)), starts)
