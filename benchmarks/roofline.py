"""Useful GFLOP/s of every step of the engine against the machine's measured peak: where the next microsecond is.

    python benchmarks/roofline.py --only resnet50

Useful operations are two for each multiply-add with a weight that isn't zero; a dense step's are all of them. The peak
is that of fused multiply-adds whose operand is in a register, in a cache or in memory (peak.cpp). In the chart a step
is as wide as its time and as high as its useful rate: what is wide and low is what to work on. Steps without arithmetic
(layouts, pooling) have no height.

Writes benchmarks/results/roofline.json and roofline-NETWORK.svg beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

import charts
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from model_files import model_files
from networks import NETWORKS
from peak import measured_peak
from runtimes import Array

import netsurgery as ns
from netsurgery.timing.machine import machine, versions

RESULTS = Path(__file__).parent / "results"
ROUNDS = 25
COLORS = (charts.OURS, charts.THEIRS, charts.THIRD, charts.FOURTH, "#b7791f", "#0e9aa7", "#7b61ff", charts.GREY)


@dataclass(frozen=True)
class Step:
    """One step of a plan. kind: of kernel; multiply_adds: those that count, of the whole batch."""

    name: str
    kind: str
    median_us: float
    multiply_adds: int

    @property
    def gflops(self) -> float:
        """Useful GFLOP/s."""
        return 2e-3 * self.multiply_adds / self.median_us if self.median_us else 0.0


def profiled(path: Path, x: Array, threads: int) -> list[Step]:
    """The steps of a network in order, each with its median over the rounds."""
    session = ns.load(path, threads=threads)
    session(x)
    rounds = [session.profile(x) for _ in range(ROUNDS)]
    return [
        Step(name, kind, round(statistics.median(taken[index][2] for taken in rounds), 2), multiply_adds)
        for index, (name, kind, _, multiply_adds) in enumerate(rounds[0])
    ]


def draw(axes: Axes, steps: list[Step], peak: dict[str, float]) -> None:
    """Steps from left to right over time, levels of the peak across."""
    kinds = list(dict.fromkeys(step.kind for step in steps if step.multiply_adds))
    colors = {kind: COLORS[index % len(COLORS)] for index, kind in enumerate(kinds)}
    unit, scale = ("ms", 1e-3) if sum(step.median_us for step in steps) > 2000 else ("us", 1.0)
    at = 0.0
    for step in steps:
        wide = step.median_us * scale
        axes.bar(
            at,
            step.gflops,
            wide,
            align="edge",
            color=colors.get(step.kind, charts.GREY),
            edgecolor="white",
            linewidth=0.4,
        )
        if not step.multiply_adds:
            axes.axvspan(at, at + wide, color=charts.GREY, alpha=0.15, linewidth=0)
        at += wide
    for place in ("registers", "l1", "l2"):
        axes.axhline(peak[place], color=charts.INK, linestyle=":", linewidth=1)
        name = {"registers": "peak, from registers", "l1": "operands from L1", "l2": "operands from L2"}[place]
        axes.text(at, peak[place], f"{name} ", ha="right", va="bottom", fontsize=8)
    axes.set_xlim(0, at)
    axes.set_ylim(0, 1.12 * peak["registers"])
    axes.set_xlabel(f"time, {unit}")
    axes.set_ylabel("useful GFLOP/s")
    legend = [Patch(color=color, label=kind) for kind, color in colors.items()]
    if any(not step.multiply_adds for step in steps):
        legend.append(Patch(color=charts.GREY, alpha=0.15, label="no arithmetic"))
    axes.legend(handles=legend, fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/benchmarks"), metavar="DIR", help="for made files")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="runs of netsurgery reproduce, for the LeNets")
    parser.add_argument("--only", choices=tuple(NETWORKS), help="one network")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="default 1")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="where record and charts go")
    options = parser.parse_args()
    torch.set_num_threads(1)
    peak = measured_peak(options.threads)
    print("peak, GFLOP/s:", peak)
    rows = []
    for name in [options.only] if options.only else NETWORKS:
        network = NETWORKS[name]
        files = model_files(name, network, options.runs, options.work)
        for batch in network.goals:
            x: Array = np.random.default_rng(0).random((batch, *network.shape), np.float32)
            steps = profiled(files.packed, x, options.threads)
            time_us = sum(step.median_us for step in steps)
            useful = 2e-3 * sum(step.multiply_adds for step in steps) / time_us
            rows.append(
                {
                    "network": name,
                    "batch": batch,
                    "time_us": round(time_us, 1),
                    "useful_gflops": round(useful, 1),
                    "of_peak": round(useful / peak["registers"], 3),
                    "steps": [asdict(step) | {"gflops": round(step.gflops, 2)} for step in steps],
                }
            )
            print(f"{network.title}, batch {batch}: {time_us:,.0f} us, {useful:.1f} useful GFLOP/s")
            with charts.style():
                figure, (axes,) = charts.panels(1, 1, width=9, height=3.2)
                axes.set_title(
                    f"{network.title}, batch {batch}: {useful:.0f} useful GFLOP/s, {options.threads} thread(s)"
                )
                draw(axes, steps, peak)
                charts.save(figure, options.out / f"roofline-{name}{f'-{batch}' if batch > 1 else ''}.svg")
    record = {
        "machine": machine(options.threads),
        "versions": versions(),
        "rounds": ROUNDS,
        "peak_gflops": peak,
        "rows": rows,
    }
    (options.out / "roofline.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
