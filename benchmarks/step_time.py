"""What a method adds to a training step: time beside the same step without it, and memory for surgery.

    python benchmarks/step_time.py --out benchmarks/results/step_time.json

A step without and one with each method take turns in one process, so that a change of the machine's speed meets all;
who is first changes from turn to turn. What the operation's hooks take is measured inside of the same steps: it is
smaller than the differences between steps of a machine that others use too.
Surgery's median step is one without a refresh of the masks; the mean includes the refreshes (every 20th step). Sketches
are made in every step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.files import write_verified
from netsurgery.methods.base import Method
from netsurgery.timing.calls import timed
from netsurgery.timing.machine import machine, other_processes, peak_resident_bytes, versions
from netsurgery.timing.turns import Pace, in_turns
from netsurgery.zoo.lenet import LeNet5, LeNet300
from netsurgery.zoo.resnet import resnet20

BATCH = 64
PLAIN = "without a method"
MEMORY_WIDTH = 8192  # three square layers: 201 million weights, hardly any activations
MEMORY_STEPS = 12


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, as in ResNet-18."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


def resnet18() -> nn.Module:
    """11.7 million parameters, (n, 3, 224, 224) -> (n, 1000)."""
    stages = [
        (64, 64, 1),
        (64, 64, 1),
        (64, 128, 2),
        (128, 128, 1),
        (128, 256, 2),
        (256, 256, 1),
        (256, 512, 2),
        (512, 512, 1),
    ]
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        *(Block(*stage) for stage in stages),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(512, 1000),
    )


METHODS: dict[str, Callable[[int], Method[Any]]] = {
    # given the steps of a run; surgery's are those of a long training, whose ramp refreshes masks every 20th step (what
    # it does takes as long at any density; in a training of a few hundred steps refreshes are more frequent)
    "surgery": lambda steps: ns.Surgery(density=0.02, steps=max(40_000, 4 * steps)),
    "5-bit powers of two": lambda steps: ns.INQ(bits=5, steps=2 * steps),
    "1 binary plane": lambda steps: ns.Sketching(planes=1, steps=4 * steps),
    "2 binary planes, direct": lambda steps: ns.Sketching(planes=2, refined=False, steps=4 * steps),
    "2 binary planes, refined": lambda steps: ns.Sketching(planes=2, steps=4 * steps),
    "3 binary planes, direct": lambda steps: ns.Sketching(planes=3, refined=False, steps=4 * steps),
    "3 binary planes, refined": lambda steps: ns.Sketching(planes=3, steps=4 * steps),
}

RESNET_GOALS = dict.fromkeys(METHODS, 1.25) | {"surgery": 1.02, "5-bit powers of two": None}
CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int, int, dict[str, float | None]]] = {
    # network, batch of images, classes, turns, methods with goals for the ratio
    "ResNet-20": (resnet20, (128, 3, 32, 32), 10, 60, {"surgery": 1.02}),
    "ResNet-18": (resnet18, (16, 3, 224, 224), 1000, 30, RESNET_GOALS),
    "LeNet-5": (LeNet5, (BATCH, 1, 28, 28), 10, 400, {"surgery": 1.05}),
    "LeNet-300-100": (LeNet300, (BATCH, 1, 28, 28), 10, 2000, {"surgery": 1.30}),
}


class Step:
    """Training steps of one network, of which the operation's hooks are a part."""

    def __init__(
        self, build: Callable[[], nn.Module], shape: tuple[int, ...], classes: int, method: Method[Any] | None
    ) -> None:
        torch.manual_seed(0)
        self._model = build().to(memory_format=torch.channels_last)
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
        self._moments_s: list[float] = []  # four of each step: before and after what goes before and after the move
        self._note_around_hooks()
        if method is not None:
            ns.attach(self._model, self._optimizer, method)
        self._note_around_hooks()
        self._images = torch.rand(shape).contiguous(memory_format=torch.channels_last)
        self._labels = torch.randint(0, classes, shape[:1])

    def take(self) -> None:
        """One step."""
        self._optimizer.zero_grad()
        F.cross_entropy(self._model(self._images), self._labels).backward()
        self._optimizer.step()

    def hooks_us(self, steps: int) -> list[float]:
        """What the hooks took of each of the last so many steps."""
        by_step = np.reshape(self._moments_s, (-1, 4))[-steps:]
        return [1e6 * float(revealed - before + projected - moved) for before, revealed, moved, projected in by_step]

    def _note_around_hooks(self) -> None:
        self._optimizer.register_step_pre_hook(self._note)
        self._optimizer.register_step_post_hook(self._note)

    def _note(self, *_: object) -> None:
        self._moments_s.append(time.perf_counter())


