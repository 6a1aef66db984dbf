"""Translation of ATen's nearest neighbour resizing, with the neighbours that torch really takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.extents import Extent, at
from netsurgery.graph.from_torch.call import FIX, Call, Open

_TRIED_SIZES = (*range(1, 130), 224, 255, 256, 300, 384, 511, 512, 640)

Places: TypeAlias = npt.NDArray[Any]


def nearest(coordinates: str, rounding: str) -> Callable[[Call], str]:
    """aten.upsample_nearest1d/2d/3d (asymmetric, floor) and _upsample_nearest_exact (half_pixel, round_prefer_ceil).

    torch multiplies by a float32 scale where the graph divides whole numbers, which rounds to another neighbour at
    some sizes. So torch resizes 0, 1, 2, ... along each axis, and a scale that finds the same places is looked for.
    """
    exact = coordinates == "half_pixel"

    def translate(call: Call) -> str:
        before, after = call.sizes(call.first)[2:], call.shape[2:]
        if any(isinstance(size, Open) for size in (*before, *after)):
            return _open(call, coordinates, rounding, exact=exact)
        before, after = call.known(before), call.known(after)
        along = list(zip(before, after, _factors(call, len(before)), strict=True))
        places = [_by_torch(old, new, factor, exact) for old, new, factor in along]
        scales: tuple[float, ...] = ()
        if not all(_same(places[i], old, new, None, exact) for i, (old, new, _) in enumerate(along)):
            scales = tuple(_scale(places[i], *axis, exact) for i, axis in enumerate(along))
        x = call.operand(call.first)
        return call.node("Resize", [x], size=after, scales=scales, coordinates=coordinates, rounding=rounding)

    return translate


def _open(call: Call, coordinates: str, rounding: str, *, exact: bool) -> str:
    """To sizes that follow open axes, where torch finds the same neighbours as the graph, as far as they are tried."""
    before, after = (tuple(map(call.extent, sizes[2:])) for sizes in (call.sizes(call.first), call.shape))
    for old, new, factor in zip(before, after, _factors(call, len(before)), strict=True):
        names = {name for number in (old, new) if isinstance(number, Extent) for name in number.axes}
        for size in _TRIED_SIZES:
            here, there = (at(number, dict.fromkeys(names, size)) for number in (old, new))
            if min(here, there) >= 1 and not _same(_by_torch(here, there, factor, exact), here, there, None, exact):
                raise UnsupportedOperatorError(
                    f"resizes an axis of {old} to {new}, which at size {size} rounds in a way that the graph can't "
                    f"repeat; {FIX}, or resize by a power of two"
                )
    x = call.operand(call.first)
    return call.node("Resize", [x], size=after, coordinates=coordinates, rounding=rounding)


def _factors(call: Call, count: int) -> tuple[float | None, ...]:
    """The scale (output / input) along each axis if the caller gave it; torch multiplies by 1 / scale then."""
    if "scale_factors" in call.arguments:
        return tuple(call.arguments["scale_factors"] or (None,) * count)
    names = ("scales",) if count == 1 else ("scales_d", "scales_h", "scales_w")[-count:]
    return tuple(call.arguments[name] for name in names)


def _by_torch(old: int, new: int, factor: float | None, exact: bool) -> Places:
    """Which of `old` entries each of `new` ones repeats."""
    resize = torch.ops.aten._upsample_nearest_exact1d if exact else torch.ops.aten.upsample_nearest1d
    numbers = torch.arange(old, dtype=torch.float32).reshape(1, 1, -1)
    return np.asarray(resize(numbers, [new], factor).flatten().tolist())


def _same(places: Places, old: int, new: int, scale: float | None, exact: bool) -> bool:
    """True if the Resize operator finds these places; half_pixel and round_prefer_ceil is floor((i + 0.5) / scale)."""
    i = np.arange(new) + (0.5 if exact else 0.0)
    positions = i * old / new if scale is None else i / scale
    return np.array_equal(places, np.clip(np.floor(positions), 0, old - 1))


def _scale(places: Places, old: int, new: int, factor: float | None, exact: bool) -> float:
    """The scale or a float32 next to it, whichever finds these places. Raises UnsupportedOperatorError if none does."""
    middle = np.float32(new / old if factor is None else factor)
    for scale in (middle, np.nextafter(middle, np.float32(0)), np.nextafter(middle, np.float32(np.inf))):
        if _same(places, old, new, float(scale), exact):
            return float(scale)
    raise UnsupportedOperatorError(
        f"resizing an axis of {old} to {new} rounds in a way that the graph can't repeat; resize to another size"
    )
