"""The stress table: what is run is what its names say, an interrupted table goes on, tables say what was recorded."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import recalibration
import robustness
import robustness_chart
import torch
from robustness_table import (
    NOTHING,
    density_tables,
    few_bits_table,
    picture,
    shortfalls,
    summary_table,
)
from stress import record as stress_record
from stress import runs as stress_runs
from stress.digits import digits
from stress.gradual import GradualPruning
from stress.networks import NETWORKS
from stress.record import StressRecord
from stress.runs import Configuration, DenseNetwork, Outcome, carry_out, configurations, train_dense
from stress.training import OPTIMIZERS, SCHEDULES, TrainingSchedule, accuracy_percent, train
from stress.treatments import DENSE, TREATMENTS

import netsurgery as ns
from netsurgery.errors import DataError, NonFiniteWeightsError, UnfinishedWarning

RUN = Configuration("conv", "sgd", "short", "surgery", 0.1, 0)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of a few steps: enough to tell a run from another."""
    for name, schedule in SCHEDULES.items():
        monkeypatch.setitem(SCHEDULES, name, dataclasses.replace(schedule, steps=schedule.steps // 40))
    for name, network in NETWORKS.items():
        monkeypatch.setitem(NETWORKS, name, dataclasses.replace(network, dense_steps=3))


def outcome_of(accuracy_percent: float = 90.0, failure: str = "", **changes: Any) -> Outcome:
    run = dataclasses.replace(RUN, **changes)
    return Outcome(run, accuracy_percent, 95.0, (14, None), 3, (), failure, 1.5)


def record_of(accuracies: dict[str, float], **changes: Any) -> StressRecord:
    """A record of one run for each treatment of density 0.1, and dense training."""
    settings = {DENSE: 1}
    return StressRecord.of(
        outcome_of(accuracy, treatment=name, setting=settings.get(name, 0.1), **changes)
        for name, accuracy in accuracies.items()
    )


def rows_of(table: str) -> list[list[str]]:
    """The cells of all lines of all tables in a text."""
    return [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]


def test_the_digits_are_parted_and_no_image_is_in_both_parts() -> None:
    training, test = digits()
    assert (len(training.labels), len(test.labels)) == (1_297, 500)
    assert training.images.shape[1:] == (1, 8, 8)
    as_rows = {tuple(image.flatten().tolist()) for image in training.images}
    shared = sum(tuple(image.flatten().tolist()) in as_rows for image in test.images)
    assert shared == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_digits_and_has_a_rate_for_every_optimizer(name: str) -> None:
    network = NETWORKS[name]
    assert network.build()(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert network.rates.keys() == OPTIMIZERS.keys()


def test_the_table_is_whole_and_every_run_has_a_name_of_its_own() -> None:
    every = list(configurations(range(3)))
    settings = sum(len(treatment.settings) for treatment in TREATMENTS.values())
    assert len(every) == len({run.name for run in every}) == 8 * 2 * 2 * 3 * settings == 2_016
    assert [run.seed for run in every] == sorted(run.seed for run in every)


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_every_treatment_ends_as_its_setting_says(treatment: str, tmp_path: Path) -> None:
    dense = tmp_path / "dense.pt"
    train_dense(RUN.dense, dense)
    setting = TREATMENTS[treatment].settings[-1]
    outcome = carry_out(dataclasses.replace(RUN, treatment=treatment, setting=setting), dense)
    assert not outcome.failure
    # A cut of all layers by one threshold may empty a layer; that is what it is compared for.
    assert set(outcome.warnings) <= ({"StarvedLayerWarning"} if treatment in ("naive-cut", "gradual") else set())
    kept = dict(zip(stress_record.sizes("conv"), outcome.kept, strict=True))
    operated = {name: size for name, size in stress_record.sizes("conv").items() if kept[name] is not None}
    if treatment == DENSE:
        assert not operated
        return
    weights = {"0.weight", "4.weight", "9.weight"}
    assert weights <= operated.keys() <= weights | {"9.bias"}
    total = sum(count for count in outcome.kept if count is not None)
    if treatment == "gradual":
        assert [kept[name] for name in sorted(weights)] == [round(0.02 * operated[name]) for name in sorted(weights)]
    elif TREATMENTS[treatment].unit == "density":
        assert total == pytest.approx(0.02 * sum(operated.values()), abs=10)
    assert (outcome.spliced == 0) or treatment == "surgery"


def test_the_same_run_has_the_same_outcome_and_another_seed_has_another(tmp_path: Path) -> None:
    dense, again = tmp_path / "dense.pt", tmp_path / "again.pt"
    train_dense(RUN.dense, dense)
    train_dense(RUN.dense, again)
    first, second = carry_out(RUN, dense), carry_out(RUN, again)
    assert dataclasses.replace(first, duration_s=0) == dataclasses.replace(second, duration_s=0)
    other_batches = carry_out(dataclasses.replace(RUN, seed=1), dense)
    assert other_batches.start_accuracy_percent == first.start_accuracy_percent
    assert other_batches.kept != first.kept
    train_dense(DenseNetwork("conv", "sgd", 1), again)
    other = carry_out(dataclasses.replace(RUN, seed=1), again)
    assert (other.start_accuracy_percent, other.kept) != (first.start_accuracy_percent, first.kept)


def test_an_error_of_this_library_is_an_outcome_and_warnings_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_dense(RUN.dense, tmp_path / "dense.pt")
    treatment = TREATMENTS["surgery"]
    late = dataclasses.replace(treatment, method=lambda density, _: ns.Surgery(density, steps=1_000))
    monkeypatch.setitem(TREATMENTS, "surgery", late)
    assert carry_out(RUN, tmp_path / "dense.pt").warnings == (UnfinishedWarning.__name__,)

    def diverged(*_: object) -> None:
        raise NonFiniteWeightsError("weights are NaN")

    monkeypatch.setattr(stress_runs, "train", diverged)
    outcome = carry_out(RUN, tmp_path / "dense.pt")
    assert (outcome.accuracy_percent, outcome.failure) == (0, "NonFiniteWeightsError: weights are NaN")


def test_outputs_that_are_not_numbers_are_never_right() -> None:
    model = NETWORKS["conv"].build()
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))
    assert accuracy_percent(model, digits()[1]) == 0


def test_the_learning_rate_begins_again_with_each_round_of_inq() -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    rates: list[float] = []
    optimizer.register_step_pre_hook(lambda *_: rates.append(optimizer.param_groups[0]["lr"]))
    schedule = TrainingSchedule(12, falls=True)
    train(model, optimizer, schedule, digits()[0], 0, ns.INQ(5, steps=12))
    assert rates[0:4] == rates[4:8] == rates[8:12]
    assert rates[0] == 1 > rates[1] > rates[2] > rates[3]


def test_gradual_pruning_keeps_the_largest_along_the_papers_cubic_and_nothing_comes_back() -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    method = GradualPruning(0.1, steps=100)
    masks: list[torch.Tensor] = []
    operation = ns.attach(model, optimizer, method)
    optimizer.register_step_post_hook(lambda *_: masks.append(operation.masks["1.weight"]))
    for step in range(1, 81):
        optimizer.zero_grad()
        model(digits()[0].images[:64]).square().mean().backward()
        optimizer.step()
        ramp = min(step // 2 * 2, 50)  # masks change at every second step of this ramp
        sparsity = 0.9 + (0 - 0.9) * (1 - ramp / 50) ** 3
        assert masks[-1].sum() == round((1 - sparsity) * 640), step
    assert all(bool((after <= before).all()) for before, after in itertools.pairwise(masks))
    assert not operation.masks.keys() - {"1.weight"}
    weights = model[1].weight.detach()
    assert weights[~masks[-1]].abs().max() == 0


def test_a_record_that_is_read_is_what_was_written(tmp_path: Path) -> None:
    warned = dataclasses.replace(outcome_of(seed=1), warnings=("UnfinishedWarning",))
    record = StressRecord.of([warned, outcome_of(50, treatment=DENSE, setting=1), outcome_of(0, "It broke.", seed=2)])
    record.write(tmp_path / "record.json")
    assert StressRecord.read(tmp_path / "record.json") == record
    rows = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))["runs"]
    assert [row["dense_accuracy_percent"] for row in rows] == [50, None, None]
    (tmp_path / "record.json").write_text('{"runs": [{}]}', encoding="utf-8")
    with pytest.raises(DataError, match="is not a record of the stress table"):
        StressRecord.read(tmp_path / "record.json")


