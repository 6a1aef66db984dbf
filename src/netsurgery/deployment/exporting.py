"""From a graph to a verified ONNX file: write, read back, compare, rename."""

from __future__ import annotations

from pathlib import Path

from netsurgery.deployment.comparison import TOLERANCE, largest_difference, run_with_sources
from netsurgery.errors import VerificationError
from netsurgery.files import replacing
from netsurgery.graph.capture import capture
from netsurgery.graph.ir import Graph
from netsurgery.runtime import reference


def export_onnx(graph: Graph, path: str | Path, *, sparse: bool = False) -> None:
    """Write a graph as an ONNX file, verified before it gets its name: read back, and run by onnx's own reference.

    sparse: as in `graph.to_onnx.to_onnx`. Raises what `write_onnx` there raises, MissingExtraError without onnx, and
    VerificationError if the file doesn't compute what the graph computes; then nothing is left at `path`.
    """
    from netsurgery.graph.from_onnx import onnx_outputs, read_onnx
    from netsurgery.graph.to_onnx import write_onnx

    examples = capture(graph).examples
    feeds = {given.name: array for given, array in zip(graph.inputs, examples, strict=True)}
    expected, sources = run_with_sources(graph, feeds)
    with replacing(path) as temporary:
        write_onnx(graph, temporary, sparse=sparse)
        read = read_onnx(temporary)
        outputs = reference.run(read, feeds), onnx_outputs(temporary, graph, examples)
        difference = max(largest_difference(given, expected, sources) for given in outputs)
        if read.inputs != graph.inputs or not difference <= TOLERANCE:
            raise VerificationError(
                f"{path}: what the ONNX file computes differs from the network by {difference:.1e} of the largest "
                f"output, {TOLERANCE:.0e} is allowed; nothing was kept."
            )
