"""A captured graph computes what the torch model computes, or the capture says why it can't be."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.graph.torch_models import EXAMPLES
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils import _pytree as pytree

import netsurgery as ns
from netsurgery.errors import CaptureError, DataError, GraphError, UnsupportedOperatorError
from netsurgery.graph.from_torch import read_exported, read_pt2, read_torch, torch_outputs
from netsurgery.graph.from_torch.operators import _TABLE, TRANSLATIONS
from netsurgery.graph.ir import Graph
from netsurgery.graph.operators import OPERATORS
from netsurgery.runtime.reference import run

ULP = float(np.finfo(np.float32).eps)
WEIGHT = torch.linspace(-1, 1.5, 3 * 4 * 2 * 2).reshape(3, 4, 2, 2)


class Wrap(nn.Module):
    """A function as a model."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


class SideBySide(nn.Module):
    """Functions as one model, each a module of its own: all are exported at once."""

    def __init__(self, functions: Iterable[Callable[..., Any]]) -> None:
        super().__init__()
        self.uses = nn.ModuleList(map(Wrap, functions))

    def forward(self, x: Tensor) -> list[Any]:
        return [use(x) for use in self.uses]


def outputs_of(model: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    with torch.no_grad():
        given = model.eval()(*[x.clone() for x in inputs])
    return [leaf for leaf in pytree.tree_leaves(given) if leaf is not None]


def run_graph(graph: Graph, inputs: tuple[Tensor, ...]) -> tuple[np.ndarray, ...]:
    return run(graph, {one.name: x.numpy() for one, x in zip(graph.inputs, inputs, strict=True)})


def assert_same(graph: Graph, model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """The truth is the model in float64. torch's float32 is off by `own`; other orders of sums are off about as much.

    So the graph may be off by four times that, and by four units in the last place of the largest output.
    """
    truth = outputs_of(copy.deepcopy(model).double(), tuple(x.double() for x in inputs))
    single = outputs_of(model, inputs)
    found = run_graph(graph, inputs)
    assert len(found) == len(truth)
    for exact, rounded, value in zip(truth, single, found, strict=True):
        assert value.shape == tuple(exact.shape)
        finite = exact.isfinite()
        assert np.array_equal(value[~finite.numpy()], exact[~finite].numpy(), equal_nan=True)
        own = float((rounded - exact)[finite].abs().max())
        error = float(np.abs(value - exact.numpy())[finite.numpy()].max())
        assert error <= 4 * own + 4 * ULP * float(exact[finite].abs().max())


@lru_cache
def captured(name: str) -> tuple[nn.Module, Graph]:
    """A model of the table and its graph, captured with a batch of two; not to be changed."""
    model = EXAMPLES[name].model()
    return model, read_torch(model, EXAMPLES[name].inputs(2))


def test_overloads_that_the_operator_table_names_are_that_operator() -> None:
    overloads = {
        overload: name
        for name, operator in OPERATORS.items()
        for overload in operator.torch.split()
        if len(operator.operands) == 1
    }
    packets = [overload.partition(".")[::2] for overload in overloads]
    model = SideBySide(getattr(getattr(torch.ops.aten, packet), which) for packet, which in packets)
    x = torch.linspace(-4, 4, 12).reshape(2, 6)
    graph = read_torch(model, (x,))
    assert {
        overload: [node.operator for node in graph.nodes if node.place == f"uses.{number}"]
        for number, overload in enumerate(overloads)
    } == {overload: [name] for overload, name in overloads.items()}
    assert_same(graph, model, (x,))


def operators(graph: Graph) -> list[str]:
    return [node.operator for node in graph.nodes]


@pytest.mark.parametrize("name", EXAMPLES)
def test_graph_computes_what_the_model_computes_at_every_batch_size(name: str) -> None:
    model, graph = captured(name)
    assert bool(graph.axes)
    for batch in (2, 1, 5):
        assert_same(graph, model, EXAMPLES[name].inputs(batch))


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch's own, about its own
@pytest.mark.parametrize("name", ["alexnet", "convnext", "keyword_spotter", "group_norm"])
def test_core_aten_gives_the_same_function(name: str) -> None:
    model, inputs = EXAMPLES[name].model().eval(), EXAMPLES[name].inputs(2)
    program = torch.export.export(model, inputs, dynamic_shapes=({0: torch.export.Dim("n")},))
    assert_same(read_exported(program.run_decompositions()), model, EXAMPLES[name].inputs(3))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_pt2_file_gives_the_graph_that_its_program_gives(tmp_path: Path) -> None:
    model, inputs = EXAMPLES["preactivation"].model().eval(), EXAMPLES["preactivation"].inputs(2)
    torch.export.save(torch.export.export(model, inputs), tmp_path / "model.pt2")
    graph = read_pt2(tmp_path / "model.pt2")
    assert graph.inputs[0].shape == (2, 3, 16, 16)
    assert_same(graph, model, inputs)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_models_own_outputs_stand_beside_the_graphs() -> None:
    model, graph = captured("two_inputs")
    inputs = EXAMPLES["two_inputs"].inputs(2)
    arrays = [x.numpy() for x in inputs]
    flags = [module.training for module in model.train().modules()]
    expected = [value.numpy() for value in outputs_of(copy.deepcopy(model), inputs)]
    program = torch.export.export(copy.deepcopy(model).eval(), inputs).module()
    for source in (model, program):
        found = torch_outputs(source, arrays)[0]
        assert len(found) == len(graph.outputs) == 2
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert [module.training for module in model.modules()] == flags


@pytest.mark.parametrize("content", [None, b"no such thing"])
def test_a_pt2_file_that_torch_cannot_load_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.pt2"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"model\.pt2"):
        read_pt2(path)


# Each entry: what it does to (N, 4, 6, 8), and the operators that it becomes.
USES: dict[str, tuple[Callable[[Tensor], Any], list[str]]] = {
    "max pool, ceil": (lambda x: F.max_pool2d(x, 3, 2, 1, dilation=2, ceil_mode=True), ["MaxPool"]),
    "average pool, ceil": (lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), ["AveragePool"]),
    "average pool, no padding counted": (
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        ["AveragePool"],
    ),
    "adaptive": (lambda x: F.adaptive_avg_pool2d(x, (4, None)), ["AdaptiveAveragePool"]),
    "adaptive max": (lambda x: F.adaptive_max_pool2d(x, (4, 3)), ["AdaptiveMaxPool"]),
    "same padding, even kernel": (lambda x: F.conv2d(x, WEIGHT, padding="same", dilation=(1, 3)), ["Conv"]),
    "valid padding": (lambda x: F.conv2d(x, WEIGHT, padding="valid", stride=(2, 1)), ["Conv"]),
    "clamps": (lambda x: (x.clamp(max=0.5), x.clamp(-0.1, 0.3), F.hardtanh(x, -0.5, 1), x.clamp_min(0)), ["Clip"] * 4),
    "leaky": (lambda x: F.leaky_relu(x, 0.3), ["LeakyRelu"]),
    "a slope for each channel": (
        lambda x: F.prelu(x, torch.linspace(0.1, 0.4, 4)),
        ["PRelu"],
    ),
    "one slope": (lambda x: F.prelu(x, torch.tensor([0.2])), ["LeakyRelu"]),
    "gelu by tanh": (lambda x: F.gelu(x, approximate="tanh"), ["Gelu"]),
    "softmax over channels": (lambda x: x.softmax(-3), ["Softmax"]),
    "numbers": (lambda x: 2 - x, ["Sub"]),
    "rsub with alpha": (lambda x: torch.rsub(x, 2.0, alpha=3), ["Mul", "Sub"]),
    "add with alpha": (lambda x: torch.add(x, x[:, :1], alpha=2), ["Slice", "Mul", "Add"]),
    "minus": (lambda x: -x, ["Mul"]),
    "reciprocal": (lambda x: 1 / (x * x + 1), ["Mul", "Add", "Div", "Mul"]),
    "sums": (lambda x: x.sum((1, -1), keepdim=True), ["ReduceSum"]),
    "powers": (
        lambda x: (x**2, x**3, x.abs() ** 0.5, x.abs() ** 1.5, 2.0**x),
        ["Mul", "Mul", "Mul", "Abs", "Sqrt", "Abs", "Pow", "Pow"],
    ),
    "elementary functions": (
        lambda x: (
            x.exp(),
            x.sin(),
            x.atan(),
            x.erf(),
            x.expm1(),
            x.sinh(),
            x.asinh(),
            x.floor(),
            x.round(),
            x.trunc(),
        ),
        ["Exp", "Sin", "Atan", "Erf", "Expm1", "Sinh", "Asinh", "Floor", "Round", "Trunc"],
    ),
    "roots and logarithms": (
        lambda x: ((x * x + 1).rsqrt(), (x * x + 1).log2(), (x * x).log1p()),
        ["Mul", "Add", "Sqrt", "Div", "Mul", "Add", "Log", "Mul", "Mul", "Log1p"],
    ),
    "activations": (
        lambda x: (F.elu(x, 0.5), F.selu(x), F.celu(x, 2.0), F.mish(x), F.softplus(x)),
        ["Elu", "Elu", "Elu", "Mish", "Softplus"],
    ),
    "softplus with beta and its kin": (
        lambda x: (F.softplus(x, 2.0), F.logsigmoid(x), F.threshold(x, 0.1, 0.0)),
        ["Mul", "Softplus", "Div", "Mul", "Softplus", "Mul", "ThresholdedRelu"],
    ),
    "extremes and remainders": (
        lambda x: (x.maximum(x[:, :1]), x.minimum(x[:, :1]), torch.fmod(x, 0.7), torch.remainder(x, 0.7)),
        ["Slice", "Max", "Slice", "Min", "Fmod", "Remainder"],
    ),
    "reductions": (
        lambda x: (x.amax((2, 3)), x.amin(1), x.prod(1), x.max(2).values, x.norm(dim=(1, 2)), x.norm(1, 3)),
        ["ReduceMax", "ReduceMin", "ReduceProd", "ReduceMax", "ReduceL2", "Abs", "ReduceSum"],
    ),
    "log of a sum of powers": (
        lambda x: x.logsumexp((1, 3)),
        ["ReduceMax", "Clip", "Sub", "Exp", "ReduceSum", "Log", "Add", "ReduceMax"],
    ),
    "variance": (
        lambda x: (x.var(1), x.std((2, 3), correction=0)),
        ["Mean", "Sub", "Mul", "ReduceSum", "Div", "Mean", "Sub", "Mul", "Mean", "Sqrt"],
    ),
    "root mean square": (lambda x: F.rms_norm(x, (8,), torch.linspace(0.5, 1.5, 8)), ["RmsNorm"]),
    "gated linear unit": (lambda x: F.glu(x, 1), ["Slice", "Slice", "Sigmoid", "Mul"]),
    "slices": (lambda x: x[:, 1:-1:2, ..., -3:], ["Slice", "Slice"]),
    "no slice": (lambda x: x[:, :, 0:] * 1.5, ["Mul"]),
    "select": (lambda x: x[:, -1], ["Slice", "Reshape"]),
    "unbind": (lambda x: x.unbind(1)[2], ["Slice", "Reshape"]),
    "uneven split": (lambda x: x.split(3, 1)[1], ["Slice"]),
    "split sizes": (lambda x: x.split([1, 2, 1], 1)[1:], ["Slice", "Slice"]),
    "stack": (lambda x: torch.stack([x, x * 2], 2), ["Mul", "Reshape", "Reshape", "Concat"]),
    "squeeze": (lambda x: x.mean(1, keepdim=True).squeeze(1).unsqueeze(-1), ["Mean", "Reshape", "Reshape"]),
    "transposes": (lambda x: x.transpose(-1, 1).permute(0, 2, 3, 1), ["Transpose", "Transpose"]),
    "expand": (lambda x: x.mean((2, 3), keepdim=True).expand_as(x), ["Mean", "Expand"]),
    "no expand": (lambda x: x.expand(-1, 4, -1, 8) + 1, ["Add"]),
    "copies": (lambda x: x.clone().detach().contiguous().to(torch.float32).float() + 1, ["Add"]),
    "pad": (lambda x: F.pad(x, (1, 2, 0, 3), value=0.5), ["Pad"]),
    "pad, cutting": (lambda x: F.pad(x, (-1, 2, 1, -2)), ["Pad"]),
    "pad, reflecting": (lambda x: F.pad(x, (3, 2, 1, 0), mode="reflect"), ["Pad"]),
    "pad, repeating": (lambda x: F.pad(x, (3, 2, 1, 0), mode="replicate"), ["Pad"]),
    "pad, around": (lambda x: F.pad(x, (3, 2, 1, 0), mode="circular"), ["Pad"]),
    "pixel shuffle": (lambda x: F.pixel_shuffle(x, 2), ["DepthToSpace"]),
    "pixel unshuffle": (lambda x: F.pixel_unshuffle(x, 2), ["SpaceToDepth"]),
    "transposed convolution": (
        lambda x: F.conv_transpose2d(x, WEIGHT.mT.reshape(4, 3, 2, 2), stride=2),
        ["Conv", "DepthToSpace"],
    ),
    "transposed convolution in one dimension": (
        lambda x: F.conv_transpose1d(x[:, :, 0], WEIGHT.reshape(4, 3, 4), padding=1),
        ["Slice", "Reshape", "Conv"],
    ),
    "linear interpolation": (
        lambda x: F.interpolate(x[:, :, 0], 13, mode="linear", align_corners=True),
        ["Slice", "Reshape", "Interpolate"],
    ),
    "bilinear interpolation": (lambda x: F.interpolate(x, (9, 5), mode="bilinear"), ["Interpolate"]),
    "bilinear interpolation by factors": (
        lambda x: F.interpolate(x, scale_factor=(1.7, 0.6), mode="bilinear"),
        ["Interpolate"],
    ),
    "trilinear interpolation": (
        lambda x: F.interpolate(x[:, None], (5, 9, 4), mode="trilinear"),
        ["Reshape", "Interpolate"],
    ),
    "bicubic interpolation": (lambda x: F.interpolate(x, (9, 5), mode="bicubic"), ["Interpolate"]),
    "smoothed bilinear interpolation": (
        lambda x: F.interpolate(x, (4, 3), mode="bilinear", antialias=True),
        ["Interpolate"],
    ),
    "smoothed bicubic interpolation": (
        lambda x: F.interpolate(x, (4, 3), mode="bicubic", antialias=True),
        ["Interpolate"],
    ),
    **{
        f"samples, {mode}, {padding}, {corners}": (
            lambda x, mode=mode, padding=padding, corners=corners: F.grid_sample(
                x, 1.4 * x[:, :2].permute(0, 2, 3, 1), mode=mode, padding_mode=padding, align_corners=corners
            ),
            ["Slice", "Transpose", "Mul", "GridSample"],
        )
        for mode in ("bilinear", "nearest", "bicubic")
        for padding in ("zeros", "border", "reflection")
        for corners in (False, True)
    },
    "samples of blocks": (
        lambda x: F.grid_sample(x[:, None], x[:, :, :, :3, None].permute(0, 1, 2, 4, 3), align_corners=False),
        ["Reshape", "Slice", "Reshape", "Transpose", "GridSample"],
    ),
    "positions by a matrix": (
        lambda x: F.affine_grid(x[:, :2, :3, 0], [x.shape[0], 1, 3, 5], align_corners=False),
        ["Slice", "Slice", "Slice", "Reshape", "Transpose", "Reshape", "Mul", "ReduceSum", "Reshape"],
    ),
    "positions in blocks by a matrix": (
        lambda x: F.affine_grid(x[:, :3, :4, 0], [x.shape[0], 1, 3, 5, 2], align_corners=True),
        ["Slice", "Slice", "Slice", "Reshape", "Transpose", "Reshape", "Mul", "ReduceSum", "Reshape"],
    ),
    "pool with a divisor": (lambda x: F.avg_pool2d(x, 3, 2, 1, divisor_override=4), ["AveragePool", "Mul"]),
    "channel shuffle": (lambda x: F.channel_shuffle(x, 2), ["Reshape", "Transpose", "Reshape"]),
    "product with a constant": (lambda x: x @ WEIGHT.reshape(8, -1), ["Linear"]),
    "product of values": (lambda x: x @ x.mT, ["Transpose", "MatMul"]),
    "addmm": (lambda x: torch.addmm(WEIGHT[0, 0, 0], x.mean((1, 2)), WEIGHT.reshape(8, -1)[:, :2]), ["Mean", "Linear"]),
    "causal attention": (
        lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
        ["Mul", "Transpose", "MatMul", "Add", "Softmax", "MatMul"],
    ),
    "masked attention": (
        lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=torch.eye(6, dtype=torch.bool), scale=0.3),
        ["Mul", "Transpose", "MatMul", "Add", "Softmax", "MatMul"],
    ),
    "instance norm": (F.instance_norm, ["Reshape", "LayerNorm", "Reshape"]),
    "layer norm over three axes": (lambda x: F.layer_norm(x, (4, 6, 8), eps=1e-2), ["LayerNorm"]),
    "response norm": (lambda x: F.local_response_norm(x, 3, alpha=0.5, beta=0.6, k=1.5), ["Lrn"]),
    "response norm in one dimension": (lambda x: F.local_response_norm(x[:, 0], 3, 0.5), ["Slice", "Reshape", "Lrn"]),
    "constant arithmetic": (lambda x: x * (torch.arange(8) + WEIGHT.sum()).sqrt(), ["Mul"]),
}


