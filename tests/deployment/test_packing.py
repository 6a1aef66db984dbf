"""What `pack` writes computes what the model computes; whatever goes wrong, nothing half done is left."""

from __future__ import annotations

import copy
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.deployment import packing
from netsurgery.errors import (
    CaptureError,
    DataError,
    InputError,
    NonFiniteWeightsError,
    PackedFileError,
    SettingError,
    UnsupportedOperatorError,
    VerificationError,
)
from netsurgery.graph.ir import Graph, GraphBuilder
from netsurgery.packed.writer import encode
from netsurgery.runtime.session import Session
from netsurgery.zoo.lenet import LeNet5, LeNet300

# Sums of at most 800 products in another order, through four layers: sqrt(800) * eps each, if roundings are random.
TOLERANCE = 4 * 28 * float(np.finfo(np.float32).eps)


class Residual(nn.Module):
    """Two convolutions with batch norm and a shortcut, a pool and a classifier: (n, 3, 8, 8) -> (n, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.classify = nn.Linear(8, 5)
        for norm in (self.norm1, self.norm2):
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)

    def forward(self, images: Tensor) -> Tensor:
        first = F.relu(self.norm1(self.conv1(images)))
        second = F.relu(first + self.norm2(self.conv2(first)))
        return self.classify(second.mean((2, 3)))


class Tied(nn.Module):
    """One matrix, read by two layers as it is and by a third one transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(12, 12))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.linear(F.relu(F.linear(x, self.weight)), self.weight))
        return F.linear(x, self.weight.t())


def pruned(model: nn.Module, density: float) -> nn.Module:
    """The model with the smallest weights of each tensor cut, biases kept."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                cut = max(1, round((1 - density) * parameter.numel()))
                parameter.mul_(parameter.abs() > parameter.abs().flatten().kthvalue(cut).values)
    return model


def images(count: int, *shape: int) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(count))


def small() -> nn.Module:
    torch.manual_seed(0)
    return pruned(nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 5)), 0.3)


def outputs_of(model: nn.Module, inputs: Tensor) -> np.ndarray:
    with torch.no_grad():
        return copy.deepcopy(model).eval()(inputs).numpy()


def assert_same(given: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(given, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "lenet5": (LeNet5, (1, 28, 28)),
    "lenet300": (LeNet300, (1, 28, 28)),
    "residual": (Residual, (3, 8, 8)),
    "tied": (Tied, (12,)),
}


@pytest.mark.parametrize("density", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("name", MODELS)
def test_a_packed_network_computes_what_the_model_computes_at_any_batch_size(
    name: str, density: float, tmp_path: Path
) -> None:
    build, shape = MODELS[name]
    torch.manual_seed(1)
    model = pruned(build(), density)
    report = ns.pack(model, tmp_path / "model.nsm", example_inputs=images(3, *shape))
    session = ns.load(tmp_path / "model.nsm")
    for batch in (1, 2, 7):
        assert_same(session(images(batch, *shape).numpy()), outputs_of(model, images(batch, *shape)))
    assert report.size_bytes == (tmp_path / "model.nsm").stat().st_size
    assert report.dense_bytes == 4 * sum(parameter.numel() for parameter in model.parameters())
    assert 0 <= report.difference < TOLERANCE


def test_a_pruned_network_takes_little_more_than_its_connections(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = pruned(LeNet300(), 0.02)
    report = ns.pack(model, tmp_path / "model.nsm", example_inputs=images(2, 1, 28, 28))
    kept = sum(int(parameter.count_nonzero()) for parameter in model.parameters())
    assert report.connections <= kept
    # A place among 50 takes 50 H(0.02) = 7.1 bits, a random float32 at most 32; a twentieth on top for learning.
    assert 8 * report.size_bytes < 1.05 * (7.1 + 32) * kept
    assert str(report.path) in str(report)
    assert f"{report.size_bytes:,} bytes" in str(report)
    assert f"{report.dense_bytes / report.size_bytes:,.1f}x" in str(report)


def test_a_shared_matrix_is_counted_once_and_written_once_for_each_way_it_is_read(tmp_path: Path) -> None:
    report = ns.pack(Tied(), tmp_path / "model.nsm", example_inputs=images(2, 12))
    assert report.dense_bytes == 4 * 144
    assert len(ns.load(tmp_path / "model.nsm").graph.constants) == 2
    assert report.connections == 2 * 144


class Twice(nn.Module):
    """Two layers that own one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.relu(self.first(x)))


