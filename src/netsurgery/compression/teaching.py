"""The loss of a batch, and what the network that a search began with has to say about it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from netsurgery.errors import SettingError

Precision: TypeAlias = Literal["float32", "bfloat16"]
"""Of products and convolutions while training; weights, gradients and the optimizer stay float32."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
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


def loss_of(
    model: nn.Module, batch: Any, loss: Loss, teacher: nn.Module | None, precision: Precision = "float32"
) -> Tensor:
    """(): the user's loss; with a teacher, how far outputs lie from the teacher's is added, in its own variance.

    Of classes, of numbers and of sequences alike: mean squares of what all outputs differ by, divided by the variance
    of the teacher's. precision: of products and convolutions. Raises SettingError if `loss` returns no number that can
    be learnt from.
    """
    if precision != "float32":
        kind = next(model.parameters()).device.type
        with torch.autocast(kind, getattr(torch, precision)):
            return loss_of(model, batch, loss, teacher)
    if teacher is None:
        return _checked(loss(model, batch))
    with watched(model) as calls:
        value = _checked(loss(model, batch))
    for seen in calls:
        with torch.no_grad():
            taught = teacher(*seen.arguments, **seen.keywords)
        pairs = zip(_floats(seen.output), _floats(taught), strict=True)
        for given, wanted in pairs:
            value = value + (given - wanted).square().mean() / (wanted.var(unbiased=False) + 1e-12) / len(calls)
    return value


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
    if list(bound.arguments) != takes or not all(isinstance(one, Tensor) for one in found):
        return None
    return tuple(one.detach().cpu() for one in found) or None


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
        alike = alike and _shapes(taught) == _shapes(seen.output)
    return (calls[0] if calls else None), alike


def _checked(value: object) -> Tensor:
    if isinstance(value, Tensor) and value.numel() == 1 and value.requires_grad:
        return value
    what = type(value).__name__
    if isinstance(value, Tensor):
        what = f"a tensor of shape {tuple(value.shape)}{'' if value.requires_grad else ' without a gradient'}"
    raise SettingError(
        f"loss returned {what}; loss(model, batch) must return the loss of the batch, a tensor of one number that "
        "backward() can be called on."
    )


def _shapes(output: Any) -> list[torch.Size]:
    return [one.shape for one in _floats(output)]


def _floats(output: Any) -> list[Tensor]:
    """The tensors of floats in an output, in its order."""
    if isinstance(output, Tensor):
        return [output.to(torch.float32)] if output.is_floating_point() and output.numel() > 1 else []
    if isinstance(output, dict):
        return [one for value in output.values() for one in _floats(value)]
    return [one for value in output for one in _floats(value)] if isinstance(output, list | tuple) else []
