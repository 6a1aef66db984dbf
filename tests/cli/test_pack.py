"""`netsurgery pack`: an .onnx or .pt2 file becomes an .nsm file, with a sentence on what that saved."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import netsurgery as ns
from netsurgery.cli.main import main
from netsurgery.errors import SettingError
from netsurgery.graph.from_torch import read_torch

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one pruned network as .onnx and as .pt2."""
    from netsurgery.graph.to_onnx import write_onnx

    folder = tmp_path_factory.mktemp("sources")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 5)).eval()
    with torch.no_grad():
        model[0].weight.mul_(torch.rand(30, 40) < 0.2)
    inputs = torch.randn(3, 40)
    write_onnx(read_torch(model, (inputs,)), folder / "model.onnx")
    torch.export.save(torch.export.export(model, (inputs,)), folder / "model.pt2")
    return folder


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_a_file_is_packed_beside_the_working_directory_under_the_name_of_its_source(
    kind: str, sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = sources / f"model.{kind}"
    assert main(["pack", str(source)]) == 0
    session = ns.load("model.nsm")
    assert session.inputs[0].shape == ("batch" if kind == "onnx" else 3, 40)
    lines = capsys.readouterr().out.splitlines()
    size, dense = Path("model.nsm").stat().st_size, 4 * (40 * 30 + 30 + 30 * 5 + 5)
    assert lines[0].startswith(f"model.nsm: {size:,} bytes, {dense / size:.1f}x smaller than {dense:,} bytes")
    verified = " ".join(" ".join(lines[-2:]).split())
    runtime = "onnxruntime" if kind == "onnx" else "torch"
    assert re.search(
        rf"verified outputs are those of {runtime} \d\S+, to .{{7}} of the largest \(allowed: 2e-04\)$", verified
    )
    assert any(line.startswith("batch       fixed at 3; ") for line in lines) == (kind == "pt2")
    assert not any(line.startswith("rounding") for line in lines)
    assert "3: 2 Linear, 1 Relu" in lines[3]
    assert max(map(len, lines)) <= 90
    assert [path.name for path in Path().iterdir()] == ["model.nsm"]


def test_neither_the_model_nor_arrays_are_overwritten_by_the_packed_network(
    sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, x = sources / "model.onnx", np.zeros((3, 40), np.float32)
    before = model.read_bytes()
    np.save("x.npy", x)
    Path("x.npy").rename("x.nsm")
    Path("link.nsm").symlink_to(model)
    for output, read in (("x.nsm", "x.nsm"), ("link.nsm", str(model))):
        assert main(["pack", str(model), "--input", "x.nsm", "-o", output]) == 1
        assert f"--output would overwrite {read}, which is read here. Give" in capsys.readouterr().err
    for source in (model, str(model)):
        with pytest.raises(SettingError, match=r"path would overwrite .*model\.onnx, which is read here"):
            ns.pack(source, model)
    assert model.read_bytes() == before
    np.testing.assert_array_equal(np.load("x.nsm"), x)


def test_options_reach_the_packer(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(sources / "model.onnx")
    assert main(["pack", source, "-o", "exact.nsm"]) == 0
    assert main(["pack", source, "-o", "named.nsm", "--names"]) == 0
    capsys.readouterr()
    assert main(["pack", source, "-o", "half.nsm", "--weights", "float16"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert re.search(r"outputs are those of onnxruntime \d\S+, rounded so, to", text)
    assert re.search(r"rounding weights to float16 moved outputs by \d\.\de-0[45] of the largest", text)
    exact, named, half = (Path(f"{name}.nsm").stat().st_size for name in ("exact", "named", "half"))
    assert half < 0.7 * exact < exact < named
    assert "0.weight" in ns.load("named.nsm").graph.constants


def test_activations_are_rounded_on_request_and_info_says_what_that_saves(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from netsurgery.graph.to_onnx import write_onnx

    layer = torch.nn.Linear(6, 4)
    with torch.no_grad():
        layer.weight.copy_(torch.exp2(torch.arange(24).reshape(4, 6) % 3 - 2.0))
    write_onnx(read_torch(layer, (torch.randn(2, 6),)), "model.onnx")
    np.save("x.npy", np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32))
    assert main(["pack", "model.onnx", "--activations", "fixed", "--calibration", "x.npy"]) == 0
    assert "activations to fixed point moved outputs by" in " ".join(capsys.readouterr().out.split())
    assert main(["info", "model.nsm"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "1 of 1 layers add whole numbers of 11 bits: for an output 6.0 additions and 2.0 doublings where" in told
    for odd in (["--activations", "fixed"], ["--calibration", "x.npy"]):
        assert main(["pack", "model.onnx", *odd]) == 1
        assert "--calibration" in capsys.readouterr().err
    assert main(["pack", "model.onnx", "--ends", "fixed"]) == 1
    assert "--ends" in capsys.readouterr().err
    fixed = ["pack", "model.onnx", "--activations", "fixed", "--calibration", "x.npy", "--ends"]
    assert main([*fixed, "fixed"]) == 0
    assert main([*fixed, "float"]) == 1
    assert "leaves none of 1 layers in fixed point" in capsys.readouterr().err


def test_a_network_ends_at_the_outputs_that_are_asked_for(sources: Path) -> None:
    made = onnx.load(sources / "model.onnx").graph.node
    (hidden,) = (one.output[0] for one in made if one.op_type == "Relu")
    assert main(["pack", str(sources / "model.onnx"), "--outputs", f"{hidden},{made[-1].output[0]}"]) == 0
    hidden_units, scores = ns.load("model.nsm")(np.zeros((2, 40), np.float32))
    assert (hidden_units.shape, scores.shape) == ((2, 30), (2, 5))


def test_given_inputs_are_what_is_compared_on(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("x.npy", np.zeros((1, 40), np.float32))
    assert main(["pack", str(sources / "model.onnx"), "--input", "x.npy"]) == 0
    np.save("x.npy", np.zeros((1, 41), np.float32))
    refused([str(sources / "model.onnx"), "--input", "x.npy"], "example_inputs have shapes [(1, 41)]", capsys)
    Path("x.npy").write_bytes(b"no array")
    refused([str(sources / "model.onnx"), "--input", "x.npy"], "x.npy can't be read as an .npy file", capsys)


@pytest.fixture
def kept() -> Iterator[None]:
    """An output from before, which has to stay as it was."""
    Path("model.nsm").write_bytes(b"old")
    yield
    assert Path("model.nsm").read_bytes() == b"old"


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.onnx"], "missing.onnx: there is no such file"),
        (["missing.pt2"], "missing.pt2 doesn't exist"),
        (["model.nsm"], "model.nsm: a network that is already packed"),
        (["."], ".: an .onnx or a .pt2 file is needed"),
        ([""], ".: an .onnx or a .pt2 file is needed"),
        (["/"], "/: an .onnx or a .pt2 file is needed"),
        ([".."], "..: an .onnx or a .pt2 file is needed"),
        (["SOURCES/model.onnx", "-o", "folder.nsm"], "folder.nsm is a folder: give the path of a file in it."),
        (["damaged.onnx"], "damaged.onnx: it can't be read as an ONNX model"),
        (["damaged.pt2"], "damaged.pt2 can't be loaded"),
        (["SOURCES/model.onnx", "-o", "model.onnx"], "--output='model.onnx' is not allowed"),
    ],
)
def test_wrong_files_are_refused_in_one_line(
    arguments: list[str], message: str, sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("damaged.onnx").write_bytes(b"\xff\xfe")
    Path("folder.nsm").mkdir()
    Path("damaged.pt2").write_bytes(b"PK\3\4")
    refused([argument.replace("SOURCES", str(sources)) for argument in arguments], message, capsys)


@pytest.mark.usefixtures("kept")
def test_what_a_model_holds_that_is_missing_is_said_in_one_line_and_node_by_node_on_demand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from onnx import TensorProto, helper

    steps = [("RandomNormalLike", "x", "a", "noise"), ("Bernoulli", "a", "b", "drop"), ("Bernoulli", "b", "y", "again")]
    graph = helper.make_graph(
        [helper.make_node(operator, [x], [y], name) for operator, x, y, name in steps],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    Path("odd.onnx").write_bytes(model.SerializeToString())
    refused(["odd.onnx"], "doesn't have: RandomNormalLike (once); Bernoulli (2 times).", capsys)
    assert main(["pack", "odd.onnx", "--explain"]) == 1
    short, *nodes = capsys.readouterr().err.splitlines()
    assert short.startswith("netsurgery: odd.onnx: the model holds operators")
    assert [line.split()[:2] for line in nodes] == [[f"{name}:", operator] for operator, _, _, name in steps]


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(("kind", "package"), [("onnx", "onnx"), ("pt2", "torch")])
def test_a_missing_extra_is_named(
    kind: str, package: str, sources: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    refused([str(sources / f"model.{kind}")], f"pip install 'netsurgery[{package}]'", capsys)


def test_weights_of_an_unknown_kind_are_wrong_usage(sources: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["pack", str(sources / "model.onnx"), "--weights", "int8"])
    assert stop.value.code == 2


def refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["pack", *arguments]) == 1
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("netsurgery: ")
    assert message in line
    assert not captured.out
