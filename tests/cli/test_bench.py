"""`netsurgery bench`: figures of both runtimes, that their outputs agree, and a word where the engine doesn't win."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netsurgery.cli.bench_text import lines
from netsurgery.cli.main import main
from netsurgery.deployment import measuring
from netsurgery.graph.ir import GraphBuilder
from netsurgery.packed.writer import encode

QUICK = ["--seconds", "0.01", "--threads", "1"]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """(n, 20) -> (n, 10); the working directory is where it lies."""
    monkeypatch.chdir(tmp_path)
    return written("model.nsm", "batch")


def written(name: str, batch: int | str) -> str:
    weight = np.where(np.random.default_rng(0).random((10, 20)) < 0.2, 0.5, 0)
    builder = GraphBuilder()
    graph = builder.graph([builder.node("Linear", [builder.input("x", (batch, 20)), builder.constant(weight)])])
    Path(name).write_bytes(encode(graph))
    return name


def record_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["bench", *arguments, *QUICK, "--json"]) == 0
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    return record


def test_both_runtimes_are_measured_at_each_batch_size(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    record = record_of(capsys, model, "--against", "onnxruntime", "--batch", "1,5")
    assert record["size_bytes"] == Path(model).stat().st_size
    assert record["versions"].keys() == {"python", "netsurgery", "numpy", "onnxruntime"}
    assert [(row["batch"], row["threads"]) for row in record["rows"]] == [(1, 1), (5, 1)]
    for row in record["rows"]:
        assert list(row["runtimes"]) == ["netsurgery", "onnxruntime"]
        assert 0 <= row["largest_difference"] < 1e-6
        assert 0 < row["times_faster"]["p10"] <= row["times_faster"]["median"] <= row["times_faster"]["p90"]
        for figures in row["runtimes"].values():
            assert 0 < figures["p10_us"] <= figures["median_us"] <= figures["p90_us"]
            assert figures["calls"] >= 9
            assert figures["runs_per_second"] == pytest.approx(1e6 / figures["median_us"], rel=0.1)
            assert figures["inputs_per_second"] == pytest.approx(row["batch"] * figures["runs_per_second"], rel=1e-3)


def test_alone_it_needs_numpy_only(model: str, deployed: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    code = "from netsurgery.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    done = deployed(code, "bench", model, *QUICK, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["batch"] for row in rows] == [1, 16]
    assert all(row["times_faster"] is row["largest_difference"] is None for row in rows)


@pytest.mark.parametrize("missing", ["onnxruntime", "onnx"])
def test_a_runtime_that_is_not_installed_is_named(missing: str, model: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from netsurgery.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    )
    pytest.importorskip("onnxruntime")
    command = [sys.executable, "-c", code, "bench", model, "--against", "onnxruntime", *QUICK]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert f"needs {missing}, which isn't installed: pip install" in line


def test_a_network_of_fixed_shapes_has_one_row_and_takes_no_batch(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = written("fixed.nsm", 4)
    (row,) = record_of(capsys, fixed)["rows"]
    assert row["batch"] is None
    assert main(["bench", fixed, "--batch", "4", *QUICK]) == 1
    assert "--batch='4' is not allowed: --batch must be left out" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--batch", "--threads"])
@pytest.mark.parametrize("value", ["0", "1,", "one", "-3", "1.5", ""])
def test_what_is_no_list_of_counts_is_wrong_usage(
    option: str, value: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bench", model, f"{option}={value}"])
    assert caught.value.code == 2
    assert f"{value!r} is not a list of whole numbers >= 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.nsm"], "missing.nsm can't be read"),
        (["model.nsm", "--seconds", "0"], "--seconds=0.0 is not allowed"),
        (["model.nsm", "--seconds", "nan"], "--seconds=nan is not allowed"),
        (["model.nsm", "--threads", "300"], "threads=300 is not allowed"),
    ],
)
def test_what_can_not_be_measured_is_refused_in_one_line(
    arguments: list[str], message: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_outputs_that_differ_are_not_timed(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(measuring, "_bound", lambda session, arrays: lambda: session(*arrays) * np.float32(1.01))
    monkeypatch.setattr(measuring, "in_turns", lambda *_: pytest.fail("timed"))
    assert main(["bench", model, "--against", "onnxruntime", *QUICK]) == 1
    assert "outputs of netsurgery differ from those of onnxruntime by 1.0e-02" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["--threads", "1,1000"], "threads=1000 is not allowed"),
        (["--threads", "1", "--batch", "2,1"], "can't run at batch 1"),
    ],
)
def test_nothing_is_timed_unless_every_row_can_be(
    rows: list[str], message: str, model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = GraphBuilder()
    graph = builder.graph([builder.node("Slice", [builder.input("x", ("batch", 1))], axis=0, start=1, stop=2)])
    Path(model).write_bytes(encode(graph))
    monkeypatch.setattr(measuring, "in_turns", lambda *_: pytest.fail("timed"))
    assert main(["bench", model, "--seconds", "0.01", *rows]) == 1
    assert message in capsys.readouterr().err


def faster(p10: float, median: float, p90: float, *, against: bool = True) -> dict[str, Any]:
    figures = {"median_us": 123456.7, "p10_us": 99.5, "p90_us": 234567.8, "calls": 9, "inputs_per_second": 1234567.8}
    row = {
        "batch": 16,
        "threads": 2,
        "runtimes": {"netsurgery": figures, **({"onnxruntime": figures} if against else {})},
        "times_faster": {"p10": p10, "median": median, "p90": p90} if against else None,
    }
    versions = {"netsurgery": "0.1.0", "numpy": "2.4.6", "onnxruntime": "1.31.1"}
    return {
        "model": "m.nsm",
        "size_bytes": 1649,
        "instructions": "avx512",
        "machine": {"processor": "A processor", "system": "Linux", "threads": "2", "device": "cpu"},
        "versions": versions,
        "seed": 0,
        "busy_cores": None,
        "warning": None,
        "rows": [row],
    }


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (faster(1.8, 2.0, 2.1), None),
        (faster(0, 0, 0, against=False), None),
        (faster(0.45, 0.5, 0.6), "batch 16, 2 threads: onnxruntime is 2.00x faster; this network gains no speed here."),
        (faster(0.9, 1.1, 1.2), "batch 16, 2 threads: no clear difference; 0.90x to 1.20x over the rounds."),
    ],
)
def test_a_table_fits_a_terminal_and_says_where_the_engine_does_not_win(
    record: dict[str, Any], sentence: str | None
) -> None:
    text = lines(record)
    assert max(map(len, text)) <= 80
    table_ends = (
        next(index for index, line in enumerate(text) if line.startswith("---"))
        + 1
        + len(record["rows"][0]["runtimes"])
    )
    assert " ".join(text[table_ends:]).strip() == (sentence or "")


def test_a_busy_machine_is_said_below_the_table() -> None:
    quiet = faster(1.8, 2.0, 2.1)
    words = "The machine was busy: other processes took 1.5 of its 2 cores meanwhile. Times may be too long."
    busy = lines({**quiet, "warning": words})
    assert max(map(len, busy)) <= 80
    assert busy[: len(lines(quiet))] == lines(quiet)
    assert " ".join(busy[len(lines(quiet)) :]).strip() == words


def test_a_record_says_what_was_measured_where(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    record = record_of(capsys, model)
    assert record["machine"]["processor"]
    assert (record["machine"]["threads"], record["seed"]) == ("1", 0)
    assert record["busy_cores"] is None or record["busy_cores"] >= 0


def test_bench_says_what_ran_on_whole_numbers_and_what_that_adds(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    import netsurgery as ns

    layers = torch.nn.Sequential(torch.nn.Conv2d(16, 32, 3), torch.nn.ReLU(), torch.nn.Conv2d(32, 16, 1))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in (layers[0].weight, layers[2].weight):
            kept = (torch.arange(weight.numel()) % 5 == 0).view(weight.shape)  # none of the units is without any
            weight.copy_(torch.exp2(torch.randint(-3, 0, weight.shape, generator=generator).float()) * kept)
    x = torch.randn(2, 16, 12, 12, generator=generator)
    ns.pack(layers, "fixed.nsm", example_inputs=x, activations="fixed", calibration=[x], ends="fixed")
    record = record_of(capsys, "fixed.nsm", "--batch", "16")
    (count,) = (row["layers_on_whole_numbers"] for row in record["rows"])
    assert count in (1, 2)  # the engine's choice
    assert record["fixed_point"]["layers"] == record["fixed_point"]["of"] == 2
    connections = [int(weight.count_nonzero()) for weight in (layers[0].weight, layers[2].weight)]
    assert record["fixed_point"]["additions"] == pytest.approx(sum(connections) / 48)  # both see 100 places
    assert main(["bench", "fixed.nsm", "--batch", "16", *QUICK]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "2 of 2 layers add whole numbers of" in told
    assert f"ran so {count} at batch 16, of 2; the others on floats" in told
    record = record_of(capsys, model)
    assert record["fixed_point"] is None
    assert {row["layers_on_whole_numbers"] for row in record["rows"]} == {0}
