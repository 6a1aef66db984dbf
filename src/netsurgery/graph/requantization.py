"""Quantize behind exact sums as one product of 16 bits: factors and shifts of so few digits that nothing rounds.

A sum S of whole numbers is to become the whole number nearest to S * scale + shift. With scale = m * 2^k / 2^16 and
shift = a * m / 2^16 - 1/2 + t that is the upper half of a product of two numbers of 16 bits,

    (S * 2^k + a) * m >> 16,

with k = 0 or as many doublings as small sums need, if t is half of what products are multiples of, so that no sum lies
in the middle. Both are the same number, bit for bit, where float32 holds S * scale and, within the limits of the grid,
what is added to it: m has few digits then. A scale changes by 2^-8 of it at most, a shift by what half of 1 in S is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netsurgery.graph.fixed_point import EXACT, grids, limits, whole_weights
from netsurgery.graph.ir import Array, Graph, Node, unlike

_SHORT = 2**15 - 1
"""The largest number of 16 bits, whatever its sign."""
_PRODUCT_BITS = 16
"""Of a product that are dropped."""
_FEWEST_DIGITS = 8
"""Of m: with less, a scale would change too much."""


@dataclass(frozen=True)
class _Row:
    """Of an output channel, in steps of its grid: what a sum is multiplied by, and what is added."""

    scale: float
    shift: float


def requantized(graph: Graph) -> Graph:
    """The graph with scales and shifts that engines can do in 16 bits, wherever that takes them little."""
    known = grids(graph)
    makers = graph.producers()
    names = graph.names()
    constants = dict(graph.constants)
    nodes: list[Node] = []
    for node in graph.nodes:
        maker = makers.get(str(node.inputs[0])) if node.operator == "Quantize" else None
        grid = known.get(str(maker.inputs[0])) if maker is not None and maker.operator in ("Conv", "Linear") else None
        whole = whole_weights(graph.constants[str(maker.inputs[1])]) if maker is not None and grid is not None else None
        if maker is None or grid is None or whole is None or len(maker.inputs) > 2:
            nodes.append(node)
            continue
        rows = len(whole)
        exponent = int(node.attributes["exponent"])  # type: ignore[arg-type]
        unit = grid.exponent - exponent
        low, high = min(grid.low, 0), max(grid.high, 0)  # padding is 0
        ups, downs = (np.maximum(sign * whole, 0).sum(axis=1, dtype=np.float64) for sign in (1, -1))
        largest = np.maximum(ups * high - downs * low, downs * high - ups * low)
        scales = np.ldexp(_operand(graph, node, 1, rows, 1.0), unit)
        shifts = np.ldexp(_operand(graph, node, 2, rows, 0.0), -exponent)
        made_low, made_high = limits(node.attributes)
        made = [
            _in_16_bits(float(scale), float(shift), float(most), made_low, made_high)
            or _Row(float(scale), float(shift))
            for scale, shift, most in zip(scales, shifts, largest, strict=True)
        ]
        inputs = [node.inputs[0]]
        for wish, of_rows, power in (
            ("scale", [row.scale for row in made], -unit),
            ("shift", [row.shift for row in made], exponent),
        ):
            name = unlike(f"{node.output} {wish}", names)
            constants[name] = np.ldexp(np.array(of_rows, np.float64), power).astype(np.float32)  # type: ignore[assignment]
            inputs.append(name)
        nodes.append(Node(node.operator, tuple(inputs), node.output, node.attributes, node.place))
    changed = graph.replaced(nodes=tuple(nodes), constants=constants)
    used = changed.uses()
    return changed.replaced(constants={name: held for name, held in constants.items() if used[name]})


def _operand(graph: Graph, node: Node, place: int, rows: int, otherwise: float) -> Array:
    name = node.inputs[place] if len(node.inputs) > place else None
    if name is None:
        return np.full(rows, otherwise)
    given: Array = graph.constants[name].values.astype(np.float64)
    return given


def _in_16_bits(scale: float, shift: float, largest: float, low: int, high: int) -> _Row | None:
    """The nearest scale and shift that a product of 16 bits gives; None if there are none near by."""
    factor = scale * 2.0**_PRODUCT_BITS
    doublings = max(0, int(np.ceil(np.log2(max(factor, 1) / _SHORT))))
    factor, largest = np.ldexp(factor, -doublings), np.ldexp(largest, doublings)
    if largest > _SHORT or factor < 2.0 ** (_FEWEST_DIGITS - 1):
        return None
    limit = max(-low, high)
    # Digits below 2^`dropped` are 0: results up to the limits have no more digits than float32 holds.
    dropped = max(0, int(np.ceil(np.log2((limit + 1) / 2**7))))
    digits = int(np.floor(np.log2(EXACT / max(largest, 1))))
    dropped = max(dropped, int(np.floor(np.log2(factor))) + 1 - digits)
    if int(np.floor(np.log2(factor))) + 1 - dropped < _FEWEST_DIGITS:
        return None
    whole = round(factor / 2**dropped) * 2**dropped
    if whole > _SHORT:
        return None
    offset = round((shift + 0.5) * 2**_PRODUCT_BITS / whole - 0.5)
    made = offset * whole / 2**_PRODUCT_BITS - 0.5 + 2.0 ** (dropped - _PRODUCT_BITS - 1)
    if abs(offset) > _SHORT or float(np.float32(made)) != made:
        return None
    return _Row(float(np.ldexp(whole, doublings - _PRODUCT_BITS)), made)
