"""Networks with normalisation: a filter's scale means nothing, and dead filters are no danger."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.methods import filters


class Normalised(nn.Module):
    """Two 3x3 convolutions, each in front of a normalisation, and a classifier: (n, 2, 6, 6) -> (n, 4)."""

    def __init__(self, normalisation: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 8, 3, padding=1)
        self.norm1 = normalisation(8)
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.norm2 = normalisation(12)
        self.head = nn.Linear(12, 4)

    def forward(self, images: Tensor) -> Tensor:
        hidden = F.relu(self.norm1(self.conv1(images)))
        return self.head(F.relu(self.norm2(self.conv2(hidden))).mean(dim=(2, 3)))


NORMALISATIONS: dict[str, Callable[[int], nn.Module]] = {
    "batch norm": lambda channels: nn.BatchNorm2d(channels, eps=1e-20),
    "instance norm": lambda channels: nn.InstanceNorm2d(channels, eps=1e-20, affine=True),
    "group norm, a group for each channel": lambda channels: nn.GroupNorm(channels, channels, eps=1e-20),
}


def network(normalisation: str) -> Normalised:
    torch.manual_seed(0)
    return Normalised(NORMALISATIONS[normalisation]).double()


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        generator = torch.Generator().manual_seed(step)
        images = torch.randn(16, 2, 6, 6, generator=generator).to(next(model.parameters()).dtype)
        labels = (images.mean(dim=(2, 3)) * 4).argmax(dim=1) + 2 * (images[:, 0, 0, 0] > 0).long()
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()


def masks(model: nn.Module, **surgery: float) -> dict[str, Tensor]:
    """What surgery keeps of weights that don't move."""
    model = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.1, steps=30, interval=1, **surgery))
    train(model, optimizer, 30)
    return operation.masks


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@settings(max_examples=5, deadline=None)
@given(exponents=st.lists(st.floats(-6, 6), min_size=20, max_size=20))
def test_masks_are_the_same_whatever_the_scale_of_filters_in_front_of_a_normalisation(
    normalisation: str, exponents: list[float]
) -> None:
    model = network(normalisation)
    expected = masks(model)
    scale = 2.0 ** torch.tensor(exponents, dtype=torch.float64)
    with torch.no_grad():
        for convolution, factors in ((model.conv1, scale[:8]), (model.conv2, scale[8:])):
            convolution.weight.mul_(factors.view(-1, 1, 1, 1))
            assert convolution.bias is not None
            convolution.bias.mul_(factors)
    found = masks(model)
    for name in ("conv1.weight", "conv2.weight", "head.weight"):
        # float32 scores that are equal but for rounding may change places
        assert int((found[name] != expected[name]).sum()) <= 2, name