def run_script(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["robustness.py", *map(str, arguments)])
    robustness.main()


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[Configuration]:
    """Runs are made up, one after another; the list of them."""
    seen: list[Configuration] = []

    def made_up(runs: list[Configuration], *_: object) -> Any:
        for run in runs:
            seen.append(run)
            yield dataclasses.replace(outcome_of(), configuration=run)

    monkeypatch.setattr(robustness, "carried_out", made_up)
    return seen


@pytest.mark.slow
def test_runs_in_processes_of_their_own_are_those_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "record.json"
    monkeypatch.undo()  # the processes know nothing of shorter trainings
    run_script(
        monkeypatch, "--out", out, "--seeds", 1, "--processes", 1, "--only", "perceptron/adamw/short/naive-cut-0.1/0"
    )
    first, second = StressRecord.read(out).outcomes
    assert [first.configuration.treatment, second.configuration.treatment] == [DENSE, "naive-cut"]
    assert "| 0.1 |" in capsys.readouterr().out
    train_dense(second.configuration.dense, tmp_path / "dense.pt")
    again = carry_out(second.configuration, tmp_path / "dense.pt")
    assert (again.accuracy_percent, again.kept) == (pytest.approx(second.accuracy_percent), second.kept)
    assert second.accuracy_percent > 80


