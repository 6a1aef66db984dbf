"""Counts read from tensors, many at once: a graphics card is waited for once, not once for each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def numbers(counts: Sequence[Tensor]) -> list[int]:
    """The values of integer or bool tensors of shape (), whichever devices they are on."""
    devices = {count.device for count in counts}
    if len(devices) > 1:
        return [int(count) for count in counts]
    return [int(value) for value in torch.stack(list(counts)).tolist()] if counts else []