@lru_cache
def captured_uses() -> tuple[Graph, dict[str, list[tuple[Tensor, np.ndarray]]]]:
    """The graph, and for each use what torch gives beside what the graph gives."""
    x = torch.randn(3, 4, 6, 8, generator=torch.Generator().manual_seed(0))
    graph = read_torch(SideBySide(function for function, _ in USES.values()), (x[:2],))
    found = iter(run_graph(graph, (x,)))
    return graph, {
        what: [(value, next(found)) for value in outputs_of(Wrap(function), (x,))]
        for what, (function, _) in USES.items()
    }


@pytest.mark.parametrize("what", USES)
def test_each_use_becomes_these_operators_and_gives_the_same_values(what: str) -> None:
    graph, values = captured_uses()
    place = f"uses.{list(USES).index(what)}"
    assert bool(graph.axes)
    assert [node.operator for node in graph.nodes if node.place == place] == USES[what][1]
    for value, found in values[what]:
        assert found.shape == tuple(value.shape)
        # at most 16 roundings in a row, and products of at most 24 terms
        np.testing.assert_allclose(found, value, rtol=16 * ULP, atol=24 * ULP * float(value.abs().max()))


def test_nearest_resizing_takes_exactly_the_neighbours_that_torch_takes() -> None:
    generator = np.random.default_rng(5)
    factors = [0.5, 2.0, 3.0, 1.5, 1.7, 0.4, 1 / 3, *generator.uniform(0.4, 3.0, 3).tolist()]
    ways: list[tuple[int, dict[str, Any]]] = [
        (old, {"scale_factor": factor}) for old, factor in zip(range(9, 39, 3), factors, strict=True)
    ]
    ways += [(old, {"size": new}) for old, new in generator.integers(1, 40, (8, 2)).tolist()]
    ways += [(2, {"size": 82}), (8, {"size": 41}), (3, {"size": 123})]  # float32 rounds to other neighbours here

    def resize(x: Tensor) -> list[Tensor]:
        modes = ("nearest", "nearest-exact")
        lines = [F.interpolate(x[..., :old], mode=mode, **way) for old, way in ways for mode in modes]
        images = [F.interpolate(x.reshape(-1, 1, 5, 8), scale_factor=(1.7, 2.5), mode=mode) for mode in modes]
        return lines + images

    x = torch.arange(80.0).reshape(2, 1, 40)
    found = run_graph(read_torch(Wrap(resize), (x,)), (x,))
    for value, other in zip(resize(x), found, strict=True):
        np.testing.assert_array_equal(other, value)


