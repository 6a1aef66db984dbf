"""Counts read from tensors, many at once: a graphics card is waited for once, not once for each."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def reads_at_once(tensor: Tensor) -> bool:
    """True if reading a number from it waits for nothing: it is a processor's. All others are waited for."""
    return tensor.device.type == "cpu"


def numbers(counts: Iterable[Tensor]) -> list[int]:
    """The values of integer or bool tensors of shape (), whichever devices they are on.

    Give them as they are made: those of a processor are read, and freed, at once. A small tensor that outlives the
    large one it was counted from keeps the allocator from using that place again, and memory grows by all of them.
    """
    read: list[int] = []
    waiting: dict[torch.device, list[tuple[int, Tensor]]] = {}
    for place, count in enumerate(counts):
        if reads_at_once(count):
            read.append(int(count))
        else:
            read.append(0)
            waiting.setdefault(count.device, []).append((place, count))
    for placed in waiting.values():
        values = torch.stack([count for _, count in placed]).tolist()
        for (place, _), value in zip(placed, values, strict=True):
            read[place] = int(value)
    return read