def test_a_tied_matrix_is_counted_once_whatever_the_model_comes_as(tmp_path: Path) -> None:
    model, inputs = Twice().eval(), images(2, 6)
    program = torch.export.export(model, (inputs,))
    torch.export.save(program, tmp_path / "model.pt2")
    for source in (model, program, tmp_path / "model.pt2"):
        assert ns.pack(source, tmp_path / "model.nsm", example_inputs=inputs).dense_bytes == 4 * 36


@pytest.mark.parametrize(("dynamic", "batch"), [(None, 2), (({0: torch.export.Dim("N")},), None)])
def test_the_report_says_whether_the_batch_is_fixed(dynamic: Any, batch: int | None, tmp_path: Path) -> None:
    program = torch.export.export(small().eval(), (images(2, 20),), dynamic_shapes=dynamic)
    assert ns.pack(program, tmp_path / "model.nsm").batch == batch
    assert ns.load(tmp_path / "model.nsm").inputs[0].shape == (batch or "batch", 20)


def test_a_file_that_is_larger_than_its_model_is_not_called_smaller(tmp_path: Path) -> None:
    report = ns.pack(nn.Linear(1, 1), tmp_path / "model.nsm", example_inputs=images(2, 1))
    assert f"{report.size_bytes / 8:.1f}x larger than 8 bytes of float32" in str(report)
    report = ns.pack(nn.ReLU(), tmp_path / "model.nsm", example_inputs=images(2, 1))
    assert str(report).splitlines()[0].endswith(f"model.nsm: {report.size_bytes} bytes; 0 connections")


@pytest.mark.parametrize("kind", ["onnx", "onnx proto", "pt2", "program"])
def test_every_kind_of_source_gives_the_same_network(kind: str, tmp_path: Path) -> None:
    model, inputs = small(), images(4, 20)
    source: Any = tmp_path / f"model.{kind}"
    if kind.startswith("onnx"):
        onnx = pytest.importorskip("onnx")
        from netsurgery.graph.from_torch import read_torch
        from netsurgery.graph.to_onnx import write_onnx

        write_onnx(read_torch(model, (inputs,)), tmp_path / "model.onnx")
        source = tmp_path / "model.onnx" if kind == "onnx" else onnx.load(tmp_path / "model.onnx")
    else:
        batch = torch.export.Dim("batch")
        source = torch.export.export(model.eval(), (inputs,), dynamic_shapes=({0: batch},))
        if kind == "pt2":
            torch.export.save(source, tmp_path / "model.pt2")
            source = str(tmp_path / "model.pt2")
    report = ns.pack(source, tmp_path / "model.nsm")
    other = ns.pack(model, tmp_path / "module.nsm", example_inputs=inputs)
    assert (tmp_path / "model.nsm").read_bytes() == (tmp_path / "module.nsm").read_bytes()
    assert report.dense_bytes == other.dense_bytes
    assert_same(ns.load(tmp_path / "model.nsm")(images(3, 20).numpy()), outputs_of(model, images(3, 20)))


def test_a_graph_is_packed_as_it_is(tmp_path: Path) -> None:
    builder = GraphBuilder()
    weight = builder.constant([[1.0, 0.0, -2.0], [0.5, 0.25, 0.0]])
    graph = builder.graph([builder.node("Linear", [builder.input("x", ("batch", 3)), weight])])
    report = ns.pack(graph, tmp_path / "graph.nsm")
    assert (report.connections, report.dense_bytes, report.difference) == (4, 24, 0.0)
    np.testing.assert_array_equal(ns.load(tmp_path / "graph.nsm")([[1, 2, 3]]), [[-5.0, 1.0]])


