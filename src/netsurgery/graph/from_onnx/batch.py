"""Reads a model for two batch sizes and puts the readings together: what differs between them follows the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from netsurgery.errors import CaptureError, GraphError
from netsurgery.graph.from_onnx.reading import Problem, UnreadError
from netsurgery.graph.ir import Graph, Node

BATCHES = (11, 13)
"""The batch sizes of the two readings: primes, so that a product with one is never a product with the other."""

Problems: TypeAlias = Mapping[tuple[str, str], Problem]
"""Operator and place -> what is wrong there."""

_FIXED = "Export the model with a fixed batch size."
_SOME_BATCHES = "doesn't take every size of the batch, which is open; export the model with it fixed"
_FIX = "export the model with a fixed batch size, or without the part that computes with it"


def at_any_batch(read_at: Callable[[int], Graph]) -> Graph:
    """The graph for any batch, of a model that `read_at` reads for one. Raises what it raises, and CaptureError."""
    readings = [_read(read_at, batch) for batch in BATCHES]
    graphs = [reading for reading in readings if isinstance(reading, Graph)]
    if len(graphs) < len(readings):
        raise UnreadError(_common(*({} if isinstance(reading, Graph) else reading for reading in readings)))
    graph = merged(*graphs)
    for batch in graph.batches:
        _check(graph, batch)
    return graph


def _read(read_at: Callable[[int], Graph], batch: int) -> Graph | Problems:
    try:
        return read_at(batch)
    except UnreadError as error:
        return {(problem.operator, problem.where): problem for problem in error.problems}


def _check(graph: Graph, batch: int) -> None:
    try:
        graph.shapes(batch)
    except GraphError as error:
        raise CaptureError(f"the batch is open, but a batch of {batch} doesn't fit: {error} {_FIXED}") from error


def _common(one: Problems, other: Problems) -> list[Problem]:
    """What stands in the way whatever the batch is, as it is; the rest without the sizes that were tried."""
    places = dict.fromkeys([*one, *other])
    return [
        one[place] if one.get(place) == other.get(place) else Problem(place[0], _SOME_BATCHES, place[1])
        for place in places
    ]


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
