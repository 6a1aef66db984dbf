"""The runtimes that are compared, each behind the same face: outputs of a call, and times of a turn of calls."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime
from timing import timed

import netsurgery as ns

Array = npt.NDArray[np.float32]
Engine = Literal["native", "reference"]


class Runtime(Protocol):
    """One network and one input in one runtime, with a number of threads."""

    def outputs(self) -> Sequence[Array]:
        """Of one call."""

    def turn(self, calls: int) -> list[float]:
        """Microseconds of each of so many calls, one after the other."""

    def close(self) -> None:
        """End what the runtime has started."""


class InProcess:
    """A runtime that this process calls."""

    def __init__(self, call: Callable[[], Sequence[Array]]) -> None:
        self.outputs = call

    def turn(self, calls: int) -> list[float]:
        return timed(self.outputs, calls)

    def close(self) -> None:
        pass


def netsurgery(path: Path, x: Array, threads: int, engine: Engine = "native") -> Runtime:
    """The packed network, called as a user calls it."""
    session = ns.load(path, threads=threads, engine=engine)
    return InProcess(lambda: (session(x),))


def onnx_runtime(path: Path, x: Array, threads: int) -> Runtime:
    """ONNX Runtime as it comes: every optimisation, its threads spinning, as many of them as the others get."""
    session = onnx_session(path, threads)
    feeds = {session.get_inputs()[0].name: x}
    return InProcess(lambda: session.run(None, feeds))


def onnx_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class DeepSparse:
    """DeepSparse in an interpreter of its own (it needs an older numpy): the same turns, asked for over a pipe."""

    def __init__(self, interpreter: Path, path: Path, x: Array, threads: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        given = Path(self.folder.name) / "input.npy"
        np.save(given, x)
        script = Path(__file__).parent / "deepsparse_process.py"
        self.process = subprocess.Popen(
            [str(interpreter), str(script), str(path), str(given), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.version: str = self._answer()["version"]

    def outputs(self) -> Sequence[Array]:
        written = self._ask("outputs")["outputs"]
        return [np.load(path) for path in written]

    def turn(self, calls: int) -> list[float]:
        times: list[float] = self._ask("turn", calls)["times_us"]
        return times

    def close(self) -> None:
        if self.process.stdin and self.process.stdout:
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()
        self.folder.cleanup()

    def _ask(self, *request: object) -> dict:
        assert self.process.stdin
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"DeepSparse ended with status {self.process.wait()}; run {self.process.args} to see why.")
        return json.loads(line)