def test_masks_do_depend_on_the_scale_where_nothing_is_normalised() -> None:
    """So that the test above can fail."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 12), nn.ReLU(), nn.Linear(12, 4)).double()
    expected = masks(model)
    with torch.no_grad():
        model.get_parameter("1.weight")[:6] *= 64
    assert int((masks(model)["1.weight"] != expected["1.weight"]).sum()) > 20


@pytest.mark.parametrize("eps", [1e-5, 1e-12])
@pytest.mark.parametrize("optimizer_type", [torch.optim.SGD, torch.optim.AdamW])
def test_a_network_with_batch_norm_keeps_every_layer_and_learns(
    eps: float, optimizer_type: type[torch.optim.Optimizer]
) -> None:
    torch.manual_seed(0)
    model = Normalised(lambda channels: nn.BatchNorm2d(channels, eps=eps))
    rate: dict[str, float] = {"lr": 0.05, "momentum": 0.9} if optimizer_type is torch.optim.SGD else {"lr": 3e-3}
    optimizer = optimizer_type(model.parameters(), **rate)  # type: ignore[arg-type]
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.1, steps=300))
    train(model, optimizer, 300)
    operation.finish()
    kept = {row.name: row.kept for row in operation.report()}
    assert all(kept[f"{layer}.weight"] >= 3 for layer in ("conv1", "conv2", "head")), kept
    assert max(float(p.detach().abs().max()) for p in model.parameters()) < 10


def say_dead(stage: dict[str, Any], name: str, weight: Tensor, dim: int = 0) -> None:
    """Into a saved state: which filters of a weight are dead by its mask, with the norms that they have now."""
    scales = filters.norms(weight.detach(), dim)
    stage["dead"] = {
        "flags": {name: filters.dead(stage["masks"][name], dim).view(scales.shape)},
        "scales": {name: scales},
    }


class TestDeadFilters:
    @staticmethod
    def gradients(dead_rows: int) -> tuple[Normalised, Tensor]:
        """A network whose first `dead_rows` filters of conv2 are dead, in the middle of a surgery, and a gradient."""
        torch.manual_seed(0)
        model = Normalised(nn.BatchNorm2d)
        nn.init.constant_(model.norm2.bias, 0.5)  # a constant channel passes the ReLU
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        operation = ns.attach(model, optimizer, ns.Surgery(density=0.5, steps=1000, ramp=0.0, interval=1000))
        train(model, optimizer, 1)
        saved = operation.state_dict()
        saved["stages"][0]["masks"]["conv2.weight"][:dead_rows] = False
        saved["stages"][0]["masks"]["conv2.weight"][dead_rows:] = True
        say_dead(saved["stages"][0], "conv2.weight", model.conv2.weight)
        operation.load_state_dict(saved)
        model.zero_grad()
        images = torch.randn(16, 2, 6, 6, generator=torch.Generator().manual_seed(9))
        F.cross_entropy(model(images), torch.arange(16) % 4).backward()
        gradient = model.conv2.weight.grad
        assert gradient is not None
        operation.detach()
        return model, gradient

    def test_feel_no_more_than_live_ones_relatively_in_the_mean(self) -> None:
        _, gradient = self.gradients(dead_rows=3)
        felt = filters.norms(gradient).flatten()
        live = felt[3:].mean()
        assert felt[:3].max() < 3 * live  # filters of one layer have norms alike; unbounded it would be hundreds
        assert felt[:3].min() > 0

    def test_leave_the_gradient_of_live_ones_as_it_is(self) -> None:
        model, gradient = self.gradients(dead_rows=3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        optimizer.zero_grad()
        images = torch.randn(16, 2, 6, 6, generator=torch.Generator().manual_seed(9))
        F.cross_entropy(model(images), torch.arange(16) % 4).backward()
        assert model.conv2.weight.grad is not None
        assert torch.equal(model.conv2.weight.grad[3:], gradient[3:])

    def test_do_not_spoil_clipping_by_the_norm_of_all_gradients(self) -> None:
        model, _ = self.gradients(dead_rows=0)
        usual = float(nn.utils.clip_grad_norm_(model.parameters(), 1e9))
        model, _ = self.gradients(dead_rows=3)
        assert float(nn.utils.clip_grad_norm_(model.parameters(), 1e9)) < 2 * usual

    def test_feel_nothing_once_masks_are_fixed(self) -> None:
        torch.manual_seed(0)
        model = Normalised(nn.BatchNorm2d)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        operation = ns.attach(model, optimizer, ns.Surgery(density=0.03, steps=60))
        train(model, optimizer, 60)
        dead = filters.dead(operation.masks["conv2.weight"])
        assert bool(dead.any())
        assert model.conv2.weight.grad is not None
        assert model.conv2.weight.grad[dead].count_nonzero() == 0
        assert model.conv2.weight.grad[~dead].count_nonzero() > 0

    def test_can_come_back(self) -> None:
        """A filter that was pruned by mistake has a gradient, and its latent weights grow."""
        torch.manual_seed(0)
        model = Normalised(nn.BatchNorm2d)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        operation = ns.attach(model, optimizer, ns.Surgery(density=0.5, steps=400, ramp=0.0, interval=5))
        train(model, optimizer, 10)
        saved = operation.state_dict()
        saved["stages"][0]["masks"]["conv1.weight"][0] = False
        say_dead(saved["stages"][0], "conv1.weight", model.conv1.weight)
        operation.load_state_dict(saved)
        train(model, optimizer, 270, first=10)
        assert bool(operation.masks["conv1.weight"][0].any())


class Conv1D(nn.Module):
    """A linear layer that holds its matrix as (in, out), as GPT-2's do."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) / inputs**0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


