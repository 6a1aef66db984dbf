"""A plain training loop for a network and a split that fit in memory: the one that all recipes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsurgery.operation import Operation, attach
from netsurgery.plan import Plan
from netsurgery.schedules import Constant, Schedule
from netsurgery.train.data import Split

_EVALUATION_BATCH = 500


WEIGHT_DECAY = Constant(5e-4)
"""That of the LeNet references."""


@dataclass(frozen=True)
class Recipe:
    """How to train: stochastic gradient descent with momentum on the cross-entropy.

    steps: optimizer steps. batch_size: images a step. learning_rate, weight_decay: by step.
    bias_factor: learning rate of biases over that of weights.
    input_dropout: share of pixels set to 0 at random in each training image, in [0, 1); the others are scaled up.
    shifted: share of batches that are moved by -1, 0 or 1 pixel in each direction: augmentation, which the papers'
        own training does without.
    """

    steps: int
    learning_rate: Schedule
    batch_size: int = 64
    momentum: float = 0.9
    weight_decay: Schedule = WEIGHT_DECAY
    bias_factor: float = 1.0
    input_dropout: float = 0.0
    shifted: float = 0.0


Watch = Callable[[int, Operation | None], None]
"""Called after each step with the number of steps taken and the operation, if there is one."""


def train(
    model: nn.Module, split: Split, recipe: Recipe, seed: int, plan: Plan | None = None, watch: Watch | None = None
) -> Operation | None:
    """Train `model` in place on shuffled batches of `split`, under `plan` if one is given.

    The same seed, model, threads and machine give the same weights. Returns the finished and detached operation.
    """
    named = list(model.named_parameters())
    weights = [parameter for name, parameter in named if not name.endswith("bias")]
    biases = [parameter for name, parameter in named if name.endswith("bias")]
    groups = [{"params": weights, "factor": 1.0}, {"params": biases, "factor": recipe.bias_factor}]
    optimizer = torch.optim.SGD(groups, lr=recipe.learning_rate(0), momentum=recipe.momentum)
    operation = attach(model, optimizer, plan) if plan is not None else None
    try:
        if watch is not None:
            watch(0, operation)
        model.train()
        batches = _batches(split, recipe, seed)
        for step in range(recipe.steps):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate(step) * group["factor"]
                group["weight_decay"] = recipe.weight_decay(step)
            images, labels = next(batches)
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
            if watch is not None:
                watch(step + 1, operation)
        if operation is not None:
            operation.finish()
    finally:
        if operation is not None:
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


def _batches(split: Split, recipe: Recipe, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless shuffled batches, a new order each epoch; an epoch's incomplete last batch is left out."""
    generator = torch.Generator().manual_seed(seed)
    size = min(recipe.batch_size, len(split))
    while True:
        order = torch.randperm(len(split), generator=generator)
        for picked in order[: len(order) - len(order) % size].split(size):
            yield _varied(split.images[picked], recipe, generator), split.labels[picked]


def _varied(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """The images as the recipe wants them changed."""
    if recipe.shifted and float(torch.rand((), generator=generator)) < recipe.shifted:
        down, right = torch.randint(0, 3, (2,), generator=generator).tolist()
        height, width = images.shape[-2:]
        images = F.pad(images, (1, 1, 1, 1))[..., down : down + height, right : right + width].contiguous()
    if recipe.input_dropout:
        share = 1 - recipe.input_dropout
        kept = torch.rand(images.shape, generator=generator) < share
        images = (images * kept.view(torch.int8)).div_(share)  # int8, not bool: several times faster
    return images
