"""From a graph to a verified ONNX file: write, read back, compare, rename."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from netsurgery.deployment.comparison import compared
from netsurgery.deployment.separate_process import asked_apart
from netsurgery.errors import VerificationError
from netsurgery.files import replacing
from netsurgery.graph.capture import capture
from netsurgery.graph.ir import Array, Graph
from netsurgery.runtime import reference


@dataclass(frozen=True)
class ExportReport:
    """What `export_onnx` did.

    difference: largest difference of an output of the file from the network's, as a share of the largest output;
    computed_by: what ran the file, such as "onnxruntime 1.22.0", or "netsurgery, which read it back", with the reason,
    where ONNX Runtime couldn't.
    """

    path: Path
    size_bytes: int
    difference: float
    computed_by: str


def export_onnx(graph: Graph, path: str | Path, *, sparse: bool = False) -> ExportReport:
    """Write a graph as an ONNX file, verified before it gets its name.

    It is read back, and run by ONNX Runtime, where that is installed and has all of the operators.
    sparse: as in `graph.to_onnx.to_onnx`. Raises what `write_onnx` there raises, MissingExtraError without onnx, and
    VerificationError if the file doesn't compute what the graph computes; then nothing is left at `path`.
    """
    from netsurgery.graph.from_onnx import read_onnx
    from netsurgery.graph.to_onnx import write_onnx

    examples = capture(graph, reference.run_node).examples
    feeds = {given.name: array for given, array in zip(graph.inputs, examples, strict=True)}
    expected = reference.run(graph, feeds)

    def difference(outputs: Sequence[Array], program: str) -> float:
        found = compared(outputs, expected, graph, feeds)
        if not found.within:
            raise VerificationError(
                f"{path}: what {program} computes from the ONNX file differs from the network by {found.share:.1e} of "
                f"the largest output, {found.allowed:.0e} is allowed; nothing was kept. Please report it with the "
                "network."
            )
        return found.share

    with replacing(path) as temporary:
        write_onnx(graph, temporary, sparse=sparse)
        read = read_onnx(temporary, reference.run_node)
        if read.inputs != graph.inputs:
            raise VerificationError(
                f"{path}: the inputs of the ONNX file are {read.inputs}, those of the network {graph.inputs}; nothing "
                "was kept. Please report it with the network."
            )
        worst = difference(reference.run(read, feeds), "netsurgery")
        answer = asked_apart(temporary, feeds)
        computed_by = f"netsurgery, which read it back ({answer.runtime})"
        if answer.outputs is not None:
            worst, computed_by = max(worst, difference(answer.outputs, answer.runtime)), answer.runtime
        size = temporary.stat().st_size
    return ExportReport(Path(path), size, worst, computed_by)
