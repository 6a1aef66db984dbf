"""Constants that are reshaped, cut, picked from, joined or spread: no entry changes, whatever its type.

Each takes a node whose operands are known and gives its output, as the ONNX specification has it for the model's opset.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import Call, from_front, kept_places
from netsurgery.graph.from_onnx.constants import AnyArray

Whole = npt.NDArray[np.int64]


def entries(call: Call, index: int) -> AnyArray:
    """An operand's entries."""
    return call.array(index, "an operand")


def all_entries(call: Call) -> list[AnyArray]:
    """Those of all operands, none of which may be left out."""
    return [entries(call, index) for index in range(len(call.operands))]


def numbers(call: Call, index: int) -> tuple[int, ...]:
    """An operand that is a list of whole numbers, or a single one."""
    return tuple(int(number) for number in entries(call, index).reshape(-1))


def same(call: Call) -> AnyArray:
    """Identity, and Dropout when a network runs."""
    return entries(call, 0)


def constant_of_shape(call: Call) -> AnyArray:
    """One number everywhere; float32 zero unless another is given."""
    value = np.asarray(call.attributes.get("value", np.zeros(1, np.float32)))
    return np.full(numbers(call, 0), value.reshape(-1)[0], value.dtype)


def reshape(call: Call) -> AnyArray:
    """To sizes of which 0 means "as it was" (unless `allowzero`) and -1 "what remains"."""
    x, target = entries(call, 0), list(numbers(call, 1))
    if not call.attributes.get("allowzero", 0):
        target = [x.shape[axis] if number == 0 else number for axis, number in enumerate(target)]
    return x.reshape(target)


def compress(call: Call) -> AnyArray:
    """What a condition picks along an axis, or of all entries in a row; it may be shorter than that."""
    x, condition = entries(call, 0), entries(call, 1).astype(bool)
    axis = call.attributes.get("axis")
    return np.compress(condition, x, axis)


def unique(call: Call) -> list[AnyArray]:
    """Each entry (or slice along an axis) once, its first place, where each stands now, and how often it was there."""
    x, axis = entries(call, 0), call.attributes.get("axis")
    values, first, inverse, counts = np.unique(x, True, True, True, axis)
    inverse = inverse.reshape(-1)
    if not call.attributes.get("sorted", 1):
        order = np.argsort(first)
        values, first, counts = np.take(values, order, axis or 0), first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    return [values, *(one.astype(np.int64) for one in (first, inverse, counts))][: len(call.used)]


def flatten(call: Call) -> AnyArray:
    """Two axes: those before `axis`, and those from there on."""
    x, axis = entries(call, 0), call.attributes.get("axis", 1)
    axis = axis if axis >= 0 else axis + x.ndim
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def squeeze(call: Call) -> AnyArray:
    """Without the axes named, or without all of size one."""
    x, axes = entries(call, 0), call.whole(1, "axes", operand_from=13)
    return np.squeeze(x, None if axes is None else axes)


def unsqueeze(call: Call) -> AnyArray:
    """With new axes, which are numbered as in the result."""
    return np.expand_dims(entries(call, 0), call.whole(1, "axes", operand_from=13) or ())


def transpose(call: Call) -> AnyArray:
    """Axes in another order, by default the reverse."""
    return np.transpose(entries(call, 0), call.attributes.get("perm"))


def concat(call: Call) -> AnyArray:
    """All operands, one after another."""
    return np.concatenate(all_entries(call), call.attributes["axis"])


