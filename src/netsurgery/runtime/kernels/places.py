"""Places: entries that are picked, or put, where whole numbers say, and where the largest ones are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from netsurgery.errors import InputError
from netsurgery.runtime.kernels.kernel import Attributes, Kernel, Operands

Entries: TypeAlias = npt.NDArray[Any]


def _from_front(indices: Entries, size: int) -> npt.NDArray[np.int64]:
    """Indices counted from the front. Raises InputError for one that is no place."""
    wide = indices.astype(np.int64)
    odd = wide[(wide < -size) | (wide >= size)]
    if odd.size:
        raise InputError(outside(int(odd.flat[0]), size))
    return np.where(wide < 0, wide + size, wide)


def outside(index: int, size: int) -> str:
    """What is said of an index that is no place."""
    return f"index {index} is none of {size} places: 0 to {size - 1} are, or -{size} to -1."


def _gather(operands: Operands, attributes: Attributes) -> Entries:
    x, indices = operands
    taken: Entries = x.take(_from_front(indices, x.shape[attributes["axis"]]), axis=attributes["axis"])
    return taken


def _elements(x: Entries, indices: Entries, axis: int) -> tuple[Entries, ...]:
    """For each place of the indices that of x: the same, but the index along the axis."""
    places: list[Entries] = list(np.indices(indices.shape, sparse=True))
    places[axis] = _from_front(indices, x.shape[axis])
    return tuple(places)


def _gather_elements(operands: Operands, attributes: Attributes) -> Entries:
    x, indices = operands
    picked: Entries = x[_elements(x, indices, attributes["axis"])]
    return picked


def _named(x: Entries, indices: Entries, shared: int) -> tuple[Entries, ...]:
    """The places that the last axis of the indices names, of the same entry of `shared` axes in common."""
    own = np.indices(indices.shape[:-1], sparse=True)[:shared]
    named = [_from_front(indices[..., i], x.shape[shared + i]) for i in range(indices.shape[-1])]
    return (*own, *named)


def _gather_nd(operands: Operands, attributes: Attributes) -> Entries:
    x, indices = operands
    picked: Entries = x[_named(x, indices, attributes["axes_in_common"])]
    return picked


_COMBINED: dict[str, Callable[..., Any]] = {
    "add": np.add.at,
    "mul": np.multiply.at,
    "max": np.maximum.at,
    "min": np.minimum.at,
}


def _put(x: Entries, places: tuple[Entries, ...], updates: Entries, reduction: str) -> Entries:
    result: Entries = x.copy()
    if reduction == "none":
        result[places] = updates
    else:
        _COMBINED[reduction](result, places, updates)
    return result


def _scatter_elements(operands: Operands, attributes: Attributes) -> Entries:
    x, indices, updates = operands
    return _put(x, _elements(x, indices, attributes["axis"]), updates, attributes["reduction"])


def _scatter_nd(operands: Operands, attributes: Attributes) -> Entries:
    x, indices, updates = operands
    return _put(x, _named(x, indices, 0), updates, attributes["reduction"])


def _place(function: Callable[..., Any]) -> Kernel:
    def kernel(operands: Operands, attributes: Attributes) -> Entries:
        x, axis = operands[0], attributes["axis"]
        found = function(np.flip(x, axis) if attributes["last"] else x, axis=axis, keepdims=attributes["keepdims"])
        return np.asarray(x.shape[axis] - 1 - found if attributes["last"] else found)

    return kernel


def _top(operands: Operands, attributes: Attributes) -> npt.NDArray[np.int64]:
    """The order of sorting, ties by place: NumPy's stable order is that of the smallest first."""
    x, axis = operands[0], attributes["axis"]
    if attributes["largest"]:
        order = x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
    else:
        order = np.argsort(x, axis, kind="stable")
    first: npt.NDArray[np.int64] = order.take(np.arange(attributes["count"]), axis=axis)
    return first


def _top_values(operands: Operands, attributes: Attributes) -> Entries:
    return np.take_along_axis(operands[0], _top(operands, attributes), attributes["axis"])


def _running_sum(operands: Operands, attributes: Attributes) -> Entries:
    x, axis = operands[0], attributes["axis"]
    x = np.flip(x, axis) if attributes["reverse"] else x
    total = np.cumsum(x, axis, dtype=np.float64 if x.dtype.kind == "f" else x.dtype)
    if attributes["exclusive"]:
        total = np.roll(total, 1, axis)
        total[(slice(None),) * axis + (0,)] = 0
    return np.flip(total, axis) if attributes["reverse"] else total


KERNELS: dict[str, Kernel] = {
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "ArgMax": _place(np.argmax),
    "ArgMin": _place(np.argmin),
    "TopKValues": _top_values,
    "TopKIndices": _top,
    "CumSum": _running_sum,
}
