"""What the recorded experiments came to: each record of benchmarks/results/mnist with the sizes of its files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from netsurgery.records.record import Record, mean_and_spread

RESULTS = Path(__file__).parent / "results"
RECORDS = RESULTS / "mnist"
NETWORKS = {"lenet300": "LeNet-300-100", "lenet5": "LeNet-5"}
"""Experiment -> title, in the paper's order."""
METHODS = {
    "surgery": "surgery, one density",
    "threshold-surgery": "the paper's rule, `c_rate` by hand",
    "han-pruning": "Han et al. 2015, no splicing",
    "naive-cut": "naive cut, no retraining",
    "surgery+inq": "surgery, then powers of two",
    "inq": "powers of two",
    "sketching": "binary planes",
}
"""Method -> in words, in the order of the tables."""
SHIFTED = ", images shifted by up to a pixel"
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Outcome:
    """A recorded experiment.

    name: of its record, NAME.json. file_bytes: of each seed's .nsm file, weights exact; empty where they weren't noted.
    """

    name: str
    record: Record
    file_bytes: tuple[int, ...]

    @property
    def network(self) -> str:
        """A key of NETWORKS."""
        return str(self.record.configuration["experiment"])

    @property
    def method(self) -> str:
        """A key of METHODS."""
        return str(self.record.configuration["method"])

    @property
    def words(self) -> str:
        """The method, without its numbers."""
        return METHODS[self.method] + (SHIFTED if self.shifted else "")

    @property
    def words_with_numbers(self) -> str:
        """The method with its numbers."""
        return ", ".join(filter(None, (METHODS[self.method], self.short))) + (SHIFTED if self.shifted else "")

    @property
    def short(self) -> str:
        """The method's numbers."""
        pruned = [f"{self.compression:.0f}x"] if self.prunes else []
        bits = [f"{self.bits} bits"] if self.bits else []
        planes = [f"{self.planes} plane{'s' * (self.planes > 1)}"] if self.planes else []
        return ", ".join(pruned + bits + planes)

    @property
    def shifted(self) -> bool:
        """Whether it was trained on shifted images."""
        return bool(self.record.configuration["training"]["shifted"])

    @property
    def prunes(self) -> bool:
        """Whether connections are cut on purpose; rounding to 0 doesn't count."""
        return self.method not in ("inq", "sketching")

    @property
    def bits(self) -> int:
        """Of powers of two; 0 where weights aren't any."""
        return self._largest("bits")

    @property
    def planes(self) -> int:
        """Of sketches, which are as many bits a weight; 0 where weights aren't any."""
        return self._largest("planes")

    @property
    def weight_bits(self) -> int:
        """Of a weight that is kept."""
        return self.bits or self.planes or 8 * FLOAT_BYTES

    @property
    def steps(self) -> int:
        """Of training, without the reference's."""
        return int(self.record.configuration["training"]["steps"])

    @property
    def seconds(self) -> float:
        """Of training, of the quickest seed: what else ran on the machine can only have added to it."""
        return min(run.duration_s for run in self.record.runs)

    @property
    def processor(self) -> str:
        """On which it was trained."""
        return self.record.machine["processor"]

    @property
    def connections(self) -> float:
        """Kept, mean over seeds."""
        return mean_and_spread([run.kept for run in self.record.runs])[0]

    @property
    def compression(self) -> float:
        """All connections / kept, mean over seeds."""
        return mean_and_spread([run.compression for run in self.record.runs])[0]

    @property
    def error_before_percent(self) -> float:
        """Of the dense network on the test images."""
        return mean_and_spread([run.test_error_before_percent for run in self.record.runs])[0]

    @cached_property
    def error_percent(self) -> tuple[float, float]:
        """On the test images: mean and standard deviation over seeds."""
        return mean_and_spread([run.test_error_percent for run in self.record.runs])

    @property
    def lossless(self) -> bool:
        """Whether the mean test error is no larger than the dense network's."""
        return self.error_percent[0] <= self.error_before_percent

    @property
    def mean_bytes(self) -> float:
        """Of a whole file. Raises ValueError where sizes weren't noted."""
        return mean_and_spread(self.file_bytes)[0]

    @property
    def times_smaller(self) -> float:
        """The dense network's weights as float32 / the whole file."""
        return FLOAT_BYTES * self.record.runs[0].size / self.mean_bytes

    def _largest(self, number: str) -> int:
        return max(int(stage.get(number, 0)) for stage in self.record.configuration["plan"]["stage"])


def outcomes(records: Path = RECORDS, file_sizes: Path = RESULTS / "file_size.json") -> list[Outcome]:
    """All of them: networks in the paper's order, methods in METHODS' order, mildest first."""
    measured: dict[str, tuple[int, ...]] = {}
    for row in json.loads(file_sizes.read_text(encoding="utf-8"))["rows"]:
        if row["weights"] == "float32, exact":
            measured[row["network"]] = (*measured.get(row["network"], ()), row["size_bytes"][".nsm"])
    found = []
    for path in sorted(records.glob("*.json")):
        record = Record.read(path)
        packed = tuple(run.packed_bytes for run in record.runs if run.packed_bytes is not None)
        known = packed or measured.get(path.stem, ())
        found.append(Outcome(path.stem, record, known if len(known) == len(record.runs) else ()))
    networks, methods = list(NETWORKS), list(METHODS)
    found.sort(
        key=lambda outcome: (
            networks.index(outcome.network),
            methods.index(outcome.method),
            outcome.shifted,
            -outcome.bits,
            -outcome.planes,
            outcome.compression,
        )
    )
    return found
