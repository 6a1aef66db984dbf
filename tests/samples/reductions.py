"""Sums, means and norms along axes."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from tests.samples.case import Case, Draw
from tests.samples.drawing import along_axis, axis_of, over_axes, shapes, shapes_with_axis, sizes
from tests.samples.sample import IMAGE, PICTURE, ROW, WORDS, Constant, Sample, Samples, Value, sample

from netsurgery.graph.operators import OPERATORS


def over(operator: str, *files: Sample, large: Sequence[Case] = ()) -> Samples:
    """What takes axes and whether they stay."""
    return Samples(
        files=[*files, *(sample(IMAGE, axes=(1, 3), keepdims=keepdims) for keepdims in (True, False))],
        drawn=over_axes(operator),
        more=[sample(PICTURE, axes=(2, 3), keepdims=False), sample(PICTURE, axes=(1,))],
        large=large,
    )


def layer_norm(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    axis = axis_of(draw, x)
    scale, bias = ((x[axis:] if draw(st.booleans()) else None) for _ in range(2))
    given = (x, scale, bias) if bias is not None else (x, scale) if scale is not None else (x,)
    return Case("LayerNorm", given, {"axis": axis, "epsilon": draw(st.sampled_from([1e-5, 0.5, 0.0]))})


def rms_norm(draw: Draw) -> Case:
    x = draw(shapes_with_axis)
    axis = axis_of(draw, x)
    given = (x, x[axis:]) if draw(st.booleans()) else (x,)
    return Case("RmsNorm", given, {"axis": axis, "epsilon": draw(st.sampled_from([1e-5, 0.5]))})


def lrn(draw: Draw) -> Case:
    x = (draw(sizes), draw(sizes), *draw(shapes)[:3])
    # Not beta=0.5, for which NumPy takes a root: of -infinity that is NaN, and its power infinity.
    attributes = {"alpha": draw(st.sampled_from([0.5, 1e-4, -0.25])), "beta": draw(st.sampled_from([0.75, 0.6, 2.0]))}
    return Case("Lrn", (x,), {"size": draw(st.integers(1, 9)), "bias": draw(st.sampled_from([1.0, 2.0])), **attributes})


def walsh_hadamard(draw: Draw) -> Case:
    x = list(draw(shapes_with_axis))
    axis = axis_of(draw, tuple(x))
    x[axis] = 2 ** draw(st.integers(0, 6))
    return Case("WalshHadamard", (tuple(x),), {"axis": axis})


REDUCTIONS: dict[str, Samples] = {
    **{name: over(name) for name, operator in OPERATORS.items() if operator.shape is OPERATORS["Mean"].shape},
    "LayerNorm": Samples(
        files=[
            sample(IMAGE, Constant((7, 9)), Constant((7, 9)), axis=2, epsilon=0.5),
            sample(IMAGE, None, Constant((9,)), axis=3),
            sample(ROW, Constant((6,)), axis=1),
            sample(ROW, axis=1),
        ],
        drawn=layer_norm,
        more=[
            sample(WORDS, Constant((6,)), Constant((6,)), axis=2),
            sample(WORDS, Constant((5, 6)), axis=1, epsilon=0.1),
            sample(WORDS, axis=2),
        ],
        large=[Case("LayerNorm", ((300, 301), (301,), (301,)), {"axis": 1})],
    ),
    "Mean": over(
        "Mean",
        sample(IMAGE, axes=(2, 3), keepdims=False),
        sample(IMAGE, axes=(1,)),
        large=[
            Case("Mean", ((30, 7, 41, 43),), {"axes": (2, 3)}),
            Case("Mean", ((30, 7, 41, 43),), {"axes": (0, 2)}),
            Case("Mean", ((3, 40001),), {"axes": (0,)}),
        ],
    ),
    "Softmax": Samples(
        files=[sample(IMAGE, axis=1)],
        drawn=along_axis("Softmax"),
        more=[sample(WORDS, axis=2), sample(WORDS, axis=1)],
        large=[Case("Softmax", ((300, 301),), {"axis": 1})],
    ),
    "LogSoftmax": Samples(
        files=[sample(ROW, axis=1)],
        drawn=along_axis("LogSoftmax"),
        more=[sample(WORDS, axis=2), sample(WORDS, axis=1)],
        large=[Case("LogSoftmax", ((20, 30, 40, 5),), {"axis": 1})],
    ),
    "Lrn": Samples(
        files=[sample(IMAGE, size=3, alpha=0.5, beta=0.5, bias=2.0), sample(IMAGE, size=2**31 - 1)],
        drawn=lrn,
        more=[sample(PICTURE, size=3), sample(PICTURE, size=5, alpha=0.5, beta=0.6, bias=2.0)],
        large=[Case("Lrn", ((2, 40, 30, 31),), {"size": 5})],
    ),
    "WalshHadamard": Samples(
        files=[sample(Value((8,)), axis=1), sample(Value((3, 4, 5)), axis=2), sample(Value((1,)), axis=1)],
        drawn=walsh_hadamard,
        more=[sample(Value((2, 16)), axis=2), sample(Value((4, 3, 4)), axis=1), sample(Value((2, 3, 7)), axis=1)],
        large=[Case("WalshHadamard", ((3, 32768),), {"axis": 1}), Case("WalshHadamard", ((512, 33),), {"axis": 0})],
    ),
    "ReduceSum": over("ReduceSum", sample(IMAGE, axes=(1,))),
    "ReduceMax": over("ReduceMax", sample(IMAGE, axes=(2, 3), keepdims=False)),
    "RmsNorm": Samples(
        files=[sample(IMAGE, Constant((7, 9)), axis=2, epsilon=0.5), sample(ROW, axis=1)],
        drawn=rms_norm,
        more=[sample(WORDS, Constant((6,)), axis=2), sample(WORDS, axis=1, epsilon=0.1)],
    ),
}
