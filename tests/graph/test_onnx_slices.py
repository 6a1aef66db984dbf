"""Which places ONNX's Slice keeps: as Python's slices do, but for a start before the first place, going backwards."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx")
from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import kept_places

BOUNDS = st.integers(-25, 25)


@settings(deadline=None, derandomize=True)
@given(size=st.integers(1, 9), start=BOUNDS, end=BOUNDS, step=st.integers(-4, 4).filter(bool))
def test_places_are_those_of_pythons_slices_wherever_these_start_within_the_axis(
    size: int, start: int, end: int, step: int
) -> None:
    if step > 0 or start >= -size:
        assert list(kept_places(size, start, end, step)) == list(range(size))[start:end:step]


@pytest.mark.parametrize(
    ("size", "start", "end", "step", "kept"),
    [
        (3, -10, -20, -1, [0]),
        (3, -4, -9, -2, [0]),
        (3, 9, -(2**31), -1, [2, 1, 0]),
        (3, -10, 0, -1, []),
        (4, -(2**63), 2**63 - 1, 3, [0, 3]),
        (4, 2**63 - 1, -(2**63), -3, [3, 0]),
    ],
)
def test_bounds_beyond_an_end_stand_for_that_end(size: int, start: int, end: int, step: int, kept: list[int]) -> None:
    assert list(kept_places(size, start, end, step)) == kept


def test_a_step_of_0_is_refused() -> None:
    with pytest.raises(UnsupportedOperatorError, match="a step of 0"):
        kept_places(3, 0, 3, 0)
