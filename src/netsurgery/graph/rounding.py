"""Constants rounded to a shorter format, on request: the one change to a graph that is meant to lose something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

from netsurgery.errors import SettingError
from netsurgery.graph.ir import Array, Graph
from netsurgery.graph.weights import Dense, Weights, same_bits

Kind: TypeAlias = Literal["float16", "bfloat16"]


def rounded(graph: Graph, kind: Kind) -> Graph:
    """The graph with every constant rounded to the nearest number of a format, ties to even; still held as float32.

    This is lossy. `float16` keeps 11 significant bits between 2^-14 and 65504, fewer down to 2^-24; `bfloat16` keeps 8
    over the whole range of float32. Infinities and NaN stay what they are. Raises SettingError for another kind, and
    where rounding would make a finite number infinite.
    """
    if kind not in _ROUNDING:
        raise SettingError(f"kind={kind!r} is not a format that constants can be rounded to: {', '.join(_ROUNDING)}.")
    constants: dict[str, Weights] = {}
    for name, weights in graph.constants.items():
        value = weights.values
        near = Dense(_ROUNDING[kind](value))
        constants[name] = weights if same_bits(near, weights) else near
        overflows = np.isinf(near.values) & np.isfinite(value)
        if overflows.any():
            largest = np.abs(value[overflows]).max()
            raise SettingError(
                f"constant {name!r} holds a number of size {largest:.6g}, {kind} ends at {_LARGEST[kind]:.6g}: "
                f"{_ADVICE[kind]}."
            )
    return graph.replaced(constants=constants)


def _to_float16(value: Array) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        return value.astype(np.float16).astype(np.float32)


def _to_bfloat16(value: Array) -> Array:
    """bfloat16 is the upper half of a float32: add just under half, or half if the last kept bit is 1, and cut."""
    bits = np.ascontiguousarray(value).view(np.uint32)
    last = (bits >> np.uint32(16)) & np.uint32(1)
    kept = (bits + np.uint32(0x7FFF) + last) & np.uint32(0xFFFF0000)
    return np.where(np.isfinite(value), kept.view(np.float32), value)


_ROUNDING: dict[str, Callable[[Array], Array]] = {"float16": _to_float16, "bfloat16": _to_bfloat16}
_LARGEST = {"float16": 65504.0, "bfloat16": (2 - 2.0**-7) * 2.0**127}
_ADVICE = {"float16": "round to bfloat16, or keep float32", "bfloat16": "keep float32"}