def test_an_operator_that_torch_runs_in_place_leaves_the_input_alone() -> None:
    def in_place(x: Tensor) -> Tensor:
        with torch.no_grad():
            return F.relu_(x).add_(1)

    x = torch.randn(2, 3)
    before = x.clone()
    graph = read_torch(Wrap(in_place), (x,))
    assert operators(graph) == ["Relu", "Add"]
    assert torch.equal(x, before)
    assert_same(graph, Wrap(in_place), (x,))


def test_each_overload_of_the_table_exists() -> None:
    for overload in TRANSLATIONS:
        space, packet, name = overload.split(".")
        assert str(getattr(getattr(getattr(torch.ops, space), packet), name)) == overload


def test_no_overload_has_two_translations() -> None:
    own = (operator.torch for operator in OPERATORS.values())
    overloads = [name for given in (*own, *(given for _, given in _TABLE)) for name in given.split()]
    assert len(overloads) == len(set(overloads)), sorted(name for name in overloads if overloads.count(name) > 1)


def test_model_stays_as_it_was() -> None:
    model = EXAMPLES["preactivation"].model()
    model[1].eval()
    flags = [module.training for module in model.modules()]
    assert len(set(flags)) == 2
    before = copy.deepcopy(model.state_dict())
    read_torch(model, EXAMPLES["preactivation"].inputs(2))
    assert [module.training for module in model.modules()] == flags
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_training_flags_come_back_after_a_refusal() -> None:
    model = nn.Sequential(nn.Linear(3, 3), Wrap(torch.erfinv))
    model[0].eval()
    with pytest.raises(UnsupportedOperatorError):
        read_torch(model, (torch.zeros(2, 3),))
    assert [module.training for module in model.modules()] == [True, False, True]


