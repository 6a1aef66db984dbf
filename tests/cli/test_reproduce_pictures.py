"""`netsurgery reproduce alexnet ...` on class folders and shards of made pictures, with narrow networks."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.cli.test_reproduce_cifar import untimed
from tests.pictures.made import write_folders, write_shards
from tests.pictures.narrow import BUILD, small
from torch import nn

import netsurgery as ns
from netsurgery.cli import main as command_line
from netsurgery.experiments import catalogue, results_folder
from netsurgery.experiments.catalogue import REPRODUCIBLE
from netsurgery.experiments.data import read_data
from netsurgery.experiments.imagenet import IMAGENET, in_tenths
from netsurgery.experiments.treatments import Numbers
from netsurgery.records.record import Record
from netsurgery.train import checkpoint
from netsurgery.train.processes import Processes
from netsurgery.train.source import in_order

STEPS = 8
METHODS = ("surgery", "inq", "surgery+inq", "sketching")
EVERY = [
    *((network, method) for network in BUILD for method in METHODS),
    *(("alexnet", method) for method in ("threshold-surgery", "naive-cut", "sketching-refined", "sketching-direct")),
]
"""Every recipe there is."""
FEW = [
    ("alexnet", "surgery"),
    ("alexnet", "threshold-surgery"),
    ("alexnet", "sketching-direct"),
    ("vgg16", "inq"),
    ("googlenet", "surgery+inq"),
    ("resnet18", "sketching"),
    ("resnet50", "surgery"),
]
"""Each network, and each kind of method."""
EACH = "NETSURGERY_EVERY_RECIPE" in os.environ
RECIPES, IN_TWO = (EVERY, EVERY) if EACH else (FEW, [("alexnet", "sketching"), ("vgg16", "surgery+inq")])
RESUMED = [("alexnet", "surgery+inq"), ("resnet18", "sketching")]
RESUMED_IN_TWO = [("alexnet", "surgery+inq"), ("resnet18", "inq")]
if EACH:
    RESUMED += [("googlenet", "surgery+inq"), ("alexnet", "surgery"), ("vgg16", "inq")]
else:
    RESUMED_IN_TWO = RESUMED_IN_TWO[:1]
WORKER = Path(__file__).with_name("picture_worker.py")
pytestmark = [  # networks with random weights, whose layers die in a few steps
    pytest.mark.filterwarnings("ignore::netsurgery.errors.StarvedLayerWarning"),
    pytest.mark.filterwarnings("ignore::netsurgery.errors.UnreachedLayerWarning"),
]
gloo = pytest.mark.skipif(not torch.distributed.is_available(), reason="this build of torch has no processes")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folders(tmp_path_factory.mktemp("folders"))


@pytest.fixture(autouse=True)
def _small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow networks; the page, whose pictures take longer than everything else, where its test asks for it."""
    for name in BUILD:
        monkeypatch.setitem(catalogue.REPRODUCIBLE, name, small(name))
    if "page" not in request.node.name:
        monkeypatch.setattr(results_folder, "write_page", lambda *_: None)


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A dense network of each kind, with random weights."""
    folder, paths = tmp_path_factory.mktemp("dense"), {}
    for name in BUILD:
        torch.manual_seed(0)
        paths[name] = folder / f"{name}.safetensors"
        save_file(small(name).build().state_dict(), paths[name])
    return paths


def given(network: str, *more: Any, data: Path, out: Path, workers: int = 0) -> list[str]:
    length = () if more and more[1].startswith("sketching-") else ("--steps", STEPS)
    options = ("--data", data, "--out", out, *length, "--threads", 1, "--device", "cpu", "--workers", workers)
    return [*map(str, (network, *more, *options))]


def run(*arguments: Any, **places: Any) -> int:
    return command_line.main(["reproduce", *given(*arguments, **places)])


def packed_error_percent(network: str, data: Path, file: Path) -> float:
    """Top-1 error of what was packed, as the engine runs it."""
    test, packed = read_data(REPRODUCIBLE[network], data, None, 0).read_test(), ns.load(file)
    parts = list(in_order(test, 8, Processes()))
    wrong = sum(
        int((packed(images.contiguous().numpy()).argmax(1) != labels.numpy()).sum()) for images, labels in parts
    )
    return 100 * wrong / len(test)


@pytest.mark.parametrize(("network", "method"), RECIPES)
def test_recipes_run_from_pictures_to_a_packed_network_that_answers_alike(
    network: str, method: str, folders: Path, dense: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(network, "--method", method, "--weights", dense[network], data=folders, out=out) == 0
    record = Record.read(out / "record.json")
    (done,) = record.runs
    assert record.configuration["training"]["steps"] == (0 if method.startswith("sketching-") else STEPS)
    assert record.configuration["data"]["classes"] == 3
    assert record.configuration["data"]["train"] == 48
    assert packed_error_percent(network, folders, out / f"{network}-seed0.nsm") == pytest.approx(
        done.test_error_percent, abs=1e-4
    )
    assert set(done.further_errors_percent) == {"test, top-5"}
    weights = load_file(out / f"{network}-seed0.safetensors")
    assert not any(name.startswith("aux") for name in weights)
    printed = capsys.readouterr().out
    assert "test, top-5 error %" in printed
    if method in ("surgery", "surgery+inq", "naive-cut"):
        assert done.kept < 0.5 * done.size
    if "inq" in method:
        sizes = {
            float(size) for name in weights if name.endswith("conv1.weight") for size in weights[name].abs().unique()
        }
        assert len(sizes) <= 1 + 16 * sum(name.endswith("conv1.weight") for name in weights)
        assert all(size == 0 or np.frexp(size)[0] == 0.5 for size in sizes)
    published = (network, method) in [
        *(("alexnet", which) for which in ("surgery", "threshold-surgery", "naive-cut", "surgery+inq")),
        *((which, "inq") for which in BUILD),
    ]
    assert (record.paper is not None) == published
    assert done.images_per_s is None or done.images_per_s > 0


def test_a_dense_network_is_trained_where_none_is_given_and_steps_cut_that_too(folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("googlenet", "--method", "inq", data=folders, out=out) == 0
    reference = Record.read(out / "record.json").configuration["reference"]
    # 60 epochs for the reference, 8 for INQ.
    assert reference["steps"] == 60
    assert (out / "googlenet-seed0-reference.safetensors").exists()
    assert any(name.startswith("aux1.") for name in load_file(out / "googlenet-seed0-reference.safetensors"))
    again = tmp_path / "again"
    assert run("alexnet", "--method", "inq", "--reference-steps", 2, data=folders, out=again) == 0
    assert Record.read(again / "record.json").configuration["reference"]["steps"] == 2


def test_the_page_has_the_papers_row_and_errors_among_five(
    folders: Path, dense: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run("alexnet", "--method", "surgery+inq", "--weights", dense["alexnet"], data=folders, out=out) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Zhou et al. 2017" in page
    assert "file 53.0× smaller" in page
    assert "test, top-5 error" in page
    assert "published 19.77 → 19.74" in page


def test_weights_without_auxiliary_classifiers_do(folders: Path, dense: dict[str, Path], tmp_path: Path) -> None:
    deployed = tmp_path / "deployed.pth"
    torch.save({k: v for k, v in load_file(dense["googlenet"]).items() if not k.startswith("aux")}, deployed)
    arguments = ("googlenet", "--method", "surgery", "--weights", deployed)
    assert run(*arguments, data=folders, out=tmp_path / "out") == 0


def test_shards_and_folders_hold_the_same_test(folders: Path, dense: dict[str, Path], tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards")
    records = []
    for data in (folders, shards):
        out = tmp_path / f"out-{data.name}"
        method = ("resnet18", "--method", "sketching-direct", "--weights", dense["resnet18"], "--ten-crops")
        assert run(*method, data=data, out=out) == 0
        records.append(Record.read(out / "record.json").runs[0])
    assert records[0].test_error_percent == records[1].test_error_percent
    assert records[0].further_errors_percent == records[1].further_errors_percent
    assert set(records[0].further_errors_percent) == {"test, top-5", "test, 10 crops", "test, 10 crops, top-5"}


@pytest.mark.parametrize(
    ("network", "method"),
    RESUMED,
)
def test_an_interrupted_run_goes_on_to_the_same_bits(
    network: str, method: str, folders: Path, dense: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (network, "--method", method, "--weights", dense[network])
    assert run(*arguments, data=folders, out=tmp_path / "straight") == 0
    monkeypatch.setattr(checkpoint.Checkpoint, "offer", lambda self, contents: self.write(contents()))
    write, count = checkpoint.Checkpoint.write, [0]

    def interrupted(self: checkpoint.Checkpoint, contents: dict[str, Any]) -> None:
        write(self, contents)
        count[0] += 1
        if count[0] in (3, 7):  # twice, in the midst of an epoch of four steps, and after the next
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.Checkpoint, "write", interrupted)
    out = tmp_path / "out"
    assert run(*arguments, data=folders, out=out) == 130
    assert run(*arguments, data=folders, out=out) == 130
    assert run(*arguments, data=folders, out=out) == 0
    straight, resumed = (Record.read(tmp_path / name / "record.json") for name in ("straight", "out"))
    assert paceless(straight.runs[0]) == paceless(resumed.runs[0])
    files = [(tmp_path / name / f"{network}-seed0.nsm").read_bytes() for name in ("straight", "out")]
    assert files[0] == files[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_ctrl_c_loses_no_step(
    workers: int,
    folders: Path,
    dense: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A terminal sends it to the processes that read, too; no checkpoint was due."""
    arguments = ("resnet18", "--method", "inq", "--weights", dense["resnet18"])
    assert run(*arguments, data=folders, out=tmp_path / "straight", workers=workers) == 0
    offer, steps = checkpoint.Checkpoint.offer, [0]

    def pressed(self: checkpoint.Checkpoint, contents: Any) -> None:
        steps[0] += 1
        if steps[0] == 2:
            for process in (os.getpid(), *(child.pid for child in multiprocessing.active_children())):
                os.kill(process or 0, signal.SIGINT)
        if steps[0] != 2:  # it is heard while the next step is taken
            offer(self, contents)

    monkeypatch.setattr(checkpoint.Checkpoint, "offer", pressed)
    out = tmp_path / "out"
    assert run(*arguments, data=folders, out=out, workers=workers) == 130
    assert steps[0] == 3
    assert "resnet18-seed0.checkpoint holds every step so far" in capsys.readouterr().err
    assert torch.load(out / "resnet18-seed0.checkpoint")["contents"]["treatment"]["training"]["step"] == 3
    assert run(*arguments, data=folders, out=out, workers=workers) == 0
    straight, resumed = (Record.read(tmp_path / name / "record.json") for name in ("straight", "out"))
    assert paceless(straight.runs[0]) == paceless(resumed.runs[0])


