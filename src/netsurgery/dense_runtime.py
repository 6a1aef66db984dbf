"""ONNX Runtime with the same network, zeros in place: the dense runtime that the engine is measured beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netsurgery.errors import MissingExtraError, NetsurgeryError
from netsurgery.graph.ir import Array, Graph


class DenseRuntime:
    """A graph in ONNX Runtime as it comes, with every optimisation, on the processor.

    Call it with arrays in the order of the graph's inputs; it gives the outputs in theirs.
    Raises MissingExtraError without onnxruntime or onnx, and NetsurgeryError if it can't load the network.
    """

    def __init__(self, graph: Graph, threads: int) -> None:
        runtime = _imported()
        from netsurgery.graph.to_onnx import to_onnx

        self.version = str(runtime.__version__)
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3  # errors
        content = to_onnx(graph).SerializeToString()
        try:
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of onnxruntime's own kinds
            raise NetsurgeryError(f"onnxruntime can't load the network: {error}") from error
        self._names = [given.name for given in self._session.get_inputs()]

    def __call__(self, arrays: Sequence[Array]) -> tuple[Array, ...]:
        return tuple(self._session.run(None, dict(zip(self._names, arrays, strict=True))))


def _imported() -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"running beside ONNX Runtime needs {error.name}, which isn't installed: "
            "pip install onnxruntime 'netsurgery[onnx]'"
        ) from error
    return onnxruntime
