"""The first and the last layers of a network in fixed point: when they stay in float32, and what is said of that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.deployment.test_fixed_activations import images as pictures
from tests.deployment.test_fixed_activations import residual, to_powers
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.analysis.fixed_point import fixed_layers
from netsurgery.errors import CalibrationWarning, SettingError
from netsurgery.graph.capture import capture
from netsurgery.graph.end_layers import first_layers, last_layers
from netsurgery.graph.passes import simplify
from netsurgery.runtime import reference


def chain() -> nn.Module:
    """Six inputs, three layers; the first reads five of the inputs."""
    torch.manual_seed(0)
    model = to_powers(nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3)))
    with torch.no_grad():
        model.get_parameter("0.weight")[:, 0] = 0
        model.get_parameter("0.weight")[0, 0] = 2.0**-12  # it isn't left out
    return model


def far(count: int, largest: float) -> Tensor:
    """Inputs of which one is much larger than the others: a grid for all of them is too coarse for these."""
    x = torch.randn(count, 6, generator=torch.Generator().manual_seed(0))
    x[:, 0] *= largest
    return x


def packed(model: nn.Module, path: Path, x: Tensor, **settings: Any) -> tuple[ns.PackReport, int]:
    """What pack says, and how many layers add."""
    report = ns.pack(model, path, example_inputs=x[:2], activations="fixed", calibration=[x], **settings)
    found = fixed_layers(ns.load(path).graph)
    return report, 0 if found is None else found.layers


def ends_of(model: nn.Module, x: Tensor) -> tuple[set[str], set[str]]:
    """Names of the weights of the first and of the last layers."""
    graph = simplify(capture(model, reference.run_node, x).graph, reference.run_node)
    makers = graph.producers()
    first, last = first_layers(graph), last_layers(graph)
    return {str(makers[one].inputs[1]) for one in first}, {str(makers[one].inputs[1]) for one in last}


def test_the_first_layers_are_those_behind_no_other_and_the_last_those_in_front_of_none() -> None:
    assert ends_of(residual(), pictures(2)) == ({"first.weight"}, {"classify.weight"})

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Linear(6, 6) for _ in range(4))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            joined = self.a(x) + self.b(torch.relu(x))
            return self.c(joined), torch.relu(self.d(joined)).flip(1)

    assert ends_of(Branches(), far(2, 1)) == ({"a.weight", "b.weight"}, {"c.weight", "d.weight"})
    assert ends_of(nn.Sequential(nn.Linear(6, 6)), far(2, 1)) == ({"0.weight"}, {"0.weight"})


def test_an_end_stays_in_float32_where_that_takes_half_of_the_error_away(tmp_path: Path) -> None:
    model, x = chain(), far(200, largest=300)
    report, layers = packed(model, tmp_path / "auto.nsm", x)
    assert layers == 2
    (remark,) = report.remarks
    assert remark.startswith("The first layer stays in float32: outputs are off by ")
    with pytest.warns(CalibrationWarning, match="Fixed point moves outputs by"):
        fixed, all_layers = packed(model, tmp_path / "fixed.nsm", x, ends="fixed")
    assert (all_layers, fixed.remarks) == (3, ())
    with torch.no_grad():
        exact = model(x).numpy()

    def off(name: str) -> float:
        lost = np.asarray(ns.load(tmp_path / name)(x.numpy())) - exact
        return float(np.sqrt(np.square(lost).mean() / np.square(exact).mean()))

    assert off("auto.nsm") < off("fixed.nsm") / 2
    assert f"{100 * off('auto.nsm'):.2g} % so, by {100 * off('fixed.nsm'):.2g} % in fixed point" in remark


def test_where_little_is_lost_all_layers_are_in_fixed_point(tmp_path: Path) -> None:
    report, layers = packed(chain(), tmp_path / "a.nsm", far(200, largest=1))
    assert (layers, report.remarks) == (3, ())


def test_both_ends_stay_in_float32_where_that_is_asked_for(tmp_path: Path) -> None:
    report, layers = packed(chain(), tmp_path / "a.nsm", far(50, largest=1), ends="float")
    assert layers == 1
    assert report.remarks == ("The first and the last layer stay in float32, as asked.",)


def test_ends_that_are_all_there_is_cant_stay_in_float32(tmp_path: Path) -> None:
    model = to_powers(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)))
    with pytest.raises(SettingError, match="leaves none of 2 layers in fixed point"):
        packed(model, tmp_path / "a.nsm", far(50, largest=1), ends="float")
    _, layers = packed(model, tmp_path / "a.nsm", far(50, largest=300))
    assert layers >= 1
