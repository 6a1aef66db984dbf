"""Incremental quantization: portions, what stays fixed, what is left to train; against a reference in NumPy."""

from __future__ import annotations

import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.training import is_power, train
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.analysis.summary import summary_of
from netsurgery.errors import RevivedWarning, StarvedLayerWarning
from netsurgery.methods import blocks, exchange
from netsurgery.methods.base import Layer
from netsurgery.methods.quantization import PORTIONS
from netsurgery.methods.state import report
from netsurgery.runtime.session import read_packed


class PaperReference:
    """One layer y = W x, quantized as algorithm 1 says, in float64 and NumPy, step by step."""

    def __init__(self, weight: np.ndarray, bits: int, moments: dict[int, float]) -> None:
        self.weight, self.moments = weight.copy(), moments
        self.alive = weight != 0
        self.trains = self.alive.copy()  # the paper's T
        self.speed = np.zeros(weight.shape)
        self.n1 = int(np.floor(np.log2(4 * np.abs(weight).max() / 3)))
        self.n2 = self.n1 + 1 - 2 ** (bits - 1) // 2
        self.step = 0
        self.quantize()

    def power(self, value: float) -> float:
        ordered = [0.0, *(2.0**exponent for exponent in range(self.n2, self.n1 + 1))]
        for alpha, beta in pairwise(ordered):
            if (alpha + beta) / 2 <= abs(value) < 3 * beta / 2:
                return float(np.sign(value)) * beta
        return float(np.sign(value)) * 2.0**self.n1 if abs(value) >= 1.5 * 2.0**self.n1 else 0.0

    def quantize(self) -> None:
        portion = self.moments.get(self.step)
        if portion is None:
            return
        total = int(self.alive.sum())
        missing = round(portion * total) - int((self.alive & ~self.trains).sum())
        free = [index for index in np.ndindex(self.weight.shape) if self.trains[index]]
        for index in sorted(free, key=lambda index: -abs(self.weight[index]))[:missing]:
            self.weight[index] = self.power(self.weight[index])
            self.trains[index] = False

    def train(self, x: np.ndarray, target: np.ndarray, lr: float, momentum: float, decay: float) -> None:
        error = 2 * (x @ self.weight.T - target) / target.size
        self.speed = momentum * self.speed + error.T @ x + decay * self.weight
        self.weight -= lr * self.speed * self.trains
        self.step += 1
        self.quantize()


@pytest.mark.parametrize("bits", [2, 3, 5])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_every_step_equals_the_reference(bits: int, momentum: float) -> None:
    rng = np.random.default_rng(bits)
    weight = rng.normal(size=(6, 9)) * (rng.random((6, 9)) < 0.8)
    model = nn.Linear(9, 6, bias=False).double()
    model.weight.data = torch.from_numpy(weight.copy())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=momentum, weight_decay=1e-3)
    method = ns.INQ(bits=bits, steps=30, portions=(0.3, 0.5, 0.8, 1), largest_power="paper")
    operation = ns.attach(model, optimizer, method)
    reference = PaperReference(weight, bits, {0: 0.3, 10: 0.5, 20: 0.8, 30: 1.0})
    assert method.round_starts == (0, 10, 20)
    for _ in range(35):
        # 30 steps of a few dozen additions in float64: far below 1e-12
        np.testing.assert_allclose(model.weight.detach().numpy(), reference.weight, rtol=0, atol=1e-12)
        x = rng.normal(size=(4, 9))
        target = x @ rng.normal(size=(9, 6)) * 0.3
        reference.train(x, target, lr=0.3, momentum=momentum, decay=1e-3)
        optimizer.zero_grad()
        (model(torch.from_numpy(x)) - torch.from_numpy(target)).square().mean().backward()
        optimizer.step()
    np.testing.assert_array_equal(model.weight.detach().numpy(), reference.weight)
    (row,) = operation.report()
    assert row.quantized == row.kept == np.count_nonzero(reference.weight)
    assert row.pruned_total == np.count_nonzero(weight) - row.kept


