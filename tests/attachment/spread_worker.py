"""What one of two processes does for test_spread_weights.py; with one process, the same without any distribution."""

from __future__ import annotations

import copy
import hashlib
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

import netsurgery as ns
from netsurgery.errors import NetsurgeryError
from netsurgery.methods import shards

STEPS = 24
RATE = 1e-2
WORLD = 2


class Attention(nn.Module):
    """A small transformer over 6 tokens of 5 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 16)
        self.block = nn.TransformerEncoderLayer(16, 2, 24, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.embed(x.view(-1, 6, 5))).mean(dim=1))


def network(name: str, seed: int) -> nn.Module:
    """All take (n, 30) and give (n, 4), or (n, 1)."""
    torch.manual_seed(seed)
    if name == "attention":
        return Attention()
    if name == "convolutions":
        return nn.Sequential(
            nn.Unflatten(1, (1, 5, 6)), nn.Conv2d(1, 7, 3, padding=1), nn.BatchNorm2d(7), nn.ReLU(),
            nn.ConvTranspose2d(7, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(180, 4),
        )  # fmt: skip
    if name == "tiny":  # the second process holds one row of the first weight, and none of the last one
        return nn.Sequential(nn.Linear(30, 3), nn.Tanh(), nn.Linear(3, 1))
    width = 33 if name == "uneven" else 32
    model = nn.Sequential(nn.Linear(30, width), nn.ReLU(), nn.Linear(width, 4))
    if name == "sparse":
        with torch.no_grad():
            model[0].weight.mul_(model[0].weight > 0)
    return model


METHODS: dict[str, Callable[[], Any]] = {
    "surgery": lambda: ns.Surgery(0.1, steps=STEPS, interval=2),
    "concentrated": lambda: ns.Surgery(0.2, steps=STEPS, concentration=1.0, biases=False),
    "warm": lambda: ns.Surgery(0.1, steps=STEPS, warm_start=True),
    "naive-cut": lambda: ns.NaiveCut(0.3),
    "threshold-surgery": lambda: ns.ThresholdSurgery(c_rate=0.5, iter_stop=20),
    "han-pruning": lambda: ns.HanPruning(rounds=3, round_steps=6),
    "inq": lambda: ns.INQ(bits=3, steps=20),
    "inq of the paper": lambda: ns.INQ(bits=2, steps=20, largest_power="paper", biases=True),
    "inq at random": lambda: ns.INQ(bits=2, steps=20, order="random"),
    "inq per channel": lambda: ns.INQ(bits=3, steps=20, per_channel=True),
    "sketching": lambda: ns.Sketching(planes=2, steps=20),
    "sketching but of transposed layers": lambda: ns.Plan(
        (ns.Stage(method=ns.Sketching(planes=2, steps=20), skip=("4",)),)
    ),
    "keep-zeros": lambda: ns.KeepZeros(),
    "surgery, then inq": lambda: ns.Plan(
        (ns.Stage(method=ns.Surgery(0.2, steps=8)), ns.Stage(method=ns.INQ(bits=3, steps=12), start=8))
    ),
}
LONG = ns.Surgery(0.3, steps=6_000)
"""Its masks are refreshed at every 20th step, and gradients are observed at every 4th."""

OF_CONVOLUTIONS = "sketching but of transposed layers"

ALL = [("uneven", 0, "adamw", name) for name in METHODS if name not in ("warm", "keep-zeros", OF_CONVOLUTIONS)]
ALL += [("sparse", 1, "sgd", name) for name in ("warm", "keep-zeros", "surgery")]
ALL += [("convolutions", 1, "sgd", name) for name in ("surgery", "inq per channel", OF_CONVOLUTIONS)]
ALL += [("attention", 2, "adamw", name) for name in ("surgery", "inq", "han-pruning")]
ALL += [("tiny", 0, "sgd", name) for name in ("surgery", "inq per channel", "sketching")]
OTHERS = ("warm", "keep-zeros", "sketching", OF_CONVOLUTIONS)
TENSOR_PARALLEL = [("even", 0, "adamw", name) for name in METHODS if name not in OTHERS]


def full(tensor: Tensor) -> Tensor:
    """The whole of it, a copy."""
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach().clone()


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name.removeprefix("module."): full(parameter) for name, parameter in model.named_parameters()}


def train(model: nn.Module, optimizer: Any, steps: range, after: Callable[[], None] = lambda: None) -> None:
    """All processes have the same batches: their mean gradient is that of one process."""
    for step in steps:
        x = torch.randn(8, 30, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        (model(x) - x[:, :4]).square().mean().backward()
        optimizer.step()
        after()


def optimizer_of(name: str, model: nn.Module) -> torch.optim.Optimizer:
    if name == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=RATE)
    return torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9)


def digest(masks: dict[str, Tensor]) -> str:
    content = b"".join(mask.contiguous().view(torch.uint8).numpy().tobytes() for mask in masks.values())
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def outcome(way: Callable[[nn.Module], nn.Module], case: tuple[str, int, str, str]) -> dict[str, Any]:
    """What comes of one network that is spread in some way and trained under one method."""
    name, seed, optimizer_name, method = case
    model = way(network(name, seed))
    optimizer = optimizer_of(optimizer_name, model)
    operation = ns.attach(model, optimizer, METHODS[method]())
    seen: list[str] = []
    looks = "surgery" in method
    train(model, optimizer, range(STEPS), lambda: seen.append(digest(operation.masks) if looks else ""))
    with torch.no_grad():
        model.eval()(torch.zeros(2, 30))  # fully_shard leaves whole weights in the model after that
    operation.finish()
    found = weights(model)
    forms = operation.encoded()
    result = {
        "masks": {name.removeprefix("module."): mask for name, mask in operation.masks.items()},
        "weights": found,
        "buffers": {name.removeprefix("module."): buffer.clone() for name, buffer in model.named_buffers()},
        "rows": [
            (row.shape, row.kept, row.pruned_total, row.spliced_total, row.quantized) for row in operation.report()
        ],
        "after each step": seen,
        "decoded": all(
            form is not None and torch.equal(form.decoded(), found[name.removeprefix("module.")])
            for name, form in forms.items()
        ),
    }
    operation.detach()
    return result


def resumed(way: Callable[[nn.Module], nn.Module], before: dict[str, Any] | None) -> tuple[dict[str, Any], Any]:
    """A run of 20 steps, saved after 12; or resumed there, from what another number of processes has saved."""
    model = way(network("uneven", 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    operation = ns.attach(model, optimizer, METHODS["surgery"]())
    saved = before
    if saved is None:
        train(model, optimizer, range(12))
        saved = copy.deepcopy(operation.state_dict())
    else:
        operation.load_state_dict(saved)  # every parameter is operated on: it brings all weights
    again = operation.state_dict()
    train(model, optimizer, range(12, 20))
    result = {"state": again, "weights": weights(model), "masks": operation.masks}
    operation.detach()
    return result, saved


def refused(model: nn.Module, method: Any) -> str:
    return refused_by(lambda: ns.attach(model, optimizer_of("sgd", model), method).detach())


def refused_by(action: Callable[[], Any]) -> str:
    try:
        action()
    except NetsurgeryError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def grids(way: Callable[[nn.Module], nn.Module]) -> list[Any]:
    """Those that activations were rounded to, and an output that was rounded."""
    model = way(network("uneven", 0))
    optimizer = optimizer_of("sgd", model)
    with ns.FixedActivations(model, start=3) as rounding:
        train(model, optimizer, range(6))
        output = model(torch.ones(2, 30)).detach().clone()
    return [*((name, grid.exponent, grid.signed) for name, grid in rounding.grids.items()), output]


def exchanged(way: Callable[[nn.Module], nn.Module], method: Any) -> list[tuple[int, int]]:
    """(calls, bytes) of collectives in each optimizer.step() and backward pass beyond the trainer's own."""
    model = way(network("uneven", 0))
    optimizer = optimizer_of("sgd", model)
    operation = ns.attach(model, optimizer, method)
    calls: list[int] = []
    original = shards.exchange

    def counted(tensor: Tensor, *arguments: Any, **named: Any) -> None:
        calls.append(tensor.numel() * tensor.element_size())
        original(tensor, *arguments, **named)

    steps: list[tuple[int, int]] = []

    def note() -> None:
        steps.append((len(calls), sum(calls)))
        calls.clear()

    shards.exchange = counted
    try:
        train(model, optimizer, range(25), note)
    finally:
        shards.exchange = original
    operation.detach()
    return steps


