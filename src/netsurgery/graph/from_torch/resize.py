"""Translation of ATen's resizing; of nearest neighbours, those are taken that torch really takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.extents import Extent, Number, at
from netsurgery.graph.from_torch.call import FIX, Call, Open
from netsurgery.graph.value_types import ValueType

_TRIED_SIZES = (*range(1, 130), 224, 255, 256, 300, 384, 511, 512, 640)

Places: TypeAlias = npt.NDArray[Any]


def nearest(coordinates: str, rounding: str) -> Callable[[Call], str]:
    """aten.upsample_nearest1d/2d/3d (asymmetric, floor) and _upsample_nearest_exact (half_pixel, round_prefer_ceil).

    torch multiplies by a float32 scale where the graph divides whole numbers, which rounds to another neighbour at
    some sizes. So torch resizes 0, 1, 2, ... along each axis, and a scale that finds the same places is looked for.
    """
    exact = coordinates == "half_pixel"

    def translate(call: Call) -> str:
        if _follows_axes(call):
            factors = _factors(call, len(call.shape) - 2)
            if all(factor is not None and _is_power_of_two(factor) for factor in factors):
                x = call.operand(call.first)
                return call.node("Resize", [x], scales=factors, coordinates=coordinates, rounding=rounding)
            return _to_open_sizes(call, coordinates, rounding, exact=exact)
        before, after = call.known(call.sizes(call.first)[2:]), call.known(call.shape[2:])
        along = list(zip(before, after, _factors(call, len(before)), strict=True))
        places = [_by_torch(old, new, factor, exact) for old, new, factor in along]
        scales: tuple[float, ...] = ()
        if not all(_same(places[i], old, new, None, exact) for i, (old, new, _) in enumerate(along)):
            scales = tuple(_scale(places[i], *axis, exact) for i, axis in enumerate(along))
        x = call.operand(call.first)
        return call.node("Resize", [x], size=after, scales=scales, coordinates=coordinates, rounding=rounding)

    return translate


def interpolation(mode: str, *, antialias: bool = False) -> Callable[[Call], str]:
    """aten.upsample_linear1d, bilinear2d, trilinear3d, bicubic2d, and those that smooth where a picture shrinks.

    torch's cubic has the coefficient -0.75, and -0.5, as Pillow, with antialias.
    """

    def translate(call: Call) -> str:
        settings: dict[str, Any] = {"mode": mode, "antialias": antialias, "exclude_outside": antialias}
        if mode == "cubic":
            settings["alpha"] = -0.5 if antialias else -0.75
        settings["coordinates"] = "align_corners" if call.arguments["align_corners"] else "half_pixel"
        x = call.operand(call.first)
        if _follows_axes(call):
            if all(factor is None for factor in _factors(call, len(call.shape) - 2)):
                return call.node("Interpolate", [x], size=tuple(map(call.extent, call.shape[2:])), **settings)
            return call.node("Interpolate", [x], scales=_open_scales(call), **settings)
        before, after = call.known(call.sizes(call.first)[2:]), call.known(call.shape[2:])
        factors = _factors(call, len(before))
        if not call.arguments["align_corners"] and any(factor is not None for factor in factors):
            pairs = zip(factors, before, after, strict=True)
            settings["scales"] = tuple(new / old if factor is None else factor for factor, old, new in pairs)
        return call.node("Interpolate", [x], size=after, **settings)

    return translate


def _follows_axes(call: Call) -> bool:
    """True if the size of the picture before or behind is open."""
    return any(isinstance(size, Open) for size in (*call.sizes(call.first)[2:], *call.shape[2:]))


def _is_power_of_two(factor: float) -> bool:
    return math.frexp(factor)[0] == 0.5


def _open_scales(call: Call) -> tuple[float, ...]:
    """The scale factors where sizes are open.

    Raises UnsupportedOperatorError unless any size times one is the same as in torch.
    """
    factors = tuple(1.0 if factor is None else factor for factor in _factors(call, len(call.shape) - 2))
    if not all((one * 256).is_integer() for one in factors):
        raise UnsupportedOperatorError(
            f"resizes an open axis by {factors}, which rounds; use a scale_factor such as 2 or 0.5, or {FIX}"
        )
    return factors


def _to_open_sizes(call: Call, coordinates: str, rounding: str, *, exact: bool) -> str:
    """To sizes that follow open axes: by a Resize where torch finds the same neighbours, as far as they are tried."""
    _open_scales(call)
    before, after = (tuple(map(call.extent, sizes[2:])) for sizes in (call.sizes(call.first), call.shape))
    ways = list(zip(before, after, _factors(call, len(before)), strict=True))
    x = call.operand(call.first)
    if all(_found_by_quotients(*way, exact) for way in ways):
        return call.node("Resize", [x], size=after, coordinates=coordinates, rounding=rounding)
    for place, (old, new, factor) in enumerate(ways):
        if old != new:
            x = call.node("Gather", [x, _computed_places(call, old, new, factor, exact)], "picked", axis=2 + place)
    return x


def _found_by_quotients(old: Number, new: Number, factor: float | None, exact: bool) -> bool:
    """Whether torch picks along an axis what Resize picks, which divides whole numbers, at the sizes tried."""
    names = {name for number in (old, new) if isinstance(number, Extent) for name in number.axes}
    for size in _TRIED_SIZES:
        here, there = (at(number, dict.fromkeys(names, size)) for number in (old, new))
        if min(here, there) >= 1 and not _same(_by_torch(here, there, factor, exact), here, there, None, exact):
            return False
    return True


def _computed_places(call: Call, old: Number, new: Number, factor: float | None, exact: bool) -> str:
    """The neighbours as torch computes them: of places times a scale, both float32."""
    places = call.node("Range", [call.placed(0.0, "first")], "places", count=new)
    if exact:
        places = call.node("Add", [places, call.placed(0.5, "half")], "middles")
    if factor is None:
        scale = call.node("Div", [call.size_value(old), call.size_value(new)], "scale")
    else:
        scale = call.placed(1 / factor, "scale")
    found = call.node("Floor", [call.node("Mul", [places, scale], "scaled")], "found")
    held = call.node("Min", [found, call.size_value(old - 1)], "held")
    return call.node("Cast", [held], "index", type=str(ValueType.INT64))


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
