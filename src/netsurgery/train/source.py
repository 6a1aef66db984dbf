"""Where images come from, in memory or read while a network trains: batches to train on, and all of them in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeAlias

from torch import Tensor

from netsurgery.train.batches import Batches
from netsurgery.train.picture_split import PictureSplit
from netsurgery.train.processes import Processes
from netsurgery.train.recipe import Recipe
from netsurgery.train.split import Split

Source: TypeAlias = "Split | PictureSplit"


class Feed(Protocol):
    """Endless shuffled batches, augmented."""

    @property
    def waited_s(self) -> float:
        """How long the training has waited for images."""
        ...

    def next(self) -> tuple[Tensor, Tensor]:
        """Images and labels of this process, on the source's device."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that goes on from here."""
        ...

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        ...

    def close(self) -> None:
        """End what reads images."""
        ...


def feed(source: Source, recipe: Recipe, seed: int, processes: Processes) -> Feed:
    """Batches to train on; this process has its part of each."""
    if isinstance(source, Split):
        return Batches(source, recipe, seed, processes)
    return source.batches(recipe, seed, processes)


def in_order(
    source: Source, size: int, processes: Processes, *, ten_crops: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """This process's part of all images, about `size` at a time, and their labels.

    With ten crops, which only pictures have, there are ten images for each label, one after the other.
    """
    if not isinstance(source, Split):
        yield from source.in_order(size, processes, ten_crops=ten_crops)
        return
    mine = range(processes.rank, len(source), processes.count)
    for first in range(0, len(mine), size):
        places = mine[first : first + size]
        part = slice(places.start, places.stop, places.step)
        yield source.batch(part), source.labels[part]
