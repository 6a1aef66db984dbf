"""A network is measured if there is a record of it, and if it computes what it should."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runtimes
import torch
from latencies import Latencies
from outcomes import Outcome
from runtimes import Array, InProcess
from tests.benchmarks.recorded import record_of

import methods
import netsurgery as ns
from netsurgery.errors import DataError, VerificationError
from netsurgery.experiments.network_files import write_network
from netsurgery.records.record import Record
from netsurgery.timing.turns import Pace
from netsurgery.zoo.lenet import LeNet300


@dataclass(frozen=True)
class Folders:
    """runs: one of them, "pruned", of the experiment that `recorded` holds. references: its dense network."""

    runs: Path
    references: Path
    recorded: list[Outcome]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    model = LeNet300().eval()
    (folder / "references").mkdir()
    write_network(model, folder / "references" / "lenet300_reference.safetensors")
    for parameter in model.parameters():
        parameter.data *= parameter.abs() > parameter.abs().flatten().quantile(0.98)
    (folder / "runs" / "pruned").mkdir(parents=True)
    ns.pack(model, folder / "runs" / "pruned" / "lenet300-seed0.nsm", example_inputs=torch.rand(1, 1, 28, 28))
    record_of().write(folder / "runs" / "pruned" / "record.json")
    return Folders(folder / "runs", folder / "references", [Outcome("pruned", record_of(), (1,))])


@pytest.fixture(autouse=True)
def _short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "PACE", Pace(turn_s=1e-4, pause_s=0))


def configured(recorded: Outcome, **configuration: Any) -> Outcome:
    record = recorded.record
    return replace(recorded, record=replace(record, configuration={**record.configuration, **configuration}))


def test_the_record_is_what_the_tables_read(
    made: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "methods.json"
    given = ["--runs", str(made.runs), "--references", str(made.references), "--rounds", "2", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["methods.py", *given])
    monkeypatch.setattr(methods, "outcomes", lambda: made.recorded)
    methods.main()
    latencies = Latencies.read(out)
    assert {name for name in ("pruned", "dense", "onnxruntime", "other") if latencies.has("lenet300", name)} == {
        "pruned",
        "dense",
        "onnxruntime",
    }
    assert not latencies.has("lenet5", "dense")
    assert latencies.times_faster("lenet300", "pruned", 64) > 0
    assert latencies.median_us("lenet300", "pruned", 64) > 0
    record = json.loads(out.read_text(encoding="utf-8"))
    assert record["networks"]["lenet300"]["reference"] == "lenet300_reference.safetensors"
    assert record["networks"]["lenet300"]["dense_packed_bytes"] > 500_000
    for row in record["rows"]:
        assert set(row["largest_difference"]) == {"onnxruntime", "dense", "pruned"}
        assert all(0 <= value <= record["tolerance"] for value in row["largest_difference"].values())
    assert "pruned" in capsys.readouterr().out


def test_runs_without_a_record_are_left_out_and_named(made: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    assert methods.taking_part(made.runs, made.references, []) == []
    assert "pruned is left out" in capsys.readouterr().out
    unrun = replace(made.recorded[0], name="recorded elsewhere")
    (network,) = methods.taking_part(made.runs, made.references, [*made.recorded, unrun])
    assert list(network.packed) == ["pruned"]


def test_a_run_of_another_experiment_is_refused(made: Folders) -> None:
    other = configured(made.recorded[0], surgery={"steps": 1, "shifted": 0.0})
    with pytest.raises(SystemExit, match=r"isn't a run of the experiment that pruned\.json records"):
        methods.taking_part(made.runs, made.references, [other])


def with_reference(folder: Path, runs: Path, name: str, reference: str | dict[str, int]) -> Outcome:
    """A run of `name` like "pruned" that began with another dense network."""
    shutil.copytree(runs / "pruned", folder / name)
    record = Record.read(folder / name / "record.json")
    record = replace(record, configuration={**record.configuration, "reference": reference})
    record.write(folder / name / "record.json")
    return Outcome(name, record, (1,))


def test_all_networks_of_a_kind_began_with_one_dense_network(made: Folders, tmp_path: Path) -> None:
    one, two = (with_reference(tmp_path, made.runs, name, f"{name}.safetensors") for name in "ab")
    with pytest.raises(SystemExit, match="b began with another dense network"):
        methods.taking_part(tmp_path, made.references, [one, two])
    trained = with_reference(tmp_path, made.runs, "c", {"steps": 1})
    with pytest.raises(SystemExit, match="c trained its dense network itself"):
        methods.taking_part(tmp_path, made.references, [trained])
    (network,) = methods.taking_part(tmp_path, made.references, [one])
    with pytest.raises(DataError, match=r"a\.safetensors"):
        methods.measured(network, 1)


@pytest.mark.parametrize("wrong", ["pruned", "dense"])
def test_a_network_that_disagrees_with_the_reference_executor_is_an_error(
    made: Folders, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """Where the reference executor says 1 % more, the engine is what is wrong."""
    right = methods.netsurgery

    def mistaken(path: Path, x: Array, threads: int, engine: Any = "native") -> InProcess:
        runtime = right(path, x, threads, engine)
        named = "pruned" if path.parent.name == "pruned" else "dense"
        factor = np.float32(1.01 if (engine, named) == ("reference", wrong) else 1)
        outputs: Callable[[], Sequence[Array]] = lambda: [array * factor for array in runtime.outputs()]  # noqa: E731
        return InProcess(outputs)

    monkeypatch.setattr(methods, "netsurgery", mistaken)
    (network,) = methods.taking_part(made.runs, made.references, made.recorded)
    with pytest.raises(VerificationError, match=f"outputs of {wrong} differ from those of the reference executor"):
        methods.measured(network, 1)
