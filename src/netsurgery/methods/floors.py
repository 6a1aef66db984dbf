"""The fewest connections of each layer: a common ranking may thin a layer, but not cut a network in two.

A ranking knows connections, not paths. A layer that is small, or whose saliency is badly known for a moment, may lose
all it has, and with it all others lose their function. So each layer keeps

- a share of what a random graph of the same total would give it: connections in proportion to its outputs and inputs
  (Erdős and Rényi; Mocanu et al. 2018, arXiv 1707.04780), times `SHARE`; and
- a quarter of the fewer of its outputs and input positions, whatever the total (`fewest`): below that, what its outputs
  say of its inputs is next to nothing.

The best connections of the layer fill its floor. A layer that the loss doesn't feel, or not with so many connections,
needs none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from netsurgery.methods.base import Layer, TensorReport

SHARE = 0.1


def fewest(layers: Sequence[Layer]) -> dict[str, int]:
    """Layer name -> connections that it needs whatever the density."""
    return {layer.name: _fewest(_weight(layer).shape) for layer in layers}


def floors(layers: Sequence[Layer], keep: int) -> dict[str, int]:
    """Layer name -> the fewest connections that it keeps where all layers together keep `keep`: `fewest`, or more."""
    least = fewest(layers)
    ends = {layer.name: sum(_weight(layer).shape[:2]) for layer in layers}
    total = sum(ends.values())
    shares = {
        layer.name: min(
            _weight(layer).numel(), max(least[layer.name], math.floor(SHARE * keep * ends[layer.name] / total))
        )
        for layer in layers
    }
    return shares if sum(shares.values()) <= keep else least


def starved(rows: Sequence[TensorReport]) -> list[TensorReport]:
    """Those weights that have lost so many connections that they pass hardly anything on."""
    return [row for row in rows if len(row.shape) > 1 and row.pruned_total and row.kept < _fewest(row.shape)]


def _weight(layer: Layer) -> Tensor:
    """Weights come first in a layer."""
    return next(iter(layer.tensors.values()))


def _fewest(shape: Sequence[int]) -> int:
    return math.ceil(min(shape[0], math.prod(shape[1:])) / 4)
