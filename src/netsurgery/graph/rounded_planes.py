"""The scales of a row that is a sum of at most 3 planes, from its distinct magnitudes, where sums round.

Such a row has at most 2^m distinct values, and they give the scales back: the largest is the sum of all scales, and
each next one that isn't explained yet lacks twice a new scale. Which float32 scales round to these very sums is tried
out from there.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from netsurgery.graph.plane_relations import Doubles, signed_sums

Array = npt.NDArray[np.float32]

MOST_ROUNDED = 3
"""With more planes there are too many float32 scales to try."""


def rounded_scales(magnitudes: Doubles, most: int) -> Doubles | None:
    """Scales (m,), falling, whose sums in float32, from the first on, hold all magnitudes; m <= most, or None.

    magnitudes: distinct, > 0, sorted.
    """
    values = np.concatenate([-magnitudes[::-1], magnitudes])  # the negative of a sum is a sum too
    with np.errstate(over="ignore", invalid="ignore"):
        for planes in range(1, min(MOST_ROUNDED, most) + 1):
            scales = _scales(values, planes) if len(values) <= 2**planes else None
            if scales is not None:
                return scales.astype(np.float64)
    return None


def _scales(values: Doubles, planes: int) -> Array | None:
    """Scales (m,) from the values of a row and their negatives, sorted, or None."""
    guessed = _guessed_scales(values[::-1], planes)
    if guessed is None:
        return None
    sums = signed_sums(np.array(guessed))
    place = np.abs(sums - values[:, None]).argmin(axis=1)
    known = np.zeros(len(sums), bool)
    sums[place], known[place] = values, True
    return _solved(sums[: len(sums) // 2], known[: len(sums) // 2])


def _solved(sums: Doubles, known: npt.NDArray[np.bool_]) -> Array | None:
    """Scales (m,) of all sums with a + first, or None: sums[i] has - where bit m - 2, m - 3, ... of i is 1.

    Backwards: without the last plane, each two neighbours are one float32, their mean or a number beside it; the last
    scale lies in the middle of what these and rounding allow. Sums that aren't known allow anything.
    """
    if len(sums) == 1:
        return sums.astype(np.float32)
    slack = np.where(known, np.spacing(np.abs(sums).astype(np.float32)) / 2.0, np.inf)
    pairs = sums.reshape(-1, 2)
    for without in itertools.product(*(_neighbours(np.float32(mean)) for mean in pairs.mean(axis=1))):
        before = np.array(without, np.float32)
        scale = (pairs - before[:, None]) * (1, -1)
        low, high = (scale.ravel() - slack).max(), (scale.ravel() + slack).min()
        for last in _neighbours(np.float32((low + high) / 2))[:3]:
            after = np.stack([before + last, before - last], axis=1).ravel()
            if (after == sums)[known].all():
                first = _solved(before.astype(np.float64), np.ones(len(before), bool))
                if first is not None:
                    return np.append(first, last)
    return None


def _guessed_scales(values: Doubles, planes: int) -> list[float] | None:
    """Scales, largest first, from distinct values in falling order; None unless they show `planes` of them."""
    if len(values) == 1:
        return [abs(values[0])] if planes == 1 else None
    tolerance = 1e-5 * abs(values[0])
    scales: list[float] = []
    explained = [0.0]  # what the values seen so far lack of the largest
    for lack in values[0] - values[1:]:
        if any(abs(lack - known) <= tolerance for known in explained):
            continue
        if len(scales) == planes:
            return None
        scales.append(lack / 2)
        explained += [known + lack for known in explained]
    return sorted(scales, reverse=True) if len(scales) == planes else None


def _neighbours(scale: np.float32) -> list[np.float32]:
    """The number itself and those up to two places beside it, the nearest first."""
    up, down = np.float32(np.inf), np.float32(-np.inf)
    above, below = np.nextafter(scale, up), np.nextafter(scale, down)
    return [scale, above, below, np.nextafter(above, up), np.nextafter(below, down)]
