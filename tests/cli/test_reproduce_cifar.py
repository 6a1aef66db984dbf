"""`netsurgery reproduce resnet20` on a made-up data set in the layout of CIFAR-10."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.train.cifar_files import write_files

from netsurgery.cli import main as command_line
from netsurgery.cli import terminal
from netsurgery.cli.terminal import carry_out
from netsurgery.errors import DataError
from netsurgery.experiments import catalogue, results_folder
from netsurgery.experiments.catalogue import RESNET20, RESNET56
from netsurgery.experiments.reproduction import Reproduction
from netsurgery.experiments.results_folder import ResultsFolder
from netsurgery.experiments.settings import Settings
from netsurgery.experiments.treatments import Numbers
from netsurgery.records.record import Record, Run
from netsurgery.train import checkpoint
from netsurgery.train.cifar import cifar10
from netsurgery.zoo.resnet import CifarResNet, resnet20


def trained(experiment: catalogue.Experiment) -> list[str]:
    """The methods that train the network; the other two sketch it and leave it at that."""
    return [name for name in experiment.treatments if not name.startswith("sketching-")]


def tiny() -> CifarResNet:
    return CifarResNet(blocks=1)


def run(*arguments: Any) -> int:
    return command_line.main(["reproduce", "resnet20", "--threads", "1", "--device", "cpu", *map(str, arguments)])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    write_files(folder, images_per_file=12)
    return folder


@pytest.fixture(autouse=True)
def _short(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Short experiments; the page, whose pictures take longer, where a test asks for it."""
    threads = torch.get_num_threads()
    shorten(monkeypatch)
    if "with_page" not in request.fixturenames:
        monkeypatch.setattr(results_folder, "write_page", lambda *_: None)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def with_page() -> None:
    """Has the page written, as users have it."""


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A residual network of eight layers, 20 images held out, batches of 5, and a reference of 12 steps."""
    short = dataclasses.replace(
        RESNET20, build=tiny, reference=dataclasses.replace(RESNET20.reference, steps=12, batch_size=5)
    )
    treatments = {name: _in_small_batches(choice) for name, choice in RESNET20.treatments.items()}
    monkeypatch.setitem(catalogue.REPRODUCIBLE, "resnet20", dataclasses.replace(short, treatments=treatments))
    monkeypatch.setattr(cifar10, "__defaults__", (20,))


def _in_small_batches(choice: Any) -> Any:
    def treatment(numbers: Numbers) -> Any:
        made = choice(numbers)
        return dataclasses.replace(made, recipe=dataclasses.replace(made.recipe, batch_size=5))

    return treatment


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    """A dense network as the public ones are: without counts of batches."""
    torch.manual_seed(0)
    path = tmp_path / "dense.safetensors"
    save_file({key: tensor for key, tensor in tiny().state_dict().items() if "num_batches" not in key}, path)
    return path


@pytest.mark.parametrize("method", ["sketching-refined", "sketching-direct"])
def test_what_trains_nothing_leaves_network_and_record(
    method: str, images: Path, reference: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run("--data", images, "--reference", reference, "--method", method, "--planes", 1, "--out", out) == 0
    assert {"resnet20-seed0.safetensors", "resnet20-seed0.nsm"} <= {path.name for path in out.iterdir()}
    record = Record.read(out / "record.json")
    assert record.configuration["epochs"] == 0
    assert record.runs[0].kept > 0.99 * record.runs[0].size  # but for what was 0 before


@pytest.mark.parametrize("method", trained(RESNET20))
def test_every_method_leaves_network_record_plan_and_report(
    with_page: None, method: str, images: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ("--data", images, "--reference", reference, "--method", method, "--epochs", 3, "--out", out)
    assert run(*arguments) == 0
    assert {path.name for path in out.iterdir()} == {
        *("record.json", "report.html", "plan.toml"),
        *("resnet20-seed0.safetensors", "resnet20-seed0.nsm"),
    }
    record = Record.read(out / "record.json")
    configuration = record.configuration
    assert configuration["data"] == {"name": "CIFAR-10", "train": 40, "validation": 20}
    assert (configuration["epochs"], configuration["training"]["steps"]) == (3, 24)
    assert (configuration["training"]["crop_padding"], configuration["training"]["mirrored"]) == (4, True)
    assert (configuration["precision"], record.machine["device"]) == ("float32", "cpu")
    assert configuration["reference"] == "dense.safetensors"
    prunes = method not in ("inq", "sketching")
    assert (record.paper is not None) == prunes
    (done,) = record.runs
    assert (done.kept < 0.4 * done.size) == prunes
    printed = capsys.readouterr()
    assert ("Distiller" in printed.out) == prunes
    assert max(map(len, printed.out.splitlines()[:-5])) <= 80
    page = (out / "report.html").read_text(encoding="utf-8")
    assert ("30.9\N{NO-BREAK SPACE}% of the connections (3.2×)" in page) == prunes
    assert "layer2.0.conv1.weight, 32×16×3×3" in page
    assert "paper, %" not in page  # what was published says nothing of layers


def test_a_dense_network_teaches_the_small_one_where_asked_to(images: Path, reference: Path, tmp_path: Path) -> None:
    arguments = ("--data", images, "--reference", reference, "--steps", 8, "--density", 0.3)
    assert run(*arguments, "--out", tmp_path / "alone") == 0
    assert run(*arguments, "--teacher", "--out", tmp_path / "taught") == 0
    alone, taught = (Record.read(tmp_path / name / "record.json") for name in ("alone", "taught"))
    assert (alone.title, taught.title) == ("ResNet-20, surgery", "ResNet-20, surgery, taught by the dense network")
    shares = [record.configuration["training"]["distilled"] for record in (alone, taught)]
    assert shares == [0.0, 0.9]
    networks = [load_file(tmp_path / name / "resnet20-seed0.safetensors") for name in ("alone", "taught")]
    assert not torch.equal(networks[0]["linear.weight"], networks[1]["linear.weight"])


def untimed(run: Run) -> Run:
    return dataclasses.replace(run, duration_s=0)


@pytest.fixture(scope="module")
def straight(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves that nobody interrupts."""
    out = tmp_path_factory.mktemp("straight") / "out"
    with pytest.MonkeyPatch.context() as monkeypatch:
        shorten(monkeypatch)
        monkeypatch.setattr(results_folder, "write_page", lambda *_: None)
        assert run("--data", images, "--steps", 24, "--density", 0.3, "--out", out) == 0
    return out


