"""Whether a network that was written down at the examples' sizes is its model at other sizes, too.

A `forward` that branches on a size is written down as it went for the examples. So model and graph are compared at
other sizes of each open axis as well: at the smallest one, at the next one, and where torch noted that a way ends.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from netsurgery.deployment.comparison import compared
from netsurgery.errors import InputError
from netsurgery.graph.capture import Captured, Run
from netsurgery.graph.examples import sizes_of_axes
from netsurgery.graph.ir import Array, Graph, Input, Sizes, named_sizes
from netsurgery.runtime import reference

_MOST_ENTRIES = 2**25
"""Of all that a graph computes at one of the sizes, or four times what it does for the examples: more isn't tried."""
_SOON = 2**21
"""Of numbers that are computed where there is no model to compare with."""
_MOST_NUMBERS = 100_000
"""Whole numbers that aren't in an example are looked for among so many from its smallest one on."""
_FURTHER, _LARGEST = 4, 2**16
"""Behind a border sizes are tried that are so many times as large each, up to there."""
_FINER = 2.0**-6
"""By which share floats that stand in for more of the axis differ from those that they repeat: no two are alike."""


Answer: TypeAlias = tuple[tuple[Array, ...], tuple[Array, ...]]
"""Inputs, and the outputs that belong to them."""


@dataclass(frozen=True)
class Elsewhere:
    """What came of the other sizes.

    odd: where model and graph differ, a sentence; empty if they don't. remarks: what else is to be said. answers: what
    the graph gave at sizes where they agree.
    """

    odd: str = ""
    remarks: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()


def compared_elsewhere(captured: Captured) -> Elsewhere:
    """Compare a captured model with its graph at other sizes than the examples'.

    Where the model itself refuses a size, as for want of positions, there is nothing to compare.
    """
    graph, remarks, answers = captured.graph, list[str](), list[Answer]()
    if captured.elsewhere is None:  # a program: what it notes of itself is all that there is
        noted = [sizes for sizes in captured.borders if graph.takes(sizes)]
        odd = f"The program holds at other sizes than {named_sizes(noted[0])} only." if noted else ""
        return Elsewhere(odd, answers=tuple(_own_answers(captured)))
    most = max(_MOST_ENTRIES, 4 * _entries(graph, sizes_of_axes(graph.inputs, captured.examples)))

    def compare(sizes: Sizes) -> _Compared | None:
        if not graph.takes(sizes) or _entries(graph, sizes) > most:
            return None
        found = _compared(captured, captured.elsewhere, sizes)  # type: ignore[arg-type]
        if found is not None and found.agrees:
            remarks.extend(found.remarks)
            answers.append(found.answer)
        return found

    for sizes, is_border in _tried(captured):
        if _entries(graph, sizes) > most:
            remarks.append(f"The model may go another way at {named_sizes(sizes)}, which is too large to be tried.")
        found = compare(sizes)
        if found is None and is_border:
            sizes, found = next(
                ((more, one) for more in _next_to(captured, sizes) if (one := compare(more))), ({}, None)
            )
        if found is not None and not found.agrees:
            return _odd(captured, captured.elsewhere, sizes)
    for further in _further_on(captured):
        for sizes in further:
            found = compare(sizes)
            if found is None:
                break
            if not found.agrees:
                return _odd(captured, captured.elsewhere, sizes)
    return Elsewhere("", tuple(dict.fromkeys(remarks)), tuple(answers))


def _odd(captured: Captured, model: Run, sizes: Sizes) -> Elsewhere:
    """What is to be said where they differ; nothing if they do so at the sizes that torch wrote down, too."""
    as_written = _compared(captured, model, _written(captured))
    return Elsewhere(_differs(captured, sizes) if as_written is None or as_written.agrees else "")


def _own_answers(captured: Captured) -> Iterator[Answer]:
    """What the graph gives behind turns of numbers that follow axes, where that is soon said."""
    graph = captured.graph
    for sizes in graph.behind_turns:
        if _entries(graph, sizes) <= _SOON:
            arrays = tuple(_at(captured, sizes))
            with suppress(InputError):  # of numbers: places beyond a table
                yield (
                    arrays,
                    reference.run(graph, {one.name: array for one, array in zip(graph.inputs, arrays, strict=True)}),
                )


def _at(captured: Captured, sizes: Sizes) -> Iterator[Array]:
    """The examples at these sizes."""
    for array, given in zip(captured.examples, captured.graph.inputs, strict=True):
        yield _resized(array, given, sizes)


@dataclass(frozen=True)
class _Compared:
    """Whether model and graph agree at some sizes; what is to be said of their shapes; what the graph gave."""

    agrees: bool
    remarks: list[str]
    answer: Answer