def test_constants_are_the_models_own_memory_and_read_only() -> None:
    model = nn.Linear(4, 2)
    graph = read_torch(model, (torch.zeros(2, 4),))
    for constant in graph.constants.values():
        assert any(np.shares_memory(constant.values, parameter.detach().numpy()) for parameter in model.parameters())
        with pytest.raises(ValueError, match="read-only"):
            constant.values.reshape(-1)[0] = 1


def test_constants_have_the_parameters_names_and_nodes_their_modules() -> None:
    _, graph = captured("resnet")
    conv = next(node for node in graph.nodes if node.place == "3.conv1")
    assert (conv.operator, conv.inputs[1]) == ("Conv", "3.conv1.weight")
    assert graph.nodes[-1].inputs[1:] == ("6.weight", "6.bias")
    assert {"3.bn1.scale", "3.bn1.shift"} <= set(graph.constants)
    assert [one.name for one in graph.inputs] == ["input"]


def test_batch_norm_constants_are_computed_in_double_and_rounded_once() -> None:
    model, graph = captured("preactivation")
    norm = model[1].bn
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - norm.running_mean.double() * scale
    np.testing.assert_array_equal(graph.constants["1.bn.scale"].values.ravel(), scale.detach().float())
    np.testing.assert_array_equal(graph.constants["1.bn.shift"].values.ravel(), shift.detach().float())


