"""Single convolutions as networks have them: the engine beside ONNX Runtime, by density and instruction set.

    python benchmarks/layers.py
    python benchmarks/layers.py --only "3x3, 512 channels, 7x7" --threads 2

GFLOP/s are of all multiply-adds, those with zeros too (two operations each), so that rates of one layer compare. `call`
is a whole call, in which the engine brings one layer into its layout and back, as a network does at its ends; `kernel`
is the convolution's own step. ONNX Runtime runs the same layer with its zeros in place, in turns with the engine; it
can't be told which instructions to use and takes the best ones, so that AVX2 is to be judged by its share of the peak
where the machine has AVX-512. Weights are random.

Writes benchmarks/results/layers.json; with --only, nothing unless --out says where.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks.magnitude import cut
from peak import measured_peak
from runtimes import Array, Runtime, compared, netsurgery, onnx_runtime
from torch import nn

import netsurgery as ns
from netsurgery import _native
from netsurgery.graph.capture import capture
from netsurgery.graph.to_onnx import write_onnx
from netsurgery.runtime.reference import run_node
from netsurgery.timing.instruction_sets import instructions
from netsurgery.timing.machine import machine, other_processes, versions

RESULTS = Path(__file__).parent / "results"
DENSITIES = (1.0, 0.5, 0.1)
THEIRS = "onnxruntime"
PROFILES = 15


@dataclass(frozen=True)
class Layer:
    """A convolution with a bias and a ReLU behind it. size: of the square picture that it sees."""

    inputs: int
    outputs: int
    kernel: int
    size: int
    stride: int = 1
    groups: int = 1

    @property
    def multiply_adds(self) -> int:
        """Of one image, with all weights."""
        pixels = (-(-self.size // self.stride)) ** 2
        return self.outputs * (self.inputs // self.groups) * self.kernel**2 * pixels

    def build(self, density: float) -> nn.Module:
        """In eval mode, He-initialised, the smallest weights cut."""
        torch.manual_seed(0)
        convolution = nn.Conv2d(
            self.inputs, self.outputs, self.kernel, self.stride, self.kernel // 2, groups=self.groups
        )
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        cut(convolution.weight, density)
        return nn.Sequential(convolution, nn.ReLU()).eval()


LAYERS = {
    "7x7 stem, 3 to 64 channels, 224x224": Layer(3, 64, 7, 224, 2),
    "3x3 stem, 3 to 32 channels, 224x224": Layer(3, 32, 3, 224, 2),
    "3x3, 64 channels, 224x224": Layer(64, 64, 3, 224),
    "3x3, 64 channels, 56x56": Layer(64, 64, 3, 56),
    "3x3, 64 to 128 channels, 56x56, stride 2": Layer(64, 128, 3, 56, 2),
    "3x3, 128 channels, 28x28": Layer(128, 128, 3, 28),
    "3x3, 256 channels, 14x14": Layer(256, 256, 3, 14),
    "3x3, 512 channels, 7x7": Layer(512, 512, 3, 7),
    "1x1, 256 to 64 channels, 56x56": Layer(256, 64, 1, 56),
    "1x1, 64 to 256 channels, 56x56": Layer(64, 256, 1, 56),
    "1x1, 512 to 128 channels, 28x28": Layer(512, 128, 1, 28),
    "1x1, 1024 to 256 channels, 14x14": Layer(1024, 256, 1, 14),
    "1x1, 2048 to 512 channels, 7x7": Layer(2048, 512, 1, 7),
    "1x1, 24 to 144 channels, 56x56": Layer(24, 144, 1, 56),
    "1x1, 192 to 32 channels, 28x28": Layer(192, 32, 1, 28),
    "1x1, 960 to 160 channels, 7x7": Layer(960, 160, 1, 7),
    "3x3, 128 to 32 channels, 28x28": Layer(128, 32, 3, 28),
    "3x3, 64 channels, 80x80": Layer(64, 64, 3, 80),
    "3x3, 128 channels, 20x20": Layer(128, 128, 3, 20),
    "3x3 in 32 groups, 128 channels, 28x28": Layer(128, 128, 3, 28, groups=32),
    "3x3 depthwise, 32 channels, 112x112": Layer(32, 32, 3, 112, groups=32),
    "3x3 depthwise, 96 channels, 112x112, stride 2": Layer(96, 96, 3, 112, 2, groups=96),
    "3x3 depthwise, 576 channels, 14x14": Layer(576, 576, 3, 14, groups=576),
    "5x5 depthwise, 480 channels, 14x14": Layer(480, 480, 5, 14, groups=480),
}


def kernel_us(path: Path, x: Array, threads: int) -> tuple[str, float]:
    """The kind of the convolution's own step, and the median of what it takes."""
    session = ns.load(path, threads=threads)
    session(x)
    rounds = [session.profile(x) for _ in range(PROFILES)]
    index = max(range(len(rounds[0])), key=lambda step: rounds[0][step][3])
    return rounds[0][index][1], statistics.median(taken[index][2] for taken in rounds)


