"""Adaptive Fastfood: LeNet-5 with it on MNIST, and how long its transform takes by its size.

    python benchmarks/fastfood.py --data DIR --seeds 3      # trains; some minutes for each seed
    python benchmarks/fastfood.py --times                   # measures; a quarter of a minute

Each writes its part of benchmarks/results/fastfood.json; times are drawn as fastfood.svg.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import charts
import numpy as np
import torch

import netsurgery as ns
from netsurgery.experiments.treatments import CAFFE_RATE
from netsurgery.graph.ir import GraphBuilder
from netsurgery.packed.writer import encode
from netsurgery.timing.calls import timed
from netsurgery.timing.machine import machine, versions
from netsurgery.train.digits import mnist
from netsurgery.train.loop import error_percent, train
from netsurgery.train.recipe import Recipe

RESULTS = Path(__file__).parent / "results" / "fastfood.json"
PICTURE = RESULTS.with_suffix(".svg")
FEATURES = 1024
RECIPE = Recipe(steps=10_000, learning_rate=CAFFE_RATE, bias_factor=2.0)
"""That of the LeNet references, as Caffe trained them."""
SIZES = tuple(2**digits for digits in range(4, 15))
LARGEST_MATRIX = 2048
ROWS = 16  # of a batch
CALLS, TURNS = 5, 7


def trained(folder: Path, seed: int) -> dict[str, Any]:
    """The test error of one training, of the module and of the packed network."""
    torch.manual_seed(seed)
    network = ns.zoo.lenet5_fastfood(FEATURES)
    data = mnist(folder)
    train(network, data.train, RECIPE, seed)
    test = data.read_test()
    images = test.batch(slice(0, len(test)))
    with tempfile.TemporaryDirectory() as where:
        path = Path(where) / "network.nsm"
        report = ns.pack(network, path, example_inputs=images[:64])
        scores = ns.load(path)(images.numpy())
    wrong = int((scores.argmax(axis=1) != test.labels.numpy()).sum())
    return {
        "seed": seed,
        "test_error_percent": round(error_percent(network, test), 3),
        "packed_test_error_percent": round(100 * wrong / len(test), 3),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "packed_bytes": report.size_bytes,
    }


def session(operator: str, size: int) -> ns.Session:
    """A network of one operator: (n, size) -> (n, size)."""
    builder = GraphBuilder()
    x = builder.input("x", ("batch", size))
    if operator == "WalshHadamard":
        output = builder.node(operator, [x], "y", axis=1)
    else:
        weight = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
        output = builder.node(operator, [x, builder.constant(weight)], "y")
    with tempfile.TemporaryDirectory() as where:
        path = Path(where) / "network.nsm"
        path.write_bytes(encode(builder.graph([output])))
        return ns.load(path, threads=1)


def times() -> list[dict[str, Any]]:
    """Medians by size, the transform and a dense matrix in turns."""
    rows = []
    for size in SIZES:
        values = np.random.default_rng(1).normal(size=(ROWS, size)).astype(np.float32)
        operators = ["WalshHadamard", *(["Linear"] if size <= LARGEST_MATRIX else [])]
        sessions = {operator: session(operator, size) for operator in operators}
        measured: dict[str, list[float]] = {operator: [] for operator in operators}
        for _ in range(TURNS):
            for operator, network in sessions.items():
                measured[operator] += timed(partial(network, values), CALLS)
        medians = {operator: round(statistics.median(each), 2) for operator, each in measured.items()}
        rows.append({"size": size, "latency_us": medians})
        print(size, medians, flush=True)
    return rows


def draw(rows: list[dict[str, Any]]) -> None:
    """Time by size, beside lines of d log2(d) and d² that begin where the measured ones are long enough to tell."""
    with charts.style():
        figure, (axes,) = charts.panels(1, 1, 4.2, 3.2)
        for operator, title, work in (
            ("WalshHadamard", "transform", lambda d: d * np.log2(d)),
            ("Linear", "dense matrix", lambda d: d * d),
        ):
            sizes = np.array([row["size"] for row in rows if operator in row["latency_us"]], float)
            took = np.array([row["latency_us"][operator] for row in rows if operator in row["latency_us"]])
            (line,) = axes.plot(sizes, took, marker="o", markersize=3, label=title)
            growth = work(sizes)
            axes.plot(sizes, growth * took[-1] / growth[-1], linestyle=":", color=line.get_color(), linewidth=1)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("size d")
        axes.set_ylabel(f"latency of {ROWS} rows, µs")
        axes.set_title("dotted: d log₂ d, and d²")
        axes.legend(frameon=False)
        charts.save(figure, PICTURE, "Latency of the Walsh-Hadamard transform and of a dense matrix by their size")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the MNIST files")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--times", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    record = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    about = {"machine": machine(threads=1), "versions": versions()}
    if options.times:
        record["times"] = {**about, "rows_of_a_batch": ROWS, "calls": CALLS * TURNS, "rows": times()}
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        draw(record["times"]["rows"])
    if options.data:
        runs: list[dict[str, Any]] = []
        for seed in range(options.seeds):
            runs.append(trained(options.data, seed))
            print(runs[-1], flush=True)
            record = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
            record["lenet5"] = {**about, "features": FEATURES, "steps": RECIPE.steps, "runs": runs}
            RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