def quantized_layers(method: ns.INQ, *tensors: Tensor) -> tuple[Any, list[Layer]]:
    layers = [Layer(f"l{i}", {f"l{i}.weight": tensor}) for i, tensor in enumerate(tensors)]
    state = method.init(layers, seed=0)
    method.update(state, layers, 0)
    exchange.hide(method, state, layers)
    return state, layers


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([(7, 5), (1, 1), (4, 3, 2, 2), (40, 3)]), st.floats(0.01, 0.99))
def test_the_portion_is_taken_from_the_largest_to_the_connection(
    seed: int, shape: tuple[int, ...], portion: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator) * (torch.rand(shape, generator=generator) < 0.7)
    before, alive = weight.clone(), weight != 0
    state, _ = quantized_layers(ns.INQ(bits=4, portions=(portion, 1)), weight)
    free = state.free["l0.weight"]
    assert int((alive & ~free).sum()) == round(portion * int(alive.sum()))
    assert not bool(free[~alive].any())
    assert torch.equal(weight[free], before[free])
    if bool(free.any()) and bool((alive & ~free).any()):
        assert float(before[alive & ~free].abs().min()) >= float(before[free].abs().max())


def test_each_tensor_has_its_own_powers_and_portion() -> None:
    large, small = torch.tensor([[8.0, 4.0, 3.0, 1.0]]), torch.tensor([[0.8, 0.4, 0.3, 0.1]])
    state, _ = quantized_layers(ns.INQ(bits=3, portions=(0.5, 1)), large, small)
    assert state.exponents == {"l0.weight": (3, 2), "l1.weight": (0, -1)}
    assert large.tolist() == [[8, 4, 3, 1]]
    torch.testing.assert_close(small, torch.tensor([[1, 0.5, 0.3, 0.1]]))


def test_at_two_bits_weights_become_ternary_and_the_smallest_become_zero() -> None:
    weight = torch.tensor([[1.0, -0.9, 0.5, -0.49, 0.1]])
    state, layers = quantized_layers(ns.INQ(bits=2, portions=(1,), largest_power="paper"), weight)
    assert weight.tolist() == [[1, -1, 1, 0, 0]]
    (row,) = report(state, layers)
    assert (row.kept, row.quantized, row.pruned_total) == (3, 3, 2)
    assert state.kept("l0.weight").tolist() == [[True, True, True, False, False]]


def test_one_large_weight_does_not_make_the_others_zero_unless_it_is_the_papers_rule() -> None:
    weight = torch.tensor([[8.0, 1.0, -1.0, 1.1, 0.0, 0.9, -0.8, 1.2, 0.2] + [1.0] * 60])
    fitted, papers = weight.clone(), weight.clone()
    state, _ = quantized_layers(ns.INQ(bits=2, portions=(1,)), fitted)
    assert state.exponents == {"l0.weight": (0, 0)}
    assert fitted.tolist() == [[1, 1, -1, 1, 0, 1, -1, 1, 0] + [1] * 60]
    quantized_layers(ns.INQ(bits=2, portions=(1,), largest_power="paper"), papers)
    assert papers.count_nonzero() == 1


def test_powers_are_fitted_to_survivors_alone() -> None:
    dense = torch.randn(30, 40, generator=torch.Generator().manual_seed(0))
    sparse = torch.zeros(30, 400)
    sparse[:, ::10] = dense
    found = [quantized_layers(ns.INQ(bits=3), weight)[0].exponents for weight in (dense, sparse)]
    assert found[0] == found[1]


def test_weights_that_grew_beyond_the_largest_power_become_it() -> None:
    weight = torch.tensor([[1.0, 0.5]])
    method = ns.INQ(bits=5, steps=1, portions=(0.5, 1))
    state, layers = quantized_layers(method, weight)
    weight[0, 1] = -7.0
    method.update(state, layers, 1)
    exchange.hide(method, state, layers)
    assert weight.tolist() == [[1.0, -1.0]]


def test_equal_weights_are_taken_to_the_exact_count() -> None:
    weight = torch.full((64, 64), 0.3, dtype=torch.bfloat16)
    state, _ = quantized_layers(ns.INQ(bits=5, portions=(0.1, 1)), weight)
    assert int((~state.free["l0.weight"]).sum()) == int((weight == 0.25).sum()) == round(0.1 * 64 * 64)


