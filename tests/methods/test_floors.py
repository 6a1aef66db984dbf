"""No layer loses its last connections by accident."""

from __future__ import annotations

import re
import warnings
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import netsurgery as ns
from netsurgery.methods.base import Layer
from netsurgery.methods.floors import SHARE, fewest, floors


def layer(name: str, *shape: int) -> Layer:
    return Layer(name, {f"{name}.weight": torch.zeros(shape)})


LAYERS = [layer("conv", 16, 8, 3, 3), layer("fc", 100, 400), layer("head", 10, 100)]


def test_a_layer_needs_a_quarter_of_the_fewer_of_its_outputs_and_input_positions() -> None:
    assert fewest(LAYERS) == {"conv.weight": 4, "fc.weight": 25, "head.weight": 3}
    assert fewest([layer("one", 1, 1)]) == {"one.weight": 1}


@pytest.mark.parametrize(
    ("groups", "shape", "expected"),
    [(64, (64, 1, 3, 3), 16), (32, (64, 1, 3, 3), 16), (2, (64, 3, 1, 1), 2), (1, (64, 3, 1, 1), 1), (4, (8, 2, 3), 2)],
)
def test_each_group_of_a_convolution_has_input_positions_of_its_own(
    groups: int, shape: tuple[int, ...], expected: int
) -> None:
    grouped = Layer("l", {"l.weight": torch.zeros(shape)}, groups=groups)
    assert fewest([grouped]) == {"l.weight": expected}


def test_a_depthwise_layer_keeps_its_channels_or_says_so() -> None:
    torch.manual_seed(0)
    depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
    model = nn.Sequential(nn.Conv2d(1, 32, 1), depthwise, nn.BatchNorm2d(32), nn.Flatten(), nn.Linear(32 * 16, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.02, steps=20))
    for step in range(20):
        generator = torch.Generator().manual_seed(step)
        optimizer.zero_grad()
        labels = torch.randint(4, (16,), generator=generator)
        F.cross_entropy(model(torch.randn(16, 1, 4, 4, generator=generator)), labels).backward()
        optimizer.step()
    operation.finish()
    (kept,) = (row.kept for row in operation.report() if row.name == "1.weight")
    assert kept >= 8


@pytest.mark.parametrize("keep", [40, 500, 5_000, 42_152])
def test_floors_are_shares_of_a_random_graph_and_leave_most_to_the_ranking(keep: int) -> None:
    found, least = floors(LAYERS, keep), fewest(LAYERS)
    ends = {"conv.weight": 24, "fc.weight": 500, "head.weight": 110}
    for name, floor in found.items():
        assert floor == max(least[name], int(SHARE * keep * ends[name] / 634))
    assert sum(found.values()) <= keep


def test_where_floors_would_take_more_than_there_is_each_layer_gets_what_it_needs() -> None:
    assert floors(LAYERS, 32) == fewest(LAYERS)


def unequal() -> nn.Sequential:
    """The gradient of the last layer is a thousand times that of the others: a ranking alone would keep just that."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 4))
    with torch.no_grad():
        model[0].weight *= 1e-2
        model[2].weight *= 1e-2
    return model


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        x = torch.randn(16, 8, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        F.cross_entropy(model(x), x[:, :4].argmax(dim=1)).backward()
        optimizer.step()


def test_a_layer_that_ranks_low_keeps_its_floor_and_the_total_is_exact() -> None:
    model = unequal()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.1, steps=20, interval=1))
    train(model, optimizer, 20)
    total = sum(parameter.numel() for parameter in model.parameters())
    kept = {row.name: row.kept for row in operation.report()}
    assert sum(kept.values()) == round(0.1 * total)
    assert kept["0.weight"] >= 2
    assert kept["2.weight"] >= 6


def test_a_density_that_is_too_low_is_said_with_the_layer_and_what_would_do() -> None:
    model = unequal()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    said = r"density=0.001 asks for 1 of 916 .* 9 are needed .* 6 of them in 2.weight"
    with pytest.warns(ns.errors.DensityWarning, match=said):
        operation = ns.attach(model, optimizer, ns.Surgery(density=0.001, steps=20))
    train(model, optimizer, 20)
    operation.finish()
    assert sum(row.kept for row in operation.report()) == 9
    assert all(row.kept for row in operation.report() if row.name.endswith("weight"))


@pytest.mark.parametrize("seed", range(12))
def test_a_density_that_the_warning_advises_gets_no_warning(seed: int) -> None:
    """Of networks of every size: what is advised is rounded up."""
    sizes = torch.randint(3, 60, (4,), generator=torch.Generator().manual_seed(seed)).tolist()
    model = nn.Sequential(*(nn.Linear(*pair) for pair in pairwise(sizes)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with pytest.warns(ns.errors.DensityWarning) as caught:
        ns.attach(model, optimizer, ns.Surgery(density=1e-5, steps=20)).detach()
    (advised,) = re.findall(r"density of ([\d.e-]+) or more", str(caught[0].message))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ns.attach(model, optimizer, ns.Surgery(density=float(advised), steps=20))


def test_a_layer_that_the_loss_does_not_feel_has_no_floor_and_is_named_at_the_end() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(8, 4), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x) + 0 * self.unused(x).sum()

    model = Unused()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.3, steps=20))
    train(model, optimizer, 20)
    with pytest.warns(
        ns.errors.StarvedLayerWarning, match=r"unused.weight keeps 0 of 64 .* loss has reached nothing of it since"
    ):
        operation.finish()
    assert "unused.weight keeps 0 of 64 connections" in str(operation)
    assert "used.weight keeps 3" not in str(operation)


def test_a_naive_cut_that_empties_a_layer_says_so_once() -> None:
    model = unequal()
    with torch.no_grad():
        model[2].weight[0, :12] = 30.0  # the layer's own scale is that of a few large weights
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    operation = ns.attach(model, optimizer, ns.NaiveCut(density=0.02))
    with pytest.warns(ns.errors.StarvedLayerWarning) as caught:
        operation.finish()
    assert {str(w.message).split()[0] for w in caught} <= {"0.weight", "2.weight", "4.weight"}
    assert all("Ask for more density" in str(w.message) for w in caught)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        operation.finish()
