"""What a caller gives is checked against what the network takes, before anything runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from netsurgery.errors import InputError
from netsurgery.graph.ir import Input
from netsurgery.graph.value_types import ValueType, beyond_float32, refuse_masked, without_torch

WHOLE_IN_FLOAT32 = 2**24
"""Up to ± this, every whole number is a float32."""


_GIVEN = re.compile(r"input(_\d+)?")
"""What a file without names calls its inputs."""


def checked_sizes(
    expected: Sequence[Input], given: Mapping[str, Any], rules: Callable[[], Mapping[str, str]]
) -> dict[str, int]:
    """The sizes that the given arrays have along the open axes, all arrays as the network takes them.

    rules: gives for the name of each open axis which sizes it takes, in words; that they hold isn't checked here.
    Raises InputError if one is missing, unknown, of another type or shape, or if sizes of one axis differ.
    """
    names = [one.name for one in expected]
    for problem, odd in (("is missing", set(names) - set(given)), ("is unknown", set(given) - set(names))):
        if odd:
            kept = " Names that a model has itself are in files that were packed with names=True (--names)."
            raise InputError(
                f"input {min(odd)!r} {problem}; the network takes {', '.join(map(repr, names))}."
                f"{kept * all(_GIVEN.fullmatch(name) is not None for name in names)}"
            )
    sizes: dict[str, int] = {}
    for one in expected:
        array = given[one.name]
        if not isinstance(array, np.ndarray) or array.dtype != one.type.dtype:
            kind = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
            raise InputError(
                f"input {one.name!r} is {kind}, a NumPy array of {one.type} is needed: numpy.asarray(x, "
                f"numpy.{one.type.dtype.type.__name__})."
            )
        _check_shape(one, array.shape, sizes, rules)
    return sizes


def _check_shape(
    one: Input, shape: tuple[int, ...], sizes: dict[str, int], rules: Callable[[], Mapping[str, str]]
) -> None:
    """Raise InputError unless the shape fits; take over the sizes of axes that were not known before."""
    fits = len(shape) == len(one.shape) and all(
        size >= 1 if isinstance(wanted, str) else size == wanted for size, wanted in zip(shape, one.shape, strict=True)
    )
    if not fits:
        said = rules()
        told = f", {'; '.join(f'{name} {said[name]}' for name in one.axes)}" if one.axes else ""
        raise InputError(f"input {one.name!r} has shape {shape}; {shown(one.shape)} is needed{told}.")
    for place, (size, wanted) in enumerate(zip(shape, one.shape, strict=True)):
        if isinstance(wanted, str) and sizes.setdefault(wanted, size) != size:
            raise InputError(
                f"input {one.name!r} has size {size} in place {place}, where axis {wanted!r} is; elsewhere that is "
                f"{sizes[wanted]}. They must be the same."
            )


def in_float32(whose: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The numbers as float32, contiguous. Raises InputError for a finite one that is beyond all of those."""
    with np.errstate(over="ignore"):
        rounded = np.require(array, np.float32, ["C_CONTIGUOUS", "ALIGNED"])
    if array.dtype.kind == "f" and array.dtype.itemsize > rounded.dtype.itemsize:
        beyond = beyond_float32(array, rounded)
        if beyond is not None:
            raise InputError(
                f"{whose} holds {beyond:.4g}, which is beyond float32: give numbers within "
                f"± {np.finfo(np.float32).max:.3g}."
            )
    return rounded


def converted(one: Input, value: npt.ArrayLike) -> npt.NDArray[Any]:
    """An array-like with entries of the input's type, contiguous.

    Numbers become float32; whole ones so large that float32 may round them, others beyond its largest number, and
    masked arrays are refused. Where the input takes whole numbers, they come from types that its type holds all of.
    Raises InputError for others.
    """
    refuse_masked(value, f"input {one.name!r} is")
    try:
        array = np.asarray(without_torch(value))
    except (
        TypeError,
        ValueError,
        RuntimeError,
        NotImplementedError,
    ) as error:  # rows of several lengths, or no numbers
        raise InputError(f"input {one.name!r} is a {type(value).__name__} that NumPy can't read: {error}") from error
    if array.dtype.kind not in "fiub":
        advice = " To give inputs by name, call run()." if isinstance(value, Mapping) else ""
        raise InputError(f"input {one.name!r} is an array of {array.dtype}; numbers are needed.{advice}")
    if one.type is not ValueType.FLOAT32 and not np.can_cast(array.dtype, one.type.dtype, "safe"):
        needed = f"whole numbers that {one.type} holds" if one.type.whole else "bools"
        raise InputError(
            f"input {one.name!r} is an array of {array.dtype}; {needed} are needed. If they fit: "
            f"numpy.asarray(x).astype(numpy.{one.type.dtype.type.__name__})."
        )
    if one.type is ValueType.FLOAT32 and array.dtype.kind in "iu" and array.dtype.itemsize > 2 and array.size:
        beyond = [number for number in (array.min(), array.max()) if abs(int(number)) > WHOLE_IN_FLOAT32]
        if beyond:
            raise InputError(
                f"input {one.name!r} is float32, which would round a whole number such as {beyond[0]}: give numbers "
                f"within ± {WHOLE_IN_FLOAT32:,}, or, if rounding is meant, numpy.asarray(x, numpy.float32)."
            )
    if one.type is ValueType.FLOAT32:
        return in_float32(f"input {one.name!r}", array)
    return np.require(array, one.type.dtype, ["C_CONTIGUOUS", "ALIGNED"])


def shown(shape: Sequence[int | str]) -> str:
    """A shape as it stands in sentences: open axes by name."""
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
