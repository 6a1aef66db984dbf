"""A network in fixed point: layers of powers of two and of binary planes become sums of whole numbers.

    x ─▶ Conv ─▶ Relu ─▶ ...          x ─▶ Quantize ─▶ Conv of ±2^k ─▶ Quantize (scale, shift, from 0 on) ─▶ ...

Each such layer reads values on a grid (`points` says which values those are, `Choice` which grid), its weights are
whole numbers, and a Quantize makes of its exact sums what the layer means: times the unit of each row, plus its bias,
on the grid of whatever reads it. Of m binary planes every one is a row of ±1, those of an output side by side, and a
QuantizePlanes adds their sums, each times its scale. What isn't such a layer stays as it was, on rounded values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netsurgery.graph.fixed_point import EXACT, HIGHEST_POWER, KEEPING, cut_between, highest
from netsurgery.graph.grid_choice import FARTHEST_UNIT, FEWEST_BITS, MOST_BITS, Choice, finest
from netsurgery.graph.ir import Array, Graph, Node, node, unlike
from netsurgery.graph.requantization import requantized
from netsurgery.graph.weights import Planes, Powers, Weights, matrix_shape

SHORT = 2**15 - 1
"""The largest sum that 16 bits hold, whatever its sign."""
_WIDE_BITS, _WIDEST_BITS = 12, 25
"""Of a layer's output that functions read, and of one that is the network's own. 12: finer than what they are rounded
to afterwards, and still what products of 16 bits make (requantization.py)."""


@dataclass(frozen=True)
class WholeLayer:
    """A Conv or Linear, its weight as whole numbers, and for each row what one of them stands for.

    planes: rows that make an output, side by side; None where weights are powers of two, which are rows of their own.
    """

    made: Node
    weight: Powers | Planes
    units: Array
    shift: str | None
    planes: int | None = None

    @property
    def largest_sum(self) -> int:
        """Of the magnitudes of a row's weights."""
        matrix = np.abs(self.weight.values).reshape(matrix_shape(self.weight.shape))
        return int(matrix.sum(axis=1, dtype=np.float64).max(initial=0))


@dataclass
class Point:
    """Values that get one grid together, because something joins them; and the layers that read them."""

    values: list[str] = field(default_factory=list)
    readers: list[WholeLayer] = field(default_factory=list)

    def bits(self, signed: bool, fewest: int = FEWEST_BITS) -> int:
        """As many, up to MOST_BITS, as leave all sums of its readers 16 bits; `fewest` where that can't be."""
        largest = max((reader.largest_sum for reader in self.readers), default=0)
        fitting = (bits for bits in range(MOST_BITS, fewest, -1) if highest(bits, signed) * largest <= SHORT)
        return next(fitting, fewest)


def whole_layers(graph: Graph) -> dict[str, WholeLayer]:
    """Output -> layer, for those whose weights are powers of two, up to a factor for each row, or binary planes.

    They are few enough that sums of values of FEWEST_BITS stay exact. Powers of a row may differ by 2^HIGHEST_POWER.
    """
    found = {}
    for made in graph.nodes:
        if made.operator not in ("Conv", "Linear") or made.inputs[0] in graph.constants:
            continue
        weights = graph.constants[made.inputs[1] or ""]
        shift = made.inputs[2] if len(made.inputs) > 2 else None
        if isinstance(weights, Planes):
            layer = WholeLayer(made, *_in_rows(weights), shift, weights.planes)
        elif (halves := _whole(weights)) is not None:
            layer = WholeLayer(made, *halves, shift)
        else:
            continue
        if layer.largest_sum * highest(FEWEST_BITS, signed=False) < EXACT:
            found[made.output] = layer
    return found


def _in_rows(weights: Planes) -> tuple[Planes, Array]:
    """Each plane of a row as a row of ±1, side by side, and the scales."""
    rows, *others = weights.shape
    signs = weights.signs.swapaxes(0, 1).reshape(1, rows * weights.planes, *others)
    return Planes(np.ones((signs.shape[1], 1), np.float32), signs), weights.scales.reshape(-1)


