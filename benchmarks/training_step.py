"""Where the time of a ResNet-20 step on CIFAR-10 goes, and what of the set-up changes it.

    python benchmarks/training_step.py --out benchmarks/results/training_step.json
    python benchmarks/training_step.py --device cuda --out benchmarks/results/training_step-h100.json

Each variant differs from the base in what its name says. All take turns in one process, so that a change of the
machine's speed meets all; who is first changes from round to round. Ratios are of images a second, of neighbouring
turns. Images are drawn at random, as a step takes the same time on any.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from torch import nn

import netsurgery as ns
from netsurgery.files import write_verified
from netsurgery.schedules import Constant
from netsurgery.timing.machine import machine, other_processes, versions
from netsurgery.timing.turns import Pace, Times, in_turns
from netsurgery.train.batches import Batches
from netsurgery.train.cifar import NORMALIZATION
from netsurgery.train.device import device_name, device_of
from netsurgery.train.recipe import Recipe
from netsurgery.train.split import Split
from netsurgery.zoo.resnet import resnet20

IMAGES = 45_000
PARTS = ("batch and augmentation", "forward", "backward", "optimizer", "surgery's hooks")


OPERATORS = {
    "convolutions": ("conv",),
    "batch norm": ("batch_norm",),
    "ReLU": ("relu", "clamp_min", "threshold_backward"),
    "additions": ("aten::add",),
}
"""Kinds of torch's operators, by parts of their names; the first that fits."""
THE_REST = "everything else"


@dataclass(frozen=True)
class Variant:
    """threads: of the processor, None: as many as the base. onednn: convolutions by oneDNN, on a processor."""

    name: str
    batch_size: int = 128
    threads: int | None = None
    channels_last: bool = True
    onednn: bool = True
    bfloat16: bool = False
    compiled: bool = False
    augmented: bool = True
    surgery: bool = False


BASE = Variant("as `reproduce` trains")
ON_EVERY_DEVICE = (
    BASE,
    replace(BASE, name="channels first", channels_last=False),
    replace(BASE, name="bfloat16", bfloat16=True),
    replace(BASE, name="batch 64", batch_size=64),
    replace(BASE, name="batch 256", batch_size=256),
    replace(BASE, name="without augmentation", augmented=False),
    replace(BASE, name="with surgery", surgery=True),
    replace(BASE, name="torch.compile", compiled=True),
)
ON_A_PROCESSOR = (
    replace(BASE, name="without oneDNN", onednn=False),
    replace(BASE, name="2 threads", threads=2),
)


class Step:
    """One training step after the other, timed part by part."""

    def __init__(self, variant: Variant, split: Split, device: torch.device) -> None:
        self.variant = variant
        self._device = device
        self._moments_s: list[float] | None = None  # while parts are timed
        torch.manual_seed(0)
        self._model: nn.Module = resnet20().to(device)
        if variant.channels_last:
            self._model = self._model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
        if variant.surgery:
            self._note_around_hooks()
            # Its ramp is passed quickly: most steps are taken at the final density, masks still changing.
            ns.attach(self._model, self._optimizer, ns.Surgery(density=0.2, steps=10_000, ramp=0.002, splicing=1.0))
            self._note_around_hooks()
        self._forward: Callable[..., Any] = self._loss
        if variant.compiled:
            self._forward = torch.compile(self._loss)
        padding = 4 if variant.augmented else 0
        recipe = Recipe(
            steps=0,
            learning_rate=Constant(0.05),
            batch_size=variant.batch_size,
            crop_padding=padding,
            mirrored=variant.augmented,
        )
        self._batches = Batches(split, recipe, seed=0)

    def turn(self, steps: int) -> list[float]:
        """Microseconds of a step, mean over `steps` of them with nothing between them."""
        with self._as_chosen():
            started_s = self._now()
            for _ in range(steps):
                self._take()
            return [1e6 * (self._now() - started_s) / steps]

    def parts(self, steps: int) -> dict[str, float]:
        """Median seconds of each part of a step; on a graphics card each is waited for, which takes longer in all."""
        rows = []
        with self._as_chosen():
            for _ in range(steps):
                self._moments_s = []
                self._take()
                start, shown, forward, backward, *hooks, end = self._moments_s
                row = [shown - start, forward - shown, backward - forward, end - backward]
                if hooks:
                    before, revealed, moved, projected = hooks
                    row.append(revealed - before + projected - moved)
                    row[3] -= row[4]
                rows.append(row)
        self._moments_s = None
        columns = zip(*rows, strict=True)
        return {name: statistics.median(column) for name, column in zip(PARTS, columns, strict=False)}

    def operators(self, steps: int) -> dict[str, float]:
        """Seconds of a step in each kind of operator on the processor, without what they call, by torch's profiler."""
        with self._as_chosen(), torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            for _ in range(steps):
                self._take()
        times_s = dict.fromkeys([*OPERATORS, THE_REST], 0.0)
        for event in profile.key_averages():
            fitting = (kind for kind, parts in OPERATORS.items() if any(part in event.key for part in parts))
            times_s[next(fitting, THE_REST)] += 1e-6 * event.self_cpu_time_total / steps
        return times_s

    def _take(self) -> None:
        self._note()
        images, labels = self._batches.next()
        self._note()
        self._optimizer.zero_grad()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.variant.bfloat16):
            loss = self._forward(images, labels)
        self._note()
        loss.backward()
        self._note()
        self._optimizer.step()
        self._note()

    def _loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(self._model(images), labels)

    def _note(self, *_: object) -> None:
        if self._moments_s is not None:
            self._moments_s.append(self._now())

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def _note_around_hooks(self) -> None:
        self._optimizer.register_step_pre_hook(self._note)
        self._optimizer.register_step_post_hook(self._note)

    @contextlib.contextmanager
    def _as_chosen(self) -> Iterator[None]:
        threads = torch.get_num_threads()
        torch.set_num_threads(self.variant.threads or threads)
        try:
            # Only where it is asked for: the switch warns of graphics cards that aren't there.
            with contextlib.nullcontext() if self.variant.onednn else torch.backends.mkldnn.flags(enabled=False):
                yield
        finally:
            torch.set_num_threads(threads)


