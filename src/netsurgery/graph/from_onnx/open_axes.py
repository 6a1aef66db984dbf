"""Reads a model for two sizes of each open axis and puts the readings together: what differs follows the axes.

A third reading, at sizes that share their divisors, is compared with what the two make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from netsurgery.errors import CaptureError, GraphError, Problem
from netsurgery.graph.from_onnx.reading import UnreadError
from netsurgery.graph.ir import Graph, Node, Sizes, named_sizes
from netsurgery.graph.operators import Shape

SMALL_PRIMES = (11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71)
LARGE_PRIMES = (227, 229, 233, 239, 241, 251, 257, 263, 269, 271, 277, 281, 283, 293, 307, 311)
"""Sizes of the two readings: primes, so that a product with one is never a product with another."""

EVEN_SIZES = (12, 16, 18, 20, 24, 28, 30, 32)
"""Sizes of the reading that is compared: what primes have in common, a remainder of 1 by 2, these don't have."""

_MOST_AXES = len(SMALL_PRIMES) // 2

FIX = "export the model with that axis fixed, or fix it with input_shapes (--input-shape)"
_ONE = "If two of them are one, give them one name there"

Problems: TypeAlias = Mapping[tuple[str, str], Problem]
"""Operator and place -> what is wrong there."""


def at_any_sizes(read_at: Callable[[Sizes], Graph], axes: Sequence[str]) -> Graph:
    """The graph at any sizes of its open axes, checked, of a model that `read_at` reads for one choice of them.

    Raises what `read_at` raises, GraphError, and CaptureError if there is no such graph.
    """
    if len(axes) > _MOST_AXES:
        raise CaptureError(
            f"it has {len(axes)} open axes ({', '.join(axes)}); at most {_MOST_AXES} are allowed: {FIX}."
        )
    if not axes:
        graph = read_at({})
        graph.check()
        return graph
    try:
        graph = _of_two(read_at, axes, SMALL_PRIMES)
    except CaptureError as small:  # pictures may have to be larger than a few pixels
        try:
            graph = _of_two(read_at, axes, LARGE_PRIMES)
        except CaptureError as large:  # but not longer than a table of positions
            raise _shorter(small, large) from None
    try:
        graph.check()
    except GraphError as error:
        raise CaptureError(f"{str(error).rstrip('.')}. {_advice(axes)}") from error
    _compare(graph, read_at, dict(zip(axes, EVEN_SIZES, strict=False)))
    return graph


def _compare(graph: Graph, read_at: Callable[[Sizes], Graph], sizes: Sizes) -> None:
    """Raise CaptureError unless the model reads at these sizes as what the graph is there, if it runs there at all."""
    try:
        shapes = graph.shapes(sizes)
    except GraphError:  # a table is shorter, or a picture larger
        return
    again = _read(read_at, sizes)
    same = isinstance(again, Graph) and len(again.nodes) == len(graph.nodes) and again.shapes(sizes) == shapes
    pairs = zip(graph.nodes_at(sizes), again.nodes_at(sizes), strict=True) if isinstance(again, Graph) and same else ()
    different = next((one for one, other in pairs if one.operator != "Reshape" and one != other), None)
    if not same or different is not None:
        what = different or "what the model computes"
        raise CaptureError(
            f"{what} is another one at {named_sizes(sizes)}, in a way that netsurgery can't follow. "
            f"{_advice(list(sizes))}"
        )


def _shorter(small: CaptureError, large: CaptureError) -> CaptureError:
    """The error that says less of what only is so because of the sizes that were tried."""
    counts = [len(error.missing) if isinstance(error, UnreadError) else 0 for error in (small, large)]
    return small if counts[0] < counts[1] else large


def _advice(axes: Sequence[str]) -> str:
    """What to do about a model that doesn't run at every size."""
    if len(axes) == 1:
        return f"{axes[0]} is open: {FIX}."
    return f"Its open axes are {', '.join(axes)}. If one can't be open, {FIX}. {_ONE}."