def test_tied_weights_are_one_constant_also_when_used_transposed() -> None:
    _, graph = captured("autoencoder")
    encoder, again, decoder = (node.inputs[1] for node in graph.nodes if node.operator == "Linear")
    assert encoder == again == "encoder.weight"
    np.testing.assert_array_equal(graph.constants[str(decoder)].values, graph.constants["encoder.weight"].values.T)


def test_unused_parameters_are_left_out() -> None:
    model = nn.Module()
    model.used, model.unused = nn.Linear(2, 2), nn.Linear(2, 2)
    model.forward = lambda x: model.used(x)
    assert set(read_torch(model, (torch.zeros(2, 2),)).constants) == {"used.weight", "used.bias"}


def test_channels_last_weights_and_inputs_give_the_same_graph() -> None:
    model, graph = captured("mobilenet_v2")
    last = copy.deepcopy(model).to(memory_format=torch.channels_last)
    (x,) = EXAMPLES["mobilenet_v2"].inputs(2)
    other = read_torch(last, (x.to(memory_format=torch.channels_last),))
    assert operators(other) == operators(graph)
    assert all(np.array_equal(value.values, other.constants[name].values) for name, value in graph.constants.items())


def test_a_model_under_surgery_is_captured_with_its_zeros() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ns.attach(model, optimizer, ns.Surgery(density=0.25, steps=8, interval=1))
    x = torch.randn(6, 8)
    for _ in range(8):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    graph = read_torch(model, (x,))
    density = np.mean([np.mean(weight.values != 0) for _, _, weight in graph.weights()])
    assert 0 < density < 0.5
    assert_same(graph, model, (x,))


