"""Moments of a layer's weights: how many they are, their sum and that of their squares, wherever parts are held."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from netsurgery.methods.base import Layer
from netsurgery.methods.shards import Groups, totals

Block = tuple[Tensor, Tensor | None]
"""Some numbers, and how many of them count, int () or None for all; those that don't are 0."""


class Moments(NamedTuple):
    """Of some numbers: how many they are, their sum and the sum of their squares."""

    size: float
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """0 of none."""
        return self.total / self.size if self.size else 0.0

    @property
    def deviation(self) -> float:
        """sqrt(E[x²] - E[x]²); 0 of none."""
        return math.sqrt(max(self.squares / self.size - self.mean**2, 0.0)) if self.size else 0.0


def moments(layer: Layer, blocks: Callable[[str], Iterator[Block]]) -> Moments:
    """Of what `blocks` gives for each of a layer's parameters, in float64."""
    here: dict[Groups, list[float]] = {}  # numbers that are alike spread are summed here first
    for name in layer.tensors:
        sums = here.setdefault(layer.across(name), [0.0, 0.0, 0.0])
        for values, count in blocks(name):
            wide = values.to(torch.float64)
            sums[0] += wide.numel() if count is None else int(count)
            sums[1] += float(wide.sum())
            sums[2] += float(wide.square().sum())
    alike = [(number, groups) for groups, sums in here.items() for number in sums]
    found = totals([number for number, _ in alike], [groups for _, groups in alike])
    return Moments(*(sum(found[which::3]) for which in range(3)))
