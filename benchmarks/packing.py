"""Packing and loading a ResNet-50: seconds, bytes, peak memory; dense, and 90 % sparse.

    python benchmarks/packing.py

Every measurement has a process of its own. Memory is the growth of the peak resident set over what the process held
before (libraries, and for packing the model), as a multiple of the weights as float32; for packing the model's own
weights are added, since they have to be there. Loading is the median of several loads of a file that the system has
in its cache. One thread. Writes benchmarks/results/packing.json.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "packing.json"
LOADS = 7
DENSITIES = (1.0, 0.1)


def pack_once(density: float, path: Path) -> dict[str, float]:
    import torch
    from networks import resnet50

    import netsurgery as ns
    from netsurgery.timing.machine import peak_resident_bytes

    torch.set_num_threads(1)
    model = resnet50(density)
    weights_bytes = 4 * sum(parameter.numel() for parameter in model.parameters())
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    ns.pack(torch.nn.Linear(2, 2), path, example_inputs=torch.zeros(1, 2))  # what torch.export loads on its first call
    with torch.no_grad():
        model(image)
    before, started = peak_resident_bytes(), time.perf_counter()
    report = ns.pack(model, path, example_inputs=image)
    return {
        "pack_s": round(time.perf_counter() - started, 2),
        "pack_peak_of_weights": round((peak_resident_bytes() - before) / weights_bytes + 1, 2),
        "weights_bytes": weights_bytes,
        "size_bytes": report.size_bytes,
        "size_of_weights": round(report.size_bytes / weights_bytes, 4),
        "connections": report.connections,
        "largest_difference": report.difference,
    }


def load_many(path: Path) -> dict[str, float]:
    import netsurgery as ns
    from netsurgery.timing.calls import timed
    from netsurgery.timing.machine import peak_resident_bytes

    ns.load  # noqa: B018  # imports what loading needs
    before = peak_resident_bytes()
    ns.load(path)
    peak = peak_resident_bytes() - before
    seconds = [1e-6 * time_us for time_us in timed(partial(ns.load, path), LOADS)]
    weights_bytes = 4 * sum(constant.size for constant in ns.load(path).graph.constants.values())
    return {
        "load_s": round(statistics.median(seconds), 3),
        "load_s_fastest": round(min(seconds), 3),
        "load_s_slowest": round(max(seconds), 3),
        "load_peak_of_weights": round(peak / weights_bytes, 2),
    }


def in_process(*arguments: str) -> dict[str, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    finished = subprocess.run(
        [sys.executable, __file__, *arguments], env=environment, stdout=subprocess.PIPE, check=True
    )
    return json.loads(finished.stdout)


def main() -> None:
    from netsurgery.timing.machine import machine, versions

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for density in DENSITIES:
            path = str(Path(folder) / "resnet50.nsm")
            rows.append({"network": "ResNet-50", "density": density})
            rows[-1] |= in_process("pack", str(density), path) | in_process("load", path)
            print(rows[-1])
    record = {"machine": machine(threads=1), "versions": versions(), "seed": 0, "loads": LOADS, "rows": rows}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["pack"]:
        print(json.dumps(pack_once(float(sys.argv[2]), Path(sys.argv[3]))))
    elif sys.argv[1:2] == ["load"]:
        print(json.dumps(load_many(Path(sys.argv[2]))))
    else:
        main()
