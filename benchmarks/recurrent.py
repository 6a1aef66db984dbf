"""Recurrent networks beside ONNX Runtime: a step at a time with states in and out, and whole sequences.

    python benchmarks/recurrent.py --out benchmarks/results/recurrent.json

Two layers of 256, dense and with a tenth of the weights kept at random, one thread, one sequence. Both runtimes take
turns in one process; ONNX Runtime runs the same network as ONNX's LSTM or GRU. Each instruction set that the machine
has is forced in turn for the engine; ONNX Runtime takes what it finds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.deployment.measuring import measured
from netsurgery.errors import SettingError
from netsurgery.files import write_verified
from netsurgery.timing.machine import machine, versions

SIZE, LAYERS = 256, 2
DENSITIES = (1.0, 0.1)
STEPS = (1, 100)
NETWORKS = {"LSTM": nn.LSTM, "GRU": nn.GRU}
SETS = ("avx512", "avx2", "neon", "portable")
GOALS = {1.0: 1.0, 0.1: 5.0}
"""Density -> how many times as fast as ONNX Runtime."""


class Streaming(nn.Module):
    """A recurrent layer that takes its states and gives them back: (T, 1, 256), (2, 1, 256) and a cell for an LSTM."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, hidden: Tensor, *cell: Tensor) -> Any:
        """The outputs of all steps, and the states behind the last one."""
        return self.layer(x, (hidden, *cell) if cell else hidden)


def network(kind: str, density: float) -> Streaming:
    """Random weights, of which each is kept with this probability."""
    torch.manual_seed(0)
    layer = NETWORKS[kind](SIZE, SIZE, LAYERS)
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.ndim == 2:
                parameter *= torch.rand_like(parameter) < density
    return Streaming(layer).eval()


def examples(kind: str, steps: int) -> tuple[Tensor, ...]:
    """One sequence, and states to begin with."""
    states = 2 if kind == "LSTM" else 1
    return (torch.randn(steps, 1, SIZE), *(torch.randn(LAYERS, 1, SIZE) for _ in range(states)))


def rows(folder: Path, seconds: float) -> list[dict[str, Any]]:
    """A row for each network, density, number of steps and instruction set."""
    found = []
    for kind in NETWORKS:
        for density in DENSITIES:
            for steps in STEPS:
                path = folder / f"{kind}-{density}-{steps}.nsm"
                report = ns.pack(network(kind, density), path, example_inputs=examples(kind, steps), open_axes={})
                for instructions in SETS:
                    os.environ["NETSURGERY_ISA"] = instructions
                    try:
                        (row,) = measured(path, "onnxruntime", None, (1,), seconds)["rows"]
                    except SettingError:  # not on this machine
                        continue
                    finally:
                        del os.environ["NETSURGERY_ISA"]
                    said = {"network": kind, "density": density, "steps": steps, "instructions": instructions}
                    found.append(said | {"size_bytes": report.size_bytes, "goal": GOALS[density]} | row)
    return found


def table(record: dict[str, Any]) -> Table:
    """What the record says, a line for each row."""
    shown = Table("network", "kept", "steps", "instructions", "netsurgery, us", "ONNX Runtime, us", "times faster")
    for row in record["rows"]:
        ours, theirs = (row["runtimes"][name]["median_us"] for name in ("netsurgery", "onnxruntime"))
        shown.add_row(
            *(row["network"], f"{row['density']:.0%}", str(row["steps"]), row["instructions"]),
            *(f"{ours:,.1f}", f"{theirs:,.1f}", f"{row['times_faster']['median']:.2f}"),
        )
    return shown


def main(arguments: list[str]) -> int:
    """Measures, prints, and writes the record where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each runtime in each row")
    parser.add_argument("--out", type=Path, help="a JSON file for the record")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        record = {
            "size": SIZE,
            "layers": LAYERS,
            "machine": machine(1),
            "versions": versions(("netsurgery", "torch", "onnxruntime", "numpy")),
            "rows": rows(Path(folder), given.seconds),
        }
    Console().print(table(record))
    if given.out is not None:
        content = (json.dumps(record, indent=1) + "\n").encode()
        write_verified(given.out, content, lambda path: path.read_bytes() == content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
