"""Pictures in folders, one for each class: train/n01440764/a.jpg, as ImageNet's are usually kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from netsurgery.errors import DataError
from netsurgery.pictures.picture_set import SUFFIXES, PictureSet


@final
class ClassFolders(PictureSet):
    """The pictures in the folders of `folder`, sorted by class and then by name.

    classes: names of the folders that count, by label; None: those that are there, sorted. Hidden files and folders,
    and files of other kinds, are passed over.
    Raises DataError for a folder without classes, a class without pictures, and classes that aren't among `classes`.
    """

    def __init__(self, folder: Path, classes: Sequence[str] | None = None) -> None:
        found = _names(folder, folders=True)
        if not found:
            flat = bool(_names(folder, folders=False))
            raise DataError(
                f"{folder} has no class folders{', but pictures' if flat else ''}. A folder for each class is expected "
                f"there, {folder.name}/CLASS/NAME.jpg: sort the pictures into them."
            )
        unknown = [name for name in found if classes is not None and name not in set(classes)]
        if unknown:
            raise DataError(
                f"{folder} has the class folder {unknown[0]!r}{f' and {len(unknown) - 1} more' * (len(unknown) > 1)}, "
                "which the training pictures lack. Give the same names to the classes in both."
            )
        order = tuple(found if classes is None else classes)
        places = {name: label for label, name in enumerate(order)}
        names, labels = list[bytes](), list[int]()
        for name in found:
            inside = _names(folder / name, folders=False)
            if not inside:
                raise DataError(
                    f"{folder / name} holds no picture ({', '.join(SUFFIXES[:4])} ...). Put some in, or delete the "
                    "folder."
                )
            names += [os.fsencode(f"{name}/{picture}") for picture in inside]
            labels += [places[name]] * len(inside)
        super().__init__(order, np.array(labels, dtype=np.int64))
        self._folder = folder
        self._names = np.array(names)  # one block: a list of a million strings is copied by each process that counts it

    def read(self, index: int) -> bytes:
        try:
            return Path(self.name(index)).read_bytes()
        except OSError as error:
            raise DataError(f"{self.name(index)} can't be read: {error.strerror}.") from error

    def name(self, index: int) -> str:
        return str(self._folder / os.fsdecode(bytes(self._names[index])))

    @property
    def neighbourhoods(self) -> NDArray[np.int64] | None:
        return None


def _names(folder: Path, *, folders: bool) -> list[str]:
    """Of the folders in it, or of the pictures, sorted."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".")
                and (entry.is_dir() if folders else entry.name.lower().endswith(SUFFIXES) and entry.is_file())
            )
    except OSError as error:
        raise DataError(f"{folder} can't be read: {error.strerror}.") from error
