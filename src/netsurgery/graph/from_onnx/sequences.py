"""Sequences of tensors in ONNX models: lists of what is computed, known by the time that a model is read.

A network has none. What is put into one is taken out of it again, so that only the entries are left: exporters write
`torch.split`, and lists that a loop appends to, as sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx import tensors
from netsurgery.graph.from_onnx.call import Call, Value, from_front, known
from netsurgery.graph.from_onnx.traced import Traced, extent_of


def _of(items: Sequence[Value]) -> Value:
    return Value("", (), kind=None, items=tuple(items))


def items_of(value: Value) -> tuple[Value, ...]:
    """The entries of a sequence. Raises UnsupportedOperatorError for a tensor."""
    if value.items is None:
        raise UnsupportedOperatorError(f"reads {value.name!r} as a sequence, which is a tensor")
    return value.items


def _place(call: Call, index: int, count: int, default: int, *, behind: bool = False) -> int:
    """An operand that is the place of one of so many entries, counted from the front. behind: or behind all of them."""
    if not call.given(index):
        return default
    place = call.numbers(index, "position")[0]
    if isinstance(place, Traced):
        raise UnsupportedOperatorError(f"counts entries of a sequence by {extent_of(place)}, which is open")
    if not -count <= place < count + behind:
        raise UnsupportedOperatorError(f"names entry {place} of a sequence of {count}")
    return place + count if place < 0 else place


def _construct(call: Call) -> Value:
    return _of([call.operand(index) for index in range(len(call.operands))])


def _empty(_: Call) -> Value:
    return _of([])


def _at(call: Call) -> Value:
    items = items_of(call.x)
    return items[_place(call, 1, len(items), 0)]


def _insert(call: Call) -> Value:
    items = list(items_of(call.x))
    items.insert(_place(call, 2, len(items), len(items), behind=True), call.operand(1))
    return _of(items)


def _erase(call: Call) -> Value:
    items = list(items_of(call.x))
    if not items:
        raise UnsupportedOperatorError("takes an entry from an empty sequence")
    items.pop(_place(call, 1, len(items), len(items) - 1))
    return _of(items)


def _length(call: Call) -> Value:
    return known(np.asarray(len(items_of(call.x)), np.int64), "length")


def _concat(call: Call) -> Value:
    """ConcatFromSequence: all entries along an axis that they have, or along a new one."""
    items = items_of(call.x)
    if not items:
        raise UnsupportedOperatorError("joins the entries of an empty sequence")
    axis, new = call.attributes["axis"], bool(call.attributes.get("new_axis", 0))
    axis = from_front(axis, len(items[0].shape) + new)
    if all(one.array is not None and one.numbers is None and one.whole is None for one in items):
        arrays = [one.array for one in items if one.array is not None]
        return known((np.stack if new else np.concatenate)(arrays, axis), f"{items[0].name}.joined")
    if new:
        items = tuple(call.reshaped(one, (*one.shape[:axis], 1, *one.shape[axis:])) for one in items)
    return tensors.concat(replace(call, operands=items, attributes={"axis": axis}))


def _split(call: Call) -> Value:
    """SplitToSequence: parts of given sizes, of one size but for the last, or single entries, without their axis."""
    x, axis = call.x, call.axis(0)
    length = x.shape[axis]
    given: Sequence[int] = call.numbers(1, "split") if call.given(1) else (1,)
    if not call.given(1) or call.operand(1).shape == ():
        if isinstance(length, Traced) or isinstance(given[0], Traced):
            raise UnsupportedOperatorError(
                "splits an open axis into as many parts as it is long; fix it (input_shapes=, --input-shape)"
            )
        given = [min(given[0], length - begin) for begin in range(0, length, given[0])]
    parts: dict[str, Any] = {
        "operands": [x, known(np.array([int(size) for size in given], np.int64), "parts")],
        "attributes": {"axis": axis},
        "used": [True] * len(given),
        "opset": 13,
    }
    if any(isinstance(size, Traced) for size in given):
        parts["operands"][1] = call.operand(1)
    made = [one for one in tensors.split(replace(call, **parts)) if one is not None]
    if not call.given(1) and not call.attributes.get("keepdims", 1):
        made = [call.reshaped(one, (*one.shape[:axis], *one.shape[axis + 1 :])) for one in made]
    return _of(made)


SEQUENCES: dict[str, Callable[[Call], Value]] = {
    "ConcatFromSequence": _concat,
    "SequenceAt": _at,
    "SequenceConstruct": _construct,
    "SequenceEmpty": _empty,
    "SequenceErase": _erase,
    "SequenceInsert": _insert,
    "SequenceLength": _length,
    "SplitToSequence": _split,
}
"""ONNX operator -> translation, of those that make sequences or take from them."""

READERS = (*SEQUENCES, "Identity")
"""Operators that may be given a sequence."""