def transposed() -> tuple[nn.Module, nn.Module]:
    layer = nn.ConvTranspose2d(2, 12, 3, padding=1)
    return nn.Sequential(layer, nn.BatchNorm2d(12, eps=1e-20), nn.ReLU(), nn.Flatten(), nn.Linear(432, 4)), layer


def stored_transposed() -> tuple[nn.Module, nn.Module]:
    layer = Conv1D(72, 12)
    return nn.Sequential(nn.Flatten(), layer, nn.BatchNorm1d(12, eps=1e-20), nn.ReLU(), nn.Linear(12, 4)), layer


class TestFiltersAlongTheSecondDimension:
    """Transposed convolutions hold (in, out, ...), and some libraries' linear layers (in, out)."""

    @pytest.mark.parametrize("build", [transposed, stored_transposed])
    def test_their_scale_means_nothing_either(self, build: Callable[[], tuple[nn.Module, nn.Module]]) -> None:
        torch.manual_seed(0)
        model, layer = build()
        model.double()
        expected = masks(model)
        name = next(name for name, tensor in model.named_parameters() if tensor is layer.weight)
        factors = 2.0 ** torch.linspace(-6, 6, 12, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.mul_(factors.view(1, -1, *[1] * (layer.weight.dim() - 2)))
            layer.bias.mul_(factors)
        found = masks(model)
        for weight in (name, "4.weight"):
            assert 0 < int(expected[weight].sum()) < expected[weight].numel()
            assert int((found[weight] != expected[weight]).sum()) <= 2

    @pytest.mark.parametrize("build", [transposed, stored_transposed])
    def test_dead_ones_are_bounded(self, build: Callable[[], tuple[nn.Module, nn.Module]]) -> None:
        torch.manual_seed(0)
        model, layer = build()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        operation = ns.attach(model, optimizer, ns.Surgery(density=0.5, steps=1000, ramp=0.0, interval=1000))
        train(model, optimizer, 1)
        name = next(name for name, tensor in model.named_parameters() if tensor is layer.weight)
        saved = operation.state_dict()
        saved["stages"][0]["masks"][name][:] = True
        saved["stages"][0]["masks"][name][:, :3] = False
        say_dead(saved["stages"][0], name, layer.weight, dim=1)
        operation.load_state_dict(saved)
        model.zero_grad()
        F.cross_entropy(model(torch.randn(16, 2, 6, 6)), torch.arange(16) % 4).backward()
        felt = filters.norms(layer.weight.grad, 1).flatten()
        assert float(felt[:3].max()) < 20 * float(felt[3:].mean())


def test_a_resumed_surgery_with_dead_filters_gives_the_bits_of_a_straight_one() -> None:
    """Filters die between two observations, and what bounds their gradient is of that moment."""

    def build() -> tuple[nn.Module, torch.optim.Optimizer, ns.Operation]:
        torch.manual_seed(0)
        layers = [nn.Flatten(), nn.Linear(72, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 16)]
        model = nn.Sequential(*layers, nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        return model, optimizer, ns.attach(model, optimizer, ns.Surgery(density=0.04, steps=1600))

    model, optimizer, operation = build()
    train(model, optimizer, 700)
    for stop in range(700, 716, 2):
        saved = [copy.deepcopy(part.state_dict()) for part in (model, optimizer, operation)]
        assert saved[2]["stages"][0]["dead"]["flags"]  # else this shows nothing
        train(model, optimizer, 2, first=stop)
        other = build()
        for part, state in zip(other, saved, strict=True):
            part.load_state_dict(state)
        train(other[0], other[1], 2, first=stop)
        straight, resumed = (one.state_dict()["stages"][0] for one in (operation, other[2]))
        parts = [(straight[part], resumed[part]) for part in ("weights", "masks", "scales")]
        parts += [(straight["dead"][part], resumed["dead"][part]) for part in ("flags", "scales")]
        for expected, found in parts:
            assert expected.keys() == found.keys()
            assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_gradients_through_a_dead_filter_can_be_differentiated_again() -> None:
    model, _ = TestDeadFilters.gradients(3)
    images = torch.randn(16, 2, 6, 6, generator=torch.Generator().manual_seed(9))
    loss = F.cross_entropy(model(images), torch.arange(16) % 4)
    gradients = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
    assert all(gradient.requires_grad for gradient in gradients)
