"""`netsurgery info`: every tensor with its price, bytes that add up, in 80 columns or as JSON, with numpy only."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netsurgery.analysis.summary import summary_of
from netsurgery.cli.main import main
from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.graph.planes import sum_of_planes
from netsurgery.graph.recognition import recognise_weights
from netsurgery.packed.writer import encode
from netsurgery.runtime.session import read_packed

POWERS = np.array([0.0, 0.5, -0.25, 2.0])


def network(weight_name: str = "weight") -> Graph:
    """A convolution with powers of two, a linear layer without any connection, one of random floats."""
    generator = np.random.default_rng(0)
    builder = GraphBuilder()
    image = builder.input("image", ("batch", 2, 6, 6))
    weight = builder.constant(generator.choice(POWERS, p=[0.7, 0.1, 0.1, 0.1], size=(4, 2, 3, 3)), weight_name)
    hidden = builder.node("Relu", [builder.node("Conv", [image, weight], "conv")])
    flat = builder.node("Reshape", [hidden], shape=(-1, 64))
    dead = builder.node("Linear", [flat, builder.constant(np.zeros((3, 64)), "dead")], "nothing")
    floats = builder.constant(generator.normal(size=(500, 64)), "floats")
    bias = builder.constant(generator.normal(size=500), "bias")
    return builder.graph([builder.node("Linear", [flat, floats, bias], "logits"), dead])


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "model.nsm"
    path.write_bytes(encode(network(), names=True))
    return path


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["info", *map(str, arguments)]) == 0
    captured = capsys.readouterr()
    assert not captured.err
    return captured.out


def test_the_table_has_a_line_for_each_tensor_and_says_what_it_costs(
    packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, packed)
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line}
    kept = int(np.count_nonzero(network().constants["weight"].values))
    assert rows["weight"][1:7] == ["4x2x3x3", "powers", "of", "two", "3", f"{100 * kept / 72:.3g}"]
    assert rows["dead"][1:5] == ["3x64", "zero", "0", "0"]
    assert float(rows["dead"][5]) < 0.2
    assert rows["dead"][6] == "-"
    assert rows["floats"][1:5] == ["500x64", "float32", ">256", "100"]
    assert 23 < float(rows["floats"][5]) < 32
    assert rows["floats"][5] == rows["floats"][6]
    assert rows["inputs"] == ["inputs", "image", "(batch,", "2,", "6,", "6)"]
    assert "logits (batch, 500), nothing (batch, 3)" in text
    assert "5: 2 Linear, 1 Conv, 1 Relu, 1 Reshape" in text
    assert f"{packed.stat().st_size:,} bytes" in text


def test_the_bytes_of_the_table_add_up_to_the_file(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, packed).splitlines()
    begin = next(index for index, line in enumerate(lines) if line.startswith("---")) + 1
    sizes = [int(line.split()[-1].replace(",", "")) for line in lines[begin:] if not line.startswith("---")]
    assert sizes[-1] == packed.stat().st_size
    assert sum(sizes[:-1]) == sizes[-1]
    summary = summary_of(read_packed(packed))
    bits = [*(tensor.bits for tensor in summary.tensors), summary.structure_bits]
    assert all(abs(size - cost / 8) < 1 for size, cost in zip(sizes[:-2], bits, strict=True))


@pytest.mark.parametrize("name", ["w", "features.stage4.block12.branch3.separable.pointwise.convolution.weight"])
def test_the_table_fits_80_columns_whatever_the_names(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.nsm").write_bytes(encode(network(name), names=True))
    text = printed(capsys, "model.nsm")
    assert max(map(len, text.splitlines())) <= 80
    assert name[-10:] in text
    assert text.isascii()
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_json_says_the_same_in_numbers_and_its_keys_are_in_the_help(
    packed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = json.loads(printed(capsys, packed, "--json"))
    graph = network()
    assert table["size_bytes"] == packed.stat().st_size
    assert table["entries"] == sum(constant.size for constant in graph.constants.values())
    assert table["float32_bytes"] == 4 * table["entries"]
    assert table["kept"] == sum(int(np.count_nonzero(constant)) for constant in graph.constants.values())
    assert table["bits_per_weight"] == pytest.approx(8 * table["size_bytes"] / table["entries"], abs=1e-4)
    assert table["inputs"] == [{"name": "image", "shape": ["batch", 2, 6, 6], "type": "float32"}]
    assert table["outputs"] == [
        {"name": "logits", "shape": ["batch", 500], "type": "float32"},
        {"name": "nothing", "shape": ["batch", 3], "type": "float32"},
    ]
    assert table["operators"] == {"Linear": 2, "Conv": 1, "Relu": 1, "Reshape": 1}
    tensors = {tensor["name"]: tensor for tensor in table["tensors"]}
    assert tensors.keys() == graph.constants.keys()
    for name, tensor in tensors.items():
        assert tuple(tensor["shape"]) == graph.constants[name].shape
        assert tensor["bits_per_weight"] == pytest.approx(tensor["bits"] / tensor["entries"], abs=1e-3)
    assert tensors["weight"]["distinct"] == 3
    assert tensors["floats"]["distinct"] is None
    assert tensors["dead"]["bits_per_connection"] is None
    # All that is not in a tensor: structure and header, and the end of the last byte.
    rest = 8 * table["size_bytes"] - sum(tensor["bits"] for tensor in tensors.values()) - table["structure_bits"]
    assert 64 - 8 < rest < 64 + 40

    with pytest.raises(SystemExit):
        main(["info", "--help"])
    told = capsys.readouterr().out
    for key in {*table, *table["inputs"][0], *table["tensors"][0]}:
        assert key in told


def test_a_fixed_batch_is_shown_as_a_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    builder = GraphBuilder()
    graph = builder.graph([builder.node("Relu", [builder.input("x", (4, 3))], "y")])
    path = tmp_path / "fixed.nsm"
    path.write_bytes(encode(graph, names=True))
    text = printed(capsys, path)
    assert "x (4, 3)" in text
    assert "y (4, 3)" in text


def test_a_network_without_weights_has_a_table_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    builder = GraphBuilder()
    value = builder.input("x", ())
    path = tmp_path / "empty.nsm"
    path.write_bytes(encode(builder.graph([value]), names=True))
    text = printed(capsys, path)
    assert "operators   none" in text
    assert "0 of 0" in text
    assert json.loads(printed(capsys, path, "--json"))["bits_per_weight"] is None


def test_a_scalar_and_a_tied_weight_are_listed_once(tmp_path: Path) -> None:
    builder = GraphBuilder()
    value, scale = builder.input("x", ("batch", 3)), builder.constant(2.0, "scale")
    graph = builder.graph([builder.node("Mul", [builder.node("Mul", [value, scale]), scale])])
    summary = summary_of(read_packed(written(graph, tmp_path)))
    (tensor,) = summary.tensors
    assert (tensor.shape, tensor.entries, tensor.kept, tensor.distinct) == ((), 1, 1, 1)


def written(graph: Graph, folder: Path) -> Path:
    path = folder / "model.nsm"
    path.write_bytes(encode(graph))
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "can't be read: No such file"),
        (b"PK\3\4", "not an .nsm file"),
        (b"NSM\1", "ends within its header"),
        (b"NSM\1abcdefgh", "damaged or truncated"),
    ],
)
def test_what_is_no_such_file_is_refused_in_one_line(
    content: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.nsm"
    if content is not None:
        path.write_bytes(content)
    assert main(["info", str(path)]) == 1
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith(f"netsurgery: {path}")
    assert message in line
    assert not captured.out


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_info_needs_numpy_only(
    options: list[str], packed: Path, deployed: Callable[..., subprocess.CompletedProcess[str]], capsys: Any
) -> None:
    code = "from netsurgery.cli.main import main\nsys.exit(main(['info', *sys.argv[1:]]))"
    done = deployed(code, packed, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed(capsys, packed, *options)


def sketched(planes: int) -> Graph:
    """A grouped convolution and a linear layer, of binary planes with scales that fall; and a layer of floats."""
    generator = np.random.default_rng(planes)

    def weight(*shape: int) -> np.ndarray:
        signs = generator.integers(0, 2, size=(planes, shape[0], int(np.prod(shape[1:]))), dtype=np.uint8)
        scales = generator.uniform(1, 2, size=(shape[0], 1)) * 0.4 ** np.arange(planes)
        return sum_of_planes(scales.astype(np.float32), signs).reshape(shape)

    builder = GraphBuilder()
    image = builder.input("image", ("batch", 6, 6, 6))
    grouped = builder.node("Conv", [image, builder.constant(weight(8, 3, 3, 3), "grouped")], groups=2)
    flat = builder.node("Reshape", [grouped], shape=(-1, 128))
    binary = builder.node("Linear", [flat, builder.constant(weight(5, 128), "binary")])
    floats = builder.constant(generator.normal(size=(3, 5)), "floats")
    return recognise_weights(builder.graph([builder.node("Linear", [binary, floats])]))


def test_layers_of_one_plane_list_their_additions_and_multiplications_before_and_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.nsm"
    path.write_bytes(encode(sketched(1), names=True))
    grouped, binary = json.loads(printed(capsys, path, "--json"))["sketched"]
    assert (grouped["name"], grouped["planes"], grouped["positions"]) == ("grouped", 1, 16)
    assert grouped["fmul_dense"] == 16 * 8 * 27
    assert grouped["fmul"] == 16 * 8
    assert grouped["fadd_dense"] == grouped["fadd_planes"] == 16 * 8 * 26
    assert grouped["fadd_tree"] < grouped["fadd_planes"]
    assert (binary["name"], binary["positions"], binary["fmul"]) == ("binary", 1, 5)
    text = printed(capsys, path)
    assert max(map(len, text.replace(str(path), path.name).splitlines())) <= 80
    row = next(line for line in text.splitlines() if line.startswith("grouped  "))
    table = [line for line in text.splitlines() if line.startswith(("grouped", "binary "))]
    assert row in table
    assert table[-1].split()[:3] == ["binary", "1", "640"]
    with pytest.raises(SystemExit):
        main(["info", "--help"])
    told = capsys.readouterr().out
    assert all(key in told for key in grouped)


@pytest.mark.parametrize("planes", [1, 2, 3])
def test_planes_are_counted_from_the_file_whatever_their_encoding(planes: int, tmp_path: Path) -> None:
    summary = summary_of(read_packed(written(sketched(planes), tmp_path)))
    layer = next(layer for layer in summary.sketched if layer.counts.dense_multiplications == 640)
    assert layer.counts.planes == planes
    assert layer.counts.plain_additions == 5 * (128 * planes - 1)


def test_a_network_without_planes_has_no_table_of_operations(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "FADD" not in printed(capsys, packed)
    assert json.loads(printed(capsys, packed, "--json"))["sketched"] == []
