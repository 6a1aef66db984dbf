"""Network sketching straight from the paper, one filter at a time, in float64: slow and obviously right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


def expanded(weight: Doubles, planes: int, refined: bool) -> tuple[Doubles, Doubles]:
    """weight (t,) -> scales (planes,), signs (t, planes) of -1 and +1: the paper's algorithms 1 and 2."""
    signs, scales = np.empty((len(weight), 0)), np.empty(0)
    for _ in range(planes):
        residual = weight - signs @ scales
        sign = np.where(residual >= 0, 1.0, -1.0)
        signs = np.column_stack([signs, sign])
        if refined:
            scales = np.linalg.lstsq(signs, weight, rcond=None)[0]
        else:
            scales = np.append(scales, np.abs(residual).mean())
    return scales, signs


def squared_error(weight: Doubles, scales: Doubles, signs: Doubles) -> float:
    """‖w - Σ a_j B_j‖²."""
    return float(np.square(weight - signs @ scales).sum())


def projections(signs: Doubles) -> list[float]:
    """λ_j of each plane: the squared length of its projection onto the span of those before it; the first has 0."""
    lengths = []
    for plane in range(signs.shape[1]):
        before, sign = signs[:, :plane], signs[:, plane]
        lengths.append(float(np.square(before @ np.linalg.lstsq(before, sign, rcond=None)[0]).sum()) if plane else 0.0)
    return lengths
