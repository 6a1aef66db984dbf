"""Translations of ATen's comparisons, logic and choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from netsurgery.graph.from_torch.arithmetic import fill_known_mask
from netsurgery.graph.from_torch.call import Activation, Call, Constant, Cut, Open, Zeros
from netsurgery.graph.from_torch.inputs import COMPUTED_TYPES
from netsurgery.graph.from_torch.open_numbers import is_whole
from netsurgery.graph.value_types import ValueType

_DTYPES = {kind: dtype for dtype, kind in reversed(COMPUTED_TYPES.items())}


def compared(operator: str) -> Callable[[Call], str]:
    """aten.eq, ne, lt, le, gt, ge: of the type that torch promotes both to; bools are compared as numbers."""

    def translate(call: Call) -> str:
        kind = promoted_type(call, "self", "other")
        if kind is ValueType.BOOL and operator not in ("Equal", "NotEqual"):
            kind = ValueType.INT32
        return call.node(operator, [_side(call, "self", kind), _side(call, "other", kind)])

    return translate


def _side(call: Call, argument: str, kind: ValueType) -> str:
    """One side of a comparison; what is known may be infinite."""
    value = call.arguments[argument]
    if kind is ValueType.FLOAT32 and isinstance(value, Constant | float):
        return call.placed(value, argument, kind)
    return call.operand_as(argument, kind)


def promoted_type(call: Call, *arguments: str) -> ValueType:
    """The type in which torch computes with these tensors and numbers."""
    first, *others = (_like(call, call.arguments[name]) for name in arguments)
    dtype = first.dtype if isinstance(first, torch.Tensor) else torch.as_tensor(first).dtype
    for other in others:
        dtype = torch.result_type(first, other)
    return COMPUTED_TYPES.get(dtype, ValueType.FLOAT32)


def _like(call: Call, value: Any) -> Any:
    """A tensor of the type and the number of axes that a value has, which is what promotion asks for."""
    if isinstance(value, Activation):
        return torch.empty((1,) * len(value.shape), dtype=_DTYPES[call.builder.type_of(value.name)])
    if isinstance(value, Cut):
        return value.whole.tensor
    if isinstance(value, Zeros):
        return torch.zeros((1,) * len(value.shape), dtype=_DTYPES[value.kind])
    if isinstance(value, Open):
        return 1 if is_whole(value.expression) else 1.0
    return value.tensor if isinstance(value, Constant) else value


def logical(operator: str) -> Callable[[Call], str]:
    """aten.logical_and, or, xor: what isn't 0 is true."""

    def translate(call: Call) -> str:
        operands = [call.operand_as(name, ValueType.BOOL) for name in ("self", "other")]
        return call.node(operator, operands)

    return translate


def opposite(call: Call) -> str:
    """aten.logical_not."""
    return call.node("Not", [call.operand_as("self", ValueType.BOOL)])


def is_nan(call: Call) -> str:
    """aten.isnan."""
    return call.node("IsNaN", [call.operand("self")])


def is_infinite(call: Call) -> str:
    """aten.isinf."""
    return call.node("IsInf", [call.operand("self")])


def where(call: Call) -> str:
    """aten.where: of the type that torch promotes both sides to."""
    condition = call.operand_as("condition", ValueType.BOOL)
    return call.node("Where", [condition, call.promoted("self"), call.promoted("other")])


def masked_fill(call: Call) -> str:
    """aten.masked_fill: a number where the mask is true."""
    if isinstance(call.arguments["mask"], Cut):
        return fill_known_mask(call)
    return call.node("Where", [call.operand("mask"), call.promoted("value"), call.promoted("self")])
