"""How a model is called: by `loss` in training, and by `evaluate`, whose first call says what a packed file takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from netsurgery.errors import SettingError

Loss: TypeAlias = Callable[[nn.Module, Any], Tensor]
"""loss(model, batch): what training makes small, a tensor of one number with a gradient."""


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

    Raises SettingError where the loss of this batch is no finite number: no training will make it one.
    """
    with torch.no_grad(), watched(model) as calls:
        value = loss(model, batch)
    if isinstance(value, Tensor) and value.numel() == 1 and not bool(torch.isfinite(value)):
        raise SettingError(
            f"loss returned {float(value)} for the first batch and the model as it was given; it must be finite there. "
            "Look for what is NaN or infinite in the batch, the model's weights or the loss."
        )
    alike = teacher is not None and bool(calls)
    for seen in calls if alike else ():
        try:
            with torch.no_grad():
                taught = teacher(*seen.arguments, **seen.keywords)  # type: ignore[misc]
        except Exception:  # of a model that takes something else in evaluation mode
            return calls[0], False
        alike = alike and shapes_in(taught) == shapes_in(seen.output)
    return (calls[0] if calls else None), alike


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
