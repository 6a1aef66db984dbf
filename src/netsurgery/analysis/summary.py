"""What an .nsm file holds and what each part of it costs. Needs numpy only."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from netsurgery.analysis.associative import Signs
from netsurgery.analysis.fixed_point import FixedLayers, fixed_layers
from netsurgery.analysis.operation_counts import OperationCounts, counts_of
from netsurgery.graph.ir import Graph, Node, open_shapes
from netsurgery.graph.value_types import ValueType
from netsurgery.graph.weights import Planes, Weights
from netsurgery.packed.reader import Packed


@dataclass(frozen=True)
class ValueSummary:
    """An input or output: its name, its shape and the type of its entries.

    An open size of an input is the name of its axis, and so it is in an output that has just that size; None stands for
    one that follows from open axes otherwise.
    """

    name: str
    shape: tuple[int | str | None, ...]
    type: ValueType = ValueType.FLOAT32


@dataclass(frozen=True)
class TensorSummary:
    """One constant of the network: its form and its price in the file.

    kept: entries other than +0; distinct: how many values they have, None if that is more than 256; bits: a fraction
    of a bit is possible, because the file has no borders between its parts.
    """

    name: str
    shape: tuple[int, ...]
    encoding: str
    entries: int
    kept: int
    distinct: int | None
    bits: float


@dataclass(frozen=True)
class SketchedLayer:
    """A layer whose weight is stored as binary planes: the weight's name, and the operations it takes at batch 1.

    Other open axes count with the smallest size that the network takes.
    """

    name: str
    positions: int
    counts: OperationCounts


@dataclass(frozen=True)
class Summary:
    """A whole file.

    axes: name of each open axis -> its smallest size; steps: name of each whose sizes are multiples -> of what; most:
    name of each that has a largest size -> that;
    operators: name -> how many nodes, the most frequent first; structure_bits: all of the file that is neither a tensor
    nor its header; sketched: layers of binary planes, in order; fixed_point: what adds whole numbers, None if nothing
    does.
    """

    size_bytes: int
    format_version: int
    inputs: tuple[ValueSummary, ...]
    outputs: tuple[ValueSummary, ...]
    axes: dict[str, int]
    steps: dict[str, int]
    most: dict[str, int]
    operators: dict[str, int]
    tensors: tuple[TensorSummary, ...]
    structure_bits: float
    sketched: tuple[SketchedLayer, ...]
    fixed_point: FixedLayers | None

    @property
    def entries(self) -> int:
        """Entries of all tensors."""
        return sum(tensor.entries for tensor in self.tensors)

    @property
    def kept(self) -> int:
        """Entries of all tensors that are not +0."""
        return sum(tensor.kept for tensor in self.tensors)

    @property
    def float32_bytes(self) -> int:
        """What the entries of the tensors take as float32."""
        return 4 * self.entries

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, lists and dicts; users' programs rely on the keys, which `netsurgery info --help` lists."""
        return {
            "size_bytes": self.size_bytes,
            "float32_bytes": self.float32_bytes,
            "format_version": self.format_version,
            "entries": self.entries,
            "kept": self.kept,
            "bits_per_weight": per(8 * self.size_bytes, self.entries),
            "bits_per_connection": per(8 * self.size_bytes, self.kept),
            "structure_bits": round(self.structure_bits, 2),
            "inputs": [_value(given) for given in self.inputs],
            "outputs": [_value(made) for made in self.outputs],
            "axes": dict(self.axes),
            "steps": dict(self.steps),
            "most": dict(self.most),
            "operators": dict(self.operators),
            "tensors": [
                {
                    "name": tensor.name,
                    "shape": list(tensor.shape),
                    "encoding": tensor.encoding,
                    "entries": tensor.entries,
                    "kept": tensor.kept,
                    "distinct": tensor.distinct,
                    "bits": round(tensor.bits, 2),
                    "bits_per_weight": per(tensor.bits, tensor.entries),
                    "bits_per_connection": per(tensor.bits, tensor.kept),
                }
                for tensor in self.tensors
            ],
            "sketched": [
                {
                    "name": layer.name,
                    "planes": layer.counts.planes,
                    "positions": layer.positions,
                    "fmul_dense": layer.counts.dense_multiplications,
                    "fmul": layer.counts.multiplications,
                    "fadd_dense": layer.counts.dense_additions,
                    "fadd_planes": layer.counts.plain_additions,
                    "fadd_tree": layer.counts.tree_additions,
                    "fadd_stretches": layer.counts.stretch_additions,
                }
                for layer in self.sketched
            ],
            "fixed_point": None if self.fixed_point is None else asdict(self.fixed_point),
        }


def summary_of(packed: Packed) -> Summary:
    """Collect the summary of a file that has been read."""
    graph = packed.graph
    return Summary(
        size_bytes=packed.size_bytes,
        format_version=packed.version,
        inputs=tuple(ValueSummary(given.name, given.shape, given.type) for given in graph.inputs),
        outputs=_outputs(graph),
        axes=graph.least,
        steps=dict(graph.steps),
        most=graph.most,
        operators=dict(Counter(made.operator for made in graph.nodes).most_common()),
        tensors=tuple(
            TensorSummary(
                name=name,
                shape=stored.shape,
                encoding=stored.encoding,
                entries=graph.constants[name].size,
                kept=stored.kept,
                distinct=stored.distinct if stored.distinct >= 0 else None,
                bits=stored.bits,
            )
            for name, stored in packed.stored.items()
        ),
        structure_bits=packed.structure_bits,
        sketched=tuple(_sketched(packed)),
        fixed_point=fixed_layers(graph),
    )


def _value(value: ValueSummary) -> dict[str, Any]:
    return {"name": value.name, "shape": list(value.shape), "type": str(value.type)}


def per(bits: float, count: int) -> float | None:
    """Bits for each of `count`, None where there is none."""
    return round(bits / count, 4) if count else None


def _sketched(packed: Packed) -> Iterator[SketchedLayer]:
    shapes = packed.graph.shapes()
    for layer, name, weight in packed.graph.weights():
        signs = _signs(weight)
        if signs is not None:
            positions = _positions(layer, shapes)
            groups = np.split(signs, int(layer.attributes.get("groups", 1)), axis=1)  # type: ignore[arg-type]
            yield SketchedLayer(name, positions, counts_of(groups, positions))


def _signs(weight: Weights) -> Signs | None:
    """The planes of a weight, (m, rows, columns) of 0 and 1; None if it has none.

    Rows of ±scale are one plane, however they are stored.
    """
    if isinstance(weight, Planes):
        return weight.rows_of_signs
    rows = weight.values.reshape(weight.shape[0], -1)
    first = np.abs(rows[:, :1])
    if all(bool((np.abs(part) == first).all() and first.all()) for part in (rows[:, :2], rows)):
        return (rows > 0).astype(np.uint8)[None]
    return None


def _positions(layer: Node, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """How often a layer applies its weight for one sample: pixels of a convolution, rows of a linear layer, steps."""
    shape = shapes[layer.given[0] if "result" in layer.attributes else layer.output]
    return math.prod(shape[2:] if layer.operator == "Conv" else shape[:-1])


def _outputs(graph: Graph) -> tuple[ValueSummary, ...]:
    shapes = zip(graph.shown_outputs, open_shapes(graph), strict=True)
    return tuple(ValueSummary(name, shape, graph.types[name]) for name, shape in shapes)
