"""Finds LayerNorm, RmsNorm and Softmax where a model spells them out, and gives norms what scales and shifts them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from netsurgery.graph.ir import Array, Graph, Node, node
from netsurgery.graph.operators import Shape
from netsurgery.graph.passes.constant_edits import ConstantEdits
from netsurgery.graph.passes.polynomials import Polynomials
from netsurgery.graph.weights import Dense, Weights

_Shapes = Sequence[Mapping[str, Shape]]


def join_normalisations(graph: Graph) -> Graph:
    """(x - mean) / sqrt(variance + epsilon), x / sqrt(mean of x² + epsilon), exp(x - max) over its sum: one node each.

    In all spellings of the quotient: a Div, or a Mul with the reciprocal or with a power of -1/2. A scale and a bias
    that follow at once become those of the norm. Outputs differ by the rounding of what lies between, for finite
    activations. Parts that something else reads stay.
    """
    shapes = [graph.shapes(sizes) for sizes in graph.tried_sizes()]
    forms = _Forms(graph.producers(), graph.constants, shapes)
    nodes = [forms.norm(made) or forms.softmax(made) or made for made in graph.nodes]
    if any(new is not old for new, old in zip(nodes, graph.nodes, strict=True)):
        graph = graph.replaced(nodes=tuple(nodes))
    return _with_scales(graph, shapes)


class _Forms:
    """Reads normalisations back out of nodes."""

    def __init__(self, producers: Mapping[str, Node], constants: Mapping[str, Weights], shapes: _Shapes) -> None:
        self._producers = producers
        self._constants = constants
        self._shapes = shapes
        self._polynomials = Polynomials(producers, constants)

    def norm(self, made: Node) -> Node | None:
        """LayerNorm or RmsNorm, if the node is one."""
        for above, below in self._quotients(made):
            variance = self._under_root(below)
            if variance is None:
                continue
            mean, epsilon = variance
            axes = self._last_axes(mean)
            squared = None if axes is None else self._squared(mean.given[0])
            if axes is None or squared is None:
                continue
            axis = axes[0]
            centred = self._centred(above, axes)
            if centred is not None and squared in (above, *self._equals(above)):
                x, operator = centred, "LayerNorm"
            elif squared == above:
                x, operator = above, "RmsNorm"
            else:
                continue
            if self._same_shape(x, made.output):
                return node(operator, [x], made.output, made.place, axis=axis, epsilon=float(np.float32(epsilon)))
        return None

    def softmax(self, made: Node) -> Node | None:
        """Softmax, if the node is one."""
        for above, below in self._quotients(made):
            exponential, total = self._maker(above, "Exp"), self._maker(below, "ReduceSum")
            if exponential is None or total is None or total.given[0] != above or not total.attributes["keepdims"]:
                continue
            less = self._maker(exponential.given[0], "Sub")
            largest = None if less is None else self._maker(less.given[1], "ReduceMax")
            axes = total.attributes["axes"]
            if (
                less is not None
                and largest is not None
                and largest.given[0] == less.given[0]
                and largest.attributes["keepdims"]
                and largest.attributes["axes"] == axes
                and isinstance(axes, tuple)
                and len(axes) == 1
            ):
                return node("Softmax", [less.given[0]], made.output, made.place, axis=axes[0])
        return None

    def _quotients(self, made: Node) -> list[tuple[str, str]]:
        """Each way in which the node is one value over another one; of a power -1/2, over the power 1/2 of it."""
        if made.operator == "Div":
            return [(made.given[0], made.given[1])]
        if made.operator != "Mul":
            return []
        a, b = made.given
        found = []
        for above, factor in ((a, b), (b, a)):
            reciprocal = self._maker(factor, "Div")
            if reciprocal is not None and self._polynomials.number(reciprocal.given[0]) == 1.0:
                found.append((above, reciprocal.given[1]))
            power = self._maker(factor, "Pow")
            if power is not None and self._polynomials.number(power.given[1]) == -0.5:
                found.append((above, factor))
        return found

    def _under_root(self, name: str) -> tuple[Node, float] | None:
        """The Mean and the number (0: none) whose sum a value is the root of, or the inverse root."""
        root = self._producers.get(name)
        if root is None:
            return None
        exponent = self._polynomials.number(root.given[1]) if root.operator == "Pow" else None
        if root.operator != "Sqrt" and exponent not in (0.5, -0.5):
            return None
        if (alone := self._maker(root.given[0], "Mean")) is not None:
            return alone, 0.0
        added = self._maker(root.given[0], "Add")
        if added is None:
            return None
        for mean, other in (added.given, added.given[::-1]):
            number, made = self._polynomials.number(other), self._maker(mean, "Mean")
            if number is not None and made is not None and 0 < number < math.inf:
                return made, number
        return None

    def _last_axes(self, mean: Node) -> tuple[int, ...] | None:
        """The axes of a mean, if they are the last ones, and stay as axes of size 1."""
        axes = tuple(sorted(int(axis) for axis in mean.attributes["axes"]))  # type: ignore[union-attr, arg-type]
        rank = len(self._shapes[0][mean.given[0]])
        return axes if axes == tuple(range(rank - len(axes), rank)) and mean.attributes["keepdims"] else None

    def _squared(self, name: str) -> str | None:
        """What a value is the square of."""
        made = self._producers.get(name)
        if made is None or made.operator not in ("Mul", "Pow"):
            return None
        a, b = made.given
        is_square = a == b if made.operator == "Mul" else self._polynomials.number(b) == 2.0
        return a if is_square else None

    def _centred(self, name: str, axes: tuple[int, ...]) -> str | None:
        """What a value is, less its mean over these axes."""
        made = self._maker(name, "Sub")
        mean = None if made is None else self._maker(made.given[1], "Mean")
        if made is None or mean is None or mean.given[0] != made.given[0] or self._last_axes(mean) != axes:
            return None
        return made.given[0]

    def _equals(self, name: str) -> list[str]:
        """Other values that the same difference gives."""
        made = self._producers[name]
        return [
            other.output
            for other in self._producers.values()
            if other.operator == "Sub" and other.given[0] == made.given[0] and self._same_mean(other, made)
        ]

    def _same_mean(self, a: Node, b: Node) -> bool:
        first, second = self._maker(a.given[1], "Mean"), self._maker(b.given[1], "Mean")
        return (
            first is not None
            and second is not None
            and (first.inputs, first.attributes) == (second.inputs, second.attributes)
        )

    def _maker(self, name: str, operator: str) -> Node | None:
        made = self._producers.get(name)
        return made if made is not None and made.operator == operator else None

    def _same_shape(self, a: str, b: str) -> bool:
        return all(known[a] == known[b] for known in self._shapes)


_ROLES = {"Mul": 1, "Add": 2}
"""Arithmetic behind a norm -> the operand of the norm that it becomes."""


def _with_scales(graph: Graph, shapes: _Shapes) -> Graph:
    """Norms with the scale and the bias that are the only thing that reads them."""
    uses, edits = graph.uses(), ConstantEdits(graph)
    made: dict[str, Node] = {}
    for current in graph.nodes:
        joined = _joined(current, made, uses, edits, shapes) if current.operator in _ROLES else None
        if joined is not None:
            old, new = joined
            del made[old]
            made[new.output] = new
        else:
            made[current.output] = current
    nodes = tuple(made.values())
    return graph if nodes == graph.nodes else graph.replaced(nodes=nodes, constants=edits.constants)


def _joined(
    current: Node, made: Mapping[str, Node], uses: Mapping[str, int], edits: ConstantEdits, shapes: _Shapes
) -> tuple[str, Node] | None:
    """The output of the norm that the arithmetic node reads, and the norm with that done."""
    role = _ROLES[current.operator]
    for name, other in (current.given, current.given[::-1]):
        norm = made.get(name)
        if norm is None or norm.operator not in ("LayerNorm", "RmsNorm") or uses[name] != 1:
            continue
        operands = [*norm.inputs, *[None] * (3 - len(norm.inputs))]
        is_free = operands[role:] == [None] * (3 - role) and not (role == 2 and norm.operator == "RmsNorm")
        numbers = _from_axis(edits.constants.get(other), norm, current, shapes) if is_free else None
        if numbers is None:
            continue
        same = edits.constants[other].shape == numbers.shape
        operands[role] = other if same else edits.add(f"{other}.repeated", Dense(numbers))
        while operands[-1] is None:
            operands.pop()
        return name, replace(norm, inputs=tuple(operands), output=current.output)
    return None


def _from_axis(constant: Weights | None, norm: Node, current: Node, shapes: _Shapes) -> Array | None:
    """A constant as an entry for each that is normalised together, if it is that."""
    axis = int(norm.attributes["axis"])  # type: ignore[arg-type]
    normal = shapes[0][norm.output][axis:]
    if constant is None or any(known[norm.output] != known[current.output] for known in shapes):
        return None
    values = constant.values
    if any(known[norm.output][axis:] != normal for known in shapes) or any(
        size != 1 for size in values.shape[: max(0, values.ndim - len(normal))]
    ):
        return None
    values = values.reshape(values.shape[max(0, values.ndim - len(normal)) :])
    return np.ascontiguousarray(np.broadcast_to(values, normal))