def random_split(device: torch.device) -> Split:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (IMAGES, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return Split(pixels, torch.randint(10, (IMAGES,), generator=generator), NORMALIZATION).to(device)


def built(variants: tuple[Variant, ...], device: torch.device, warm_up: int) -> tuple[dict[str, Step], dict[str, str]]:
    """Those that work here, warmed up, and what the others died of."""
    split, steps, failures = random_split(device), {}, {}
    for variant in track(variants, "warming up", transient=True):
        step = Step(variant, split, device)
        try:
            step.turn(warm_up)
        except Exception as error:  # whatever a compiler finds to say
            if not variant.compiled:
                raise
            failures[variant.name] = str(error).strip().splitlines()[0][:200]
        else:
            steps[variant.name] = step
    return steps, failures


def measure(steps: dict[str, Step], rounds: int, steps_per_turn: int) -> list[dict[str, Any]]:
    """A row for each variant."""
    pace = Pace(rounds=rounds, calls=steps_per_turn, warm_up_calls=0, pause_s=0)
    times = in_turns({name: step.turn for name, step in steps.items()}, pace)
    sizes = {name: step.variant.batch_size for name, step in steps.items()}
    by_image = {name: Times(tuple(turn / sizes[name] for turn in own.rounds)) for name, own in times.items()}
    return [
        {
            "variant": name,
            "batch_size": sizes[name],
            "median_step_ms": round(own.latency_us.median / 1000, 3),
            "images_per_s": round(1e6 / by_image[name].latency_us.median, 1),
            "times_faster": by_image[name].times_faster_than(by_image[BASE.name]).rounded(),
        }
        for name, own in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="of the base (default 1)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, help="steps of a turn (default: 2 on a processor, 50 on a graphics card)")
    parser.add_argument("--note", default="", help="a sentence for the record, such as what else ran on the machine")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    device = device_of(options.device)
    variants = ON_EVERY_DEVICE if device.type == "cuda" else (*ON_EVERY_DEVICE, *ON_A_PROCESSOR)
    steps_per_turn = options.steps or (50 if device.type == "cuda" else 2)
    steps, failures = built(variants, device, warm_up=max(3, steps_per_turn))
    with other_processes() as others:
        rows = measure(steps, options.rounds, steps_per_turn)
    parts = {name: steps[name].parts(5 * steps_per_turn) for name in (BASE.name, "with surgery")}
    operators = steps[BASE.name].operators(steps_per_turn + 3) if device.type == "cpu" else {}
    results = {
        "network": "ResNet-20",
        "rows": rows,
        "failed": failures,
        "parts_ms": {
            name: {part: round(1000 * time_s, 3) for part, time_s in own.items()} for name, own in parts.items()
        },
        "operators_ms": {kind: round(1000 * time_s, 3) for kind, time_s in operators.items()},
        "rounds": options.rounds,
        "note": options.note,
        "busy_cores": others.busy_cores,
        "versions": versions(),
        "machine": machine(options.threads, device_name(device)),
    }
    Console().print_json(json.dumps(results))
    Console().print(others.warning or "")
    if options.out:
        content = json.dumps(results, indent=1).encode() + b"\n"
        write_verified(options.out, content, lambda path: path.read_bytes() == content)


if __name__ == "__main__":
    main()
