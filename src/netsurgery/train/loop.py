"""A plain training loop: the one that all recipes share, on one process or on many."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsurgery.attachment.operation import Operation, attach
from netsurgery.checks import require
from netsurgery.errors import StateError
from netsurgery.plan import Plan
from netsurgery.train.distillation import distilled, frozen
from netsurgery.train.gradient_scale import GradientScale
from netsurgery.train.pace import Pace
from netsurgery.train.processes import Processes
from netsurgery.train.recipe import Recipe
from netsurgery.train.source import Feed, Source, feed, in_order

_EVALUATION_PIXELS = {"cpu": 500 << 10, "cuda": 2_500 << 10}
"""Of the images at once, by type of device: few enough for a processor's caches, many enough for a graphics card."""
_AT_LEAST = 32  # images at once

Watch = Callable[[int, Operation | None], None]
"""Called after each step with the number of steps taken and the operation, if there is one."""

TrainingState = dict[str, Any]
"""All that a training goes on from: tensors, numbers, strings, lists and dicts."""

Keep = Callable[[Callable[[], TrainingState]], None]
"""Called after each step, with what gives the training's state at that moment."""


def train(
    model: nn.Module,
    source: Source,
    recipe: Recipe,
    seed: int,
    plan: Plan | None = None,
    watch: Watch | None = None,
    *,
    teacher: nn.Module | None = None,
    precision: str = "float32",
    keep: Keep | None = None,
    resume: Mapping[str, Any] | None = None,
    pace: Pace | None = None,
) -> Operation | None:
    """Train `model` in place, on its device, on shuffled batches of `source`, under `plan` if one is given.

    teacher: the network whose outputs make a part of the loss where the recipe says so; it is frozen, and moved to the
        model's device.
    precision: of products and convolutions (torch.autocast): float32, bfloat16 or float16; weights, sums of gradients
        and the optimizer stay float32.
    keep: for checkpoints. resume: a state that `keep` was given in a training of the same arguments; what it was
        interrupted in goes on from there, and gives the same weights on a processor as if it hadn't been.
    pace: is told how fast it goes.

    Where torch's process group is there, all processes call this alike: each has its part of every batch, gradients are
    averaged, and all end with the same weights. A batch norm sees its process's part, and the first one's statistics
    count.

    The same seed, model, threads, processes and machine give the same weights on a processor. On a graphics card
    the same batches are shown, and whether sums come out the same is up to its libraries:
    torch.backends.cudnn.deterministic helps.
    Returns the finished and detached operation. Raises SettingError if the recipe wants a teacher and there is none,
    StateError if `resume` is of another training.
    """
    require(not recipe.distilled or teacher is not None, "distilled", recipe.distilled, "0 where no teacher is given")
    device = next(model.parameters()).device
    processes = Processes.joined()
    teacher = frozen(teacher.to(device)) if teacher is not None and recipe.distilled else None
    named = list(model.named_parameters())
    weights = [parameter for name, parameter in named if not name.endswith("bias")]
    biases = [parameter for name, parameter in named if name.endswith("bias")]
    groups = [{"params": weights, "factor": 1.0}, {"params": biases, "factor": recipe.bias_factor}]
    optimizer = torch.optim.SGD(groups, lr=recipe.learning_rate(0), momentum=recipe.momentum)
    optimizer.zero_grad()  # what an earlier training left behind has no say in this one
    called = processes.wrapped(model)
    operation = attach(model, optimizer, plan) if plan is not None else None
    batches = feed(source.to(device), recipe, seed, processes)
    scale = GradientScale(device, precision)
    at_work = _AtWork(model, optimizer, operation, batches, scale)
    taken, pace = 0, pace or Pace()
    try:
        if resume is not None:
            taken = at_work.load(resume)
        elif watch is not None:
            watch(0, operation)
        first = taken
        model.train()
        while taken < recipe.steps:
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate(taken) * group["factor"]
                group["weight_decay"] = recipe.weight_decay(taken)
            began_s, waited_s = time.perf_counter(), batches.waited_s
            images, labels = batches.next()
            optimizer.zero_grad()
            _seed_draws(seed, taken, processes, device)
            loss = loss_of(called, images, labels, recipe, teacher, precision=precision)
            if not scale.step(loss, optimizer):
                continue  # gradients that float16 can't hold: another batch, on a smaller scale
            taken += 1
            if taken > first + 1:  # what the first step costs is of beginning
                pace.images += processes.count * len(labels)
                pace.spent_s += time.perf_counter() - began_s
                pace.waited_s += batches.waited_s - waited_s
            if watch is not None:
                watch(taken, operation)
            if keep is not None:
                keep(lambda taken=taken: at_work.state(taken))  # type: ignore[misc]
        if operation is not None:
            operation.finish()
    finally:
        batches.close()
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
    precision: str = "float32",
) -> Tensor:
    """(): the loss of a batch as `train` has it. teacher: a frozen one on the model's device, None for labels alone.

    A model may give several scores, (n, classes) each: those of auxiliary classifiers, after its own, count
    `recipe.auxiliary` times.
    """
    cast: AbstractContextManager[Any] = nullcontext()  # what a caller has set stays
    if precision != "float32":
        cast = torch.autocast(images.device.type, getattr(torch, precision))
    with cast:
        outputs, *auxiliary = given if isinstance(given := model(images), tuple) else (given,)
        loss = F.cross_entropy(outputs, labels)
        if teacher is not None:
            loss = distilled(loss, outputs, teacher(images), recipe.distilled, recipe.temperature)
        for scores in auxiliary:
            loss = loss + recipe.auxiliary * F.cross_entropy(scores, labels)
    return loss


