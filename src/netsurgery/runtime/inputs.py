"""What a caller gives is checked against what the network takes, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from netsurgery.errors import InputError
from netsurgery.graph.ir import Input
from netsurgery.graph.value_types import ValueType


def checked_sizes(expected: Sequence[Input], given: Mapping[str, Any]) -> dict[str, int]:
    """The sizes that the given arrays have along the open axes, all arrays as the network takes them.

    Raises InputError if one is missing, unknown, of another type or shape, or if sizes of one axis differ.
    """
    names = [one.name for one in expected]
    for problem, odd in (("is missing", set(names) - set(given)), ("is unknown", set(given) - set(names))):
        if odd:
            raise InputError(f"input {min(odd)!r} {problem}; the network takes {', '.join(map(repr, names))}.")
    sizes: dict[str, int] = {}
    for one in expected:
        array = given[one.name]
        if not isinstance(array, np.ndarray) or array.dtype != one.type.dtype:
            kind = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
            raise InputError(
                f"input {one.name!r} is {kind}, a NumPy array of {one.type} is needed: numpy.asarray(x, "
                f"numpy.{one.type.dtype.type.__name__})."
            )
        _check_shape(one, array.shape, sizes)
    return sizes


def _check_shape(one: Input, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    """Raise InputError unless the shape fits; take over the sizes of axes that were not known before."""
    fits = len(shape) == len(one.shape) and all(
        size >= 1 if isinstance(wanted, str) else size == wanted for size, wanted in zip(shape, one.shape, strict=True)
    )
    if not fits:
        rule = f", {' and '.join(one.axes)} at least 1" if one.axes else ""
        raise InputError(f"input {one.name!r} has shape {shape}; {shown(one.shape)} is needed{rule}.")
    for place, (size, wanted) in enumerate(zip(shape, one.shape, strict=True)):
        if isinstance(wanted, str) and sizes.setdefault(wanted, size) != size:
            raise InputError(
                f"input {one.name!r} has size {size} in place {place}, where axis {wanted!r} is; elsewhere that is "
                f"{sizes[wanted]}. They must be the same."
            )


def converted(one: Input, value: npt.ArrayLike) -> npt.NDArray[Any]:
    """An array-like with entries of the input's type, contiguous.

    Numbers become float32. Whole numbers stay whole: they come from types that the input's type holds all of. Raises
    InputError for others.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"input {one.name!r} is an array of {array.dtype}; numbers are needed.")
    if one.type is not ValueType.FLOAT32 and not np.can_cast(array.dtype, one.type.dtype, "safe"):
        needed = f"whole numbers that {one.type} holds" if one.type.whole else "bools"
        raise InputError(
            f"input {one.name!r} is an array of {array.dtype}; {needed} are needed. If they fit: "
            f"numpy.asarray(x).astype(numpy.{one.type.dtype.type.__name__})."
        )
    return np.require(array, one.type.dtype, ["C_CONTIGUOUS", "ALIGNED"])


def shown(shape: Sequence[int | str]) -> str:
    """A shape as it stands in sentences: open axes by name."""
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
