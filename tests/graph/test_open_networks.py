"""Transformers, U-Nets and detectors whose attributes follow open axes, from torch and from ONNX, at several sizes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

import torch.nn.functional as F  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402
from torch import nn  # noqa: E402

from netsurgery.errors import CaptureError, InputError  # noqa: E402
from netsurgery.graph.from_onnx import read_onnx  # noqa: E402
from netsurgery.graph.from_torch import read_torch  # noqa: E402
from netsurgery.graph.ir import Graph  # noqa: E402
from netsurgery.graph.to_onnx import to_onnx  # noqa: E402
from netsurgery.packed.writer import encode  # noqa: E402
from netsurgery.runtime.reference import run, run_node  # noqa: E402
from netsurgery.runtime.session import Session  # noqa: E402

WORDS, LONGEST, WIDTH = 11, 24, 16


class Decoder(nn.Module):
    """A block of a GPT: positions are counted, and the mask is a buffer that is cut, or the attention's own."""

    def __init__(self, *, fused: bool) -> None:
        super().__init__()
        self.fused = fused
        self.tokens, self.positions = nn.Embedding(WORDS, WIDTH), nn.Embedding(LONGEST, WIDTH)
        self.norm, self.qkv, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.register_buffer("seen", torch.tril(torch.ones(LONGEST, LONGEST)).view(1, 1, LONGEST, LONGEST))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        batch, time = ids.shape
        x = self.tokens(ids) + self.positions(torch.arange(0, time, dtype=torch.long))
        parts = self.qkv(self.norm(x)).split(WIDTH, dim=2)
        query, key, value = (part.view(batch, time, 4, WIDTH // 4).transpose(1, 2) for part in parts)
        if self.fused:
            y = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        else:
            weights = query @ key.transpose(-2, -1) * 0.5
            weights = weights.masked_fill(self.seen[:, :, :time, :time] == 0, float("-inf"))
            y = F.softmax(weights, dim=-1) @ value
        y = y.transpose(1, 2).contiguous().view(batch, time, WIDTH)
        return (x + self.out(y))[:, -1]


class Encoder(nn.Module):
    """A BERT: a table of positions cut to the sentence, a token in front, a layer of torch's own."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(WORDS, WIDTH), nn.Embedding(LONGEST, WIDTH)
        self.register_buffer("places", torch.arange(LONGEST).expand((1, -1)))
        self.layer = nn.TransformerEncoderLayer(WIDTH, 4, 32, batch_first=True, norm_first=True)
        self.first = nn.Parameter(torch.randn(1, 1, WIDTH))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids) + self.positions(self.places[:, : ids.shape[1]])
        return self.layer(torch.cat([self.first.expand(ids.shape[0], -1, -1), x], 1))


class UNet(nn.Module):
    """Down and up again: to the size of what is joined, or twice as large and then padded and cut."""

    def __init__(self, *, by_size: bool) -> None:
        super().__init__()
        self.by_size = by_size
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1, stride=s) for a, b, s in ((1, 4, 1), (4, 8, 2), (8, 8, 2))
        )
        self.up, self.last = nn.Conv2d(16, 4, 1), nn.Conv2d(8, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b, c = (x := F.relu(layer(x)) for layer in self.down)
        if self.by_size:
            b = self.up(torch.cat([F.interpolate(c, size=b.shape[2:]), b], 1))
            return self.last(torch.cat([F.interpolate(b, size=a.shape[2:]), a], 1))
        c = F.interpolate(c, scale_factor=2)
        down, right = b.shape[2] - c.shape[2], b.shape[3] - c.shape[3]
        c = F.pad(c, [right // 2, right - right // 2, down // 2, down - down // 2])
        b = F.interpolate(self.up(torch.cat([c, b], 1)), scale_factor=2)
        return self.last(torch.cat([b[:, :, : a.shape[2], : a.shape[3]], a], 1))


class Detector(nn.Module):
    """Three scales, each flattened, one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(nn.Conv2d(channels, 8, 3, 2, 1) for channels in (3, 8, 8))
        self.heads = nn.ModuleList(nn.Conv2d(8, 6, 1) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = []
        for down, head in zip(self.down, self.heads, strict=True):
            x = F.relu(down(x))
            found.append(head(x).flatten(2).permute(0, 2, 1))
        return torch.cat(found, 1)


def sentences(batch: int, time: int) -> torch.Tensor:
    return torch.randint(0, WORDS, (batch, time))


SENTENCE, PICTURE = {0: "batch", 1: "time"}, {0: "batch", 2: "height", 3: "width"}
NETWORKS: dict[str, tuple[Callable[[], nn.Module], dict[int, str], list[torch.Tensor]]] = {
    "decoder with a mask": (lambda: Decoder(fused=False), SENTENCE, [sentences(*s) for s in ((2, 7), (1, 1), (3, 24))]),
    "decoder": (lambda: Decoder(fused=True), SENTENCE, [sentences(*s) for s in ((2, 7), (1, 1), (3, 24))]),
    "encoder": (Encoder, SENTENCE, [sentences(*s) for s in ((2, 7), (1, 1), (3, 24))]),
    "U-Net by size": (
        lambda: UNet(by_size=True),
        PICTURE,
        [torch.randn(s) for s in ((2, 1, 20, 28), (1, 1, 21, 13), (1, 1, 47, 30))],
    ),
    "U-Net by scale": (
        lambda: UNet(by_size=False),
        PICTURE,
        [torch.randn(s) for s in ((2, 1, 20, 28), (1, 1, 21, 13), (1, 1, 47, 30))],
    ),
    "detector": (Detector, PICTURE, [torch.randn(s) for s in ((2, 3, 32, 40), (1, 3, 16, 24), (2, 3, 37, 41))]),
}


def same_everywhere(graph: Graph, given: list[Any], wanted: list[Any]) -> None:
    """Reference, engine and what is written as ONNX give that, at every size."""
    onnxruntime = pytest.importorskip("onnxruntime")
    native = Session(encode(graph), threads=1)
    written = onnxruntime.InferenceSession(to_onnx(graph).SerializeToString(), providers=["CPUExecutionProvider"])
    name = graph.inputs[0].name
    for x, y in zip(given, wanted, strict=True):
        for found in (run(graph, {name: x})[0], native(x), written.run(None, {name: x})[0]):
            np.testing.assert_allclose(found, y, rtol=3e-5, atol=3e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_torch_runs_at_any_sizes_of_its_open_axes(name: str) -> None:
    torch.manual_seed(0)
    make, axes, given = NETWORKS[name]
    model = make().eval()
    graph = read_torch(model, (given[0],), open_axes={0: axes})
    assert graph.axes == tuple(axes.values())
    with torch.no_grad():
        same_everywhere(graph, [x.numpy() for x in given], [model(x).numpy() for x in given])


def counted(rows: int = LONGEST) -> onnx.ModelProto:
    """Positions counted up to the length of the sentence and looked up, as old exporters write it."""
    nodes = [
        helper.make_node("Shape", ["ids"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["time"]),
        helper.make_node("Range", ["zero", "time", "one"], ["places"]),
        helper.make_node("Gather", ["table", "places"], ["positions"]),
        helper.make_node("Gather", ["words", "ids"], ["rows"]),
        helper.make_node("Add", ["rows", "positions"], ["x"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Mul", ["batch", "time"], ["count"]),
        helper.make_node("Unsqueeze", ["count", "axis"], ["counts"]),
        helper.make_node("Concat", ["counts", "four"], ["flat"], axis=0),
        helper.make_node("Reshape", ["x", "flat"], ["y"]),
    ]
    rng = np.random.default_rng(0)
    arrays = {
        "zero": np.int64(0),
        "one": np.int64(1),
        "axis": np.asarray([0]),
        "four": np.asarray([4]),
        "table": rng.standard_normal((rows, 4)).astype(np.float32),
        "words": rng.standard_normal((WORDS, 4)).astype(np.float32),
    }
    return model_of(nodes, arrays, "ids", TensorProto.INT64, ["batch", "time"])


def halved() -> onnx.ModelProto:
    """A picture resized to half of its size, rounded down and at least 3, by arithmetic on its shape in floats."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "two", "four", "zero"], ["size"]),
        helper.make_node("Slice", ["shape", "zero", "two", "zero"], ["front"]),
        helper.make_node("Cast", ["size"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "half"], ["halves"]),
        helper.make_node("Floor", ["halves"], ["floor"]),
        helper.make_node("Cast", ["floor"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Max", ["whole", "three"], ["larger"]),
        helper.make_node("Concat", ["front", "larger"], ["sizes"], axis=0),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], coordinate_transformation_mode="asymmetric"),
    ]
    arrays = {
        "zero": np.asarray([0]),
        "two": np.asarray([2]),
        "three": np.asarray([3]),
        "four": np.asarray([4]),
        "half": np.asarray([0.5], np.float32),
    }
    return model_of(nodes, arrays, "x", TensorProto.FLOAT, ["batch", 2, "height", "width"])


def parts() -> onnx.ModelProto:
    """The second half of a sequence behind its first, what is left of it padded with its last entry."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], start=1, end=2),
        helper.make_node("Div", ["shape", "two"], ["half"]),
        helper.make_node("Sub", ["shape", "half"], ["rest"]),
        helper.make_node("Concat", ["half", "rest"], ["lengths"], axis=0),
        helper.make_node("Split", ["x", "lengths"], ["first", "second"], axis=1),
        helper.make_node("Concat", ["second", "first"], ["joined"], axis=1),
        helper.make_node("Slice", ["joined", "minus", "far", "axis"], ["last"]),
        helper.make_node("Expand", ["last", "spread"], ["wide"]),
        helper.make_node("Concat", ["joined", "wide"], ["y"], axis=1),
    ]
    arrays = {
        "two": np.asarray([2]),
        "minus": np.asarray([-1]),
        "far": np.asarray([2**62]),
        "axis": np.asarray([1]),
        "spread": np.asarray([1, 3, 1]),
    }
    return model_of(nodes, arrays, "x", TensorProto.FLOAT, ["batch", "time", 2])


def model_of(nodes: list[Any], arrays: dict[str, Any], name: str, kind: int, shape: list[Any]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info(name, kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.asarray(array), key) for key, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def floats(*shapes: tuple[int, ...]) -> list[Any]:
    return [np.random.default_rng(1).standard_normal(shape).astype(np.float32) for shape in shapes]


MODELS: dict[str, tuple[Callable[[], Any], list[Any]]] = {
    "counted positions": (counted, [sentences(*s).numpy() for s in ((2, 7), (1, 1), (3, 24))]),
    "half a picture": (halved, floats((2, 2, 8, 9), (1, 2, 6, 40), (1, 2, 31, 7))),
    "parts of a sequence": (parts, floats((2, 7, 2), (1, 2, 2), (3, 30, 2))),
}


@pytest.mark.parametrize("name", MODELS)
def test_shape_arithmetic_of_an_onnx_model_follows_its_open_axes(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    make, given = MODELS[name]
    model = make()
    model.opset_import[0].version = 18 if name == "parts of a sequence" else 17
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    key = session.get_inputs()[0].name
    same_everywhere(read_onnx(model, run_node), given, [session.run(None, {key: x})[0] for x in given])


@pytest.mark.parametrize("rows", [4, 5, 12])
def test_a_table_of_a_few_positions_leaves_the_length_open_up_to_its_end(rows: int) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = counted(rows)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = [sentences(*shape).numpy() for shape in ((2, 1), (3, 2), (1, rows))]
    graph = read_onnx(model, run_node)
    assert graph.axes == ("batch", "time")
    same_everywhere(graph, given, [session.run(None, {"ids": x})[0] for x in given])
    with pytest.raises(InputError, match=rf"can't run at batch 2, time {rows + 1}"):
        Session(encode(graph))(sentences(2, rows + 1).numpy())


def test_an_onnx_comparison_that_some_sizes_decide_otherwise_is_refused() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["time"], start=1, end=2),
        helper.make_node("Equal", ["time", "five"], ["is_five"]),
        helper.make_node("Where", ["is_five", "one", "time"], ["length"]),
        helper.make_node("Slice", ["x", "zero", "length", "one"], ["y"]),
    ]
    arrays = {"five": np.asarray([5]), "one": np.asarray([1]), "zero": np.asarray([0])}
    model = model_of(nodes, arrays, "x", TensorProto.FLOAT, [2, "time"])
    with pytest.raises(CaptureError, match="compares time with 5, which come out differently at different sizes"):
        read_onnx(model, run_node)


@pytest.mark.parametrize("name", ["decoder with a mask", "U-Net by size", "detector"])
def test_what_torchs_old_exporter_writes_runs_at_any_sizes(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    make, axes, given = NETWORKS[name]
    model, path = make().eval(), tmp_path / "model.onnx"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that it is old
        torch.onnx.export(
            model, (given[0],), path, dynamo=False, input_names=["x"], dynamic_axes={"x": axes}, opset_version=17
        )
        wanted = [model(x).numpy() for x in given]
    same_everywhere(read_onnx(path, run_node), [x.numpy() for x in given], wanted)