def test_weights_computed_from_parameters_are_folded_into_one_constant() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)))
    prune.l1_unstructured(layer := nn.Linear(3, 3), "weight", 0.5)
    model.append(layer)
    graph = read_torch(model, (torch.zeros(2, 4),))
    assert operators(graph) == ["Linear", "Linear"]
    assert type(layer.weight) is Tensor  # prune's own attribute, which torch.export swaps while it looks
    x = torch.randn(3, 4)
    np.testing.assert_allclose(run_graph(graph, (x,))[0], outputs_of(model, (x,))[0], rtol=16 * ULP, atol=16 * ULP)


class FixedBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x.view(4, 2, -1))


class ClassToken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(1, 1, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.token.expand(len(x), -1, -1), x], 1)


def test_a_model_that_fixes_its_batch_is_captured_at_the_examples_batch() -> None:
    graph = read_torch(FixedBatch(), (torch.zeros(4, 6),))
    assert not bool(graph.axes)
    assert graph.inputs[0].shape == (4, 6)
    assert_same(graph, FixedBatch(), (torch.randn(4, 6),))


def test_a_token_in_front_of_each_of_a_batch() -> None:
    """Whose `len(x)` would be a number."""
    graph = read_torch(ClassToken(), (torch.zeros(4, 2, 3),))
    assert graph.axes == ("batch",)
    assert_same(graph, ClassToken(), (torch.randn(5, 2, 3),))


def test_batch_stays_open_for_an_example_of_one_and_closed_when_asked() -> None:
    model = nn.Linear(3, 2)
    assert read_torch(model, (torch.zeros(1, 3),)).inputs[0].shape == ("batch", 3)
    assert read_torch(model, (torch.zeros(1, 3),), open_axes={}).inputs[0].shape == (1, 3)


def test_inputs_of_different_batches_are_taken_as_they_are() -> None:
    class Joined(nn.Module):
        def forward(self, *parts: Tensor) -> Tensor:
            return torch.cat(parts)

    graph = read_torch(Joined(), (torch.zeros(1, 3), torch.zeros(2, 3)))
    assert [one.shape for one in graph.inputs] == [(1, 3), (2, 3)]
    same = read_torch(Wrap(lambda x: x + 1), (torch.zeros(2, 3),))
    assert same.inputs[0].shape == ("batch", 3)


def test_star_arguments_share_one_open_batch() -> None:
    class Total(nn.Module):
        def forward(self, first: Tensor, *others: Tensor) -> Tensor:
            return first + others[0] - others[1]

    graph = read_torch(Total(), (torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 3)))
    assert [one.shape for one in graph.inputs] == [("batch", 3)] * 3


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x + self.calls


class DynamicFilter(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, x[:1].mean((2, 3)).reshape(1, 3, 1, 1))


def branching(x: Tensor) -> Tensor:
    return x if x.sum() > 0 else -x


