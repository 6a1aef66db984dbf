"""One seed of an experiment: before it is carried out, and when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from netsurgery.records.record import Run
from netsurgery.train.checkpoint import Checkpoint


@dataclass(frozen=True)
class SeedWork:
    """A seed to be carried out.

    checkpoint: where its training is kept when it takes long; begun: what was found there, empty where it begins from
    the start. reference_path: where a dense network that is trained for it becomes a safetensors file.
    """

    seed: int
    checkpoint: Checkpoint
    begun: Mapping[str, Any]
    reference_path: Path

    @property
    def threads(self) -> int | None:
        """With how many threads it trained before it was interrupted: it gives the same bits with as many again."""
        found = self.begun.get("threads")
        return None if found is None else int(found)


@dataclass(frozen=True)
class DoneSeed:
    """A seed's figures and its final network, on the processor."""

    run: Run
    network: nn.Module
