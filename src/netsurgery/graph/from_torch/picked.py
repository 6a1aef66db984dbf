"""Entries that a mask picks: how many they are a run finds, so that a graph computes with all and puts back those.

`y[mask] = f(x[mask])` is Where(mask, f(x), y), as long as f makes of each picked entry, or row, what it makes of it
alone; a sum or a mean of what is picked is one of all, where the others are 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_torch.call import Activation, Call, Constant
from netsurgery.graph.from_torch.reductions import over_axes
from netsurgery.graph.ir import GraphBuilder
from netsurgery.graph.value_types import ValueType
from netsurgery.graph.weights import Dense

PICKS = (
    "picks entries by a mask, as many as it finds; a network's shapes follow from its inputs' alone: use torch.where"
)
PUT = ("aten.index_put.default", "aten._unsafe_index_put.default")
"""What takes picked entries back to where a mask picked them."""

_OF_ROWS = ("aten.linear.default", "aten.layer_norm.default", "aten.rms_norm.default")
"""What computes each row along the last axis, or blocks of the last ones, for itself."""

_SAME = (
    *("aten.clone.default", "aten.contiguous.default", "aten.detach.default", "aten.dropout.default"),
    *("aten.to.dtype", "aten._to_copy.default"),
)
_ALONG_AXES = (
    *("aten.sum.dim_IntList", "aten.mean.dim", "aten.amax.default", "aten.amin.default"),
    *("aten.softmax.int", "aten.log_softmax.int"),
)
"""What computes each row for itself, if its axes are those of a row."""

_FURTHEST = 8
"""How many nodes back masks are compared."""

_ADVICE = "use torch.where between what is computed for all of them"


@dataclass(frozen=True)
class Picked:
    """The entries of `whole` that the mask finds along its axes, which are those of `whole` from `axis` on."""

    whole: Activation
    mask: Activation | Constant
    axis: int

    @property
    def behind(self) -> int:
        """How many axes stand behind the one along which entries are found."""
        return len(self.whole.shape) - self.axis - len(self.mask.shape)


def is_mask(call: Call, value: object) -> bool:
    """Whether an index says of each entry whether it is picked."""
    if isinstance(value, Constant):
        return value.tensor.dtype in (torch.bool, torch.uint8)
    return isinstance(value, Activation) and call.builder.type_of(value.name) is ValueType.BOOL


def picks(call: Call) -> Picked | None:
    """aten.index by one mask; None by anything else. Raises UnsupportedOperatorError."""
    named = [(axis, one) for axis, one in enumerate(call.arguments["indices"]) if one is not None]
    if not any(is_mask(call, one) for _, one in named):
        return None
    if len(named) > 1:
        raise UnsupportedOperatorError(PICKS)
    ((axis, mask),) = named
    return Picked(Activation(call.promoted("self"), call.sizes("self")), mask, axis)


def with_all(target: Any, call: Call) -> tuple[Call, Picked]:
    """The call with all entries in the place of the picked ones, and these. Raises UnsupportedOperatorError."""
    given = list(call.arguments.values())
    picked = [value for value in given if isinstance(value, Picked)]
    if not picked or not (torch.Tag.pointwise in target.tags or str(target) in (*_SAME, *_OF_ROWS, *_ALONG_AXES)):
        raise UnsupportedOperatorError(f"computes with entries that a mask picks, as many as it finds; {_ADVICE}")
    first = picked[0]
    if any(not _picks_alike(call.builder, one, first) for one in picked[1:]):
        raise UnsupportedOperatorError(f"computes with entries that different masks pick; {_ADVICE}")
    if str(target) in _OF_ROWS:
        across = len(call.arguments.get("normalized_shape", (1,))) > first.behind or given[0] is not first
    else:
        across = any(len(one.shape) > first.behind for one in given if isinstance(one, Activation | Constant))
        across = across or any(one.behind != first.behind for one in picked)  # each entry would meet all others
    if across:
        raise UnsupportedOperatorError(f"computes across the entries that a mask picks; {_ADVICE}")
    arguments = {name: one.whole if isinstance(one, Picked) else one for name, one in call.arguments.items()}
    if str(target) in _ALONG_AXES:
        arguments["dim"] = _of_each_row(call.arguments["dim"], first)
    before, behind = len(first.whole.shape) - first.behind, call.shape[first.axis + 1 :]
    return replace(call, arguments=arguments, shape=(*first.whole.shape[:before], *behind)), first


def _of_each_row(axes: Any, picked: Picked) -> list[int] | int:
    """Axes of picked entries, counted from the end, where these have as many as all of them."""
    rank = picked.axis + 1 + picked.behind
    named = [axes] if isinstance(axes, int) else list(axes or ())
    if not named or any(axis % rank <= picked.axis for axis in named):
        raise UnsupportedOperatorError(f"computes across the entries that a mask picks; {_ADVICE}")
    from_end = [axis % rank - rank for axis in named]
    return from_end[0] if isinstance(axes, int) else from_end


def where_picked(call: Call, picked: Picked, others: str, suffix: str = "") -> str:
    """What is picked at its places, and `others` at all others."""
    shape, before = picked.mask.shape, picked.whole.shape[: picked.axis]
    full = (*(1 for _ in before), *shape, *(1 for _ in range(picked.behind)))
    mask = call.reshaped(call.placed(picked.mask, "mask", ValueType.BOOL), shape, full, "where")
    return call.node("Where", [mask, call.placed(picked.whole, "picked", call.kind), others], suffix)


def total(call: Call) -> str:
    """aten.sum of all that is picked."""
    picked: Picked = call.arguments["self"]
    kept = where_picked(call, picked, call.placed(0, "zero", call.kind), "kept")
    return over_axes("ReduceSum")(
        replace(call, arguments={**call.arguments, "self": Activation(kept, picked.whole.shape)})
    )


def mean(call: Call) -> str:
    """aten.mean of all that is picked: NaN where that is nothing."""
    picked: Picked = call.arguments["self"]
    every = tuple(range(len(picked.whole.shape)))
    kept = where_picked(call, picked, call.placed(0.0, "zero"), "kept")
    one = call.expanded(call.placed(1.0, "one"), picked.whole.shape, "ones")
    found = replace(picked, whole=Activation(one, picked.whole.shape))
    ones = where_picked(call, found, call.placed(0.0, "zero"), "found")
    count = call.node("ReduceSum", [ones], "count", axes=every, keepdims=False)
    return call.node("Div", [call.node("ReduceSum", [kept], "sum", axes=every, keepdims=False), count])


REDUCTIONS = {"aten.sum.default": total, "aten.mean.default": mean}
"""Of all entries that are picked."""


def put_back(call: Call, picked: Picked, mask: Picked) -> str:
    """aten.index_put of what the same mask picked."""
    if not _picks_alike(call.builder, picked, mask):
        raise UnsupportedOperatorError(f"puts by one mask what another one picks; {_ADVICE}")
    if picked.behind != mask.behind:
        raise UnsupportedOperatorError(
            "puts entries that a mask picks along other axes than those that it is a mask of"
        )
    x = call.promoted("self")
    if call.arguments["accumulate"]:
        whole = call.node("Add", [x, call.placed(picked.whole, "values", call.kind)], "sum")
        picked = replace(picked, whole=Activation(whole, picked.whole.shape))
    return where_picked(call, picked, x)


def _picks_alike(builder: GraphBuilder, one: Picked, other: Picked) -> bool:
    """Whether two masks stand at the same axes and are one, or computed alike from the same values."""
    if one.axis != other.axis or one.mask.shape != other.mask.shape:
        return False
    a, b = one.mask, other.mask
    if isinstance(a, Activation) and isinstance(b, Activation):
        return _made_alike(builder, a.name, b.name)
    return isinstance(a, Constant) and isinstance(b, Constant) and torch.equal(a.tensor, b.tensor)


def _made_alike(builder: GraphBuilder, one: str | None, other: str | None, further: int = _FURTHEST) -> bool:
    """Whether two values are one, or made by the same nodes of the same values, so many nodes back."""
    if one is None or other is None or one == other:
        return one == other
    made, likewise = builder.maker(one), builder.maker(other)
    if made is None or likewise is None:
        known, also = builder.known(one), builder.known(other)
        return isinstance(known, Dense) and isinstance(also, Dense) and known == also
    if not further or (made.operator, made.attributes) != (likewise.operator, likewise.attributes):
        return False
    return len(made.inputs) == len(likewise.inputs) and all(
        _made_alike(builder, a, b, further - 1) for a, b in zip(made.inputs, likewise.inputs, strict=True)
    )
