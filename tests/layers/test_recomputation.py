"""Weights that are recomputed before each use are recognised in old and new form: never cut, never counted wrongly."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

import netsurgery as ns
from netsurgery.errors import LayerNotFoundError
from netsurgery.layers.eligibility import Reason
from netsurgery.layers.recomputation import recomputed, source_of
from netsurgery.layers.selecting import select
from netsurgery.plan import Plan

CUT = ns.NaiveCut(density=0.5)


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


def by_hand(module: nn.Module) -> nn.Module:
    """A hook of one's own that computes the weight from another parameter."""
    weight = module.weight
    del module._parameters["weight"]
    module.register_parameter("weight_raw", nn.Parameter(weight.detach().clone()))
    module.weight = weight.detach().clone()  # a plain tensor

    def compute(module: nn.Module, _: object) -> None:
        module.weight = torch.tanh(module.weight_raw)

    module.register_forward_pre_hook(compute)
    return module


def old_weight_norm(module: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch has a newer form, and says so
        return nn.utils.weight_norm(module)


def old_spectral_norm(module: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.spectral_norm(module)


def registered(module: nn.Module) -> nn.Module:
    parametrize.register_parametrization(module, "weight", Doubled())
    return module


def pruned(module: nn.Module) -> nn.Module:
    return prune.l1_unstructured(module, "weight", amount=0.5)


FORMS: dict[str, tuple[Callable[[nn.Module], nn.Module], str]] = {
    "weight_norm, hook": (old_weight_norm, "remove_weight_norm"),
    "weight_norm, parametrization": (nn.utils.parametrizations.weight_norm, "remove_parametrizations"),
    "spectral_norm, hook": (old_spectral_norm, "remove_spectral_norm"),
    "spectral_norm, parametrization": (nn.utils.parametrizations.spectral_norm, "remove_parametrizations"),
    "prune, mask": (pruned, r"prune\.remove"),
    "a parametrization of one's own": (registered, "remove_parametrizations"),
    "a hook of one's own": (by_hand, "nn.Parameter"),
}
REMEDIES: dict[str, Callable[[nn.Module], object]] = {
    "weight_norm, hook": lambda module: nn.utils.remove_weight_norm(module),
    "weight_norm, parametrization": lambda module: parametrize.remove_parametrizations(module, "weight"),
    "spectral_norm, hook": lambda module: nn.utils.remove_spectral_norm(module),
    "spectral_norm, parametrization": lambda module: parametrize.remove_parametrizations(module, "weight"),
    "prune, mask": lambda module: prune.remove(module, "weight"),
    "a parametrization of one's own": lambda module: parametrize.remove_parametrizations(module, "weight"),
}


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        x = torch.randn(8, 6, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        (model(x) - x[:, :3]).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize(("make", "remedy"), FORMS.values(), ids=FORMS.keys())
def test_a_recomputed_weight_and_its_bias_are_left_alone_and_training_goes_on(
    make: Callable[[nn.Module], nn.Module], remedy: str
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(make(nn.Linear(6, 5)), nn.ReLU(), nn.Linear(5, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.3, steps=40, interval=2))
    assert set(operation.masks) == {"2.weight", "2.bias"}
    train(model, optimizer, 40)
    operation.finish()
    assert all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())
    kept = int(model[2].weight.count_nonzero() + model[2].bias.count_nonzero())
    assert operation.density == kept / 18
    alone = {alone.name: alone for alone in operation.left_alone}
    assert alone["0.bias"].reason is Reason.BIAS_ALONE
    sources = [found for name, found in alone.items() if name != "0.bias"]
    assert sources
    for found in sources:
        assert found.reason is Reason.RECOMPUTED
        assert remedy.replace("\\", "") in found.words
    assert "recomputed before each use" in " ".join(str(operation).split())


@pytest.mark.parametrize(("make", "remedy"), FORMS.values(), ids=FORMS.keys())
def test_a_plan_for_recomputed_weights_alone_is_refused_with_what_to_do(
    make: Callable[[nn.Module], nn.Module], remedy: str
) -> None:
    model = make(nn.Linear(6, 5))
    with pytest.raises(LayerNotFoundError, match=f"recomputed before each use.*{remedy}"):
        select(model, Plan.of(CUT))
    both = nn.Sequential(model, nn.Linear(5, 3))
    with pytest.raises(LayerNotFoundError, match=f"^layers pattern '0' matches no layer.*recomputed.*{remedy}"):
        select(both, Plan.of(ns.Stage(method=CUT, layers=("0",))))


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("form", REMEDIES)
def test_after_what_the_message_advises_the_weight_is_operated_on(form: str) -> None:
    model = FORMS[form][0](nn.Linear(6, 5))
    model(torch.zeros(1, 6))
    REMEDIES[form](model)
    (layers,) = select(model, Plan.of(CUT)).stages
    assert {name for layer in layers for name in layer.tensors} == {"weight", "bias"}


def test_a_pruned_bias_leaves_the_weight_to_be_operated_on() -> None:
    model = prune.random_unstructured(nn.Linear(6, 5), "bias", amount=2)
    found = select(model, Plan.of(CUT))
    assert [list(layer.tensors) for layer in found.stages[0]] == [["weight"]]
    assert [(alone.name, alone.reason) for alone in found.left_alone] == [("bias_orig", Reason.RECOMPUTED)]


def test_a_recurrent_layer_with_one_recomputed_matrix_gives_the_others() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = nn.utils.weight_norm(nn.LSTM(3, 4), "weight_hh_l0")
    found = select(model, Plan.of(ns.NaiveCut(density=0.5, biases=False)))
    assert [list(layer.tensors) for layer in found.stages[0]] == [["weight_ih_l0"]]
    names = {alone.name for alone in found.left_alone if alone.reason is Reason.RECOMPUTED}
    assert names == {"weight_hh_l0_g", "weight_hh_l0_v"}


def test_a_convolution_under_spectral_norm_is_recognised() -> None:
    model = nn.Sequential(old_spectral_norm(nn.Conv2d(1, 2, 3)), nn.Flatten(), nn.Linear(2, 2))
    assert [layer.name for layer in select(model, Plan.of(CUT)).stages[0]] == ["2"]


def test_plain_tensors_that_no_parameter_belongs_to_change_nothing() -> None:
    model = nn.Linear(3, 2)
    model.scale = torch.ones(2)
    assert set(recomputed("", model)) == {"scale"}
    assert source_of("weight", recomputed("", model)) is None
    assert [layer.name for layer in select(model, Plan.of(CUT)).stages[0]] == [""]


def test_a_plain_tensor_takes_no_parameter_along_that_is_only_called_alike() -> None:
    model = nn.Linear(4, 4)
    model.pos = torch.arange(4.0)
    model.pos_embed = nn.Parameter(torch.randn(4, 3))
    (layers,) = select(model, Plan.of(ns.Stage(method=CUT, layers=("*", "pos_embed")))).stages
    assert "pos_embed" in {name for layer in layers for name in layer.tensors}