@torch.no_grad()
def error_percent(model: nn.Module, source: Source) -> float:
    """Top-1 error of `model` on `source` in percent, in evaluation mode, on the model's device."""
    return errors_percent(model, source)[0]


@torch.no_grad()
def errors_percent(model: nn.Module, source: Source, *, ten_crops: bool = False) -> tuple[float, float]:
    """Top-1 and top-5 error of `model` on `source` in percent, in evaluation mode, on the model's device.

    ten_crops: of pictures, whether corners, middle and their mirror images are shown, and probabilities averaged, as in
    Krizhevsky et al. 2012. All processes call this alike, each judges its part, and all get the errors of the whole.
    With fewer than five classes no top-5 error is possible: it is 0.
    """
    processes = Processes.joined()
    device = next((parameter.device for parameter in model.parameters()), source.labels.device)
    pixels = _EVALUATION_PIXELS.get(device.type, _EVALUATION_PIXELS["cpu"])
    size = max(_AT_LEAST, pixels // source.side**2)
    wrong = torch.zeros(2, dtype=torch.int64, device=device)
    processes.share_buffers(model)
    mode = model.training
    model.eval()
    try:
        for images, labels in in_order(source.to(device), size, processes, ten_crops=ten_crops):
            scores = model(images)
            if ten_crops:
                scores = scores.softmax(1).unflatten(0, (len(labels), -1)).mean(1)
            found = scores.topk(min(5, scores.shape[1]), dim=1).indices == labels[:, None]
            wrong[0] += (scores.argmax(1) != labels).sum()
            wrong[1] += (~found.any(1)).sum()
    finally:
        model.train(mode)
    top1, top5 = processes.total(wrong).tolist()
    return 100 * top1 / len(source), 100 * top5 / len(source)


def _seed_draws(seed: int, step: int, processes: Processes, device: torch.device) -> None:
    """What a network draws (dropout) follows from seed, step and process, so that a checkpoint needn't hold it."""
    drawn = ((seed << 40 | step) * processes.count + processes.rank) % (1 << 63)
    if device.type == "cpu":
        torch.default_generator.manual_seed(drawn)
    else:
        torch.manual_seed(drawn)  # of all devices, which takes milliseconds where there are none


@dataclass(frozen=True)
class _AtWork:
    """What a training goes on from."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    operation: Operation | None
    batches: Feed
    scale: GradientScale

    def state(self, step: int) -> TrainingState:
        """operation.state_dict() comes first: it puts effective weights back where a step was interrupted."""
        return {
            "operation": None if self.operation is None else self.operation.state_dict(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "batches": self.batches.state_dict(),
            "scale": self.scale.state_dict(),
            "step": step,
        }

    def load(self, saved: Mapping[str, Any]) -> int:
        """The inverse of `state`; returns the number of steps taken."""
        try:
            self.model.load_state_dict(saved["model"])
            if self.operation is not None:
                self.operation.load_state_dict(saved["operation"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.batches.load_state_dict(saved["batches"])
            self.scale.load_state_dict(saved["scale"])
            return int(saved["step"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise StateError(f"The saved state belongs to another training, or is damaged: {error}.") from error
