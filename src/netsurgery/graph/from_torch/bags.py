"""Translation of aten.embedding_bag: sums, means or largest entries of rows of a table.

Bags of one length are an axis; of others, a matrix says which ids each bag holds.
"""

from __future__ import annotations

import math

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.extents import Number
from netsurgery.graph.from_torch.call import Activation, Call, Constant
from netsurgery.graph.value_types import ValueType

Outputs = tuple[str | None, ...]
_SUM, _MEAN, _LARGEST = range(3)


def embedding_bag(call: Call) -> Outputs:
    """The bags, of which nothing else that ATen gives may be read: each as long as the others, one after another."""
    call.parameter("weight")
    mode, padding = call.number("mode"), call.arguments.get("padding_idx")
    padded = padding is not None and int(padding) >= 0
    weighted = call.given("per_sample_weights")
    if weighted and mode != _SUM:
        raise UnsupportedOperatorError(
            "weighs entries of which no sums are taken; give per_sample_weights to sums only"
        )
    length = None if call.arguments["include_last_offset"] else _length(call)
    if length is None or (padded and (mode == _LARGEST or weighted)):
        return (_of_any_length(call, mode, int(padding or 0) if padded else None), None, None, None)
    shape: tuple[Number, ...] = (-1, length)
    ids = call.node("Reshape", [call.operand("indices")], "bags", shape=shape)
    rows = call.node("Embedding", [ids, call.operand("weight")], "rows")
    if weighted:
        column = call.node("Reshape", [call.promoted("per_sample_weights")], "weights", shape=(*shape, 1))
        rows = call.node("Mul", [rows, column], "weighed")
    if padded:
        return (_without(call, ids, rows, int(padding or 0), mean=mode == _MEAN), None, None, None)
    operator = {_SUM: "ReduceSum", _MEAN: "Mean", _LARGEST: "ReduceMax"}[mode]
    return (call.node(operator, [rows], axes=(1,), keepdims=False), None, None, None)


def _without(call: Call, ids: str, rows: str, padding: int, *, mean: bool) -> str:
    """Without the rows of one id, which are not counted either."""
    kind = call.builder.type_of(ids)
    other = call.node("NotEqual", [ids, call.placed(padding, "padding", kind)], "other")
    ones = call.node("Cast", [other], "ones", type=str(ValueType.FLOAT32))
    kept = call.node("Reshape", [ones], "kept", shape=(0, 0, 1))
    total = call.node("Mul", [rows, kept], "without")
    total = call.node("ReduceSum", [total], "total" if mean else "", axes=(1,), keepdims=False)
    if not mean:
        return total
    count = call.node("ReduceSum", [kept], "count", axes=(1,), keepdims=False)
    return call.node("Div", [total, call.node("Max", [count, call.placed(1.0, "one")], "at_least_one")])


def _of_any_length(call: Call, mode: int, padding: int | None) -> str:
    """From what each bag holds of all ids: (bags, ids), true where an id lies from a bag's offset to the next one's.

    Where offsets say where the last bag ends, sums alone end there in torch, and what they are divided by doesn't.
    """
    ids, offsets = call.operand("indices"), call.operand_as("offsets", ValueType.FLOAT32)
    entries, ends = (call.extent(call.sizes(name)[0]) for name in ("indices", "offsets"))
    whole = call.node("Reshape", [call.size_value(entries)], "end", shape=(1,))
    bags = ends - 1 if call.arguments["include_last_offset"] else ends
    begins = call.node("Slice", [offsets], "begins", axis=0, start=0, stop=bags)
    joined = call.node("Concat", [begins, whole], "all", axis=0)
    ended = offsets if call.arguments["include_last_offset"] else joined
    places = call.node("Range", [call.placed(0.0, "zero")], "places", count=entries)

    def held(borders: str) -> str:
        after = call.node("Slice", [borders], "ends", axis=0, start=1, stop=bags + 1)
        columns = [call.node("Reshape", [row], "column", shape=(-1, 1)) for row in (begins, after)]
        begun, over = call.node("LessOrEqual", [columns[0], places]), call.node("Less", [places, columns[1]])
        found = call.node("And", [begun, over], "held")
        if padding is None:
            return found
        other = call.node("NotEqual", [ids, call.placed(padding, "padding", call.builder.type_of(ids))], "other")
        return call.node("And", [found, other], "held")

    def ones(found: str) -> str:
        return call.node("Cast", [found], "ones", type=str(ValueType.FLOAT32))

    rows = call.node("Embedding", [ids, call.operand("weight")], "rows")
    if mode == _SUM:
        shares = ones(held(ended))
        if call.given("per_sample_weights"):
            shares = call.node("Mul", [shares, call.promoted("per_sample_weights")], "weighed")
        return call.node("MatMul", [shares, rows])
    inside = held(joined)
    count = call.node("ReduceSum", [ones(inside)], "count", axes=(1,), keepdims=True)
    if mode == _MEAN:
        total = call.node("MatMul", [ones(held(ended)), rows], "total")
        return call.node("Div", [total, call.node("Max", [count, call.placed(1.0, "one")], "at_least_one")])
    each = call.node("Reshape", [inside], "each", shape=(0, 0, 1))
    alone = call.node("Where", [each, rows, call.placed(-math.inf, "least")], "alone")
    largest = call.node("ReduceMax", [alone], "largest", axes=(1,), keepdims=False)
    empty = call.node("Equal", [count, call.placed(0.0, "zero")], "empty")
    return call.node("Where", [empty, call.placed(0.0, "zero"), largest])


def _length(call: Call) -> Number | None:
    """How many ids each bag has; None unless the bags begin at even steps."""
    offsets = call.arguments["offsets"]
    if isinstance(offsets, Constant):
        row = offsets.tensor.flatten()
        entries = call.sizes("indices")[0]
        if not isinstance(entries, int):
            return None
        each = entries // max(len(row), 1)
        if len(row) and torch.equal(row, torch.arange(len(row)) * each) and each * len(row) == entries:
            return each
        return None
    if isinstance(offsets, Activation):
        step = _step(call, offsets.name)
        if step is not None and step * call.extent(call.shape[0]) == call.extent(call.sizes("indices")[0]):
            return step
    return None


def _step(call: Call, name: str) -> Number | None:
    """The step of a row of numbers from 0 on, as `aten.arange` makes it."""
    made = call.builder.maker(name)
    while made is not None and made.operator == "Cast":
        made = call.builder.maker(made.given[0])
    if made is None:
        return None
    if made.operator == "Range":
        return int(made.attributes["scale"])  # type: ignore[arg-type]
    by = call.builder.maker(made.given[1]) if made.operator == "Mul" else None
    numbers = by.attributes.get("values") if by is not None else None
    return numbers[0] if isinstance(numbers, tuple) and len(numbers) == 1 else None  # type: ignore[return-value]
