"""Values on a grid."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.samples.case import Case, Draw
from tests.samples.drawing import axis_of, shapes_with_axis
from tests.samples.sample import IMAGE, PICTURE, ROW, WORDS, Constant, Samples, sample


def quantize(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    axis = axis_of(draw, x)
    scale, shift = ((x[axis],) if draw(st.booleans()) else None for _ in range(2))
    given = (x, scale, shift) if shift is not None else (x, scale) if scale is not None else (x,)
    signed = draw(st.booleans())
    bits = draw(st.integers(1, 24)) + signed
    return Case(
        "Quantize", given, {"axis": axis, "bits": bits, "signed": signed, "exponent": draw(st.integers(-20, 4))}
    )


def quantize_planes(draw: Draw) -> Case:
    case = quantize(draw)
    planes, axis = draw(st.integers(1, 5)), int(case.attributes["axis"])
    made = list(case.shapes[0])
    count = made[axis]
    made[axis] *= planes
    shift = [(count,)] if draw(st.booleans()) else []
    return Case("QuantizePlanes", (tuple(made), (made[axis],), *shift), {**case.attributes, "planes": planes})


FIXED_POINT: dict[str, Samples] = {
    "Quantize": Samples(
        files=[
            sample(IMAGE, Constant((4,)), Constant((4,)), exponent=-7, bits=12, signed=False),
            sample(ROW, None, Constant((6,)), exponent=3),
            sample(ROW, exponent=-100, bits=25, axis=0),
        ],
        drawn=quantize,
        more=[
            sample(PICTURE, Constant((4,)), Constant((4,)), exponent=-5, bits=6),
            sample(WORDS, None, Constant((6,)), exponent=-1, signed=False, axis=2),
            sample(WORDS, exponent=-3, axis=0),
        ],
        large=[Case("Quantize", ((300, 301), (301,)), {"exponent": -6})],
    ),
    "QuantizePlanes": Samples(
        files=[
            sample(IMAGE, Constant((4,)), Constant((2,)), exponent=-7, bits=12, signed=False, planes=2),
            sample(ROW, Constant((6,)), exponent=3, planes=1),
            sample(WORDS, Constant((6,)), Constant((1,)), exponent=-100, bits=25, axis=2, planes=6),
        ],
        drawn=quantize_planes,
        more=[
            sample(PICTURE, Constant((4,)), Constant((1,)), exponent=-5, bits=6, planes=4),
            sample(WORDS, Constant((6,)), Constant((2,)), exponent=-1, signed=False, axis=2, planes=3),
        ],
        large=[Case("QuantizePlanes", ((300, 301, 2), (301,)), {"exponent": -6, "planes": 7})],
    ),
}
