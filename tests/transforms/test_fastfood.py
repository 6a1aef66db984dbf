"""The transform is Hadamard's matrix, the layer is the product that the paper writes, and models with it run packed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import netsurgery as ns
from netsurgery import zoo
from netsurgery.errors import LayerNotFoundError, SettingError
from netsurgery.transforms.walsh_hadamard import walsh_hadamard

UNIT = 2.0**-24


def hadamard(size: int) -> Tensor:
    """Sylvester's matrix in float64."""
    places = torch.arange(size)
    ones = torch.tensor([[bin(int(i & j)).count("1") for j in places] for i in places])
    return 1.0 - 2.0 * (ones % 2).double()


@given(st.integers(0, 7), st.integers(1, 3), st.booleans(), st.integers(0, 2**31))
def test_the_transform_is_the_matrix_within_its_roundings(digits: int, rows: int, first: bool, seed: int) -> None:
    """A sum through `digits` stages is off by at most digits * u / (1 - digits * u) of the sum of magnitudes."""
    size = 2**digits
    x = torch.randn(rows, size, generator=torch.Generator().manual_seed(seed))
    got = walsh_hadamard(x.T, dim=0).T if first else walsh_hadamard(x)
    exact = x.double() @ hadamard(size)
    bound = digits * UNIT / (1 - digits * UNIT) * x.double().abs().sum(1, keepdim=True)
    assert ((got.double() - exact).abs() <= bound).all()


@given(st.integers(0, 10), st.integers(0, 2**31))
def test_the_transform_keeps_lengths_and_is_its_own_inverse(digits: int, seed: int) -> None:
    x = torch.randn(2, 2**digits, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    once = walsh_hadamard(x) / 2 ** (digits / 2)
    assert torch.allclose(once.norm(dim=1), x.norm(dim=1), rtol=1e-12)
    assert torch.allclose(walsh_hadamard(once) / 2 ** (digits / 2), x, rtol=1e-12, atol=1e-12)


def test_the_rows_of_the_transform_are_orthogonal() -> None:
    rows = walsh_hadamard(torch.eye(64))
    assert torch.equal(rows @ rows.T, 64 * torch.eye(64))


@pytest.mark.parametrize("shape", [(3,), (2, 0), (4, 6)])
def test_other_sizes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SettingError, match="a power of two; pad x with zeros"):
        walsh_hadamard(torch.zeros(shape))


def test_an_axis_that_there_is_not_is_refused() -> None:
    with pytest.raises(SettingError, match=r"dim=2 is not allowed: dim must be an axis of shape \(4, 4\)"):
        walsh_hadamard(torch.zeros(4, 4), dim=2)


def test_the_input_is_not_written_to() -> None:
    x = torch.ones(2, 1)
    walsh_hadamard(x).add_(1)
    assert torch.equal(x, torch.ones(2, 1))


@pytest.mark.parametrize(("inputs", "outputs"), [(5, 3), (8, 8), (6, 19), (1, 4)])
def test_gradients_are_those_of_differences(inputs: int, outputs: int) -> None:
    torch.manual_seed(0)
    layer = ns.Fastfood(inputs, outputs).double()
    x = torch.randn(2, inputs, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in layer.named_parameters()]

    def run(given: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (given,))

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))


@pytest.mark.parametrize(("inputs", "outputs"), [(5, 3), (8, 8), (6, 19)])
def test_the_layer_is_the_product_of_the_paper(inputs: int, outputs: int) -> None:
    """S H G Π H B of each block, one above the other, cut to the shape; S has the 1 / d of both transforms."""
    torch.manual_seed(1)
    layer = ns.Fastfood(inputs, outputs).double()
    size, signs = layer.size, hadamard(layer.size)
    blocks = []
    for block in range(layer.blocks):
        order = layer.permutation[block * size : (block + 1) * size] - block * size
        permuted = torch.eye(size, dtype=torch.float64)[order]
        blocks.append(signs @ torch.diag(layer.g[block]) @ permuted @ signs @ torch.diag(layer.b[block]) / size)
    expected = layer.s[:, None] * torch.cat(blocks)[:outputs, :inputs]
    assert torch.allclose(layer.matrix(), expected, rtol=1e-12)
    x = torch.randn(4, 3, inputs, dtype=torch.float64)
    assert torch.allclose(layer(x), x @ expected.T + layer.bias, rtol=1e-10)


