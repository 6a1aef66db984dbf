"""A plain training loop for a network and a split that fit in memory: the one that all recipes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsurgery.operation import Operation, attach
from netsurgery.plan import Plan
from netsurgery.schedules import Schedule
from netsurgery.train.data import Split

_EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Recipe:
    """How to train: stochastic gradient descent with momentum on the cross-entropy, without augmentation.

    steps: optimizer steps. batch_size: images a step. learning_rate: by step.
    bias_factor: learning rate of biases over that of weights.
    input_dropout: share of pixels set to 0 at random in each training image, in [0, 1); the others are scaled up.
    """

    steps: int
    learning_rate: Schedule
    batch_size: int = 64
    momentum: float = 0.9
    weight_decay: float = 5e-4
    bias_factor: float = 1.0
    input_dropout: float = 0.0


Watch = Callable[[int, Operation | None], None]
"""Called after each step with the number of steps taken and the operation, if there is one."""


def train(
    model: nn.Module, split: Split, recipe: Recipe, seed: int, plan: Plan | None = None, watch: Watch | None = None
) -> Operation | None:
    """Train `model` in place on shuffled batches of `split`, under `plan` if one is given.

    The same seed, model, threads and machine give the same weights. Returns the finished and detached operation.
    """
    biases = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    weights = [parameter for parameter in model.parameters() if parameter.dim() != 1]
    groups = [{"params": weights, "factor": 1.0}, {"params": biases, "factor": recipe.bias_factor}]
    optimizer = torch.optim.SGD(
        groups, lr=recipe.learning_rate(0), momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    operation = attach(model, optimizer, plan) if plan is not None else None
    if watch is not None:
        watch(0, operation)
    model.train()
    batches = _batches(split, recipe.batch_size, seed)
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate(step) * group["factor"]
        images, labels = next(batches)
        if recipe.input_dropout:
            images = F.dropout(images, recipe.input_dropout)
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
        if watch is not None:
            watch(step + 1, operation)
    if operation is not None:
        operation.finish()
        operation.detach()
    return operation


@torch.no_grad()
def error_percent(model: nn.Module, split: Split) -> float:
    """Top-1 error of `model` on `split` in percent, in evaluation mode; the mode is restored."""
    mode = model.training
    model.eval()
    wrong = 0
    for images, labels in zip(
        split.images.split(_EVALUATION_BATCH), split.labels.split(_EVALUATION_BATCH), strict=True
    ):
        wrong += int((model(images).argmax(dim=1) != labels).sum())
    model.train(mode)
    return 100 * wrong / len(split)


def _batches(split: Split, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless shuffled batches, a new order each epoch; an epoch's incomplete last batch is left out."""
    generator = torch.Generator().manual_seed(seed)
    size = min(batch_size, len(split))
    while True:
        order = torch.randperm(len(split), generator=generator)
        for picked in order[: len(order) - len(order) % size].split(size):
            yield split.images[picked], split.labels[picked]
