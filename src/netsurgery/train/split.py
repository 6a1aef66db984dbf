"""Labelled images that fit in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Normalization:
    """Bytes to what a network takes: pixels * scale + shift. Both are float32 (channels, 1, 1)."""

    scale: Tensor
    shift: Tensor

    @classmethod
    def of(cls, mean: Sequence[float], deviation: Sequence[float]) -> Normalization:
        """(pixels / 255 - mean) / deviation, both of them a number for each channel."""
        means, deviations = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (mean, deviation))
        return cls((1 / (255 * deviations)).float(), (-means / deviations).float())

    def __call__(self, pixels: Tensor) -> Tensor:
        """(n, channels, height, width) uint8 -> the same shape in float32."""
        return torch.addcmul(self.shift, pixels.to(torch.float32), self.scale)


@dataclass(frozen=True)
class Split:
    """Images and their labels, all on one device.

    images: (n, channels, height, width); float32 as the network takes them, or uint8 with a `normalization`, which
        takes a quarter of the memory. labels: int64 (n,), 0 .. classes - 1.
    """

    images: Tensor
    labels: Tensor
    normalization: Normalization | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def side(self) -> int:
        """Pixels of an image's longer side."""
        return max(self.images.shape[2:])

    def batch(self, picked: Tensor | slice) -> Tensor:
        """The images of those indices, int64 (b,), as the network takes them: float32 (b, channels, height, width)."""
        images = self.images[picked]
        return images if self.normalization is None else self.normalization(images)

    def to(self, device: torch.device) -> Split:
        """The split with all its tensors on `device`; the split itself where they are there already."""
        if self.images.device == device:
            return self
        normalization = self.normalization
        if normalization is not None:
            normalization = Normalization(normalization.scale.to(device), normalization.shift.to(device))
        return dataclasses.replace(
            self, images=self.images.to(device), labels=self.labels.to(device), normalization=normalization
        )