X = torch.zeros(2, 3, 4, 4)
REFUSALS: dict[str, tuple[nn.Module, tuple[Any, ...], type[CaptureError], str]] = {
    "double inputs": (nn.ReLU(), (X.double(),), CaptureError, r"input 0 is torch.float64.*model.float\(\)"),
    "small whole inputs": (nn.ReLU(), (torch.ones(2, dtype=torch.int16),), CaptureError, "input 0 is torch.int16"),
    "whole inputs": (Wrap(lambda x: x.cummax(0)), (torch.ones(2, 2).long(),), CaptureError, "so far of int64; cast"),
    "no tensors": (nn.ReLU(), (3.0,), CaptureError, "input 0 is a float, not a tensor"),
    "no tuple": (nn.ReLU(), X, CaptureError, "must be a tuple"),  # type: ignore[dict-item]
    "half weights": (nn.Linear(4, 2).half(), (X,), CaptureError, r"weight is torch.float16.*model.float\(\)"),
    "bfloat16 weights": (nn.Linear(4, 2).bfloat16(), (X,), CaptureError, "weight is torch.bfloat16"),
    "bytes within": (Wrap(lambda x: x.to(torch.uint8)), (X,), CaptureError, "gives torch.uint8"),
    "memory": (Counter(), (X,), CaptureError, "changes its buffer 'calls'"),
    "wrong shapes": (nn.Linear(5, 2), (X,), CaptureError, "torch.export can't write the model down"),
    "a number returned": (Wrap(lambda x: (x + 1, 3)), (X,), CaptureError, "return tensors only"),
    "divisor": (
        Wrap(lambda x: F.avg_pool2d(x, 2, ceil_mode=True, divisor_override=3)),
        (X,),
        UnsupportedOperatorError,
        "aten.avg_pool2d.default: divisor_override",
    ),
    "dropout at all times": (Wrap(F.dropout), (X,), UnsupportedOperatorError, "pass training=self.training"),
    "indices": (nn.AdaptiveMaxPool2d(2, return_indices=True), (X,), UnsupportedOperatorError, "output 1 .* indices"),
    "computed weight": (DynamicFilter(), (X,), UnsupportedOperatorError, "weight must be a parameter"),
    "random numbers": (Wrap(lambda x: x + torch.rand(4)), (X,), UnsupportedOperatorError, r"rand.default \(random"),
    "what is found": (Wrap(lambda x: x.long().unique()), (X,), UnsupportedOperatorError, "unique.*as many .* it finds"),
    "how many": (Wrap(lambda x: x.long().flatten().bincount()), (X,), UnsupportedOperatorError, "count by one_hot"),
    "empty part": (Wrap(lambda x: x[:, :0] + 1), (X,), CaptureError, "takes a tensor without entries, of shape"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_has_no_place_in_a_graph_is_refused_by_name(what: str) -> None:
    model, inputs, kind, message = REFUSALS[what]
    with pytest.raises(kind, match=message):
        read_torch(model, inputs, open_axes={})


def test_a_branch_on_values_is_refused_with_torchs_first_sentence() -> None:
    with pytest.raises(CaptureError, match=r"Could not guard on data-dependent expression.*doesn't branch on values"):
        read_torch(Wrap(branching), (X,))


def test_torchs_pages_about_a_branch_on_values_are_left_to_the_cause(capfd: pytest.CaptureFixture[str]) -> None:
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), Wrap(branching)).eval()
    with pytest.raises(CaptureError) as refusal:
        read_torch(model, (torch.rand(2, 3, 8),))
    assert len(str(refusal.value).splitlines()) == 1
    assert "unhinted" not in str(refusal.value)
    assert refusal.value.__cause__ is not None
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_what_a_model_prints_while_it_is_read_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    def talking(x: Tensor) -> Tensor:
        sys.stderr.write("once")
        return x + 1

    read_torch(Wrap(talking), (X,), open_axes={})
    assert "once" in capsys.readouterr().err


def test_a_transformer_takes_the_mask_that_torch_makes_for_it() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.transformer = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)

        def forward(self, source: Tensor, target: Tensor) -> Tensor:
            mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
            return self.transformer(source, target, tgt_mask=mask)

    looks = nn.modules.transformer._detect_is_causal_mask
    model, inputs = Masked().eval(), (torch.rand(2, 5, 8), torch.rand(2, 4, 8))
    graph = read_torch(model, inputs)
    assert nn.modules.transformer._detect_is_causal_mask is looks
    feeds = {given.name: one.numpy() for given, one in zip(graph.inputs, inputs, strict=True)}
    np.testing.assert_allclose(run(graph, feeds)[0], model(*inputs).detach().numpy(), atol=1e-5)