def test_an_interrupted_table_is_written_and_goes_on_with_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_this_process: list[Configuration]
) -> None:
    out = tmp_path / "record.json"
    whole = robustness.carried_out

    def interrupted(runs: list[Configuration], *rest: Any) -> Any:
        yield from whole(runs[:5], *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(robustness, "carried_out", interrupted)
    arguments = ("--out", out, "--only", "gru/*/1")
    with pytest.raises(KeyboardInterrupt):
        run_script(monkeypatch, *arguments)
    assert len(StressRecord.read(out).outcomes) == 5
    monkeypatch.setattr(robustness, "carried_out", whole)
    run_script(monkeypatch, *arguments, "--resume")
    assert len(in_this_process) == len(set(in_this_process)) == len(StressRecord.read(out).outcomes) == 2 * 2 * 21


def test_outcomes_of_other_sources_are_not_mixed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_this_process: list[Configuration]
) -> None:
    out = tmp_path / "record.json"
    dataclasses.replace(record_of({"surgery": 90}), sources="of yesterday").write(out)
    with pytest.raises(SystemExit, match="made with other sources"):
        run_script(monkeypatch, "--out", out, "--resume")
    assert not in_this_process
    with pytest.raises(SystemExit, match="--resume needs --out"):
        run_script(monkeypatch, "--resume")


def test_a_pattern_chooses_runs_and_the_dense_training_beside_them() -> None:
    chosen = robustness.chosen(2, ["lstm/*/long/inq-3/1", "gru/sgd/short/dense-1/0"])
    names = {run.name for run in chosen}
    assert names == {
        *("lstm/sgd/long/inq-3/1", "lstm/adamw/long/inq-3/1", "lstm/sgd/long/dense-1/1", "lstm/adamw/long/dense-1/1"),
        "gru/sgd/short/dense-1/0",
    }
    with pytest.raises(SystemExit, match=r"the first one's name is conv/sgd/short/dense-1/0"):
        robustness.chosen(2, ["mine"])


def test_without_a_record_the_page_says_so() -> None:
    for table in (summary_table, density_tables, few_bits_table, picture):
        assert table(None) == NOTHING
    assert summary_table(StressRecord.of([])) == few_bits_table(StressRecord.of([])) == NOTHING


ACCURACIES = {DENSE: 98, "surgery": 90, "no-splicing": 94, "naive-cut": 80, "gradual": 12}


