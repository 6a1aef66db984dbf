"""One forward of a network whose activations are rounded: which values are, what reads them, what they were."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from netsurgery.attachment.other_optimizers import uncompiled
from netsurgery.graph.fixed_point import highest
from netsurgery.graph.grid_choice import Choice

_SAMPLE = 2**12
"""Entries of a value that are kept from each batch."""
_FUNCTIONS = (F.linear, torch.conv1d, torch.conv2d, torch.conv3d)


class Forward(TorchFunctionMode):
    """One forward of a model: what has been looked at, or rounded, so that all readers get the same.

    read: (name of a weight, what is multiplied by it) -> what is read in its place. names: id of a weight -> its name.
    looks: values are looked at, none is rounded.
    """

    def __init__(self, read: Callable[[str, Tensor], Tensor], names: Mapping[int, str], looks: bool) -> None:
        super().__init__()
        self.looks = looks
        self._read, self._names = read, names
        self.rounded: dict[int, tuple[Tensor, Tensor]] = {}
        """id -> (value, what is read in its place); values are held, so that no other gets their id."""
        self.looked_at: dict[tuple[str, int], Tensor] = {}

    @uncompiled  # its dicts grow with each function: every length would be compiled for
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _FUNCTIONS:
            weight = args[1] if len(args) > 1 else kwargs.get("weight")
            name = self._names.get(id(weight))
            x = args[0] if args else kwargs["input"]
            if name is not None:
                x = self._read(name, x)
                args, kwargs = ((x, *args[1:]), kwargs) if args else (args, {**kwargs, "input": x})
        if self.rounded:
            if _writes(func, kwargs):
                self.rounded.pop(id(args[0]) if args else 0, None)
                args = (*args[:1], *map(self._as_read, args[1:]))
            else:
                args = tuple(map(self._as_read, args))
                kwargs = {name: value if name == "out" else self._as_read(value) for name, value in kwargs.items()}
        return func(*args, **kwargs)

    def _as_read(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self.rounded.get(id(value), (value, value))[1]
        return type(value)(map(self._as_read, value)) if type(value) in (list, tuple) else value


@dataclass
class Seen:
    """What a layer has read."""

    largest: float = 0.0
    negative: bool = False
    sample: list[Tensor] = field(default_factory=list)

    def look(self, x: Tensor) -> None:
        if not x.numel():
            return
        largest = float(x.abs().max())
        if math.isnan(largest) or largest > self.largest:
            self.largest = largest  # NaN stays
        self.negative = self.negative or bool((x < 0).any())
        flat = x.reshape(-1)
        stride = -(-flat.numel() // _SAMPLE) | 1  # odd: it doesn't keep step with rows and channels
        self.sample.append(flat[::stride].float().cpu())

    def saved(self) -> dict[str, Any]:
        return {"largest": self.largest, "negative": self.negative, "sample": torch.cat(self.sample)}

    @classmethod
    def loaded(cls, saved: Mapping[str, Any]) -> Seen:
        largest, negative, sample = saved["largest"], saved["negative"], saved["sample"]
        if not (isinstance(sample, Tensor) and sample.dim() == 1 and sample.is_floating_point()):
            raise TypeError("a sample isn't a row of numbers")
        if not (isinstance(largest, float) and isinstance(negative, bool)):
            raise TypeError(f"largest={largest!r} and negative={negative!r} are no number, and True or False")
        return cls(largest, negative, [sample.clone()])


def rounded(x: Tensor, grid: Choice) -> Tensor:
    """The nearest of the grid, ties to even; gradients pass where the grid doesn't end."""
    high = highest(grid.bits, grid.signed)
    return torch.fake_quantize_per_tensor_affine(x, 2.0**grid.exponent, 0, -high if grid.signed else 0, high)


def _writes(func: Any, kwargs: Mapping[str, Any]) -> bool:
    """Whether a function writes to its first argument."""
    name = getattr(func, "__name__", "")
    return (
        (name.endswith("_") and not name.endswith("__"))
        or name in ("__setitem__", "__set__")
        or (name.startswith("__i") and name != "__invert__")
        or bool(kwargs.get("inplace"))
    )
