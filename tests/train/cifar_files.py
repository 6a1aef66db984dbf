"""Small data sets in the layout of CIFAR-10's binary version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")

Bytes = NDArray[np.uint8]


def drawn(count: int, seed: int) -> tuple[Bytes, Bytes]:
    """Images (n, 3, 32, 32), whose brightness tells the class, and their labels (n,)."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(count) % 10).astype(np.uint8)
    noise = generator.integers(0, 20, (count, 3, 32, 32), np.uint8)
    return noise + 23 * labels[:, None, None, None], labels


def write_files(folder: Path, images_per_file: int) -> None:
    """All six files; file i holds what `drawn` gives with seed i."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(FILES):
        images, labels = drawn(images_per_file, seed)
        records = np.concatenate([labels[:, None], images.reshape(images_per_file, -1)], axis=1)
        (folder / name).write_bytes(records.tobytes())
