"""What an .nsm file holds and what each part of it costs. Needs numpy only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from netsurgery.graph.ir import Graph
from netsurgery.packed.reader import Packed


@dataclass(frozen=True)
class ValueSummary:
    """An input or output: its name and shape, None for a size that follows the batch."""

    name: str
    shape: tuple[int | None, ...]


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
class Summary:
    """A whole file.

    operators: name -> how many nodes, the most frequent first; structure_bits: all of the file that is neither a tensor
    nor its header.
    """

    size_bytes: int
    format_version: int
    inputs: tuple[ValueSummary, ...]
    outputs: tuple[ValueSummary, ...]
    operators: dict[str, int]
    tensors: tuple[TensorSummary, ...]
    structure_bits: float

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
            "inputs": [{"name": given.name, "shape": list(given.shape)} for given in self.inputs],
            "outputs": [{"name": made.name, "shape": list(made.shape)} for made in self.outputs],
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
        }


def summary_of(packed: Packed) -> Summary:
    """Collect the summary of a file that has been read."""
    graph = packed.graph
    return Summary(
        size_bytes=packed.size_bytes,
        format_version=packed.version,
        inputs=tuple(ValueSummary(given.name, given.shape) for given in graph.inputs),
        outputs=_outputs(graph),
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
    )


def per(bits: float, count: int) -> float | None:
    """Bits for each of `count`, None where there is none."""
    return round(bits / count, 4) if count else None


def _outputs(graph: Graph) -> tuple[ValueSummary, ...]:
    one, other = graph.shapes(1), graph.shapes(2)
    return tuple(
        ValueSummary(name, tuple(p if p == q else None for p, q in zip(one[name], other[name], strict=True)))
        for name in graph.outputs
    )
