"""The engine beside ONNX Runtime and DeepSparse, in one run: latency, and the memory that it takes.

    python benchmarks/engine.py --runs runs --deepsparse ~/deepsparse/bin/python
    python benchmarks/engine.py --only resnet50 --threads 2

Runtimes take turns on the same input, with as many threads each; times are those of calls from Python with NumPy
arrays. ONNX Runtime runs the network as it was, zeros in place, because that is what its user has; where packing has
removed units without effect, it runs the smaller network too ("onnxruntime_living"), mostly the harder comparison.
Outputs are compared first. DeepSparse is optional (pip install deepsparse==1.8.0 into an environment of its own, Python
3.8 to 3.11); it gets the dense file with its zeros, from which it makes its sparse kernels.

Packed networks and ONNX files are made once, in --work. Writes benchmarks/results/engine.json; with --only, nothing
unless --out says where.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from memory import measured
from model_files import ModelFiles, model_files
from networks import NETWORKS, Network
from runtimes import PACE, Array, DeepSparse, Runtime, compared, netsurgery, onnx_runtime

from netsurgery.timing.machine import machine, other_processes, versions

RESULTS = Path(__file__).parent / "results" / "engine.json"
OURS, ONNX, LIVING, DEEPSPARSE = "netsurgery", "onnxruntime", "onnxruntime_living", "deepsparse"
SEED = 0


def latency(
    name: str, files: ModelFiles, batch: int, threads: int, options: argparse.Namespace
) -> tuple[dict[str, Any], str | None]:
    """One row of the record, and the version of DeepSparse if it took part."""
    network = NETWORKS[name]
    x: Array = np.random.default_rng(SEED).random((batch, *network.shape), np.float32)
    runtimes: dict[str, Runtime] = {ONNX: onnx_runtime(files.dense, x, threads)}
    if files.living:
        runtimes[LIVING] = onnx_runtime(files.living, x, threads)
    runtimes[OURS] = netsurgery(files.packed, x, threads, options.engine)
    deepsparse = None
    with contextlib.ExitStack() as stack:
        if options.deepsparse and batch in network.deepsparse_goals:
            runtimes[DEEPSPARSE] = deepsparse = DeepSparse(options.deepsparse, files.older, x, threads)
            stack.callback(deepsparse.close)
        difference, times = compared(runtimes, options.rounds)
    faster = {other: times[OURS].times_faster_than(times[other]).rounded() for other in runtimes if other != OURS}
    row = {
        "network": name,
        "batch": batch,
        "threads": threads,
        "runtimes": {runtime: own.figures() for runtime, own in times.items()},
        "times_faster": faster,
        "goals": _goals(network, batch),
        "largest_difference": difference,
    }
    return row, deepsparse.version if deepsparse else None


def _goals(network: Network, batch: int) -> dict[str, float]:
    goals = {ONNX: network.goals[batch]}
    return goals | ({DEEPSPARSE: network.deepsparse_goals[batch]} if batch in network.deepsparse_goals else {})


def memory(files: ModelFiles, threads: int) -> dict[str, Any]:
    """Of ResNet-50 at batch 1."""
    taken = {OURS: measured("nsm", files.packed, threads, 1), ONNX: measured("onnx", files.dense, threads, 1)}
    ratio = {key: round(taken[OURS][key] / taken[ONNX][key], 3) for key in ("peak_loading_bytes", "peak_running_bytes")}
    return {"network": "resnet50", "batch": 1, "threads": threads, "goal": 0.5, "ratio": ratio, "runtimes": taken}


def shown(row: dict[str, Any]) -> str:
    """A row as a line to read while the rest is measured."""
    parts = [f"{NETWORKS[row['network']].title:28} batch {row['batch']:2} threads {row['threads']}"]
    for name, figures in row["runtimes"].items():
        ratio = row["times_faster"].get(name)
        goal = f", goal {row['goals'][name]:g}x" if name in row["goals"] else ""
        parts.append(
            f"{name} {figures['median_us'] / 1000:.4g} ms" + (f" ({ratio['median']:.2f}x{goal})" if ratio else "")
        )
    return "  ".join(parts)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/benchmarks"), metavar="DIR", help="for made files")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="runs of netsurgery reproduce, for the LeNets")
    parser.add_argument("--only", choices=tuple(NETWORKS), help="one network")
    parser.add_argument("--threads", type=int, action="append", metavar="N", help="may be repeated (default 1 and 2)")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="turns of each runtime (default 15)")
    parser.add_argument("--deepsparse", type=Path, metavar="PYTHON", help="an interpreter that has DeepSparse")
    parser.add_argument("--engine", choices=("native", "reference"), default="native", help="of netsurgery")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the record goes")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    names = [options.only] if options.only else list(NETWORKS)
    threads_tried = options.threads or [1, 2]
    torch.set_num_threads(1)
    rows, weights, deepsparse, taken = [], {}, None, None
    for name in names:
        files = model_files(name, NETWORKS[name], options.runs, options.work)
        weights[name] = {
            "title": NETWORKS[name].title,
            "origin": files.origin,
            "connections": files.connections,
            "entries": files.entries,
            "units_removed": files.living is not None,
        }
        for threads in threads_tried:
            for batch in NETWORKS[name].goals:
                with other_processes() as others:
                    row, found = latency(name, files, batch, threads, options)
                deepsparse = found or deepsparse
                rows.append(row | {"busy_cores": others.busy_cores})
                print(shown(row), others.warning or "", sep="\n", flush=True)
        if name == "resnet50" and options.engine == "native":
            taken = memory(files, max(threads_tried))
            print("memory, of ONNX Runtime's:", taken["ratio"])
    record = {
        "machine": machine(max(threads_tried)),
        "versions": versions() | {"onnxruntime": version("onnxruntime")},
        "deepsparse": deepsparse or "not measured",
        "engine": options.engine,
        "seed": SEED,
        "rounds": options.rounds,
        "turn_s": PACE.turn_s,
        "networks": weights,
        "rows": rows,
        "memory": taken,
    }
    out = options.out or (None if options.only else RESULTS)
    if out:
        out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
