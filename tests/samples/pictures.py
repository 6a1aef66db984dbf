"""Pools, sizes and places of pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from tests.samples.case import Case, Draw
from tests.samples.drawing import choices_of, counts, picture, small, tuples
from tests.samples.sample import BLOCK, BOX, IMAGE, LINE, LONG_LINE, PICTURE, TALL, Samples, Value, sample


def pool(operator: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        x = picture(draw)
        spatial = len(x) - 2
        attributes: dict[str, Any] = {"kernel": draw(tuples(st.integers(1, 4), spatial))}
        attributes |= {"strides": draw(tuples(counts, spatial)), "dilations": draw(tuples(counts, spatial))}
        # Half of the time without padding: that is where kernels have ways of their own.
        pads = draw(tuples(small, 2 * spatial)) if draw(st.booleans()) else (0,) * (2 * spatial)
        attributes |= {"pads": pads, "ceil_mode": draw(st.booleans())}
        if operator == "AveragePool":
            attributes["count_include_pad"] = draw(st.booleans())
        return Case(operator, (x,), attributes)

    return made


def adaptive_pool(operator: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        x = picture(draw)
        return Case(operator, (x,), {"size": draw(tuples(st.integers(1, 11), len(x) - 2))})

    return made


def resize(draw: Draw) -> Case:
    x = picture(draw)
    spatial = len(x) - 2
    size = draw(tuples(st.integers(1, 14), spatial))
    scales: tuple[float, ...] = ()
    if draw(st.booleans()):
        scales = tuple(new / old * draw(st.sampled_from([1.0, 0.9, 1.3])) for new, old in zip(size, x[2:], strict=True))
    sizes = {"size": size, "scales": scales}
    if scales and draw(st.booleans()):
        del sizes["size"]
    return Case("Resize", (x,), {**sizes, **choices_of(draw, "Resize")})


def interpolate(draw: Draw) -> Case:
    drawn = resize(draw)
    x = drawn.shapes[0] or ()
    chosen = choices_of(draw, "Interpolate")
    chosen |= {name: draw(st.booleans()) for name in ("antialias", "exclude_outside")}
    if chosen["coordinates"] == "tf_crop_and_resize":
        chosen["roi"] = draw(tuples(st.sampled_from([-0.75, 0.0, 0.25, 1.0, 1.5]), 2 * (len(x) - 2)))
    sizes = {name: drawn.attributes[name] for name in ("size", "scales") if name in drawn.attributes}
    return Case("Interpolate", (x,), {**sizes, **chosen, "alpha": draw(st.sampled_from([-0.75, -0.5, 0.0]))})


def grid_sample(draw: Draw) -> Case:
    x = picture(draw)
    grid = (x[0], *draw(tuples(st.integers(1, 9), len(x) - 2)), len(x) - 2)
    return Case("GridSample", (x, grid), choices_of(draw, "GridSample"))


def depth_to_space(draw: Draw) -> Case:
    x = picture(draw)
    blocks = draw(tuples(st.integers(1, 3), len(x) - 2))
    deep = (x[0], x[1] * math.prod(blocks), *x[2:])
    return Case("DepthToSpace", (deep,), {"blocks": blocks, **choices_of(draw, "DepthToSpace")})


def space_to_depth(draw: Draw) -> Case:
    x = picture(draw)
    blocks = draw(tuples(st.integers(1, 3), len(x) - 2))
    wide = (*x[:2], *(size * block for size, block in zip(x[2:], blocks, strict=True)))
    return Case("SpaceToDepth", (wide,), {"blocks": blocks, **choices_of(draw, "SpaceToDepth")})


PICTURES: dict[str, Samples] = {
    "MaxPool": Samples(
        files=[
            sample(IMAGE, kernel=(3, 2), strides=(2, 3), pads=(1, 0, 2, 1), dilations=(2, 1)),
            sample(LINE, kernel=(2,), strides=(2,), ceil_mode=True),
        ],
        drawn=pool("MaxPool"),
        more=[
            sample(PICTURE, kernel=(3, 2), strides=(2, 2), pads=(1, 0, 1, 1)),
            sample(PICTURE, kernel=(3, 3), strides=(2, 2), ceil_mode=True),
            sample(LONG_LINE, kernel=(3,), dilations=(2,)),
            sample(BLOCK, kernel=(2, 2, 2), strides=(2, 2, 2)),
        ],
        large=[
            Case("MaxPool", ((2, 7, 60, 70),), {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}),
            *(
                Case("MaxPool", ((2, 3, 6, 7, 8),), {"kernel": kernel, "strides": strides})
                for kernel in ((1, 2, 2), (1, 3, 3), (1, 1, 2), (2, 1, 2), (1, 1, 1), (1, 2, 1))
                for strides in ((2, 2, 2), (3, 1, 2), (2, 1, 1), (1, 2, 3))
            ),
        ],
    ),
    "AdaptiveAveragePool": Samples(
        files=[sample(IMAGE, size=(2, 5)), sample(BOX, size=(1, 1, 1))],
        drawn=adaptive_pool("AdaptiveAveragePool"),
        more=[
            sample(PICTURE, size=(1, 1)),
            sample(TALL, size=(3, 2)),
            sample(PICTURE, size=(3, 4)),
            sample(PICTURE, size=(9, 6)),
            sample(BLOCK, size=(2, 3, 1)),
        ],
        large=[Case("AdaptiveAveragePool", ((4, 30, 40, 41),), {"size": (1, 1)})],
    ),
    "AveragePool": Samples(
        files=[
            sample(
                IMAGE,
                kernel=(2, 3),
                strides=(3, 2),
                pads=(1, 1, 1, 1),
                dilations=(1, 2),
                ceil_mode=True,
                count_include_pad=True,
            )
        ],
        drawn=pool("AveragePool"),
        more=[
            sample(PICTURE, kernel=(3, 2), strides=(2, 2), pads=(1, 0, 1, 1)),
            sample(PICTURE, kernel=(3, 2), pads=(1, 0, 1, 1), count_include_pad=True),
            sample(PICTURE, kernel=(3, 3), strides=(2, 2), ceil_mode=True),
            sample(LONG_LINE, kernel=(3,), strides=(3,)),
            sample(BLOCK, kernel=(2, 2, 2)),
        ],
        large=[
            *(
                Case("AveragePool", ((2, 3, 6, 7, 8),), {"kernel": kernel, "strides": (2, 3, 2)})
                for kernel in ((1, 2, 2), (2, 1, 2), (1, 1, 1))
            ),
            Case("AveragePool", ((1, 3, 50000),), {"kernel": (5,)}),
        ],
    ),
    "Resize": Samples(
        files=[
            sample(IMAGE, size=(14, 5), scales=(2.0, 0.625), coordinates="half_pixel"),
            *(
                sample(LINE, size=(13,), coordinates=coordinates, rounding=rounding)
                for coordinates, rounding in (
                    ("asymmetric", "floor"),
                    ("pytorch_half_pixel", "ceil"),
                    ("align_corners", "round_prefer_floor"),
                    ("half_pixel_symmetric", "round_prefer_ceil"),
                )
            ),
            sample(IMAGE, scales=(2.0, 0.5)),
        ],
        drawn=resize,
        more=[
            sample(PICTURE, size=(14, 12)),
            sample(PICTURE, size=(3, 9), coordinates="half_pixel", rounding="round_prefer_floor"),
            sample(PICTURE, size=(3, 4), scales=(0.55, 0.7), coordinates="asymmetric", rounding="floor"),
            sample(PICTURE, size=(13, 11), coordinates="align_corners", rounding="round_prefer_ceil"),
            sample(PICTURE, size=(5, 9), coordinates="pytorch_half_pixel", rounding="ceil"),
        ],
        large=[Case("Resize", ((2, 3, 60, 61),), {"size": (120, 122)})],
    ),
    "AdaptiveMaxPool": Samples(
        files=[sample(IMAGE, size=(3, 4))],
        drawn=adaptive_pool("AdaptiveMaxPool"),
        more=[sample(PICTURE, size=(1, 1)), sample(TALL, size=(3, 2)), sample(PICTURE, size=(3, 4))],
        large=[Case("AdaptiveMaxPool", ((4, 30, 40, 41),), {"size": (7, 9)})],
    ),
    "DepthToSpace": Samples(
        files=[sample(Value((12, 3, 5)), blocks=(2, 3)), sample(LINE, blocks=(4,), order="dcr")],
        drawn=depth_to_space,
        more=[
            sample(PICTURE, blocks=(2, 2)),
            sample(PICTURE, blocks=(2, 2), order="dcr"),
            sample(PICTURE, blocks=(4, 1), order="dcr"),
            sample(LONG_LINE, blocks=(2,)),
        ],
        large=[Case("DepthToSpace", ((2, 36, 30, 31),), {"blocks": (2, 3)})],
    ),
    "SpaceToDepth": Samples(
        files=[sample(Value((2, 6, 4)), blocks=(3, 2)), sample(Value((1, 2, 2, 4)), blocks=(2, 1, 4), order="dcr")],
        drawn=space_to_depth,
        more=[
            sample(Value((3, 4, 6)), blocks=(2, 2)),
            sample(Value((3, 4, 6)), blocks=(2, 2), order="dcr"),
            sample(Value((3, 4, 6)), blocks=(4, 3), order="dcr"),
            sample(Value((3, 4, 6)), blocks=(1, 3)),
        ],
        large=[Case("SpaceToDepth", ((2, 3, 60, 93),), {"blocks": (2, 3), "order": "dcr"})],
    ),
    "Interpolate": Samples(
        files=[
            sample(IMAGE, size=(11, 4)),
            *(
                sample(LINE, size=(13,), coordinates=coordinates)
                for coordinates in ("asymmetric", "pytorch_half_pixel", "half_pixel_symmetric")
            ),
            sample(LINE, scales=(1.75,), coordinates="align_corners", mode="cubic", alpha=-0.5),
            sample(BOX, scales=(0.5, 2.0, 0.6), antialias=True, exclude_outside=True),
            sample(IMAGE, size=(5, 6), coordinates="tf_crop_and_resize", roi=(0.1, -0.5, 0.9, 1.5), value=2.5),
        ],
        drawn=interpolate,
        more=[
            sample(PICTURE, size=(14, 12)),
            sample(PICTURE, scales=(0.5, 1.5)),
            sample(PICTURE, size=(13, 11), coordinates="align_corners", mode="cubic"),
            sample(
                PICTURE, size=(3, 9), coordinates="pytorch_half_pixel", mode="cubic", alpha=-0.5, exclude_outside=True
            ),
            sample(PICTURE, size=(4, 4), coordinates="asymmetric"),
            sample(PICTURE, scales=(0.5, 0.5), antialias=True, exclude_outside=True),
            sample(PICTURE, size=(4, 4), coordinates="tf_crop_and_resize", roi=(0.25, 0.0, 1.5, 1.0), value=2.0),
        ],
        large=[
            Case("Interpolate", ((2, 3, 60, 61),), {"size": (120, 122)}),
            Case("Interpolate", ((1, 2, 9000),), {"size": (20000,), "mode": "cubic"}),
        ],
    ),
    "GridSample": Samples(
        files=[
            sample(IMAGE, Value((5, 3, 2))),
            sample(LINE, Value((11, 1)), mode="cubic", padding="border", coordinates="align_corners"),
            sample(BOX, Value((2, 1, 3, 3)), mode="nearest", padding="reflection"),
        ],
        drawn=grid_sample,
        more=[
            *(
                sample(PICTURE, Value((5, 3, 2)), mode=mode, padding=padding, coordinates=coordinates)
                for mode in ("linear", "nearest", "cubic")
                for padding in ("zeros", "border", "reflection")
                for coordinates in ("half_pixel", "align_corners")
            )
        ],
        large=[
            Case("GridSample", ((2, 3, 60, 61), (2, 90, 70, 2)), {"mode": "cubic"}),
            Case("GridSample", ((1, 70, 6, 7, 8), (1, 9, 11, 70, 3)), {"padding": "reflection"}),
        ],
    ),
}
