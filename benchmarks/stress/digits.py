"""The task: the 8x8 handwritten digits that scikit-learn brings, real images of the UCI repository."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor

TRAINING_IMAGES = 1_297
TEST_IMAGES = 500
CLASSES = 10
_LARGEST_PIXEL = 16
_MEAN, _DEVIATION = 0.3, 0.37  # of pixels / 16, rounded


@dataclass(frozen=True)
class Images:
    """images: float32 (n, 1, 8, 8), about 0 and 1 in mean and deviation. labels: int64 (n,), 0 .. 9."""

    images: Tensor
    labels: Tensor


@cache
def digits() -> tuple[Images, Images]:
    """(training, test): 1,297 and 500 of the 1,797 images in an order of their own, the same each time."""
    found = load_digits()
    images = (torch.tensor(found.images, dtype=torch.float32)[:, None] / _LARGEST_PIXEL - _MEAN) / _DEVIATION
    labels = torch.tensor(found.target, dtype=torch.int64)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    training, test = order.split([TRAINING_IMAGES, TEST_IMAGES])
    return Images(images[training], labels[training]), Images(images[test], labels[test])