def reading_sizes(axes: Sequence[str], primes: Sequence[int]) -> tuple[dict[str, int], dict[str, int]]:
    """Sizes of the axes for two readings, all of them different."""
    return dict(zip(axes, primes, strict=False)), dict(zip(axes, primes[len(axes) :], strict=False))


def _of_two(read_at: Callable[[Sizes], Graph], axes: Sequence[str], primes: Sequence[int]) -> Graph:
    sizes = reading_sizes(axes, primes)
    one, other = (_read(read_at, given) for given in sizes)
    if isinstance(one, Graph) and isinstance(other, Graph):
        return merged(one, other, sizes, axes)
    known = tuple({} if isinstance(reading, Graph) else reading for reading in (one, other))
    places = dict.fromkeys(place for problems in known for place in problems)
    raise UnreadError([_problem(place, known, sizes, axes) for place in places])


def _read(read_at: Callable[[Sizes], Graph], sizes: Sizes) -> Graph | Problems:
    try:
        return read_at(sizes)
    except UnreadError as error:
        return {(problem.operator, problem.where): problem for problem in error.missing}


def _problem(place: tuple[str, str], known: Sequence[Problems], sizes: Sequence[Sizes], axes: Sequence[str]) -> Problem:
    """What stands in the way whatever the sizes are, as it is; else what it is about the sizes."""
    (found, at), *others = (
        (problems[place], given) for problems, given in zip(known, sizes, strict=True) if place in problems
    )
    if any(other == found for other, _ in others):
        return found
    advice = _advice(axes).rstrip(".")
    if len(axes) == 1:
        return replace(found, reason=f"doesn't take every size of {axes[0]}. {advice}")
    return replace(found, reason=f"{found.reason}. That is so at {named_sizes(at)}. {advice}")


def merged(one: Graph, other: Graph, sizes: Sequence[Sizes], axes: Sequence[str]) -> Graph:
    """The graph that both readings, made for these sizes, are at any. Raises CaptureError if there is none."""
    if len(one.nodes) != len(other.nodes):
        raise CaptureError(f"what the model computes depends on the size of an open axis. {_advice(axes)}")
    for name, constant in one.constants.items():
        twin = other.constants.get(name)
        if twin is None or not np.array_equal(constant.values, twin.values, equal_nan=True):
            raise CaptureError(f"{name!r} is constant only while an open axis keeps its size. {_advice(axes)}")
    try:
        shapes = one.shapes(sizes[0]), other.shapes(sizes[1])
    except GraphError as error:
        raise CaptureError(f"the model contradicts itself: {error}") from error
    nodes = tuple(
        _merged(left, right, [known[left.given[0]] if left.given else () for known in shapes], axes)
        for left, right in zip(one.nodes, other.nodes, strict=True)
    )
    return one.replaced(nodes=nodes)


def _merged(one: Node, other: Node, x: Sequence[Shape], axes: Sequence[str]) -> Node:
    """A node of both readings; sizes of a Reshape that differ are left open. x: the shape of what it reads, in each."""
    if one == other:
        return one
    if one.operator == "Reshape" and replace(one, attributes=other.attributes) == other:
        left, right = (_numbers(made.attributes["shape"]) for made in (one, other))
        if len(left) == len(right) and -1 not in (*left, *right):
            shape = _reshaping(list(zip(left, right, strict=True)), list(zip(*x, strict=True)))
            if shape is not None:
                return replace(one, attributes={"shape": shape})
    raise CaptureError(
        f"{one} depends on the size of an open axis in a way that netsurgery can't keep open. {_advice(axes)}"
    )


def _numbers(shape: object) -> tuple[int, ...]:
    """The sizes of a Reshape; none where some of them follow axes already."""
    known = shape if isinstance(shape, tuple) else ()
    return tuple(known) if all(isinstance(size, int) for size in known) else ()


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
