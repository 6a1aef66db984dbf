"""Powers of two of each output channel: the rule of a tensor, for every channel by itself."""

from __future__ import annotations

import copy
import io
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.training import is_power, train
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.graph.weights import Powers
from netsurgery.methods import blocks, exchange
from netsurgery.methods.base import Layer
from netsurgery.methods.channel_powers import largest_exponents, nearest_in_channels
from netsurgery.methods.encoded import EncodedPowers
from netsurgery.methods.powers import fitted_powers, nearest_power, powers

BOTH_BITS = st.sampled_from([(bits, mantissa_bits) for bits in range(2, 8) for mantissa_bits in range(bits - 1)])
SHAPES = st.sampled_from([(7, 5), (1, 1), (4, 3, 2, 2), (40, 3), (6, 1, 3, 3)])


def spread(seed: int, shape: tuple[int, ...], dim: int = 0) -> Tensor:
    """Weights of channels that differ by many powers of two in size; some are pruned, one channel perhaps whole."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator) * (torch.rand(shape, generator=generator) < 0.7)
    sizes = [extent if one == dim else 1 for one, extent in enumerate(shape)]
    return weight * torch.exp2(torch.randint(-20, 20, sizes, generator=generator).float())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), SHAPES, BOTH_BITS, st.booleans(), st.integers(0, 1))
def test_a_channel_has_the_powers_that_it_would_have_as_a_tensor(
    seed: int, shape: tuple[int, ...], both: tuple[int, int], fitted: bool, dim: int
) -> None:
    weight = spread(seed, shape, dim)
    found = largest_exponents(weight, *both, dim=dim, fitted=fitted)
    rounded = nearest_in_channels(weight, found, *both)
    for channel, n1, values in zip(weight.unbind(dim), found.flatten().tolist(), rounded.unbind(dim), strict=True):
        if not bool(channel.any()):
            assert n1 == 0
            assert not bool(values.any())
            continue
        alive = channel[channel != 0]
        as_tensor = (
            fitted_powers(lambda alive=alive: [alive], *both) if fitted else powers(float(alive.abs().max()), *both)
        )
        assert n1 == as_tensor[0]
        assert torch.equal(values, nearest_power(channel, *as_tensor, both[1]))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), SHAPES, st.integers(2, 5))
def test_no_other_largest_power_of_a_channel_rounds_with_less_error(
    seed: int, shape: tuple[int, ...], bits: int
) -> None:
    weight = spread(seed, shape)
    found = largest_exponents(weight, bits)

    def error(moved: int) -> Tensor:
        lost = (weight - nearest_in_channels(weight, found + moved, bits)).double()
        return lost.square().flatten(1).sum(1)

    assert all(bool((error(0) <= error(moved) * (1 + 1e-9)).all()) for moved in range(-12, 13))


def test_a_channel_scaled_by_a_power_of_two_is_rounded_to_the_same_scaled() -> None:
    weight = torch.randn(8, 20, generator=torch.Generator().manual_seed(0))
    factors = torch.exp2(torch.arange(-60.0, 60.0, 15.0))[:, None]
    found = largest_exponents(weight, 3)
    scaled = largest_exponents(weight * factors, 3)
    expected = nearest_in_channels(weight, found, 3) * factors
    assert torch.equal(nearest_in_channels(weight * factors, scaled, 3), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_powers_stay_within_a_type(dtype: torch.dtype) -> None:
    ends = torch.finfo(dtype)
    weight = torch.tensor([[ends.max, -ends.max], [ends.tiny, -ends.tiny]], dtype=dtype)
    rounded = nearest_in_channels(weight, largest_exponents(weight, 4), 4)
    _, beyond = math.frexp(ends.max)
    assert rounded[0].double().tolist() == [2.0 ** (beyond - 1), -(2.0 ** (beyond - 1))]
    assert torch.equal(rounded[1], weight[1])
    assert rounded.dtype == dtype


def quantized(method: ns.INQ, weight: Tensor, **layer: Any) -> Any:
    layers = [Layer("l", {"l.weight": weight}, **layer)]
    state = method.init(layers, seed=0)
    method.update(state, layers, 0)
    exchange.hide(method, state, layers)
    return state


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), SHAPES, st.floats(0.01, 0.99))
def test_the_portion_is_taken_to_the_connection_whatever_the_scales_of_channels(
    seed: int, shape: tuple[int, ...], portion: float
) -> None:
    weight = spread(seed, shape)
    before, alive = weight.clone(), weight != 0
    scales = torch.exp2(torch.randint(-9, 9, (shape[0], *[1] * (len(shape) - 1))).float())
    scaled = before * scales
    method = ns.INQ(bits=3, portions=(portion, 1), per_channel=True)
    free = quantized(method, weight).free["l.weight"]
    assert int((alive & ~free).sum()) == round(portion * int(alive.sum()))
    assert torch.equal(weight[free], before[free])
    assert torch.equal(quantized(method, scaled).free["l.weight"], free)
    assert torch.equal(scaled, weight * scales)


def test_a_small_channel_isnt_zeroed_by_a_large_one() -> None:
    weight = torch.tensor([[8.0, 4.0], [0.01, -0.02]])
    together, apart = weight.clone(), weight.clone()
    quantized(ns.INQ(bits=3, portions=(1,)), together)
    state = quantized(ns.INQ(bits=3, portions=(1,), per_channel=True), apart)
    assert together[1].tolist() == [0, 0]
    assert apart.tolist() == [[8, 4], [2.0**-7, -(2.0**-6)]]
    assert state.channel_exponents["l.weight"].flatten().tolist() == [3, -6]
    assert state.exponents["l.weight"] == (3, -7)


def test_channels_lie_where_the_layer_says() -> None:
    weight = torch.tensor([[8.0, 0.01], [4.0, -0.02]])  # (in, out), as transposed convolutions have it
    quantized(ns.INQ(bits=3, portions=(1,), per_channel=True), weight, filter_dims={"l.weight": 1})
    assert weight.tolist() == [[8, 2.0**-7], [4, -(2.0**-6)]]


@pytest.mark.parametrize("order", ["largest", "random"])
def test_neither_chunks_nor_layout_change_the_result(monkeypatch: pytest.MonkeyPatch, order: Any) -> None:
    def found(layout: torch.memory_format) -> Tensor:
        weight = spread(5, (10, 3, 2, 2)).to(memory_format=layout)
        quantized(ns.INQ(bits=3, portions=(0.3, 1), order=order, per_channel=True), weight)
        return weight

    whole = found(torch.contiguous_format)
    assert torch.equal(found(torch.channels_last), whole)
    if order == "largest":
        monkeypatch.setattr(blocks, "ROW_BLOCK", 7)
        assert torch.equal(found(torch.channels_last), whole)


class Mixed(nn.Module):
    """A depthwise layer, one in groups, a transposed one, a recurrent and a linear one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.grouped, self.up = nn.Conv2d(4, 6, 1, groups=2), nn.ConvTranspose2d(6, 4, 2)
        self.lstm, self.head = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.depthwise(torch.relu(self.norm(self.first(x)))))
        x = torch.relu(self.up(torch.relu(self.grouped(x))))
        hidden, _ = self.lstm(x.flatten(2).transpose(1, 2))
        return self.head(hidden[:, -1])


