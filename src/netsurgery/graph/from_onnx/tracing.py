"""How folded constants follow open axes: next to the numbers of a reading, what they are at any sizes.

What is computed beforehand follows axes in two ways. Shapes and bounds are few numbers, each with its extent. Tables of
positions, masks and counted places are tensors of which the axes say how much is used; they are computed with as
wholes, of which the reading's own is the beginning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, reduce
from typing import Any

import numpy as np
import onnx

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.extents import Extent, Number, larger, never_equal, quotient, smaller
from netsurgery.graph.from_onnx import tensors as tensor
from netsurgery.graph.from_onnx.call import Call, Value, Whole, known
from netsurgery.graph.from_onnx.constants import AnyArray, is_float
from netsurgery.graph.from_onnx.traced import (
    Share,
    Traced,
    at_least_zero,
    extent_of,
    is_traced,
    objects,
    share_of,
    traced,
)

MOST_ENTRIES = 2**22
"""Of what is computed as a whole."""

MOST_PLACES = 2**16
"""How far places are counted that follow an open axis."""

_MOVES = ("Concat", "Expand", "Flatten", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose")
_ARITHMETIC = ("Add", "Sub", "Mul", "Neg", "Mod", "Floor", "Ceil", "Where")
BY_NUMBERS = frozenset((*_MOVES, *_ARITHMETIC, "Unsqueeze", "ReduceProd", "ReduceSum"))
"""ONNX operators whose folders work on arrays of Python's numbers as well."""

_LOGIC = ("And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or", "Where", "Xor")
_PLACES = ("Expand", "Gather", "Identity", "Transpose", "Trilu", "Unsqueeze")
BY_WHOLES = frozenset(("Abs", "Add", "Cast", "Div", "Max", "Min", "Mul", "Neg", "Sub", *_LOGIC, *_PLACES))
"""Those of which the beginning of the result is the result of the beginnings, which is compared."""

_BELOW: dict[str, Callable[[Number, Number], Number]] = {
    "Less": lambda one, other: other - one - 1,
    "LessOrEqual": lambda one, other: other - one,
    "Greater": lambda one, other: one - other - 1,
    "GreaterOrEqual": lambda one, other: one - other,
}
"""Comparison -> what is at least 0 where it is true, and below 0 where it is false."""

Folder = Callable[[Call], Any]


def traces(operands: Sequence[Value | None]) -> bool:
    """True if any operand follows an open axis."""
    return any(value is not None and (value.numbers is not None or value.whole is not None) for value in operands)


def traced_values(
    kind: str, folder: Folder | None, call: Call, arrays: Sequence[AnyArray | None], names: Sequence[str]
) -> list[Value] | None:
    """The outputs of a folded node with how they follow axes; None if that is lost.

    Raises UnsupportedOperatorError for a comparison that is true at some sizes and false at others.
    """
    operands = [value for value in call.operands if value is not None]
    if kind in ("Shape", "Size") and call.x.whole is not None:
        return [replace({"Shape": tensor.shape, "Size": tensor.size}[kind](call), name=names[0])]
    if any(value.whole is not None for value in operands) or kind in ("Slice", "Range", "ConstantOfShape", "Expand"):
        whole = _whole(kind, folder, call, arrays)
        if whole is not None:
            return [replace(_known(arrays[0], names[0]), shape=whole_shape(whole), whole=whole)]
    if any(value.whole is not None for value in operands):
        return None
    found = _numbers(kind, folder, call)
    if found is None or len(found) > len(arrays):
        return None
    values = []
    for name, array, own in zip(names, arrays, found, strict=False):
        if array is None or own.shape != array.shape:
            return None
        rounded = array.dtype.type  # quotients are rounded as the model's are
        if any(rounded(_float(one)) != rounded(two) for one, two in zip(own.ravel(), array.ravel(), strict=True)):
            return None
        values.append(replace(known(array, name), numbers=own if is_traced(own) else None))
    return values


def _known(array: AnyArray | None, name: str) -> Value:
    if array is None:
        raise UnsupportedOperatorError("isn't known")
    return known(array, name)


def whole_shape(whole: Whole) -> tuple[int, ...]:
    """The shape of what is used of it."""
    return tuple(whole.stops.get(axis, size) for axis, size in enumerate(whole.array.shape))


def _float(number: Any) -> float:
    return (
        float(number) if isinstance(number, Share) else float(int(number)) if isinstance(number, int) else float(number)
    )


def _as_objects(value: Value) -> AnyArray:
    if value.numbers is not None:
        return value.numbers
    if value.array is None:
        raise UnsupportedOperatorError("isn't known")
    return objects(value.array.ravel().tolist()).reshape(value.array.shape)


