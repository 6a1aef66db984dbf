"""What `compress` makes of networks, by its defaults: connections, bytes, latency, and what it costs on new data.

    python benchmarks/compress.py benchmarks/tasks/*.py --budget 10m
    python benchmarks/compress.py lenet300 --data DIR/mnist --reference DIR/lenet300.safetensors --budget 10m
    python benchmarks/compress.py benchmarks/tasks/digits_cnn.py --objective latency

A task is a file of benchmarks/tasks, which has a test_loader() besides what `netsurgery compress` asks, or a built-in
one. Test data is read once, when the search has ended. The packed network is timed beside ONNX Runtime, which runs the
dense network that the search began with: one example, one thread, in turns.

Writes benchmarks/results/compress.json, in the place of its rows of the same task, budget, objective, limit and seed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import netsurgery as ns
from netsurgery.cli.compress import shown
from netsurgery.compression.candidate import REFERENCE, Candidate
from netsurgery.compression.result import Compression
from netsurgery.compression.task import Task, default_metric, read_task, scores
from netsurgery.deployment.dense_runtime import DenseRuntime
from netsurgery.experiments.built_in_tasks import built_in
from netsurgery.files import write_verified
from netsurgery.timing.calls import timed
from netsurgery.timing.machine import machine, versions
from netsurgery.timing.turns import Pace, in_turns

RESULTS = Path(__file__).parent / "results" / "compress.json"
PACE = Pace(rounds=9, turn_s=0.1)
SHIFTED = "MNIST, training images shifted by up to a pixel"
DATA = {"lenet300": SHIFTED, "lenet5": SHIFTED, "resnet20": "CIFAR-10", "resnet56": "CIFAR-10"}


def row_of(one: Candidate) -> dict[str, Any]:
    """Of a candidate, what the table says."""
    return {
        "compression": round(one.compression, 2),
        "kept": one.kept,
        "bits": one.bits,
        "value": one.value,
        "drop": one.drop,
        "error": one.error,
        "held": one.held,
        "size_bytes": one.size_bytes,
        "steps": one.trial.steps if one.trial else 0,
    }


def beside_onnx_runtime(result: Compression, example: tuple[np.ndarray, ...]) -> dict[str, float]:
    """Median microseconds of one example: the packed best network in the engine, the dense one in ONNX Runtime."""
    assert result.path is not None
    dense = DenseRuntime(ns.load(result.folder / f"network-{REFERENCE:03}.nsm").graph, 1)
    calls = {
        "latency_us": partial(timed, partial(ns.load(result.path, threads=1), *example)),
        "dense_latency_us": partial(timed, dense.bound(list(example))),
    }
    times = in_turns(calls, PACE)
    return {name: round(times[name].latency_us.median, 3) for name in calls}


def measured(task: Task, name: str, options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """One search, and its network on data that is new to it."""
    module = sys.modules.get(f"netsurgery_task_{name}")
    metric = getattr(module, "metric", default_metric)
    begun_s = time.monotonic()
    before = scores(task.model.eval(), module.test_loader(), metric).numpy() if module else None
    with shown() as progress, torch.enable_grad():
        result = ns.compress(
            task.model,
            task.train_loader,
            task.evaluate,
            loss=task.loss,
            max_loss=options.max_loss,
            budget=int(options.budget) if options.budget.isdigit() else options.budget,
            objective=options.objective,
            baseline=task.baseline,
            certainty=task.certainty if options.certainty is None else options.certainty,
            optimizer=task.optimizer,
            pack_options=task.pack_options,
            seed=seed,
            precision=options.precision,
            out=options.out / f"{name}-{options.objective}-{seed}",
            resume=(options.out / f"{name}-{options.objective}-{seed}").exists(),
            progress=progress,
        )
    row: dict[str, Any] = {
        "task": name,
        "data": getattr(module, "DATA", DATA.get(name)),
        "budget": options.budget,
        "objective": options.objective,
        "max_loss": options.max_loss,
        **({} if options.certainty is None else {"certainty": options.certainty}),
        "seed": seed,
        "precision": options.precision,
        "threads": torch.get_num_threads(),
        "seconds": round(time.monotonic() - begun_s, 1),
        "met": result.met,
        "reference": row_of(result.reference),
        "best": row_of(result.best),
        "curve": [row_of(one) for one in result.curve],
        "tried": len(result.candidates) - 1,
    }
    if module:
        after = scores(result.model.eval(), module.test_loader(), metric).numpy()
        drops = before - after
        row["test"] = {
            "before": float(before.mean()),
            "after": float(after.mean()),
            "drop": float(drops.mean()),
            "error": float(drops.std(ddof=1) / len(drops) ** 0.5),
        }
        example = tuple(part.numpy()[:1] for part in next(iter(module.test_loader()))[:1])
    else:
        row["report"] = task.report(result.model)
        example = (next(iter(task.train_loader))[0].numpy()[:1],)
    return row | beside_onnx_runtime(result, example) | {"machine": machine(threads=1)["processor"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", metavar="TASK", help="a file of benchmarks/tasks, or a built-in task")
    parser.add_argument("--budget", default="10m", metavar="B")
    parser.add_argument("--objective", default="size", choices=("size", "latency"))
    parser.add_argument("--max-loss", type=float, default=0.0, metavar="L", help="in the metric's own unit")
    parser.add_argument("--certainty", type=float, metavar="C", help="the task's own by default")
    parser.add_argument("--seeds", type=int, default=1, metavar="N")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--reference", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, default=Path("runs/compress"), metavar="DIR", help="for searches")
    options = parser.parse_args()
    os.environ.setdefault("NETSURGERY_REFERENCES", str(options.out / "references"))
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    for given in options.tasks:
        for seed in range(options.seeds):
            if given in DATA:
                name, task = given, built_in(given, options.data, options.reference)
            else:
                name, task = Path(given).stem, read_task(Path(given))
            row = measured(task, name, options, seed)
            print(json.dumps(row), flush=True)
            keep(row)


def keep(row: dict[str, Any]) -> None:
    """Put a row into the record."""
    before = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"] if RESULTS.exists() else []
    key = ("task", "budget", "objective", "max_loss", "certainty", "seed", "precision")
    before = [{"precision": "float32", **one} for one in before]
    others = [one for one in before if any(one.get(part) != row.get(part) for part in key)]
    found = {"rows": [*others, row], "versions": versions(), "machine": machine(threads=1)}
    content = json.dumps(found, indent=1).encode() + b"\n"
    write_verified(RESULTS, content, lambda path: path.read_bytes() == content)


if __name__ == "__main__":
    main()
