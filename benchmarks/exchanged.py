"""What processes exchange in a training step, the trainer's own and ours: calls and bytes, counted, not estimated.

python benchmarks/exchanged.py    # writes benchmarks/results/exchanged.json; two processes on this machine, by gloo

Bytes are those of the tensor that each process hands over or gets: what goes over the wire depends on the algorithm.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import distributed, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

import netsurgery as ns
from netsurgery.methods import shards

RESULTS = Path(__file__).parent / "results" / "exchanged.json"
WORLD = 2
STEPS = 60
WIDTH = 512
METHODS: dict[str, Callable[[], Any]] = {
    "surgery": lambda: ns.Surgery(0.1, steps=10_000),
    "threshold surgery": lambda: ns.ThresholdSurgery(iter_stop=10_000),
    "naive cut": lambda: ns.NaiveCut(0.1),
    "Han's pruning": lambda: ns.HanPruning(rounds=3, round_steps=20),
    "powers of two": lambda: ns.INQ(bits=4, steps=50),
    "powers of two per channel": lambda: ns.INQ(bits=4, steps=50, per_channel=True),
    "binary planes": lambda: ns.Sketching(planes=2),
    "kept zeros": lambda: ns.KeepZeros(),
}


class Counter(TorchDispatchMode):
    """Calls of collectives, with the bytes of their largest tensor; DistributedDataParallel's own aren't seen."""

    def __init__(self) -> None:
        super().__init__()
        self._trainer: list[int] = []
        self._ours: list[int] = []
        self._within = False
        shards.exchange = self._as_ours(shards.exchange)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "c10d":
            tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, torch.Tensor)]
            size = max((one.numel() * one.element_size() for one in tensors), default=0)
            (self._ours if self._within else self._trainer).append(size)
        return func(*args, **(kwargs or {}))

    def take(self) -> tuple[int, int, int, int]:
        """(our calls, our bytes, the trainer's calls, its bytes) since the last time."""
        found = len(self._ours), sum(self._ours), len(self._trainer), sum(self._trainer)
        self._trainer.clear()
        self._ours.clear()
        return found

    def _as_ours(self, call: Callable[..., None]) -> Callable[..., None]:
        def counted(*arguments: Any, **named: Any) -> None:
            self._within = True
            try:
                call(*arguments, **named)
            finally:
                self._within = False

        return counted


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 16)
    )  # fmt: skip


def measured(make: Callable[[], Any], spread: bool, counter: Counter) -> dict[str, Any]:
    """Of one method: what an ordinary step exchanges, the dearest one, and the mean."""
    from torch.distributed.fsdp import fully_shard

    model: nn.Module = network()
    if spread:
        for layer in model.children():
            if isinstance(layer, nn.Linear):
                fully_shard(layer)
        fully_shard(model)
    else:
        model = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    operation = ns.attach(model, optimizer, make())
    generator = torch.Generator().manual_seed(distributed.get_rank())
    counter.take()
    steps = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        inputs = torch.randn(4, WIDTH, generator=generator)
        with counter:
            (model(inputs) - inputs[:, :16]).square().mean().backward()
            optimizer.step()
        steps.append(counter.take())
    operation.detach()
    ours = [(size, calls) for calls, size, _, _ in steps[1:]]
    return {
        "ordinary": dict(zip(("size_bytes", "calls"), statistics.mode(ours), strict=True)),
        "dearest": dict(zip(("size_bytes", "calls"), max(ours), strict=True)),
        "mean_bytes": statistics.mean(size for size, _ in ours),
        "trainer_bytes": statistics.median(size for _, _, _, size in steps[1:]),
    }


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    counter = Counter()
    rows = [
        {"method": name, "spread": spread, **measured(make, spread, counter)}
        for spread in (True, False)
        for name, make in METHODS.items()
        if spread or name == "surgery"
    ]
    if rank == 0:
        weights = sum(parameter.numel() for parameter in network().parameters())
        record = {"weights": weights, "processes": WORLD, "steps": STEPS, "torch": torch.__version__, "rows": rows}
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(work, args=(folder,), nprocs=WORLD)
    sys.stdout.write(RESULTS.read_text(encoding="utf-8"))
