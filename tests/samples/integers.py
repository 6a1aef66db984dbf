"""Types, comparisons and choices."""

from __future__ import annotations

import math

from hypothesis import strategies as st
from tests.samples.case import Case, Draw
from tests.samples.drawing import binary, broadcastable, shapes, unary
from tests.samples.sample import BOOLS, PICTURE, ROW, SHORT_ROW, WHOLE_ROW, Constant, Numbers, Samples, Value, sample

from netsurgery.graph.value_types import ValueType

types = st.sampled_from(list(map(str, ValueType)))


def integers(draw: Draw) -> Case:
    shape = draw(shapes)
    count = draw(st.sampled_from([1, math.prod(shape)]))
    values = draw(st.lists(st.integers(-(2**31) + 1, 2**31 - 1), min_size=count, max_size=count))
    return Case("Integers", (), {"type": draw(types), "shape": shape, "values": tuple(values)})


def where(draw: Draw) -> Case:
    shape = draw(shapes)
    return Case("Where", tuple(broadcastable(draw, shape) for _ in range(3)), {})


INTEGERS: dict[str, Samples] = {
    "Integers": Samples(
        files=[
            *(sample(type=kind, shape=(2,), values=(3, -1)) for kind in map(str, ValueType)),
            sample(type="int64", shape=(), values=(-(2**31) + 1,)),
            sample(type="int32", shape=(3, 40), values=tuple(range(-60, 60))),
            sample(type="int32", shape=(3, 40), values=(7,)),
        ],
        drawn=integers,
        more=[*(sample(type=kind, shape=(2, 2), values=(1, 0, 3, 1)) for kind in map(str, ValueType))],
        large=[
            Case("Integers", (), {"type": "int32", "shape": (3, 20001), "values": tuple(range(60003))}),
            Case("Integers", (), {"type": "bool", "shape": (3, 20001), "values": (1,)}),
        ],
    ),
    "Cast": Samples(
        files=[*(sample(one, type=kind) for one in (ROW, SHORT_ROW, WHOLE_ROW, BOOLS) for kind in map(str, ValueType))],
        drawn=unary("Cast", type=types),
        more=[*(sample(ROW, type=kind) for kind in map(str, ValueType))],
        large=[
            *(Case("Cast", ((3, 20001 + more),), {"type": kind}) for more in range(4) for kind in map(str, ValueType))
        ],
    ),
    "Equal": Samples(
        files=[sample(ROW, Constant((1, 6))), sample(BOOLS, BOOLS)],
        drawn=binary("Equal"),
        more=[sample(ROW, ROW), sample(PICTURE, Constant((4, 1, 1)))],
        large=[Case("Equal", ((3, 30001), (3, 30001)), {})],
    ),
    "NotEqual": Samples(
        files=[sample(ROW, Constant((1, 6)))],
        drawn=binary("NotEqual"),
        more=[sample(ROW, ROW), sample(PICTURE, Constant((4, 1, 1)))],
    ),
    "Less": Samples(
        files=[sample(ROW, Constant((1, 6))), sample(WHOLE_ROW, WHOLE_ROW)],
        drawn=binary("Less"),
        more=[sample(ROW, ROW), sample(PICTURE, Constant((4, 1, 1)))],
        large=[Case("Less", ((70, 1, 50), (40, 1)), {})],
    ),
    "LessOrEqual": Samples(
        files=[sample(ROW, Constant((1, 6)))],
        drawn=binary("LessOrEqual"),
        more=[sample(ROW, ROW), sample(PICTURE, Constant((4, 1, 1)))],
    ),
    "Greater": Samples(
        files=[sample(ROW, Constant((1, 6)))],
        drawn=binary("Greater"),
        more=[sample(ROW, ROW), sample(PICTURE, Constant((4, 1, 1)))],
    ),
    "GreaterOrEqual": Samples(
        files=[sample(Constant((6,)), ROW)],
        drawn=binary("GreaterOrEqual"),
        more=[sample(ROW, ROW), sample(PICTURE, Constant((4, 1, 1)))],
    ),
    "And": Samples(
        files=[sample(BOOLS, Numbers((1,), ValueType.BOOL))],
        drawn=binary("And"),
        more=[sample(ROW, Value((1,)))],
    ),
    "Or": Samples(
        files=[sample(BOOLS, Numbers((1,), ValueType.BOOL))],
        drawn=binary("Or"),
        more=[sample(ROW, Value((1,)))],
    ),
    "Xor": Samples(
        files=[sample(BOOLS, Numbers((1,), ValueType.BOOL))],
        drawn=binary("Xor"),
        more=[sample(ROW, Value((1,)))],
    ),
    "Not": Samples(
        files=[sample(BOOLS)],
        drawn=unary("Not"),
        more=[sample(ROW)],
    ),
    "IsNaN": Samples(
        files=[sample(ROW)],
        drawn=unary("IsNaN"),
    ),
    "IsInf": Samples(
        files=[sample(ROW), sample(ROW, positive=False, negative=True), sample(ROW, negative=False)],
        drawn=unary("IsInf", positive=st.booleans(), negative=st.booleans()),
        more=[sample(ROW, positive=False)],
    ),
    "Where": Samples(
        files=[sample(BOOLS, ROW, Constant(())), sample(Numbers((1,), ValueType.BOOL), WHOLE_ROW, WHOLE_ROW)],
        drawn=where,
        more=[sample(ROW, ROW, Constant((6,)))],
        large=[
            Case("Where", ((70, 1, 50), (40, 1), (70, 40, 50)), {}),
            Case("Where", ((3, 30001), (3, 30001), (3, 1)), {}),
            Case("Where", ((3, 30001), (1, 1), (3, 30001)), {}),
        ],
    ),
}
