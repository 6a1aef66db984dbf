"""Records of experiments that nobody has made, to make tables of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netsurgery.records.record import Record, Run, TensorCount, Trace

SIZE = 266_610
STAGES: dict[str, dict[str, Any]] = {"inq": {"bits": 5}, "surgery+inq": {"bits": 5}, "sketching": {"planes": 2}}


def record_of(
    network: str = "lenet300",
    method: str = "surgery",
    errors: Sequence[float] = (2.0,),
    packed_bytes: int | None = 1000,
    steps: int = 9_000,
    kept: int = SIZE,
    **stage: Any,
) -> Record:
    """`errors`: of each seed, in percent, where the dense network has 2.28. `stage`: its method's numbers."""
    runs = [
        Run(seed, 0.0, 0.0, 2.28, error, [TensorCount("fc", (SIZE,), kept, SIZE)], 60.0, Trace(), packed_bytes)
        for seed, error in enumerate(errors)
    ]
    configuration = {
        "experiment": network,
        "method": method,
        "reference": f"{network}_reference.safetensors",
        "training": {"steps": steps, "shifted": 0.0},
        "plan": {"stage": [{**STAGES.get(method, {}), **stage}]},
    }
    machine = {"processor": "A processor", "threads": "1"}
    return Record("A title", configuration, runs, None, {"torch": "2"}, machine)