def test_the_summary_has_means_guesses_and_the_worst_run() -> None:
    worst = record_of(ACCURACIES)
    better = record_of({**ACCURACIES, "surgery": 95}, network="gru", optimizer="adamw", schedule="long")
    record = StressRecord.of([*worst.outcomes, *better.outcomes])
    rows = rows_of(summary_table(record))
    assert ["0.1", "92.5", "**94.0**", "80.0", "12.0", "98.0"] in rows
    assert ["0.1", "0 of 2", "0 of 2", "0 of 2", "2 of 2"] in rows
    assert ["0.1", "1.50", "4.0", "convolutions, batch norm, SGD, 10 steps, seed 0", "1 of 2"] in rows
    assert sorted(points for points, _ in shortfalls(record, 0.1)) == [-1, 4]
    assert "10 runs, 1 seed," in summary_table(record)


def test_a_run_without_its_comparators_has_no_shortfall() -> None:
    assert shortfalls(record_of({"surgery": 90, "naive-cut": 95}), 0.1) == []


def test_failures_count_as_nothing_right() -> None:
    record = StressRecord.of(
        [outcome_of(80), outcome_of(0, "NonFiniteWeightsError", seed=1), *record_of({DENSE: 98}).outcomes]
    )
    table = summary_table(record)
    assert "counted as 0 %: 1." in table
    assert ["0.1", "**40.0**", "", "", "", "98.0"] in rows_of(table)


def test_every_place_has_a_row_of_means_over_seeds() -> None:
    record = StressRecord.of([*record_of(ACCURACIES).outcomes, outcome_of(70, seed=1)])
    (row,) = [row for row in rows_of(density_tables(record)) if row[0] == NETWORKS["conv"].title]
    assert row == ["convolutions, batch norm", "SGD", "10", "80.0", "94.0", "80.0", "12.0", "98.0"]


def test_few_bits_are_compared_with_dense_training_run_by_run() -> None:
    few = [outcome_of(96, treatment="inq", setting=5), outcome_of(90, treatment="inq", setting=5, seed=1)]
    dense = [outcome_of(98, treatment=DENSE, setting=1), outcome_of(94, treatment=DENSE, setting=1, seed=1)]
    record = StressRecord.of([*few, *dense])
    assert ["powers of two, 5 bits", "93.0", "96.0", "-3.00", "-4.0", "0 of 2"] in rows_of(summary_table(record))
    assert ["convolutions, batch norm", "SGD", "10", "93.0", "", "", "", "96.0"] in rows_of(few_bits_table(record))


def test_a_cut_without_training_is_measured_before_and_after_recalibration(tmp_path: Path) -> None:
    model = NETWORKS["conv"].build()
    train(model, OPTIMIZERS["sgd"](model.parameters(), 0.05), TrainingSchedule(150, falls=True), digits()[0], 0)
    cut = recalibration.Case(lambda _: ns.NaiveCut(0.4), recalibration.AT_ONCE)
    before, after = recalibration.accuracies(model, cut, 0.05, 0)
    assert before + 5 < after == accuracy_percent(model, digits()[1])


def test_recalibration_is_told_as_it_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {
            "case": case,
            "network": network,
            "seed": 0,
            "accuracy_percent": 50 + index,
            "recalibrated_accuracy_percent": 90,
        }
        for case in recalibration.CASES
        for index, network in enumerate(("residual", "conv"))
    ]
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"rows": rows, "versions": {"torch": "2"}}), encoding="utf-8")
    monkeypatch.setattr(recalibration, "RECORD", record)
    table = rows_of(recalibration.recalibration_table())
    assert len(table) == 1 + len(recalibration.CASES)
    assert table[-1] == ["surgery at 0.1", "51.0 → 90.0", "50.0 → 90.0", "50.5 → 90.0"]
    assert "naive cut to 0.3, untrained 50.5 → 90.0 %" in recalibration.recalibration_answer()


def test_the_picture_is_of_its_record_and_the_same_each_time(tmp_path: Path) -> None:
    record, other = record_of(ACCURACIES), record_of({**ACCURACIES, "surgery": 91})
    paths = tmp_path / "first.svg", tmp_path / "second.svg"
    for path in paths:
        robustness_chart.draw(path, record)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert robustness_chart.shows(paths[0], record)
    assert not robustness_chart.shows(paths[0], other)
    assert not robustness_chart.shows(tmp_path / "missing.svg", record)
    assert "surgery at 0.1: -8.0" in robustness_chart.described(record)
