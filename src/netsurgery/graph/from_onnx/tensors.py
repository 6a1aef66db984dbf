"""Translations of ONNX operators that move values about: reshaping, cutting, joining, padding, resizing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
import onnx

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.extents import Number, larger, smaller
from netsurgery.graph.from_onnx import choices
from netsurgery.graph.from_onnx.call import TYPES, Call, Value, Whole, from_front, has_no_number, kept_places, known
from netsurgery.graph.from_onnx.constants import AnyArray
from netsurgery.graph.from_onnx.traced import Share, Traced, at_least_zero, extent_of, is_traced, objects, traced
from netsurgery.graph.operators import LARGEST_INT
from netsurgery.graph.value_types import ValueType, type_of


def same(call: Call) -> Value:
    """An operator that does nothing when a network runs."""
    return call.x


def dropout(call: Call) -> Value:
    """Dropout, which does nothing outside of training."""
    if call.given(2) and call.array(2, "training_mode").any():
        raise UnsupportedOperatorError("is in training mode; export the model in evaluation mode (model.eval())")
    return call.x


def cast(call: Call) -> Value:
    """To another type; what is half or double in between is computed in float32."""
    to = call.attributes["to"]
    if to not in KINDS:
        raise UnsupportedOperatorError(f"casts to {onnx.TensorProto.DataType.Name(to)}; {TYPES} are what networks have")
    return call.as_type(call.x, KINDS[to])


KINDS = {
    onnx.TensorProto.FLOAT: ValueType.FLOAT32,
    onnx.TensorProto.DOUBLE: ValueType.FLOAT32,
    onnx.TensorProto.FLOAT16: ValueType.FLOAT32,
    onnx.TensorProto.BFLOAT16: ValueType.FLOAT32,
    onnx.TensorProto.INT32: ValueType.INT32,
    onnx.TensorProto.INT64: ValueType.INT64,
    onnx.TensorProto.BOOL: ValueType.BOOL,
}
"""ONNX's types of values that are computed -> what a graph has for them."""


def cast_like(call: Call) -> Value:
    """To the type of the second operand."""
    array, like, kind = call.x.array, call.operand(1).array, call.operand(1).kind
    if kind is None:
        raise UnsupportedOperatorError(
            f"casts to {like.dtype if like is not None else kind}; {TYPES} are what there is"
        )
    if array is not None:
        return known(array.astype(kind.dtype if like is None else like.dtype), call.x.name)
    return call.as_type(call.x, kind)


def sizes(call: Call) -> AnyArray:
    """Sizes, or a stretch of them."""
    start, end, _ = slice(call.attributes.get("start", 0), call.attributes.get("end")).indices(len(call.x.shape))
    return np.asarray(call.x.shape[start:end], np.int64)


def count(call: Call) -> AnyArray:
    """The number of entries."""
    return np.asarray(math.prod(call.x.shape), np.int64)


def shape(call: Call) -> Value:
    """ONNX's Shape, which is known although its operand isn't."""
    start, end, _ = slice(call.attributes.get("start", 0), call.attributes.get("end")).indices(len(call.x.shape))
    return _numbered(known(sizes(call), f"{call.x.name}.shape"), objects(call.x.shape[start:end]))


def size(call: Call) -> Value:
    """ONNX's Size."""
    return _numbered(known(count(call), f"{call.x.name}.size"), objects([math.prod(call.x.shape)]).reshape(()))


def _numbered(value: Value, numbers: AnyArray) -> Value:
    return replace(value, numbers=numbers) if is_traced(numbers) else value


def reshape(call: Call) -> Value:
    """To sizes of which 0 means "as it was" (unless `allowzero`) and -1 "what remains"."""
    target = list(call.numbers(1, "shape"))
    if not call.attributes.get("allowzero", 0):
        target = [call.x.shape[axis] if number == 0 else number for axis, number in enumerate(target)]
    if -1 in target:
        target[target.index(-1)] = _remaining(call.x.shape, [number for number in target if number != -1])
    return call.reshaped(call.x, target)


def _remaining(sizes: Sequence[int], taken: Sequence[int]) -> int:
    """What is left of a product; sizes that both have go first, so that it is seen how the rest follows open axes."""
    left, rest = list(sizes), []
    for number in taken:
        same = next((place for place, size in enumerate(left) if extent_of(size) == extent_of(number)), None)
        if same is None:
            rest.append(number)
        else:
            left.pop(same)
    return math.prod(left) // max(math.prod(rest), 1)


