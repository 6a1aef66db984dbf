"""What a caller gives is checked against what the network takes, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from netsurgery.errors import InputError
from netsurgery.graph.ir import Input


def checked_batch(expected: Sequence[Input], given: Mapping[str, Any]) -> int:
    """The batch size of the given arrays (1 if no input leaves it open), all of them as the network takes them.

    Raises InputError if one is missing, unknown, not a float32 array, of another shape, or if batch sizes differ.
    """
    names = [one.name for one in expected]
    for problem, odd in (("is missing", set(names) - set(given)), ("is unknown", set(given) - set(names))):
        if odd:
            raise InputError(f"input {min(odd)!r} {problem}; the network takes {', '.join(map(repr, names))}.")
    batch: int | None = None
    for one in expected:
        array = given[one.name]
        if not isinstance(array, np.ndarray) or array.dtype != np.float32:
            kind = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
            raise InputError(
                f"input {one.name!r} is {kind}, a NumPy array of float32 is needed: numpy.asarray(x, numpy.float32)."
            )
        batch = _batch(one, array.shape, batch)
    return 1 if batch is None else batch


def _batch(one: Input, shape: tuple[int, ...], batch: int | None) -> int | None:
    """The batch size after this input, if it or one before it leaves it open. Raises InputError."""
    fits = len(shape) == len(one.shape) and all(
        size == wanted if wanted is not None else size >= 1 for size, wanted in zip(shape, one.shape, strict=True)
    )
    if not fits:
        wanted = "(" + ", ".join("N" if size is None else str(size) for size in one.shape) + ")"
        batch_rule = ", N at least 1" if None in one.shape else ""
        raise InputError(f"input {one.name!r} has shape {shape}; {wanted} is needed{batch_rule}.")
    if None not in one.shape:
        return batch
    if batch not in (None, shape[0]):
        raise InputError(f"input {one.name!r} has batch size {shape[0]}, another has {batch}; they must be the same.")
    return shape[0]
