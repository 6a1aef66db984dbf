"""Reads a model for two sizes of each open axis and puts the readings together: what differs follows the axes.

A third reading, at sizes that share their divisors, is compared with what the two make. Axes that can't have every size
may take the multiples of a step: that is found by trying (step_search.py), and the readings are made at such sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from math import isqrt
from typing import TypeAlias

import numpy as np

from netsurgery.errors import CaptureError, GraphError, Problem
from netsurgery.graph.from_onnx.reading import UnreadError
from netsurgery.graph.ir import Graph, Node, Sizes, named_sizes
from netsurgery.graph.operators import Shape
from netsurgery.graph.step_search import steps_of

SHORTEST = (11, 227, 4000)
"""Where the sizes of the readings begin. Pictures may have to be larger than a few pixels, and sounds longer than a few
hundred samples; but a table of positions ends somewhere, and a square of a long axis doesn't fit into memory: beyond
pictures the last axis alone is that long. Sizes are primes, times the step of their axis, so that a
product with one is never a product with another."""

FEW = (2, 3)
"""Sizes of one axis, the others as long as in the first readings, where it may index a table of a few rows."""

_MOST_FEW = 3
"""Of so many axes each is tried with a few entries."""

_LONG = 1000
"""Beyond it, one axis alone is as long as a reading is to be."""

EVEN_SIZES = (12, 16, 18, 20, 24, 28, 30, 32)
"""Sizes of the reading that is compared, in steps of the axes: what primes have in common, a remainder of 1 by 2, these
don't have."""

_MOST_AXES = 8

FIX = "export the model with that axis fixed, or fix it with input_shapes (--input-shape)"
_ONE = "If two of them are one, give them one name there"

_GROWN = 1.2
"""So many times the nodes of one reading are in another: a loop over the entries of an axis, at whatever sizes."""


class _GrowsError(CaptureError):
    """A model of more nodes the longer an axis is: no other sizes help."""


ReadAt: TypeAlias = Callable[[Sizes, Mapping[str, int]], Graph]
"""Reads a model for one choice of sizes; the second are the steps of those axes of which all sizes are multiples."""

Problems: TypeAlias = Mapping[tuple[str, str], Problem]
"""Operator and place -> what is wrong there."""


def at_any_sizes(read_at: ReadAt, axes: Sequence[str], bound: int = 0) -> Graph:
    """The graph at any sizes of its open axes, checked, of a model that `read_at` reads for one choice of them.

    bound: the largest number in the model that sizes may be compared with, as where 500 entries are cut out.

    Any sizes from some on, or, where that can't be, multiples of a power of two: `Graph.steps`. Raises what `read_at`
    raises, GraphError, and CaptureError if there is no such graph.
    """
    if len(axes) > _MOST_AXES:
        raise CaptureError(
            f"it has {len(axes)} open axes ({', '.join(axes)}); at most {_MOST_AXES} are allowed: {FIX}."
        )
    if not axes:
        graph = read_at({}, {})
        graph.check()
        return graph
    try:
        return _of_steps(read_at, axes, {}, bound)
    except CaptureError as refusal:
        if is_hopeless(refusal) or any(problem.absent for problem in getattr(refusal, "missing", ())):
            raise  # multiples of a step bring no operator that is missing
        steps = steps_of(lambda sizes: _reads(read_at, sizes), axes)
        if not steps:
            raise
        try:
            return _of_steps(read_at, axes, steps, bound)
        except CaptureError:
            raise refusal from None  # which says more of the model


def is_hopeless(refusal: CaptureError) -> bool:
    """True if operators are missing and nothing else is wrong, or nodes grow with an axis: other sizes don't help."""
    absent = isinstance(refusal, UnreadError) and all(problem.absent for problem in refusal.missing)
    return absent or isinstance(refusal, _GrowsError)


def _reads(read_at: ReadAt, sizes: Sizes) -> bool:
    try:
        read_at(sizes, {}).shapes(sizes)
    except (CaptureError, GraphError, MemoryError):
        return False
    return True


def _of_steps(read_at: ReadAt, axes: Sequence[str], steps: Mapping[str, int], bound: int) -> Graph:
    """The graph at any multiples of these steps."""
    tried: list[tuple[dict[str, int], dict[str, int]]] = []
    refusals: list[CaptureError] = []
    short = axes if not steps and len(axes) <= _MOST_FEW else ()
    usual = [reading_sizes(axes, shortest, steps) for shortest in SHORTEST]
    wanted = list(usual)
    for axis in short:
        first, second = reading_sizes(axes, SHORTEST[0], steps)
        wanted.append(({**first, axis: FEW[0]}, {**second, axis: FEW[1]}))
    for sizes in wanted:
        if sizes in tried:
            continue
        tried.append(sizes)
        try:
            graph = _of_two(read_at, axes, sizes, steps)
        except CaptureError as error:
            if sizes in usual:
                refusals.append(error)
            if is_hopeless(error):
                break
            continue
        try:
            graph.check()
        except GraphError as error:
            raise CaptureError(f"{str(error).rstrip('.')}. {_advice(axes)}") from error
        _compare(graph, read_at, _even_sizes(graph))
        for axis in axes if bound else ():
            _compare(graph, read_at, {**_even_sizes(graph), axis: _beyond(graph, axis, bound)}, there=False)
        return graph
    raise min([*refusals[1::-1], *refusals[2:]], key=_length)


