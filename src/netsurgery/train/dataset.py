"""A data set of labelled images in three splits, in memory or read while a network trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netsurgery.errors import DataError
from netsurgery.train.source import Source


@dataclass(frozen=True)
class Dataset:
    """A data set in three splits. Choices are made on `validation`; `read_test` is called once, at the end.

    facts: what a record is to say beside the sizes, such as how pictures are prepared.
    """

    name: str
    train: Source
    validation: Source
    read_test: Callable[[], Source]
    facts: dict[str, Any] = field(default_factory=dict)


def training_count(folder: Path, images: int, validation: int) -> int:
    """How many of a folder's training images are trained on: all but the last `validation`, which are held out.

    Raises DataError if none would be left.
    """
    if images <= validation:
        raise DataError(f"{folder} holds {images} training images, too few to hold out {validation} of them.")
    return images - validation
