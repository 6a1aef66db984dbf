"""Constants that are computed with, in their own type.

Whole numbers are exact: a quotient is cut off towards zero. What rounds more than once works in float64 and rounds
once, at the end, as the operators of the graph do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import onnx

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import Call, from_front
from netsurgery.graph.from_onnx.constants import AnyArray, is_float, is_whole
from netsurgery.graph.from_onnx.folders_of_moves import all_entries, entries

Folder: TypeAlias = Callable[[Call], AnyArray]


def entrywise(function: Callable[[AnyArray], AnyArray]) -> Folder:
    """A function of one operand; of floats it gets float64."""

    def fold(call: Call) -> AnyArray:
        x = entries(call, 0)
        return np.asarray(function(x.astype(np.float64) if is_float(x) else x)).astype(x.dtype)

    return fold


def error_function(x: AnyArray) -> AnyArray:
    """Erf of float64."""
    return np.asarray([math.erf(one) for one in x.ravel().tolist()], np.float64).reshape(x.shape)


def binary(function: Callable[[AnyArray, AnyArray], Any]) -> Folder:
    """A function of two operands of one type, which its result has too unless it is true or false."""
    return lambda call: np.asarray(function(entries(call, 0), entries(call, 1)))


def several(function: Callable[[AnyArray, AnyArray], AnyArray]) -> Folder:
    """The same of any number of operands, from left to right."""
    return lambda call: np.asarray(reduce(function, all_entries(call)))


def quotient(a: AnyArray, b: AnyArray) -> AnyArray:
    """Div: of whole numbers cut off towards zero."""
    if not is_whole(a):
        return np.asarray(a / b, a.dtype)
    if not np.all(b):
        raise UnsupportedOperatorError("divides whole numbers by zero")
    below = a // b
    return np.asarray(below + ((a % b != 0) & ((a < 0) != (b < 0))), a.dtype)


def remainder(call: Call) -> AnyArray:
    """Mod: with the sign of the divisor, or with `fmod` that of the dividend."""
    a, b = all_entries(call)
    if is_whole(b) and not np.all(b):
        raise UnsupportedOperatorError("divides whole numbers by zero")
    return np.asarray(np.fmod(a, b) if call.attributes.get("fmod", 0) else np.mod(a, b), a.dtype)


def shifted(call: Call) -> AnyArray:
    """BitShift, to one side or the other."""
    function = np.left_shift if call.attributes["direction"] == "LEFT" else np.right_shift
    return np.asarray(function(entries(call, 0), entries(call, 1)))


def power(a: AnyArray, b: AnyArray) -> AnyArray:
    """Pow, whose result is of the type of the base."""
    if is_whole(a) and is_whole(b):
        if (b < 0).any():
            raise UnsupportedOperatorError("raises whole numbers to powers below zero")
        return np.asarray(np.power(a, b.astype(a.dtype)), a.dtype)
    return np.power(a.astype(np.float64), b.astype(np.float64)).astype(a.dtype)


def clip(call: Call) -> AnyArray:
    """Between bounds, each of which may be left out."""
    x = entries(call, 0)
    x = np.maximum(x, entries(call, 1)) if call.given(1) else x
    return np.minimum(x, entries(call, 2)) if call.given(2) else x


def cast(call: Call) -> AnyArray:
    """To another type: from float to whole numbers cut off towards zero."""
    to = call.attributes["to"]
    kind, name = onnx.helper.tensor_dtype_to_np_dtype(to), onnx.TensorProto.DataType.Name(to)
    # Where the installed onnx has a type only as another one, the result would not be what the model says.
    if kind.name.upper() != {"FLOAT": "FLOAT32", "DOUBLE": "FLOAT64"}.get(name, name):
        raise UnsupportedOperatorError(f"casts a constant to {name}, {_TYPES}")
    return _as_type(entries(call, 0), kind)


def cast_like(call: Call) -> AnyArray:
    """To the type of the second operand."""
    return _as_type(entries(call, 0), entries(call, 1).dtype)


_TYPES = "which netsurgery doesn't have: it has bool, whole numbers of 8 to 64 bits, float16, float32 and float64"


def _as_type(x: AnyArray, kind: np.dtype[Any]) -> AnyArray:
    if kind.kind not in "fiub" or kind.isbuiltin != 1:
        raise UnsupportedOperatorError(f"casts a constant to {kind.name.upper()}, {_TYPES}")
    return _bounded(x, kind) if kind.kind in "iu" and is_float(x) else x.astype(kind)


def _bounded(x: AnyArray, kind: np.dtype[Any]) -> AnyArray:
    """Floats as whole numbers, within what the type has; 0 for NaN."""
    info, whole = np.iinfo(kind), np.trunc(x.astype(np.float64))
    beyond = whole >= float(info.max) + 1, whole < info.min
    inside = np.where(np.isnan(whole) | beyond[0] | beyond[1], 0, whole).astype(kind)
    return np.where(beyond[0], info.max, np.where(beyond[1], info.min, inside)).astype(kind)


def stretch(call: Call) -> AnyArray:
    """Range: start + i * delta, as long as it lies before the limit."""
    start, limit, delta = (one.reshape(()) for one in all_entries(call))
    kind = np.int64 if is_whole(start) else np.float64
    start, limit, step = (one.astype(kind) for one in (start, limit, delta))
    if step == 0:
        raise UnsupportedOperatorError("has a step of zero")
    if kind is np.int64:
        return np.arange(int(start), int(limit), int(step)).astype(delta.dtype)
    count = max(math.ceil((limit - start) / step), 0)
    return np.asarray(start + np.arange(count) * step).astype(delta.dtype)


def running_sum(call: Call) -> AnyArray:
    """CumSum: of what comes before, with `exclusive` without the entry itself; with `reverse` from the end."""
    x, axis = entries(call, 0), from_front(int(entries(call, 1).item()), entries(call, 0).ndim)
    backwards = call.attributes.get("reverse", 0)
    x = np.flip(x, axis) if backwards else x
    total = np.cumsum(x, axis, dtype=np.float64 if is_float(x) else x.dtype)
    if call.attributes.get("exclusive", 0):
        total = np.roll(total, 1, axis)
        total[(slice(None),) * axis + (0,)] = 0
    return (np.flip(total, axis) if backwards else total).astype(x.dtype)


def one_hot(call: Call) -> AnyArray:
    """A new axis with one of two values: the second at the index, the first elsewhere."""
    indices, depth, values = all_entries(call)
    size = int(depth.item())
    axis = from_front(call.attributes.get("axis", -1), indices.ndim + 1)
    places = np.expand_dims(np.where(indices < 0, indices + size, indices), axis)
    own = np.arange(size).reshape([size if one == axis else 1 for one in range(indices.ndim + 1)])
    return np.asarray(np.where(places == own, values[1], values[0]))


def eye_like(call: Call) -> AnyArray:
    """Ones on a diagonal of a matrix, of its type or of another."""
    x = entries(call, 0)
    to = call.attributes.get("dtype")
    kind = x.dtype if to is None else onnx.helper.tensor_dtype_to_np_dtype(to)
    rows, columns = x.shape
    return np.asarray(np.eye(rows, columns, call.attributes.get("k", 0), dtype=kind))


def reduction(function: Callable[..., Any], *, operand_from: int = 18) -> Folder:
    """Over the axes named, or over all; axes are an operand since `operand_from`."""

    def fold(call: Call) -> AnyArray:
        x = entries(call, 0)
        axes = call.whole(1, "axes", operand_from=operand_from)
        if not axes:
            if call.attributes.get("noop_with_empty_axes", 0):
                raise UnsupportedOperatorError("reduces over no axis (noop_with_empty_axes); leave it out")
            axes = tuple(range(x.ndim))
        axes = tuple(dict.fromkeys(from_front(axis, x.ndim) for axis in axes))  # named twice it is reduced once
        wide = x.astype(np.float64) if is_float(x) else x
        try:
            result = function(wide, axis=axes, keepdims=bool(call.attributes.get("keepdims", 1)))
        except ValueError as error:  # the largest or smallest of nothing
            raise UnsupportedOperatorError(f"reduces a constant of shape {x.shape}, which holds nothing") from error
        # NumPy would make plain numbers of one that follows an open axis, when all are reduced
        return np.asarray(result, x.dtype if x.dtype == object else None).astype(x.dtype)

    return fold


def log_sum_exp(x: AnyArray, *, axis: tuple[int, ...], keepdims: bool) -> AnyArray:
    """ReduceLogSumExp, which is -infinity for nothing."""
    total = np.logaddexp.reduce(x.astype(np.float64), axis=axis, keepdims=keepdims)  # type: ignore[call-overload]
    return np.asarray(total)


def largest_place(call: Call) -> AnyArray:
    """ArgMax: the first place of the largest entry, or the last one."""
    return _place(call, np.argmax)


def smallest_place(call: Call) -> AnyArray:
    """ArgMin."""
    return _place(call, np.argmin)


def _place(call: Call, function: Callable[..., Any]) -> AnyArray:
    x, axis = entries(call, 0), call.axis(0)
    if call.attributes.get("select_last_index", 0):
        found = x.shape[axis] - 1 - function(np.flip(x, axis), axis=axis)
    else:
        found = function(x, axis=axis)
    return np.expand_dims(found, axis) if call.attributes.get("keepdims", 1) else np.asarray(found)


def is_infinite(call: Call) -> AnyArray:
    """IsInf, of either sign or of one."""
    x = entries(call, 0)
    above, below = (call.attributes.get(f"detect_{side}", 1) for side in ("positive", "negative"))
    return np.asarray((np.isposinf(x) & bool(above)) | (np.isneginf(x) & bool(below)))
