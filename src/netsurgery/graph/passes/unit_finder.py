"""Collecting units: sets of channels that live and die together, joined as a forest of parents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from netsurgery.graph.ir import Graph, Node
from netsurgery.graph.operators import Shape

Units: TypeAlias = npt.NDArray[np.intp]
Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class UnitMap:
    """The units of a graph, numbered from 0.

    axes: value -> its channel axis; a value that isn't there has no units (all of it stays).
    channels: value -> the unit of each entry along that axis. Entries of one unit may lie anywhere.
    columns: output of a Conv or Linear -> the unit of each channel that it reads.
    pinned: for each unit, whether it has to stay.
    """

    axes: dict[str, int]
    channels: dict[str, Units]
    columns: dict[str, Units]
    pinned: Mask


class UnitFinder:
    """Collects the units of a graph while somebody walks through its nodes in order."""

    def __init__(self, graph: Graph) -> None:
        self.shapes = [graph.shapes(sizes) for sizes in graph.tried_sizes()]
        self.constants = graph.constants
        self.axes: dict[str, int] = {}
        self.channels: dict[str, Units] = {}
        self.columns: dict[str, Units] = {}
        self._parents: list[int] = []
        self._pinned: list[Units] = []
        self._tied: dict[str, tuple[Units, Units]] = {}
        self._stiff = _weights_in_several_roles(graph)

    def shape(self, name: str) -> Shape:
        """The shape of a value; some of its sizes may be open."""
        return self.shapes[-1][name]

    def fresh(self, count: int) -> Units:
        """So many new units."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    def unite(self, some: Units, others: Units) -> None:
        """Each of some units is the same as the other at its place."""
        for a, b in zip(some.tolist(), others.tolist(), strict=True):
            root, other = sorted((self._root(a), self._root(b)))
            self._parents[other] = root

    def _root(self, unit: int) -> int:
        while self._parents[unit] != unit:
            self._parents[unit] = self._parents[self._parents[unit]]
            unit = self._parents[unit]
        return unit

    def pin(self, name: str) -> None:
        """All units of a value stay."""
        if name in self.channels:
            self._pinned.append(self.channels[name])

    def seen(self, name: str, axis: int) -> Units:
        """The units of a value for a reader that takes its channels along `axis`; pinned ones if they lie elsewhere."""
        if self.axes.get(name) == axis:
            return self.channels[name]
        self.pin(name)
        units = self.fresh(self.shape(name)[axis])
        self._pinned.append(units)
        return units

    def make(self, node: Node, axis: int, units: Units) -> None:
        """The node's output has these units along this axis; they stay where the axis has no size of its own."""
        if any(known[node.output][axis] != len(units) for known in self.shapes):
            self._pinned.append(units)
            return
        self.axes[node.output], self.channels[node.output] = axis, units

    def tie(self, weight: str, rows: Units, columns: Units) -> None:
        """What two readers of one weight read and make goes together."""
        if weight in self._stiff:
            self._pinned += [rows, columns]
        elif weight in self._tied:
            for mine, theirs in zip((rows, columns), self._tied[weight], strict=True):
                self.unite(mine, theirs)
        self._tied[weight] = rows, columns

    def result(self) -> UnitMap:
        """The units, numbered without gaps."""
        roots = np.array([self._root(unit) for unit in range(len(self._parents))], np.intp)
        present, numbers = np.unique(roots, return_inverse=True)
        pinned = np.zeros(len(present), bool)
        for units in self._pinned:
            pinned[numbers[units]] = True
        channels = {name: numbers[units] for name, units in self.channels.items()}
        columns = {name: numbers[units] for name, units in self.columns.items()}
        return UnitMap(self.axes, channels, columns, pinned)


def _weights_in_several_roles(graph: Graph) -> set[str]:
    """Constants that are a weight here and something else, or another kind of weight, there."""
    roles: dict[str, set[object]] = {name: {"output"} for name in graph.outputs}
    for node in graph.nodes:
        for place, name in enumerate(node.given):
            roles.setdefault(name, set()).add((node.operator, place, node.attributes.get("groups")))
    return {name for name, seen in roles.items() if len(seen) > 1}
