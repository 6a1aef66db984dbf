"""Sizes of open axes at which a model goes another way, as far as torch noted it when it wrote the model down.

`if x.shape[1] > 16` in a `forward` is decided by the examples; the program has one of the two ways, and a note that it
holds up to 16. Operators leave notes as well, of what their windows need: what a graph doesn't take anyway needs none.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from sympy import lambdify  # type: ignore[import-untyped]
from torch.export import ExportedProgram
from torch.utils._pytree import tree_leaves

from netsurgery.graph.from_torch.call import Open
from netsurgery.graph.from_torch.inputs import given_inputs
from netsurgery.graph.from_torch.program import AxisNames, axes_of, conditions_of, is_of_remainders

Sizes = Mapping[str, int]

_LARGEST = 2**16
"""Conditions are looked at up to this size."""
_NEAR = 256
"""Sizes below are looked at one by one, where a condition says that a number isn't another one."""
_MOST_CONDITIONS = 16
"""So many that ranges don't have are looked at: each takes some ten milliseconds."""
_OF_ONE_SIZE = re.compile(r"L\['(\w+)'\]\.size\(\)\[(\d+)\] (<=|<|>=|>) (\d+)")


def borders_of(program: ExportedProgram, names: AxisNames, sizes: Sizes) -> tuple[dict[str, int], ...]:
    """Sizes, of all axes, at which a condition that held at the examples' `sizes` holds no longer; one axis differs.

    names: of open axes, as `read_program` takes them.
    """
    symbols = _symbols(program, names)
    found: list[dict[str, int]] = []
    for symbol, (axis, many) in symbols.items():
        noted = program.range_constraints.get(symbol)
        found += [{**sizes, axis: size * many} for size in _beyond(noted)]
    conditions = conditions_of(program)
    found += [{**sizes, axis: size} for axis, size in _excluded_sizes(conditions, symbols)]
    for condition in list(dict.fromkeys(_not_in_ranges(conditions, symbols)))[:_MOST_CONDITIONS]:
        found += _nearest_failing(condition, symbols, sizes)
    return tuple(dict(one) for one in dict.fromkeys(tuple(each.items()) for each in found))


def borders_of_code(program: ExportedProgram) -> tuple[tuple[int, int, int], ...]:
    """(place of the input, place of the size, a size) at which a program goes another way, by what it says of itself.

    That is for programs that come without their model, as from a .pt2 file. A bound that was given with a Dim says
    nothing of a model; a condition that its code came upon does.
    """
    places = {node.name: place for place, (node, _, _) in enumerate(given_inputs(program))}
    found: list[tuple[int, int, int]] = []
    for code in getattr(program, "_guards_code", None) or ():
        noted = _OF_ONE_SIZE.fullmatch(str(code))
        if noted is not None and noted[1] in places:
            limit = int(noted[4])
            beyond = {"<=": limit + 1, "<": limit, ">=": limit - 1, ">": limit}[noted[3]]
            found.append((places[noted[1]], int(noted[2]), beyond))
    return tuple(found)


@dataclass(frozen=True)
class Range:
    """The sizes that a program holds for, of an open size of an input.

    most: None if there is no largest. written: at which it was written down; None if it doesn't say.
    """

    place: int
    axis: int
    least: int
    most: int | None
    written: int | None


def ranges_of(program: ExportedProgram) -> tuple[Range, ...]:
    """What a program says of each open size of its inputs."""
    found: list[Range] = []
    inputs = given_inputs(program)
    examples = [one for one in tree_leaves(program.example_inputs) if isinstance(one, torch.Tensor)]
    told = [tuple(one.shape) for one in examples] if len(examples) == len(inputs) else [()] * len(inputs)
    for place, (_, shape, _) in enumerate(inputs):
        for at, size in enumerate(shape):
            if isinstance(size, Open):
                many, symbol = size.expression.as_coeff_Mul()
                noted = program.range_constraints.get(symbol)
                least, most = (_counted(getattr(noted, end, None), int(many)) for end in ("lower", "upper"))
                written = int(told[place][at]) if len(told[place]) == len(shape) else None
                found.append(Range(place, at, least or 1, most, written))
    return tuple(found)


def _counted(end: Any, many: int) -> int | None:
    """An end of a symbol's range as a size of its axis; None for infinity."""
    return many * int(end) if getattr(end, "is_Integer", False) else None


def _symbols(program: ExportedProgram, names: AxisNames) -> dict[Any, tuple[str, int]]:
    """Torch's symbol -> the axis, and of how many of the symbol its size consists."""
    symbols: dict[Any, tuple[str, int]] = {}
    for size, name in axes_of([shape for _, shape, _ in given_inputs(program)], names).items():
        if isinstance(size, Open):
            many, symbol = size.expression.as_coeff_Mul()
            symbols[symbol] = name, int(many)
    return symbols


