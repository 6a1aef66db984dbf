"""CIFAR-10 from its binary version: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from netsurgery.checks import require_count
from netsurgery.errors import DataError
from netsurgery.train.dataset import Dataset, training_count
from netsurgery.train.split import Normalization, Split

CLASSES = 10
CHANNELS, SIDE = 3, 32  # colors, pixels
VALIDATION_IMAGES = 5_000  # the last of the training images; all choices are made on them
TRAINING_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILE = "test_batch.bin"
NORMALIZATION = Normalization.of(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225))
"""What the public references for CIFAR-10 were trained with: the channels' figures of ImageNet."""
_RECORD = 1 + CHANNELS * SIDE * SIDE  # bytes: the label, then red, green and blue, each row by row
_MOST_IMAGES = 10_000  # in a file, as in the original


def cifar10(directory: str | Path, validation: int = VALIDATION_IMAGES) -> Dataset:
    """CIFAR-10, or anything of its shape, from data_batch_1.bin to data_batch_5.bin and test_batch.bin in `directory`.

    Images stay bytes, uint8 (n, 3, 32, 32); a split's `batch` gives them normalised.
    validation: how many of the last training images are held out, >= 1.
    Raises DataError that names the path and says what was expected there.
    """
    require_count("validation", validation)
    folder = Path(directory)
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a directory. Give the one that holds CIFAR-10's binary version: "
            f"{TRAINING_FILES[0]} to {TRAINING_FILES[-1]} and {TEST_FILE}."
        )
    # Whatever is wrong with the test file had better be found before the training than after it.
    counts = {name: _image_count(folder / name) for name in (*TRAINING_FILES, TEST_FILE)}
    first = counts[TRAINING_FILES[0]]
    for name, count in counts.items():
        if count != first:
            raise DataError(
                f"{folder / name} holds {count:,} images, but {TRAINING_FILES[0]} holds {first:,}: all six files of "
                "CIFAR-10 hold equally many. Fetch the files again."
            )
    trained = training_count(folder, len(TRAINING_FILES) * first, validation)
    training = _read(folder, TRAINING_FILES)
    return Dataset(
        name="CIFAR-10",
        train=Split(training.images[:trained], training.labels[:trained], NORMALIZATION),
        validation=Split(training.images[trained:], training.labels[trained:], NORMALIZATION),
        read_test=lambda: _read(folder, (TEST_FILE,)),
    )


def _image_count(path: Path) -> int:
    """How many images a file holds by its size. Raises DataError unless it is a whole number from 1 on."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(
            f"{path} can't be read: {error.strerror}. CIFAR-10's binary version is expected in that folder: "
            f"{TRAINING_FILES[0]} to {TRAINING_FILES[-1]} and {TEST_FILE}."
        ) from error
    count, rest = divmod(size, _RECORD)
    if not path.is_file() or rest or not 1 <= count <= _MOST_IMAGES:
        raise DataError(
            f"{path} holds {size:,} bytes, expected {_RECORD:,} for each of 1 to {_MOST_IMAGES:,} images, "
            f"{_RECORD * _MOST_IMAGES:,} in the original. Fetch the file again."
        )
    return count


def _read(folder: Path, names: Sequence[str]) -> Split:
    """All images of those files, one after the other."""
    records = np.concatenate([_records(folder / name) for name in names])
    images = np.ascontiguousarray(records[:, 1:]).reshape(-1, CHANNELS, SIDE, SIDE)
    return Split(torch.from_numpy(images), torch.from_numpy(records[:, 0].astype(np.int64)), NORMALIZATION)


def _records(path: Path) -> NDArray[np.uint8]:
    """(n, 3073): label and pixels of each image. Raises DataError if a label is beyond the classes."""
    count = _image_count(path)
    try:
        records = np.fromfile(path, dtype=np.uint8, count=count * _RECORD).reshape(count, _RECORD)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} can't be read: {error}. Fetch the file again.") from error
    wrong = np.flatnonzero(records[:, 0] >= CLASSES)
    if wrong.size:
        raise DataError(
            f"{path} has the label {records[wrong[0], 0]} at image {wrong[0]}, expected 0 to {CLASSES - 1}. "
            "Is it CIFAR-10's binary version? Fetch the file again."
        )
    return records