def flatten(call: Call) -> Value:
    """Two axes: those before `axis`, and those from there on."""
    sizes, axis = call.x.shape, call.axis(1, len(call.x.shape) + 1)
    if call.attributes.get("axis", 1) < 0:
        axis -= 1  # counted from the last axis, not from behind it
    return call.reshaped(call.x, (math.prod(sizes[:axis]), math.prod(sizes[axis:])))


def squeeze(call: Call) -> Value:
    """Without the axes named, or without all of size one."""
    sizes = call.x.shape
    axes = call.whole(1, "axes", operand_from=13)
    if axes is None:
        if any(isinstance(number, Traced) for number in sizes):
            raise UnsupportedOperatorError("names no axes, and would take an open one away where its size is 1")
        axes = tuple(axis for axis, number in enumerate(sizes) if number == 1)
    gone = {from_front(axis, len(sizes)) for axis in axes}
    return call.reshaped(call.x, [number for axis, number in enumerate(sizes) if axis not in gone])


def unsqueeze(call: Call) -> Value:
    """With new axes, which are numbered as in the result."""
    axes = call.whole(1, "axes", operand_from=13) or ()
    rank = len(call.x.shape) + len(axes)
    new, old = {from_front(axis, rank) for axis in axes}, iter(call.x.shape)
    return call.reshaped(call.x, [1 if axis in new else next(old) for axis in range(rank)])


def transpose(call: Call) -> Value:
    """Axes in another order, by default the reverse."""
    order = call.attributes.get("perm", tuple(reversed(range(len(call.x.shape)))))
    return call.node("Transpose", [call.x], order=tuple(order))


def concat(call: Call) -> Value:
    """All operands, one after another."""
    axis = call.axis(0)
    operands = [call.operand(index) for index in range(len(call.operands))]
    operands = [one for one in operands if one.array is None or one.shape[axis] != 0] or operands[:1]
    return operands[0] if len(operands) == 1 else call.node("Concat", operands, axis=axis)


