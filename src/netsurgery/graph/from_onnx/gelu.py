"""Finds Gelu where an ONNX model spells it out: x * 0.5 * (1 + erf(x / sqrt 2)), in any order of the product."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from netsurgery.graph.ir import Array, Node, node


def with_gelu(nodes: Sequence[Node], constants: Mapping[str, Array], outputs: Sequence[str]) -> list[Node]:
    """The nodes, each spelt-out Gelu replaced by one node. Parts that something else reads stay."""
    form = _Form({made.output: made for made in nodes}, constants)
    sources = {made.output: x for made in nodes if (x := form.one_plus_erf(made)) is not None}
    result = [_gelu(made, form, sources) for made in nodes]
    read_before = {name for made in nodes for name in made.inputs}
    while True:
        read = {name for made in result for name in made.inputs} | set(outputs)
        kept = [made for made in result if made.output in read or made.output not in read_before]
        if len(kept) == len(result):
            return kept
        result = kept


def _gelu(made: Node, form: _Form, sources: Mapping[str, str]) -> Node:
    """Gelu if the node is a product of x, 1 + erf(x / sqrt 2) and 1/2; else the node."""
    if made.operator in ("Mul", "Div"):
        for sum_, x in sources.items():
            factor, others = form.product(made.output, {sum_, x})
            if sorted(others) == sorted((sum_, x)) and math.isclose(factor, 0.5, rel_tol=1e-6):
                return node("Gelu", [x], made.output, made.place)
    return made


class _Form:
    """Reads expressions back out of nodes."""

    def __init__(self, producers: Mapping[str, Node], constants: Mapping[str, Array]) -> None:
        self._producers = producers
        self._constants = constants

    def number(self, name: str | None) -> float | None:
        """The value of a constant with one entry, unless it may add axes to what it is multiplied with."""
        array = None if name is None else self._constants.get(name)
        return float(array.item()) if array is not None and array.size == 1 and array.ndim < 2 else None

    def one_plus_erf(self, made: Node) -> str | None:
        """The name of x if the node is 1 + erf(x / sqrt 2)."""
        if made.operator != "Add" or 1.0 not in (self.number(name) for name in made.inputs):
            return None
        for name in made.inputs:
            error = self._producers.get(name or "")
            if error is not None and error.operator == "Erf":
                return self._scaled(error.inputs[0], math.sqrt(0.5))
        return None

    def _scaled(self, name: str | None, wanted: float) -> str | None:
        """The name of x if the value is x * wanted."""
        made = self._producers.get(name or "")
        if made is None or made.operator not in ("Mul", "Div"):
            return None
        for x, other in (made.inputs, made.inputs[::-1])[: 2 if made.operator == "Mul" else 1]:
            number = self.number(other)
            factor = number if number is None or made.operator == "Mul" else 1 / number if number else None
            if factor is not None and math.isclose(factor, wanted, rel_tol=1e-6):
                return x
        return None

    def product(self, name: str | None, leaves: set[str], depth: int = 3) -> tuple[float, list[str]]:
        """A value as number * leaf * leaf ...; a factor that is neither comes as leaf ""."""
        made = self._producers.get(name or "")
        if name in leaves:
            return 1.0, [str(name)]
        if (number := self.number(name)) is not None:
            return number, []
        if made is None or depth == 0 or made.operator not in ("Mul", "Div"):
            return 1.0, [""]
        if made.operator == "Div":
            divisor = self.number(made.inputs[1])
            factor, others = self.product(made.inputs[0], leaves, depth - 1)
            return (factor / divisor, others) if divisor else (1.0, [""])
        (a, left), (b, right) = (self.product(item, leaves, depth - 1) for item in made.inputs)
        return a * b, left + right
