"""Values of which there are as many entries along one axis as a run finds: what NonMaxSuppression selects.

The network computes with all that there may be. What is done to each entry by itself goes on with them, and the ones
too many are left out of outputs. Anything else is refused: it would see entries that aren't there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import Call, Found, Value, from_front, known
from netsurgery.graph.from_onnx.places import as_value
from netsurgery.graph.from_onnx.traced import Traced
from netsurgery.graph.operators import OPERATORS, Work
from netsurgery.graph.value_types import ValueType

Translation: TypeAlias = "Callable[[Call], Value | Sequence[Value | None]]"

ADVICE = "end the network before it (outputs=, --outputs)"


def non_max_suppression(call: Call) -> Value:
    """NonMaxSuppression (boxes, scores, most of a class, threshold of overlap, of scores)."""
    most = int(call.array(2, "max_output_boxes_per_class").item()) if call.given(2) else 0
    if most < 1:
        raise UnsupportedOperatorError("selects no boxes at all (max_output_boxes_per_class is 0)")
    settings = {
        "count": min(most, 2**31 - 1),
        "threshold": float(call.array(3, "iou_threshold").item()) if call.given(3) else 0.0,
        "minimum": float(call.array(4, "score_threshold").item()) if call.given(4) else -math.inf,
        "order": "center" if call.attributes.get("center_point_box", 0) else "corners",
    }
    rows = call.node("NonMaxSuppression", [call.x, call.operand(1)], **settings)
    count = call.node("NonMaxSuppression", [call.x, call.operand(1)], result="count", **settings)
    return replace(rows, found=Found(0, count, zeros=True, bounded=True))


def first_entries(call: Call) -> Value | None:
    """Slice from the first entry to one that is computed, along one axis; None if it is no such Slice."""
    if call.opset < 10 or not call.given(2) or call.operand(2).array is not None or call.operand(2).shape != (1,):
        return None
    axes = call.numbers(3, "axes") if call.given(3) else (0,)
    steps = call.numbers(4, "steps") if call.given(4) else (1,)
    if tuple(call.numbers(1, "starts")) != (0,) or tuple(steps) != (1,) or len(axes) != 1:
        return None
    count = call.as_type(call.operand(2), ValueType.INT64)
    return replace(call.x, found=Found(from_front(axes[0], len(call.x.shape)), count))


def translated(operator: str, call: Call, translations: Mapping[str, Translation]) -> Value | Sequence[Value | None]:
    """What becomes of a node that reads such values. Raises UnsupportedOperatorError where it needs all entries."""
    rule = _RULES.get(operator)
    if rule is None:
        raise UnsupportedOperatorError(f"reads as many entries as are found, not each by itself; {ADVICE}")
    return rule(call, translations.get(operator, _none))


def _none(_: Call) -> Value:
    raise UnsupportedOperatorError("is no operator of netsurgery")


_Rule: TypeAlias = Callable[[Call, Translation], "Value | Sequence[Value | None]"]


def _one(answer: Value | Sequence[Value | None]) -> Value:
    value = answer if isinstance(answer, Value) else answer[0]
    if value is None:
        raise UnsupportedOperatorError("gives none of its outputs")
    return value


def _of(x: Value) -> Found:
    if x.found is None or x.found.spare:
        raise UnsupportedOperatorError(f"reads as many entries as are found in a way that isn't known; {ADVICE}")
    return x.found


def _refuse(reason: str) -> UnsupportedOperatorError:
    return UnsupportedOperatorError(f"{reason} of which there are as many as are found; {ADVICE}")


def _entrywise(call: Call, translation: Translation) -> Value:
    found = _of(call.x)
    return replace(_one(translation(call)), found=replace(found, zeros=False))


def _same(call: Call, translation: Translation) -> Value:
    return replace(_one(translation(call)), found=_of(call.x))


def _together(call: Call, translation: Translation) -> Value:
    """Operands that broadcast: all that have these entries have them at the same place, and as many."""
    given = [one for one in call.operands if one is not None]
    marked = [one for one in given if one.found is not None]
    first = _of(marked[0])
    from_end = first.axis - len(marked[0].shape)
    for one in given:
        if one.found is not None:
            same = _of(one).axis - len(one.shape) == from_end and one.found.count.name == first.count.name
        else:
            same = len(one.shape) < -from_end or one.shape[from_end] == 1
        if not same:
            raise _refuse("combines entries with others than those")
    made = _one(translation(call))
    return replace(made, found=replace(first, axis=from_end + len(made.shape), zeros=False))


def _picked(call: Call, translation: Translation) -> Value:
    """Gather."""
    x, indices = call.x, call.operand(1)
    axis = call.axis(0)
    made = _one(translation(call))
    if x.found is None:
        found = _of(indices)
        return replace(made, found=replace(found, axis=axis + found.axis, zeros=False))
    found = _of(x)
    if indices.found is not None or found.axis == axis:
        raise _refuse("picks entries from a list")
    moved = found.axis if found.axis < axis else found.axis - 1 + len(indices.shape)
    return _along(call, made, found, moved)


def _picked_by_rows(call: Call, translation: Translation) -> Value:
    """GatherND."""
    indices = call.operand(1)
    found = _of(indices)
    if call.x.found is not None or found.axis == len(indices.shape) - 1 or call.attributes.get("batch_dims", 0):
        raise _refuse("picks entries from a list")
    return replace(_one(translation(call)), found=replace(found, zeros=False))


def _reshaped(call: Call, translation: Translation) -> Value:
    """The axis goes where as many entries lie before it, and at a size that the shape leaves open, if any."""
    x, found = call.x, _of(call.x)
    made = _one(translation(call))
    size, before = x.shape[found.axis], math.prod(x.shape[: found.axis])
    places = [place for place, one in enumerate(made.shape) if one == size and math.prod(made.shape[:place]) == before]
    target, copies = call.numbers(1, "shape"), not call.attributes.get("allowzero", 0)
    if size == 1 or -1 in target:
        open_places = {target.index(-1)} if -1 in target else set()
        if copies and found.axis < len(target) and target[found.axis] == 0:
            open_places.add(found.axis)
        places = [place for place in places if place in open_places]
    if len(places) != 1:
        raise _refuse("puts an axis together with others")
    return _along(call, made, found, places[0])


def _along(call: Call, made: Value, found: Found, axis: int) -> Value:
    """The result of a Reshape, with the list along an axis. Its size is what remains: it may be the least of two."""
    step = call.nodes[-1] if call.nodes else None
    if step is not None and step.operator == "Reshape" and step.output == made.name:
        shape: Any = step.attributes["shape"]
        if -1 not in shape and shape[axis] != 0:
            left_open = tuple(-1 if place == axis else size for place, size in enumerate(shape))
            call.nodes[-1] = replace(step, attributes={**step.attributes, "shape": left_open})
    return replace(made, found=replace(found, axis=axis))


def _flattened(call: Call, translation: Translation) -> Value:
    x, found = call.x, _of(call.x)
    rank, axis = len(x.shape), call.attributes.get("axis", 1)
    cut = axis if axis >= 0 else axis + rank
    place = int(found.axis >= cut)
    beside = range(cut, rank) if place else range(cut)
    if any(x.shape[one] != 1 for one in beside if one != found.axis):
        raise _refuse("puts an axis together with others")
    return _along(call, _one(translation(call)), found, place)


def _squeezed(call: Call, translation: Translation) -> Value:
    found = _of(call.x)
    axes = call.whole(1, "axes", operand_from=13)
    if axes is None:
        raise _refuse("names no axes, and may take away the one")
    gone = {from_front(axis, len(call.x.shape)) for axis in axes}
    if found.axis in gone:
        raise _refuse("takes an axis away")
    return _along(call, _one(translation(call)), found, found.axis - sum(axis < found.axis for axis in gone))


def _unsqueezed(call: Call, translation: Translation) -> Value:
    found = _of(call.x)
    made = _one(translation(call))
    rank = len(made.shape)
    new = {from_front(axis, rank) for axis in call.whole(1, "axes", operand_from=13) or ()}
    old = [axis for axis in range(rank) if axis not in new]
    return _along(call, made, found, old[found.axis])


def _transposed(call: Call, translation: Translation) -> Value:
    found = _of(call.x)
    order = list(call.attributes.get("perm", reversed(range(len(call.x.shape)))))
    return replace(_one(translation(call)), found=replace(found, axis=order.index(found.axis)))


def _over_axes(operand_from: int) -> _Rule:
    """Reductions over others than that axis; axes are an operand since `operand_from`."""

    def rule(call: Call, translation: Translation) -> Value:
        found, rank = _of(call.x), len(call.x.shape)
        axes = {from_front(axis, rank) for axis in call.whole(1, "axes", operand_from=operand_from) or range(rank)}
        if found.axis in axes:
            raise _refuse("reduces a list")
        gone = 0 if call.attributes.get("keepdims", 1) else sum(axis < found.axis for axis in axes)
        made = _one(translation(call))
        return replace(made, found=replace(found, axis=found.axis - gone, zeros=False))

    return rule


def _along_axis(default: int) -> _Rule:
    """Softmax and ArgMax along another axis; the second leaves that out without `keepdims`."""

    def rule(call: Call, translation: Translation) -> Value:
        found, axis = _of(call.x), call.axis(default)
        if found.axis == axis:
            raise _refuse("goes along a list")
        made = _one(translation(call))
        gone = len(made.shape) < len(call.x.shape) and axis < found.axis
        return replace(made, found=replace(found, axis=found.axis - gone, zeros=False))

    return rule


def _cut(call: Call, translation: Translation) -> Value:
    """Slice: along other axes, or the first ones of these, of which there are fewer then."""
    x, found = call.x, call.x.found
    starts, ends = (call.whole(place, name, operand_from=10) or () for place, name in ((1, "starts"), (2, "ends")))
    axes = call.whole(3, "axes", operand_from=10) or tuple(range(len(starts)))
    steps = call.whole(4, "steps", operand_from=10) or (1,) * len(starts)
    if found is None:
        raise _refuse("cuts by a number")
    others = []
    for place, (start, end, axis, step) in enumerate(zip(starts, ends, axes, steps, strict=True)):
        if from_front(axis, len(x.shape)) != found.axis:
            others.append(place)
            continue
        if start == 0 and end >= 2**31 - 1 and step == 1:
            continue
        if start != 0 or end < 0 or step != 1:
            raise _refuse("cuts others than the first of a list")
        if found.spare:
            if len(starts) > 1 or end > found.spare:
                raise _refuse("cuts more than there may be from a list")
            return replace(_one(translation(call)), found=None)
        found = _at_most(call, found, x.shape[found.axis], int(end))
    if found.spare:
        raise _refuse("cuts a list")
    if not others:
        return replace(x, found=found)
    return replace(_one(translation(_only(call, axes, others))), found=found)


def _only(call: Call, axes: Sequence[int], places: Sequence[int]) -> Call:
    """A Slice with some of its cuts. How many entries a list may have depends on sizes, and no cut of it does."""
    given = [*call.operands, *(None,) * (5 - len(call.operands))]
    given[3] = known(np.array(axes, np.int64), "axes") if given[3] is None else given[3]
    return replace(call, operands=[given[0], *(None if one is None else _some(one, places) for one in given[1:])])


def _some(numbers: Value, places: Sequence[int]) -> Value:
    array, own = (None if one is None else one.reshape(-1)[list(places)] for one in (numbers.array, numbers.numbers))
    return replace(numbers, shape=(len(places),), array=array, numbers=own, whole=None)


def _split(call: Call, translation: Translation) -> Sequence[Value | None]:
    found = _of(call.x)
    if call.axis(0) == found.axis:
        raise _refuse("splits a list")
    made = translation(call)
    parts = [made] if isinstance(made, Value) else made
    return [None if part is None else replace(part, found=found) for part in parts]


def _at_most(call: Call, found: Found, size: int, most: int) -> Found:
    limit = known(np.array([most], np.int64), "most")
    return replace(found, count=_smaller(call, _number(call, found, size), limit), bounded=True)


def _smaller(call: Call, one: Value, other: Value) -> Value:
    return call.node("Where", [call.node("Less", [one, other]), one, other])


def _number(call: Call, found: Found, size: int) -> Value:
    """How many entries there are, where an axis has `size` at most: from 0 to that."""
    if found.bounded:
        return found.count
    zero, most = known(np.zeros(1, np.int64), "none"), as_value(call, size)
    below = call.node("Less", [found.count, zero])
    count = call.node("Where", [below, call.node("Add", [found.count, most]), found.count])
    return _smaller(call, call.node("Where", [call.node("Less", [count, zero]), zero, count]), most)


def _joined(call: Call, translation: Translation) -> Value:
    """Concat: side by side, or with zeros behind, of which the first ones are cut then."""
    given = [call.operand(place) for place in range(len(call.operands))]
    axis = from_front(call.attributes["axis"], len(call.x.shape))
    first = given[0].found
    if first is not None and first.axis == axis and first.zeros and not first.spare and len(given) == 2:
        rest = given[1]
        if rest.found is None and rest.array is not None and rest.array.size and not rest.array.any():
            return replace(_one(translation(call)), found=replace(first, spare=rest.shape[axis]))
    founds = [_of(one) for one in given]
    alike = {(found.axis, found.count.name) for found in founds}
    if len(alike) > 1 or founds[0].axis == axis:
        raise _refuse("joins lists")
    return replace(_one(translation(call)), found=replace(founds[0], zeros=all(found.zeros for found in founds)))


def _sizes(call: Call, _: Translation) -> Value:
    """Shape: sizes, one of which is the count."""
    found, shape = _of(call.x), call.x.shape
    start, end, _step = slice(call.attributes.get("start", 0), call.attributes.get("end")).indices(len(shape))
    parts: list[Any] = []
    for axis in range(start, end):
        if axis == found.axis:
            parts.append(_number(call, found, shape[axis]))
        elif isinstance(shape[axis], Traced):
            raise UnsupportedOperatorError("reads an open size beside one that is found")
        else:
            parts.append(known(np.array([shape[axis]], np.int64), "size"))
    return parts[0] if len(parts) == 1 else call.node("Concat", parts, axis=0)


_OF_TWO = ("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Mod", "Sum", "Where", "And", "Or", "Xor", "PRelu")
_COMPARED = ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")
_OF_ONE = ("Abs", "Celu", "Clip", "Elu", "IsInf", "IsNaN", "Neg", "Not", "Reciprocal", "Selu", "Swish")
_ENTRYWISE = (*(one.onnx for one in OPERATORS.values() if one.onnx and one.work is Work.ENTRYWISE), *_OF_ONE)
OF_EACH = frozenset((*_ENTRYWISE, *_OF_TWO, *_COMPARED))
"""What is computed of each entry of operands that broadcast."""

_RULES: dict[str, _Rule] = {
    **dict.fromkeys(_ENTRYWISE, _entrywise),
    **dict.fromkeys((*_OF_TWO, *_COMPARED), _together),
    **dict.fromkeys(("Cast", "Dropout", "Identity"), _same),
    **{f"Reduce{name}": _over_axes(18) for name in ("L1", "L2", "Max", "Mean", "Min", "Prod", "SumSquare")},
    "ReduceSum": _over_axes(13),
    **dict.fromkeys(("LogSoftmax", "Softmax"), _along_axis(-1)),
    **dict.fromkeys(("ArgMax", "ArgMin"), _along_axis(0)),
    "Concat": _joined,
    "Flatten": _flattened,
    "Gather": _picked,
    "GatherND": _picked_by_rows,
    "Reshape": _reshaped,
    "Shape": _sizes,
    "Slice": _cut,
    "Split": _split,
    "Squeeze": _squeezed,
    "Transpose": _transposed,
    "Unsqueeze": _unsqueezed,
}
"""What is done to each entry by itself."""
