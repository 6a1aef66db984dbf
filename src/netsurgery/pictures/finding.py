"""Which pictures a folder holds: class folders or shards, for training and for the test."""

from __future__ import annotations

from pathlib import Path

from netsurgery.errors import DataError
from netsurgery.pictures.class_folders import ClassFolders
from netsurgery.pictures.decoding import check_decoders
from netsurgery.pictures.picture_set import PictureSet
from netsurgery.pictures.shards import Shards

TRAINING, TEST = "train", "val"


def training_pictures(folder: Path) -> PictureSet:
    """Those in train/CLASS/NAME.jpg, train-*.tar or train/*.tar. Raises DataError that says what is expected."""
    check_decoders()
    shards = _shards(folder, TRAINING)
    return Shards(shards) if shards else ClassFolders(_part(folder, TRAINING))


def test_pictures(folder: Path, training: PictureSet) -> PictureSet:
    """Those in val/CLASS/NAME.jpg, val-*.tar or val/*.tar, with the labels that the training pictures have.

    Raises DataError that says what is expected.
    """
    shards = _shards(folder, TEST)
    if not shards and not _has_folders(_part(folder, TEST)) and isinstance(training, Shards):
        raise DataError(f"{folder / TEST} holds no shards: {TEST}-0000.tar ... are expected, as {TRAINING} has them.")
    if bool(shards) != isinstance(training, Shards):
        raise DataError(
            f"{folder} has shards for one of {TRAINING} and {TEST}, and class folders for the other, so that labels "
            "can't be compared. Give both in the same form."
        )
    return Shards(shards, len(training.classes)) if shards else ClassFolders(_part(folder, TEST), training.classes)


def _part(folder: Path, part: str) -> Path:
    if not (folder / part).is_dir():
        raise DataError(
            f"{folder} holds no pictures: {folder / part} is not a directory. Class folders ({TRAINING}/CLASS/NAME.jpg "
            f"and {TEST}/CLASS/NAME.jpg) or WebDataset shards ({TRAINING}-0000.tar ... and {TEST}-0000.tar ...) are "
            "expected there."
        )
    return folder / part


def _has_folders(part: Path) -> bool:
    return any(path.is_dir() for path in part.iterdir())


def _shards(folder: Path, part: str) -> list[Path]:
    return sorted([*folder.glob(f"{part}-*.tar"), *folder.glob(f"{part}/*.tar")])
