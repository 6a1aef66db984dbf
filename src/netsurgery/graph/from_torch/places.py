"""Translations of ATen's operators that pick, put and rank entries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.extents import Number
from netsurgery.graph.from_torch.call import Activation, Call, Constant, Open, Sizes, in_a_row
from netsurgery.graph.from_torch.picked import Picked, is_mask, put_back
from netsurgery.graph.value_types import ValueType

Outputs: TypeAlias = tuple[str | None, ...]


def _indices(call: Call, value: object, argument: str = "index") -> str:
    """Whole numbers, as they are computed, or int64 where they are known."""
    kind = None if isinstance(value, Activation) else ValueType.INT64
    return call.placed(value, argument, kind)


def _axis(call: Call) -> int:
    """The axis `dim`; 0 of a single number."""
    return call.axis() if call.sizes("self") else 0


def gather(call: Call) -> str:
    """aten.gather, take_along_dim without broadcasting."""
    index = _indices(call, call.arguments["index"])
    return call.node("GatherElements", [call.promoted("self"), index], axis=_axis(call))


def index_select(call: Call) -> str:
    """aten.index_select."""
    index = _indices(call, call.arguments["index"])
    return call.node("Gather", [call.promoted("self"), index], axis=_axis(call))


def index(call: Call) -> str:
    """aten.index: one tensor of places along any axis, or tensors for several axes, which broadcast."""
    given = list(call.arguments["indices"])
    while given and given[-1] is None:
        given.pop()
    named = [(axis, one) for axis, one in enumerate(given) if one is not None]
    if len(named) == 1:
        axis, one = named[0]
        return call.node("Gather", [call.promoted("self"), _indices(call, one)], axis=axis)
    axes, tensors = [axis for axis, _ in named], [one for _, one in named]
    x, whole, ahead = _axes_first(call, axes, len(call.sizes("self")))
    places, count = _together(call, tensors), len(_broadcast([one.shape for one in tensors]))
    if not ahead:
        return call.node("GatherND", [x, places], axes_in_common=0)
    found = call.node("GatherND", [x, places], "found", axes_in_common=0)
    order = (*range(count, count + ahead), *range(count), *range(count + ahead, count + len(whole)))
    return call.node("Transpose", [found], order=order)


def _axes_first(call: Call, axes: list[int], rank: int) -> tuple[str, list[int], int]:
    """`self` with these axes in front; the others in their order, and how many of these a result has in front.

    As in NumPy what is picked stands where the axes stood, if they stand side by side, else in front of all others.
    """
    whole = [axis for axis in range(rank) if axis not in axes]
    together = axes == [*range(axes[0], axes[0] + len(axes))]
    x, order = call.promoted("self"), (*axes, *whole)
    if order != tuple(range(rank)):
        x = call.node("Transpose", [x], "ahead", order=order)
    return x, whole, axes[0] if together else 0


def _together(call: Call, tensors: list[Activation | Constant]) -> str:
    """Places along several axes, broadcast, side by side along a new last axis."""
    zero = call.placed(0, "zero", ValueType.INT64)
    names = [call.placed(one, "index", ValueType.INT64) for one in tensors]
    shape = _broadcast([one.shape for one in tensors])
    parts = []
    for place, (name, one) in enumerate(zip(names, tensors, strict=True)):
        for other, beside in enumerate(names):
            if other != place and one.shape != shape:
                name = call.node("Add", [name, call.node("Mul", [beside, zero], "nothing")], "spread")
        parts.append(call.reshaped(name, shape, (*shape, 1), "index"))
    return call.node("Concat", parts, "places", axis=len(shape))


def _broadcast(shapes: list[Sizes]) -> Sizes:
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return tuple(next((size for size in sizes if size != 1), 1) for sizes in zip(*padded, strict=True))


def scatter(reduction: str = "none") -> Callable[[Call], str]:
    """aten.scatter, scatter_add, scatter_reduce: a tensor or a number, perhaps combined with what is there."""
    names = {"sum": "add", "prod": "mul", "amax": "max", "amin": "min", "add": "add", "multiply": "mul", "mean": "add"}

    def translate(call: Call) -> str:
        kind = names[call.arguments["reduce"]] if call.given("reduce") else reduction
        indices = call.arguments["index"]
        shape = indices.shape
        source = call.arguments["src"] if call.given("src") else call.arguments["value"]
        updates = source
        if not call.given("src") or (isinstance(source, Constant) and source.tensor.numel() == 1):
            number = source.tensor.item() if isinstance(source, Constant) else source
            if any(isinstance(size, Open) for size in shape):
                spread = call.expanded(call.placed(number, "value", call.kind), shape, "values")
                updates = Activation(spread, shape)
            else:
                updates = Constant(torch.full(call.known(shape), number), f"{call.name}.value")
        elif source.shape != shape:
            raise UnsupportedOperatorError("takes a part of its source only; give one of the shape of the index")
        placed, places, axis = call.placed(updates, "src", call.kind), _indices(call, indices), _axis(call)
        x, mean = call.promoted("self"), call.arguments.get("reduce") == "mean"

        def put(into: str, what: str, suffix: str, by: str = "none") -> str:
            return call.node("ScatterElements", [into, places, what], suffix, axis=axis, reduction=by)

        def everywhere(number: float, sizes: Sizes, suffix: str) -> str:
            return call.expanded(call.placed(number, suffix, call.kind), sizes, suffix)

        without_self = call.arguments.get("include_self") is False
        if without_self:
            one_of_them = kind in ("max", "min")  # any, for the others to be compared with
            x = put(x, placed if one_of_them else everywhere(float(kind == "mul"), shape, "neutral"), "without_self")
        if not mean:
            return put(x, placed, "", kind)
        if call.kind is not ValueType.FLOAT32:
            raise UnsupportedOperatorError(f"takes means of {call.kind}; give floats")
        counts = everywhere(1.0, call.shape, "one")
        if without_self:
            counts = put(counts, everywhere(0.0, shape, "none"), "counts")
        counts = put(counts, everywhere(1.0, shape, "each"), "count", "add")
        return call.node("Div", [put(x, placed, "sum", "add"), counts])

    return translate


def index_put(call: Call) -> str:
    """aten.index_put: by one tensor of places along any axis, by tensors for several axes, or by one mask."""
    given = list(call.arguments["indices"])
    while given and given[-1] is None:
        given.pop()
    named = [(axis, one) for axis, one in enumerate(given) if one is not None]
    if any(is_mask(call, one) for _, one in named):
        return _put_by_mask(call, *_only(named))
    if isinstance(call.arguments["values"], Picked):
        raise UnsupportedOperatorError("puts entries that a mask picks at places that are numbers; use torch.where")
    reduction = "add" if call.arguments["accumulate"] else "none"
    if len(named) == 1:
        axis, places = named[0]
        return _put_along(call, axis, places, call.arguments["values"], reduction)
    axes, tensors = [axis for axis, _ in named], [one for _, one in named]
    index = _broadcast([one.shape for one in tensors])
    x, whole, ahead = _axes_first(call, axes, len(call.shape))
    beside = [call.shape[axis] for axis in whole]
    wanted = (*beside[:ahead], *index, *beside[ahead:])
    updates, count = _spread(call, call.arguments["values"], wanted), len(index)
    if ahead:
        first = (*range(ahead, ahead + count), *range(ahead))
        updates = call.node("Transpose", [updates], "values_ahead", order=(*first, *range(ahead + count, len(wanted))))
    order = [*axes, *whole]
    if order == sorted(order):
        return call.node("ScatterND", [x, _together(call, tensors), updates], reduction=reduction)
    put = call.node("ScatterND", [x, _together(call, tensors), updates], "put", reduction=reduction)
    return call.node("Transpose", [put], order=tuple(map(order.index, range(len(order)))))


def _only(named: list[tuple[int, Activation | Constant]]) -> tuple[int, Activation | Constant]:
    if len(named) > 1:
        raise UnsupportedOperatorError("takes a mask and other indices together; use torch.where")
    return named[0]


def _put_by_mask(call: Call, axis: int, mask: Activation | Constant) -> str:
    """Values for all that a mask over some of the axes, from `axis` on, finds: the same for each."""
    values, shape = call.arguments["values"], call.shape
    if isinstance(values, Picked):
        return put_back(call, values, Picked(Activation(call.promoted("self"), shape), mask, axis))
    behind = len(shape) - axis - len(mask.shape)
    given = (*(1 for _ in range(axis + 1 + behind - len(values.shape))), *values.shape)  # the mask's axes as one
    if given[axis] != 1:
        raise UnsupportedOperatorError("puts several values by a mask, as many as it finds; use torch.where")
    spread = (*given[:axis], *(1 for _ in mask.shape), *given[axis + 1 :])
    full = (*(1 for _ in shape[:axis]), *mask.shape, *(1 for _ in range(behind)))
    where = call.reshaped(call.placed(mask, "mask", ValueType.BOOL), mask.shape, full, "where")
    value = call.reshaped(call.placed(values, "value", call.kind), values.shape, spread, "spread")
    x = call.promoted("self")
    if call.arguments["accumulate"]:
        value = call.node("Add", [x, value], "sum")
    return call.node("Where", [where, value, x])


def _spread(call: Call, value: Any, wanted: Sizes) -> str:
    """A tensor or a number, broadcast."""
    name = call.placed(value, "values", call.kind)
    if getattr(value, "shape", ()) == wanted:
        return name
    return call.expanded(name, wanted, "spread")


def _put_along(call: Call, axis: int, places: Activation | Constant, value: Any, reduction: str) -> str:
    """Values in the place of, or added to, entries along an axis, which comes first while that is done."""
    shape, count = call.shape, len(places.shape)
    wanted = (*shape[:axis], *places.shape, *shape[axis + 1 :])
    updates = _spread(call, value, wanted)
    ahead = [*range(axis, axis + count), *range(axis), *range(axis + count, len(wanted))]
    index = call.reshaped(_indices(call, places), places.shape, (*places.shape, 1), "index")
    x, order = call.promoted("self"), [axis, *range(axis), *range(axis + 1, len(shape))]
    if axis:
        x = call.node("Transpose", [x], "ahead", order=tuple(order))
        updates = call.node("Transpose", [updates], "values_ahead", order=tuple(ahead))
    put = call.node("ScatterND", [x, index, updates], "put" if axis else "", reduction=reduction)
    return call.node("Transpose", [put], order=tuple(map(order.index, range(len(shape))))) if axis else put


def masked_scatter(call: Call) -> str:
    """aten.masked_scatter: where a mask is true, the entries of another tensor, one after another."""
    shape, source = call.shape, call.sizes("source")
    row, entries = (in_a_row(sizes) for sizes in (shape, source))
    mask = call.placed(call.arguments["mask"], "mask", ValueType.BOOL)
    if call.sizes("mask") != shape:
        mask = call.expanded(mask, shape, "mask")
    ones = call.node("Cast", [call.reshaped(mask, shape, row, "mask.row")], "ones", type=str(ValueType.INT64))
    found = call.node("CumSum", [ones], "found", axis=0)
    place = call.node("Sub", [found, call.placed(1, "one", ValueType.INT64)], "places")
    taken = call.reshaped(call.promoted("source"), source, entries, "source.row")
    taken = call.reshaped(call.node("Gather", [taken, place], "taken", axis=0), row, shape, "taken")
    return call.node("Where", [mask, taken, call.promoted("self")])


def put_along(argument: str, reduction: str = "none") -> Callable[[Call], str]:
    """aten.index_add, index_copy, index_fill: at places along an axis."""

    def translate(call: Call) -> str:
        value = call.arguments[argument]
        if call.arguments.get("alpha", 1) != 1:
            value = Activation(
                call.node("Mul", [call.promoted(argument), call.operand_as("alpha", call.kind)]), value.shape
            )
        return _put_along(call, _axis(call), call.arguments["index"], value, reduction)

    return translate


def reduce_along(call: Call) -> str:
    """aten.index_reduce: as scatter_reduce, with one place for a whole slice of the source."""
    shape, axis, index = call.sizes("source"), _axis(call), call.arguments["index"]
    along = tuple(size if place == axis else 1 for place, size in enumerate(shape))
    places = call.reshaped(_indices(call, index), index.shape, along, "along")
    spread = Activation(call.expanded(places, shape, "places"), shape)
    arguments = {**call.arguments, "index": spread, "src": call.arguments["source"]}
    return scatter()(replace(call, arguments=arguments))


def first_of_mask(call: Call) -> str:
    """aten.nonzero_static: where the first entries other than 0 stand, and a number in the rows that are left.

    Each finds its row from how many there are before it; all that have no row share one more, which is cut off.
    """
    sizes, count, whole = call.sizes("self"), call.whole_number("size"), ValueType.INT64
    if not isinstance(count, int) or not sizes:
        raise UnsupportedOperatorError(
            "finds places of a single number, or a number of them that is not known; reshape to (1,), or give size"
        )
    entries = in_a_row(sizes)
    mask = call.reshaped(call.operand_as("self", ValueType.BOOL), sizes, entries, "mask")
    ones = call.node("Cast", [mask], "ones", type=str(whole))
    so_far = call.node("CumSum", [ones], "so_far", axis=0)
    end = call.placed(count, "end", whole)
    row = call.node("Sub", [so_far, call.placed(1, "one", whole)], "before")
    row = call.node("Where", [mask, row, end], "row_or_end")
    row = call.node("Where", [call.node("Less", [row, end], "fits"), row, end], "row")
    one = call.placed(1, "one", whole)
    counted = call.node("CumSum", [call.expanded(one, entries, "each")], "counted", axis=0)
    numbers = call.node("Sub", [counted, one], "places")
    nowhere = call.placed(-1, "nowhere", whole)
    into = call.expanded(nowhere, (count + 1,), "rows")
    put = call.node("ScatterElements", [into, row, numbers], "put", axis=0, reduction="none")
    left = call.node("Slice", [put], "found", axis=0, start=0, stop=count)
    empty = call.node("Less", [left, call.placed(0, "zero", whole)], "empty")
    fill = call.placed(int(call.number("fill_value")), "fill", whole)
    columns = []
    for axis in reversed(range(len(sizes))):
        column = left
        if axis:
            along = sizes[axis]
            size = call.placed(along, "size", whole) if isinstance(along, int) else call.size_value(along, whole)
            before = call.node("Div", [left, size], "over")
            column = call.node("Sub", [left, call.node("Mul", [before, size], "whole")], "along")
            left = before
        column = call.node("Where", [empty, fill, column], "column")
        columns.append(call.reshaped(column, (count,), (count, 1), "column"))
    columns.reverse()
    return columns[0] if len(columns) == 1 else call.node("Concat", columns, axis=1)


def place(operator: str) -> Callable[[Call], str]:
    """aten.argmax, argmin: along an axis, or of all entries in a row."""

    def translate(call: Call) -> str:
        x, keep = call.operand("self"), bool(call.arguments.get("keepdim"))
        if call.given("dim"):
            return call.node(operator, [x], axis=call.axis(), keepdims=keep)
        sizes = call.known(call.sizes("self"))
        row = call.reshaped(x, sizes, (math.prod(sizes),), "row")
        found = call.node(operator, [row], "found" if keep else "", axis=0, keepdims=False)
        return call.reshaped(found, (), (1,) * len(sizes)) if keep else found

    return translate


def extreme(operator: str, reduction: str) -> Callable[[Call], Outputs]:
    """aten.max.dim, min.dim: the entries, and where they stand; a reduction where nobody asks for the places."""

    def translate(call: Call) -> Outputs:
        x, axis, sizes = call.operand("self"), call.axis(), call.sizes("self")
        keep = bool(call.arguments.get("keepdim"))
        if 1 not in call.used and call.kind is ValueType.FLOAT32:
            return call.node(reduction, [x], axes=(axis,), keepdims=keep), None
        kept = (*sizes[:axis], 1, *sizes[axis + 1 :])
        after = kept if keep else (*sizes[:axis], *sizes[axis + 1 :])
        found = call.node(operator, [x], "indices", axis=axis, keepdims=True)
        values = call.node("GatherElements", [x, found], "values", axis=axis)
        return call.reshaped(values, kept, after), call.reshaped(found, kept, after, "places")

    return translate


def top(call: Call) -> Outputs:
    """aten.topk: values and indices."""
    size = call.whole_number("k")
    if size is None:
        raise UnsupportedOperatorError("names no number of entries")
    return _ranked(call, size, bool(call.arguments["largest"]))


def sort(call: Call) -> Outputs:
    """aten.sort: as topk of all entries."""
    size = call.extent(call.sizes("self")[call.axis()])
    return _ranked(call, size, bool(call.arguments["descending"]))


def argsort(call: Call) -> str:
    """aten.argsort."""
    size = call.extent(call.sizes("self")[call.axis()])
    settings: dict[str, Any] = {"axis": call.axis(), "count": size, "largest": bool(call.arguments["descending"])}
    return call.node("TopKIndices", [call.operand("self")], **settings)


def _ranked(call: Call, count: Number, largest: bool) -> Outputs:
    settings: dict[str, Any] = {"axis": call.axis(), "count": count, "largest": largest}
    x = call.operand("self")
    return tuple(
        call.node(operator, [x], part, **settings) if number in call.used else None
        for number, (operator, part) in enumerate((("TopKValues", "values"), ("TopKIndices", "indices")))
    )


def kth(call: Call) -> Outputs:
    """aten.kthvalue and median along an axis: the entry that so many are no larger than, and where it stands."""
    axis, sizes = call.axis(), call.sizes("self")
    count = call.whole_number("k") if call.given("k") else (call.extent(sizes[axis]) + 1) // 2
    if count is None:
        raise UnsupportedOperatorError("names no entry")
    kept = (*sizes[:axis], 1, *sizes[axis + 1 :])
    after = kept if call.arguments["keepdim"] else (*sizes[:axis], *sizes[axis + 1 :])
    found: list[str | None] = []
    for number, (operator, part) in enumerate((("TopKValues", "values"), ("TopKIndices", "indices"))):
        if number not in call.used:
            found.append(None)
            continue
        least = call.node(operator, [call.operand("self")], f"{part}.least", axis=axis, count=count, largest=False)
        last = call.node("Slice", [least], f"{part}.last", axis=axis, start=count - 1, stop=count)
        found.append(call.reshaped(last, kept, after, part))
    return tuple(found)


def median_of_all(call: Call) -> str:
    """aten.median of all entries: of two in the middle, the lower one."""
    sizes = call.sizes("self")
    entries = math.prod(call.known(sizes))
    row = call.reshaped(call.operand("self"), sizes, (entries,), "row")
    count = (entries + 1) // 2
    least = call.node("TopKValues", [row], "least", axis=0, count=count, largest=False)
    last = call.node("Slice", [least], "last", axis=0, start=count - 1, stop=count)
    return call.reshaped(last, (1,), (), "")


def bucket(boundaries: str, values: str) -> Callable[[Call], str]:
    """aten.bucketize and searchsorted: how many of the boundaries, which are known and in a row, lie below."""

    def translate(call: Call) -> str:
        row, sizes = call.parameter(boundaries).tensor, call.sizes(values)
        if row.ndim != 1 or call.given("sorter"):
            raise UnsupportedOperatorError("boundaries must be one sorted row")
        right = bool(call.arguments["right"]) or call.arguments.get("side") == "right"
        x = call.reshaped(call.operand_as(values, ValueType.FLOAT32), sizes, (*sizes, 1), "x")
        row_name = call.placed(Constant(row.float(), "boundaries"))
        within = call.node("Less" if right else "LessOrEqual", [x, row_name], "within")
        beyond = call.node("Not", [within], "beyond")  # NaN is beyond all of them
        total = call.node(
            "ReduceSum",
            [call.node("Cast", [beyond], "ones", type="float32")],
            "sum",
            axes=(len(sizes),),
            keepdims=False,
        )
        return call.node("Cast", [total], type=str(call.kind))

    return translate


def running_sum(call: Call) -> str:
    """aten.cumsum; whole numbers and bools are summed as int64."""
    return call.node("CumSum", [call.promoted("self")], axis=_axis(call))


def one_hot(call: Call) -> str:
    """aten.one_hot of a known number of classes."""
    classes = call.number("num_classes")
    if classes < 1 or any(isinstance(size, Open) for size in call.shape[-1:]):
        raise UnsupportedOperatorError("num_classes must be given")
    before = call.sizes("self")
    column = call.reshaped(call.operand("self"), before, (*before, 1), "column")
    along = call.placed(Constant(torch.arange(classes), f"{call.name}.classes"), "classes", ValueType.INT64)
    equal = call.node("Equal", [call.node("Cast", [column], "wide", type="int64"), along], "equal")
    return call.node("Cast", [equal], type="int64")
