"""A task: a network, its data and what is wanted of it, in a Python file or built in."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsurgery.checks import require, require_takes
from netsurgery.compression.calls import Loss
from netsurgery.compression.feed import on_device, require_loader
from netsurgery.compression.rates import OptimizerFactory
from netsurgery.errors import DataError, SettingError

_NEEDED = ("model", "train_loader", "val_loader")
_OPTIONAL = ("loss", "metric", "optimizer", "pack_options")


@dataclass(frozen=True)
class Task:
    """What `compress` takes of a task.

    baseline: what drops are counted from, where it isn't the model's own metric. certainty: that the limit holds, where
    the user says nothing. report: called with the best network at the end, gives lines to print.
    """

    model: nn.Module
    train_loader: Iterable[Any]
    evaluate: Callable[[nn.Module], Any]
    loss: Loss
    optimizer: OptimizerFactory | None = None
    pack_options: dict[str, Any] | None = None
    baseline: float | None = None
    certainty: float = 0.5
    report: Callable[[nn.Module], list[str]] = lambda _: []


def read_task(path: Path) -> Task:
    """A task from a Python file, which is run.

    It has the functions model(), train_loader() and val_loader(); and, where the defaults don't fit:
    loss(model, batch), a tensor of one number; metric(model, batch), one number for each example of the batch, more is
    better; optimizer(parameters); pack_options(), a dict for `ns.pack`. By default batches are (inputs, targets):
    whole numbers are classes, with cross-entropy and the percentage of right ones; floats are values, with the squared
    error.

    Raises DataError where the file can't be run, SettingError where a function is missing or gives something else.
    """
    module = _module(path)
    missing = [name for name in _NEEDED if not callable(getattr(module, name, None))]
    if missing:
        raise SettingError(
            f"{path} lacks {_calls(missing)}. A task has {_calls(_NEEDED)}, and may have {_calls(_OPTIONAL)}."
        )
    odd = [name for name in _OPTIONAL if not callable(getattr(module, name, lambda: None))]
    require(not odd, str(path), odd, "functions")
    for name in (*_NEEDED, "pack_options"):
        require_takes(f"{path}: {name}", getattr(module, name, None), f"{name}()", 0)
    model = module.model()
    require(isinstance(model, nn.Module), "model()", type(model).__name__, "a torch.nn.Module")
    held_out, metric = module.val_loader(), getattr(module, "metric", default_metric)
    require_loader(held_out, "val_loader()")
    require_takes(f"{path}: metric", metric, "metric(model, batch)", 2)
    options = module.pack_options() if hasattr(module, "pack_options") else None
    told = isinstance(options, Mapping) or not hasattr(module, "pack_options")
    require(told, "pack_options()", options, "a dict of settings of pack")
    return Task(
        model,
        module.train_loader(),
        lambda tried: scores(tried, held_out, metric),
        getattr(module, "loss", default_loss),
        getattr(module, "optimizer", None),
        None if options is None else dict(options),
    )


def scores(model: nn.Module, loader: Iterable[Any], metric: Callable[[nn.Module, Any], Any]) -> Tensor:
    """(examples,): the metric of every example of a loader, on the model's device."""
    device = next(model.parameters()).device
    found = [_numbers(metric(model, on_device(batch, device))) for batch in loader]
    require(len(found) > 0, "val_loader()", "no batch", "a loader with at least one batch")
    return torch.cat(found)


def _numbers(given: Any) -> Tensor:
    """(examples,): what a metric gives for a batch, a tensor or what makes one. Raises SettingError."""
    what = repr(given)
    with suppress(TypeError, ValueError, RuntimeError):  # whatever torch says of a None, of words and of dicts
        numbers = torch.as_tensor(given).detach().cpu()
        if numbers.dim() == 1 and not numbers.is_complex():
            return numbers.to(torch.float64)
        what = f"a tensor of shape {tuple(numbers.shape)}"
    raise SettingError(
        f"metric returned {what}; metric(model, batch) must return one number for each example of the batch, more is "
        "better."
    )


def default_loss(model: nn.Module, batch: Any) -> Tensor:
    """Cross-entropy where targets are whole numbers, mean squared error where they are floats."""
    outputs, targets = _compared("loss", model, batch)
    if targets.is_floating_point():
        return F.mse_loss(outputs, targets)
    try:
        return F.cross_entropy(outputs, targets.long())
    except IndexError as error:  # of a class that there is none of
        raise _unfit("loss", outputs, targets, f" from {targets.min()} to {targets.max()}") from error


def default_metric(model: nn.Module, batch: Any) -> Tensor:
    """(examples,): 100 for a right class and 0 for a wrong one, whose mean is a percentage; or minus squared errors."""
    outputs, targets = _compared("metric", model, batch)
    if targets.is_floating_point():
        squares = (outputs - targets).square()
        return -(squares.flatten(1).mean(1) if squares.dim() > 1 else squares)
    right = (outputs.argmax(1) == targets).to(torch.float64)
    return 100 * (right.flatten(1).mean(1) if right.dim() > 1 else right)


def _compared(what: str, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    """Outputs, and targets of a shape that goes with them: others would be broadcast. Raises SettingError."""
    inputs, targets = _pair(batch)
    outputs = model(inputs)
    if not isinstance(outputs, Tensor):
        raise _unfit(what, outputs, targets)
    if targets.is_floating_point() and outputs.numel() == targets.numel():
        return outputs, targets.reshape(outputs.shape)
    whole = not (targets.is_floating_point() or targets.is_complex() or targets.dtype is torch.bool)
    if not whole or outputs.dim() < 2 or (outputs.shape[0], *outputs.shape[2:]) != targets.shape:
        raise _unfit(what, outputs, targets)
    return outputs, targets


def _unfit(what: str, outputs: object, targets: Tensor, more: str = "") -> SettingError:
    given = (
        f"of shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else f"that are a {type(outputs).__name__}"
    )
    return SettingError(
        f"The {what} that a task has by default doesn't know what outputs {given} and targets of shape "
        f"{tuple(targets.shape)} and {targets.dtype}{more} have to do with each other. It takes scores (n, classes, "
        "...) with whole numbers (n, ...) from 0 to classes - 1, or as many floats as there are outputs. Give the task "
        f"{what}(model, batch)."
    )


def _pair(batch: Any) -> tuple[Any, Tensor]:
    if isinstance(batch, list | tuple) and len(batch) == 2 and isinstance(batch[1], Tensor):
        return batch[0], batch[1]
    raise SettingError(
        f"A batch is a {type(batch).__name__}, no pair of inputs and targets. Give the task loss(model, batch) and "
        "metric(model, batch), which know what is in it."
    )


def _calls(names: Sequence[str]) -> str:
    return ", ".join(f"{name}()" for name in names)


def _module(path: Path) -> Any:
    if not path.is_file():
        why = "it is a folder" if path.is_dir() else "there is no such file"
        raise DataError(f"{path}: {why}. Give a Python file with {_calls(_NEEDED)}.")
    name = f"netsurgery_task_{path.stem}"
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise DataError(f"{path} is no Python file; a task's name ends with .py.")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # so that what it defines can be found by workers of a DataLoader
    sys.path.insert(0, str(path.resolve().parent))
    try:
        specification.loader.exec_module(module)
    except (SyntaxError, ImportError) as error:
        raise DataError(f"{path} can't be run: {error}.") from error
    return module
