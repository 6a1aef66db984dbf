"""How a model is called: by `loss` in training, and by `evaluate`, whose first call says what a packed file takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from netsurgery.errors import SettingError

Loss: TypeAlias = Callable[[nn.Module, Any], Tensor]
"""loss(model, batch): what training makes small, a tensor of one number with a gradient."""
_OF_ONE_EXAMPLE = "Expected more than 1 value per channel when training"  # what torch says of batch norms


@dataclass(frozen=True)
class Seen:
    """One call of a model: what it was given, and what it gave."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    output: Any


@contextmanager
def watched(model: nn.Module) -> Iterator[list[Seen]]:
    """The calls of a model while the block runs."""
    calls: list[Seen] = []
    handle = model.register_forward_hook(
        lambda _, arguments, keywords, output: calls.append(Seen(arguments, keywords, output)), with_kwargs=True
    )
    try:
        yield calls
    finally:
        handle.remove()


@contextmanager
def first_call(model: nn.Module) -> Iterator[list[Seen]]:
    """The first call of a model while the block runs, without its output, if there is any."""
    calls: list[Seen] = []

    def noted(_: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if not calls:
            calls.append(Seen(arguments, keywords, None))

    handle = model.register_forward_pre_hook(noted, with_kwargs=True)
    try:
        yield calls
    finally:
        handle.remove()


def tensors_given(model: nn.Module, seen: Seen) -> tuple[Tensor, ...] | None:
    """What a call gave to the first parameters of `forward`, in their order; None unless these are tensors alone."""
    try:
        bound = inspect.signature(model.forward).bind(*seen.arguments, **seen.keywords)
    except TypeError:
        return None
    while bound.arguments and next(reversed(bound.arguments.values())) is None:
        bound.arguments.popitem()
    takes = list(bound.signature.parameters)[: len(bound.arguments)]
    found = [*bound.args, *bound.kwargs.values()]
    if list(bound.arguments) != takes or not all(type(one) in _REAL for one in found):
        return None
    try:
        return tuple(one.detach().cpu().clone() for one in found) or None
    except RuntimeError:  # of tensors that there are within torch.func.vmap only
        return None


_REAL = (Tensor, nn.Parameter)
"""Not those that stand in for others while torch writes something down."""


def rehearsed(model: nn.Module, batch: Any, loss: Loss, teacher: nn.Module | None) -> tuple[Seen | None, bool]:
    """The first call that `loss` makes of the model, and whether a teacher gives outputs like those of all its calls.

    Raises SettingError where `loss` can't be called so, or gives no number that can be learnt from, or one that isn't
    finite: no training will make it one.
    """
    with torch.enable_grad(), watched(model) as calls:
        try:
            value = lost(loss, model, batch)
        except TypeError as error:
            raise SettingError(
                f"loss can't be called with the model and a batch: {error}. It must be a function loss(model, batch) "
                "that calls the model itself and gives a tensor of one number; a batch of train_loader is "
                f"{_kind(batch)}."
            ) from error
    if not bool(torch.isfinite(value)):
        raise SettingError(
            f"loss returned {value.item()} for the first batch and the model as it was given; it must be finite there. "
            "Look for what is NaN or infinite in the batch, the model's weights or the loss."
        )
    alike = teacher is not None and bool(calls)
    for seen in calls if alike else ():
        try:
            with torch.no_grad():
                taught = teacher(*seen.arguments, **seen.keywords)  # type: ignore[misc]
        except Exception:  # of a model that takes something else in evaluation mode
            return _call(calls), False
        alike = alike and shapes_in(taught) == shapes_in(seen.output)
    return _call(calls), alike


def _call(calls: list[Seen]) -> Seen | None:
    """The first one, without what it gave, which holds all that led there."""
    return replace(calls[0], output=None) if calls else None


def lost(loss: Loss, model: nn.Module, batch: Any) -> Tensor:
    """(): the user's loss of a batch. Raises SettingError if it is no number that can be learnt from."""
    try:
        value: object = loss(model, batch)
    except ValueError as error:
        if _OF_ONE_EXAMPLE not in str(error):
            raise
        raise SettingError(
            f"train_loader gives a batch of one example, {_kind(batch)}, which a batch norm of the model can't be "
            "trained on. Give a loader of larger batches; where the last one alone is so small, a DataLoader with "
            "drop_last=True."
        ) from error
    if isinstance(value, Tensor) and value.numel() == 1 and value.is_floating_point() and value.requires_grad:
        return value.reshape(()) if value.dim() else value
    what, advice = "None" if value is None else f"{type(value).__name__}", ""
    if isinstance(value, Tensor):
        what = f"a tensor of shape {tuple(value.shape)}"
        if not value.is_floating_point():
            what = f"{what} and type {value.dtype}"
        elif not value.requires_grad:
            what, advice = f"{what} without a gradient", " Don't detach it, and don't compute it under torch.no_grad()."
        else:
            advice = " Take the mean."
    raise SettingError(
        f"loss returned {what}; loss(model, batch) must return the loss of the batch, a tensor of one number that "
        f"backward() can be called on.{advice}"
    )


def _kind(batch: Any) -> str:
    """What a batch is, in a few words."""
    if isinstance(batch, Tensor):
        return f"a tensor of shape {tuple(batch.shape)}"
    if isinstance(batch, list | tuple):
        return f"a {type(batch).__name__} of {', '.join(_kind(one) for one in batch[:4])}{', ...' * (len(batch) > 4)}"
    return f"a {type(batch).__name__}"


def shapes_in(output: Any) -> list[torch.Size]:
    """Of the tensors of floats in an output."""
    return [one.shape for one in floats_in(output)]


def floats_in(output: Any) -> list[Tensor]:
    """The tensors of floats in an output, in its order."""
    if isinstance(output, Tensor):
        return [output.to(torch.float32)] if output.is_floating_point() and output.numel() > 1 else []
    if isinstance(output, dict):
        return [one for value in output.values() for one in floats_in(value)]
    return [one for value in output for one in floats_in(value)] if isinstance(output, list | tuple) else []