def main(rank: int, rendezvous: str, folder: Path) -> dict[str, Any]:
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=WORLD)
    mesh = distributed.init_device_mesh("cpu", (WORLD,))
    both = distributed.init_device_mesh("cpu", (1, WORLD), mesh_dim_names=("replicas", "parts"))

    def sharded(model: nn.Module) -> nn.Module:
        for child in model.children():
            if next(child.parameters(), None) is not None:
                fully_shard(child, mesh=both if type(child) is nn.Linear else None)
        return fully_shard(model)

    def by_columns_and_rows(model: nn.Module) -> nn.Module:
        return parallelize_module(model, mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})

    ways: dict[str, tuple[Callable[[nn.Module], nn.Module], list[tuple[str, int, str, str]]]] = {
        "fully_shard": (sharded, ALL),
        "tensor parallel": (by_columns_and_rows, TENSOR_PARALLEL),
        "data parallel": (nn.parallel.DistributedDataParallel, ALL[::3]),
    }
    found: dict[str, Any] = {name: {case: outcome(way, case) for case in cases} for name, (way, cases) in ways.items()}
    found["saved here"] = resumed(sharded, None)
    found["resumed here"] = resumed(sharded, torch.load(folder / "saved by one.pt", weights_only=True))[0]
    found["refused"] = {
        "flattened": refused(
            FullyShardedDataParallel(network("even", 0), device_id=torch.device("cpu")), ns.NaiveCut(0.5)
        ),
        "torn filters": refused(by_columns_and_rows(network("even", 0)), ns.Sketching()),
        "torn transposed filters": refused(sharded(network("convolutions", 0)), ns.Sketching()),
        "parallel layers": refused_by(lambda: ns.FixedActivations(by_columns_and_rows(network("even", 0)))),
        "torn groups": refused(sharded(network("uneven", 0)), ns.Sketching(sharing=3)),
    }
    found["exchanged"] = {
        "surgery": exchanged(sharded, LONG),
        "inq": exchanged(sharded, ns.INQ(bits=3, steps=21)),
        "sketching": exchanged(sharded, ns.Sketching(steps=21)),
        "data parallel": exchanged(nn.parallel.DistributedDataParallel, LONG),
    }
    found["grids"] = grids(sharded)
    found["packed"] = packed(sharded, folder / "spread.nsm", rank)
    distributed.barrier()
    distributed.destroy_process_group()
    return found


def packed(way: Callable[[nn.Module], nn.Module], path: Path, rank: int) -> dict[str, Any]:
    """The model, packed by both processes; where this one would have written, and what came there."""
    model = way(network("uneven", 0))
    optimizer = optimizer_of("sgd", model)
    operation = ns.attach(model, optimizer, ns.Sketching(planes=2, steps=5))
    train(model, optimizer, range(5))
    operation.finish()
    own = path.with_name(f"{rank} {path.name}")
    report = ns.pack(model.eval(), own, example_inputs=torch.zeros(1, 30))
    return {"path": str(own), "written": own.exists(), "size": report.size_bytes, "weights": weights(model)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    place = Path(sys.argv[2])
    try:
        results = main(int(sys.argv[1]), str(place / "rendezvous"), place)
        torch.save(results, place / f"rank{sys.argv[1]}.pt")
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)  # the other one would wait for this one
