"""Latency over density, from 1 % to 100 % of the connections, and where the engine stops being faster than dense.

    python benchmarks/density.py
    python benchmarks/density.py --only "3x3, 128 channels, 28x28"

For each shape of layer a chain of them (so that changing layouts at both ends weighs as in a network), and ResNet-50 as
a whole; random weights, the smallest of each layer cut. ONNX Runtime runs the same network with its zeros in place, in
turns with the engine. Times of chains are for one layer. At the lowest densities packing finds units without effect in
the chains and removes them, as it does for every network; `connections` says what was left.

Writes benchmarks/results/density.json and density.svg; with --only, nothing unless --out says where.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import charts
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from networks import resnet50
from networks.magnitude import cut
from runtimes import Array, Engine, Runtime, compared, netsurgery, onnx_runtime
from torch import nn

import netsurgery as ns
from netsurgery.graph.capture import capture
from netsurgery.graph.to_onnx import write_onnx
from netsurgery.runtime.reference import run_node
from netsurgery.timing.machine import machine, other_processes, versions

RESULTS = Path(__file__).parent / "results"
DENSITIES = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
OURS, THEIRS = "netsurgery", "onnxruntime"


@dataclass(frozen=True)
class Case:
    """build: density -> a network of `layers` layers of one shape (1: a network as a whole). shape: of one input."""

    build: Callable[[float], nn.Module]
    shape: tuple[int, ...]
    batch: int = 1
    layers: int = 1


def chain(density: float, *layers: nn.Module) -> nn.Module:
    """The layers with a ReLU behind each, in eval mode; He-initialised, cut to `density`."""
    torch.manual_seed(0)
    model = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU()))).eval()
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.uniform_(layer.bias, 0.0, 0.1)
        cut(layer.weight, density)
    return model


def pointwise(density: float) -> nn.Module:
    return chain(density, *(nn.Conv2d(*sizes, 1) for _ in range(4) for sizes in ((256, 64), (64, 256))))


def convolutions(channels: int) -> Callable[[float], nn.Module]:
    return lambda density: chain(density, *(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(8)))


def fully_connected(density: float) -> nn.Module:
    return chain(density, nn.Linear(4096, 4096))


CASES = {
    "1x1, 256 and 64 channels, 56x56": Case(pointwise, (256, 56, 56), layers=8),
    "3x3, 128 channels, 28x28": Case(convolutions(128), (128, 28, 28), layers=8),
    "3x3, 256 channels, 14x14": Case(convolutions(256), (256, 14, 14), layers=8),
    "fully connected, 4096 to 4096": Case(fully_connected, (4096,)),
    "fully connected, batch 16": Case(fully_connected, (4096,), batch=16),
    "ResNet-50": Case(resnet50, (3, 224, 224)),
}


def measured(case: Case, density: float, threads: int, rounds: int, engine: Engine) -> dict[str, Any]:
    """Both runtimes at one density."""
    model = case.build(density)
    x: Array = np.random.default_rng(0).random((case.batch, *case.shape), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        packed, dense = Path(folder) / "network.nsm", Path(folder) / "network.onnx"
        report = ns.pack(model, packed, example_inputs=torch.from_numpy(x[:1]))
        write_onnx(capture(model, run_node, torch.from_numpy(x[:1])).graph, dense)
        runtimes: dict[str, Runtime] = {
            THEIRS: onnx_runtime(dense, x, threads),
            OURS: netsurgery(packed, x, threads, engine),
        }
        difference, times = compared(runtimes, rounds)
    figures = {name: own.figures() for name, own in times.items()}
    for figure in figures.values():
        figure |= {key: round(value / case.layers, 2) for key, value in figure.items() if key.endswith("_us")}
    return {
        "density": density,
        "connections": report.connections,
        "runtimes": figures,
        "times_faster": times[OURS].times_faster_than(times[THEIRS]).rounded(),
        "largest_difference": difference,
    }


def crossing(points: list[dict[str, Any]]) -> float | None:
    """The density from which on dense is as fast; straight lines between points on logarithmic axes.

    None if the engine is still faster at the last density; 0 if it is faster at none.
    """
    faster = [point["times_faster"]["median"] > 1 for point in points]
    if faster[-1]:
        return None
    last = max((index for index, is_faster in enumerate(faster) if is_faster), default=-1)
    if last < 0:
        return 0.0
    (low, advantage), (high, disadvantage) = (
        (math.log(point["density"]), math.log(point["times_faster"]["median"])) for point in points[last : last + 2]
    )
    return round(math.exp(low + (high - low) * advantage / (advantage - disadvantage)), 4)


def draw(axes: Axes, name: str, points: list[dict[str, Any]], cross: float | None) -> None:
    """Both runtimes over density, medians with a band from the 10th to the 90th percentile."""
    percent = [100 * point["density"] for point in points]
    scale = 1e-3
    for runtime, color, label in ((OURS, charts.OURS, "netsurgery"), (THEIRS, charts.THEIRS, "ONNX Runtime")):
        median, low, high = (
            [scale * point["runtimes"][runtime][key] for point in points] for key in ("median_us", "p10_us", "p90_us")
        )
        axes.plot(percent, median, color=color, linewidth=1.7, marker="o", markersize=3, label=label)
        axes.fill_between(percent, low, high, color=color, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set_title(name)
    axes.set_xlabel("density, %")
    axes.set_ylabel("ms")
    if cross:
        axes.axvline(100 * cross, color=charts.INK, linestyle=":", linewidth=1)
    words = "faster up to 100 %" if cross is None else f"equal at {100 * cross:.0f} %" if cross else "slower throughout"
    ground = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.text(0.98, 0.04, words, transform=axes.transAxes, ha="right", fontsize=8, bbox=ground)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=tuple(CASES), help="one shape")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="default 2")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="turns of each runtime (default 7)")
    parser.add_argument("--engine", choices=("native", "reference"), default="native", help="of netsurgery")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where record and chart go")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with other_processes() as others:
        for name in [options.only] if options.only else CASES:
            points = []
            for density in DENSITIES:
                points.append(measured(CASES[name], density, options.threads, options.rounds, options.engine))
                print(name, f"{100 * density:g} %", f"{points[-1]['times_faster']['median']:.2f}x", flush=True)
            cross = crossing(points)
            rows.append({"name": name, "batch": CASES[name].batch, "crossing_density": cross, "points": points})
    print(others.warning or "")
    out = options.out or (None if options.only else RESULTS)
    if out is None:
        return
    with charts.style():
        figure, axes = charts.panels(math.ceil(len(rows) / 3), min(3, len(rows)))
        for place, row in zip(axes, rows, strict=True):
            draw(place, row["name"], row["points"], row["crossing_density"])
        axes[0].legend(frameon=False, fontsize=8, loc="upper left")
        charts.save(figure, out / "density.svg")
    record = {
        "machine": machine(options.threads),
        "versions": versions() | {"onnxruntime": version("onnxruntime")},
        "engine": options.engine,
        "seed": 0,
        "rounds": options.rounds,
        "busy_cores": others.busy_cores,
        "rows": rows,
    }
    (out / "density.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