def test_after_a_picture_was_deleted_the_refusal_says_that_there_are_fewer(
    dense: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_folders(tmp_path / "data"), tmp_path / "out"
    arguments = ("resnet18", "--method", "inq", "--weights", dense["resnet18"])
    broken = data / "train" / "ant" / "003.jpg"
    content = broken.read_bytes()
    broken.write_bytes(b"broken")
    monkeypatch.setattr(checkpoint.Checkpoint, "offer", lambda self, contents: self.write(contents()))
    assert run(*arguments, data=data, out=out) == 1
    told = capsys.readouterr().err
    assert "003.jpg is no picture that Pillow knows. Fetch it again, and a run goes on from its checkpoint." in told
    broken.unlink()
    assert run(*arguments, data=data, out=out) == 1
    assert "configuration.data.validation was 12 and is 11" in capsys.readouterr().err
    broken.write_bytes(content)
    assert run(*arguments, data=data, out=out) == 0


def paceless(done: Any) -> Any:
    return untimed(done).__class__(**{**vars(untimed(done)), "images_per_s": None, "waiting_percent": None})


def torchrun(processes: int, stop: int, *runs: list[str]) -> str:
    words = [word for arguments in runs for word in (*arguments, "--")]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes, WORKER, stop, *words]
    done = subprocess.run(
        [sys.executable, *map(str, command)], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@gloo
def test_two_processes_carry_out_recipes(folders: Path, dense: dict[str, Path], tmp_path: Path) -> None:
    runs = [
        given(
            network, "--method", method, "--weights", dense[network], data=folders, out=tmp_path / f"{network}-{method}"
        )
        for network, method in IN_TWO
    ]
    told = torchrun(2, 0, *runs)
    assert told.count("status 0") == 2 * len(IN_TWO)
    assert told.count("Before and after") == len(IN_TWO)  # one of them speaks
    for network, method in IN_TWO:
        out = tmp_path / f"{network}-{method}"
        (done,) = Record.read(out / "record.json").runs
        error = packed_error_percent(network, folders, out / f"{network}-seed0.nsm")
        assert error == pytest.approx(done.test_error_percent, abs=1e-4)


@pytest.mark.slow
@gloo
def test_two_processes_go_on_to_the_same_bits(folders: Path, dense: dict[str, Path], tmp_path: Path) -> None:
    def runs(name: str) -> list[list[str]]:
        return [
            given(network, "--method", method, "--weights", dense[network], data=folders, out=tmp_path / name / network)
            for network, method in RESUMED_IN_TWO
        ]

    assert torchrun(2, 0, *runs("straight")).count("status 0") == 2 * len(RESUMED_IN_TWO)
    for arguments in runs("out"):
        assert torchrun(2, 3, arguments).count("status 130") == 2
    assert torchrun(2, 0, *runs("out")).count("status 0") == 2 * len(RESUMED_IN_TWO)
    for network, _ in RESUMED_IN_TWO:
        straight, resumed = (Record.read(tmp_path / name / network / "record.json") for name in ("straight", "out"))
        assert paceless(straight.runs[0]) == paceless(resumed.runs[0])
        assert straight.machine["processes"] == "2"
        files = [(tmp_path / name / network / f"{network}-seed0.nsm").read_bytes() for name in ("straight", "out")]
        assert files[0] == files[1]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_products_of_16_bits_train_too(precision: str, folders: Path, dense: dict[str, Path], tmp_path: Path) -> None:
    arguments = ("alexnet", "--method", "surgery", "--weights", dense["alexnet"], "--precision", precision)
    assert run(*arguments, data=folders, out=tmp_path / "out") == 0
    record = Record.read(tmp_path / "out" / "record.json")
    assert record.configuration["precision"] == precision


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "-1"], "workers=-1 is not allowed"),
        (["--data", "nowhere"], "nowhere holds no pictures"),
        (["--method", "han-pruning"], "method='han-pruning' is not allowed"),
        (["--weights", "nowhere.pth"], "nowhere.pth can't be read"),
        (["--weights", "nowhere.pth", "--reference-steps", "3"], "reference_steps=3 is not allowed|can't be read"),
        (["--shift"], "shift=True is not allowed"),
    ],
)
def test_wrong_input_is_refused_in_one_line_before_anything_runs(
    arguments: list[str], message: str, folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = ["reproduce", "resnet18", "--data", str(folders), "--out", str(tmp_path / "out"), *arguments]
    assert command_line.main(whole) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert any(part in line for part in message.split("|"))
    assert not (tmp_path / "out").exists()


def test_images_in_memory_take_no_preparation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["reproduce", "lenet5", "--data", str(tmp_path), "--preprocessing", "paper"]) == 1
    assert "preprocessing='paper' is not allowed" in capsys.readouterr().err


