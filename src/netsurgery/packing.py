"""From a model to a verified .nsm file: capture, simplify, write, read back, compare, rename.

torch module, .pt2, .onnx ──capture──▶ graph ──passes──▶ graph ──writer──▶ bytes ──▶ temporary file
                                                                                         │ read back, compared
                                                                                         ▼ bit for bit, and by outputs
                                                                                       path
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from netsurgery.errors import SettingError, VerificationError
from netsurgery.files import replacing
from netsurgery.graph.capture import capture
from netsurgery.graph.ir import Array, Graph
from netsurgery.graph.passes import simplify
from netsurgery.graph.rounding import rounded
from netsurgery.packed.reader import PackedReader
from netsurgery.packed.writer import constants_in_order, encode_to
from netsurgery.runtime import reference
from netsurgery.runtime.comparison import TOLERANCE, largest_difference

Weights: TypeAlias = Literal["exact", "float16", "bfloat16"]


@dataclass(frozen=True)
class PackReport:
    """What `pack` did.

    size_bytes: of the whole file; dense_bytes: of the model's parameters as float32, those that layers share counted
    once; connections: kept weights and biases in the file; difference: largest difference of an output from the model's
    (its weights rounded where that was asked for) on the example inputs, as a share of the largest output.
    """

    path: Path
    size_bytes: int
    dense_bytes: int
    connections: int
    difference: float

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.size_bytes:,} bytes, {self.dense_bytes / self.size_bytes:,.1f}x smaller than "
            f"{self.dense_bytes:,} bytes of float32; {self.connections:,} connections"
        )


def pack(
    model: Any,
    path: str | Path,
    *,
    example_inputs: Any = None,
    weights: Weights = "exact",
    names: bool = False,
) -> PackReport:
    """Write a network as an .nsm file, verified before it gets its name.

    model: a torch.nn.Module, a torch.export.ExportedProgram, or the path of an .onnx or .pt2 file.
    example_inputs: what the model takes: a tensor or array, or a sequence of them. A module can't be captured without.
        Whatever is given is also what model and file are compared on; for files, random numbers are used if it's None.
    weights: "exact" writes every weight bit for bit. "float16" and "bfloat16" round them first: lossy, on request only.
    names: keep the names of inputs, layers and weights in the file; they cost bytes.
    Raises CaptureError, UnsupportedOperatorError (naming what is missing and where), NonFiniteWeightsError,
    VerificationError if the file doesn't compute what the model computes; then nothing is left at `path`.
    """
    if weights not in ("exact", "float16", "bfloat16"):
        raise SettingError(f"weights={weights!r} is not allowed: weights must be 'exact', 'float16' or 'bfloat16'.")
    captured = capture(model, example_inputs)
    graph, examples, outputs, dense_bytes = captured.graph, captured.examples, captured.outputs, 4 * captured.parameters
    del captured  # of a large model there should be no more copies than needed
    if outputs is None:
        outputs = _run(graph, examples)
    graph = simplify(graph, reference.run_node)
    if weights != "exact":
        _difference(graph, examples, outputs, path)
        graph = rounded(graph, weights)  # not before: what passes compute from rounded weights isn't round any more
        outputs = _run(graph, examples)  # what is lost by request isn't the file's fault
        graph = simplify(graph, reference.run_node)
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            encode_to(file, graph, names=names)
        size_bytes = temporary.stat().st_size
        difference = _difference(_read_back(temporary, graph, path), examples, outputs, path)
    connections = sum(int(np.count_nonzero(graph.constants[name])) for name in constants_in_order(graph))
    return PackReport(Path(path), size_bytes, dense_bytes, connections, difference)


def _read_back(written: Path, graph: Graph, path: str | Path) -> Graph:
    """The graph in the written file, compared bit for bit; constants that are equal are those of `graph` itself."""
    reader = PackedReader(written.read_bytes())
    same: dict[str, Array] = {}
    for (name, values, _), source in zip(reader.constants(), constants_in_order(graph), strict=True):
        expected = graph.constants[source]
        if values.shape != expected.shape or not np.array_equal(values.view(np.uint32), expected.view(np.uint32)):
            raise VerificationError(f"{path}: {source} could not be read back as it was written; nothing was kept.")
        same[name] = expected
    return reader.graph(same)


def _difference(graph: Graph, examples: Sequence[Array], outputs: Sequence[Array], path: str | Path) -> float:
    """How far the graph's outputs lie from the model's. Raises VerificationError beyond the tolerance."""
    difference = largest_difference(_run(graph, examples), outputs)
    if not difference <= TOLERANCE:
        raise VerificationError(
            f"{path}: the packed network's outputs differ from the model's by {difference:.1e} of the largest output, "
            f"{TOLERANCE:.0e} is allowed; nothing was kept. Does the model give the same outputs twice in eval mode?"
        )
    return difference


def _run(graph: Graph, examples: Sequence[Array]) -> tuple[Array, ...]:
    return reference.run(graph, {given.name: array for given, array in zip(graph.inputs, examples, strict=True)})
