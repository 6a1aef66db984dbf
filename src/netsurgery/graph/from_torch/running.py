"""Translations of ATen's running products and extremes: of all pairs of places, those from the one to the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_torch.call import Call
from netsurgery.graph.value_types import ValueType

Outputs: TypeAlias = tuple[str | None, ...]


def product_so_far(call: Call) -> str:
    """aten.cumprod; of whole numbers, whose products wrap around, each times the product of those before it."""
    if call.kind.whole:
        return _whole_product_so_far(call)
    return _behind(call, call.node("ReduceProd", [_until(call, 1.0)], "products", axes=(_rank(call),), keepdims=False))


def _whole_product_so_far(call: Call) -> str:
    """After each step an entry is the product of twice as many as before, up to its place."""
    x, sizes = call.promoted("self"), call.sizes("self")
    if not sizes:
        return x
    axis = call.axis()
    count = sizes[axis]
    if not isinstance(count, int):
        raise UnsupportedOperatorError(
            "multiplies whole numbers along an open axis; leave that axis fixed, or cast them to float32 before"
        )
    reach = 1
    while reach < count:
        kept = call.node("Slice", [x], f"first_{reach}", axis=axis, start=0, stop=reach)
        later = call.node("Slice", [x], f"later_{reach}", axis=axis, start=reach, stop=count)
        before = call.node("Slice", [x], f"before_{reach}", axis=axis, start=0, stop=count - reach)
        both = call.node("Mul", [later, before], f"times_{reach}")
        x, reach = call.node("Concat", [kept, both], f"reaching_{2 * reach}", axis=axis), 2 * reach
    return x


def extreme_so_far(reduction: str, place: str, beyond: float) -> Callable[[Call], Outputs]:
    """aten.cummax and cummin: the entry, and the last place where it stands."""

    def translate(call: Call) -> Outputs:
        pairs = _until(call, beyond)
        found: list[str | None] = [None, None]
        if 0 in call.used:
            found[0] = _behind(call, call.node(reduction, [pairs], "most", axes=(_rank(call),), keepdims=False))
        if 1 in call.used:
            places = call.node(place, [pairs], "place", axis=_rank(call), keepdims=False, last=True)
            found[1] = _behind(call, places, "places")
        return tuple(found)

    return translate


def log_sum_exp_so_far(call: Call) -> str:
    """aten.logcumsumexp, less the largest entry so far, which is held finite meanwhile."""
    pairs, axes, largest = _until(call, -math.inf), (_rank(call),), torch.finfo(torch.float32).max
    top = call.node("ReduceMax", [pairs], "largest", axes=axes)
    top = call.node("Clip", [top], "held", minimum=-largest, maximum=largest)
    powers = call.node("Exp", [call.node("Sub", [pairs, top], "shifted")], "powers")
    total = call.node("Log", [call.node("ReduceSum", [powers], "total", axes=axes)], "log")
    sums = call.node("ReduceMax", [call.node("Add", [total, top], "sum")], "sums", axes=axes, keepdims=False)
    return _behind(call, sums)


def _rank(call: Call) -> int:
    return max(len(call.sizes("self")), 1)


def _until(call: Call, neutral: float) -> str:
    """The values with their axis last, for each of its places once more: those up to it, a neutral number behind."""
    if call.kind.whole:
        raise UnsupportedOperatorError(f"computes what there is so far of {call.kind}; cast it to float32 before")
    sizes, axis = call.sizes("self") or (1,), call.axis() if call.sizes("self") else 0
    order = [place for place in range(len(sizes)) if place != axis] + [axis]
    x = call.transposed(call.reshaped(call.promoted("self"), call.sizes("self"), sizes, "row"), order, "ahead")
    moved = tuple(sizes[place] for place in order)
    x = call.reshaped(x, moved, (*moved[:-1], 1, moved[-1]), "rows")
    ones = call.expanded(call.placed(1.0, "one"), (sizes[axis], sizes[axis]), "ones")
    seen = call.node("Cast", [call.node("Trilu", [ones], "triangle")], "seen", type=str(ValueType.BOOL))
    return call.node("Where", [seen, x, call.placed(neutral, "neutral")], "until")


def _behind(call: Call, x: str, suffix: str = "") -> str:
    """The axis back in its place."""
    sizes, axis = call.sizes("self") or (1,), call.axis() if call.sizes("self") else 0
    rank = len(sizes)
    order = [*range(axis), rank - 1, *range(axis, rank - 1)]
    return call.reshaped(call.transposed(x, order, suffix), sizes, call.shape, suffix)
