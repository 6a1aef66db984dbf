"""What the place of a connection costs, and surgery that minds it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.methods import blocks, filters
from netsurgery.methods.base import Layer
from netsurgery.methods.places import PlaceCosts


def drawn_mask(shape: tuple[int, ...], density: float, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < density


def expected_bits(mask: Tensor, place: tuple[int, ...]) -> float:
    """2 + log2(n / (r c)), one connection at a time; half a connection is added to each r and c."""
    total = max(1, int(mask.sum()))
    if mask.dim() == 1:
        return 2 + math.log2(len(mask) / total)
    row, column = int(mask[place[0]].sum()) + 0.5, int(mask[(slice(None), *place[1:])].sum()) + 0.5
    return 2 + max(0.0, math.log2(total / (row * column)))


@pytest.mark.parametrize("density", [0.0, 0.05, 0.6, 1.0])
@pytest.mark.parametrize("shape", [(9,), (6, 11), (5, 4, 3, 2)])
def test_costs_are_those_of_independent_rows_and_columns(shape: tuple[int, ...], density: float) -> None:
    mask = drawn_mask(shape, density)
    rows = slice(2, 5)
    found = PlaceCosts(mask).bits(rows).expand(mask[rows].shape)
    for place in torch.cartesian_prod(*map(torch.arange, found.shape)).view(-1, mask.dim()).tolist():
        assert float(found[tuple(place)]) == pytest.approx(expected_bits(mask, (place[0] + 2, *place[1:])), rel=1e-5)


def test_a_place_in_a_crowd_costs_less_than_one_apart() -> None:
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:3, :3] = True
    mask[7, 7] = True
    bits = PlaceCosts(mask).bits(slice(None))
    assert float(bits[1, 1]) < float(bits[7, 7]) < float(bits[5, 5])


def test_costs_never_fall_below_those_of_a_value() -> None:
    assert PlaceCosts(torch.ones(30, 40, dtype=torch.bool)).bits(slice(None)).unique().tolist() == [2.0]


def refreshed(weight: Tensor, mask: Tensor, concentration: float) -> Tensor:
    """The mask after a refresh at the mask's own density, with the same gradient everywhere and no hysteresis."""
    layer = Layer("a", {"a.weight": weight})
    weight.grad = torch.ones_like(weight)
    density = int(mask.sum()) / mask.numel()
    method = ns.Surgery(
        density=density, steps=10, ramp=0.0, interval=1, hysteresis=1.0, concentration=concentration, biases=False
    )
    state = method.init([layer], seed=0)
    before = weight.clone()
    method.update(state, [layer], 1)
    weight.copy_(before)
    state.masks["a.weight"].copy_(mask)
    state.scales["a.weight"] = filters.norms(weight * mask)
    return torch.cat([piece for _, _, piece in method.refreshed(state, [layer], step=2)])


def test_connections_are_drawn_to_units_that_have_many() -> None:
    mask = torch.zeros(4, 7, dtype=torch.bool)
    mask[0, :5] = True
    mask[3, 6] = True
    weight = mask * 1.0
    weight[3, 6], weight[0, 5] = 1.2, 1.2  # alone, and next to five others
    plain = refreshed(weight.clone(), mask, 0.0)
    assert bool(plain[3, 6])
    assert bool(plain[0, 5])
    crowded = refreshed(weight.clone(), mask, 3.0)
    assert bool(crowded[0, :6].all())
    assert not bool(crowded[3].any())


def test_chunks_do_not_change_the_choice_though_masks_change_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def trained() -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(12, 40), nn.ReLU(), nn.Linear(40, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        method = ns.Surgery(density=0.1, steps=60, interval=2, concentration=3.0)
        operation = ns.attach(model, optimizer, method)
        generator = torch.Generator().manual_seed(1)
        for _ in range(60):
            x = torch.randn(8, 12, generator=generator)
            optimizer.zero_grad()
            (model(x) - x[:, :3]).square().mean().backward()
            optimizer.step()
        assert sum(int(mask.sum()) for mask in operation.masks.values()) == round(0.1 * (12 * 40 + 40 + 40 * 3 + 3))
        return {name: mask.clone() for name, mask in operation.masks.items()}

    whole = trained()
    monkeypatch.setattr(blocks, "ROW_BLOCK", 24)
    parts = trained()
    assert all(torch.equal(mask, parts[name]) for name, mask in whole.items())


def test_units_that_survive_are_fewer_at_the_same_count() -> None:
    def units(concentration: float) -> int:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(20, 60), nn.ReLU(), nn.Linear(60, 5))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        method = ns.Surgery(density=0.1, steps=400, interval=5, concentration=concentration)
        operation = ns.attach(model, optimizer, method)
        generator = torch.Generator().manual_seed(1)
        for _ in range(400):
            x = torch.randn(16, 20, generator=generator)
            optimizer.zero_grad()
            (model(x) - x[:, :5].abs()).square().mean().backward()
            optimizer.step()
        return int(operation.masks["0.weight"].any(dim=1).sum())

    assert units(4.0) < units(0.0)