@pytest.mark.parametrize("order", ["largest", "random"])
def test_neither_chunks_nor_layout_change_the_result(monkeypatch: pytest.MonkeyPatch, order: Any) -> None:
    def found(layout: torch.memory_format) -> Tensor:
        weight = torch.arange(120.0).sin().view(10, 3, 2, 2).to(memory_format=layout)
        quantized_layers(ns.INQ(bits=4, portions=(0.3, 1), order=order), weight)
        assert weight.is_contiguous(memory_format=layout)
        return weight

    whole = found(torch.contiguous_format)
    assert torch.equal(found(torch.channels_last), whole)
    if order == "largest":
        monkeypatch.setattr(blocks, "ROW_BLOCK", 7)
        monkeypatch.setattr(blocks, "BLOCK", 11)
        assert torch.equal(found(torch.channels_last), whole)
        assert torch.equal(found(torch.contiguous_format), whole)


def test_random_portions_have_the_same_sizes_and_depend_on_the_seed_alone() -> None:
    def fixed(seed: int, steps: int) -> list[Tensor]:
        layers = [Layer("l", {"l.weight": torch.linspace(0.1, 1, 1000).view(10, 100)})]
        method = ns.INQ(bits=5, steps=4, portions=(0.3, 0.6, 1), order="random")
        state = method.init(layers, seed)
        history = []
        for step in range(steps):
            method.update(state, layers, step)
            history.append(~state.free["l.weight"])
        return history

    first, again, other = fixed(0, 3), fixed(0, 3), fixed(1, 3)
    assert [int(mask.sum()) for mask in first] == [300, 300, 600]
    assert all(torch.equal(mask, twin) for mask, twin in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert bool((first[2] | ~first[0]).all())  # what is fixed stays fixed
    shares = first[0].view(10, 100).float().mean(dim=1)  # ten groups by size: 30 % of each, 4.6 points of deviation
    assert float((shares - 0.3).abs().max()) < 0.25


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.conv(x))).mean(dim=(2, 3)))


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-2),
        lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
        lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1, amsgrad=True),
    ],
    ids=["momentum", "adamw", "adam"],
)
def test_fixed_connections_never_move_and_free_ones_do(make: Any) -> None:
    torch.manual_seed(0)
    model = Net()
    optimizer = make(model.parameters())
    operation = ns.attach(model, optimizer, ns.INQ(bits=4, steps=20))
    (running,) = operation._stages
    fixed, values = {}, {}
    for step in range(25):
        before = copy.deepcopy(model.state_dict())
        train(model, optimizer, 1, first=step)
        for name, free in running.state.free.items():
            now = model.state_dict()[name]
            if name in fixed:
                assert torch.equal(now[fixed[name]], values[name])
                assert torch.equal(~free & fixed[name], fixed[name])
            fixed[name], values[name] = ~free, now[~free].clone()
            assert not bool(free.any()) or not torch.equal(now[free], before[name][free])
        assert not torch.equal(model.head.bias, before["head.bias"])
    assert is_power(model.conv.weight)
    assert is_power(model.head.weight)
    assert not is_power(model.head.bias)


