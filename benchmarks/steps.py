"""Single steps that aren't convolutions, and two transformers, beside ONNX Runtime: one thread, batch 1.

    python benchmarks/steps.py
    python benchmarks/steps.py --only "Softmax, last axis" --isa avx2
    python benchmarks/steps.py --networks

A network of one step is called from Python with NumPy arrays, as users call it, so that what a call costs is in both
times. Both runtimes take turns in one process; ONNX Runtime's threads don't spin. ONNX Runtime always uses the best
instruction set that the machine has: where the engine is held to AVX2 on a machine with AVX-512, the last column
compares the two sets as well. 90 % pruned: nine tenths of the weights of linear layers are zero, chosen at random.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from networks.encoders import encoder, prune, vit_tiny
from rich.console import Console
from rich.table import Table
from runtimes import Array, Runtime, compared, netsurgery, onnx_runtime
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.graph.capture import capture
from netsurgery.graph.to_onnx import write_onnx
from netsurgery.runtime.reference import run_node
from netsurgery.timing.machine import other_processes

OURS, THEIRS = "netsurgery", "onnxruntime"
INSTRUCTIONS = ("avx512", "avx2")


class Step(nn.Module):
    """A function as a model."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@dataclass(frozen=True)
class Case:
    """A model, and the shapes of its input that it is run on."""

    build: Callable[[tuple[int, ...]], nn.Module]
    shapes: tuple[tuple[int, ...], ...]


MAPS = ((1, 64, 4, 4), (1, 64, 28, 28), (1, 128, 56, 56))
TOKENS = ((1, 128, 768), (1, 197, 192))


def of(function: Callable[[Tensor], Tensor], *shapes: tuple[int, ...]) -> Case:
    return Case(lambda _: Step(function), shapes)


def layer(build: Callable[[int], nn.Module], *shapes: tuple[int, ...], density: float = 1.0) -> Case:
    """A layer for as many inputs as the last axis has."""

    def made(shape: tuple[int, ...]) -> nn.Module:
        torch.manual_seed(0)
        return prune(build(shape[-1]), density)

    return Case(made, shapes)


def attention(heads: int) -> Callable[[Tensor], Tensor]:
    """Of tokens to themselves, heads split and joined again."""

    def attend(x: Tensor) -> Tensor:
        parts = x.reshape(*x.shape[:2], heads, x.shape[2] // heads).transpose(1, 2)
        return F.scaled_dot_product_attention(parts, parts, parts).transpose(1, 2).reshape(x.shape)

    return attend


STEPS = {
    "Sigmoid": of(torch.sigmoid, *MAPS),
    "Tanh": of(torch.tanh, *MAPS),
    "SiLU": of(F.silu, *MAPS),
    "GELU, erf": of(F.gelu, *TOKENS, (1, 128, 3072)),
    "GELU, tanh": of(lambda x: F.gelu(x, approximate="tanh"), *TOKENS),
    "Add": of(lambda x: x + x.mean((2, 3), keepdim=True), *MAPS),
    "Softmax, last axis": of(lambda x: torch.softmax(x, -1), (1, 1000), (12, 128, 128), (3, 197, 197)),
    "Softmax, channels": of(lambda x: torch.softmax(x, 1), *MAPS),
    "LayerNorm": layer(nn.LayerNorm, *TOKENS),
    "Linear": layer(lambda inputs: nn.Linear(inputs, inputs), *TOKENS),
    "Linear, 10 % kept": layer(lambda inputs: nn.Linear(inputs, inputs), *TOKENS, density=0.1),
    "MatMul of two values": of(lambda x: x @ x, (12, 128, 128), (3, 197, 197), (1, 512, 512)),
    "Attention": Case(lambda shape: Step(attention(shape[-1] // 64)), TOKENS),
    "Transpose": of(lambda x: x.transpose(-1, -2) + 0.0, (1, 128, 768), (1, 192, 196), (64, 28, 28)),
    "Transpose of heads": of(lambda x: x.permute(0, 2, 1, 3).reshape(1, -1), (1, 128, 12, 64), (1, 197, 3, 64)),
    "Concat": of(lambda x: torch.cat((x, x), 1), *MAPS),
    "Slice": of(lambda x: x[:, : x.shape[1] // 2], *MAPS),
    "MaxPool 5x5": of(lambda x: F.max_pool2d(x, 5, 1, 2), (1, 128, 20, 20), (1, 64, 28, 28)),
    "MaxPool 3x3, stride 2": of(lambda x: F.max_pool2d(x, 3, 2, 1), (1, 64, 56, 56)),
}
NETWORKS = {
    "Encoder, 6 layers of 768": Case(lambda _: encoder(), ((1, 128, 768),)),
    "Encoder, 90 % pruned": Case(lambda _: prune(encoder(), 0.1), ((1, 128, 768),)),
    "ViT-tiny": Case(lambda _: vit_tiny(), ((1, 3, 224, 224),)),
    "ViT-tiny, 90 % pruned": Case(lambda _: prune(vit_tiny(), 0.1), ((1, 3, 224, 224),)),
}


def measured(case: Case, shape: tuple[int, ...], instructions: str, rounds: int) -> tuple[float, float, float]:
    """Microseconds of a call of the engine and of ONNX Runtime, and how many times faster the engine is: medians."""
    model = case.build(shape).eval()
    x: Array = np.random.default_rng(0).standard_normal(shape, np.float32)
    given = torch.from_numpy(x)
    with tempfile.TemporaryDirectory() as folder:
        packed, dense = Path(folder) / "network.nsm", Path(folder) / "network.onnx"
        ns.pack(model, packed, example_inputs=given)
        write_onnx(capture(model, run_node, given).graph, dense)
        os.environ["NETSURGERY_ISA"] = instructions  # read when a file is loaded
        runtimes: dict[str, Runtime] = {THEIRS: onnx_runtime(dense, x, 1), OURS: netsurgery(packed, x, 1)}
        _, times = compared(runtimes, rounds)
    return (
        times[OURS].latency_us.median,
        times[THEIRS].latency_us.median,
        times[OURS].times_faster_than(times[THEIRS]).median,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=(*STEPS, *NETWORKS), help="one of them")
    parser.add_argument("--networks", action="store_true", help="the transformers alone")
    parser.add_argument("--isa", choices=INSTRUCTIONS, action="append", help="instruction sets (default: all)")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="turns of each runtime (default 7)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = NETWORKS if options.networks else STEPS | NETWORKS
    names = [options.only] if options.only else list(cases)
    table = Table("step", "input", "instructions", "netsurgery, µs", "ONNX Runtime, µs", "times faster")
    with other_processes() as others:
        for name in names:
            for shape in cases[name].shapes:
                for instructions in options.isa or INSTRUCTIONS:
                    ours, theirs, faster = measured(cases[name], shape, instructions, options.rounds)
                    size = "x".join(map(str, shape))
                    table.add_row(name, size, instructions, f"{ours:.1f}", f"{theirs:.1f}", f"{faster:.2f}")
                    print(name, size, instructions, f"{faster:.2f}x", flush=True)
    console = Console()
    console.print(table)
    if others.warning:
        console.print(others.warning)


if __name__ == "__main__":
    main()
