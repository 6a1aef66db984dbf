"""ONNX Runtime: the dense runtime that the engine is measured beside, and what says what an ONNX model computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np

from netsurgery.errors import MissingExtraError, NetsurgeryError
from netsurgery.graph.ir import Array, Graph
from netsurgery.graph.value_types import type_of


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
        options.log_severity_level = 4  # what is fatal; the rest comes as an exception
        content = str(network) if isinstance(network, Path) else _written(network)
        try:
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of onnxruntime's own kinds
            raise NetsurgeryError(f"onnxruntime can't load the network: {error}") from error
        self._names = [given.name for given in self._session.get_inputs()]

    def bound(self, arrays: Sequence[Array]) -> Callable[[], Sequence[Array]]:
        """Runs the network on arrays in the order of its inputs; each call gives the outputs in theirs."""
        return partial(self._session.run, None, dict(zip(self._names, arrays, strict=True)))


def _written(graph: Graph) -> bytes:
    from netsurgery.graph.to_onnx import to_onnx

    return bytes(to_onnx(graph).SerializeToString())


_LONGEST_REASON = 240
"""Characters; ONNX Runtime names files of its own source, and some of its messages hold whole paragraphs."""


@dataclass(frozen=True)
class Answer:
    """What ONNX Runtime makes of a model: its outputs, and `runtime`, its name and version.

    Without outputs (None), `runtime` says in a few words why there are none.
    """

    outputs: tuple[Array, ...] | None
    runtime: str


def asked(model: Any, feeds: Mapping[str, Array]) -> Answer:
    """What ONNX Runtime makes of an ONNX model as it stands, without its optimisations, some of which approximate.

    One of them quantises what a layer with dequantised weights reads.
    model: the path of an .onnx file, an onnx.ModelProto, or what such a file holds. feeds: arrays by the names of the
    model's inputs.
    """
    try:
        runtime = _imported()
    except MissingExtraError:
        return Answer(None, "onnxruntime isn't installed")
    name = f"onnxruntime {runtime.__version__}"
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = 1, 1  # its pool would spin, and sums depend on it
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # what is fatal; the rest comes as an exception, and is told below
    try:
        content = str(model) if isinstance(model, Path) else model
        content = content if isinstance(content, str | bytes) else content.SerializeToString()
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        outputs = session.run(None, dict(feeds))
    except Exception as error:  # of onnxruntime's own kinds, and of protobuf's beyond 2 GiB
        reason = shorten(str(error), _LONGEST_REASON, placeholder=" ...")
        return Answer(None, f"{name} can't run the model: {reason}")
    return Answer(tuple(map(_as_value, outputs)), name)


def version() -> str:
    """Of ONNX Runtime. Raises MissingExtraError without it."""
    return str(_imported().__version__)


def _as_value(output: Any) -> Array:
    """An output in its own type if a network may have that, else in float32."""
    array = np.asarray(output)
    return array if type_of(array.dtype) is not None else array.astype(np.float32)


def _imported() -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"running beside ONNX Runtime needs {error.name}, which isn't installed: "
            "pip install onnxruntime 'netsurgery[onnx]'"
        ) from error
    return onnxruntime