def test_a_weight_that_a_graph_holds_twice_is_counted_and_written_once(tmp_path: Path) -> None:
    builder = GraphBuilder()
    value = builder.input("x", ("batch", 3))
    for _ in range(2):
        value = builder.node("Relu", [builder.node("Linear", [value, builder.constant(np.eye(3) + 1)])])
    report = ns.pack(builder.graph([value]), tmp_path / "graph.nsm")
    assert (report.connections, report.dense_bytes) == (9, 36)


def test_the_model_stays_as_it_was(tmp_path: Path) -> None:
    model = Residual()
    model.norm1.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    flags = [module.training for module in model.modules()]
    ns.pack(model, tmp_path / "model.nsm", example_inputs=images(2, 3, 8, 8), weights="bfloat16")
    assert [module.training for module in model.modules()] == flags
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("name", ["lenet300", "residual"])
def test_rounded_weights_are_round_and_the_file_is_smaller(name: str, tmp_path: Path) -> None:
    build, shape = MODELS[name]
    torch.manual_seed(2)
    model, sizes = build(), {}
    for weights, lowest_bit, most in (("exact", 0, 0.0), ("float16", 13, 2.0**-11), ("bfloat16", 16, 2.0**-8)):
        path = tmp_path / f"{weights}.nsm"
        report = ns.pack(model, path, example_inputs=images(2, *shape), weights=weights)
        sizes[weights] = report.size_bytes
        session = ns.load(path)
        for constant in session.graph.constants.values():
            values = constant.values
            normal = values[np.abs(values) >= 2.0**-14]  # below, float16 has fewer bits
            assert not (normal.view(np.uint32) & np.uint32((1 << lowest_bit) - 1)).any()
        if weights == "exact":
            assert report.rounding_difference is None
        else:
            examples = images(2, *shape)
            expected = outputs_of(model, examples)
            moved = np.abs(session(examples.numpy()) - expected).max() / np.abs(expected).max()
            assert report.rounding_difference == pytest.approx(moved, abs=TOLERANCE)
            assert moved > 10 * TOLERANCE
        expected = outputs_of(model, images(5, *shape))
        # Each weight is off by one part in 2^11 or 2^8 at most; four times that for what layers make of it.
        assert (
            np.abs(session(images(5, *shape).numpy()) - expected).max()
            <= (4 * most + TOLERANCE) * np.abs(expected).max()
        )
    assert sizes["float16"] < 0.6 * sizes["exact"]
    assert sizes["bfloat16"] < 0.45 * sizes["exact"]


def test_a_weight_beyond_float16_is_refused_with_advice(tmp_path: Path) -> None:
    model = small()
    with torch.no_grad():
        model[0].weight[0, 0] = 1e6
    with pytest.raises(SettingError, match=r"1e\+06, float16 ends at 65504: round to bfloat16"):
        ns.pack(model, tmp_path / "model.nsm", example_inputs=images(2, 20), weights="float16")
    assert not list(tmp_path.iterdir())


def test_names_are_kept_on_request_and_cost_bytes(tmp_path: Path) -> None:
    model, inputs = small(), images(2, 20)
    plain = ns.pack(model, tmp_path / "plain.nsm", example_inputs=inputs)
    named = ns.pack(model, tmp_path / "named.nsm", example_inputs=inputs, names=True)
    assert named.size_bytes > plain.size_bytes
    assert set(ns.load(tmp_path / "named.nsm").graph.constants) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert "linear_1.weight" in ns.load(tmp_path / "plain.nsm").graph.constants


def test_another_process_with_another_hash_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    code = (
        "import sys, torch, netsurgery\n"
        "torch.set_num_threads(1); torch.manual_seed(0)\n"
        "conv, norm = torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4)\n"
        "model = torch.nn.Sequential(conv, norm, torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5))\n"
        "netsurgery.pack(model, path, example_inputs=torch.randn(2, 1, 8, 8), names=True)\n"
    )
    here, there = tmp_path / "here.nsm", tmp_path / "there.nsm"
    exec(code, {"path": here})  # noqa: S102
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, "-c", f"path = {str(there)!r}\n{code}"], check=True, env=environment)
    assert here.read_bytes() == there.read_bytes()


def test_packing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        ns.pack(small(), tmp_path / name, example_inputs=images(2, 20))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """A file that was there before; it has to be there afterwards, unchanged and alone."""
    path = tmp_path / "model.nsm"
    path.write_bytes(b"what was here before")
    yield path
    assert path.read_bytes() == b"what was here before"
    assert list(tmp_path.iterdir()) == [path]


