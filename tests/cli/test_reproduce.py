"""`netsurgery reproduce` on a small data set of the same shape as MNIST."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import netsurgery
from netsurgery.cli import main as command_line
from netsurgery.errors import VerificationError
from netsurgery.experiments import catalogue, results_folder, treatments
from netsurgery.experiments.catalogue import LENET5, LENET300
from netsurgery.experiments.experiment import Experiment
from netsurgery.experiments.reproduction import Reproduction
from netsurgery.experiments.seed_work import SeedWork
from netsurgery.experiments.treatments import Numbers, Treatment
from netsurgery.methods.quantization import INQ
from netsurgery.methods.sketching import Sketching
from netsurgery.methods.surgery import Surgery, ThresholdSurgery
from netsurgery.plan import Plan
from netsurgery.records.record import Record
from netsurgery.schedules import Cosine
from netsurgery.train import digits as digit_files
from netsurgery.train.recipe import Recipe
from netsurgery.zoo.lenet import LeNet300

STEPS = 24
SHORT = Recipe(steps=STEPS, learning_rate=Cosine(0.05, 0.0, STEPS))


def short_surgery(numbers: Numbers) -> Treatment:
    return Treatment(Plan.of(Surgery(density=numbers.density, steps=STEPS, interval=3)), SHORT)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Ten kinds of bright rows on a noisy ground, as four IDX files."""
    folder = tmp_path / "digits"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 400), ("t10k", 100)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = rng.integers(0, 40, size=(count, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[4 + 2 * label : 6 + 2 * label] = 220
        (folder / f"{part}-images-idx3-ubyte").write_bytes(
            b"\0\0\x08\x03" + struct.pack(">3I", *images.shape) + images.tobytes()
        )
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(
            b"\0\0\x08\x01" + struct.pack(">I", count) + labels.tobytes()
        )
    return folder


@pytest.fixture(autouse=True)
def _short(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same experiment with few steps, and 100 images held out; the page, whose pictures take longer, on request."""
    if "with_page" not in request.fixturenames:
        monkeypatch.setattr(results_folder, "write_page", lambda *_: None)
    threads = torch.get_num_threads()
    short = dataclasses.replace(
        LENET300,
        reference=SHORT,
        treatments={
            **LENET300.treatments,
            Surgery.name: short_surgery,
            INQ.name: treatments.inq(steps=30, learning_rate=0.02),
            Sketching.name: treatments.sketching(steps=30, learning_rate=0.02),
            treatments.SURGERY_THEN_INQ: treatments.then_inq(short_surgery, steps=30, learning_rate=0.02),
        },
    )
    monkeypatch.setitem(catalogue.REPRODUCIBLE, "lenet300", short)
    monkeypatch.setattr(digit_files.mnist, "__defaults__", (100,))
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


@pytest.fixture
def with_page() -> None:
    """Has the page written, as users have it."""


def run(*arguments: object) -> int:
    return command_line.main(["reproduce", "lenet300", "--threads", "1", *map(str, arguments)])


def test_a_run_leaves_network_record_plan_and_report(
    with_page: None, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("--data", digits, "--density", 0.05, "--seeds", 2, "--out", out) == 0
    record = Record.read(out / "record.json")
    assert [run.seed for run in record.runs] == [0, 1]
    for seed in (0, 1):
        network = load_file(out / f"lenet300-seed{seed}.safetensors")
        assert network.keys() == LeNet300().state_dict().keys()
        assert sum(int(tensor.count_nonzero()) for tensor in network.values()) == round(0.05 * 266_610)
    assert (out / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert Plan.read(out / "plan.toml").stages[0].method == Surgery(density=0.05, steps=STEPS, interval=3)
    assert {path.suffix for path in out.iterdir()} == {".json", ".html", ".toml", ".safetensors", ".nsm"}
    printed = capsys.readouterr()
    for expected in ("fc1", "total", "20.0x", "Guo, Yao, Chen", "56x", "2 seeds"):
        assert expected in printed.out
    assert f"seed 1: surgery: {STEPS} of {STEPS} steps" in printed.err
    assert "\x1b" not in printed.out + printed.err  # no bars and colours in a pipe
    assert max(map(len, printed.out.splitlines())) <= 80 or all(
        line.startswith("wrote") for line in printed.out.splitlines() if len(line) > 80
    )


def test_every_network_is_packed_and_its_size_is_on_record(
    with_page: None, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("--data", digits, "--density", 0.05, "--seeds", 2, "--out", out) == 0
    images = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    sizes = []
    for seed in (0, 1):
        model, path = LeNet300().eval(), out / f"lenet300-seed{seed}.nsm"
        model.load_state_dict(load_file(path.with_suffix(".safetensors")))
        with torch.no_grad():
            expected = model(torch.from_numpy(images)).numpy()
        # Sums of at most 784 products in another order, through three layers: sqrt(784) * eps each.
        tolerance = 3 * 28 * np.finfo(np.float32).eps * np.abs(expected).max()
        np.testing.assert_allclose(netsurgery.load(path)(images), expected, rtol=0, atol=tolerance)
        sizes.append(path.stat().st_size)
    assert [run.packed_bytes for run in Record.read(out / "record.json").runs] == sizes
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"file, bytes 1,066,440 {sum(sizes) / 2:,.0f}" in printed
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "file, kB" in page
    assert all(f"<td>{size / 1000:,.1f}</td>" in page for size in sizes)


def test_each_network_is_packed_once(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[Path] = []
    right = results_folder.pack

    def counted(model: Any, path: Path, **options: Any) -> Any:
        packed.append(path)
        return right(model, path, **options)

    monkeypatch.setattr(results_folder, "pack", counted)
    assert run("--data", digits, "--density", 0.05, "--seeds", 2, "--out", tmp_path) == 0
    assert packed == [tmp_path / f"lenet300-seed{seed}.nsm" for seed in range(2)]


@pytest.mark.parametrize(("error", "status"), [(VerificationError("it differs"), 1), (KeyboardInterrupt(), 130)])
def test_an_error_in_packing_loses_nothing_of_the_training(
    error: BaseException,
    status: int,
    with_page: None,
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    right = results_folder.pack

    def fail(*_: Any, **__: Any) -> Any:
        assert len(Record.read(tmp_path / "out" / "record.json").runs) == 1
        raise error

    monkeypatch.setattr(results_folder, "pack", fail)
    assert run("--data", digits, "--density", 0.05, "--out", tmp_path / "out") == status
    written = {path.name for path in (tmp_path / "out").iterdir()}
    networks = {"lenet300-seed0-reference.safetensors", "lenet300-seed0.safetensors"}
    assert written == {*networks, "record.json", "plan.toml", "report.html"}
    (only,) = Record.read(tmp_path / "out" / "record.json").runs
    assert only.packed_bytes is None
    assert capsys.readouterr().err.splitlines()[-1].startswith("netsurgery: i")
    monkeypatch.setattr(results_folder, "pack", right)  # the next run makes good what is missing
    assert run("--data", digits, "--density", 0.05, "--out", tmp_path / "out") == 0
    assert capsys.readouterr().err.splitlines() == ["seed 0: done before"]
    (only,) = Record.read(tmp_path / "out" / "record.json").runs
    assert only.packed_bytes == (tmp_path / "out" / "lenet300-seed0.nsm").stat().st_size


def test_the_same_seed_gives_the_same_network(digits: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        assert run("--data", digits, "--density", 0.1, "--out", tmp_path / name) == 0
    first, second = (load_file(tmp_path / name / "lenet300-seed0.safetensors") for name in ("first", "second"))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_given_reference_is_where_the_surgery_starts(digits: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    reference = tmp_path / "dense.safetensors"
    save_file(LeNet300().state_dict(), reference)
    arguments = ("--data", digits, "--reference", reference, "--out", tmp_path / "out")
    assert run(*arguments, "--method", "naive-cut", "--density", 1.0) == 0
    network = load_file(tmp_path / "out" / "lenet300-seed0.safetensors")
    assert all(torch.equal(tensor, network[key]) for key, tensor in load_file(reference).items())


def test_results_in_the_place_of_a_file_are_refused_before_anything_is_trained(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    assert run("--data", digits, "--density", 0.1, "--out", tmp_path / "out") == 1
    assert capsys.readouterr().err == f"netsurgery: {tmp_path / 'out'} is a file: give the path of a folder.\n"
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_neither_the_plan_nor_the_reference_is_overwritten_by_results(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, reference = tmp_path / "plan.toml", tmp_path / "lenet300-seed0.safetensors"
    Plan.of(ThresholdSurgery(c_rate=1.0, iter_stop=12)).write(plan)
    plan.write_text("# mine\n" + plan.read_text())
    save_file(LeNet300().state_dict(), reference)
    before = [plan.read_bytes(), reference.read_bytes()]
    for option, path in (("--plan", plan), ("--reference", reference)):
        assert run("--data", digits, option, path, "--out", tmp_path) == 1
        assert f"--out would overwrite {path}, which is read here. Give another path." in capsys.readouterr().err
    assert [plan.read_bytes(), reference.read_bytes()] == before


def test_a_plan_of_ones_own_is_carried_out(digits: Path, tmp_path: Path) -> None:
    plan = tmp_path / "mine.toml"
    Plan.of(ThresholdSurgery(c_rate=1.0, iter_stop=12)).write(plan)
    assert run("--data", digits, "--plan", plan, "--out", tmp_path / "out") == 0
    record = Record.read(tmp_path / "out" / "record.json")
    assert record.configuration["plan"] == Plan.read(plan).to_dict()
    assert record.runs[0].kept < 266_610
    assert record.paper is not None


def test_a_plan_that_prunes_nothing_stands_beside_no_row_of_a_pruned_network(digits: Path, tmp_path: Path) -> None:
    plan = tmp_path / "mine.toml"
    Plan.of(INQ(bits=4, steps=12)).write(plan)
    assert run("--data", digits, "--plan", plan, "--out", tmp_path / "out") == 0
    assert Record.read(tmp_path / "out" / "record.json").paper is None


@pytest.mark.parametrize("bits", [2, 5])
def test_quantization_alone_leaves_powers_of_two(
    bits: int, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("--data", digits, "--method", "inq", "--bits", bits, "--out", out) == 0
    record = Record.read(out / "record.json")
    assert record.title == f"LeNet-300-100, inq, {bits} bits"
    assert record.paper is None  # which tells of pruned networks
    rate = record.configuration["training"]["learning_rate"]
    assert (rate["schedule"], rate["repeated"]["schedule"]) == ("Restarted", "Cosine")
    assert tuple(rate["starts"]) == INQ(bits=bits, steps=30).round_starts
    for weight in weights_of(out / "lenet300-seed0.safetensors"):
        fractions, exponents = np.frexp(weight[weight != 0])
        assert set(np.abs(fractions)) == {0.5}
        assert np.ptp(exponents) < 2 ** (bits - 2)
    assert "seed 0: inq: 28 of 30 steps" in capsys.readouterr().err


@pytest.mark.parametrize(("chosen", "planes"), [([], "2 planes"), (["--planes", 1], "1 plane")])
def test_sketching_leaves_binary_planes_for_each_filter(
    chosen: list[Any], planes: str, digits: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run("--data", digits, "--method", "sketching", *chosen, "--out", out) == 0
    assert Record.read(out / "record.json").title == f"LeNet-300-100, sketching, {planes}"
    for weight in weights_of(out / "lenet300-seed0.safetensors"):
        assert all(len(np.unique(row)) == 2 ** int(planes[0]) for row in weight)


def test_one_run_operates_and_then_quantizes(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run("--data", digits, "--method", "surgery+inq", "--bits", 3, "--density", 0.05, "--out", out) == 0
    record = Record.read(out / "record.json")
    assert record.title == "LeNet-300-100, surgery+inq, 3 bits"
    assert record.paper is not None
    first, second = Plan.read(out / "plan.toml").stages
    assert (first.method, second.method) == (
        Surgery(density=0.05, steps=STEPS, interval=3),
        INQ(bits=3, steps=30, biases=True),
    )
    assert second.start == record.configuration["training"]["steps"] - 30 == STEPS
    (done,) = record.runs
    assert done.kept <= round(0.05 * 266_610)
    assert len(done.trace.density["fc1.weight"]) == len(done.trace.steps)
    for weight in weights_of(out / "lenet300-seed0.safetensors"):
        assert len(np.unique(np.abs(weight[weight != 0]))) <= 2
    assert f"seed 0: surgery+inq: {STEPS + 28} of {STEPS + 30} steps" in capsys.readouterr().err


def weights_of(path: Path) -> list[np.ndarray]:
    return [tensor.numpy() for name, tensor in load_file(path).items() if name.endswith("weight")]


def test_an_interrupted_run_keeps_the_seeds_that_are_done(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Reproduction.run_seed

    def interrupted(self: Reproduction, work: SeedWork, progress: Any) -> Any:
        if work.seed == 1:
            raise KeyboardInterrupt
        return whole(self, work, progress)

    monkeypatch.setattr(Reproduction, "run_seed", interrupted)
    assert run("--data", digits, "--seeds", 3, "--out", tmp_path / "out") == 130
    assert len(Record.read(tmp_path / "out" / "record.json").runs) == 1
    assert "interrupted" in capsys.readouterr().err


def test_a_run_goes_on_with_the_seeds_that_are_missing(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--data", digits, "--density", 0.05, "--out")
    assert run(*arguments, tmp_path / "straight", "--seeds", 2) == 0
    assert run(*arguments, tmp_path / "out") == 0
    capsys.readouterr()
    assert run(*arguments, tmp_path / "out", "--seeds", 2) == 0
    printed = capsys.readouterr()
    assert "seed 0: done before" in printed.err
    assert "seed 0: surgery" not in printed.err
    assert "2 seeds" in printed.out
    straight, resumed = (Record.read(tmp_path / name / "record.json") for name in ("straight", "out"))
    untimed = [[dataclasses.replace(run, duration_s=0) for run in record.runs] for record in (straight, resumed)]
    assert untimed[0] == untimed[1]
    for name in ("lenet300-seed0", "lenet300-seed1"):
        files = [load_file(tmp_path / folder / f"{name}.safetensors") for folder in ("straight", "out")]
        assert all(torch.equal(tensor, files[1][key]) for key, tensor in files[0].items())


def test_another_experiment_in_the_folder_is_not_overwritten(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", digits, "--density", 0.05, "--out", tmp_path / "out") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    capsys.readouterr()
    assert run("--data", digits, "--density", 0.1, "--out", tmp_path / "out") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds another experiment, 'LeNet-300-100, surgery'" in line
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "nowhere is not a directory"),
        (["--data", "DIGITS", "--density", "2"], "density=2.0 is not allowed"),
        (["--data", "DIGITS", "--seeds", "0"], "seeds=0 is not allowed"),
        (["--data", "DIGITS", "--threads", "0"], "threads=0 is not allowed"),
        (["--data", "DIGITS", "--reference", "missing.safetensors"], "missing.safetensors can't be read"),
        (["--data", "DIGITS", "--plan", "missing.toml"], "missing.toml can't be read"),
        (["--data", "DIGITS", "--plan", "WRONG"], "'conv1' matches no layer"),
        (["--data", "DIGITS", "--method", "han-pruning", "--density", "0.1"], "--density=0.1 is not allowed"),
        (["--data", "DIGITS", "--plan", "WRONG", "--density", "0.1"], "--density=0.1 is not allowed"),
        (["--data", "DIGITS", "--method", "inq", "--density", "0.1"], "--density=0.1 is not allowed"),
        (["--data", "DIGITS", "--method", "inq", "--bits", "9"], "bits=9 is not allowed"),
        (["--data", "DIGITS", "--method", "inq", "--bits", "0"], "bits=0 is not allowed"),
        (["--data", "DIGITS", "--bits", "3"], "--bits=3 is not allowed"),
        (["--data", "DIGITS", "--method", "inq", "--bits", "3", "--plan", "WRONG"], "--bits=3 is not allowed"),
        (["--data", "DIGITS", "--method", "sketching", "--planes", "9"], "planes=9 is not allowed"),
        (["--data", "DIGITS", "--planes", "2"], "--planes=2 is not allowed"),
        (["--data", "DIGITS", "--plan", "LONG"], "plan='active until step 25' is not allowed: plan must be one that"),
        (["--data", "DIGITS", "--method", "naive-cut", "--shift"], "shift=True is not allowed"),
        (["--data", "DIGITS", "--method", "naive-cut", "--teacher"], "teacher=True is not allowed"),
    ],
)
def test_wrong_input_is_refused_in_one_line_before_anything_runs(
    arguments: list[str], message: str, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[[stage]]\nmethod = "han-pruning"\nlayers = ["conv1"]\n', encoding="utf-8")
    long = tmp_path / "long.toml"
    Plan.of(ThresholdSurgery(iter_stop=STEPS + 1)).write(long)
    paths = {"DIGITS": str(digits), "WRONG": str(wrong), "LONG": str(long)}
    given = [paths.get(argument, argument) for argument in arguments]
    assert run(*given, "--out", tmp_path / "out") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("netsurgery: ")
    assert message in line
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_found_before_anything_runs(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file", encoding="utf-8")
    assert run("--data", digits, "--out", taken) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "taken" in line
    assert taken.read_text(encoding="utf-8") == "a file"


def test_a_network_of_another_kind_is_refused(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    assert run("--data", digits, "--reference", tmp_path / "other.safetensors", "--out", tmp_path / "out") == 1
    assert "this LeNet300" in capsys.readouterr().err


@pytest.mark.parametrize("network", [LENET300, LENET5])
def test_surgery_and_then_few_bits_ends_as_the_training_does(network: Experiment) -> None:
    for bits in (2, 3, 5, 8):
        treatment = network.treatments[treatments.SURGERY_THEN_INQ](Numbers(density=0.01, bits=bits))
        surgery, inq = (stage.method for stage in treatment.plan.stages)
        assert isinstance(surgery, Surgery)
        assert surgery.concentration > 0
        assert inq == INQ(bits=bits, steps=inq.steps, biases=True)
        assert treatment.plan.active_steps == treatment.recipe.steps == surgery.steps + inq.steps
        starts = [surgery.steps + start for start in inq.round_starts]
        rates = [treatment.recipe.learning_rate(step) for step in starts]
        assert len(set(rates)) == 1
        assert rates[0] > 0