METHOD = ns.INQ(bits=3, steps=14, per_channel=True)


def new_run(seed: int) -> tuple[nn.Module, torch.optim.Optimizer, Any]:
    torch.manual_seed(seed)
    model = Mixed()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return model, optimizer, ns.attach(model, optimizer, METHOD)


def test_layers_of_all_kinds_get_powers_of_each_channel_and_the_graph_takes_them() -> None:
    model, optimizer, operation = new_run(0)
    train(model, optimizer, 14)
    operation.finish()
    for name, form in operation.encoded().items():
        assert isinstance(form, EncodedPowers)
        weight = model.get_parameter(name).detach()
        assert torch.equal(form.decoded(), weight)
        assert is_power(weight)
        rows = weight.transpose(0, 1 if name == "up.weight" else 0).flatten(1)
        exponents = [row[row != 0].abs().log2() for row in rows if bool(row.any())]
        assert max(float(row.max() - row.min()) for row in exponents) <= 1  # 3 bits are two powers
        assert Powers.of(weight.numpy()) is not None


def test_resuming_equals_a_straight_run_bit_for_bit() -> None:
    straight, optimizer, operation = new_run(0)
    train(straight, optimizer, 6)
    file = io.BytesIO()
    parts = {"model": straight, "optimizer": optimizer, "operation": operation}
    torch.save({name: part.state_dict() for name, part in parts.items()}, file)
    train(straight, optimizer, 10, first=6)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed, optimizer, again = new_run(99)
    resumed.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    again.load_state_dict(saved["operation"])
    train(resumed, optimizer, 10, first=6)
    expected = copy.deepcopy(straight.state_dict())
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.state_dict().items())
    assert again.report() == operation.report()