def _compared(captured: Captured, model: Run, sizes: Sizes) -> _Compared | None:
    """How model and graph compare at these sizes; None if they can't be compared."""
    graph = captured.graph
    arrays = list(_at(captured, sizes))
    feeds = {given.name: array for given, array in zip(graph.inputs, arrays, strict=True)}
    expected = _own_outputs(model, arrays)
    if expected is None:
        return None
    try:
        given, remarks = list(reference.run(graph, feeds)), list[str]()
    except (InputError, MemoryError):  # the former of numbers: places beyond a table, where the model finds something
        return None
    answer = tuple(arrays), tuple(given)
    if len(given) != len(expected):
        return _Compared(False, [], answer)
    for place, (one, other) in enumerate(zip(given, expected, strict=True)):
        if one.shape != other.shape and one.size == other.size and _wide(one) == _wide(other):
            remarks.append(
                f"At {named_sizes(sizes)} an output has the shape {one.shape}, the model's own {other.shape}."
            )
            expected[place] = other = other.reshape(one.shape)
        if one.shape == other.shape and one.dtype == other.dtype == np.float32:
            given[place] = np.where(np.isnan(other), other, one)  # as of rows that cutting left padding alone
    return _Compared(compared(given, expected, graph, feeds).within, remarks, answer)


def _further_on(captured: Captured) -> Iterator[Iterator[dict[str, int]]]:
    """For each axis that has a border above the examples' size, sizes that are a few times as large each.

    What torch took for true up to the border, it left out of the program, and that may show later only.
    """
    own = sizes_of_axes(captured.graph.inputs, captured.examples)

    def from_there_on(axis: str, size: int) -> Iterator[dict[str, int]]:
        while size <= _LARGEST // _FURTHER:
            size *= _FURTHER
            yield {**own, axis: size}

    for axis, size in own.items():
        above = [sizes[axis] for sizes in captured.borders if sizes.keys() == own.keys() and sizes[axis] > size]
        if above:
            yield from_there_on(axis, min(above))


def _next_to(captured: Captured, border: Sizes) -> Iterator[dict[str, int]]:
    """Sizes right behind a border at which the model itself can't run, as where a loop goes beyond an end."""
    own, steps = sizes_of_axes(captured.graph.inputs, captured.examples), captured.graph.steps
    for more in range(1, _FURTHER):
        yield {axis: size + more * steps.get(axis, 1) if size > own[axis] else size for axis, size in border.items()}


def _entries(graph: Graph, sizes: Sizes) -> int:
    """Numbers that a run at these sizes computes."""
    return sum(math.prod(shape) for shape in graph.shapes(sizes).values())


def _own_outputs(model: Run, arrays: Sequence[Array]) -> list[Array] | None:
    """What the model gives; None if it can't run on these."""
    with suppress(Exception), warnings.catch_warnings():  # of any kind: the model is the user's
        warnings.simplefilter("ignore")  # of sizes that the user didn't ask for
        return list(model(arrays))
    return None


def _tried(captured: Captured) -> Iterator[tuple[dict[str, int], bool]]:
    """Sizes of all axes that the graph takes: one of them the smallest or the next one, or where a way may end.

    The latter are marked. The examples' own are among them where torch wrote the model down at others, in the place of
    sizes of one.
    """
    graph = captured.graph
    own = sizes_of_axes(graph.inputs, captured.examples)
    least = graph.least
    others = [{**own, axis: size} for axis in own for size in (least[axis], own[axis] + graph.steps.get(axis, 1))]
    known = [dict(sizes) for sizes in captured.borders if sizes.keys() == own.keys()]
    seen = list[dict[str, int]]()
    for sizes in (own, *others, *graph.behind_turns, *known):
        if sizes not in seen and graph.takes(sizes):
            seen.append(sizes)
            if sizes != own or 1 in own.values():
                yield sizes, sizes in known


def _resized(array: Array, given: Input, sizes: Sizes) -> Array:
    """The example at these sizes. What is beyond its own repeats it, but no two are alike where that can be helped.

    Floats are a little larger each time, and whole numbers others between the smallest and the largest one. A row of
    whole numbers that never falls stays one: it may say where others begin.
    """
    for place, (has, wanted) in enumerate(zip(array.shape, given.at(sizes), strict=True)):
        if has == wanted or not has:
            continue
        times, entries = np.divmod(np.arange(wanted), has)
        column = (-1, *[1] * (array.ndim - 1 - place))
        array = np.take(array, entries, place)
        if array.dtype == np.float32:
            array = array * (1 + _FINER * times.astype(np.float32)).reshape(column)
        elif array.dtype.kind == "i" and times.any():
            rises = array.ndim == 1 and bool((np.diff(array[:has]) >= 0).all())
            array = np.where(times.reshape(column) > 0, array[has - 1] if rises else _others(array), array)
    return array


def _others(array: Array) -> Array:
    """Whole numbers of the same range that aren't in it, one after another; the same ones where there are none."""
    low, high = int(array.min()), int(array.max())
    unseen = np.setdiff1d(np.arange(low, min(high, low + _MOST_NUMBERS) + 1), array)
    if not len(unseen):
        return array
    return unseen[np.arange(array.size) % len(unseen)].reshape(array.shape).astype(array.dtype)


def _wide(array: Array) -> tuple[int, ...]:
    """Its sizes but those of one."""
    return tuple(size for size in array.shape if size > 1)


def _written(captured: Captured) -> dict[str, int]:
    """The sizes at which torch wrote the model down: it takes a size of one for a constant."""
    own = sizes_of_axes(captured.graph.inputs, captured.examples)
    return {axis: size if size > 1 else size + captured.graph.steps.get(axis, 1) for axis, size in own.items()}


def _differs(captured: Captured, sizes: Sizes) -> str:
    return (
        f"The model isn't at {named_sizes(sizes)} what it is at {named_sizes(_written(captured))}: its forward "
        "depends on a size otherwise than by its operators, as where it branches on it."
    )
