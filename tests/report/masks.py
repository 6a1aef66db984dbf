"""Masks of a small network, drawn by chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Masks = dict[str, NDArray[np.bool_]]
SHAPES: dict[str, tuple[int, ...]] = {
    "conv.weight": (4, 2, 3, 3),
    "conv.bias": (4,),
    "line.weight": (3, 5, 7),
    "fc.weight": (10, 49),
    "fc.bias": (10,),
    "scale": (),
}


def masks_of(shapes: dict[str, tuple[int, ...]]) -> Masks:
    generator = np.random.default_rng(0)
    return {name: np.asarray(generator.random(shape) < 0.3) for name, shape in shapes.items()}
