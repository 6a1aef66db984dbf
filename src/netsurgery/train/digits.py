"""Handwritten digits: readers for IDX files (MNIST and its relatives) and the digits that scikit-learn brings."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from netsurgery.checks import require_count
from netsurgery.errors import DataError, MissingExtraError
from netsurgery.train.dataset import Dataset, training_count
from netsurgery.train.split import Split

CLASSES = 10
SIDE = 28  # pixels
VALIDATION_IMAGES = 5_000  # the last of the training images; all choices are made on them
_UNSIGNED_BYTE = 0x08
_LARGEST_FILE = 1 << 28  # bytes; five times the images of MNIST


def mnist(directory: str | Path, validation: int = VALIDATION_IMAGES) -> Dataset:
    """MNIST, or anything of its shape, from the four IDX files in `directory`, gzipped (.gz) or not.

    Images are float32 (n, 1, 28, 28), pixels / 256.
    validation: how many of the last training images are held out, >= 1.
    Raises DataError that names the path and says what was expected there.
    """
    require_count("validation", validation)
    folder = Path(directory)
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a directory. Give the one that holds train-images-idx3-ubyte, train-labels-idx1-ubyte, "
            "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (each may end in .gz)."
        )
    for part in ("train", "t10k"):  # a missing test file is better found before the training than after it
        for kind in ("images-idx3", "labels-idx1"):
            _existing(folder, f"{part}-{kind}-ubyte")
    images, labels = _read_pair(folder, "train")
    trained = training_count(folder, len(images), validation)
    return Dataset(
        name="MNIST",
        train=_split(images[:trained], labels[:trained]),
        validation=_split(images[trained:], labels[trained:]),
        read_test=lambda: _split(*_read_pair(folder, "t10k")),
    )


def embedded() -> Dataset:
    """The 1,797 handwritten digits that come with scikit-learn, 8x8 enlarged to 28x28 (bilinear).

    The same 1,197 / 300 / 300 images for training, validation and test each time.
    Raises MissingExtraError without scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "The embedded digits come with scikit-learn, which isn't installed: pip install 'netsurgery[demo]'"
        ) from error
    bundle = load_digits()
    small = torch.from_numpy(bundle.images).to(torch.float32)[:, None] * (255 / 16 / 256)
    images = torch.nn.functional.interpolate(small, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    labels = torch.from_numpy(bundle.target).to(torch.int64)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train, validation, test = (Split(images[part], labels[part]) for part in order.split([1_197, 300, 300]))
    return Dataset("scikit-learn digits", train, validation, read_test=lambda: test)


def read_idx(path: str | Path) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes, gzipped if its name ends in .gz.

    The format: two zero bytes, the element type, the number of dimensions d, d big-endian sizes of four bytes each,
    then the elements. Reads at most one byte more than the header announces, and no file that announces more than
    256 MiB, so that a damaged size or a gzip bomb costs little.
    Raises DataError that names the path and says what was expected.
    """
    source = Path(path)
    try:
        with gzip.open(source, "rb") if source.suffix == ".gz" else source.open("rb") as file:
            header = file.read(4)
            if len(header) < 4 or header[:2] != b"\0\0" or header[2] != _UNSIGNED_BYTE or not 1 <= header[3] <= 4:
                raise DataError(
                    f"{source} is not an IDX file of unsigned bytes: it begins with {header.hex(' ') or 'nothing'}, "
                    "expected 00 00 08 and the number of dimensions (1 to 4)."
                )
            sizes = file.read(4 * header[3])
            if len(sizes) < 4 * header[3]:
                raise DataError(f"{source} ends inside its header, which announces {header[3]} dimensions.")
            shape = tuple(int(size) for size in np.frombuffer(sizes, dtype=">u4"))
            expected = math.prod(shape)
            if math.prod(filter(None, shape)) > _LARGEST_FILE:
                raise DataError(f"{source} announces shape {shape}; at most {_LARGEST_FILE:,} bytes are read.")
            content = file.read(expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{source} can't be read: {error}. Expected a complete IDX file, gzipped if named .gz."
        ) from error
    if len(content) != expected:
        found = f"only {len(content):,} bytes follow" if len(content) < expected else "more bytes follow"
        raise DataError(f"{source} announces shape {shape}, {expected:,} bytes, but {found}. Fetch the file again.")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _existing(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise DataError(
        f"{folder / name} is missing, with and without .gz. All four IDX files of MNIST are expected there."
    )


def _read_pair(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images (n, 28, 28) and labels (n,) of "train" or "t10k"."""
    image_path = _existing(folder, f"{part}-images-idx3-ubyte")
    label_path = _existing(folder, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(image_path), read_idx(label_path)
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or not len(images):
        raise DataError(f"{image_path} holds an array of shape {images.shape}, expected (n, {SIDE}, {SIDE}).")
    if labels.shape != images.shape[:1]:
        raise DataError(
            f"{label_path} holds labels of shape {labels.shape}, expected ({len(images)},) as in {image_path}."
        )
    if labels.max() >= CLASSES:
        raise DataError(f"{label_path} holds the label {labels.max()}, expected 0 to {CLASSES - 1}.")
    return images, labels


def _split(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Split:
    scaled = torch.from_numpy(images.astype(np.float32) / 256)[:, None]
    return Split(scaled, torch.from_numpy(labels.astype(np.int64)))
