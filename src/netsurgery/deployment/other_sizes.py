"""Whether a network that was written down at the examples' sizes is its model at other sizes, too.

A `forward` that branches on a size is written down as it went for the examples. So model and graph are compared at
other sizes of each open axis as well: at the smallest one, at the next one, and where torch noted that a way ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from netsurgery.deployment.comparison import compared
from netsurgery.errors import InputError
from netsurgery.graph.capture import Captured, Run
from netsurgery.graph.examples import sizes_of_axes
from netsurgery.graph.ir import Array, Input, Sizes, named_sizes
from netsurgery.runtime import reference

_MOST_ENTRIES = 2**22
"""Of all inputs together, beyond those of the examples: larger ones aren't tried."""
_FINER = 2.0**-6
"""By which share floats that stand in for more of the axis differ from those that they repeat: no two are alike."""


@dataclass(frozen=True)
class Elsewhere:
    """What came of the other sizes.

    odd: where model and graph differ, a sentence; empty if they don't. remarks: what else is to be said.
    """

    odd: str = ""
    remarks: tuple[str, ...] = ()


def compared_elsewhere(captured: Captured) -> Elsewhere:
    """Compare a captured model with its graph at other sizes than the examples'.

    Where the model itself refuses a size, as for want of positions, there is nothing to compare.
    """
    graph, remarks = captured.graph, list[str]()
    if captured.elsewhere is None:  # a program: what it notes of itself is all that there is
        noted = [sizes for sizes in captured.borders if graph.takes(sizes)]
        return Elsewhere(f"The program holds at other sizes than {named_sizes(noted[0])} only." if noted else "")
    most = max(_MOST_ENTRIES, sum(array.size for array in captured.examples))
    for sizes in _tried(captured):
        if sum(int(np.prod(given.at(sizes))) for given in graph.inputs) > most:
            remarks.append(f"The model may go another way at {named_sizes(sizes)}, which is too large to be tried.")
            continue
        agrees, said = _compared(captured, captured.elsewhere, sizes)
        remarks += said
        if not agrees:
            as_written, _ = _compared(captured, captured.elsewhere, _written(captured))
            return Elsewhere(_differs(captured, sizes) if as_written else "")  # else it is wrong at any size
    return Elsewhere("", tuple(dict.fromkeys(remarks)))


def _compared(captured: Captured, model: Run, sizes: Sizes) -> tuple[bool, list[str]]:
    """Whether model and graph agree at these sizes, or can't be compared; and what is to be said of their shapes."""
    graph = captured.graph
    arrays = [_resized(array, given, sizes) for array, given in zip(captured.examples, graph.inputs, strict=True)]
    feeds = {given.name: array for given, array in zip(graph.inputs, arrays, strict=True)}
    expected = _own_outputs(model, arrays)
    if expected is None:
        return True, []
    try:
        given, remarks = reference.run(graph, feeds), list[str]()
    except InputError:  # of numbers, such as places beyond a table, at which the model finds something
        return True, []
    if len(given) != len(expected):
        return False, []
    for place, (one, other) in enumerate(zip(given, expected, strict=True)):
        if one.shape != other.shape and one.size == other.size and _wide(one) == _wide(other):
            remarks.append(
                f"At {named_sizes(sizes)} an output has the shape {one.shape}, the model's own {other.shape}."
            )
            expected[place] = other.reshape(one.shape)
    return compared(given, expected, graph, feeds).within, remarks


def _own_outputs(model: Run, arrays: Sequence[Array]) -> list[Array] | None:
    """What the model gives; None if it can't run on these."""
    with suppress(Exception):  # of any kind: the model is the user's
        return list(model(arrays))
    return None


def _tried(captured: Captured) -> Iterator[dict[str, int]]:
    """Sizes of all axes that the graph takes: one of them the smallest or the next one, or where a way may end.

    The examples' own are among them where torch wrote the model down at others, in the place of sizes of one.
    """
    graph = captured.graph
    own = sizes_of_axes(graph.inputs, captured.examples)
    least = graph.least
    others = [{**own, axis: size} for axis in own for size in (least[axis], own[axis] + graph.steps.get(axis, 1))]
    known = [dict(sizes) for sizes in captured.borders if sizes.keys() == own.keys()]
    seen = [] if 1 in own.values() else [own]
    for sizes in (*([own] if 1 in own.values() else []), *others, *known):
        if sizes not in seen and graph.takes(sizes):
            seen.append(sizes)
            yield sizes


def _resized(array: Array, given: Input, sizes: Sizes) -> Array:
    """The example at these sizes: what is beyond its own repeats it, floats with slight differences."""
    for place, (has, wanted) in enumerate(zip(array.shape, given.at(sizes), strict=True)):
        if has == wanted:
            continue
        times, entries = np.divmod(np.arange(wanted), has)
        array = np.take(array, entries, place)
        if array.dtype == np.float32:
            array = array * (1 + _FINER * times.astype(np.float32)).reshape(-1, *[1] * (array.ndim - 1 - place))
    return array


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
