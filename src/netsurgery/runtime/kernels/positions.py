"""Where the entries of a resized axis lie among those that it had."""

from __future__ import annotations

import numpy as np

from netsurgery.runtime.kernels.kernel import Doubles


def resized_positions(old: int, new: int, scale: float | None, coordinates: str) -> Doubles:
    """Where each of `new` entries lies among the `old` ones: ONNX's equations for coordinate_transformation_mode.

    An exact quotient of whole numbers, rounded once, never crosses a whole number, as i / (new / old) would.
    """
    i = np.arange(new, dtype=np.float64)

    def unscaled(place: Doubles) -> Doubles:
        return place * old / new if scale is None else place / scale

    if coordinates == "align_corners":
        return i * (old - 1) / max(new - 1, 1)
    if coordinates == "asymmetric":
        return unscaled(i)
    if coordinates == "pytorch_half_pixel" and new == 1:
        return i
    if coordinates == "half_pixel_symmetric" and scale is not None:
        # ONNX adds old / 2 * (1 - new / (scale * old)) to half_pixel; as one quotient it is rounded once.
        return (2 * i + 1 - new + (old - 1) * scale) / (2 * scale)
    return unscaled(i + 0.5) - 0.5
