"""The trace of a run: a few dozen moments that add up to what happened."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import netsurgery as ns
from netsurgery.records.record import Trace
from netsurgery.records.trace import TraceRecorder
from netsurgery.schedules import InversePower
from netsurgery.train.loop import error_percent, train
from netsurgery.train.recipe import Recipe
from netsurgery.train.split import Split

NAMES = {"1.weight", "1.bias", "3.weight", "3.bias"}


def traced(steps: int, method: ns.Surgery | ns.NaiveCut | ns.ThresholdSurgery) -> tuple[Trace, ns.Operation, nn.Module]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 3))
    recorder = TraceRecorder(model, digits(), steps)
    recipe = Recipe(steps=steps, learning_rate=InversePower(0.3, 0.0, 0.0), batch_size=8)
    operation = train(model, digits(), recipe, seed=0, plan=ns.Plan.of(method), watch=recorder)
    assert operation is not None
    return recorder.trace, operation, model


def digits() -> Split:
    generator = torch.Generator().manual_seed(0)
    return Split(torch.rand(30, 1, 2, 2, generator=generator), torch.randint(3, (30,), generator=generator))


@pytest.mark.parametrize("steps", [3, 40, 120, 130, 410])
def test_all_lists_have_one_entry_per_sample(steps: int) -> None:
    trace, _, _ = traced(steps, ns.Surgery(density=0.3, steps=steps))
    lists = [trace.pruned_per_step, trace.spliced_per_step, trace.validation_error_percent, *trace.density.values()]
    assert [len(values) for values in lists] == [len(trace.steps)] * len(lists)
    assert trace.density.keys() == NAMES


@pytest.mark.parametrize(("steps", "interval", "samples"), [(3, 1, 4), (40, 1, 41), (80, 2, 41), (410, 11, 39)])
def test_about_forty_samples_are_taken_at_equal_distances_and_one_at_the_end(
    steps: int, interval: int, samples: int
) -> None:
    trace, _, _ = traced(steps, ns.Surgery(density=0.3, steps=steps))
    assert trace.steps[:-1] == [interval * index for index in range(samples - 1)]
    assert trace.steps[-1] == steps


@pytest.mark.parametrize(
    "method",
    [
        ns.Surgery(density=0.1, steps=120, interval=5, hysteresis=1.0),
        ns.ThresholdSurgery(c_rate=0.5, gamma=0.0, iter_stop=100),
        ns.NaiveCut(density=0.2),
    ],
)
def test_rates_add_up_to_the_totals_of_the_operation(method: ns.Surgery | ns.NaiveCut | ns.ThresholdSurgery) -> None:
    trace, operation, _ = traced(120, method)
    spans = [1, *(after - before for before, after in zip(trace.steps, trace.steps[1:], strict=False))]
    assert set(spans[1:]) == {3}
    rows = operation.report()
    tolerance = 0.0005 * 121  # rates have three decimals
    for rates, total in (
        (trace.pruned_per_step, sum(row.pruned_total for row in rows)),
        (trace.spliced_per_step, sum(row.spliced_total for row in rows)),
    ):
        assert sum(rate * span for rate, span in zip(rates, spans, strict=True)) == pytest.approx(total, abs=tolerance)
    assert sum(trace.pruned_per_step) > 0
    assert (sum(trace.spliced_per_step) > 0) == (not isinstance(method, ns.NaiveCut))


def test_the_first_sample_holds_what_was_cut_at_once() -> None:
    trace, operation, _ = traced(40, ns.NaiveCut(density=0.2))
    total = sum(row.pruned_total for row in operation.report())
    assert trace.pruned_per_step == [total, *[0] * 40]


def test_the_last_sample_tells_of_the_network_that_is_left() -> None:
    trace, operation, model = traced(80, ns.Surgery(density=0.3, steps=80))
    assert trace.steps[-1] == 80
    assert {name: shares[-1] for name, shares in trace.density.items()} == {
        row.name: pytest.approx(row.density, abs=5e-7) for row in operation.report()
    }
    assert trace.validation_error_percent[-1] == pytest.approx(error_percent(model, digits()), abs=5e-4)
    assert all(shares[0] == 1 for shares in trace.density.values())


def test_training_without_an_operation_leaves_no_trace() -> None:
    recorder = TraceRecorder(nn.Flatten(), digits(), steps=10)
    for step in range(11):
        recorder(step, None)
    assert recorder.trace == Trace()


def test_watching_changes_nothing() -> None:
    _, _, watched = traced(40, ns.Surgery(density=0.3, steps=40))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 3))
    recipe = Recipe(steps=40, learning_rate=InversePower(0.3, 0.0, 0.0), batch_size=8)
    train(model, digits(), recipe, seed=0, plan=ns.Plan.of(ns.Surgery(density=0.3, steps=40)))
    assert all(torch.equal(tensor, watched.state_dict()[name]) for name, tensor in model.state_dict().items())
