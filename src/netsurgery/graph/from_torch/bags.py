"""Translation of aten.embedding_bag: sums, means or largest entries of rows of a table, for bags of one length."""

from __future__ import annotations

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
    weighted_otherwise = weighted and (mode != _SUM or padded)
    if call.arguments["include_last_offset"] or (mode == _LARGEST and padded) or weighted_otherwise:
        raise UnsupportedOperatorError(
            "weighs or leaves out entries of bags in a way that is not supported; give rows of ids to nn.Embedding"
        )
    shape: tuple[Number, ...] = (-1, _length(call))
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


def _length(call: Call) -> Number:
    """How many ids each bag has. Raises UnsupportedOperatorError unless the bags begin at even steps."""
    offsets = call.arguments["offsets"]
    if isinstance(offsets, Constant):
        row = offsets.tensor.flatten()
        (entries,) = call.known(call.sizes("indices")[:1])
        each = entries // max(len(row), 1)
        if len(row) and torch.equal(row, torch.arange(len(row)) * each) and each * len(row) == entries:
            return each
    elif isinstance(offsets, Activation):
        step = _step(call, offsets.name)
        if step is not None and step * call.extent(call.shape[0]) == call.extent(call.sizes("indices")[0]):
            return step
    raise UnsupportedOperatorError("has bags of different lengths; give rows of ids, padded to one length")


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
