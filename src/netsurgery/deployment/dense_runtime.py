"""ONNX Runtime with the same network, zeros in place: the dense runtime that the engine is measured beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from netsurgery.errors import MissingExtraError, NetsurgeryError
from netsurgery.graph.ir import Array, Graph


class DenseRuntime:
    """A graph, or an ONNX file, in ONNX Runtime as it comes, with every optimisation, on the processor.

    threads: as many as it uses; they spin while they wait.
    Raises MissingExtraError without onnxruntime or onnx, and NetsurgeryError if it can't load the network.
    """

    def __init__(self, network: Graph | Path, threads: int) -> None:
        runtime = _imported()
        self.version = str(runtime.__version__)
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3  # errors
        content = str(network) if isinstance(network, Path) else _written(network)
        try:
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of onnxruntime's own kinds
            raise NetsurgeryError(f"onnxruntime can't load the network: {error}") from error
        self._names = [given.name for given in self._session.get_inputs()]

    def bound(self, arrays: Sequence[Array]) -> Callable[[], Sequence[Array]]:
        """Runs the network on float32 arrays in the order of its inputs; each call gives the outputs in theirs."""
        return partial(self._session.run, None, dict(zip(self._names, arrays, strict=True)))


def _written(graph: Graph) -> bytes:
    from netsurgery.graph.to_onnx import to_onnx

    return bytes(to_onnx(graph).SerializeToString())


def _imported() -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"running beside ONNX Runtime needs {error.name}, which isn't installed: "
            "pip install onnxruntime 'netsurgery[onnx]'"
        ) from error
    return onnxruntime
