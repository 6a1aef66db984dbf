"""Translations of ATen's operators of bits: of bools, and of whole numbers and one number that is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.bits import MOST_BITS, runs_of_ones
from netsurgery.graph.from_torch.call import Call, Constant
from netsurgery.graph.from_torch.choices import logical
from netsurgery.graph.value_types import ValueType


def combined(operator: str) -> Callable[[Call], str]:
    """aten.bitwise_and, or, xor."""
    of_bools = logical(operator)

    def translate(call: Call) -> str:
        if call.kind is ValueType.BOOL:
            return of_bools(call)
        numbers = {name: _number(call.arguments[name]) for name in ("self", "other")}
        named = next((name for name, number in numbers.items() if number is not None), None)
        if named is None:
            raise UnsupportedOperatorError("combines bits of computed numbers; one side must be a single known number")
        x = call.promoted("self" if named == "other" else "other")
        both = _masked(call, x, numbers[named] or 0)
        known = call.promoted(named)
        if operator == "And":
            return call.node("Add", [both, call.node("Sub", [known, known], "zeros")])
        mine = call.node("Sub", [x, both], "mine")
        others = call.node("Sub", [known, both], "others") if operator == "Xor" else known
        return call.node("Add", [mine, others])

    return translate


def opposite(call: Call) -> str:
    """aten.bitwise_not: of whole numbers what lies as far below -1 as they lie above 0."""
    if call.kind is ValueType.BOOL:
        return call.node("Not", [call.operand_as("self", ValueType.BOOL)])
    return call.node("Sub", [call.placed(-1, "ones", call.kind), call.promoted("self")])


def shifted(*, up: bool) -> Callable[[Call], str]:
    """aten.bitwise_left_shift and right_shift, by numbers that are known; the latter rounds down."""

    def translate(call: Call) -> str:
        other = call.arguments["other"]
        places = (
            other.tensor if isinstance(other, Constant) else torch.as_tensor(other) if isinstance(other, int) else None
        )
        if places is None or not bool(((places >= 0) & (places <= MOST_BITS)).all()):
            raise UnsupportedOperatorError(f"shifts by what aren't known numbers from 0 to {MOST_BITS}")
        power = call.placed(Constant(2 ** places.long(), f"{call.name}.power"), "power", call.kind)
        x = call.promoted("self")
        if up:
            return call.node("Mul", [x, power])
        return call.node("Div", [call.node("Sub", [x, _remainder(call, x, power)], "above"), power])

    return translate


def _number(value: Any) -> int | None:
    """A number, or the only one in a constant."""
    if isinstance(value, Constant):
        different = value.tensor.unique()
        return int(different.item()) if different.numel() == 1 else None
    return int(value) if isinstance(value, int) else None


def _masked(call: Call, x: str, mask: int) -> str:
    """The bits of x that are in a mask."""
    total: str | None = None
    for start, stop in runs_of_ones(mask):
        before, after = _below(call, x, start), x if stop is None else _below(call, x, stop)
        if after is not None:
            term = after if before is None else call.node("Sub", [after, before], "run")
            total = term if total is None else call.node("Add", [total, term], "runs")
    return call.node("Sub", [x, x], "nothing") if total is None else total


def _below(call: Call, x: str, place: int) -> str | None:
    """The bits below a place: x mod 2^place, never negative; None where there are none."""
    if place == 0:
        return None
    return _remainder(call, x, call.placed(2**place, "power", call.kind))


def _remainder(call: Call, x: str, power: str) -> str:
    """What a power of two leaves, never negative."""
    zero = call.placed(0, "zero", call.kind)
    whole = call.node("Mul", [call.node("Div", [x, power], "quotient"), power], "whole")
    left = call.node("Sub", [x, whole], "left")
    negative = call.node("Less", [left, zero], "negative")
    return call.node("Where", [negative, call.node("Add", [left, power], "around"), left], "below")
