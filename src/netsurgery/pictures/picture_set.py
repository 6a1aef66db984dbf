"""What class folders and shards have in common: labelled pictures that are read one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from netsurgery.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff", ".gif")
"""Of files that count as pictures, in lower case; what is in them decides how they are decoded."""
HELD_OUT_PER_CLASS = 10
_LARGEST_SHARE = 5  # of a class's pictures at most one in so many is held out


class PictureSet(ABC):
    """Pictures in a fixed order. classes: their names, by label. labels: int64 (n,), 0 .. len(classes) - 1."""

    def __init__(self, classes: Sequence[str], labels: NDArray[np.int64]) -> None:
        self.classes = tuple(classes)
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def read(self, index: int) -> bytes:
        """The picture as it was stored. Raises DataError if it can't be read."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Where it is, for messages."""

    @property
    @abstractmethod
    def neighbourhoods(self) -> NDArray[np.int64] | None:
        """(n,): which file a picture lies in, where a file holds many; pictures of few files are read together."""


def held_out(labels: NDArray[np.int64], per_class: int = HELD_OUT_PER_CLASS) -> NDArray[np.bool_]:
    """(n,): True for the last `per_class` pictures of each class, at most a fifth of them.

    Choices are made on these. Raises DataError if none could be held out.
    """
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    ends = np.cumsum(counts)
    chosen = np.zeros(len(labels), dtype=bool)
    for end, count in zip(ends.tolist(), counts.tolist(), strict=True):
        taken = min(per_class, count // _LARGEST_SHARE)
        chosen[order[end - taken : end]] = True
    if not chosen.any():
        raise DataError(
            f"The training pictures are {len(labels)} in {int((counts > 0).sum())} classes, too few to hold any out: "
            f"at least one class has to have {_LARGEST_SHARE}."
        )
    return chosen