def measure(network: str, chosen: list[str]) -> list[dict[str, Any]]:
    """Steps in turns, a row for each method; the first tenth of the turns warms up."""
    build, shape, classes, turns, goals = CASES[network]
    methods = {name: METHODS[name](turns) for name in goals if name in chosen}
    steps = {name: Step(build, shape, classes, method) for name, method in {PLAIN: None, **methods}.items()}
    pace = Pace(rounds=turns - turns // 10, calls=1, warm_up_calls=0, warm_up_rounds=turns // 10, pause_s=0)
    times = in_turns({name: partial(timed, step.take) for name, step in steps.items()}, pace)
    plain = times[PLAIN]
    return [
        {
            "network": network,
            "method": name,
            "batch_size": shape[0],
            "steps": plain.calls,
            "median_plain_us": round(plain.latency_us.median, 1),
            "median_operated_us": round(times[name].latency_us.median, 1),
            "median_hooks_us": round(statistics.median(steps[name].hooks_us(pace.rounds)), 1),
            "ratio_of_medians": round(times[name].latency_us.median / plain.latency_us.median, 4),
            "ratio_of_means": round(times[name].mean_us / plain.mean_us, 4),
            "ratio_of_turns": plain.times_faster_than(times[name]).rounded(),
            "goal": goals[name],
        }
        for name in methods
    ]


def peak_bytes(operate: bool) -> int:
    """Peak resident memory of a process that takes a few training steps, measured in that process."""
    command = [sys.executable, __file__, "--memory-probe", str(int(operate))]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory_probe(operate: bool) -> None:
    model = nn.Sequential(*(nn.Linear(MEMORY_WIDTH, MEMORY_WIDTH) for _ in range(3)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    if operate:
        ns.attach(model, optimizer, ns.Surgery(density=0.02, steps=MEMORY_STEPS, interval=2))
    for _ in range(MEMORY_STEPS):
        optimizer.zero_grad()
        model(torch.rand(8, MEMORY_WIDTH)).square().mean().backward()
        optimizer.step()
    print(peak_resident_bytes())


def measure_memory() -> dict[str, float]:
    weights = 3 * (MEMORY_WIDTH**2 + MEMORY_WIDTH)
    plain, operated = peak_bytes(False), peak_bytes(True)
    return {
        "weights": weights,
        "peak_plain_bytes": plain,
        "peak_surgery_bytes": operated,
        "added_bytes_per_weight": round((operated - plain) / weights, 3),
        "goal_bytes_per_weight": 5,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="only rows of these")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory-probe", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    if options.memory_probe is not None:
        memory_probe(bool(options.memory_probe))
        return
    with other_processes() as others:
        rows = [row for network in CASES for row in measure(network, options.methods)]
    keys = ("network", "method", "median_plain_us", "median_hooks_us", "ratio_of_medians", "ratio_of_means", "goal")
    table = Table(*(key.replace("_", " ") for key in keys), title="One training step")
    for row in rows:
        table.add_row(*(str(row[key]) for key in keys))
    Console().print(table, others.warning or "")
    if options.out:
        memory = measure_memory()
        Console().print(f"memory added: {memory['added_bytes_per_weight']} bytes per weight (goal: at most 5)")
        results = {"step": rows, "memory": memory, "versions": versions(), "machine": machine(options.threads)}
        results["busy_cores"] = others.busy_cores
        content = json.dumps(results, indent=1).encode() + b"\n"
        write_verified(options.out, content, lambda path: path.read_bytes() == content)


if __name__ == "__main__":
    main()
