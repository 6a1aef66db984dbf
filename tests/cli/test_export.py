"""`netsurgery export`: a packed network as an ONNX file that other runtimes run, or no file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netsurgery.cli.main import main
from netsurgery.graph import to_onnx
from netsurgery.graph.ir import Array, Graph, GraphBuilder, Input
from netsurgery.packed.writer import encode
from netsurgery.runtime.reference import run

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def network() -> Graph:
    generator = np.random.default_rng(0)
    builder = GraphBuilder()
    image = builder.input("image", ("batch", 1, 8, 8))
    conv = builder.constant(generator.normal(size=(4, 1, 3, 3)))
    hidden = builder.node("MaxPool", [builder.node("Relu", [builder.node("Conv", [image, conv])])], kernel=(2, 2))
    flat = builder.node("Reshape", [hidden], shape=(-1, 100))
    weight = np.where(generator.random((60, 100)) < 0.05, generator.normal(size=(60, 100)), 0.0)
    return builder.graph([builder.node("Linear", [flat, builder.constant(weight)], "logits")])


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.nsm").write_bytes(encode(network(), names=True))
    monkeypatch.chdir(tmp_path)


def images(batch: int) -> Array:
    return np.random.default_rng(batch).normal(size=(batch, 1, 8, 8)).astype(np.float32)


def test_the_packed_network_is_not_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("model.nsm").rename("model.onnx").read_bytes()
    assert main(["export", "model.onnx", "--to", "onnx", "-o", "./model.onnx"]) == 1
    assert "--output would overwrite model.onnx, which is read here. Give another path." in capsys.readouterr().err
    assert Path("model.onnx").read_bytes() == before


@pytest.mark.parametrize("command", ["export", "unpack"])
@pytest.mark.parametrize("sparse", [False, True])
def test_the_onnx_file_computes_the_same_in_onnxruntime_at_any_batch_size(
    command: str, sparse: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--sparse"] if sparse else []
    assert main([command, "model.nsm", "--to", "onnx", "-o", "model.onnx", *options]) == 0
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    for batch in (1, 5):
        (found,) = session.run(None, {"image": images(batch)})
        (expected,) = run(network(), {"image": images(batch)})
        # Sums of 9, then of some 5 products in another order.
        np.testing.assert_allclose(found, expected, rtol=0, atol=16 * np.finfo(np.float32).eps * np.abs(expected).max())
    size = Path("model.onnx").stat().st_size
    wrote, verified = capsys.readouterr().out.splitlines()
    assert wrote == f"wrote model.onnx: {size:,} bytes, {Path('model.nsm').stat().st_size:,} as .nsm"
    version = onnxruntime.__version__
    assert re.fullmatch(
        rf"verified: run by onnxruntime {version}, outputs differ by \d\.\de-\d\d of the largest", verified
    )


def test_sparse_tensors_make_the_file_smaller() -> None:
    for name, options in (("dense.onnx", []), ("sparse.onnx", ["--sparse"])):
        assert main(["export", "model.nsm", "--to", "onnx", "-o", name, *options]) == 0
    assert Path("sparse.onnx").stat().st_size < Path("dense.onnx").stat().st_size / 3


def test_from_packed_to_onnx_and_back_every_weight_is_the_same() -> None:
    assert main(["export", "model.nsm", "--to", "onnx", "-o", "model.onnx"]) == 0
    assert main(["pack", "model.onnx", "-o", "again.nsm", "--names"]) == 0
    assert main(["export", "again.nsm", "--to", "onnx", "-o", "again.onnx"]) == 0
    first, second = (
        {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(name).graph.initializer}
        for name in ("model.onnx", "again.onnx")
    )
    weights = sorted((value.tobytes() for value in first.values() if value.dtype == np.float32), key=len)
    assert weights == sorted((value.tobytes() for value in second.values() if value.dtype == np.float32), key=len)


@pytest.fixture
def kept() -> Iterator[None]:
    """An output from before, which has to stay as it was and alone."""
    Path("model.onnx").write_bytes(b"old")
    before = set(Path().iterdir())
    yield
    assert Path("model.onnx").read_bytes() == b"old"
    assert set(Path().iterdir()) == before


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("part", ["weights", "batch"])
def test_a_file_that_computes_something_else_is_not_kept(
    part: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = to_onnx.write_onnx

    def wrong(graph: Graph, path: Path, **options: Any) -> None:
        if part == "weights":
            changed = {name: value * np.float32(1.001) for name, value in graph.constants.items()}
            right(graph.replaced(constants=changed), path, **options)
        else:
            right(graph.replaced(inputs=(Input("image", (2, 1, 8, 8)),)), path, **options)

    monkeypatch.setattr(to_onnx, "write_onnx", wrong)
    refused(["model.nsm", "--to", "onnx", "-o", "model.onnx"], "nothing was kept", capsys)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.nsm", "--to", "onnx", "-o", "model.nsm"], "--output='model.nsm' is not allowed"),
        (["missing.nsm", "--to", "onnx", "-o", "model.onnx"], "missing.nsm can't be read"),
        (["model.onnx", "--to", "onnx", "-o", "model.onnx"], "model.onnx: not an .nsm file"),
    ],
)
def test_wrong_files_are_refused_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(arguments, message, capsys)


@pytest.mark.usefixtures("kept")
def test_without_onnx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [name for name in sys.modules if name.startswith("netsurgery.graph") and "onnx" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    refused(["model.nsm", "--to", "onnx", "-o", "model.onnx"], "pip install 'netsurgery[onnx]'", capsys)


def refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", *arguments]) == 1
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("netsurgery: ")
    assert message in line
    assert not captured.out
