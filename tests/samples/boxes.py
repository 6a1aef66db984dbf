"""Boxes in pictures."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from tests.samples.case import Case, Draw
from tests.samples.drawing import axis_of, choices_of, counts, shapes_with_axis, sizes, small, tuples
from tests.samples.sample import LINE, PICTURE, Constant, Fixed, Known, Numbers, Samples, Value, sample

from netsurgery.graph.value_types import ValueType


def roi_align(draw: Draw) -> Case:
    x = (draw(counts), draw(sizes), draw(sizes), draw(sizes))
    boxes = draw(sizes)
    attributes = {
        "size": draw(tuples(counts, 2)),
        "count": draw(small),
        "scale": draw(st.sampled_from([0.5, 1.0, -3.0])),
    }
    return Case("RoiAlign", (x, (boxes,), (boxes, 4)), {**attributes, **choices_of(draw, "RoiAlign")})


def non_max_suppression(draw: Draw) -> Case:
    images, classes, boxes = draw(counts), draw(counts), draw(st.integers(1, 12))
    attributes = {"count": draw(st.integers(1, 15)), "threshold": draw(st.sampled_from([0.0, 0.25, 0.5, 1.0]))}
    attributes["minimum"] = draw(st.sampled_from([-np.inf, -0.5, 0.0]))
    return Case(
        "NonMaxSuppression",
        ((images, boxes, 4), (images, classes, boxes)),
        {**attributes, **choices_of(draw, "NonMaxSuppression")},
    )


def first_entries(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    return Case("FirstEntries", (x, (1,)), {"axis": axis_of(draw, x)})


BOXES: dict[str, Samples] = {
    "RoiAlign": Samples(
        files=[
            sample(Constant((2, 4, 7, 9)), Numbers(()), Value((4,)), size=(2, 3), scale=3.0),
            sample(
                Constant((2, 3, 5, 4)),
                Numbers((), ValueType.INT32),
                Value((4,)),
                size=(1, 2),
                count=2,
                coordinates="asymmetric",
                mode="max",
            ),
        ],
        drawn=roi_align,
        more=[
            *(
                sample(PICTURE, Value(()), Value((4,)), size=(2, 3), count=count, coordinates=coordinates, mode=mode)
                for count, coordinates, mode in (
                    (0, "half_pixel", "mean"),
                    (2, "asymmetric", "mean"),
                    (3, "half_pixel", "max"),
                )
            )
        ],
        large=[Case("RoiAlign", ((2, 30, 40, 41), (20,), (20, 4)), {"size": (7, 7), "scale": 20.0})],
    ),
    "NonMaxSuppression": Samples(
        files=[
            sample(Value((9, 4)), Value((2, 9)), count=4, threshold=0.25, minimum=-0.5),
            sample(Value((9, 4)), Value((2, 9)), count=99, order="center"),
            sample(Value((9, 4)), Value((1, 9)), count=3, result="count"),
        ],
        drawn=non_max_suppression,
        more=[
            sample(Fixed((2, 9, 4)), Fixed((2, 3, 9)), count=4, threshold=0.25, minimum=-0.5),
            sample(Fixed((2, 9, 4)), Fixed((2, 3, 9)), count=20, threshold=0.5, order="center"),
            sample(Fixed((2, 9, 4)), Fixed((2, 3, 9)), count=2, result="count"),
        ],
        large=[Case("NonMaxSuppression", ((2, 300, 4), (2, 5, 300)), {"count": 40, "threshold": 0.3})],
    ),
    "FirstEntries": Samples(
        files=[sample(LINE, Known((1,)), axis=1)],
        drawn=first_entries,
        more=[sample(PICTURE, Fixed((1,)), axis=2)],
    ),
}
