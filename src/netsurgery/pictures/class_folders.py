"""Pictures in folders, one for each class: train/n01440764/a.jpg, as ImageNet's are usually kept."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from netsurgery.errors import DataError
from netsurgery.pictures.picture_set import SUFFIXES, PictureSet

_OF_ARCHIVES = "__MACOSX"  # what macOS adds to archives


@final
class ClassFolders(PictureSet):
    """The pictures in the folders of `folder`, sorted by class and then by name.

    classes: names of the folders that count, by label; None: those that are there, sorted. Pictures in folders of a
    class's folder are of that class. Hidden files and folders, __MACOSX, and files of other kinds are passed over.
    Names of classes are the same in all spellings that Unicode has for them.
    Raises DataError for a folder without classes, a class without pictures, classes that aren't among `classes`, and
    two that are called alike.
    """

    def __init__(self, folder: Path, classes: Sequence[str] | None = None) -> None:
        found = _names(folder, folders=True)
        if not found:
            flat = bool(_names(folder, folders=False))
            raise DataError(
                f"{folder} has no class folders{', but pictures' if flat else ''}. A folder for each class is expected "
                f"there, {folder.name}/CLASS/NAME.jpg: sort the pictures into them."
            )
        order = tuple(found if classes is None else classes)
        places = {_normalised(name): label for label, name in enumerate(order)}
        alike = [name for name, count in Counter(map(_normalised, found)).items() if count > 1]
        if alike:
            raise DataError(f"{folder} has two class folders called {alike[0]!r}, in two spellings. Make one of them.")
        unknown = [name for name in found if _normalised(name) not in places]
        if unknown:
            raise DataError(
                f"{folder} has the class folder {unknown[0]!r}{f' and {len(unknown) - 1} more' * (len(unknown) > 1)}, "
                "which the training pictures lack. Give the same names to the classes in both."
            )
        names, labels = list[bytes](), list[int]()
        for name in found:
            inside = _pictures(folder / name)
            if not inside:
                raise DataError(
                    f"{folder / name} holds no picture ({', '.join(SUFFIXES[:4])} ...). Put some in, or delete the "
                    "folder."
                )
            names += [os.fsencode(f"{name}/{picture}") for picture in inside]
            labels += [places[_normalised(name)]] * len(inside)
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


def _normalised(name: str) -> str:
    """In one spelling: macOS writes letters with accents as two characters, everyone else as one."""
    return unicodedata.normalize("NFC", name)


def _pictures(folder: Path, above: tuple[Path, ...] = ()) -> list[str]:
    """Paths within the folder of its pictures, and then of those in its folders, each sorted."""
    whole = folder.resolve()
    if whole in above:  # a link to a folder that it lies in
        return []
    return [
        *_names(folder, folders=False),
        *(
            f"{name}/{picture}"
            for name in _names(folder, folders=True)
            for picture in _pictures(folder / name, (*above, whole))
        ),
    ]


def _names(folder: Path, *, folders: bool) -> list[str]:
    """Of the folders in it, or of the pictures, sorted."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".")
                and entry.name != _OF_ARCHIVES
                and (entry.is_dir() if folders else entry.name.lower().endswith(SUFFIXES) and entry.is_file())
            )
    except OSError as error:
        raise DataError(f"{folder} can't be read: {error.strerror}.") from error
