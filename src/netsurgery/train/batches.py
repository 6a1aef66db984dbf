"""Endless shuffled batches of a split, augmented as a recipe says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from netsurgery.train.augmentation import cropped, mirrored, shifted, with_dropped_pixels
from netsurgery.train.processes import Processes
from netsurgery.train.recipe import Recipe
from netsurgery.train.split import Split


@final
class Batches:
    """A new order each epoch; an epoch's incomplete last batch is left out. `next` gives images and labels.

    The same seed gives the same batches on every device. `state_dict` holds all that goes on from here.
    processes: that train together; each gets its part of every batch.
    """

    waited_s = 0.0  # for images that are in memory

    def __init__(self, split: Split, recipe: Recipe, seed: int, processes: Processes | None = None) -> None:
        self._split = split
        self._recipe = recipe
        self._generator = torch.Generator().manual_seed(seed)
        processes = processes or Processes()
        self._size = min(recipe.batch_size, len(split) // processes.count * processes.count)
        self._part = processes.part(self._size)
        self._order = torch.empty(0, dtype=torch.int64)
        self._used = 0  # images of the order that were shown

    def next(self) -> tuple[Tensor, Tensor]:
        """Images, float32 (b, channels, height, width), and labels, int64 (b,), on the split's device."""
        if self._used + self._size > len(self._order):
            # On the device as a whole: a step then copies nothing but a few drawn numbers.
            order = torch.randperm(len(self._split), generator=self._generator)
            self._order, self._used = order.to(self._split.labels.device), 0
        picked = self._order[self._used : self._used + self._size]
        self._used += self._size
        images = self._varied(self._split.batch(picked))  # the whole batch: all processes draw the same numbers
        return images[self._part], self._split.labels[picked][self._part]

    def close(self) -> None:
        """Nothing is held."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers only."""
        return {"generator": self._generator.get_state(), "order": self._order.cpu(), "used": self._used}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called, on batches of the same split and recipe."""
        self._generator.set_state(saved["generator"])
        self._order, self._used = saved["order"].to(self._split.labels.device), saved["used"]

    def _varied(self, images: Tensor) -> Tensor:
        """The images as the recipe wants them changed."""
        recipe, generator = self._recipe, self._generator
        if recipe.shifted:
            images = shifted(images, recipe.shifted, generator)
        if recipe.input_dropout:
            images = with_dropped_pixels(images, recipe.input_dropout, generator)
        if recipe.crop_padding:
            images = cropped(images, recipe.crop_padding, generator)
        if recipe.mirrored:
            images = mirrored(images, generator)
        return images
