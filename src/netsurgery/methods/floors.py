"""The fewest connections of each weight: a common ranking may thin a layer, but not cut a network in two.

A ranking knows connections, not paths. A layer that is small, or whose saliency is badly known for a moment, may lose
all it has, and with it all others lose their function. So each weight (biases are not paths) keeps

- a share of what a random graph of the same total would give it: connections in proportion to its outputs and inputs
  (Erdős and Rényi; Mocanu et al. 2018, arXiv 1707.04780), times `SHARE`; and
- a quarter of the fewer of its outputs and input positions (of all groups), whatever the total (`fewest`): below that,
  what its outputs say of its inputs is next to nothing.

The best connections of the weight fill its floor. A weight that the loss has never felt, or not with so many
connections, needs none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from netsurgery.methods.base import Layer, TensorReport, weights_of

SHARE = 0.1


def fewest(layers: Sequence[Layer]) -> dict[str, int]:
    """Parameter name of each weight -> connections that it needs whatever the density."""
    return {name: _fewest(layer.shape(name), layer.groups) for layer, name, _ in weights_of(layers)}


def floors(layers: Sequence[Layer], keep: int) -> dict[str, int]:
    """Parameter name of each weight -> the fewest connections that it keeps where all together keep `keep`.

    Those of `fewest`, or more.
    """
    least, weights = fewest(layers), list(weights_of(layers))
    ends = {name: layer.shape(name)[0] + layer.groups * layer.shape(name)[1] for layer, name, _ in weights}
    total = sum(ends.values())
    shares = {
        name: min(layer.size(name), max(least[name], math.floor(SHARE * keep * ends[name] / total)))
        for layer, name, _ in weights
    }
    return shares if sum(shares.values()) <= keep else least


def starved(rows: Sequence[TensorReport]) -> list[TensorReport]:
    """Those weights that have lost so many connections, or have none, that they pass hardly anything on."""
    return [
        row
        for row in rows
        if len(row.shape) > 1 and (row.pruned_total or not row.kept) and row.kept < _fewest(row.shape, row.groups)
    ]


def _fewest(shape: Sequence[int], groups: int) -> int:
    """A convolution in groups has as many input positions for each of them."""
    return math.ceil(min(shape[0], groups * math.prod(shape[1:])) / 4)