def test_what_the_user_writes_over_fixed_connections_is_undone_by_the_next_step_and_by_finish() -> None:
    torch.manual_seed(0)
    model = Net()
    dense = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    operation = ns.attach(model, optimizer, ns.INQ(bits=4, steps=5))
    quantized = model.conv.weight.detach().clone()
    fixed = ~operation._stages[0].state.free["conv.weight"]
    model.load_state_dict(dense)
    weights = operation.state_dict()["stages"][0]["weights"]["conv.weight"]
    assert torch.equal(weights[fixed], quantized[fixed])
    train(model, optimizer, 1)
    assert torch.equal(model.conv.weight[fixed], quantized[fixed])
    train(model, optimizer, 4)
    powers_of_two = copy.deepcopy(model.conv.weight)
    assert is_power(powers_of_two)
    model.load_state_dict(dense)
    with pytest.warns(RevivedWarning):
        operation.finish()
    assert torch.equal(model.conv.weight, powers_of_two)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_keep_their_type_and_end_as_powers(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = nn.Linear(12, 5).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    operation = ns.attach(model, optimizer, ns.INQ(bits=3, steps=8, biases=True))
    for _ in range(8):
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 0.25)
        optimizer.step()
    operation.finish()
    for parameter in model.parameters():
        assert parameter.dtype == dtype
        assert is_power(parameter.double())
        assert len(parameter.detach().abs().unique()) <= 3


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(("bits", "mantissa_bits"), [(5, 1), (6, 2), (7, 3)])
def test_with_mantissa_bits_weights_end_as_sizes_between_powers_and_are_packed_so(
    tmp_path: Path, bits: int, mantissa_bits: int, per_channel: bool
) -> None:
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    method = ns.INQ(bits, steps=9, per_channel=per_channel, mantissa_bits=mantissa_bits)
    operation = ns.attach(model, optimizer, method)
    train(model, optimizer, 9)
    operation.finish()
    between = 0
    for name, form in operation.encoded().items():
        weight = model.get_parameter(name).detach()
        assert torch.equal(form.decoded(), weight)
        fractions, exponents = torch.frexp(weight[weight != 0])
        steps = fractions.abs() * 2 * 2**mantissa_bits
        assert torch.equal(steps, steps.round())
        between += int((steps != 2**mantissa_bits).sum())
        assert per_channel or int(exponents.max() - exponents.min()) < 4
    assert between > 20  # of them are no powers of two
    x = torch.randn(3, 2, 6, 6)
    path = tmp_path / "net.nsm"
    ns.pack(model, path, example_inputs=(x,))
    for tensor in summary_of(read_packed(path)).tensors:
        if tensor.name.endswith("weight"):  # the batch norm's factors within, one for each row
            assert tensor.bits < 11 * tensor.entries
    torch.testing.assert_close(
        torch.from_numpy(ns.load(path)(x.numpy())), model.eval()(x).detach(), rtol=1e-5, atol=1e-6
    )


def test_a_state_that_was_saved_before_a_setting_existed_is_resumed() -> None:
    def attached() -> tuple[nn.Module, torch.optim.Optimizer, ns.Operation]:
        torch.manual_seed(0)
        model = Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        return model, optimizer, ns.attach(model, optimizer, ns.INQ(5, steps=9))

    model, optimizer, operation = attached()
    train(model, optimizer, 4)
    saved = copy.deepcopy(operation.state_dict())
    del saved["plan"]["stage"][0]["mantissa_bits"]
    _, _, again = attached()
    again.load_state_dict(saved)
    assert again.state_dict()["step"] == 4
    saved["plan"]["stage"][0]["bits"] = 4
    with pytest.raises(ns.errors.StateError, match="belongs to the plan"):
        again.load_state_dict(saved)


def test_mantissa_bits_lose_less_of_the_weights_than_powers_alone() -> None:
    weight = torch.randn(200, 50, generator=torch.Generator().manual_seed(0))

    def lost(bits: int, mantissa_bits: int) -> float:
        layers = [Layer("l", {"l.weight": weight.clone()})]
        method = ns.INQ(bits=bits, portions=(1,), mantissa_bits=mantissa_bits)
        state = method.init(layers, seed=0)
        method.update(state, layers, 0)
        exchange.hide(method, state, layers)
        return float((layers[0].tensors["l.weight"] - weight).square().mean())

    assert lost(7, 2) < lost(6, 1) / 3 < lost(5, 0) / 9
    assert lost(6, 0) > 0.9 * lost(5, 0)  # more powers alone, which are all smaller ones, gain little


def test_a_tensor_of_zeros_stays_zero() -> None:
    model = nn.Linear(4, 3)
    nn.init.zeros_(model.bias)
    nn.init.zeros_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.warns(StarvedLayerWarning, match=r"weight holds zeros alone.*learns nothing"):
        operation = ns.attach(model, optimizer, ns.INQ(bits=5, steps=6, biases=True))
    for _ in range(6):
        model.weight.grad, model.bias.grad = torch.ones(3, 4), torch.ones(3)
        optimizer.step()
    with pytest.warns(StarvedLayerWarning, match=r"weight keeps 0 of 12"):
        operation.finish()
    assert operation.density == 0
    assert not bool(model.weight.any())
    assert not bool(model.bias.any())


