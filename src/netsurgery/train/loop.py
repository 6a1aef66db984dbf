"""A plain training loop for a network and a split that fit in memory: the one that all recipes share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsurgery.attachment.operation import Operation, attach
from netsurgery.checks import require
from netsurgery.errors import StateError
from netsurgery.plan import Plan
from netsurgery.train.batches import Batches
from netsurgery.train.dataset import Split
from netsurgery.train.distillation import distilled, frozen
from netsurgery.train.recipe import Recipe

_EVALUATION_BATCH = {"cpu": 500, "cuda": 2_500}
"""Images at once by type of device: few enough for a processor's caches, many enough for a graphics card."""

Watch = Callable[[int, Operation | None], None]
"""Called after each step with the number of steps taken and the operation, if there is one."""

TrainingState = dict[str, Any]
"""All that a training goes on from: tensors, numbers, strings, lists and dicts."""

Keep = Callable[[Callable[[], TrainingState]], None]
"""Called after each step, with what gives the training's state at that moment."""


def train(
    model: nn.Module,
    split: Split,
    recipe: Recipe,
    seed: int,
    plan: Plan | None = None,
    watch: Watch | None = None,
    *,
    teacher: nn.Module | None = None,
    bfloat16: bool = False,
    keep: Keep | None = None,
    resume: Mapping[str, Any] | None = None,
) -> Operation | None:
    """Train `model` in place, on its device, on shuffled batches of `split`, under `plan` if one is given.

    teacher: the network whose outputs make a part of the loss where the recipe says so; it is frozen, and moved to the
        model's device.
    bfloat16: products and convolutions in bfloat16 (torch.autocast); weights, sums of gradients and the optimizer stay
        float32.
    keep: for checkpoints. resume: a state that `keep` was given in a training of the same arguments; what it was
        interrupted in goes on from there, and gives the same weights on a processor as if it hadn't been.

    The same seed, model, threads and machine give the same weights on a processor. On a graphics card the same batches
    are shown, and whether sums come out the same is up to its libraries: torch.backends.cudnn.deterministic helps.
    Returns the finished and detached operation. Raises SettingError if the recipe wants a teacher and there is none,
    StateError if `resume` is of another training.
    """
    require(not recipe.distilled or teacher is not None, "distilled", recipe.distilled, "0 where no teacher is given")
    device = next(model.parameters()).device
    split = split.to(device)
    teacher = frozen(teacher.to(device)) if teacher is not None and recipe.distilled else None
    named = list(model.named_parameters())
    weights = [parameter for name, parameter in named if not name.endswith("bias")]
    biases = [parameter for name, parameter in named if name.endswith("bias")]
    groups = [{"params": weights, "factor": 1.0}, {"params": biases, "factor": recipe.bias_factor}]
    optimizer = torch.optim.SGD(groups, lr=recipe.learning_rate(0), momentum=recipe.momentum)
    optimizer.zero_grad()  # what an earlier training left behind has no say in this one
    operation = attach(model, optimizer, plan) if plan is not None else None
    batches = Batches(split, recipe, seed)
    first = 0
    try:
        if resume is not None:
            first = _load(resume, model, optimizer, operation, batches)
        elif watch is not None:
            watch(0, operation)
        model.train()
        for step in range(first, recipe.steps):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate(step) * group["factor"]
                group["weight_decay"] = recipe.weight_decay(step)
            images, labels = batches.next()
            optimizer.zero_grad()
            loss_of(model, images, labels, recipe, teacher, bfloat16=bfloat16).backward()
            optimizer.step()
            if watch is not None:
                watch(step + 1, operation)
            if keep is not None:
                taken = step + 1
                keep(lambda taken=taken: _state(taken, model, optimizer, operation, batches))  # type: ignore[misc]
        if operation is not None:
            operation.finish()
    finally:
        if operation is not None:
            operation.detach()
    return operation


def loss_of(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    teacher: nn.Module | None = None,
    *,
    bfloat16: bool = False,
) -> Tensor:
    """(): the loss of a batch as `train` has it. teacher: a frozen one on the model's device, None for labels alone."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
        outputs = model(images)
        loss = F.cross_entropy(outputs, labels)
        if teacher is not None:
            loss = distilled(loss, outputs, teacher(images), recipe.distilled, recipe.temperature)
    return loss


@torch.no_grad()
def error_percent(model: nn.Module, split: Split) -> float:
    """Top-1 error of `model` on `split` in percent, in evaluation mode, on the model's device; the mode is restored."""
    device = next((parameter.device for parameter in model.parameters()), split.labels.device)
    split = split.to(device)
    size = _EVALUATION_BATCH.get(device.type, _EVALUATION_BATCH["cpu"])
    mode = model.training
    model.eval()
    wrong = torch.zeros((), dtype=torch.int64, device=device)
    for first in range(0, len(split), size):
        part = slice(first, first + size)
        wrong += (model(split.batch(part)).argmax(dim=1) != split.labels[part]).sum()
    model.train(mode)
    return 100 * int(wrong) / len(split)


def _state(
    step: int, model: nn.Module, optimizer: torch.optim.Optimizer, operation: Operation | None, batches: Batches
) -> TrainingState:
    """operation.state_dict() comes first: it puts effective weights back where a step was interrupted."""
    return {
        "operation": None if operation is None else operation.state_dict(),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "batches": batches.state_dict(),
        "step": step,
    }


def _load(
    saved: Mapping[str, Any],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    operation: Operation | None,
    batches: Batches,
) -> int:
    """The inverse of `_state`; returns the number of steps taken."""
    try:
        model.load_state_dict(saved["model"])
        if operation is not None:
            operation.load_state_dict(saved["operation"])
        optimizer.load_state_dict(saved["optimizer"])
        batches.load_state_dict(saved["batches"])
        return int(saved["step"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise StateError(f"The saved state belongs to another training, or is damaged: {error}.") from error