def another_weight(graph: Graph) -> bytes:
    """A file that is whole and of the same structure, with one weight of another value."""
    name, value = next(iter(graph.constants.items()))
    changed = value.values.copy()
    changed.reshape(-1)[int(np.flatnonzero(changed)[0])] *= 1.5
    return encode(graph.replaced(constants={**graph.constants, name: changed}))


def another_operator(graph: Graph) -> bytes:
    """A file with the same weights that computes something else."""
    builder = GraphBuilder()
    value = builder.input("x", graph.inputs[0].shape)
    held = {name: builder.constant(constant, name) for name, constant in graph.constants.items()}
    for node in graph.nodes:
        operator = "Tanh" if node.operator == "Relu" else node.operator
        value = builder.node(operator, [value, *(held[name] for name in node.given[1:])])
    return encode(builder.graph([value]))


def damaged(graph: Graph) -> bytes:
    content = encode(graph)
    return content[:-3] + bytes([content[-3] ^ 16]) + content[-2:]


@pytest.mark.parametrize(
    ("corrupt", "error", "message"),
    [
        (another_weight, VerificationError, "could not be read back as it was written; nothing was kept"),
        (another_operator, VerificationError, "the structure could not be read back"),
        (damaged, PackedFileError, "damaged or truncated"),
    ],
)
def test_a_file_that_is_not_the_network_is_not_kept(
    corrupt: Callable[..., bytes],
    error: type[Exception],
    message: str,
    kept: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packing, "encode_to", lambda file, graph, **_: file.write(corrupt(graph)))
    with pytest.raises(error, match=message):
        ns.pack(small(), kept, example_inputs=images(2, 20))


@pytest.mark.parametrize(("weights", "wrong_run"), [("exact", 1), ("bfloat16", 1), ("bfloat16", 2)])
def test_a_pass_that_changes_the_network_is_found(
    weights: Any, wrong_run: int, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = itertools.count(1)

    def wrong(graph: Graph, _: Any) -> Graph:
        factor = np.float32(1.001 if next(runs) == wrong_run else 1.0)
        return graph.replaced(constants={name: factor * value for name, value in graph.constants.items()})

    monkeypatch.setattr(packing, "simplify", wrong)
    with pytest.raises(VerificationError, match=r"outputs differ from those of torch \d\S+ by"):
        ns.pack(small(), kept, example_inputs=images(2, 20), weights=weights)


def test_a_model_that_is_not_the_same_twice_is_refused(kept: Path) -> None:
    calls = itertools.count(1)

    class Drifting(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * next(calls)

    with pytest.raises(VerificationError, match="Does the model give the same outputs twice in eval mode"):
        ns.pack(Drifting(20, 3), kept, example_inputs=images(2, 20))


@pytest.mark.parametrize(("value", "what"), [(float("nan"), "NaN"), (float("inf"), "infinity")])
@pytest.mark.parametrize("weights", ["exact", "bfloat16"])
def test_weights_that_are_not_finite_are_refused_by_name(value: float, what: str, weights: Any, kept: Path) -> None:
    model = small()
    with torch.no_grad():
        model[2].weight[0, 0] = value
    with pytest.raises(NonFiniteWeightsError, match=rf"2\.weight holds {what}; only finite weights"):
        ns.pack(model, kept, example_inputs=images(2, 20), weights=weights)


def test_a_unit_that_would_be_left_out_has_to_be_finite_too(kept: Path) -> None:
    model = small()
    with torch.no_grad():
        model[0].weight[3, 0] = float("nan")
        model[2].weight[:, 3] = 0
    with pytest.raises(NonFiniteWeightsError, match=r"^0\.weight holds NaN; only finite weights"):
        ns.pack(model, kept, example_inputs=images(2, 20))


def test_a_target_that_can_not_be_written_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "capture", lambda *_: pytest.fail("captured"))
    with pytest.raises(IsADirectoryError, match=f"'{tmp_path}'"):
        ns.pack(small(), tmp_path, example_inputs=images(2, 20))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["capture", "simplify", "encode_to", "PackedReader", "compared"])