def _numbers(kind: str, folder: Folder | None, call: Call) -> list[AnyArray] | None:
    """The outputs as arrays of numbers with their extents."""
    given = [value for value in call.operands if value is not None]
    if any(value.array is None or value.array.size > 64 for value in given):
        return None
    try:
        if kind in ("Equal", *_BELOW):
            _require_decided(kind, *map(_as_objects, given))
            return None if folder is None else [np.asarray(folder(call), object)]
        if kind == "Gather":
            return [_picked(_as_objects(given[0]), call)]
        if kind == "ScatterElements" and call.attributes.get("reduction", "none") == "none":
            return _put([_as_objects(value) for value in given], call.axis(0))
        if kind in ("ReduceMax", "ReduceMin"):
            return _extreme(kind, call, _as_objects(given[0]))
        if kind in ("Div", "Cast", "Clip", "Max", "Min"):
            return _special(kind, call, [_as_objects(value) for value in given])
        if kind not in BY_NUMBERS or folder is None:
            return None
        indices = {"Slice": {1, 2, 3, 4}, "Split": {1}, "Reshape": {1}, "Expand": {1}, "Where": {0}}
        plain = indices.get(kind, set()) | (
            {1} if kind in ("Squeeze", "Unsqueeze", "ReduceSum", "ReduceProd") else set()
        )
        scalar = kind in _ARITHMETIC and all(value.shape == () for value in given)  # of which NumPy makes other numbers
        operands = [
            value
            if value is None or place in plain
            else replace(value, array=_as_objects(value).reshape((1,) if scalar else value.shape))
            for place, value in enumerate(call.operands)
        ]
        result = folder(replace(call, operands=operands))
    except UnsupportedOperatorError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    results = [np.asarray(one, object) for one in (result if isinstance(result, list) else [result])]
    return [one.reshape(()) for one in results] if scalar else results


def _picked(numbers: AnyArray, call: Call) -> AnyArray:
    """Gather."""
    axis, indices = call.axis(0), np.asarray(call.operand(1).array, np.int64)
    found = numbers.take(indices.reshape(-1), axis)
    return found.reshape((*numbers.shape[:axis], *indices.shape, *numbers.shape[axis + 1 :]))


def _require_decided(kind: str, one: AnyArray, other: AnyArray) -> None:
    """Raise UnsupportedOperatorError unless a comparison has the same outcome at all sizes."""
    for left, right in zip(*(each.ravel() for each in np.broadcast_arrays(one, other)), strict=True):
        if isinstance(left, Share) or isinstance(right, Share):
            continue
        a, b = extent_of(left), extent_of(right)
        if not isinstance(a, Extent) and not isinstance(b, Extent):
            continue
        if kind == "Equal":
            decided = a == b or never_equal(a, b)
        else:
            apart = _BELOW[kind](a, b)
            decided = isinstance(apart, int) or any(
                isinstance(low, int) and low >= 0 for low in (_lowest(apart), _lowest(-1 - apart))
            )
        if not decided:
            raise UnsupportedOperatorError(f"compares {a} with {b}, which come out differently at different sizes")


def _put(given: Sequence[AnyArray], axis: int) -> list[AnyArray] | None:
    """ScatterElements, such as of a shape that has another size along one axis; None at places that follow an axis."""
    numbers, places, others = given
    if any(type(place) is not int for place in places.reshape(-1).tolist()):
        return None
    result = numbers.copy()
    np.put_along_axis(result, places.astype(np.int64) % numbers.shape[axis], others, axis)
    return [result]


def _lowest(number: Number) -> int | None:
    return number if isinstance(number, int) else number.lowest()


def _special(kind: str, call: Call, given: Sequence[AnyArray]) -> list[AnyArray] | None:
    """What Python's operators on numbers don't say as ONNX means it."""
    if kind == "Cast":
        to = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(call.attributes["to"]))
        return [_mapped(lambda number: _cast(number, to), given[0])] if to.kind in "if" else None
    if kind == "Div":
        return [_mapped(_divided, *given)]
    if kind in ("Max", "Min"):
        return [reduce(partial(_mapped, _CHOICES[kind]), given)]
    if kind == "Clip":
        bounds = [(_CHOICES[choice], index) for choice, index in (("Max", 1), ("Min", 2)) if call.given(index)]
        return [reduce(lambda x, one: _mapped(one[0], x, _as_objects(call.operand(one[1]))), bounds, given[0])]
    return None


