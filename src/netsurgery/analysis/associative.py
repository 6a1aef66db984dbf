"""Associative convolution of binary planes: Guo, Yao, Zhao, Chen, CVPR 2017, arXiv 1706.02021.

The planes of a layer read the same inputs. Where two planes B_i and B_p differ in few places, X·B_i follows from X·B_p
by correcting these; and from -X·B_p where they agree in few. So the planes of all filters form a graph with distances
min(Ham, t - Ham), and along its minimum spanning tree every plane is computed from its parent.

This is how much could be saved where an addition is what costs, as on an FPGA, and a reference of how; on a processor
that multiplies and adds in one instruction the engine's tables are faster. Needs numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netsurgery.checks import require, require_count

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
Signs = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class DependencyTree:
    """A minimum spanning tree over planes, from plane 0 on.

    signs: (planes, t) of 0 and 1, for -1 and +1. order: planes so that parents come first, the root at the front.
    parents: of each plane, -1 for the root. negated: True where a plane follows from the negative of its parent.
    distances: places where a plane differs from its parent, or from the parent's negative; 0 for the root.
    """

    signs: Signs
    order: Counts
    parents: Counts
    negated: npt.NDArray[np.bool_]
    distances: Counts

    @classmethod
    def of(cls, signs: Signs) -> DependencyTree:
        """Prim's algorithm: (planes, t) of 0 and 1 -> the tree. Takes 4 * planes² bytes, and planes² * t products."""
        planes, entries = signs.shape
        unit = np.where(signs == 1, np.float32(1), np.float32(-1))
        agreement = unit @ unit.T  # t - 2 * Ham: whole numbers, exact below 2^24
        order, parents = np.zeros(planes, np.int64), np.full(planes, -1)
        closest, nearest = np.abs(agreement[0]), np.zeros(planes, np.int64)
        closest[0] = -1
        for place in range(1, planes):
            joined = int(closest.argmax())
            order[place], parents[joined] = joined, nearest[joined]
            closest[joined] = -1  # never the largest again
            similar = np.abs(agreement[joined])
            closer = (similar > closest) & (closest >= 0)
            closest[closer], nearest[closer] = similar[closer], joined
        along = agreement[np.arange(planes), np.maximum(parents, 0)]
        distances = ((entries - np.abs(along)) / 2).astype(np.int64)
        return cls(signs, order, parents, along < 0, distances)

    @property
    def additions(self) -> int:
        """FADDs that `products` takes for one x: t - 1 for the root, d for each other plane.

        The paper counts d + 1: d - 1 to sum what differs, one to double it, one to add it. Halves of the products take
        no doubling.
        """
        return int(self.signs.shape[1]) - 1 + int(self.distances.sum())

    @property
    def published_additions(self) -> int:
        """The paper's count: t - 1 for the root, d + 1 for each plane that differs from its parent."""
        return self.additions + int(np.count_nonzero(self.distances))

    def products(self, x: Floats) -> Floats:
        """Half the product of each plane with each x: (positions, t) -> (positions, planes), float32.

        (X·B_i) / 2 = ±(X·B_p) / 2 ± x_1 ± x_2 ... over the places where B_i differs from ±B_p. The halves are exact.
        """
        halves = np.empty((len(x), len(self.signs)), np.float32)
        for plane in self.order:
            parent, sign = self.parents[plane], self.signs[plane]
            if parent < 0:
                halves[:, plane] = np.where(sign == 1, x, -x).sum(axis=1, dtype=np.float32) / 2
                continue
            base = -halves[:, parent] if self.negated[plane] else halves[:, parent]
            for place in np.flatnonzero(sign != self.signs[parent] ^ np.uint8(self.negated[plane])):
                base = base + (x[:, place] if sign[place] else -x[:, place])
            halves[:, plane] = base
        return halves


@dataclass(frozen=True)
class AssociativeLayer:
    """Filters of several planes, computed along dependency trees: one for each stretch of the inputs.

    scales: (filters, m). trees: over the planes of all filters, plane after plane; each sees the next stretch of the
    inputs. One stretch is the paper's tree. With stretches of a few inputs most planes have a twin among the others, or
    one that differs in a single place, and it is the sums over stretches that cost.
    """

    scales: Floats
    trees: tuple[DependencyTree, ...]

    @classmethod
    def of(cls, scales: Floats, signs: Signs, stretch: int | None = None) -> AssociativeLayer:
        """The layer of planes as a file has them: scales (filters, m), signs (m, filters, t) of 0 and 1.

        stretch: inputs that a tree sees, >= 1; None: all t of them. Raises SettingError.
        """
        planes, filters, entries = signs.shape
        require(scales.shape == (filters, planes), "scales", scales.shape, f"of shape {(filters, planes)}")
        width = entries if stretch is None else stretch
        require_count("stretch", width)
        flat = signs.reshape(planes * filters, entries)
        return cls(scales, tuple(DependencyTree.of(flat[:, at : at + width]) for at in range(0, entries, width)))

    @property
    def additions(self) -> int:
        """FADDs for one position: within trees, then over stretches, then over the planes of each filter."""
        filters, planes = map(int, self.scales.shape)
        over_stretches = planes * filters * (len(self.trees) - 1)
        return sum(tree.additions for tree in self.trees) + over_stretches + (planes - 1) * filters

    @property
    def multiplications(self) -> int:
        """FMULs for one position: a scale for each plane of each filter, a half for the root of each tree."""
        return int(self.scales.size) + len(self.trees)

    def outputs(self, x: Floats) -> Floats:
        """Σ_j a_j (X·B_j) of each filter: windows (positions, t) -> (positions, filters), float32."""
        filters, planes = self.scales.shape
        widths = [tree.signs.shape[1] for tree in self.trees]
        parts = np.split(x, np.cumsum(widths)[:-1], axis=1)
        halves = self.trees[0].products(parts[0])
        for tree, part in zip(self.trees[1:], parts[1:], strict=True):
            halves = halves + tree.products(part)
        scaled = halves.reshape(-1, planes, filters) * (2 * self.scales.T)
        total: Floats = scaled[:, 0]
        for plane in range(1, planes):
            total = total + scaled[:, plane]
        return total