def test_an_interruption_leaves_nothing(place: str, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(packing, place, interrupted)
    with pytest.raises(KeyboardInterrupt):
        ns.pack(small(), kept, example_inputs=images(2, 20))


def test_an_operator_that_is_missing_is_named(kept: Path) -> None:
    class Sorted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.erfinv(x)

    with pytest.raises(UnsupportedOperatorError, match="erfinv"):
        ns.pack(Sorted(), kept, example_inputs=images(2, 20))


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (lambda x: x, CaptureError, "a function can't be captured; give a torch.nn.Module"),
        (torch.zeros(3), CaptureError, "a Tensor can't be captured"),
        (None, CaptureError, "a NoneType can't be captured"),
        ({"weight": 1}, CaptureError, "a dict can't be captured"),
        ("model.txt", CaptureError, "model.txt: an .onnx or a .pt2 file is needed"),
        ("model.nsm", CaptureError, "model.nsm: a network that is already packed; give the .onnx or .pt2 file"),
        (Path("model"), CaptureError, "model: an .onnx or a .pt2 file is needed"),
        ("missing.onnx", CaptureError, "missing.onnx: there is no such file"),
        ("missing.pt2", DataError, "missing.pt2 doesn't exist"),
        (nn.Linear(2, 2), CaptureError, "example_inputs is missing"),
    ],
)
def test_what_can_not_be_captured_is_refused_with_advice(
    model: Any, error: type[Exception], message: str, kept: Path
) -> None:
    with pytest.raises(error, match=message):
        ns.pack(model, kept)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (["text"], InputError, "tensors or arrays of real numbers are needed"),
        ({"x": 1}, InputError, "example_inputs are called .x.; forward takes, .* .input."),
        ([], CaptureError, "a tuple of one tensor for each input"),
        (torch.full((2, 20), float("nan")), InputError, "only be compared on finite numbers"),
        (torch.full((2, 20), float("inf")), InputError, "only be compared on finite numbers"),
    ],
)
def test_examples_of_no_use_are_refused(inputs: Any, error: type[Exception], message: str, kept: Path) -> None:
    with pytest.raises(error, match=message):
        ns.pack(small(), kept, example_inputs=inputs)


@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
def test_a_layer_of_complex_weights_is_refused_with_what_is_supported(kept: Path) -> None:
    with pytest.raises(UnsupportedOperatorError, match=r"computes with complex numbers; transforms, products, sums"):
        ns.pack(small().to(torch.complex64), kept, example_inputs=images(2, 20))


@pytest.mark.parametrize("weights", ["float32", "int8", "", None])
def test_weights_of_an_unknown_kind_are_refused(weights: Any, kept: Path) -> None:
    with pytest.raises(SettingError, match="weights must be 'exact', 'float16' or 'bfloat16'"):
        ns.pack(small(), kept, example_inputs=images(2, 20), weights=weights)


def test_examples_that_do_not_fit_the_graph_are_refused(kept: Path) -> None:
    builder = GraphBuilder()
    graph = builder.graph([builder.node("Relu", [builder.input("x", ("batch", 3))])])
    with pytest.raises(InputError, match=r"example_inputs have shapes \[\(2, 4\)\]; the model takes"):
        ns.pack(graph, kept, example_inputs=np.zeros((2, 4)))


def test_causal_attention_packs(tmp_path: Path) -> None:
    class Causal(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)

    x = images(2, 5, 8)
    ns.pack(Causal(), tmp_path / "causal.nsm", example_inputs=x)
    expected = Causal()(torch.as_tensor(x)).numpy()
    np.testing.assert_allclose(ns.load(tmp_path / "causal.nsm")(np.asarray(x)), expected, rtol=1e-5, atol=1e-6)