def _choice(pick: Callable[[Any, Any], Any], extents: Callable[[Number, Number], Number]) -> Callable[[Any, Any], Any]:
    """The larger or the smaller of two numbers; of quotients, by their numerators over a common divisor."""

    def choose(a: Any, b: Any) -> Any:
        if isinstance(a, Share) or isinstance(b, Share):
            one, other = share_of(a), share_of(b)
            number = choose(one.number * other.divisor, other.number * one.divisor)
            return Share(number, one.divisor * other.divisor)
        if isinstance(a, Traced) or isinstance(b, Traced):
            return traced(pick(int(a), int(b)), extents(extent_of(a), extent_of(b)))
        return pick(a, b)

    return choose


_CHOICES: dict[str, Callable[[Any, Any], Any]] = {"Max": _choice(max, larger), "Min": _choice(min, smaller)}


def _extreme(kind: str, call: Call, numbers: AnyArray) -> list[AnyArray] | None:
    """ReduceMax or ReduceMin of a list."""
    if numbers.ndim > 1 or any(isinstance(one, Share) for one in numbers.ravel()):
        return None
    found = objects([reduce(_CHOICES[kind.removeprefix("Reduce")], numbers.ravel().tolist())])
    return [found if call.attributes.get("keepdims", 1) and numbers.ndim else found.reshape(())]


def _mapped(function: Callable[..., Any], *arrays: AnyArray) -> AnyArray:
    spread = np.broadcast_arrays(*arrays)
    return objects([function(*each) for each in zip(*(one.ravel() for one in spread), strict=True)]).reshape(
        spread[0].shape
    )


def _cast(number: Any, to: np.dtype[Any]) -> Any:
    if to.kind == "f":
        return Share(number, 1) if isinstance(number, Traced) else number
    if isinstance(number, Share) and number.divisor == 1:
        return number.number
    if isinstance(number, Share):
        low = _lowest(extent_of(number.number))
        if low is None or low < 0:
            raise ValueError("rounds towards zero what may lie below it")
        return number.number // number.divisor
    return number if isinstance(number, int) else int(number)