def measured(layer: Layer, density: float, batch: int, threads: int, rounds: int) -> dict[str, Any]:
    """One layer at one density: ONNX Runtime, and the engine with each instruction set of this machine."""
    model = layer.build(density)
    x: Array = np.random.default_rng(0).random((batch, layer.inputs, layer.size, layer.size), np.float32)
    operations = 2e-3 * layer.multiply_adds * batch
    with tempfile.TemporaryDirectory() as folder:
        packed, dense = Path(folder) / "layer.nsm", Path(folder) / "layer.onnx"
        ns.pack(model, packed, example_inputs=torch.from_numpy(x[:1]))
        write_onnx(capture(model, run_node, torch.from_numpy(x[:1])).graph, dense)
        runtimes: dict[str, Runtime] = {THEIRS: onnx_runtime(dense, x, threads)}
        kernels = {}
        for name in (name for name in _native.available_instructions() if name != "portable"):
            with instructions(name):
                runtimes[name] = netsurgery(packed, x, threads)
                kernels[name] = kernel_us(packed, x, threads)
        _, times = compared(runtimes, rounds)
    engines: dict[str, Any] = {}
    for name, (kind, took_us) in kernels.items():
        engines[name] = times[name].figures() | {
            "call_gflops": round(operations / times[name].latency_us.median, 1),
            "kernel": kind,
            "kernel_gflops": round(operations / took_us, 1),
            "times_faster": times[name].times_faster_than(times[THEIRS]).rounded(),
        }
    theirs = times[THEIRS]
    return {
        "density": density,
        THEIRS: theirs.figures() | {"call_gflops": round(operations / theirs.latency_us.median, 1)},
        "netsurgery": engines,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=tuple(LAYERS), help="one layer")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="default 1")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="images (default 1)")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="turns of each runtime (default 7)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the record goes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    peak = measured_peak(options.threads)
    print("peak, GFLOP/s:", peak)
    rows = []
    with other_processes() as others:
        for name in [options.only] if options.only else LAYERS:
            layer = LAYERS[name]
            points = []
            for density in DENSITIES:
                point = measured(layer, density, options.batch, options.threads, options.rounds)
                points.append(point)
                print(f"{name}, {100 * density:g} %: {THEIRS} {point[THEIRS]['call_gflops']:.0f}", end="")
                for instruction_set, engine in point["netsurgery"].items():
                    ratio = engine["times_faster"]["median"]
                    print(
                        f"; {instruction_set} {engine['kernel_gflops']:.0f} ({engine['kernel']}), {ratio:.2f}x", end=""
                    )
                print(flush=True)
            rows.append({"name": name} | asdict(layer) | {"points": points})
    print(others.warning or "")
    out = options.out or (None if options.only else RESULTS)
    if out is None:
        return
    record = {
        "machine": machine(options.threads),
        "versions": versions() | {"onnxruntime": version("onnxruntime")},
        "peak_gflops": peak,
        "batch": options.batch,
        "rounds": options.rounds,
        "seed": 0,
        "busy_cores": others.busy_cores,
        "rows": rows,
    }
    (out / "layers.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
