"""Translations of ONNX operators that move values about: reshaping, cutting, joining, padding, resizing."""

from __future__ import annotations

import math

import numpy as np
import onnx

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import TYPES, Call, Value, from_front, kept_places, known
from netsurgery.graph.from_onnx.constants import AnyArray
from netsurgery.graph.value_types import ValueType


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
    return known(sizes(call), f"{call.x.name}.shape")


def size(call: Call) -> Value:
    """ONNX's Size."""
    return known(count(call), f"{call.x.name}.size")


def reshape(call: Call) -> Value:
    """To sizes of which 0 means "as it was" (unless `allowzero`) and -1 "what remains"."""
    target = [int(number) for number in call.array(1, "shape").reshape(-1)]
    if not call.attributes.get("allowzero", 0):
        target = [call.x.shape[axis] if number == 0 else number for axis, number in enumerate(target)]
    if -1 in target:
        rest = math.prod(number for number in target if number != -1)
        target[target.index(-1)] = math.prod(call.x.shape) // max(rest, 1)
    return call.reshaped(call.x, target)


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
    operands = [call.operand(index) for index in range(len(call.operands))]
    return operands[0] if len(operands) == 1 else call.node("Concat", operands, axis=call.axis(0))


def split(call: Call) -> list[Value | None]:
    """Parts along an axis: sizes as given, or as many equal ones as there are outputs."""
    axis = call.axis(0)
    length = call.x.shape[axis]
    parts = call.whole(1, "split", operand_from=13)
    if parts is None:
        each = -(-length // len(call.used))  # the last part may be smaller
        parts = tuple(min(each, length - each * index) for index in range(len(call.used)))
    ends = np.cumsum(parts)
    return [
        _cut(call, call.x, axis, range(int(end) - part, int(end))) if used else None
        for part, end, used in zip(parts, ends, call.used, strict=True)
    ]


def cut(call: Call) -> Value:
    """ONNX's Slice: one cut for each axis that it names."""
    starts, ends = (call.whole(index, name, operand_from=10) or () for index, name in ((1, "starts"), (2, "ends")))
    axes = call.whole(3, "axes", operand_from=10) or tuple(range(len(starts)))
    steps = call.whole(4, "steps", operand_from=10) or (1,) * len(starts)
    x = call.x
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = from_front(axis, len(x.shape))
        x = _cut(call, x, axis, kept_places(x.shape[axis], start, end, step))
    return x


def gather(call: Call) -> Value:
    """Entries along an axis: such as are equally far apart are cut out, rows of a known table are looked up."""
    axis = call.axis(0)
    if call.operand(1).array is None:
        if axis == 0 and call.x.is_weight and len(call.x.shape) == 2:
            return call.node("Embedding", [call.operand(1), call.x])
        return call.node("Gather", [call.x, call.operand(1)], axis=axis)
    indices = call.array(1, "indices")
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
    if len(kept) == 0:
        raise UnsupportedOperatorError(f"gives an empty tensor: nothing of axis {axis} of shape {x.shape} is kept")
    if len(kept) == 1:
        kept = range(kept[0], kept[0] + 1)
    if kept.step < 0:
        raise UnsupportedOperatorError("reverses an axis (a negative step), which netsurgery can't")
    return call.node("Slice", [x], axis=axis, start=kept[0], stop=kept[-1] + 1, step=kept.step)


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
