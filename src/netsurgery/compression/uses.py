"""How often a run uses the connections of each layer: what a bound on multiplications ranks them by."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from netsurgery.methods.base import Layer, weights_of

_ROOT = "Global"  # what torch's counter calls all modules together


def uses_of(model: nn.Module, layers: Sequence[Layer], run: Callable[[], object]) -> tuple[tuple[str, float], ...]:
    """The name of each layer, and the multiplications of a run for each of its connections; only proportions count.

    run: calls the model once. torch counts what modules multiply; what a layer multiplies is its module's, without what
    modules inside of it do that are layers themselves. Layers of which nothing is counted, as where `run` doesn't reach
    them, count as those that are used least.
    """
    counter = FlopCounterMode(display=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about flags that nobody has touched
        with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False), counter:  # oneDNN's LSTM isn't counted
            run()
    prefix = type(model).__name__
    counted = {
        "" if name == prefix else name.removeprefix(f"{prefix}."): sum(parts.values())
        for name, parts in counter.get_flop_counts().items()
        if name != _ROOT
    }
    sizes: dict[str, int] = {}
    for layer, name, _ in weights_of(layers):
        sizes[layer.name] = sizes.get(layer.name, 0) + layer.size(name)
    inside = {
        name: sum(counted.get(other, 0) for other in sizes if other != name and _lies_in(other, name, sizes))
        for name in sizes
    }
    found = {name: max(counted.get(name, 0) - inside[name], 0) / size for name, size in sizes.items()}
    least = min((value for value in found.values() if value > 0), default=1.0)
    return tuple((layer.name, float(found.get(layer.name, 0.0) or least)) for layer in layers)


def _lies_in(name: str, outer: str, others: dict[str, int]) -> bool:
    """Whether a module lies in another one, with no layer between them."""

    def within(one: str, other: str) -> bool:
        return one != other and (not other or one.startswith(f"{other}."))

    return within(name, outer) and not any(within(name, one) and within(one, outer) for one in others)
