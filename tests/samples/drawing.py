"""What families of operators draw alike: sizes, shapes, axes, choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from tests.samples.case import Case, Draw, Shape

from netsurgery.graph.operators import OPERATORS

sizes = st.integers(1, 6)
small = st.integers(0, 3)
counts = st.integers(1, 3)
finite = st.sampled_from([-2.0, -0.5, 0.0, 1 / 6, 0.3, 1.0, 6.0])
shapes = st.lists(sizes, max_size=5).map(tuple)
shapes_with_axis = st.lists(sizes, min_size=1, max_size=5).map(tuple)
numbers = st.sampled_from([-np.inf, -2.0, -0.5, 0.0, 0.3, 1.0, 6.0, np.inf])


def tuples(of: st.SearchStrategy[int], count: int) -> st.SearchStrategy[Shape]:
    return st.tuples(*[of] * count)


def axis_of(draw: Draw, shape: Shape) -> int:
    return int(draw(st.integers(0, len(shape) - 1)))


def picture(draw: Draw) -> Shape:
    return (draw(counts), draw(sizes), *draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))


def broadcastable(draw: Draw, shape: Shape) -> Shape:
    """Some sizes 1, some at the beginning missing."""
    kept = tuple(1 if draw(st.integers(0, 2)) == 0 else size for size in shape)
    return kept[draw(st.integers(0, len(kept))) :]


def binary(operator: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        shape = draw(shapes)
        return Case(operator, (broadcastable(draw, shape), broadcastable(draw, shape)), {})

    return made


def unary(operator: str, **attributes: st.SearchStrategy[Any]) -> Callable[[Draw], Case]:
    return lambda draw: Case(operator, (draw(shapes),), {name: draw(of) for name, of in attributes.items()})


def choices_of(draw: Draw, operator: str) -> dict[str, Any]:
    choices = {one.name: one.choices for one in OPERATORS[operator].attributes if one.choices}
    return {name: draw(st.sampled_from(of)) for name, of in choices.items()}


def over_axes(operator: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        x = draw(shapes_with_axis)
        axes = tuple(draw(st.lists(st.integers(0, len(x) - 1), min_size=1, unique=True)))
        return Case(operator, (x,), {"axes": axes, "keepdims": draw(st.booleans())})

    return made


def along_axis(operator: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        x = draw(shapes_with_axis)
        return Case(operator, (x,), {"axis": axis_of(draw, x)})

    return made


def along(operator: str, *flags: str) -> Callable[[Draw], Case]:
    def made(draw: Draw) -> Case:
        x = draw(shapes_with_axis)
        return Case(operator, (x,), {"axis": axis_of(draw, x), **{name: draw(st.booleans()) for name in flags}})

    return made
