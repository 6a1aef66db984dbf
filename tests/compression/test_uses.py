"""How often connections are used: by layers whose outputs have known sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from netsurgery.compression.uses import uses_of
from netsurgery.layers.selecting import select
from netsurgery.methods.surgery import Surgery
from netsurgery.plan import Plan


class Mixed(nn.Module):
    """A convolution at 6 x 6 places, one in groups, recurrent layers over 36 steps, attention, a head at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.grouped = nn.Conv2d(8, 16, 1, groups=4)
        self.gru = nn.GRU(16, 12, batch_first=True)
        self.lstm = nn.LSTM(12, 8, batch_first=True, bidirectional=True)
        self.head = nn.Linear(16, 4)
        self.unreached = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.grouped(self.first(x)).flatten(2).transpose(1, 2)
        return self.head(self.lstm(self.gru(x)[0])[0][:, -1])


def uses(model: nn.Module, *inputs: Tensor) -> dict[str, float]:
    layers = select(model, Plan.of(Surgery(1.0))).stages[0]
    return dict(uses_of(model, layers, lambda: model(*inputs)))


@pytest.mark.parametrize("training", [False, True])
def test_a_layer_is_used_at_every_place_of_its_output_and_at_every_time_step(training: bool) -> None:
    found = uses(Mixed().train(training), torch.randn(1, 3, 8, 8))
    places = {name: value / found["head"] for name, value in found.items()}
    assert places == pytest.approx(
        {"first": 36, "grouped": 36, "gru": 36, "lstm": 36, "head": 1, "unreached": 1}, rel=1e-6
    )


def test_a_module_with_layers_inside_counts_what_is_its_own() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 6))
            self.inner = nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x @ self.weight)[:, :1]

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gated = Gated()

        def forward(self, x: Tensor) -> Tensor:
            return self.gated(x)

    model = Whole()
    layers = select(model, Plan.of(Surgery(1.0))).stages[0]
    named = dict(uses_of(model, layers, lambda: model(torch.randn(5, 6))))
    assert len(set(named.values())) == 1


def test_what_is_never_run_counts_as_used_least() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    layers = select(model, Plan.of(Surgery(1.0))).stages[0]
    assert dict(uses_of(model, layers, lambda: None)) == {"0": 1.0, "2": 1.0}
