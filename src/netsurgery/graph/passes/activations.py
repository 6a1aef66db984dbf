"""Finds activation functions where a model spells them out, in any order of its sums and products."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from netsurgery.graph.ir import Graph, Node, node
from netsurgery.graph.operators import AttributeValue
from netsurgery.graph.operators.operator import single
from netsurgery.graph.passes.polynomials import Polynomial, Polynomials, same


@dataclass(frozen=True)
class _Spelling:
    """An operator as arithmetic of x and t = inner(argument), the argument a polynomial in x, or in `of`(x)."""

    operator: str
    inner: str
    argument: Polynomial
    whole: Polynomial
    """The result, in x and t."""
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    inner_attributes: Mapping[str, float] = field(default_factory=dict)
    of: str | None = None


_TANH = math.sqrt(2 / math.pi)
_X: Polynomial = {(1,): 1.0}
_ABOVE_3: Polynomial = {(1,): 1.0, (0,): 3.0}
_GATED: Polynomial = {(1, 1): 1.0}
_NORMAL: Polynomial = {(1, 0): 0.5, (1, 1): 0.5}
_UP_TO_6 = {"minimum": 0.0, "maximum": 6.0}
_HARD = {"alpha": single(1 / 6), "beta": 0.5}

_SPELLINGS = (
    _Spelling("Gelu", "Erf", {(1,): math.sqrt(0.5)}, _NORMAL, {"approximate": "none"}),
    _Spelling("Gelu", "Tanh", {(1,): _TANH, (3,): _TANH * 0.044715}, _NORMAL, {"approximate": "tanh"}),
    _Spelling("Silu", "Sigmoid", _X, _GATED),
    _Spelling("Mish", "Tanh", _X, _GATED, of="Softplus"),
    _Spelling("HardSwish", "HardSigmoid", _X, _GATED, inner_attributes=_HARD),
    _Spelling("HardSwish", "Clip", _ABOVE_3, {(1, 1): 1 / 6}, inner_attributes=_UP_TO_6),
    _Spelling("HardSigmoid", "Clip", _ABOVE_3, {(0, 1): 1 / 6}, _HARD, _UP_TO_6),
)

_FURTHEST = 4  # nodes from t to the result


def join_activations(graph: Graph) -> Graph:
    """Gelu in both its forms, Silu, Mish, HardSwish and HardSigmoid, spelt out, are one node each.

    Outputs differ by the rounding of what lies between, for finite activations. Parts that something else reads stay.
    """
    producers, consumers = graph.producers(), graph.consumers()
    polynomials = Polynomials(producers, graph.constants)
    shapes = [graph.shapes(sizes) for sizes in graph.tried_sizes()]
    found: dict[str, Node] = {}
    for made in graph.nodes:
        for spelling, x in _beginnings(made, producers, polynomials):
            for whole in _behind(made, consumers):
                is_whole = same(polynomials.of(whole.output, (x, made.output), _FURTHEST), spelling.whole)
                if is_whole and all(known[x] == known[whole.output] for known in shapes):
                    found[whole.output] = node(spelling.operator, [x], whole.output, whole.place, **spelling.attributes)
    return graph.replaced(nodes=tuple(found.get(made.output, made) for made in graph.nodes)) if found else graph


def _beginnings(made: Node, producers: Mapping[str, Node], polynomials: Polynomials) -> Iterator[tuple[_Spelling, str]]:
    """Each spelling that the node may be the inner function of, and its x."""
    for spelling in _SPELLINGS:
        if made.operator != spelling.inner or not all(
            math.isclose(float(made.attributes[name]), value, rel_tol=1e-6)  # type: ignore[arg-type]
            for name, value in spelling.inner_attributes.items()
        ):
            continue
        argument = made.given[0]
        if spelling.of is not None:
            before = producers.get(argument)
            if before is None or before.operator != spelling.of:
                continue
            argument = before.given[0]
        for x in polynomials.reached(argument):
            if same(polynomials.of(argument, (x,)), spelling.argument):
                yield spelling, x


def _behind(made: Node, consumers: Mapping[str, list[Node]]) -> Iterator[Node]:
    """The arithmetic that reads a value, or reads what does, nearest first."""
    level = [made]
    for _ in range(_FURTHEST):
        level = [
            reader
            for one in level
            for reader in consumers.get(one.output, [])
            if reader.operator in ("Add", "Sub", "Mul", "Div")
        ]
        yield from level
