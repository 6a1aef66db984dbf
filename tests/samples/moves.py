"""Entries that go elsewhere."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from tests.samples.case import Case, Draw
from tests.samples.drawing import axis_of, broadcastable, counts, finite, shapes, shapes_with_axis, sizes, tuples
from tests.samples.sample import BOOLS, IMAGE, PICTURE, ROW, WHOLE_ROW, WORDS, Constant, Samples, Value, sample


def reshape(draw: Draw) -> Case:
    x = draw(shapes)
    return Case("Reshape", (x,), {"shape": tuple(draw(st.permutations(x))) if draw(st.booleans()) else (-1,)})


def concat(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    axis = axis_of(draw, x)
    lengths = draw(st.lists(sizes, min_size=1, max_size=4))
    return Case("Concat", tuple((*x[:axis], length, *x[axis + 1 :]) for length in lengths), {"axis": axis})


def transpose(draw: Draw) -> Case:
    x = draw(shapes)
    return Case("Transpose", (x,), {"order": tuple(draw(st.permutations(range(len(x)))))})


def cut(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    axis = axis_of(draw, x)
    start = draw(st.integers(0, x[axis] - 1))
    stop = draw(st.integers(start + 1, x[axis]))
    return Case("Slice", (x,), {"axis": axis, "start": start, "stop": stop, "step": draw(st.integers(1, 4))})


def pad(draw: Draw) -> Case:
    x = draw(shapes_with_axis)  # numpy.pad takes no array without axes
    mode = draw(st.sampled_from(["constant", "reflect", "edge", "wrap"]))
    pads = draw(tuples(st.integers(-2, 4), 2 * len(x)))
    return Case("Pad", (x,), {"pads": pads, "mode": mode, "value": draw(st.sampled_from([0.0, -0.0, 2.5, -np.inf]))})


def stretch(draw: Draw) -> Case:
    return Case("Range", (draw(shapes),), {"count": draw(st.integers(1, 40)), "scale": draw(finite)})


def expand(draw: Draw) -> Case:
    shape = draw(shapes)
    wanted = tuple(size if draw(st.booleans()) else 1 for size in shape)
    return Case("Expand", (broadcastable(draw, shape),), {"shape": wanted})


def tile(draw: Draw) -> Case:
    x = draw(shapes)
    return Case("Tile", (x,), {"repeats": draw(tuples(counts, len(x)))})


def triangle(draw: Draw) -> Case:
    x = (*draw(shapes)[:3], *draw(tuples(st.integers(1, 9), 2)))
    return Case("Trilu", (x,), {"upper": draw(st.booleans()), "diagonal": draw(st.integers(-11, 11))})


def reverse(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    axes = tuple(draw(st.lists(st.integers(0, len(x) - 1), min_size=1, unique=True)))
    return Case("Reverse", (x,), {"axes": axes})


MOVES: dict[str, Samples] = {
    "Reshape": Samples(
        files=[
            sample(IMAGE, shape=(-1, 252)),
            sample(IMAGE, shape=(-1, 7, 3, 3, 4)),
            sample(Constant(()), shape=(1, 1)),
            sample(BOOLS, shape=(-1, 2, 3)),
            sample(IMAGE, shape=(0, 7, -1)),
            sample(Constant((2, 3)), shape=(2, 3)),
        ],
        drawn=reshape,
        more=[sample(PICTURE, shape=(-1, 168)), sample(PICTURE, shape=(-1, 8, 21)), sample(PICTURE, shape=(4, -1))],
        large=[Case("Reshape", ((6, 7001),), {"shape": (7001, 6)})],
    ),
    "Concat": Samples(
        files=[
            sample(IMAGE, Value((2, 7, 9)), IMAGE, axis=1),
            sample(Constant((1, 6)), ROW, Constant((2, 6)), axis=0),
            sample(ROW, axis=1),
            sample(BOOLS, BOOLS, axis=1),
        ],
        drawn=concat,
        more=[sample(ROW, Value((2,)), Value((1,)), axis=1), sample(ROW, ROW, axis=0)],
        large=[
            Case("Concat", ((3, 9000), (3, 20), (3, 40000)), {"axis": 1}),
            Case("Concat", ((3, 9000), (2, 9000)), {"axis": 0}),
        ],
    ),
    "Transpose": Samples(
        files=[sample(IMAGE, order=(0, 2, 3, 1)), sample(ROW, order=(1, 0)), sample(WHOLE_ROW, order=(1, 0))],
        drawn=transpose,
        more=[sample(PICTURE, order=(0, 3, 1, 2))],
        large=[
            Case("Transpose", ((3, 100, 301),), {"order": (2, 0, 1)}),
            Case("Transpose", ((50, 3, 60, 7),), {"order": (2, 1, 0, 3)}),
            Case("Transpose", ((100000, 3),), {"order": (1, 0)}),
            Case("Transpose", ((3, 101, 301),), {"order": (2, 0, 1)}),
            Case("Transpose", ((3, 103, 301),), {"order": (2, 0, 1)}),
        ],
    ),
    "Slice": Samples(
        files=[
            sample(IMAGE, axis=3, start=1, stop=8, step=3),
            sample(IMAGE, axis=1, stop=2),
            sample(BOOLS, axis=1, start=1, stop=5, step=2),
        ],
        drawn=cut,
        more=[sample(PICTURE, axis=2, start=1, stop=6, step=2), sample(PICTURE, axis=1, stop=3)],
        large=[
            Case("Slice", ((3, 70001, 2),), {"axis": 1, "start": 5, "stop": 70000, "step": 3}),
            Case("Slice", ((70001,),), {"axis": 0, "start": 5, "stop": 70000, "step": 3}),
        ],
    ),
    "Pad": Samples(
        files=[
            sample(IMAGE, pads=(0, 0, 1, 2, 0, 0, 1, -2), value=-3.5),
            sample(ROW, pads=(0, 1, 0, 1), value=-0.0),
            *(sample(IMAGE, pads=(0, 0, 1, 2, 0, 0, 1, 3), mode=mode) for mode in ("reflect", "edge", "wrap")),
            sample(WHOLE_ROW, pads=(0, 1, 0, 2), value=-7.0),
            sample(Constant((2, 3)), pads=(0, 1, 1, 1)),
        ],
        drawn=pad,
        more=[
            sample(PICTURE, pads=(0, 0, 1, 2, 0, 1, 0, 3), value=1.5),
            sample(PICTURE, pads=(0, 0, -1, 2, 0, 0, 0, -2)),
            sample(PICTURE, pads=(0, 0, 2, 1, 0, 0, 1, 2), mode="reflect"),
            sample(PICTURE, pads=(0, 0, 2, 1, 0, 0, 1, 2), mode="edge"),
            sample(PICTURE, pads=(0, 0, 2, 1, 0, 0, 1, 2), mode="wrap"),
            sample(PICTURE, pads=()),
        ],
        large=[
            Case("Pad", ((2, 3, 70, 71),), {"pads": (0, 1, 2, 3, 0, 2, -1, 4), "value": 1.5}),
            Case("Pad", ((2, 70, 71, 3),), {"pads": (0, 1, 2, 0, 0, 2, 1, 0), "mode": "reflect"}),
        ],
    ),
    "Range": Samples(
        files=[sample(ROW, count=5, scale=-0.25)],
        drawn=stretch,
        more=[sample(ROW, count=5), sample(WORDS, count=3, scale=-0.5)],
        large=[Case("Range", ((7, 3),), {"count": 9001, "scale": 0.3})],
    ),
    "Expand": Samples(
        files=[sample(Value((1, 6)), shape=(1, 3, 1)), sample(IMAGE, shape=(3, 1, 1, 1, 1))],
        drawn=expand,
        more=[sample(Value((6, 1)), shape=(2, 1, 1, 3)), sample(ROW, shape=(1, 1))],
        large=[Case("Expand", ((1, 300, 1),), {"shape": (4, 1, 301)})],
    ),
    "Tile": Samples(
        files=[sample(IMAGE, repeats=(1, 2, 1, 3))],
        drawn=tile,
        more=[sample(WORDS, repeats=(1, 2, 3))],
        large=[Case("Tile", ((70, 71),), {"repeats": (3, 5)})],
    ),
    "Trilu": Samples(
        files=[sample(IMAGE, diagonal=2), sample(ROW, upper=True, diagonal=-1)],
        drawn=triangle,
        more=[sample(PICTURE), sample(WORDS, upper=True, diagonal=-2), sample(WORDS, diagonal=3)],
        large=[Case("Trilu", ((3, 200, 301),), {"diagonal": 17}), Case("Trilu", ((3, 200, 301),), {"upper": True})],
    ),
    "Reverse": Samples(
        files=[sample(IMAGE, axes=(1, 3))],
        drawn=reverse,
        more=[sample(PICTURE, axes=(1, 3)), sample(ROW, axes=(0,))],
        large=[Case("Reverse", ((3, 200, 301),), {"axes": (0, 2)})],
    ),
}
