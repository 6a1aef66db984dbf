"""Translation of aten.as_strided, where it says windows over an axis: each a step behind the one before."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.extents import Number
from netsurgery.graph.from_torch.call import Call, Constant, Open, in_a_row, product
from netsurgery.graph.value_types import ValueType

Axes: TypeAlias = "list[tuple[int | Open, int | Open]]"
"""Size and step in memory of each."""

_ADVICE = "use unfold or slices"


def as_strided(call: Call) -> str:
    """Axes in front and behind as they are in memory; those between in a row, of which windows are taken.

    Longformer's chunks are of this kind: (rows, n, 2w, width) becomes (rows, 2n - 1, 2w, width), half of each chunk
    overlapping the next one.
    """
    offset = call.arguments["storage_offset"]
    if offset not in (None, 0):
        raise UnsupportedOperatorError(f"begins at entry {offset} of the memory; {_ADVICE}")
    before = call.sizes("self")
    given = list(zip(before, call.strides, strict=True))
    wanted = list(zip(call.arguments["size"], call.arguments["stride"], strict=True))
    front = _alike(given, wanted)
    back = _alike(given[front:][::-1], wanted[front:][::-1])
    if front + back == len(given) == len(wanted):
        return call.promoted("self")
    if front and front + back == len(given):  # windows over the last axis that is as it was
        front -= 1
    while back and not _at_entries(given[front : len(given) - back], wanted[front : len(wanted) - back]):
        back -= 1  # windows begin between entries of the axis before
    row, windows = given[front : len(given) - back], wanted[front : len(wanted) - back]
    each = row[-1][1] if row else None
    steps = [step for _, step in windows if isinstance(step, int)]
    if not isinstance(each, int) or each < 1 or len(steps) < len(windows) or not _in_a_row(row):
        raise UnsupportedOperatorError(f"reads memory across the order of its axes; {_ADVICE}")
    if not _at_entries(row, windows):
        raise UnsupportedOperatorError(f"reads memory at steps that are no entries of an axis; {_ADVICE}")
    sizes, places = in_a_row(tuple(size for size, _ in row)), [size for size, _ in windows]
    entries = [size for size in places if isinstance(size, int)]
    last = sum((size - 1) * (step // each) for size, step in zip(entries, steps, strict=False))
    if isinstance(sizes[0], int) and len(entries) == len(places) and last >= sizes[0]:
        raise UnsupportedOperatorError(f"reads memory beyond the end of an axis; {_ADVICE}")
    x = call.reshaped(call.promoted("self"), before, (*before[:front], *sizes, *before[len(before) - back :]), "row")
    found = _places(call, [(size, step // each) for size, step in zip(places, steps, strict=True)])
    return call.node("Gather", [x, found], axis=front)


def _alike(given: Axes, wanted: Axes) -> int:
    """How many of the first axes are in memory as they were."""
    count = 0
    while count < min(len(given), len(wanted)) and given[count] == wanted[count]:
        count += 1
    return count


def _at_entries(row: Axes, windows: Axes) -> bool:
    """Whether each step of windows is one of so many entries of a row."""
    each = row[-1][1] if row else 0
    steps = [step for _, step in windows]
    return isinstance(each, int) and each > 0 and all(isinstance(step, int) and step % each == 0 for step in steps)


def _in_a_row(axes: Axes) -> bool:
    """Whether each axis begins where the one behind it ends."""
    return all(product([size, step]) == product([before]) for (_, before), (size, step) in pairwise(axes))


def _places(call: Call, windows: list[tuple[int | Open, int]]) -> str:
    """The place of each entry in the row: a sum of one number per axis."""
    if all(isinstance(size, int) for size, _ in windows):
        places = torch.zeros((), dtype=torch.int64)
        for size, step in windows:
            places = places[..., None] + torch.arange(call.extent(size)) * step  # type: ignore[arg-type]
        return call.placed(Constant(places, f"{call.name}.places"), "places", ValueType.INT64)
    found = ""
    for place, (size, step) in enumerate(windows):
        count: Number = call.extent(size)
        along = call.node("Range", [call.placed(0.0, "first")], "along", count=count, scale=float(step))
        column = call.node("Reshape", [along], "column", shape=(-1, *(1 for _ in windows[place + 1 :])))
        found = call.node("Add", [found, column], "sums") if found else column
    return call.node("Cast", [found], "places", type=str(ValueType.INT64))
