"""Additions and multiplications that a layer of binary planes takes: dense, plane by plane, and associatively.

Network sketching (Guo et al. 2017) counts them, because on small hardware they are what costs. n filters of t entries,
m planes; for each output position:

    dense           t n FMUL   (t - 1) n FADD
    planes          m n FMUL   m n (t - 1) FADD, and (m - 1) n for the planes of each filter
    along a tree    m n FMUL   (t - 1) + Σ (d + 1), and (m - 1) n; d over the edges of the tree, no edge where d = 0
    in stretches    m n FMUL   for each stretch of s inputs (s - 1) + Σ d; then m n (⌈t / s⌉ - 1), and (m - 1) n

A tree is associative.DependencyTree; along stretches it works with halves of the products, of which the scales' doubles
take care, and so an edge takes d. Biases are left out. Needs numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netsurgery.analysis.associative import DependencyTree, Signs

STRETCH = 8
"""Inputs of a stretch: there are 2^7 planes on them but for the sign, so that most have a twin or a close neighbour.

From a byte on patterns are many, and trees grow; on LeNet-5 nothing is gained by it.
"""
LARGEST_TREE = 2**34
"""(m n)² t up to which the tree of a whole layer is built: half a second."""


@dataclass(frozen=True)
class OperationCounts:
    """FADDs and FMULs of one layer for all its output positions at batch 1.

    tree_additions is None where building the tree of a layer so large would take long.
    """

    planes: int
    dense_additions: int
    dense_multiplications: int
    plain_additions: int
    tree_additions: int | None
    stretch_additions: int
    multiplications: int


def counts_of(groups: Sequence[Signs], positions: int) -> OperationCounts:
    """The counts of a layer.

    groups: for each group of a grouped convolution (one otherwise) (m, n, t) of 0 and 1, all of one shape.
    positions: pixels of the output, rows of a linear layer's input.
    """
    planes, filters, entries = groups[0].shape
    outputs = positions * filters * len(groups)
    over_planes = (planes - 1) * outputs
    flat = [group.reshape(planes * filters, entries) for group in groups]
    small = len(groups) * (planes * filters) ** 2 * entries <= LARGEST_TREE
    tree = sum(DependencyTree.of(signs).published_additions for signs in flat) if small else None
    return OperationCounts(
        planes=planes,
        dense_additions=outputs * (entries - 1),
        dense_multiplications=outputs * entries,
        plain_additions=planes * outputs * (entries - 1) + over_planes,
        tree_additions=None if tree is None else positions * tree + over_planes,
        stretch_additions=positions * sum(additions_in_stretches(signs, STRETCH) for signs in flat) + over_planes,
        multiplications=planes * outputs,
    )


def additions_in_stretches(signs: Signs, stretch: int) -> int:
    """FADDs for the products of all planes (planes, t) with one x, along a tree for each stretch of 1 .. 8 inputs.

    What associative.AssociativeLayer takes with the same stretches; only counted, all trees at once.
    """
    planes, entries = map(int, signs.shape)
    stretches = -(-entries // stretch)
    whole = entries // stretch * stretch
    length = sum(
        int(_spanning_lengths(_patterns(part), part.shape[2]).sum())
        for part in (
            signs[:, :whole].reshape(planes, -1, stretch),
            signs[:, whole:].reshape(planes, 1, entries - whole),
        )
        if part.size
    )
    return entries - stretches + length + planes * (stretches - 1)


def _patterns(part: Signs) -> Signs:
    """(planes, stretches, s) -> (stretches, planes): signs as a number below 2^(s - 1), a plane as its negative."""
    patterns = np.packbits(part, axis=2, bitorder="little")[:, :, 0]
    smaller: Signs = np.minimum(patterns, np.uint8((1 << part.shape[2]) - 1) ^ patterns).T
    return smaller


def _spanning_lengths(patterns: Signs, width: int) -> npt.NDArray[np.int64]:
    """The length of the minimum spanning tree over each row's patterns: Prim's algorithm on all rows together."""
    vertices = np.arange(1 << (width - 1))
    differing = vertices[:, None] ^ vertices
    hamming = sum(differing >> bit & 1 for bit in range(width))
    distances = np.minimum(hamming, width - hamming).astype(np.int16)
    rows = np.arange(len(patterns))
    outside = np.zeros((len(patterns), len(vertices)), bool)
    outside[rows[:, None], patterns] = True
    joined = patterns[:, 0]
    outside[rows, joined] = False
    closest, lengths = distances[joined], np.zeros(len(patterns), np.int64)
    while outside.any():
        reach = np.where(outside, closest, np.int16(width))
        joined = reach.argmin(axis=1)
        lengths += np.where(outside[rows, joined], reach[rows, joined], 0)
        outside[rows, joined] = False
        closest = np.minimum(closest, distances[joined])
    return lengths
