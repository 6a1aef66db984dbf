"""What was measured of each method's network: benchmarks/results/methods.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outcomes import RESULTS

DENSE, ONNX = "dense", "onnxruntime"
"""The dense network on the engine and on ONNX Runtime; other runtimes bear the names of their records."""
BATCHES = (1, 64)


@dataclass(frozen=True)
class Latencies:
    """record: as benchmarks/methods.py writes it."""

    record: dict[str, Any]

    @classmethod
    def read(cls, path: Path = RESULTS / "methods.json") -> Latencies:
        """What was recorded last."""
        return cls(json.loads(path.read_text(encoding="utf-8")))

    def has(self, network: str, runtime: str) -> bool:
        """Whether it was measured at each batch size."""
        return all(runtime in self._row(network, batch).get("runtimes", {}) for batch in BATCHES)

    def median_us(self, network: str, runtime: str, batch: int) -> float:
        """Of one call with the whole batch."""
        return float(self._row(network, batch)["runtimes"][runtime]["median_us"])

    def times_faster(self, network: str, runtime: str, batch: int) -> float:
        """Than the dense network on ONNX Runtime."""
        return float(self._row(network, batch)["times_faster"][runtime][ONNX]["median"])

    def _row(self, network: str, batch: int) -> dict[str, Any]:
        rows = [row for row in self.record["rows"] if (row["network"], row["batch"]) == (network, batch)]
        return rows[0] if rows else {}
