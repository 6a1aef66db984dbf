"""Two operands, entry by entry, and their products."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.samples.case import Case, Draw
from tests.samples.drawing import binary, broadcastable, shapes
from tests.samples.sample import IMAGE, LINE, PICTURE, ROW, SHORT_ROW, WORDS, Constant, Divisor, Samples, Value, sample


def matmul(draw: Draw) -> Case:
    rows, shared, columns = draw(st.integers(1, 11)), draw(st.integers(1, 20)), draw(st.integers(1, 19))
    batch = draw(shapes)[:3]
    a = (*broadcastable(draw, batch), rows, shared) if draw(st.integers(0, 4)) else (shared,)
    b = (*broadcastable(draw, batch), shared, columns) if draw(st.integers(0, 4)) else (shared,)
    return Case("MatMul", (a, b), {})


ARITHMETIC: dict[str, Samples] = {
    "Add": Samples(
        files=[sample(IMAGE, IMAGE), sample(Constant((4, 1, 9)), IMAGE), sample(SHORT_ROW, SHORT_ROW)],
        drawn=binary("Add"),
        more=[sample(PICTURE, Constant((4, 1, 1))), sample(ROW, ROW)],
        large=[Case("Add", ((1, 50001), (3, 1)), {})],
    ),
    "Mul": Samples(
        files=[sample(ROW, Constant((6,))), sample(Constant((2, 3)), Constant(())), sample(SHORT_ROW, SHORT_ROW)],
        drawn=binary("Mul"),
        more=[sample(PICTURE, Constant((4, 1, 1))), sample(ROW, ROW)],
        large=[Case("Mul", ((4, 64, 20, 21), (4, 64, 1, 1)), {})],
    ),
    "Sub": Samples(
        files=[sample(Constant(()), ROW), sample(SHORT_ROW, SHORT_ROW)],
        drawn=binary("Sub"),
        more=[sample(PICTURE, Constant((4, 1, 1))), sample(ROW, ROW)],
        large=[Case("Sub", ((70, 1, 50), (40, 1)), {})],
    ),
    "Div": Samples(
        files=[sample(ROW, Constant((1, 1))), sample(SHORT_ROW, SHORT_ROW)],
        drawn=binary("Div"),
        more=[sample(PICTURE, Divisor((4, 1, 1))), sample(ROW, Value((1,)))],
        large=[Case("Div", ((3, 30001), (3, 30001)), {}), Case("Div", ((3, 30002), (3, 30002)), {})],
    ),
    "MatMul": Samples(
        files=[sample(LINE, Constant((9, 2))), sample(Constant((3, 4)), LINE)],
        drawn=matmul,
        more=[sample(WORDS, Constant((6, 9))), sample(WORDS, Value((6, 2)))],
        large=[
            Case("MatMul", ((3, 70, 1100), (1100, 90)), {}),
            Case("MatMul", ((2, 1, 3, 40), (5, 40, 9000)), {}),
            Case("MatMul", ((5000, 3), (3,)), {}),
        ],
    ),
    "Pow": Samples(
        files=[sample(IMAGE, Constant((4, 1, 1)))],
        drawn=binary("Pow"),
        more=[sample(PICTURE, Divisor((4, 1, 1)))],
    ),
    "Remainder": Samples(
        files=[sample(IMAGE, Constant((4, 1, 1)))],
        drawn=binary("Remainder"),
        more=[sample(PICTURE, Divisor((4, 1, 1)))],
    ),
    "Fmod": Samples(
        files=[sample(IMAGE, Constant((4, 1, 1)))],
        drawn=binary("Fmod"),
        more=[sample(PICTURE, Divisor((4, 1, 1)))],
    ),
    "PRelu": Samples(
        files=[sample(IMAGE, Constant((4, 1, 1)))],
        drawn=binary("PRelu"),
        more=[sample(PICTURE, Constant((4, 1, 1))), sample(ROW, ROW)],
    ),
}