def test_more_classes_than_the_network_knows_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(6):
        for part in ("train", "val"):
            (tmp_path / part / str(number)).mkdir(parents=True)
            (tmp_path / part / str(number) / "a.jpg").write_bytes(b"")
    assert command_line.main(["reproduce", "resnet18", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "holds 6 classes of pictures; the network tells 5 apart" in capsys.readouterr().err


@pytest.mark.parametrize("name", IMAGENET)
@pytest.mark.parametrize("steps", [None, 1_000])
def test_recipes_have_the_papers_lengths_and_shrink_alike(name: str, steps: int | None) -> None:
    for method, choice in IMAGENET[name].treatments.items():
        if method in ("sketching-refined", "sketching-direct"):
            continue
        treatment = choice(Numbers(IMAGENET[name].density, steps=steps))
        assert treatment.recipe.batch_size == 256
        assert treatment.plan.active_steps <= treatment.recipe.steps
        if steps is not None:
            assert treatment.recipe.steps == steps
        elif name.startswith("alexnet") and method in ("surgery", "threshold-surgery"):
            assert treatment.recipe.steps == 700_000
        elif method == "inq":
            assert treatment.recipe.steps == 8 * 5_004
    by_hand = IMAGENET["alexnet"].treatments["threshold-surgery"](Numbers(0.1, steps=steps))
    starts = {stage.layers[0]: stage.start for stage in by_hand.plan.stages}
    turn = round((steps or 700_000) * 320 / 700)
    assert starts == {
        **dict.fromkeys((f"conv{n}" for n in range(1, 6)), 0),
        **dict.fromkeys(("fc1", "fc2", "fc3"), turn),
    }


@pytest.mark.parametrize("name", IMAGENET)
def test_networks_are_shown_the_pixels_that_their_public_weights_take(name: str, folders: Path) -> None:
    """torchvision's GoogLeNet sees pixels in [-1, 1], all others what ImageNet's mean and deviation make of them."""
    shown = read_data(IMAGENET[name], folders, "modern", 0).train.shown(
        torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 1, 1)
    )
    black, white = shown.flatten(1).tolist()
    if name == "googlenet-bn":
        assert (black, white) == (pytest.approx([-1.0] * 3), pytest.approx([1.0] * 3))
    else:
        assert black == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])
        assert white == pytest.approx([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225])


