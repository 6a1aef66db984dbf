"""A Conv or Linear as what it reads for what it makes: which columns count in which rows, and what constants add."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netsurgery.graph.ir import Array, Node
from netsurgery.graph.passes.units import Mask
from netsurgery.graph.weights import Weights

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LayerMatrix:
    """weight (G, O/G, I/G, places of the kernel); bias (O,); padded: some windows see zeros beside the input."""

    weight: Array
    bias: Array
    padded: bool

    @classmethod
    def of(cls, node: Node, constants: Mapping[str, Weights]) -> LayerMatrix:
        """The matrix of a Conv or Linear node."""
        weight = constants[node.given[1]].values
        groups: Any = node.attributes.get("groups", 1)
        bias = constants[node.given[2]].values if len(node.given) == 3 else np.zeros(len(weight), np.float32)
        split = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)
        return cls(split, bias, bool(node.attributes.get("pads")))

    @property
    def groups(self) -> int:
        """How many groups of channels know nothing of each other."""
        return len(self.weight)

    def reads(self) -> Mask:
        """(G, O/G, I/G): whether a column counts in a row."""
        result: Mask = (self.weight != 0).any(axis=3)
        return result

    def movable(self, known: Array) -> Mask:
        """(I,) -> (I,): whether a channel adds the same to each output, so that the bias can do it instead.

        known: the number that a channel always is, or NaN. Beside padding, only 0 looks the same from every window.
        """
        result: Mask = known == 0 if self.padded else np.isfinite(known)
        return result

    def moved(self, known: Array, columns: Mask) -> Doubles:
        """The bias (O,), in float64, with what these columns (I,) add to it at their known numbers."""
        groups, _, width, _ = self.weight.shape
        numbers = np.where(columns, known, 0).reshape(groups, width)
        counting = np.flatnonzero((numbers != 0).any(axis=0))
        sums = self.weight[:, :, counting].sum(axis=3, dtype=np.float64)
        added: Doubles = (sums * numbers[:, None, counting]).sum(axis=2)
        return self.bias + added.ravel()

    def known_rows(self, known: Array) -> Array:
        """(O,): the number that an output channel always is, or NaN where it depends on channels that aren't known."""
        movable = self.movable(known)
        open_columns = ~movable.reshape(len(self.weight), 1, -1)
        depends = (self.reads() & open_columns).any(axis=2).ravel()
        return np.where(depends, np.float32(np.nan), self.moved(known, movable).astype(np.float32))