def _divided(a: Any, b: Any) -> Any:
    if isinstance(a, Share | float) or isinstance(b, Share | float):
        return a / b
    if int(b) < 1 or not isinstance(a, Traced):
        return a // b
    exact = quotient(extent_of(a), extent_of(b))
    if exact is not None and exact * extent_of(b) == extent_of(a):  # then nothing is rounded, whatever its sign
        return traced(int(a) // int(b), exact)
    up, down, low = at_least_zero(a), at_least_zero(-a), _lowest(extent_of(a))
    if low is not None and not isinstance(b, Traced) and low > -int(b):  # what is below zero becomes zero
        return up // b
    return up // b - down // b  # rounded towards zero


def _whole(kind: str, folder: Folder | None, call: Call, arrays: Sequence[AnyArray | None]) -> Whole | None:
    """The only output as the beginning of a whole, checked against it."""
    result = arrays[0]
    if result is None or len(arrays) != 1:
        return None
    try:
        found = _sliced(call, result) if kind == "Slice" else None
        if kind == "Range":
            found = _counted(call)
        elif kind == "ConstantOfShape":
            found = _spread(call.operand(0), result)
        elif kind == "Expand" and call.operand(1).numbers is not None:
            found = _expanded(call)
        elif kind in BY_WHOLES and folder is not None and found is None:
            found = _of_wholes(kind, folder, call, result)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    if found is None or not found.stops or found.array.size > max(MOST_ENTRIES, MOST_PLACES):
        return None
    if not found.array.size:
        return None
    if not is_float(found.array) and found.array.size > MOST_PLACES:  # so many whole numbers have no room in a graph
        return None
    return found if np.array_equal(used(found), result) else None


def used(whole: Whole) -> AnyArray:
    """What is used of it at the sizes of this reading."""
    begun = whole.array[tuple(slice(0, whole.stops.get(axis)) for axis in range(whole.array.ndim))]
    return np.broadcast_to(begun, whole_shape(whole))


def _whole_of(value: Value) -> Whole:
    if value.whole is not None:
        return value.whole
    if value.array is None:
        raise UnsupportedOperatorError("isn't known")
    return Whole(value.array, {})


def _sliced(call: Call, result: AnyArray) -> Whole | None:
    """The first entries along one axis or more."""
    x = _whole_of(call.operand(0))
    starts, ends = (call.whole(index, name, operand_from=10) or () for index, name in ((1, "starts"), (2, "ends")))
    axes = call.whole(3, "axes", operand_from=10) or tuple(range(len(starts)))
    steps = call.whole(4, "steps", operand_from=10) or (1,) * len(starts)
    stops = dict(x.stops)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis %= x.array.ndim
        from_front = extent_of(start) == 0 and step == 1
        if from_front and isinstance(end, Traced) and end == result.shape[axis]:
            stops[axis] = end
        elif not (from_front and end >= x.array.shape[axis]):
            return None
    return Whole(x.array, stops)


def _counted(call: Call) -> Whole | None:
    """0, 1, 2, ... up to a number that follows axes."""
    start, limit, step = (_as_objects(call.operand(index)).reshape(-1)[0] for index in range(3))
    array = call.operand(2).array
    if extent_of(start) != 0 or step != 1 or not isinstance(limit, Traced) or array is None:
        return None
    return Whole(np.arange(MOST_PLACES).astype(array.dtype), {0: limit})


def _spread(sizes: Value, result: AnyArray) -> Whole | None:
    """One number everywhere."""
    if sizes.numbers is None or not result.size:
        return None
    shape = sizes.numbers.ravel().tolist()
    stops = {axis: size for axis, size in enumerate(shape) if isinstance(size, Traced)}
    return Whole(np.full([1 if axis in stops else int(size) for axis, size in enumerate(shape)], result.flat[0]), stops)


def _expanded(call: Call) -> Whole | None:
    x, shape = _whole_of(call.operand(0)), _as_objects(call.operand(1)).ravel().tolist()
    ahead = max(len(shape) - x.array.ndim, 0)
    stops = {axis + ahead: stop for axis, stop in x.stops.items()}
    array = x.array.reshape((1,) * ahead + x.array.shape)
    behind = array.ndim - len(shape)
    sizes = [1] * array.ndim
    for place, size in enumerate(shape):
        axis = place + behind
        if axis in stops or array.shape[axis] != 1:
            continue
        if isinstance(size, Traced):  # 1 as well, at this reading's sizes
            stops[axis] = size
        else:
            sizes[axis] = int(size)
    return Whole(np.broadcast_to(array, np.broadcast_shapes(array.shape, sizes)), stops)


def _of_wholes(kind: str, folder: Folder, call: Call, result: AnyArray) -> Whole | None:
    if kind not in _PLACES and any(value is not None and value.numbers is not None for value in call.operands):
        return None  # entries themselves follow axes, as places that are counted from the end
    wholes = [None if value is None else _whole_of(value) for value in call.operands]
    if kind == "Gather" and wholes[0] is not None and wholes[1] is not None and not wholes[0].stops:
        wholes[1] = _inside(wholes[1], wholes[0].array.shape[call.axis(0)])
    if kind not in _PLACES and _too_large([one.array for one in wholes if one is not None]):
        return None
    array = _folded(folder, call, wholes)
    if array.ndim != result.ndim:
        return None
    sizes = {int(stop): stop for one in wholes if one is not None for stop in one.stops.values()}
    stops = {
        axis: sizes[now] for axis, (now, all_) in enumerate(zip(result.shape, array.shape, strict=True)) if now != all_
    }
    if 1 in sizes:  # what one entry stands for, of which there is one now, shows when there are two
        twice = _folded(folder, call, [None if one is None else _twice(one) for one in wholes])
        stops |= {axis: sizes[1] for axis, size in enumerate(array.shape) if size == 1 and twice.shape[axis] == 2}
    return Whole(array, stops)


def _folded(folder: Folder, call: Call, wholes: Sequence[Whole | None]) -> AnyArray:
    """What comes of a node if its operands are these, whole."""
    operands = [
        None if value is None or one is None else replace(value, shape=one.array.shape, array=one.array, whole=None)
        for value, one in zip(call.operands, wholes, strict=True)
    ]
    return np.asarray(folder(replace(call, operands=operands)))


def _twice(whole: Whole) -> Whole:
    """With two entries where one stands for all, of which there is one at this reading's sizes."""
    array = whole.array
    for axis, stop in whole.stops.items():
        if stop == 1 and array.shape[axis] == 1:
            array = array.repeat(2, axis)
    return Whole(array, whole.stops)


def _too_large(arrays: Sequence[AnyArray]) -> bool:
    """True if what these broadcast to has too many entries, as the square of counted places."""
    return math.prod(np.broadcast_shapes(*(array.shape for array in arrays))) > MOST_ENTRIES


def _inside(places: Whole, rows: int) -> Whole:
    """Places up to the first one that is none of a table's rows, along each axis that is cut, and not only spread."""
    array = places.array
    for axis in places.stops:
        if array.shape[axis] == 1:
            continue
        inside = ((array >= -rows) & (array < rows)).all(tuple(other for other in range(array.ndim) if other != axis))
        array = array.take(np.arange(int(np.cumprod(inside).sum())), axis)
    return Whole(array, places.stops)
