"""The processes that train one network together, as torchrun starts them: each has a part of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

from netsurgery.checks import require

_PATIENCE = timedelta(hours=2)  # while the first one packs and verifies a large network, the others wait

Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """rank: which one this is, 0 .. count - 1; the first writes and speaks."""

    rank: int = 0
    count: int = 1

    @classmethod
    def joined(cls) -> Processes:
        """Those of torch's process group; this one alone where there is none."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def first(self) -> bool:
        """Whether this one writes and speaks."""
        return self.rank == 0

    def part(self, size: int) -> slice:
        """Of a batch of `size`, what this process has. Raises SettingError unless all have equally much."""
        require(
            size % self.count == 0, "batch_size", size, f"a multiple of {self.count}", "each process has as many images"
        )
        share = size // self.count
        return slice(self.rank * share, (self.rank + 1) * share)

    def wrapped(self, model: nn.Module) -> nn.Module:
        """What to call for a training step: it averages gradients over all processes.

        Buckets of gradients stay as they are (find_unused_parameters): DistributedDataParallel would order them anew
        after the first step, also after the first of a training that goes on, and with more than two processes sums
        depend on the order.
        """
        if self.count == 1:
            return model
        return nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)

    def total(self, counts: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.count > 1:
            distributed.all_reduce(counts)
        return counts

    def share_buffers(self, model: nn.Module) -> None:
        """All take over the first one's buffers, which are of the batches that it has seen."""
        if self.count > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, src=0)

    def told(self, value: Value) -> Value:
        """What the first one has."""
        if self.count == 1:
            return value
        told = [value if self.first else None]
        distributed.broadcast_object_list(told, src=0)
        return told[0]  # type: ignore[return-value]

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def together(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun has started, until the block ends; one alone where nothing has started any.

    Where they have joined before, they stay joined.

    device: auto, cpu or cuda. With cuda each takes the card of its number on its machine.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or distributed.is_initialized():
        yield Processes.joined()
        return
    cards = device != "cpu" and torch.cuda.is_available()
    if cards:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if cards else "gloo", timeout=_PATIENCE)
    try:
        yield Processes.joined()
    finally:
        distributed.destroy_process_group()