def split(call: Call) -> list[Value | None]:
    """Parts along an axis: sizes as given, or as many equal ones as there are outputs."""
    axis = call.axis(0)
    length = call.x.shape[axis]
    parts = call.whole(1, "split", operand_from=13)
    if parts is None:
        each = -(-length // len(call.used))  # the last part may be smaller
        parts = tuple(min(each, length - each * index) for index in range(len(call.used)))
    ends = list(accumulate(parts))
    return [
        (
            _cut_open(call, call.x, axis, end - part, end, 1)
            if follows
            else _cut(call, call.x, axis, range(end - part, end))
        )
        if used
        else None
        for part, end, used in zip(parts, ends, call.used, strict=True)
        for follows in [any(isinstance(one, Traced) for one in (length, end, end - part))]
    ]


def cut(call: Call) -> Value:
    """ONNX's Slice: one cut for each axis that it names."""
    starts, ends = (call.whole(index, name, operand_from=10) or () for index, name in ((1, "starts"), (2, "ends")))
    axes = call.whole(3, "axes", operand_from=10) or tuple(range(len(starts)))
    steps = call.whole(4, "steps", operand_from=10) or (1,) * len(starts)
    x = call.x
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = from_front(axis, len(x.shape))
        if isinstance(x.shape[axis], Traced) or isinstance(start, Traced) or isinstance(end, Traced):
            x = _cut_open(call, x, axis, start, end, step)
        else:
            x = _cut(call, x, axis, kept_places(x.shape[axis], start, end, step))
    return x


def _cut_open(call: Call, x: Value, axis: int, start: int, end: int, step: int) -> Value:
    """A cut whose bounds or whose axis follow open axes."""
    size = x.shape[axis]
    if step == -1 and start in (-1, size - 1) and end < -size:
        return call.node("Reverse", [x], axes=(axis,))
    if step < 1:
        raise UnsupportedOperatorError("goes backwards along an axis that is open")
    start, end = (
        traced(min(max(int(bound + size if bound < 0 else bound), 0), int(size)), _inside(bound, size))
        for bound in (start, end)
    )
    if extent_of(start) == 0 and step == 1 and extent_of(end) == extent_of(size):
        return x
    return call.node("Slice", [x], axis=axis, start=start, stop=end, step=step)


def _inside(bound: int, size: int) -> Number:
    """A bound counted from the front, inside an axis; one that follows axes isn't looked at from both ends."""
    place, length = extent_of(bound), extent_of(size)
    if abs(bound) > LARGEST_INT:  # an end, whatever the size
        return length if bound > 0 else 0
    if bound < 0:
        return larger(length + place, 0)
    return smaller(place, length)


def gather(call: Call) -> Value:
    """Entries along an axis: such as are equally far apart are cut out, rows of a known table are looked up."""
    axis = call.axis(0)
    if call.operand(1).array is None:
        if axis == 0 and call.x.is_weight and len(call.x.shape) == 2 and not has_no_number(call.x):
            return call.node("Embedding", [call.operand(1), call.x])
        return call.node("Gather", [call.x, call.operand(1)], axis=axis)
    indices = call.array(1, "indices")
    if call.operand(1).whole is not None:  # as many as an axis is long, or follow from that
        return call.node("Gather", [call.x, call.operand(1)], axis=axis)
    if indices.size == 1 and isinstance(call.x.shape[axis], Traced):
        index = call.numbers(1, "indices")[0]
        index = call.x.shape[axis] + index if index < 0 else index
        x = call.node("Slice", [call.x], axis=axis, start=index, stop=index + 1)
        return x if indices.ndim == 1 else call.reshaped(x, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    chosen = [from_front(int(index), call.x.shape[axis]) for index in indices.reshape(-1)]
    step = chosen[1] - chosen[0] if len(chosen) > 1 else 1
    evenly = range(chosen[0], chosen[-1] + 1, step) if chosen and step > 0 else range(0)
    if not chosen:
        raise UnsupportedOperatorError("picks no entries, which gives an empty tensor")
    if list(evenly) != chosen:
        return call.node("Gather", [call.x, known(indices.astype(np.int64), call.operand(1).name)], axis=axis)
    x = _cut(call, call.x, axis, evenly)
    return x if indices.ndim == 1 else call.reshaped(x, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def _cut(call: Call, x: Value, axis: int, kept: range) -> Value:
    """The entries `kept` along an axis; x itself if they are all."""
    if len(kept) == x.shape[axis] and kept.step == 1:
        return x
    if kept.step < 0 and len(kept) > 1:
        turned = call.node("Reverse", [x], axes=(axis,))
        last = x.shape[axis] - 1
        return _cut(call, turned, axis, range(last - kept[0], last - kept[-1] + 1, -kept.step))
    if len(kept) == 0:  # which a Concat may do without
        kind = ValueType.FLOAT32 if x.kind is None else x.kind
        shape = [0 if place == axis else int(size) for place, size in enumerate(x.shape)]
        return known(np.zeros(shape, kind.dtype), f"{x.name}.nothing")
    if len(kept) == 1:
        kept = range(kept[0], kept[0] + 1)
    return call.node("Slice", [x], axis=axis, start=kept[0], stop=kept[-1] + 1, step=kept.step)


def expand(call: Call) -> Value:
    """Broadcast to a shape, of which sizes of 1 keep those of x."""
    shape = call.numbers(1, "shape")
    x = call.x.shape
    ahead = len(shape) - len(x)
    same = [place >= ahead and _stays(x[place - ahead], size) for place, size in enumerate(shape)]
    if ahead <= 0 and all(same):
        return call.x
    wanted = tuple(1 if kept else size for kept, size in zip(same, shape, strict=True))
    return call.node("Expand", [call.x], shape=wanted)


def _stays(size: int, wanted: int) -> bool:
    """Whether a size is the one wanted; one entry isn't, for what follows open axes and is 1 in this reading."""
    return size == wanted and (size != 1 or isinstance(size, Traced) or not isinstance(wanted, Traced))


def constant_of_shape(call: Call) -> Value:
    """One number everywhere, in a shape that follows open axes."""
    value = np.asarray(call.attributes.get("value", np.zeros(1, np.float32))).reshape(())
    return call.node("Expand", [known(value, f"{call.x.name}.value")], shape=call.numbers(0, "shape"))


def tile(call: Call) -> Value:
    """Repeated along each axis."""
    return call.node("Tile", [call.x], repeats=call.numbers(1, "repeats"))


def triangle(call: Call) -> Value:
    """Trilu: what lies on one side of a diagonal, zero elsewhere."""
    diagonal = call.numbers(1, "k")[0] if call.given(1) else 0
    return call.node("Trilu", [call.x], upper=bool(call.attributes.get("upper", 1)), diagonal=diagonal)


def eye_like(call: Call) -> Value:
    """Ones on a diagonal of a matrix whose sizes follow open axes: both triangles of ones."""
    to = call.attributes.get("dtype")
    kind = call.x.kind if to is None else type_of(onnx.helper.tensor_dtype_to_np_dtype(to))
    if kind is None or len(call.x.shape) != 2:
        raise UnsupportedOperatorError(f"makes a matrix of a type that isn't among {TYPES}")
    one = known(np.asarray(1, kind.dtype), f"{call.x.name}.one")
    made = call.node("Expand", [one], shape=call.x.shape)
    for upper in (True, False):
        made = call.node("Trilu", [made], upper=upper, diagonal=call.attributes.get("k", 0))
    return made


def stretch(call: Call) -> Value:
    """Range, of a length that follows open axes; of whole numbers from one that follows them, too, and downwards."""
    start, limit, step = (
        _as_whole(value.numbers.reshape(-1)[0] if value.numbers is not None else value.array.reshape(-1)[0].item())
        for value in map(call.operand, range(3))
        if value.array is not None
    )
    if isinstance(start, Share) or isinstance(step, Traced | Share):
        raise UnsupportedOperatorError("counts from or by a number that follows an open axis")
    kind = type_of(call.array(2, "delta").dtype)
    whole = all(isinstance(number, int) for number in (start, limit, step))
    if kind is not None and whole and step and (isinstance(start, Traced) or step < 0):
        apart = limit - start if step > 0 else start - limit
        zero = known(np.zeros((), np.float32), f"{call.x.name}.zero")
        places = call.node("Range", [zero], count=at_least_zero(-(-apart // abs(step))), scale=float(step))
        first = replace(known(np.asarray(int(start), np.int64), call.x.name), numbers=objects([start]).reshape(()))
        return call.node("Add", [call.as_type(places, kind), call.as_type(first, kind)])
    if step <= 0:
        raise UnsupportedOperatorError("counts down to a number that follows an open axis")
    end = limit if isinstance(limit, Share) else Share(limit, 1)
    length = math.ceil((end + -start if start else end) / step)
    first = known(np.asarray(float(start), np.float32), f"{call.x.name}.first")
    places = call.node("Range", [first], count=length, scale=float(step))
    return places if kind in (None, ValueType.FLOAT32) else call.node("Cast", [places], type=str(kind))


def _as_whole(number: Any) -> Any:
    """A float that is a whole number at any sizes as that."""
    if isinstance(number, Share) and number.divisor == 1:
        return number.number
    return int(number) if isinstance(number, float) and number.is_integer() else number


def where(call: Call) -> Value:
    """By a condition; a known one that follows axes, of floats: a * condition + b * (1 - condition).

    That is exact for finite numbers. Of a known infinite number the largest finite one is taken, of which Softmax makes
    0 as well.
    """
    condition, one, other = (call.operand(index) for index in range(3))
    floats = all(value.kind is ValueType.FLOAT32 for value in (one, other))
    if condition.array is None or condition.whole is None or not floats:
        return choices.where(call)
    chosen = mapped(condition, lambda array: np.asarray(array, np.float32))
    parts = []
    for value, factor in ((one, chosen), (other, mapped(chosen, lambda array: np.float32(1) - array))):
        part = value if value.array is None else mapped(value, lambda array: np.clip(array, -_LARGEST, _LARGEST))
        if part.array is not None and part.array.size == 1 and part.whole is None:
            parts.append(mapped(factor, partial(np.multiply, np.float32(part.array.reshape(-1)[0]))))
        else:
            parts.append(call.node("Mul", [part, factor]))
    return call.node("Add", parts)


_LARGEST = np.finfo(np.float32).max


def mapped(value: Value, function: Callable[[AnyArray], AnyArray]) -> Value:
    """What a function makes of each entry of a known value."""
    if value.array is None:
        raise UnsupportedOperatorError("isn't known")
    whole = None if value.whole is None else Whole(function(value.whole.array), value.whole.stops)
    return replace(known(function(value.array), f"{value.name}.mapped"), shape=value.shape, whole=whole)


def pad(call: Call) -> Value:
    """Padding of some axes or of all."""
    rank = len(call.x.shape)
    given = call.whole(1, "pads", operand_from=11) or ()
    axes = call.whole(3, "axes", operand_from=18) if call.opset >= 18 else None
    axes = tuple(range(rank)) if axes is None else tuple(from_front(axis, rank) for axis in axes)
    pads = [0] * (2 * rank)
    for index, axis in enumerate(axes):
        pads[axis], pads[rank + axis] = given[index], given[len(axes) + index]
    value = call.floats(2, "constant_value").item() if call.given(2) else 0.0
    return call.node("Pad", [call.x], pads=tuple(pads), mode=call.attributes.get("mode", "constant"), value=value)