def _whole(weights: Weights) -> tuple[Powers, Array] | None:
    """Powers with exponents from 0 on in each row, and what 1 stands for: whatever type says so, or none."""
    if weights.ndim < 2:
        return None
    rows, columns = matrix_shape(weights.shape)
    matrix = weights.values.reshape(rows, columns)
    kept = matrix != 0
    mantissas, exponents = np.frexp(np.abs(matrix))
    fractions = np.where(kept, mantissas, 0).max(axis=1, initial=0)
    if (kept & (mantissas != fractions[:, None])).any():
        return None
    any_kept = kept.any(axis=1)
    lowest = np.where(any_kept, np.where(kept, exponents, np.iinfo(np.int32).max).min(axis=1), 0)
    above = np.where(kept, exponents - lowest[:, None], 0)
    if above.max(initial=0) > HIGHEST_POWER or np.abs(lowest).max(initial=0) > FARTHEST_UNIT:
        return None
    units = np.where(any_kept, np.ldexp(fractions, lowest), 1).astype(np.float32)
    signs = np.sign(matrix).astype(np.int8).reshape(weights.shape)
    return Powers(signs, above.astype(np.int8).reshape(weights.shape)), units


def points(graph: Graph, layers: Mapping[str, WholeLayer]) -> list[Point]:
    """Where values have to be rounded so that every layer reads values on a grid.

    That is as early as it means the same: in front of pools of maxima and of what only moves entries.
    """
    makers = graph.producers()
    group: dict[str, Point] = {}

    def sources(value: str) -> Iterable[str]:
        maker = makers.get(value)
        if maker is not None and maker.operator == "Concat":
            for name in maker.given:
                yield from sources(name)
        elif maker is not None and maker.operator in KEEPING and maker.inputs[0] not in graph.constants:
            yield from sources(str(maker.inputs[0]))
        else:
            yield value

    for layer in layers.values():
        joined = Point(readers=[layer])
        for value in sources(str(layer.made.inputs[0])):
            other = group.get(value, Point([value]))
            joined.values += [name for name in other.values if name not in joined.values]
            joined.readers += [reader for reader in other.readers if all(reader is not one for one in joined.readers)]
        for value in joined.values:
            group[value] = joined
    unique: list[Point] = []
    for point in group.values():
        if all(point is not one for one in unique):
            unique.append(point)
    return [point for point in unique if not any(name in graph.constants for name in point.values)]


