"""The record of an experiment: configuration, versions, machine, and the figures of each seed, as JSON."""

from __future__ import annotations

import dataclasses
import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netsurgery.errors import DataError
from netsurgery.files import write_verified

RECORD_VERSION = 1


@dataclass(frozen=True)
class TensorCount:
    """Connections of one parameter."""

    name: str
    shape: tuple[int, ...]
    kept: int
    size: int


@dataclass(frozen=True)
class Trace:
    """A run over time, sampled at `steps` (optimizer steps taken); all lists have the same length."""

    steps: list[int] = field(default_factory=list)
    density: dict[str, list[float]] = field(default_factory=dict)
    """Parameter name -> kept / all."""
    pruned_per_step: list[float] = field(default_factory=list)
    """Connections pruned, mean over the steps since the last sample; all tensors together."""
    spliced_per_step: list[float] = field(default_factory=list)
    validation_error_percent: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """One seed. Errors are top-1, in percent; `before` is the network that the method started from."""

    seed: int
    validation_error_before_percent: float
    validation_error_percent: float
    test_error_before_percent: float
    test_error_percent: float
    tensors: list[TensorCount]
    duration_s: float
    """Wall time of the training, without reading data and training the reference."""
    trace: Trace
    packed_bytes: int | None = None
    """Size of the network's .nsm file, every weight exact; None where none was written."""
    further_errors_percent: dict[str, list[float]] = field(default_factory=dict)
    """What was measured ("test, top-5") -> before and after."""
    images_per_s: float | None = None
    """Shown while the method trained, in all processes; None where images were in memory."""
    waiting_percent: float | None = None
    """Of that time, how much went by waiting for images."""

    @property
    def kept(self) -> int:
        """Connections left, biases counted."""
        return sum(tensor.kept for tensor in self.tensors)

    @property
    def size(self) -> int:
        """All connections, biases counted."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def compression(self) -> float:
        """All / kept."""
        return self.size / max(self.kept, 1)


@dataclass(frozen=True)
class PaperRow:
    """What was published of the same network. Errors are top-1 on the test set, in percent."""

    source: str
    test_error_before_percent: float
    test_error_percent: float
    kept: int | None
    """Connections left; None where only their share was published."""
    compression: float | None
    """All / kept; None where weights were only given fewer bits."""
    density_percent: dict[str, float] = field(default_factory=dict)
    """Layer name -> kept / all in percent, weights and biases of the layer together; of layers that were published."""
    further_errors_percent: dict[str, list[float]] = field(default_factory=dict)
    """As in `Run`."""
    file_ratio: float | None = None
    """Bytes of float32 / bytes of the network in few bits, as published."""


@dataclass(frozen=True)
class Record:
    """An experiment: the same configuration with several seeds."""

    title: str
    configuration: dict[str, Any]
    """All that was set: network, data, reference, recipe, plan, threads."""
    runs: list[Run]
    paper: PaperRow | None = None
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)
    version: int = RECORD_VERSION

    @property
    def packed_bytes(self) -> list[int]:
        """Size of each run's .nsm file; empty unless every run has one."""
        sizes = [run.packed_bytes for run in self.runs if run.packed_bytes is not None]
        return sizes if len(sizes) == len(self.runs) else []

    def to_json(self) -> str:
        """Readable JSON; lists of numbers on one line each."""
        text = json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False)
        return re.sub(r"\[(\n[-+\d.e,\s]+)\]", lambda numbers: f"[{' '.join(numbers[1].split())}]", text) + "\n"

    def write(self, path: str | Path) -> None:
        """Write the record, under a temporary name first."""
        write_verified(path, self.to_json().encode("utf-8"), lambda written: Record.read(written) == self)

    @classmethod
    def read(cls, path: str | Path) -> Record:
        """The inverse of `write`. Raises DataError if the file is not a record of this version."""
        try:
            table = json.loads(Path(path).read_text(encoding="utf-8"))
            if table["version"] != RECORD_VERSION:
                raise DataError(
                    f"{path} is a record of version {table['version']}; this library reads {RECORD_VERSION}."
                )
            runs = [
                Run(
                    **{
                        **run,
                        "tensors": [TensorCount(**{**row, "shape": tuple(row["shape"])}) for row in run["tensors"]],
                        "trace": Trace(**run["trace"]),
                    }
                )
                for run in table["runs"]
            ]
            paper = PaperRow(**table["paper"]) if table["paper"] is not None else None
            return cls(**{**table, "runs": runs, "paper": paper})
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} is not a record of an experiment: {error!r}.") from error


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; the spread of a single value is 0."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0
