"""The exact forms that methods know decode to the parameters, bit for bit."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.training import train
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.attachment.operation import known_forms
from netsurgery.methods import exchange
from netsurgery.methods.base import Layer, Method, tensors_of
from netsurgery.methods.encoded import Encoded, EncodedPlanes, EncodedPowers, EncodedSparse, says

DTYPES = st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64])
WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def bits(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().view(WORDS[tensor.element_size()])


def drawn(seed: int, dtype: torch.dtype, exponent: int = 0) -> list[Layer]:
    """A convolution in channels-last layout, its bias, a linear layer, a layer of zeros; other weights are 0 too."""
    generator = torch.Generator().manual_seed(seed)

    def weights(*shape: int) -> Tensor:
        values = torch.randn(shape, generator=generator) * (torch.rand(shape, generator=generator) < 0.8)
        return (values * 2.0**exponent).to(dtype)

    conv = weights(6, 3, 2, 2).to(memory_format=torch.channels_last)
    return [
        Layer("conv", {"conv.weight": conv, "conv.bias": weights(6)}),
        Layer("head", {"head.weight": weights(5, 7)}),
        Layer("zeros", {"zeros.weight": torch.zeros(3, 4, dtype=dtype)}),
    ]


def encoded(method: Method[Any], layers: list[Layer], step: int = 0) -> dict[str, Encoded]:
    """The forms after an update at `step`."""
    state = method.init(layers, seed=3)
    method.update(state, layers, 0)
    if step:
        method.update(state, layers, step)
    exchange.hide(method, state, layers)
    forms = {name: method.encode(state, name, tensor) for name, tensor in tensors_of(layers)}
    assert all(form is not None for form in forms.values())
    return forms


def check(forms: dict[str, Encoded], layers: list[Layer], kind: type[Any]) -> None:
    for name, tensor in tensors_of(layers):
        form = forms[name]
        found = form.decoded()
        assert type(form) is kind
        assert found.dtype == tensor.dtype
        assert found.shape == tensor.shape
        assert torch.equal(bits(found), bits(tensor)), name
        assert says(form, tensor)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), DTYPES, st.integers(2, 8), st.integers(-160, 100))
def test_quantized_weights_are_their_signs_and_exponents(
    seed: int, dtype: torch.dtype, bits_: int, exponent: int
) -> None:
    """Subnormal powers among them, and those that the type rounds to 0."""
    if dtype == torch.float16:
        exponent = max(-30, min(exponent, 10))
    layers = drawn(seed, dtype, exponent)
    method = ns.INQ(bits=bits_, portions=(1,), biases=True)
    forms = encoded(method, layers)
    check(forms, layers, EncodedPowers)
    for name, tensor in tensors_of(layers):
        form = forms[name]
        assert isinstance(form, EncodedPowers)
        assert (form.signs.dtype, form.exponents.dtype) == (torch.int8, torch.int16)
        for sign, power, value in zip(form.signs.flatten(), form.exponents.flatten(), tensor.flatten(), strict=True):
            assert int(sign) * math.ldexp(1.0, int(power)) == float(value)
            assert int(sign) or not int(power)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), DTYPES)
def test_weights_of_which_some_are_free_yet_are_their_mask_and_values(seed: int, dtype: torch.dtype) -> None:
    layers = drawn(seed, dtype)
    live = [layer for layer in layers if layer.name != "zeros"]
    forms = encoded(ns.INQ(bits=3, portions=(0.5, 1), biases=True), live)
    check(forms, live, EncodedSparse)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), DTYPES, st.integers(1, 8), st.integers(1, 4), st.booleans())
def test_sketched_weights_are_the_scales_and_codes_of_their_planes(
    seed: int, dtype: torch.dtype, planes: int, sharing: int, refined: bool
) -> None:
    layers = [
        Layer(layer.name, {name: tensor for name, tensor in layer.tensors.items() if tensor.dim() > 1})
        for layer in drawn(seed, dtype)
    ]
    forms = encoded(ns.Sketching(planes=planes, refined=refined, sharing=sharing), layers)
    check(forms, layers, EncodedPlanes)
    for name, tensor in tensors_of(layers):
        form = forms[name]
        assert isinstance(form, EncodedPlanes)
        assert form.scales.shape == (math.ceil(len(tensor) / sharing), planes)
        assert (form.scales.dtype, form.codes.dtype, form.sharing) == (torch.float32, torch.uint8, sharing)
        assert form.codes.shape == tensor.shape


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), DTYPES, st.sampled_from(["naive-cut", "threshold-surgery", "han-pruning"]))
def test_what_is_cut_is_a_mask_and_the_values_that_are_kept(seed: int, dtype: torch.dtype, name: str) -> None:
    layers = drawn(seed, dtype)
    methods = {
        "naive-cut": ns.NaiveCut(density=0.3),
        "threshold-surgery": ns.ThresholdSurgery(0.2),
        "han-pruning": ns.HanPruning(),
    }
    forms = encoded(methods[name], layers)
    check(forms, layers, EncodedSparse)
    assert any(not bool(form.kept.all()) for form in forms.values() if isinstance(form, EncodedSparse))


class TestOperations:
    """Operation.encoded asks the latest stage of each tensor."""

    @staticmethod
    def attached(plan: Any) -> tuple[nn.Sequential, torch.optim.Optimizer, ns.Operation]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        return model, optimizer, ns.attach(model, optimizer, plan)

    def test_the_later_of_two_stages_says_more_once_it_has_quantized_all(self) -> None:
        surgery, inq = ns.Surgery(density=0.4, steps=12, interval=1), ns.INQ(bits=3, steps=6, portions=(0.5, 1))
        model, optimizer, operation = self.attached(ns.Plan((ns.Stage(method=surgery), ns.Stage(method=inq, start=12))))
        parameters = dict(model.named_parameters())
        kinds = {}
        for step in range(20):
            forms = operation.encoded()
            assert forms.keys() == parameters.keys()
            for name, form in forms.items():
                assert form is not None
                assert says(form, parameters[name].detach())
            kinds[step] = {name: type(form) for name, form in forms.items()}
            train(model, optimizer, 1, first=step)
        sparse, powers = EncodedSparse, EncodedPowers
        assert set(kinds[0].values()) == set(kinds[15].values()) == {sparse}
        expected = {"0.weight": powers, "0.bias": sparse, "4.weight": powers, "4.bias": sparse}
        assert kinds[19] == expected
        operation.finish()
        assert {name: type(form) for name, form in operation.encoded().items()} == expected

    def test_a_stage_that_has_not_begun_knows_nothing(self) -> None:
        plan = ns.Plan((ns.Stage(method=ns.NaiveCut(density=0.5), layers=("4",), start=5),))
        _, _, operation = self.attached(plan)
        assert operation.encoded() == {"4.weight": None, "4.bias": None}

    @pytest.mark.parametrize("value", [0.3, -0.0, float("nan")])
    @pytest.mark.parametrize(
        "method", [ns.NaiveCut(density=0.3), ns.INQ(bits=3, portions=(1,)), ns.Sketching(planes=2, steps=2)]
    )
    def test_what_somebody_else_has_written_is_never_told_wrongly(self, method: Method[Any], value: float) -> None:
        model, optimizer, operation = self.attached(method)
        train(model, optimizer, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            operation.finish()
        weight = model[4].weight
        place = tuple((weight.detach().abs() == weight.detach().abs().min()).nonzero()[0])
        before = operation.encoded()["4.weight"]
        assert before is not None
        weight.data[place] = value
        after = operation.encoded()
        assert after["4.weight"] is None
        assert after["0.weight"] is not None

    def test_whoever_stores_the_model_learns_all_that_operations_know_by_the_models_own_names(self) -> None:
        model, optimizer, first = self.attached(ns.Surgery(density=0.4, steps=12, interval=1))
        train(model, optimizer, 12)
        first.finish()
        second = ns.attach(model, optimizer, ns.INQ(bits=3, steps=6, portions=(0.5, 1)))
        train(model, optimizer, 6, first=12)
        wrapped = nn.Sequential(model, nn.Linear(3, 2))
        forms = known_forms(wrapped)
        kinds = {name: type(form) for name, form in forms.items()}
        sparse, powers = EncodedSparse, EncodedPowers
        assert kinds == {"0.0.weight": powers, "0.0.bias": sparse, "0.4.weight": powers, "0.4.bias": sparse}
        assert all(says(form, wrapped.get_parameter(name).detach()) for name, form in forms.items())
        model[4].weight.data = torch.zeros(3, 5)
        assert "0.4.weight" not in known_forms(wrapped)
        second.detach()
        assert type(known_forms(wrapped)["0.0.weight"]) is sparse
        first.detach()
        assert known_forms(wrapped) == {}

    def test_what_is_given_is_a_copy(self) -> None:
        model, _, operation = self.attached(ns.Sketching(planes=2))
        form = operation.encoded()["4.weight"]
        assert isinstance(form, EncodedPlanes)
        form.codes.zero_()
        form.scales.zero_()
        again = operation.encoded()["4.weight"]
        assert again is not None
        assert says(again, model[4].weight.detach())
