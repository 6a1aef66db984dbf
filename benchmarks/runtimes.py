"""The runtimes that are compared, each behind the same face: outputs of a call, and times of a turn of calls."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

import netsurgery as ns
from netsurgery.deployment.comparison import agreement
from netsurgery.deployment.dense_runtime import DenseRuntime
from netsurgery.timing import calls
from netsurgery.timing.calls import timed
from netsurgery.timing.turns import Pace, Times, in_turns

Array = npt.NDArray[np.float32]
Engine = Literal["native", "reference"]
PACE = Pace(least_calls=2)


class Runtime(Protocol):
    """One network and one input in one runtime, with a number of threads."""

    def outputs(self) -> Sequence[Array]:
        """Of one call."""

    def turn(self, count: int) -> list[float]:
        """Make so many calls, one after another; microseconds of those that are timed, as `timed` has it."""

    def close(self) -> None:
        """End what the runtime has started."""


class InProcess:
    """A runtime that this process calls."""

    def __init__(self, call: Callable[[], Sequence[Array]]) -> None:
        self.outputs = call

    def turn(self, count: int) -> list[float]:
        return timed(self.outputs, count)

    def close(self) -> None:
        pass


def netsurgery(path: Path, x: Array, threads: int, engine: Engine = "native") -> Runtime:
    """The packed network, called as a user calls it."""
    session = ns.load(path, threads=threads, engine=engine)
    return InProcess(lambda: (session(x),))


def onnx_runtime(path: Path, x: Array, threads: int) -> Runtime:
    """ONNX Runtime as it comes, with as many threads as the others get."""
    return InProcess(DenseRuntime(path, threads).bound([x]))


class DeepSparse:
    """DeepSparse in an interpreter of its own (it needs an older numpy): the same turns, asked for over a pipe."""

    def __init__(self, interpreter: Path, path: Path, x: Array, threads: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        given = Path(self.folder.name) / "input.npy"
        np.save(given, x)
        script = Path(__file__).parent / "deepsparse_process.py"
        self.process = subprocess.Popen(
            [str(interpreter), str(script), str(path), str(given), str(threads), calls.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.version: str = self._answer()["version"]

    def outputs(self) -> Sequence[Array]:
        written = self._ask("outputs")["outputs"]
        return [np.load(path) for path in written]

    def turn(self, count: int) -> list[float]:
        times: list[float] = self._ask("turn", count)["times_us"]
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


def compared(runtimes: Mapping[str, Runtime], rounds: int) -> tuple[float, dict[str, Times]]:
    """The largest difference of any outputs from the first runtime's, and the times of all, taken in turns.

    Raises VerificationError, before anything is timed, if outputs differ by more than they may.
    """
    difference = agreement({name: runtime.outputs() for name, runtime in runtimes.items()})
    return difference, timed_in_turns(runtimes, rounds)


def timed_in_turns(runtimes: Mapping[str, Runtime], rounds: int) -> dict[str, Times]:
    """Times of all runtimes, whatever network each of them runs."""
    turns = {name: runtime.turn for name, runtime in runtimes.items()}
    return in_turns(turns, replace(PACE, rounds=rounds))