def test_inq_has_the_papers_portions() -> None:
    def portions(network: str, bits: int) -> tuple[float, ...]:
        return IMAGENET[network].treatments["inq"](Numbers(1.0, bits=bits)).plan.stages[0].method.portions

    assert portions("alexnet", 5) == (0.3, 0.6, 0.8, 1)
    assert portions("vgg16", 5) == portions("resnet50", 5) == (0.5, 0.75, 0.875, 1)
    assert portions("googlenet", 5) == (0.2, 0.4, 0.6, 0.8, 1)
    assert [len(portions("resnet18", bits)) for bits in (4, 3, 2)] == [6, 8, 10]


def test_rates_fall_to_tenths() -> None:
    rate = in_tenths(0.01, every=100, times=2)
    assert [rate(step) for step in (0, 99, 100, 199, 200, 1000)] == pytest.approx([0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4])


def test_evaluate_tells_the_errors_of_weights_and_of_packed_files(
    folders: Path, dense: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ("resnet18", "--method", "sketching-refined", "--weights", dense["resnet18"], "--ten-crops")
    assert run(*arguments, data=folders, out=out) == 0
    (done,) = Record.read(out / "record.json").runs
    capsys.readouterr()
    for crops, name in ((), "test, top-5"), (("--ten-crops",), "test, 10 crops, top-5"):
        for file, place in (dense["resnet18"], 0), (out / "resnet18-seed0.nsm", 1):
            command = ["evaluate", "resnet18", "--data", folders, "--weights", file, "--workers", 0, *crops]
            assert command_line.main([*map(str, command)]) == 0
            top1 = [done.test_error_before_percent, done.test_error_percent][place]
            if crops:
                top1 = done.further_errors_percent["test, 10 crops"][place]
            top5 = done.further_errors_percent[name][place]
            told = capsys.readouterr().out
            assert f"on 12 test images of {folders}" in told
            assert told.startswith("ResNet-18 on" if place == 0 else "resnet18-seed0.nsm, ")
            assert f"top-1 error {top1:.2f} %, top-5 error {top5:.2f} %" in told
    other = ["evaluate", "resnet50", "--data", folders, "--weights", out / "resnet18-seed0.nsm", "--workers", 0]
    assert command_line.main([*map(str, other)]) == 0
    told = capsys.readouterr().out
    assert re.match(r"resnet18-seed0\.nsm, [\d,]+ values in 21 layers, on 12 test images", told)
    assert "ResNet-50" not in told
    wrong = ["evaluate", "resnet50", "--data", folders, "--weights", dense["resnet18"], "--workers", 0]
    assert command_line.main([*map(str, wrong)]) == 1
    assert "doesn't hold the weights of this ResNet" in capsys.readouterr().err


@pytest.mark.parametrize("network", ["resnet18", pytest.param("googlenet", marks=pytest.mark.slow)])
def test_weights_for_as_many_classes_as_the_folder_has_are_taken(
    network: str, folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = REPRODUCIBLE[network].of_classes
    assert make is not None
    torch.manual_seed(0)
    weights, out = tmp_path / "tuned.pth", tmp_path / "out"
    torch.save(make(3).state_dict(), weights)
    assert run(network, "--method", "sketching-direct", "--weights", weights, data=folders, out=out) == 0
    (done,) = Record.read(out / "record.json").runs
    assert ns.load(out / f"{network}-seed0.nsm")(np.zeros((1, 3, 32, 32), np.float32)).shape == (1, 3)
    capsys.readouterr()
    assert run(network, "--method", "sketching-direct", "--weights", weights, data=folders, out=out) == 0
    assert "seed 0: done before" in capsys.readouterr().err
    command = ["evaluate", network, "--data", str(folders), "--weights", str(weights), "--workers", "0"]
    assert command_line.main(command) == 0
    assert f"top-1 error {done.test_error_before_percent:.2f} %" in capsys.readouterr().out
    torch.save(make(4).state_dict(), weights)
    assert command_line.main(command) == 1
    assert "fc.weight is (4, " in capsys.readouterr().err


def test_only_a_thousand_classes_of_its_names_are_called_imagenet(tmp_path: Path) -> None:
    for number in range(1_000):
        for part in ("train", "val"):
            folder = tmp_path / part / f"n{number:08}"
            folder.mkdir(parents=True)
            for picture in range(5 if part == "train" and not number else 1):
                (folder / f"{picture}.jpg").write_bytes(b"")
    assert read_data(IMAGENET["resnet18"], tmp_path, None, 0).name == "ImageNet"
    (tmp_path / "train" / "n00000999").rename(tmp_path / "train" / "n0999")
    (tmp_path / "val" / "n00000999").rename(tmp_path / "val" / "n0999")
    assert read_data(IMAGENET["resnet18"], tmp_path, None, 0).name == "labelled pictures"


@pytest.mark.parametrize("outputs", [2, (3, 3)])
def test_a_packed_network_that_gives_no_score_for_a_class_is_refused(
    outputs: Any, folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Scores(nn.Module):
        def forward(self, images: torch.Tensor) -> Any:
            means = images.mean(dim=(2, 3))
            return means[:, :outputs] if isinstance(outputs, int) else tuple(means * size for size in outputs)

    ns.pack(Scores(), tmp_path / "other.nsm", example_inputs=torch.randn(2, 3, 32, 32))
    command = ["evaluate", "resnet18", "--data", folders, "--weights", tmp_path / "other.nsm", "--workers", 0]
    assert command_line.main([*map(str, command)]) == 1
    given = "2 outputs" if isinstance(outputs, tuple) else "(12, 2)"
    assert f"other.nsm gives {given} for 12 images; (12, 3) or more scores are needed" in capsys.readouterr().err
