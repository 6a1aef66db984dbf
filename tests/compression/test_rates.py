"""What a trial does to weights, and at which rate it trains."""

from __future__ import annotations

import math
from typing import Any

import pytest

import netsurgery as ns
from netsurgery.compression.candidate import Objective, Trial
from netsurgery.compression.course import is_better
from netsurgery.compression.rates import Rate, best_rate, plan_for, rate_factor


def quantization(bits: int, objective: Objective = "size", steps: int = 900) -> ns.INQ:
    plan = plan_for(Trial(0, None, bits, steps), warm=False, objective=objective, seed=0)
    method = plan.stages[0].method
    assert isinstance(method, ns.INQ)
    return method


@pytest.mark.parametrize("bits", range(2, 8))
def test_bits_beyond_four_lie_between_powers_and_four_powers_are_enough(bits: int) -> None:
    method = quantization(bits)
    assert method.bits == bits
    assert 2 ** (bits - 2 - method.mantissa_bits) == min(4, 2 ** (bits - 2))


def test_what_is_to_run_in_fixed_point_stays_powers_of_two_as_long_as_more_of_them_help() -> None:
    assert [quantization(bits, "latency").mantissa_bits for bits in range(2, 7)] == [0, 0, 0, 0, 2]


def test_a_trial_of_bits_has_a_step_for_each_round_at_least() -> None:
    method = quantization(3, steps=2)
    assert method.steps == len(method.round_starts) > 2


def test_latency_prunes_what_a_run_uses_often_and_size_what_costs_most_bytes() -> None:
    trial, uses = Trial(0, 0.1, None, 100), (("conv", 64.0),)
    (size,) = plan_for(trial, warm=True, objective="size", seed=3).stages
    (latency,) = plan_for(trial, warm=True, objective="latency", seed=3, uses=uses).stages
    assert isinstance(size.method, ns.Surgery)
    assert isinstance(latency.method, ns.Surgery)
    assert size.method.concentration > latency.method.concentration == 0
    assert dict(latency.method.uses) == dict(uses)
    assert size.method.warm_start
    assert latency.method.density == 0.1


def test_the_rate_begins_again_with_each_round_of_bits_and_falls_once_while_pruning() -> None:
    bits = plan_for(Trial(0, None, 5, 300), warm=False, objective="size", seed=0)
    factors = [rate_factor(bits, step) for step in range(300)]
    rises = [step for step in range(1, 300) if factors[step] > 2 * factors[step - 1]]
    method = quantization(5, steps=300)
    assert [start for start in method.round_starts if start] == [step for step in rises if step > 10]
    pruning = plan_for(Trial(0, 0.1, None, 300), warm=False, objective="size", seed=0)
    factors = [rate_factor(pruning, step) for step in range(10, 300)]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] < 0.001 < 0.5 < factors[0]


@pytest.mark.parametrize("best", [0.3, 0.1, 0.1 / 3, 0.1 / 9])
def test_the_best_rate_is_found_in_steps_and_one_that_diverges_isn_t_taken(best: float) -> None:
    tried = []

    def loss(rate: Rate) -> float:
        tried.append(rate.value)
        return math.inf if rate.value > 4 * best else abs(math.log(rate.value / best))

    found = best_rate(Rate("sgd", 0.1), loss)
    assert found.kind == "sgd"
    assert found.value == pytest.approx(best)
    assert len(set(tried)) <= 4


PROBE = {"loss": 0.5, "value": 90.0, "error": 0.3}


@pytest.mark.parametrize(
    ("probe", "by_loss", "better"),
    [
        ({"value": 90.5}, True, False),  # by less than two standard errors
        ({"value": 90.7}, True, True),
        ({"value": None, "loss": None}, True, False),
        ({"value": 90.1, "error": None, "loss": 0.4}, True, True),
        ({"value": 90.1, "error": None, "loss": 0.6}, True, False),
        ({"value": 90.1, "error": None, "loss": 0.6}, False, False),
    ],
)
def test_a_probe_has_to_be_better_beyond_doubt(probe: dict[str, Any], by_loss: bool, better: bool) -> None:
    assert is_better({**PROBE, **probe}, PROBE, by_loss) is better


def test_any_training_that_doesn_t_diverge_is_better_than_one_that_does() -> None:
    diverged = {"value": None, "loss": None, "error": None}
    assert is_better(PROBE, diverged)
    assert not is_better(diverged, diverged)


def test_a_users_own_rate_isn_t_raised() -> None:
    assert best_rate(Rate("given", 1.0), lambda rate: -rate.value) == Rate("given", 1.0)
    assert best_rate(Rate("given", 1.0), lambda rate: abs(rate.value - 0.3)).value == pytest.approx(1 / 3)


def test_where_all_rates_diverge_the_first_is_given_back() -> None:
    assert best_rate(Rate("sgd", 0.1), lambda _: math.inf) == Rate("sgd", 0.1)