@pytest.mark.parametrize("stop", [1, 7, 12, 13, 20, 36])
def test_an_interrupted_run_goes_on_from_its_checkpoint_to_the_same_bits(
    stop: int, images: Path, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve steps of the reference, then 24 of the surgery; the run is stopped after `stop` of them."""
    arguments = ("--data", images, "--steps", 24, "--density", 0.3)
    monkeypatch.setattr(checkpoint.Checkpoint, "offer", lambda self, contents: self.write(contents()))
    write, written = checkpoint.Checkpoint.write, []

    def interrupted(self: checkpoint.Checkpoint, contents: dict[str, Any]) -> None:
        write(self, contents)
        written.append(contents)
        # The checkpoint between both trainings is of no step.
        if sum("before" not in one or "treatment" in one for one in written) == stop:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.Checkpoint, "write", interrupted)
    out = tmp_path / "out"
    assert run(*arguments, "--out", out) == 130
    left = {path.name for path in out.iterdir()}
    assert left == {"resnet20-seed0.checkpoint"} | ({"resnet20-seed0-reference.safetensors"} if stop > 12 else set())
    assert run(*arguments, "--density", 0.4, "--out", out) == 1  # another experiment is refused
    monkeypatch.setattr(checkpoint.Checkpoint, "write", write)
    assert run(*arguments, "--out", out) == 0
    assert not list(out.glob("*.checkpoint"))
    assert untimed(Record.read(straight / "record.json").runs[0]) == untimed(Record.read(out / "record.json").runs[0])
    for name in ("resnet20-seed0.safetensors", "resnet20-seed0-reference.safetensors"):
        files = [load_file(folder / name) for folder in (straight, out)]
        assert all(torch.equal(tensor, files[1][key]) for key, tensor in files[0].items())


def test_an_experiment_that_begins_anew_takes_no_checkpoint(images: Path, reference: Path, tmp_path: Path) -> None:
    experiment = catalogue.REPRODUCIBLE["resnet20"]
    settings = Settings(method="naive-cut", steps=2, reference=reference, device="cpu")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "resnet20-seed0.checkpoint").write_bytes(b"of another version")
    for resume in (True, False):
        reproduction = Reproduction(experiment, experiment.read_data(images), settings)
        expected = pytest.raises(DataError, match="checkpoint") if resume else contextlib.nullcontext()
        with expected:
            carry_out(reproduction, tmp_path / "out", threads=1, resume=resume)


def test_a_checkpoint_is_read_once_for_the_threads_and_for_the_training(
    images: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = catalogue.REPRODUCIBLE["resnet20"]
    settings = Settings(method="surgery", density=0.3, steps=24, reference=reference, device="cpu")
    reproduction = Reproduction(experiment, experiment.read_data(images), settings)
    (work,) = ResultsFolder(reproduction, tmp_path).missing()
    work.checkpoint.write({"threads": 1})
    read, reads = checkpoint.Checkpoint.read, []

    def counted(self: checkpoint.Checkpoint) -> dict[str, Any]:
        reads.append(self.path)
        return read(self)

    monkeypatch.setattr(checkpoint.Checkpoint, "read", counted)
    monkeypatch.setattr(terminal, "quickest_threads", lambda *_: pytest.fail("as many threads as before are wanted"))
    torch.set_num_threads(2)
    carry_out(reproduction, tmp_path, threads=None)
    assert torch.get_num_threads() == 1
    assert reads == [work.checkpoint.path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "han-pruning"], "method='han-pruning' is not allowed: method must be one of surgery, naive-cut"),
        (["--steps", "0"], "steps=0 is not allowed"),
        (["--epochs", "-1"], "epochs=-1 is not allowed"),
        (["--shift"], "shift=True is not allowed"),
        (["--data", "nowhere"], "nowhere is not a directory"),
    ],
)
def test_wrong_input_is_refused_in_one_line_before_anything_runs(
    arguments: list[str], message: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", images, *arguments, "--out", tmp_path / "out") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_data_set_is_refused_by_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (tmp_path / name).write_bytes(b"\0\0\x08\x01\0\0\0\0")
    assert run("--data", tmp_path, "--out", tmp_path / "out") == 1
    assert "CIFAR-10's binary version is expected" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")
def test_a_graphics_card_that_is_not_there_is_refused(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--data", images, "--device", "cuda", "--out", tmp_path / "out") == 1
    assert "device='cuda' is not allowed: device must be auto or cpu here" in capsys.readouterr().err


@pytest.mark.parametrize("experiment", [RESNET20, RESNET56])
@pytest.mark.parametrize("steps", [None, 1_000])
def test_treatments_last_as_long_as_asked_and_end_at_a_learning_rate_of_almost_0(
    experiment: catalogue.Experiment, steps: int | None
) -> None:
    for method in trained(experiment):
        treatment = experiment.treatments[method](Numbers(density=0.2, steps=steps))
        epochs = 20 + 16 * (method == "surgery+inq")  # powers of two come after a whole surgery
        assert treatment.recipe.steps == (steps or epochs * 351)
        assert treatment.plan.active_steps <= treatment.recipe.steps
        rates = [treatment.recipe.learning_rate(step) for step in range(treatment.recipe.steps)]
        assert max(rates) == pytest.approx(rates[0], rel=2)
        assert rates[-1] < 0.01 * rates[0]
        assert {treatment.recipe.weight_decay(step) for step in (0, treatment.recipe.steps)} == {1e-4}


def test_the_reference_is_trained_as_in_the_paper() -> None:
    recipe = RESNET20.reference
    assert (recipe.steps, recipe.batch_size, recipe.momentum) == (64_000, 128, 0.9)
    rates = [recipe.learning_rate(step) for step in (0, 31_999, 32_000, 47_999, 48_000, 63_999)]
    assert rates == [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    assert isinstance(RESNET20.build(), type(resnet20()))