def fixed(
    graph: Graph,
    layers: Mapping[str, WholeLayer],
    chosen: Mapping[str, Choice],
    of_sums: Callable[[str], Choice],
) -> Graph:
    """The graph in fixed point. chosen: value -> its grid; of_sums: a layer's output that isn't among them -> its grid.

    Names of values stay; those of layers' exact sums are new.
    """
    names = graph.names()
    readers = graph.consumers()
    constants = dict(graph.constants)
    nodes: list[Node] = []
    absorbed: set[str] = set()
    settled: set[str] = set()  # cuts of values that are on their grid before

    def constant(values: Array, wish: str) -> str:
        name = unlike(wish, names)
        constants[name] = values  # type: ignore[assignment]
        return name

    def quantize(x: str, output: str, choice: Choice, scale: Array | None, shift: str | None, axis: int,
                 planes: int | None = None) -> Node:  # fmt: skip
        grid: dict[str, Any] = {"exponent": choice.exponent, "bits": choice.bits, "signed": choice.signed, "axis": axis}
        scaled = scale is not None and (planes is not None or (scale != 1).any())
        inputs = [x, constant(scale, f"{output} scale") if scaled else None, shift]  # type: ignore[arg-type]
        if planes is not None:
            return node("QuantizePlanes", inputs, output, **grid, planes=planes)
        return node("Quantize", inputs, output, **grid)

    def only_cut(value: str) -> Node | None:
        """The Relu or Clip that is the only reader of a value, if what it gives is rounded, before or after it."""
        reading = readers.get(value, [])
        found = len(reading) == 1 and value not in graph.outputs and reading[0].output in chosen
        return reading[0] if found and _commutes(reading[0], chosen[reading[0].output]) else None

    def target(output: str) -> tuple[str, Choice]:
        """What a layer's Quantize gives, and on which grid."""
        if output in chosen:
            return output, chosen[output]
        cut = only_cut(output)
        if cut is not None:
            choice = chosen[cut.output]
            if _is_cut(cut, choice):
                return cut.output, choice
            settled.add(cut.output)
            return output, choice
        return output, of_sums(output)

    rounded = {given.name: unlike(f"{given.name} rounded", names) for given in graph.inputs if given.name in chosen}
    shapes = graph.shapes()
    for given, name in rounded.items():
        nodes.append(quantize(given, name, chosen[given], None, None, min(1, len(shapes[given]) - 1)))
    for made in graph.nodes:
        if made.output in absorbed:
            continue
        inputs = [rounded.get(name, name) if name is not None else None for name in made.inputs]
        layer = layers.get(made.output)
        axis = len(shapes[made.output]) - 1 if made.operator == "Linear" else min(1, len(shapes[made.output]) - 1)
        if layer is not None:
            sums = unlike(f"{made.output} sums", names)
            weight = constant(layer.weight, f"{made.output} whole")  # type: ignore[arg-type]
            nodes.append(Node(made.operator, (inputs[0], weight), sums, made.attributes, made.place))
            output, choice = target(made.output)
            if output != made.output:
                absorbed.add(output)
            nodes.append(quantize(sums, output, choice, layer.units, layer.shift, axis, layer.planes))
        elif made.output in chosen and _is_cut(made, chosen[made.output]):
            nodes.append(quantize(str(inputs[0]), made.output, chosen[made.output], None, None, axis))
        elif made.output in chosen and _commutes(made, chosen[made.output]) and made.output not in settled:
            uncut = unlike(f"{made.output} uncut", names)
            nodes.append(quantize(str(inputs[0]), uncut, chosen[made.output], None, None, axis))
            nodes.append(Node(made.operator, (uncut,), made.output, made.attributes, made.place))
        elif made.output in chosen and made.output not in settled:
            exact = unlike(f"{made.output} exact", names)
            nodes.append(Node(made.operator, tuple(inputs), exact, made.attributes, made.place))
            nodes.append(quantize(exact, made.output, chosen[made.output], None, None, axis))
        else:
            nodes.append(Node(made.operator, tuple(inputs), made.output, made.attributes, made.place))
    changed = graph.replaced(nodes=tuple(nodes), constants=constants)
    used = changed.uses()
    return requantized(changed.replaced(constants={name: held for name, held in constants.items() if used[name]}))


def is_shown(graph: Graph, output: str) -> bool:
    """True for a layer's output that is one of the network's, or that nothing reads: its own error is what counts."""
    return output in graph.outputs or not graph.uses()[output]


def reaching(largest: float, shown: bool) -> Choice:
    """The grid of a layer's sums that reaches twice the largest one seen: other inputs give larger ones."""
    bits = _WIDEST_BITS if shown else _WIDE_BITS
    return Choice(finest(2 * largest, highest(bits, signed=True)), bits, True)


def _is_cut(made: Node, choice: Choice) -> bool:
    """True for a Relu or Clip whose cuts are the grid's own ends."""
    bounds = cut_between(made, choice.exponent)
    if bounds is None:
        return False
    high = highest(choice.bits, choice.signed)
    return bounds[0] == 0 if not choice.signed and bounds[1] >= high else bounds[0] <= -high and bounds[1] >= high


def _commutes(made: Node, choice: Choice) -> bool:
    """True for a cut at numbers of the grid: the same before and after rounding, as rounding keeps the order."""
    return cut_between(made, choice.exponent) is not None and (made.operator == "Clip" or not choice.signed)