def test_all_missing_operators_are_named_with_their_count_and_first_place() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.erfinv(torch.digamma(torch.erfinv(x)))

    model = nn.Sequential(nn.ReLU(), nn.Sequential(Odd(), nn.ReLU(), Odd()))
    with pytest.raises(UnsupportedOperatorError) as refusal:
        read_torch(model, (X,))
    assert "aten.erfinv.default, at 1.0 (Odd) and 3 more; aten.digamma.default, at 1.0 (Odd) and 1 more." in str(
        refusal.value
    )
    first = [("aten.erfinv.default", "1.0 (Odd)"), ("aten.digamma.default", "1.0 (Odd)")]
    assert [(one.operator, one.where) for one in refusal.value.missing[:2]] == first
    assert [one.where for one in refusal.value.missing] == ["1.0 (Odd)"] * 3 + ["1.2 (Odd)"] * 3
    assert all(one.absent for one in refusal.value.missing)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_any_axis_of_an_exported_program_may_be_open() -> None:
    height = torch.export.Dim("height", min=2, max=64)
    program = torch.export.export(Wrap(F.relu).eval(), (X,), dynamic_shapes=({2: height},))
    assert read_exported(program).inputs[0].shape == (*X.shape[:2], "axis_1", X.shape[3])
    assert read_exported(program, {(0, 2): "height"}).axes == ("height",)


class Pairs(nn.Module):
    """Every two or four entries along an axis are one, whatever they are along another."""

    def __init__(self, axis: int, count: int) -> None:
        super().__init__()
        self.axis, self.count = axis, count

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[: self.axis], -1, self.count, *x.shape[self.axis + 1 :]).mean(self.axis + 1)


class TwoWays(nn.Module):
    """Another network for an even number of steps than for an odd one."""

    def forward(self, x: Tensor) -> Tensor:
        return 2.0 * x if x.shape[1] % 2 == 0 else 3.0 * x


class Halved(nn.Module):
    """Halved a few times, and doubled and joined again."""

    def forward(self, x: Tensor) -> Tensor:
        half = F.max_pool2d(x, 2)
        half = half + F.interpolate(F.max_pool2d(half, 2), scale_factor=2.0)
        return x + F.interpolate(half, scale_factor=2.0)


@pytest.mark.parametrize(
    ("model", "shape", "axes", "steps"),
    [
        (Pairs(1, 4), (2, 8, 3), {0: "batch", 1: "time"}, {"time": 4}),
        (Pairs(0, 2), (4, 3), None, {"batch": 2}),
        (TwoWays(), (2, 8), {0: "batch", 1: "time"}, {"time": 2}),
        (Halved(), (2, 3, 8, 12), {0: "batch", 2: "height", 3: "width"}, {"height": 4, "width": 4}),
    ],
)
def test_what_holds_at_multiples_only_is_open_there(
    model: nn.Module, shape: tuple[int, ...], axes: dict[int, str] | None, steps: dict[str, int]
) -> None:
    graph = read_torch(model.eval(), (torch.zeros(shape),), open_axes=None if axes is None else {0: axes})
    assert graph.steps == steps
    for sizes in graph.tried_sizes():
        assert_same(graph, model, (torch.randn(graph.inputs[0].at(sizes)),))
    for name, step in steps.items():
        with pytest.raises(GraphError, match=f"{name} is {step + 1}: it must be a multiple of {step}"):
            graph.shapes({**graph.least, name: step + 1})


def test_a_model_that_goes_another_way_for_multiples_is_not_taken_for_what_it_is_at_others() -> None:
    with pytest.raises(CaptureError, match=r"torch wrote the model down for other sizes than batch 2, time 2"):
        read_torch(TwoWays().eval(), (torch.zeros(2, 7),), open_axes={0: {0: "batch", 1: "time"}})


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_program_keeps_the_step_of_its_dim(tmp_path: Path) -> None:
    quarter = torch.export.Dim("quarter", min=2, max=64)
    program = torch.export.export(Pairs(1, 2).eval(), (torch.zeros(1, 16, 3),), dynamic_shapes=({1: 4 * quarter},))
    torch.export.save(program, tmp_path / "pairs.pt2")
    for graph in (read_exported(program), read_pt2(tmp_path / "pairs.pt2")):
        assert graph.steps == {"axis_1": 4}
        assert graph.shapes({"axis_1": 12})[graph.outputs[0]] == (1, 6, 3)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_an_open_size_that_follows_another_one_is_refused() -> None:
    half = torch.export.Dim("half", min=2, max=64)
    program = torch.export.export(Wrap(F.relu).eval(), (X,), dynamic_shapes=({2: half + 1},))
    with pytest.raises(CaptureError, match=r"has size .* in place 2: an open size must be an axis of its own"):
        read_exported(program)
    wide = (torch.zeros(2, 3, 8, 4),)
    program = torch.export.export(Wrap(F.relu).eval(), wide, dynamic_shapes=({2: 2 * half, 3: half},))
    with pytest.raises(CaptureError, match=r"follow from each other: an open size must be an axis of its own"):
        read_exported(program)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_program_exported_while_training_is_refused_with_advice() -> None:
    program = torch.export.export(nn.BatchNorm2d(3).train(), (X,))
    with pytest.raises(CaptureError, match=r"model.eval\(\)"):
        read_exported(program)
