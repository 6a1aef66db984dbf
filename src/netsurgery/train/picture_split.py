"""A split of pictures that are too many for memory: they are read and prepared while a network trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netsurgery.errors import DataError
from netsurgery.pictures.loading import Loader, Wanted
from netsurgery.pictures.order import Order
from netsurgery.pictures.picture_set import PictureSet
from netsurgery.pictures.preparation import TEN, Preparation
from netsurgery.train.processes import Processes
from netsurgery.train.recipe import Recipe
from netsurgery.train.split import Normalization

_PROCESSOR = torch.device("cpu")


@dataclass(frozen=True)
class PictureSplit:
    """Some pictures of a set, and how they are shown.

    chosen: int64 (n,), their places in `pictures`. workers: processes that read, >= 0. device: that batches are on.
    """

    pictures: PictureSet
    chosen: NDArray[np.int64]
    preparation: Preparation
    workers: int
    device: torch.device = _PROCESSOR

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def labels(self) -> Tensor:
        """int64 (n,), on the split's device."""
        return torch.from_numpy(self.pictures.labels[self.chosen]).to(self.device)

    @property
    def side(self) -> int:
        """Pixels of a side of what is shown."""
        return self.preparation.side

    def batch(self, picked: Tensor | slice) -> Tensor:
        """The pictures of those indices as they are judged, float32 (b, 3, side, side)."""
        chosen = torch.from_numpy(self.chosen)[picked].tolist()
        (batch,) = Loader(self.pictures, self.preparation, [Wanted(chosen, "judged")], processes=0)
        return self.shown(batch)

    def to(self, device: torch.device) -> PictureSplit:
        """The split with its batches on `device`."""
        return dataclasses.replace(self, device=device)

    def batches(self, recipe: Recipe, seed: int, processes: Processes) -> PictureBatches:
        """Endless shuffled batches, of which this process gets its part."""
        return PictureBatches(self, recipe, seed, processes)

    def in_order(self, size: int, processes: Processes, *, ten_crops: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's part of all pictures, some `size` at a time, as they are judged, and their labels.

        Images are float32 (b, 3, side, side), with ten crops (b * 10, 3, side, side): ten for each label.
        """
        mine = self.chosen[processes.rank :: processes.count]
        size = max(1, size // TEN) if ten_crops else size
        parts = [mine[first : first + size] for first in range(0, len(mine), size)]
        how = "ten_crops" if ten_crops else "judged"
        wanted = [Wanted(part.tolist(), how) for part in parts]  # type: ignore[arg-type]
        loader = Loader(self.pictures, self.preparation, wanted, self.workers, pinned=self.pinned)
        try:
            for part, images in zip(parts, loader, strict=True):
                yield self.shown(images), torch.from_numpy(self.pictures.labels[part]).to(self.device)
        finally:
            loader.close()

    def shown(self, images: Tensor) -> Tensor:
        """Bytes (b, 3, side, side) as a network takes them: float32, normalised, on the split's device."""
        device = self.device
        normalization = Normalization.of(self.preparation.mean, self.preparation.deviation)
        normalization = Normalization(normalization.scale.to(device), normalization.shift.to(device))
        return normalization(images.to(device, non_blocking=True))

    @property
    def pinned(self) -> bool:
        """Whether batches go to a graphics card, and had better lie where it can fetch them."""
        return self.device.type == "cuda"


@final
class PictureBatches:
    """A new order each epoch; an epoch's incomplete last batch is left out. `next` gives images and labels.

    The seed decides which pictures are shown, and how they are varied, however many processes read them or train.
    """

    def __init__(self, split: PictureSplit, recipe: Recipe, seed: int, processes: Processes) -> None:
        size = min(recipe.batch_size, len(split) // processes.count * processes.count)
        if not size:
            raise DataError(f"{len(split)} training pictures are too few for {processes.count} processes.")
        neighbourhoods = split.pictures.neighbourhoods
        where = None if neighbourhoods is None else neighbourhoods[split.chosen]
        self._split = split
        self._order = Order(split.chosen, where, size, seed)
        self._part = processes.part(size)
        self._seed = seed
        self._taken = 0
        self._loader: Loader | None = None
        self._waited_s = 0.0

    def next(self) -> tuple[Tensor, Tensor]:
        """Images, float32 (b, 3, side, side), and labels, int64 (b,), of this process, on the split's device."""
        if self._loader is None:
            split, wanted = self._split, self._wanted(self._taken)
            self._loader = Loader(split.pictures, split.preparation, wanted, split.workers, pinned=split.pinned)
        _, chosen = self._order.batch(self._taken)
        images = next(self._loader)
        self._taken += 1
        labels = torch.from_numpy(self._split.pictures.labels[chosen[self._part]])
        return self._split.shown(images), labels.to(self._split.device)

    @property
    def waited_s(self) -> float:
        """How long `next` has waited for pictures in all."""
        return self._waited_s + (0.0 if self._loader is None else self._loader.waited_s)

    def close(self) -> None:
        """End the processes that read."""
        if self._loader is not None:
            self._waited_s += self._loader.waited_s
            self._loader.close()
            self._loader = None

    def state_dict(self) -> dict[str, Any]:
        """One number: everything else follows from it and the seed."""
        return {"taken": self._taken}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called, on batches of the same split, recipe and seed."""
        self.close()
        self._taken = int(saved["taken"])

    def _wanted(self, first: int) -> Iterator[Wanted]:
        order = dataclasses.replace(self._order)  # of its own: it runs ahead
        for number in count(first):
            epoch, chosen = order.batch(number)
            yield Wanted(chosen[self._part].tolist(), "varied", f"{self._seed}-{epoch}")