def _even_sizes(graph: Graph) -> dict[str, int]:
    """Sizes that readings haven't been at, as far as a table has more rows: one that is read whole isn't cut."""
    sizes = {}
    for (axis, least), units in zip(graph.least.items(), EVEN_SIZES, strict=False):
        step = graph.steps.get(axis, 1)
        sizes[axis] = step * (units if units * step >= least else units + -(-least // step // 4) * 4)
    more = {axis: size + graph.steps.get(axis, 1) for axis, size in sizes.items()}
    return sizes if graph.takes(more) else graph.tried_sizes()[1]


def _beyond(graph: Graph, axis: str, bound: int) -> int:
    """A size that is larger than a bound, and than what strides make of one."""
    step = graph.steps.get(axis, 1)
    return (bound // step + 1) * step + graph.least[axis] // step * step


def _compare(graph: Graph, read_at: ReadAt, sizes: Sizes, there: bool = True) -> None:
    """Raise CaptureError unless the model reads at these sizes as what the graph is there, if it runs there at all.

    there: False if the model needn't be one that can be read there.
    """
    if not there and not graph.takes(sizes):
        return
    shapes = graph.shapes(sizes)
    try:
        again = _read(read_at, sizes, graph.steps)
    except CaptureError:
        if there:
            raise
        return
    if not there and not isinstance(again, Graph):
        return
    same = isinstance(again, Graph) and len(again.nodes) == len(graph.nodes) and again.shapes(sizes) == shapes
    pairs = zip(graph.nodes_at(sizes), again.nodes_at(sizes), strict=True) if isinstance(again, Graph) and same else ()
    different = next((one for one, other in pairs if one.operator != "Reshape" and one != other), None)
    if not same or different is not None:
        what = different or "what the model computes"
        raise CaptureError(
            f"{what} is another one at {named_sizes(sizes)}, in a way that netsurgery can't follow. "
            f"{_advice(list(sizes))}"
        )


def _length(error: CaptureError) -> int:
    """How much an error says that only is so because of the sizes that were tried."""
    return len(error.missing) if isinstance(error, UnreadError) else 0


def _advice(axes: Sequence[str]) -> str:
    """What to do about a model that doesn't run at every size."""
    if len(axes) == 1:
        return f"{axes[0]} is open: {FIX}."
    return f"Its open axes are {', '.join(axes)}. If one can't be open, {FIX}. {_ONE}."


def reading_sizes(
    axes: Sequence[str], shortest: int, steps: Mapping[str, int]
) -> tuple[dict[str, int], dict[str, int]]:
    """Sizes of the axes for two readings: each the step of its axis times a prime of its own, about `shortest`."""
    used: set[int] = set()
    sizes: list[dict[str, int]] = [{}, {}]
    for reading in sizes:
        for axis in axes:
            step, start = steps.get(axis, 1), shortest if shortest < _LONG or axis == axes[-1] else SHORTEST[0]
            prime = next(prime for prime in _primes(max(SHORTEST[0], start // step)) if prime not in used)
            used.add(prime)
            reading[axis] = step * prime
    return sizes[0], sizes[1]


def _primes(start: int) -> Iterator[int]:
    return (number for number in count(start) if all(number % divisor for divisor in range(2, isqrt(number) + 1)))


def _of_two(read_at: ReadAt, axes: Sequence[str], sizes: tuple[Sizes, Sizes], steps: Mapping[str, int]) -> Graph:
    one, other = (_read(read_at, given, steps) for given in sizes)
    if isinstance(one, Graph) and isinstance(other, Graph):
        return merged(one, other, sizes, axes)
    known = tuple({} if isinstance(reading, Graph) else reading for reading in (one, other))
    places = dict.fromkeys(place for problems in known for place in problems)
    raise UnreadError([_problem(place, known, sizes, axes) for place in places])


def _read(read_at: ReadAt, sizes: Sizes, steps: Mapping[str, int]) -> Graph | Problems:
    try:
        return read_at(sizes, steps)
    except UnreadError as error:
        return {(problem.operator, problem.where): problem for problem in error.missing}
    except MemoryError:
        raise CaptureError(f"what is known of the model at {named_sizes(sizes)} doesn't fit into memory.") from None


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
        few, many = sorted((len(one.nodes), len(other.nodes)))
        kind = _GrowsError if many > _GROWN * few else CaptureError
        raise kind(f"what the model computes depends on the size of an open axis. {_advice(axes)}")
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
