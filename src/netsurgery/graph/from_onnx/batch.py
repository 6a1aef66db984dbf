"""Puts two readings of a model together, made for two batch sizes: what differs between them follows the batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from netsurgery.errors import CaptureError
from netsurgery.graph.ir import Graph, Node

BATCHES = (11, 13)
"""The batch sizes of the two readings: primes, so that a product with one is never a product with the other."""

_FIX = "export the model with a fixed batch size, or without the part that computes with it"


def merged(one: Graph, other: Graph) -> Graph:
    """The graph that both readings are, for any batch. Raises CaptureError if there is none."""
    if len(one.nodes) != len(other.nodes):
        raise CaptureError(f"what the model computes depends on the batch size; {_FIX}.")
    for name, constant in one.constants.items():
        twin = other.constants.get(name)
        if twin is None or not np.array_equal(constant.values, twin.values, equal_nan=True):
            raise CaptureError(f"{name!r} is constant only for a fixed batch size; {_FIX}.")
    nodes = tuple(_merged(left, right) for left, right in zip(one.nodes, other.nodes, strict=True))
    return one.replaced(nodes=nodes)


def _merged(one: Node, other: Node) -> Node:
    """A node of both readings; the size of a Reshape that differs is left open."""
    if one == other:
        return one
    if one.operator == "Reshape" and replace(one, attributes=other.attributes) == other:
        sizes = [one.attributes["shape"], other.attributes["shape"]]
        left, right = (size if isinstance(size, tuple) else () for size in sizes)
        shape = tuple(a if a == b else -1 for a, b in zip(left, right, strict=False))
        if len(left) == len(right) and shape.count(-1) == 1:
            return replace(one, attributes={"shape": shape})
    raise CaptureError(f"{one} depends on the batch size in a way that netsurgery can't keep open; {_FIX}.")
