"""The loss of a batch, and what the network that a search began with has to say about it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from netsurgery.compression.calls import Loss, floats_in, lost, shapes_in, watched

Precision: TypeAlias = Literal["float32", "bfloat16"]
"""Of products and convolutions while training; weights, gradients and the optimizer stay float32."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


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
        return lost(loss, model, batch)
    with watched(model) as calls:
        value = lost(loss, model, batch)
    for seen in calls:
        with torch.no_grad():
            taught = teacher(*seen.arguments, **seen.keywords)
        if shapes_in(seen.output) != shapes_in(taught):  # in training it gives something else than the teacher does
            continue
        for given, wanted in zip(floats_in(seen.output), floats_in(taught), strict=True):
            value = value + (given - wanted).square().mean() / (wanted.var(unbiased=False) + 1e-12) / len(calls)
    return value
