"""Pictures in .tar files as WebDataset keeps them: members NAME.jpg and NAME.cls, one behind the other.

The files are read in any order, by the places of their members, which are found once: so that a training can go on at
any step, with the same pictures. (The library of that name streams shards, and can't go back to a place.)
"""

from __future__ import annotations

import tarfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from netsurgery.errors import DataError, LabelWarning
from netsurgery.pictures.picture_set import SUFFIXES, PictureSet

MOST_CLASSES = 1_000_000
"""More are refused: such labels are numbers of something else, and each class has a name in memory."""
_LABEL = ".cls"
_LONGEST_LABEL = 16  # bytes
_BLOCK = 512  # bytes of an archive; one of zeros says that it ends there
_BEHIND = 1 << 20  # bytes behind that in which nothing else may be


@final
class Shards(PictureSet):
    """The pictures in `files`, file by file, each in its own order.

    classes: how many there are; None: as the largest label says, with a LabelWarning where none is 0.
    Raises DataError for files that are no whole uncompressed .tar, pictures without a label, names that occur twice in
    a file, and labels that are no whole numbers or beyond the classes.
    """

    def __init__(self, files: Sequence[Path], classes: int | None = None) -> None:
        self._files = tuple(files)
        members = [np.array(_members(path), dtype=np.int64).reshape(-1, 3) for path in self._files]
        for path, found in zip(self._files, members, strict=True):
            if not len(found):
                raise DataError(f"{path} holds no picture with a label: members NAME.jpg and NAME{_LABEL} are due.")
        offsets, sizes, labels = np.concatenate(members).T
        if classes is None and labels.min() > 0:
            warnings.warn(
                f"No training picture of {self._files[0].parent} has the label 0; the smallest is {labels.min()}. "
                "Labels are places among a network's scores, which begin at 0: where yours begin at 1, subtract it.",
                LabelWarning,
                stacklevel=2,
            )
        count = int(labels.max()) + 1 if classes is None else classes
        wrong = np.flatnonzero(labels >= count)
        self._offsets, self._sizes = offsets.copy(), sizes.copy()
        self._shards = np.repeat(np.arange(len(members)), [len(found) for found in members])
        super().__init__([str(label) for label in range(count)], labels.copy())
        if wrong.size:
            raise DataError(
                f"{self.name(int(wrong[0]))} has the label {labels[wrong[0]]}, expected 0 to {count - 1}, as the "
                "training pictures have."
            )

    def read(self, index: int) -> bytes:
        size, path = int(self._sizes[index]), self._files[int(self._shards[index])]
        try:
            with path.open("rb") as file:
                file.seek(int(self._offsets[index]))
                content: bytes = file.read(size)
        except OSError as error:
            raise DataError(f"{self.name(index)} can't be read: {error.strerror}.") from error
        if len(content) < size:
            raise DataError(f"{self.name(index)} can't be read: the file ends before it. Fetch it again.")
        return content

    def name(self, index: int) -> str:
        return f"{self._files[self._shards[index]]}, the picture at byte {self._offsets[index]}"

    @property
    def neighbourhoods(self) -> NDArray[np.int64] | None:
        return self._shards


def _members(path: Path) -> list[tuple[int, int, int]]:
    """Offset, size and label of each picture in a file, in its order."""
    places, labels = dict[str, tuple[int, int]](), dict[str, int]()
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                key, suffix = _split(member.name)
                if not member.isfile():
                    continue
                if key in (labels if suffix == _LABEL else places if suffix in SUFFIXES else ()):
                    kind = "label" if suffix == _LABEL else "picture"
                    raise DataError(
                        f"{path}: {key} has a second {kind}, {member.name}. Give each picture its own name."
                    )
                if suffix == _LABEL:
                    labels[key] = _label(path, member.name, archive, member)
                elif suffix in SUFFIXES:
                    places[key] = (member.offset_data, member.size)
                archive.members = []  # type: ignore[attr-defined]  # a list of all would take a gigabyte for ImageNet
            end = archive.offset
        with path.open("rb") as file:
            file.seek(end)
            rest = file.read(_BEHIND)
        if rest[:_BLOCK] != bytes(_BLOCK):  # tarfile says nothing of a file that ends between two members
            raise DataError(f"{path} is cut off or damaged: at byte {end:,} its end is missing. Fetch it again.")
        if rest.strip(b"\0"):
            raise DataError(
                f"{path} goes on behind its end, at byte {end:,}: give archives that were joined one by one."
            )
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"{path} can't be read as a .tar file that isn't compressed: {error}.") from error
    for key in places:
        if key not in labels:
            raise DataError(f"{path}: {key} has no label. A member {key}{_LABEL} with a whole number is expected.")
    return [(*place, labels[key]) for key, place in places.items()]


def _split(name: str) -> tuple[str, str]:
    """A member's name before and from the first dot of its last part on, as WebDataset has it."""
    folder, slash, last = name.rpartition("/")
    base, dot, suffix = last.partition(".")
    return folder + slash + base, (dot + suffix).lower()


def _label(path: Path, name: str, archive: tarfile.TarFile, member: tarfile.TarInfo) -> int:
    file = archive.extractfile(member)
    content = b"" if file is None else file.read(_LONGEST_LABEL)
    if not content.strip().isdigit() or member.size > _LONGEST_LABEL or int(content) >= MOST_CLASSES:
        more = " ..." if member.size > _LONGEST_LABEL else ""
        raise DataError(
            f"{path}: {name} holds {content!r}{more}, expected a label, a whole number in 0 .. {MOST_CLASSES - 1:,}."
        )
    return int(content)
