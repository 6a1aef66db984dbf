"""Decision trees of ai.onnx.ml as tables: which leaf is reached follows from all comparisons at once.

A leaf is reached where all comparisons on its way come out as it needs them. With 1 for what is true, the sum of those
that have to be true less those that have to be false is the number of the former there, and less everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netsurgery.graph.from_onnx.constants import AnyArray

MOST_ENTRIES = 2**26
"""Of the table that says which comparisons each leaf needs."""


@dataclass(frozen=True)
class Trees:
    """An ensemble, with as many comparisons B and leaves L for each of its T trees as the largest one has.

    features: (T * B) which column is compared; thresholds: (T * B) with what; modes: (T * B) how, "" where nothing is;
    follows_missing: (T * B) whether it is true of NaN; needs: (T, B, L), 1 for what has to be true, -1 for false;
    trues: (T, 1, L) how many have to be true, -1 where there is no leaf; weights: (T * L, targets) what a leaf adds;
    adds: the same, to which targets it adds anything, be it 0.
    """

    features: AnyArray
    thresholds: AnyArray
    modes: AnyArray
    follows_missing: AnyArray
    needs: AnyArray
    trues: AnyArray
    weights: AnyArray
    adds: AnyArray


def trees(given: Mapping[str, Any], prefix: str, targets: int) -> Trees:
    """The trees of a node's attributes. prefix: "class" or "target". Raises ValueError for those that are no trees."""
    places = {key: row for row, key in enumerate(zip(given["nodes_treeids"], given["nodes_nodeids"], strict=True))}
    names = list(dict.fromkeys(given["nodes_treeids"]))
    modes = [one.decode() for one in given["nodes_modes"]]
    found = [_walked(given, modes, places, name) for name in names]
    comparisons = max(1, *(len(one) for one, _ in found))
    leaves = max(len(one) for _, one in found)
    count = len(names)
    if count * comparisons * leaves > MOST_ENTRIES:
        raise ValueError(f"{count} trees of up to {leaves} leaves are more than {MOST_ENTRIES:,} entries of a table")
    at = np.zeros((count, comparisons), np.int64)
    used = np.zeros((count, comparisons), bool)
    needs = np.zeros((count, comparisons, leaves), np.float32)
    trues = np.full((count, 1, leaves), -1, np.float32)
    weights = np.zeros((count, leaves, targets), np.float64)
    adds = np.zeros(weights.shape, bool)
    rows_of = _weights(given, prefix)
    for tree, (name, (branches, paths)) in enumerate(zip(names, found, strict=True)):
        at[tree, : len(branches)], used[tree, : len(branches)] = branches, True
        column = {branch: place for place, branch in enumerate(branches)}
        for leaf, (row, path) in enumerate(paths):
            trues[tree, 0, leaf] = sum(1 for _, side in path if side > 0)
            for branch, side in path:
                needs[tree, column[branch], leaf] = side
            for target, weight in rows_of.get((name, given["nodes_nodeids"][row]), ()):
                weights[tree, leaf, target] += weight
                adds[tree, leaf, target] = True
    rows, compares = at.reshape(-1), used.reshape(-1)
    missing = np.asarray(given.get("nodes_missing_value_tracks_true", ()) or [0] * len(modes))
    return Trees(
        np.where(compares, np.asarray(given["nodes_featureids"])[rows], 0),
        np.where(compares, np.asarray(given["nodes_values"], np.float32)[rows], 0).astype(np.float32),
        np.where(compares, np.asarray(modes)[rows], ""),
        compares & (missing[rows] != 0),
        needs,
        trues,
        weights.reshape(count * leaves, targets),
        adds.reshape(count * leaves, targets),
    )


_Path = tuple[tuple[int, int], ...]


def _walked(
    given: Mapping[str, Any], modes: Sequence[str], places: Mapping[tuple[int, int], int], tree: int
) -> tuple[list[int], list[tuple[int, _Path]]]:
    """The rows of a tree's comparisons, and of its leaves with what they need: (comparison's row, 1 or -1)."""
    root = next(row for (name, _), row in places.items() if name == tree)
    branches: list[int] = []
    leaves: list[tuple[int, _Path]] = []
    waiting: list[tuple[int, _Path]] = [(root, ())]
    while waiting:
        row, path = waiting.pop()
        if modes[row] == "LEAF":
            leaves.append((row, path))
            continue
        if len(path) > len(modes):
            raise ValueError("a tree whose branches come back to it")
        branches.append(row)
        for side, key in ((-1, "nodes_falsenodeids"), (1, "nodes_truenodeids")):
            waiting.append((places[tree, given[key][row]], (*path, (row, side))))
    return branches, leaves


def _weights(given: Mapping[str, Any], prefix: str) -> dict[tuple[int, int], list[tuple[int, float]]]:
    """Leaf -> what it adds to which target."""
    found: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for tree, node, target, weight in zip(
        *(given[f"{prefix}_{what}"] for what in ("treeids", "nodeids", "ids", "weights")), strict=True
    ):
        found.setdefault((tree, node), []).append((target, weight))
    return found