@pytest.mark.parametrize(
    ("inputs", "outputs", "shape"), [(8, 8, (2, 1)), (1, 3, (2, 4)), (5, 3, (2, 6)), (5, 3, (2, 4)), (5, 12, ())]
)
def test_inputs_of_another_width_are_refused(inputs: int, outputs: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(SettingError, match=rf"x\.shape=\(.*\) is not allowed: x\.shape must be \(\.\.\., {inputs}\)"):
        ns.Fastfood(inputs, outputs)(torch.ones(shape))


@pytest.mark.parametrize(("inputs", "outputs"), [(5, 3), (8, 20), (1, 3)])
def test_empty_batches_give_empty_outputs(inputs: int, outputs: int) -> None:
    layer = ns.Fastfood(inputs, outputs)
    x = torch.ones(0, 2, inputs, requires_grad=True)
    layer(x).sum().backward()
    assert layer(x).shape == (0, 2, outputs)
    assert layer.s.grad is not None
    assert not layer.s.grad.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("inputs", "outputs"), [(9_216, 16_384), (4_096, 6_000)])
def test_16_bits_give_what_the_same_numbers_give_in_float32(inputs: int, outputs: int, dtype: torch.dtype) -> None:
    """AlexNet's sizes: a row of ones is 9,216 in the first transform already, and both have the factor d."""
    torch.manual_seed(0)
    layer = ns.Fastfood(inputs, outputs).to(dtype)
    x = torch.cat([torch.ones(1, inputs), 30 * torch.randn(3, inputs)]).to(dtype)
    layer.b.data.fill_(1)
    got = layer(x)
    assert got.dtype == dtype
    assert torch.equal(got, layer.float()(x.float()).to(dtype))
    assert got.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_layers_are_made_in_torchs_default_type(dtype: torch.dtype) -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        layer = ns.Fastfood(300, 600)
        assert {parameter.dtype for parameter in layer.parameters()} == {dtype}
        assert layer(torch.ones(2, 300)).dtype == dtype
        assert layer.matrix().float().square().mean().item() == pytest.approx(2 / 300, rel=0.1)
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_layer_is_exported_and_compiled_as_a_whole(dtype: torch.dtype) -> None:
    layer, x = ns.Fastfood(6, 19).to(dtype), torch.randn(4, 6).to(dtype)
    expected = layer(x)
    exported = torch.export.export(layer, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()
    assert torch.equal(exported(x), expected)
    assert exported(torch.ones(9, 6, dtype=dtype)).shape == (9, 19)
    assert torch.equal(torch.compile(layer, fullgraph=True, backend="eager")(x), expected)


def test_the_layer_begins_with_the_lengths_of_a_gaussian_matrix() -> None:
    torch.manual_seed(0)
    layer = ns.Fastfood(600, 3000)
    rows = layer.matrix()
    assert rows.square().mean().item() == pytest.approx(2 / 600, rel=0.03)
    assert rows.mean().abs() < 4 * (2 / 600 / rows.numel()) ** 0.5
    assert set(layer.b.unique().tolist()) == {-1.0, 1.0}
    assert layer.permutation.sort().values.equal(torch.arange(3 * 1024))


PUBLISHED = {1024: 38_812, 2048: 52_124}
"""Features -> weights of LeNet with them in the place of fc1, biases left out: Yang et al. 2015, table 1."""


@pytest.mark.parametrize("features", PUBLISHED)
def test_lenet_has_the_papers_weights(features: int) -> None:
    network = zoo.lenet5_fastfood(features)
    weights = sum(value.numel() for name, value in network.named_parameters() if not name.endswith("bias"))
    assert weights == PUBLISHED[features]


@pytest.mark.parametrize(("features", "millions", "compression"), [(16_384, 16.4, 3.7), (32_768, 32.8, 2)])
def test_alexnet_has_the_papers_compressions(features: int, millions: float, compression: float) -> None:
    """Those count what stands in the place of 58.6 million parameters of fully connected layers, beside 61 million."""
    with torch.device("meta"):
        network = zoo.alexnet_fastfood(features)
    convolutions = sum(value.numel() for name, value in network.named_parameters() if name.startswith("conv"))
    connected = sum(value.numel() for value in network.parameters()) - convolutions
    assert connected == pytest.approx(millions * 1e6, rel=0.004)
    digits = 1 if compression % 1 else 0
    assert round(60_965_224 / connected, digits) == compression


def test_linear_layers_become_fastfood_by_name() -> None:
    network = zoo.LeNet300().double().eval()
    network.fc2.requires_grad_(False)
    assert ns.with_fastfood(network, ["fc1", "fc[2]"]) is network
    assert isinstance(network.fc1, ns.Fastfood)
    assert isinstance(network.fc3, nn.Linear)
    assert network.fc1.s.dtype == torch.float64
    assert not network.fc1.training
    assert not network.fc2.b.requires_grad
    assert network.fc1.b.requires_grad
    assert network(torch.rand(3, 1, 28, 28, dtype=torch.float64)).shape == (3, 10)


@pytest.mark.parametrize("frozen", ["weight", "bias"])
def test_what_is_frozen_of_a_layer_stays_frozen_and_nothing_else(frozen: str) -> None:
    network = nn.Sequential(nn.Linear(64, 64))
    getattr(network[0], frozen).requires_grad_(False)
    layer = ns.with_fastfood(network)[0]
    assert {name for name, value in layer.named_parameters() if not value.requires_grad} == (
        {"bias"} if frozen == "bias" else {"b", "g", "s"}
    )


def test_hooks_stay_and_their_handles_remove_them() -> None:
    network, seen = nn.Sequential(nn.Linear(64, 64)), list[str]()
    before = network[0].register_forward_pre_hook(lambda *_: seen.append("before"))
    after = network[0].register_forward_hook(lambda *_, **__: seen.append("after"), with_kwargs=True)
    network[0].register_full_backward_hook(lambda *_: seen.append("backward"))
    ns.with_fastfood(network)
    network(torch.randn(2, 64, requires_grad=True)).sum().backward()
    assert seen == ["before", "after", "backward"]
    before.remove()
    after.remove()
    network(torch.randn(2, 64))
    assert len(seen) == 3


def padded_batch() -> tuple[Tensor, Tensor]:
    """(3, 5, 32), and (3, 5) that is True where the batch is padded, at the end of each row."""
    lengths = torch.tensor([5, 3, 2])
    return torch.randn(3, 5, 32), torch.arange(5) >= lengths[:, None]


@pytest.mark.parametrize("which", ["linear1", "linear2", "*"])
def test_torchs_transformers_compute_in_evaluation_mode_what_they_do_in_training(which: str) -> None:
    """Their fast path reads weights of layers; where one of two layers has another in the place, nothing takes it."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    network = nn.TransformerEncoder(layer, 2)
    ns.with_fastfood(network, ["*"] if which == "*" else [f"layers.1.{which}"])
    assert isinstance(network.layers[1].self_attn.out_proj, nn.Linear)
    assert any(isinstance(module, ns.Fastfood) for module in network.layers[1].children())
    x, padded = padded_batch()
    expected = network.train()(x, src_key_padding_mask=padded)
    for inference in (torch.no_grad, torch.inference_mode):
        with inference():
            got = network.eval()(x, src_key_padding_mask=padded)
            assert torch.allclose(got[~padded], expected[~padded], rtol=1e-4, atol=1e-5)
            alone = network.layers[1](x)
        assert torch.allclose(alone, network.layers[1].train()(x), rtol=1e-4, atol=1e-5)


def test_the_projection_of_attention_stays_as_attention_reads_its_weight() -> None:
    network = nn.ModuleDict({"attention": nn.MultiheadAttention(64, 4, batch_first=True), "out": nn.Linear(64, 64)})
    ns.with_fastfood(network.eval())
    assert isinstance(network["out"], ns.Fastfood)
    x = torch.randn(2, 3, 64)
    with torch.no_grad():
        assert network["attention"](x, x, x)[0].shape == x.shape
    with pytest.raises(LayerNotFoundError, match="attention"):
        ns.with_fastfood(network, ["attention.out_proj"])


def test_weights_that_are_recomputed_stay_and_are_refused_by_name() -> None:
    network = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64))
    nn.utils.prune.l1_unstructured(network[0], "weight", amount=0.5)
    with pytest.raises(SettingError, match="0 is not allowed: its weight is recomputed before each use"):
        ns.with_fastfood(network, ["0"])
    ns.with_fastfood(network)
    assert [type(layer).__name__ for layer in network] == ["Linear", "Fastfood"]


def test_by_default_layers_that_would_grow_stay() -> None:
    network = ns.with_fastfood(nn.Sequential(nn.Linear(100, 80), nn.ReLU(), nn.Linear(80, 2)))
    assert [type(layer).__name__ for layer in network] == ["Fastfood", "ReLU", "Linear"]


def test_a_layer_that_is_used_twice_stays_one() -> None:
    shared = nn.Linear(64, 64)
    network = ns.with_fastfood(nn.ModuleDict({"a": shared, "b": shared}), ["a", "b"])
    assert network["a"] is network["b"]
    assert isinstance(network["a"], ns.Fastfood)


@pytest.mark.parametrize(
    ("layers", "error", "says"),
    [
        (["fc9"], LayerNotFoundError, "'fc9' is the name of no linear layer; the model's are: fc1, fc2, fc3"),
        (["fc3"], SettingError, "fc3 of 100 x 10 is not allowed: Fastfood would"),
    ],
)
def test_what_can_not_be_replaced_is_said_and_nothing_is(layers: list[str], error: type[Exception], says: str) -> None:
    network = zoo.LeNet300()
    if layers == ["fc3"]:
        network.fc3 = nn.Linear(100, 2)
        says = says.replace("100 x 10", "100 x 2")
    with pytest.raises(error, match=says):
        ns.with_fastfood(network, ["fc1", *layers])
    assert isinstance(network.fc1, nn.Linear)


def test_weights_that_are_shared_with_another_module_are_refused() -> None:
    network = nn.ModuleDict({"a": nn.Linear(64, 64), "b": nn.Linear(64, 64)})
    network["b"].weight = network["a"].weight
    with pytest.raises(SettingError, match="a is not allowed: it shares its weight"):
        ns.with_fastfood(network, ["a"])


@pytest.mark.parametrize("setting", [{"in_features": 0}, {"out_features": 1.5}, {"bias": 1}])
def test_other_settings_are_refused(setting: dict[str, object]) -> None:
    with pytest.raises(SettingError, match=next(iter(setting))):
        ns.Fastfood(**{"in_features": 4, "out_features": 4, **setting})  # type: ignore[arg-type]


@pytest.mark.parametrize(("inputs", "outputs"), [(5, 3), (16, 16), (12, 40)])
def test_a_packed_network_computes_what_the_module_does(inputs: int, outputs: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(ns.Fastfood(inputs, outputs), nn.ReLU(), nn.Linear(outputs, 2)).eval()
    x = torch.randn(7, inputs)
    report = ns.pack(network, tmp_path / "network.nsm", example_inputs=x)
    assert report.batch is None
    loaded = ns.load(tmp_path / "network.nsm")
    assert sum(node.operator == "WalshHadamard" for node in loaded.graph.nodes) == 2
    assert not any(node.operator == "Linear" for node in loaded.graph.nodes[:-1])
    for count in (1, 7, 33):
        given = torch.randn(count, inputs)
        expected = network(given).detach().numpy()
        np.testing.assert_allclose(loaded(given.numpy()), expected, rtol=1e-4, atol=1e-5)


def test_a_program_in_a_file_is_packed_where_nothing_has_named_the_layer(tmp_path: Path) -> None:
    """torch loads only what holds operators that it knows."""
    torch.manual_seed(0)
    network = nn.Sequential(ns.Fastfood(12, 40), nn.ReLU()).eval()
    torch.export.save(torch.export.export(network, (torch.randn(3, 12),)), tmp_path / "network.pt2")
    command = [sys.executable, "-m", "netsurgery", "pack", "network.pt2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert any(node.operator == "WalshHadamard" for node in ns.load(tmp_path / "network.nsm").graph.nodes)


def test_a_layer_of_16_bits_is_packed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, x = nn.Sequential(ns.Fastfood(12, 40)).half().eval(), torch.randn(3, 12).half()
    ns.pack(network, tmp_path / "network.nsm", example_inputs=x)
    got = ns.load(tmp_path / "network.nsm")(x.float().numpy())
    np.testing.assert_allclose(got, network(x).detach().float().numpy(), rtol=2e-3, atol=2e-3)


def test_lenet_with_fastfood_learns_and_runs_packed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = zoo.lenet5_fastfood(1024)
    images, labels = torch.rand(64, 1, 28, 28), torch.arange(64) % 10
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    report = ns.pack(network, tmp_path / "network.nsm", example_inputs=images)
    assert report.difference < 1e-4
    assert ns.load(tmp_path / "network.nsm")(images.numpy()).shape == (64, 10)
