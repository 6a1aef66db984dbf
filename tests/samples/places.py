"""Places: entries read, written, found and sorted by them."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st
from tests.samples.case import Case, Draw, Shape
from tests.samples.drawing import along, axis_of, shapes, shapes_with_axis
from tests.samples.sample import (
    BOX,
    IMAGE,
    PICTURE,
    ROW,
    SHORT_ROW,
    WHOLE_ROW,
    Constant,
    Fixed,
    Numbers,
    Samples,
    Value,
    sample,
)

from netsurgery.graph.value_types import ValueType

REDUCTIONS = ("none", "add", "mul", "max", "min")
reductions = st.sampled_from(REDUCTIONS)


def gather(draw: Draw) -> Case:
    x = draw(shapes_with_axis)[:3]
    return Case("Gather", (x, draw(shapes)[:2]), {"axis": axis_of(draw, x)})


def elements(draw: Draw) -> tuple[Shape, Shape, int]:
    """Shapes of x and of the indices beside it, and the axis."""
    x = draw(shapes_with_axis)
    axis = axis_of(draw, x)
    indices = tuple(draw(st.integers(1, 7 if place == axis else size)) for place, size in enumerate(x))
    return x, indices, axis


def gather_elements(draw: Draw) -> Case:
    x, indices, axis = elements(draw)
    return Case("GatherElements", (x, indices), {"axis": axis})


def scatter_elements(draw: Draw) -> Case:
    x, indices, axis = elements(draw)
    return Case("ScatterElements", (x, indices, indices), {"axis": axis, "reduction": draw(reductions)})


def gather_nd(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    shared = draw(st.integers(0, len(x) - 1))
    names = draw(st.integers(1, len(x) - shared))
    return Case("GatherND", (x, (*x[:shared], *draw(shapes)[:2], names)), {"axes_in_common": shared})


def scatter_nd(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    names, each = draw(st.integers(1, len(x))), draw(shapes)[:2]
    return Case("ScatterND", (x, (*each, names), (*each, *x[names:])), {"reduction": draw(reductions)})


def top(operator: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        x = draw(shapes_with_axis)
        axis = axis_of(draw, x)
        return Case(
            operator, (x,), {"axis": axis, "count": draw(st.integers(1, x[axis])), "largest": draw(st.booleans())}
        )

    return made


PLACES: dict[str, Samples] = {
    "Gather": Samples(
        files=[
            sample(Constant((4, 3)), Numbers((2,)), axis=1),
            sample(Constant((4, 3)), Numbers((), ValueType.INT32), axis=0),
        ],
        drawn=gather,
        more=[sample(PICTURE, Fixed((2, 3)), axis=2), sample(PICTURE, Fixed(()), axis=3)],
        large=[
            Case("Gather", ((30, 70, 41), (50, 3)), {"axis": 1}),
            Case("Gather", ((30, 7001), (9001,)), {"axis": 1}),
        ],
    ),
    "GatherElements": Samples(
        files=[sample(IMAGE, Numbers((9, 7, 9)), axis=1)],
        drawn=gather_elements,
        more=[sample(ROW, ROW, axis=1)],
        large=[Case("GatherElements", ((30, 70, 41), (30, 90, 41)), {"axis": 1})],
    ),
    "GatherND": Samples(
        files=[
            sample(Constant((4, 3, 2)), Numbers((5, 2))),
            sample(BOX, Numbers((2, 2), ValueType.INT32), axes_in_common=1),
        ],
        drawn=gather_nd,
        more=[sample(PICTURE, Value((5, 2)), axes_in_common=1)],
        large=[Case("GatherND", ((30, 70, 410), (30, 60, 1)), {"axes_in_common": 1})],
    ),
    "ScatterElements": Samples(
        files=[*(sample(ROW, WHOLE_ROW, ROW, axis=1, reduction=kind) for kind in REDUCTIONS)],
        drawn=scatter_elements,
        more=[sample(ROW, ROW, ROW, axis=1), sample(ROW, ROW, ROW, axis=1, reduction="add")],
        large=[Case("ScatterElements", ((300, 41), (300, 70), (300, 70)), {"axis": 1, "reduction": "add"})],
    ),
    "ScatterND": Samples(
        files=[*(sample(Constant((4, 3)), Numbers((2,)), Value(()), reduction=kind) for kind in REDUCTIONS)],
        drawn=scatter_nd,
        more=[*(sample(Fixed((4, 3)), Value((2,)), Value(()), reduction=kind) for kind in ("add", "max", "min"))],
        large=[Case("ScatterND", ((30, 70, 410), (60, 2), (60, 410)), {"reduction": "max"})],
    ),
    "ArgMax": Samples(
        files=[sample(IMAGE, axis=2), sample(SHORT_ROW, axis=1, keepdims=False, last=True)],
        drawn=along("ArgMax", "keepdims", "last"),
        more=[sample(PICTURE, axis=1), sample(ROW, axis=1, keepdims=False, last=True)],
        large=[Case("ArgMax", ((30, 70, 410),), {"axis": 1})],
    ),
    "ArgMin": Samples(
        files=[sample(IMAGE, axis=1), sample(WHOLE_ROW, axis=1, keepdims=False, last=True)],
        drawn=along("ArgMin", "keepdims", "last"),
        more=[sample(PICTURE, axis=1), sample(ROW, axis=1, keepdims=False, last=True)],
        large=[Case("ArgMin", ((300, 7001),), {"axis": 1, "last": True})],
    ),
    "TopKValues": Samples(
        files=[sample(IMAGE, axis=3, count=4), sample(WHOLE_ROW, axis=1, count=6, largest=False)],
        drawn=top("TopKValues"),
        more=[sample(PICTURE, axis=2, count=3), sample(ROW, axis=1, count=2, largest=False)],
        large=[Case("TopKValues", ((3, 701, 50),), {"axis": 1, "count": 5})],
    ),
    "TopKIndices": Samples(
        files=[sample(IMAGE, axis=1, count=2), sample(SHORT_ROW, axis=1, count=3, largest=False)],
        drawn=top("TopKIndices"),
        more=[sample(PICTURE, axis=2, count=3), sample(ROW, axis=1, count=2, largest=False)],
        large=[Case("TopKIndices", ((300, 701),), {"axis": 1, "count": 50})],
    ),
    "CumSum": Samples(
        files=[sample(IMAGE, axis=2, exclusive=True), sample(WHOLE_ROW, axis=1, reverse=True)],
        drawn=along("CumSum", "exclusive", "reverse"),
        more=[sample(PICTURE, axis=2), sample(ROW, axis=1, exclusive=True), sample(ROW, axis=1, reverse=True)],
        large=[Case("CumSum", ((30, 70, 410),), {"axis": 1})],
    ),
}