def test_the_engine_that_will_run_a_file_has_its_say(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the engine alone: the reference, with which graphs are computed otherwise, sees nothing."""

    class Faulty:
        def __init__(self, content: bytes) -> None:
            self._session = Session(content)

        def __call__(self, *arrays: np.ndarray) -> np.ndarray:
            outputs = self._session(*arrays).copy()
            outputs[0, 0] += 1
            return outputs

    monkeypatch.setattr(packing, "Session", Faulty)
    with pytest.raises(VerificationError, match=r"the engine's outputs differ .* fault of netsurgery"):
        ns.pack(small(), kept, example_inputs=images(2, 20))


def test_the_structure_that_is_read_back_is_compared(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants alone don't tell: here an activation has become another one."""
    graph = packing.PackedReader.graph

    def other(reader: Any, constants: Any) -> Graph:
        read = graph(reader, constants)
        nodes = tuple(replace(node, operator="Tanh") if node.operator == "Relu" else node for node in read.nodes)
        return read.replaced(nodes=nodes)

    monkeypatch.setattr(packing.PackedReader, "graph", other)
    with pytest.raises(VerificationError, match="structure could not be read back"):
        ns.pack(small(), kept, example_inputs=images(2, 20))


class Cancelling(nn.Module):
    """What is left of equal numbers, each summed in another order: nothing but rounding."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Linear(64, 64, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        halves = F.linear(x[:, :32], self.weight.weight[:, :32]) + F.linear(x[:, 32:], self.weight.weight[:, 32:])
        return torch.relu(self.weight(x) - halves)


def test_outputs_that_are_rounding_noise_are_measured_beside_what_rounding_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    report = ns.pack(Cancelling(), tmp_path / "m.nsm", example_inputs=images(4, 64))
    assert 2e-4 < report.difference < report.tolerance
    assert "Rounding alone moves them far on these inputs" in str(report)


@pytest.mark.parametrize("kernel", [(1, 2, 2), (1, 3, 3)])
def test_pools_over_three_axes_run_as_the_model_does(kernel: tuple[int, int, int], tmp_path: Path) -> None:
    """A kernel of one along the first axis, and strides of more: the engine once took planes for their neighbours."""
    x = torch.arange(216.0).reshape(1, 1, 6, 6, 6)
    model = nn.MaxPool3d(kernel, 2)
    ns.pack(model, tmp_path / "m.nsm", example_inputs=x)
    assert np.array_equal(ns.load(tmp_path / "m.nsm")(x.numpy()), model(x).numpy())


class FixedBatch(nn.Module):
    """Takes the batch that it was exported with alone."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(4, 20) * 2


def test_a_batch_that_is_fixed_is_said(tmp_path: Path) -> None:
    assert "takes batches of 4 only" in str(ns.pack(FixedBatch(), tmp_path / "m.nsm", example_inputs=images(4, 20)))
    assert "batches" not in str(ns.pack(small(), tmp_path / "m.nsm", example_inputs=images(4, 20)))


@pytest.mark.parametrize(
    ("model", "place"),
    [(FixedBatch(), "FixedBatch"), (nn.Sequential(nn.Linear(20, 20), nn.Sequential(FixedBatch())), "1.0 (FixedBatch)")],
)
def test_what_fixes_a_batch_is_named(model: nn.Module, place: str, tmp_path: Path) -> None:
    report = ns.pack(model, tmp_path / "m.nsm", example_inputs=images(4, 20))
    assert report.fixed == (f"The batch is fixed at 4 by {place}.",)
    assert report.fixed[0] in str(report)
    assert not ns.pack(model, tmp_path / "m.nsm", example_inputs=images(4, 20), open_axes={}).fixed
    assert not ns.pack(small(), tmp_path / "m.nsm", example_inputs=images(4, 20)).fixed


@pytest.mark.parametrize(
    ("model", "inputs", "error", "message"),
    [
        (nn.Linear(4, 4), torch.ones(2, 4, dtype=torch.int64), CaptureError, "int32 or int64 stay whole numbers"),
        (nn.Linear(4, 4), [torch.randn(4), torch.randn(4)], CaptureError, "each entry is one input of the model, not"),
        (nn.Linear(4, 4), torch.randn(2, 4, device="meta"), InputError, "meta device, which has no numbers"),
    ],
)
def test_examples_that_a_model_can_not_take_are_refused_with_what_is_wrong(
    model: nn.Module, inputs: Any, error: type[Exception], message: str, kept: Path
) -> None:
    with pytest.raises(error, match=message):
        ns.pack(model, kept, example_inputs=inputs)
