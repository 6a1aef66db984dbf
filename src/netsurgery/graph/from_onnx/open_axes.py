"""Puts two readings of a model together, made for two sizes of each open axis: what differs follows the axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from netsurgery.errors import CaptureError, GraphError
from netsurgery.graph.ir import Graph, Node, named_sizes
from netsurgery.graph.operators import Shape

SMALL_PRIMES = (11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71)
LARGE_PRIMES = (227, 229, 233, 239, 241, 251, 257, 263, 269, 271, 277, 281, 283, 293, 307, 311)
"""Sizes of the two readings: primes, so that a product with one is never a product with another."""

FIX = "export the model with that axis fixed, or fix it with input_shapes (--input-shape)"


def reading_sizes(axes: Sequence[str], primes: Sequence[int]) -> tuple[dict[str, int], dict[str, int]]:
    """Sizes of the axes for two readings, all of them different."""
    return dict(zip(axes, primes, strict=False)), dict(zip(axes, primes[len(axes) :], strict=False))


def merged(one: Graph, other: Graph, sizes: Sequence[Mapping[str, int]]) -> Graph:
    """The graph that both readings, made for these sizes, are at any. Raises CaptureError if there is none."""
    said = " and ".join(map(named_sizes, sizes))
    if len(one.nodes) != len(other.nodes):
        raise CaptureError(f"what the model computes depends on the size of an open axis ({said}); {FIX}.")
    for name, array in one.constants.items():
        if name not in other.constants or not np.array_equal(array, other.constants[name], equal_nan=True):
            raise CaptureError(f"{name!r} is constant only for fixed sizes ({said} differ); {FIX}.")
    try:
        shapes = one.shapes(sizes[0]), other.shapes(sizes[1])
    except GraphError as error:
        raise CaptureError(f"the model contradicts itself at {said}: {error}") from error
    nodes = tuple(
        _merged(left, right, [known[str(left.inputs[0])] for known in shapes])
        for left, right in zip(one.nodes, other.nodes, strict=True)
    )
    return one.replaced(nodes=nodes)


def _merged(one: Node, other: Node, x: Sequence[Shape]) -> Node:
    """A node of both readings; sizes of a Reshape that differ are left open. x: the shape of what it reads, in each."""
    if one == other:
        return one
    if one.operator == "Reshape" and replace(one, attributes=other.attributes) == other:
        left, right = (
            size if isinstance(size, tuple) else () for size in (n.attributes["shape"] for n in (one, other))
        )
        if len(left) == len(right):
            shape = _reshaping(list(zip(left, right, strict=True)), list(zip(*x, strict=True)))
            if shape is not None:
                return replace(one, attributes={"shape": shape})
    raise CaptureError(f"{one} depends on the size of an open axis in a way that netsurgery can't keep open; {FIX}.")


def _reshaping(after: Sequence[tuple[float, float]], before: Sequence[tuple[int, int]]) -> tuple[int, ...] | None:
    """Sizes in both readings -> the attribute: 0 where an open size stays in its place, -1 for one other."""
    places = [place for place, (left, right) in enumerate(after) if left != right]
    if len(places) > 1:
        places = [place for place in places if place >= len(before) or before[place] != after[place]]
    if len(places) > 1:
        return None
    return tuple(
        -1 if place in places else int(left) if left == right else 0 for place, (left, right) in enumerate(after)
    )
