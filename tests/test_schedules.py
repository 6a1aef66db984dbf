"""Schedules: where they begin, where they end, and that they never turn round."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsurgery.schedules import Constant, Cosine, DensityRamp, Followed, InversePower, Restarted, Warmed

STEPS = st.integers(0, 100_000)


@given(start=st.floats(1e-6, 10), gamma=st.floats(0, 10), power=st.floats(0, 3), step=STEPS)
def test_inverse_power_is_its_formula_and_never_rises(start: float, gamma: float, power: float, step: int) -> None:
    schedule = InversePower(start, gamma, power)
    assert schedule(0) == start
    assert schedule(step) == pytest.approx(start / math.exp(power * math.log1p(gamma * step)), rel=1e-9)
    assert schedule(step + 1) <= schedule(step)


def test_inverse_power_gives_the_learning_rate_of_the_lenet_references() -> None:
    assert InversePower(0.01, 1e-4, 0.75)(10_000) == pytest.approx(0.00594604, rel=1e-6)


@given(start=st.floats(0, 10), end=st.floats(0, 10), steps=st.integers(1, 10_000), step=STEPS)
def test_cosine_goes_from_start_to_end_and_stays(start: float, end: float, steps: int, step: int) -> None:
    schedule = Cosine(start, end, steps)
    assert schedule(0) == pytest.approx(start, abs=1e-12)
    assert schedule(steps) == pytest.approx(end, abs=1e-12)
    assert schedule(steps + step) == schedule(steps)
    assert schedule(2 * steps) == schedule(steps)
    assert min(start, end) - 1e-9 <= schedule(step) <= max(start, end) + 1e-9
    assert (schedule(step + 1) - schedule(step)) * (end - start) >= -1e-9


def test_cosine_is_half_way_at_half_its_steps_and_flat_at_both_ends() -> None:
    schedule = Cosine(3.0, 1.0, 100)
    assert schedule(50) == pytest.approx(2.0)
    assert schedule(0) - schedule(1) < 0.001
    assert schedule(99) - schedule(100) < 0.001
    assert schedule(50) - schedule(51) > 0.03


@given(end=st.floats(1e-4, 1), steps=st.integers(1, 10_000), step=STEPS)
def test_the_density_ramp_falls_from_1_to_its_end_and_stays(end: float, steps: int, step: int) -> None:
    ramp = DensityRamp(end, steps)
    assert ramp(0) == 1
    assert ramp(steps) == end
    assert ramp(steps + step) == end
    assert end <= ramp(step + 1) <= ramp(step) <= 1


@given(end=st.floats(1e-4, 0.9), steps=st.integers(3, 10_000), step=STEPS)
def test_the_density_ramp_removes_a_share_that_shrinks_evenly_to_nothing(end: float, steps: int, step: int) -> None:
    ramp = DensityRamp(end, steps)
    shares = [math.log(ramp(after - 1) / ramp(after)) for after in range(1, steps + 1)[-3:]]
    assert shares == pytest.approx([-math.log(end) * odd / steps**2 for odd in (5, 3, 1)], rel=1e-3, abs=1e-12)
    assert ramp(step) == pytest.approx(end ** (1 - max(0, 1 - step / steps) ** 2))


@given(end=st.floats(1e-4, 1), step=STEPS)
def test_a_density_ramp_of_no_steps_is_at_its_end_at_once(end: float, step: int) -> None:
    assert DensityRamp(end, 0)(step) == end


@given(starts=st.sets(st.integers(0, 60), max_size=6), step=st.integers(0, 80))
def test_a_restarted_schedule_is_the_schedule_since_its_last_start(starts: set[int], step: int) -> None:
    schedule = Cosine(1.0, 0.0, 100)
    since = next((step - start for start in sorted(starts, reverse=True) if start <= step), step)
    assert Restarted(schedule, tuple(sorted(starts)))(step) == schedule(since)


@given(at=st.integers(0, 1000), step=st.integers(0, 1200))
def test_a_schedule_that_follows_another_begins_with_its_own_step_0(at: int, step: int) -> None:
    later = Cosine(1.0, 0.0, 100)
    assert Followed(Constant(7.0), later, at)(step) == (7.0 if step < at else later(step - at))


@given(steps=st.integers(1, 500), step=st.integers(0, 1_000))
def test_warm_up_reaches_the_schedule_in_equal_parts_and_then_leaves_it_alone(steps: int, step: int) -> None:
    rate = Cosine(0.05, 0.0, 1_000)
    assert Warmed(rate, steps)(step) == (
        rate(step) if step >= steps else pytest.approx(rate(step) * (step + 1) / steps)
    )