def split(call: Call) -> list[AnyArray]:
    """Parts along an axis: sizes as given, or as many equal ones as there are outputs, the last perhaps smaller."""
    x, axis = entries(call, 0), call.axis(0)
    parts = call.whole(1, "split", operand_from=13)
    if parts is None:
        each = -(-x.shape[axis] // len(call.used))
        parts = (each,) * (len(call.used) - 1)
    else:
        parts = parts[:-1]
    return np.split(x, np.cumsum(parts), axis)


def cut(call: Call) -> AnyArray:
    """ONNX's Slice: bounds beyond an end stand for that end, a negative step goes backwards."""
    x = entries(call, 0)
    starts, ends = (call.whole(index, name, operand_from=10) or () for index, name in ((1, "starts"), (2, "ends")))
    axes = call.whole(3, "axes", operand_from=10) or tuple(range(len(starts)))
    steps = call.whole(4, "steps", operand_from=10) or (1,) * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = from_front(axis, x.ndim)
        x = x.take(np.asarray(kept_places(x.shape[axis], start, end, step), np.int64), axis)
    return x


def gather(call: Call) -> AnyArray:
    """Entries along an axis, an index below zero counted from the end."""
    x, axis = entries(call, 0), call.axis(0)
    return np.asarray(x.take(_indices(entries(call, 1), x.shape[axis]), axis))


def gather_elements(call: Call) -> AnyArray:
    """Entry (i, j, k) is x at (i, index[i, j, k], k), for axis 1 of three."""
    x, axis = entries(call, 0), call.axis(0)
    indices = _indices(entries(call, 1), x.shape[axis])
    grid: list[Any] = list(np.ogrid[tuple(slice(size) for size in indices.shape)])
    grid[axis] = indices
    return np.asarray(x[tuple(grid)])


def gather_nd(call: Call) -> AnyArray:
    """The last axis of the indices names a place in x, behind the axes that both share."""
    x, indices, shared = entries(call, 0), entries(call, 1), call.attributes.get("batch_dims", 0)
    grid = np.ogrid[tuple(slice(size) for size in x.shape[:shared])] if shared else []
    behind = (1,) * (indices.ndim - 1 - shared)
    first = [own.reshape(own.shape + behind) for own in grid]
    places: tuple[Any, ...] = (*first, *_places(indices, x.shape[shared:]))
    return np.asarray(x[places])


def scatter_nd(call: Call) -> AnyArray:
    """A copy of x with other entries at the places that the last axis of the indices names."""
    if call.attributes.get("reduction", "none") != "none":
        raise UnsupportedOperatorError(f"has reduction={call.attributes['reduction']!r}; constants take 'none' only")
    x, indices, updates = all_entries(call)
    result: AnyArray = x.copy()
    result[_places(indices, x.shape)] = updates
    return np.asarray(result)


def _places(indices: AnyArray, shape: Sequence[int]) -> tuple[Whole, ...]:
    """Indices (..., axes) as one array for each axis."""
    return tuple(_indices(indices[..., axis], shape[axis]) for axis in range(indices.shape[-1]))


def _indices(indices: AnyArray, size: int) -> Whole:
    """Counted from the front. Raises UnsupportedOperatorError beyond the ends."""
    result = np.asarray(indices, np.int64)
    if ((result < -size) | (result >= size)).any():
        raise UnsupportedOperatorError(f"picks entries beyond the {size} that there are")
    return np.where(result < 0, result + size, result)


def expand(call: Call) -> AnyArray:
    """Broadcast: sizes of one in either shape follow the other."""
    x = entries(call, 0)
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, numbers(call, 1)))


def tile(call: Call) -> AnyArray:
    """Repeated along each axis."""
    return np.asarray(np.tile(entries(call, 0), numbers(call, 1)))


def where(call: Call) -> AnyArray:
    """An entry of the second operand where the first is true, of the third elsewhere."""
    return np.where(*all_entries(call))


def triangle(call: Call) -> AnyArray:
    """Trilu: what lies on one side of a diagonal, zero elsewhere."""
    side: Callable[..., Any] = np.triu if call.attributes.get("upper", 1) else np.tril
    return np.asarray(side(entries(call, 0), int(entries(call, 1).item()) if call.given(1) else 0))


def non_zero(call: Call) -> Whole:
    """The places of entries that aren't zero, one row for each axis."""
    return np.asarray(np.nonzero(entries(call, 0)), np.int64)