@settings(max_examples=100)
@given(bits=st.integers(2, 8), steps=st.integers(9, 10**9))
def test_rounds_have_equal_lengths_and_the_last_portion_ends_them(bits: int, steps: int) -> None:
    method = ns.INQ(bits=bits, steps=steps)
    portions = PORTIONS[min(bits, 5)]
    moments = (*method.round_starts, method.active_steps)
    assert len(moments) == len(portions)
    assert moments[0] == 0
    assert moments[-1] == steps
    lengths = [late - early for early, late in pairwise(moments)]
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 2  # each end is rounded


def test_the_default_portions_are_the_papers() -> None:
    for portions in PORTIONS.values():
        assert list(portions) == sorted(set(portions))
        assert portions[-1] == 1
    assert [len(PORTIONS[bits]) for bits in (2, 3, 4, 5)] == [10, 8, 6, 4]


def test_one_portion_quantizes_at_once() -> None:
    model = nn.Linear(6, 4)
    method = ns.INQ(bits=5, portions=(1,))
    assert method.active_steps == 0
    assert method.round_starts == ()
    operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), method)
    assert is_power(model.weight)
    operation.finish()


def test_finishing_early_says_that_not_all_may_be_quantized() -> None:
    model = nn.Linear(6, 4)
    operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.INQ(bits=5, steps=10))
    with pytest.warns(ns.errors.UnfinishedWarning, match=r"step 0 of 10.*may not be quantized yet"):
        operation.finish()
    (row,) = operation.report()
    assert row.quantized == 12


def test_weights_beyond_float32_are_refused_by_name() -> None:
    model = nn.Linear(2, 2).double()
    model.weight.data.fill_(1e39)
    with pytest.raises(ns.errors.NonFiniteWeightsError, match="weight holds weights beyond float32's range"):
        ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.INQ(bits=5))


def test_weights_that_become_nan_are_named_when_a_portion_is_due() -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ns.attach(model, optimizer, ns.INQ(bits=5, steps=3))
    model.weight.grad = torch.full((2, 2), float("nan"))
    with pytest.raises(ns.errors.NonFiniteWeightsError, match="weight holds NaN or infinity while training"):
        optimizer.step()


def test_a_state_that_is_damaged_is_refused_and_changes_nothing() -> None:
    model = nn.Linear(3, 2)
    operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.INQ(bits=5))
    good = operation.state_dict()
    stage, before = good["stages"][0], copy.deepcopy(model.state_dict())
    for change, match in [
        ({"free": {}}, "'free' of the saved state lacks"),
        ({"free": {"weight": torch.ones(2, 3)}}, r"float32 \(2, 3\) in 'free' for weight, expected torch\.bool"),
        ({"weights": {"weight": torch.ones(3, 2)}}, r"\(3, 2\) in 'weights' for weight"),
        ({"survivors": {}}, "'survivors' of the saved state lacks"),
        ({"exponents": {}}, "'exponents' of the saved state lacks"),
        ({"survivors": {"weight": "x"}}, "'x' in 'survivors' for weight, expected a whole number"),
        ({"exponents": {"weight": 3}}, "3 in 'exponents' for weight, expected 2 whole numbers"),
        ({"exponents": {"weight": (1, "x")}}, "expected 2 whole numbers"),
        ({"channel_exponents": {"weight": torch.ones(2)}}, r"float32 \(2,\) in 'channel_exponents' for weight"),
        ({"fixed": {}}, "{} in 'fixed', expected True"),
        ({"fixed": False}, "False in 'fixed', expected True"),
        ({"generator": torch.zeros(3)}, r"Tensor in 'generator', expected the state of a torch\.Generator"),
    ]:
        with pytest.raises(ns.errors.StateError, match=match):
            operation.load_state_dict({**good, "stages": [{**stage, **change}]})
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("bits", 1),
        ("bits", 9),
        ("bits", 4.0),
        ("steps", 0),
        ("steps", 2),
        ("portions", 0.5),
        ("portions", (0.5,)),
        ("portions", (0.5, 0.5, 1)),
        ("portions", (0, 1)),
        ("portions", (0.5, "1")),
        ("portions", (0.5, 2)),
        ("largest_power", "largest"),
        ("order", "smallest"),
        ("per_channel", 1),
        ("biases", 1),
        ("mantissa_bits", -1),
        ("mantissa_bits", 4),
        ("mantissa_bits", True),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(ns.errors.SettingError, match=rf"{setting}=.* is not allowed"):
        ns.INQ(**{"bits": 5, setting: value})
