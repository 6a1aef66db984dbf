"""Translations of ONNX operators that pick, put and rank entries."""

from __future__ import annotations

import math

import numpy as np

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import Call, Value, from_front, known
from netsurgery.graph.from_onnx.traced import Traced
from netsurgery.graph.value_types import ValueType


def top(call: Call) -> list[Value | None]:
    """TopK: values and indices. Its count is an attribute before opset 10."""
    (count,) = (call.attributes["k"],) if call.opset < 10 else call.numbers(1, "k")
    settings = {"axis": call.axis(-1), "count": count, "largest": bool(call.attributes.get("largest", 1))}
    return [
        call.node(operator, [call.x], **settings) if used else None
        for operator, used in zip(("TopKValues", "TopKIndices"), call.used, strict=False)
    ]


def running_sum(call: Call) -> Value:
    """CumSum along a known axis."""
    axis = from_front(int(call.array(1, "axis").item()), len(call.x.shape))
    sides = {name: bool(call.attributes.get(name, 0)) for name in ("exclusive", "reverse")}
    return call.node("CumSum", [call.x], axis=axis, **sides)


def compress(call: Call) -> Value:
    """Compress by a known condition: the entries that it picks along an axis, or of all in a row."""
    places = np.flatnonzero(call.array(1, "condition"))
    if not len(places):
        raise UnsupportedOperatorError("picks no entries at all")
    if "axis" in call.attributes:
        return call.node("Gather", [call.x, known(places, "places")], axis=call.axis(0))
    row = call.reshaped(call.x, (math.prod(call.x.shape),))
    return call.node("Gather", [row, known(places, "places")], axis=0)


def reverse_sequence(call: Call) -> Value:
    """ReverseSequence: of each sequence as many entries as it is long, from its front, in reverse."""
    x, lengths = call.x, call.operand(1)
    time, batch = call.attributes.get("time_axis", 0), call.attributes.get("batch_axis", 1)
    if lengths.array is not None and (lengths.array == int(x.shape[time])).all():
        return call.node("Reverse", [x], axes=(time,))
    places = counted_along(call, x, time)
    of_each = [1] * len(x.shape)
    of_each[batch] = x.shape[batch]
    ends = call.reshaped(call.as_type(lengths, ValueType.INT64), of_each)
    back = call.node("Sub", [call.node("Sub", [ends, known(np.ones((), np.int64), "one")]), places])
    places = call.node("Where", [call.node("Less", [places, ends]), back, places])
    return call.node("GatherElements", [x, call.node("Expand", [places], shape=x.shape)], axis=time)


def counted(call: Call, size: int) -> Value:
    """0, 1, 2, ... as many as that, as int64."""
    if not isinstance(size, Traced):
        return known(np.arange(size), "places")
    zero = known(np.zeros((), np.float32), "first")
    return call.as_type(call.node("Range", [zero], count=size, scale=1.0), ValueType.INT64)


def counted_along(call: Call, x: Value, axis: int) -> Value:
    """The place of each entry of x along an axis, in as many axes as x has."""
    along = [1] * len(x.shape)
    along[axis] = x.shape[axis]
    return call.reshaped(counted(call, x.shape[axis]), along)


def as_value(call: Call, size: int) -> Value:
    """A size as a whole number (1,), which may follow open axes."""
    if not isinstance(size, Traced):
        return known(np.array([size], np.int64), "size")
    last = call.node("Slice", [counted(call, size)], axis=0, start=size - 1, stop=size)
    return call.node("Add", [last, known(np.ones(1, np.int64), "one")])


def one_hot(call: Call) -> Value:
    """OneHot: where an index equals the place along a new axis; one below 0 counts from the end."""
    depth, values = int(call.array(1, "depth").item()), call.operand(2)
    axis = call.axis(-1, len(call.x.shape) + 1)
    indices = call.as_type(call.x, ValueType.INT64)
    size = known(np.int64(depth).reshape(()), "depth")
    below = call.node("Less", [indices, known(np.zeros((), np.int64), "zero")])
    places = call.node("Where", [below, call.node("Add", [indices, size]), indices])
    places = call.reshaped(places, (*places.shape[:axis], 1, *places.shape[axis:]))
    along = np.arange(depth).reshape(-1, *(1,) * (len(places.shape) - 1 - axis))
    if values.array is not None:
        off, on = (known(values.array[i], f"{values.name}.{i}") for i in range(2))
    else:
        off, on = (call.reshaped(call.node("Slice", [values], axis=0, start=i, stop=i + 1), ()) for i in range(2))
    return call.node("Where", [call.node("Equal", [places, known(along, "places")]), on, off])