def _beyond(noted: Any) -> Iterator[int]:
    """The sizes next to a range, if there is one, but for 0 and 1, which torch leaves out of every one."""
    if noted is None:
        return
    if getattr(noted.lower, "is_Integer", False) and int(noted.lower) > 2:
        yield int(noted.lower) - 1
    if getattr(noted.upper, "is_Integer", False):
        yield int(noted.upper) + 1


def _excluded_sizes(conditions: list[Any], symbols: Mapping[Any, tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Axes and the sizes that they are said not to have, within their ranges."""
    for condition in conditions:
        if type(condition).__name__ != "Unequality":
            continue
        for one, other in (condition.args, condition.args[::-1]):
            factor, symbol = one.as_coeff_Mul()
            if symbol in symbols and getattr(other, "is_Integer", False) and int(other) % int(factor) == 0:
                axis, many = symbols[symbol]
                yield axis, int(other) // int(factor) * many


def _not_in_ranges(conditions: list[Any], symbols: Mapping[Any, Any]) -> Iterator[Any]:
    """Those that torch didn't make a range of, each part of a conjunction for itself.

    These are on several sizes, or bound from above what is computed of one, or say what that is, as how often a loop
    went. Lower bounds are what windows need, and what is left of a division is seen to where the program is read.
    """
    for condition in conditions:
        kind, sides = type(condition).__name__, getattr(condition, "args", ())
        bound = _BOUNDED.get(kind)
        if kind == "And":
            yield from _not_in_ranges(list(sides), symbols)
            continue
        if kind == "Unequality" and any(getattr(side, "is_Integer", False) and int(side) > 1 for side in sides):
            yield condition
        if kind == "Equality" and not is_of_remainders(condition):
            yield condition
            continue
        from_above = bound is not None and not sides[bound].free_symbols and not sides[1 - bound].is_Symbol
        if from_above or len(condition.free_symbols & symbols.keys()) > 1:
            yield condition


_BOUNDED = {"LessThan": 1, "StrictLessThan": 1, "GreaterThan": 0, "StrictGreaterThan": 0}
"""sympy's relation -> the place of its side that bounds the other from above."""


def _nearest_failing(condition: Any, symbols: Mapping[Any, tuple[str, int]], sizes: Sizes) -> Iterator[dict[str, int]]:
    """The sizes nearest to the examples', with one of them larger or smaller, at which a condition doesn't hold."""
    ours = sorted(condition.free_symbols & symbols.keys(), key=str)
    if len(ours) < len(condition.free_symbols):
        return
    quickly = _compiled(ours, condition)

    def holds(at: Sizes) -> bool:
        here = {one: at[symbols[one][0]] // symbols[one][1] for one in ours}
        with suppress(Exception):  # of a function that isn't known, or where a size in it isn't one any more
            if quickly is not None:
                return bool(quickly(*here.values()))
        try:
            return str(condition.subs(here)) != "False"
        except Exception:  # of sympy, where a size in it isn't one any more
            return True

    for axis, many in (symbols[one] for one in ours):
        own = sizes[axis]

        def held(size: int, axis: str = axis) -> bool:
            return holds({**sizes, axis: size})

        near = range(many, _NEAR, many) if type(condition).__name__ == "Unequality" else ()
        others = {sizes[symbols[one][0]] for one in ours} | {own + many, many}
        far = next((size for size in _doubled(own) if not held(size)), own)
        for size in sorted({*others, *(size for size in near if not held(size)), far} - {own}):
            if size % many == 0 and not held(size):
                yield {**sizes, axis: _nearest(own, size, many, held)}


def _compiled(symbols: list[Any], condition: Any) -> Callable[..., Any] | None:
    """The condition as a function of numbers, which sympy takes a thousand times as long for; None if it can't be."""
    with suppress(Exception):
        return lambdify(symbols, condition, [_FUNCTIONS, "math"])  # type: ignore[no-any-return]
    return None


_FUNCTIONS = {
    "IntTrueDiv": operator.truediv,
    "FloatTrueDiv": operator.truediv,
    "ToFloat": float,
    "TruncToFloat": lambda number: float(math.trunc(number)),
    "TruncToInt": math.trunc,
    "CeilToInt": math.ceil,
    "FloorToInt": math.floor,
    "RoundToInt": round,
    "FloatPow": operator.pow,
    "PowByNatural": operator.pow,
    "FloorDiv": operator.floordiv,
    "CleanDiv": operator.floordiv,
    "CeilDiv": lambda number, by: -(-number // by),
    "Mod": operator.mod,
    "PythonMod": operator.mod,
    "Max": max,
    "Min": min,
}
"""Torch's functions of sizes, by name."""


def _doubled(size: int) -> Iterator[int]:
    while size < _LARGEST:
        size *= 2
        yield size


def _nearest(held: int, failing: int, step: int, holds: Callable[[int], bool]) -> int:
    """Of a size that fails and one that holds, far from it, the nearest to the latter that fails, in steps."""
    while abs(held - failing) > step:
        middle = (held + failing) // 2 // step * step
        if middle == min(held, failing):
            break
        held, failing = (middle, failing) if holds(middle) else (held, middle)
    return failing
