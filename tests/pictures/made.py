"""Folders of small made pictures, whose colour tells the class."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("ant", "bee", "cat")


def picture(label: int, seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """A noisy surface; each class has a colour of its own."""
    generator = np.random.default_rng([label, seed])
    colour = np.array([(200, 60, 60), (60, 200, 60), (60, 60, 200)], np.int64)[label % 3]
    noise = generator.integers(-40, 40, (height, width, 3))
    return Image.fromarray((colour + noise).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **settings: object) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **({"quality": 95} | settings if kind == "JPEG" else settings))
    return written.getvalue()


def _all(per_class: int, part: int) -> Iterator[tuple[str, int, bytes]]:
    for label, name in enumerate(CLASSES):
        for number in range(per_class):
            size = {"width": 36 + 4 * (number % 3), "height": 34 + 3 * (number % 4)}
            yield f"{name}/{number:03d}.jpg", label, encoded(picture(label, 1000 * part + number, **size), quality=90)


def write_folders(folder: Path, training: int = 20, test: int = 4) -> Path:
    """train/CLASS/000.jpg ... and val/CLASS/000.jpg ..., so many of each class."""
    for part, (name, count) in enumerate({"train": training, "val": test}.items()):
        for path, _, content in _all(count, part):
            target = folder / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return folder


def write_shard(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def write_shards(folder: Path, training: int = 20, test: int = 4, per_shard: int = 16) -> Path:
    """The same pictures in train-0000.tar ... and val-0000.tar ..., classes mixed."""
    for part, (name, count) in enumerate({"train": training, "val": test}.items()):
        pictures = list(_all(count, part))
        order = np.random.default_rng(part).permutation(len(pictures))
        for shard, first in enumerate(range(0, len(pictures), per_shard)):
            members = dict[str, bytes]()
            for place in order[first : first + per_shard]:
                path, label, content = pictures[place]
                key = path.removesuffix(".jpg").replace("/", "-")
                members |= {f"{key}.jpg": content, f"{key}.cls": str(label).encode()}
            write_shard(folder / f"{name}-{shard:04d}.tar", members)
    return folder
