"""Layers with weights, and what is looked up in them."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.samples.case import Case, Draw
from tests.samples.drawing import counts, shapes, sizes, small, tuples
from tests.samples.sample import (
    BLOCK,
    BOX,
    IMAGE,
    LINE,
    LONG_LINE,
    PICTURE,
    ROW,
    WORDS,
    Constant,
    Numbers,
    Samples,
    sample,
)

from netsurgery.graph.value_types import ValueType


def conv(draw: Draw) -> Case:
    spatial = draw(st.integers(1, 3))
    groups, per_group, out = draw(counts), draw(counts), draw(counts)
    kernel = draw(tuples(st.integers(1, 4), spatial))
    x = (draw(counts), groups * per_group, *draw(tuples(st.integers(1, 11), spatial)))
    bias = ((groups * out,),) if draw(st.booleans()) else ()
    attributes = {"strides": draw(tuples(counts, spatial)), "dilations": draw(tuples(counts, spatial))}
    attributes |= {"pads": draw(tuples(small, 2 * spatial)), "groups": groups}
    return Case("Conv", (x, (groups * out, per_group, *kernel), *bias), attributes)


def linear(draw: Draw) -> Case:
    inputs, outputs = draw(st.integers(1, 40)), draw(st.integers(1, 20))
    bias = ((outputs,),) if draw(st.booleans()) else ()
    return Case("Linear", ((*draw(shapes)[:3], inputs), (outputs, inputs), *bias), {})


def embedding(draw: Draw) -> Case:
    return Case("Embedding", (draw(shapes), (draw(sizes), draw(st.integers(1, 40)))), {})


LAYERS: dict[str, Samples] = {
    "Conv": Samples(
        files=[
            sample(
                IMAGE,
                Constant((6, 2, 3, 2)),
                Constant((6,)),
                strides=(2, 1),
                pads=(1, 0, 2, 3),
                dilations=(2, 3),
                groups=2,
            ),
            sample(LINE, Constant((3, 4, 3)), pads=(1, 1)),
            sample(BOX, Constant((4, 1, 2, 2, 2)), Constant((4,)), groups=2, dilations=(1, 2, 2)),
            sample(Constant((1, 2, 5)), Constant((4, 1, 2)), Constant((4,)), pads=(0, 1), groups=2),
        ],
        drawn=conv,
        more=[
            sample(PICTURE, Constant((6, 4, 3, 3)), Constant((6,)), strides=(2, 1), pads=(1, 0, 2, 1)),
            sample(PICTURE, Constant((8, 2, 3, 2)), groups=2, dilations=(2, 1)),
            sample(LONG_LINE, Constant((4, 1, 3)), Constant((4,)), groups=4, pads=(1, 1)),
            sample(BLOCK, Constant((3, 2, 2, 3, 1))),
        ],
        large=[
            Case("Conv", ((2, 6, 57, 61), (8, 3, 3, 3), (8,)), {"groups": 2, "strides": (2, 1), "pads": (1, 1, 1, 1)}),
            Case("Conv", ((3, 5, 40000), (2, 5, 1)), {}),
            Case("Conv", ((1, 2, 9, 30, 31), (3, 2, 3, 3, 3)), {"pads": (1,) * 6, "dilations": (1, 2, 1)}),
            Case("Conv", ((2, 3, 6, 7, 8), (4, 3, 1, 2, 2)), {"strides": (2, 2, 2)}),
            Case("Conv", ((2, 3, 6, 7, 8), (4, 3, 1, 1, 1)), {"strides": (3, 1, 2)}),
        ],
    ),
    "Linear": Samples(
        files=[sample(ROW, Constant((5, 6)), Constant((5,))), sample(IMAGE, Constant((5, 9)))],
        drawn=linear,
        more=[
            sample(ROW, Constant((16, 6)), Constant((16,))),
            sample(ROW, Constant((16, 6))),
            sample(WORDS, Constant((16, 6)), Constant((16,))),
            sample(WORDS, Constant((16, 6))),
        ],
        large=[
            Case("Linear", ((37, 300), (200, 300), (200,)), {}),
            Case("Linear", ((300,), (2000, 300), (2000,)), {}),
            Case("Linear", ((3, 700), (99, 700)), {}),
        ],
    ),
    "Embedding": Samples(
        files=[sample(Numbers((3, 2)), Constant((5, 4))), sample(Numbers((), ValueType.INT32), Constant((4, 3)))],
        drawn=embedding,
        more=[sample(ROW, Constant((7, 4)))],
        large=[Case("Embedding", ((70, 30), (500, 64)), {}), Case("Embedding", ((3, 1), (3, 40001)), {})],
    ),
}
