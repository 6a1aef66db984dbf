"""`pack(activations="fixed")`: what is asked for is rounded, nothing else, and what is wrong is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.analysis.fixed_point import fixed_layers
from netsurgery.deployment.calibration import batch_of, calibrated
from netsurgery.deployment.packing import PackReport
from netsurgery.errors import InputError, SettingError
from netsurgery.graph.ir import Array, Graph, GraphBuilder
from netsurgery.graph.passes import simplify
from netsurgery.runtime import reference

POWERS = 4
"""Exponents of a layer's weights, as 4 bits have them."""


def to_powers(model: nn.Module) -> nn.Module:
    """Every weight as INQ would leave it, without training."""
    with torch.no_grad():
        for weight in (one for one in model.parameters() if one.dim() > 1):
            powers = torch.exp2(weight.abs().clamp(min=1e-9).log2().round())
            small = powers < powers.max() / 2 ** (POWERS - 1)
            weight.copy_(torch.where(small, 0.0, powers) * weight.sign())
    return model.eval()


class Residual(nn.Module):
    """Convolutions with batch norm, a shortcut of another size, a pool and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.second, self.norm2 = nn.Conv2d(12, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16)
        self.shortcut, self.classify = nn.Conv2d(12, 16, 1, stride=2), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(self.norm2(self.second(x)) + self.shortcut(x))
        return self.classify(x.mean((2, 3)))


class Detached(nn.Module):
    """What stands between layers of powers may be anything."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.after(torch.sigmoid(self.before(x))), -1)


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 10, 10, generator=torch.Generator().manual_seed(seed))


def residual() -> nn.Module:
    torch.manual_seed(0)
    model = Residual()
    model(images(64))  # statistics of the norms
    return to_powers(model)


def packed(model: nn.Module, path: Path, inputs: Tensor, **settings: Any) -> PackReport:
    return ns.pack(model, path, example_inputs=inputs[:2], activations="fixed", calibration=[inputs], **settings)


def test_a_network_with_norms_and_shortcuts_is_near_to_what_it_was(tmp_path: Path) -> None:
    model, unseen = residual(), images(40, seed=1)
    report = packed(model, tmp_path / "a.nsm", images(64))
    assert report.difference == 0  # of what was asked for: bit for bit
    assert report.rounding_difference is not None
    with torch.no_grad():
        exact = model(unseen).numpy()
    given = ns.load(tmp_path / "a.nsm")(unseen.numpy())
    assert isinstance(given, np.ndarray)
    error = np.sqrt(np.square(given - exact).mean() / np.square(exact).mean())
    assert 0 < error < 0.02  # four layers, each on 8 bits and more


def test_engine_and_reference_give_the_same_bits(tmp_path: Path) -> None:
    packed(residual(), tmp_path / "a.nsm", images(64))
    for count in (1, 5, 33):
        x = images(count, seed=2).numpy()
        assert np.array_equal(ns.load(tmp_path / "a.nsm")(x), ns.load(tmp_path / "a.nsm", engine="reference")(x))


class Sketched(nn.Module):
    """Convolutions with batch norm, some of them grouped and depthwise, a residual and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 40, 3, padding=1, bias=False), nn.BatchNorm2d(40)
        self.grouped, self.deep = nn.Conv2d(40, 80, 3, padding=1, groups=2), nn.Conv2d(80, 80, 3, padding=1, groups=80)
        self.second, self.classify = nn.Conv2d(80, 40, 1), nn.Linear(40, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = torch.relu(self.second(torch.relu(self.deep(torch.relu(self.grouped(x))))) + x)
        return self.classify(x.mean((2, 3)))


def sketched(planes: int) -> Sketched:
    """Nothing is trained: each filter is the planes that come nearest to it."""
    torch.manual_seed(0)
    model = Sketched()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    operation = ns.attach(model, optimizer, ns.Sketching(planes=planes, steps=1))
    model(images(4)).sum().backward()
    optimizer.step()
    operation.finish()
    return model.eval()


@pytest.mark.parametrize("planes", [1, 2, 3, 5])
def test_layers_of_binary_planes_become_sums_of_whole_numbers(planes: int, tmp_path: Path) -> None:
    model, x = sketched(planes), images(64)
    report = packed(model, tmp_path / "a.nsm", x, ends="fixed")
    graph = ns.load(tmp_path / "a.nsm").graph
    made = [one for one in graph.nodes if one.operator == "QuantizePlanes"]
    assert len(made) == 5
    assert {one.attributes["planes"] for one in made} == {planes}
    assert not any("stay" in remark for remark in report.remarks)
    assert report.calibration_error is not None
    assert report.calibration_error.share < 0.05
    found = fixed_layers(graph)
    assert found is not None
    assert (found.layers, found.of) == (5, 5)


def test_planes_and_powers_of_two_may_stand_in_one_network(tmp_path: Path) -> None:
    model, x = sketched(2), images(64)
    with torch.no_grad():
        for weight in (model.second.weight, model.classify.weight):
            weight.copy_(torch.exp2(weight.abs().clamp(min=1e-3).log2().round()) * weight.sign())
    packed(model, tmp_path / "a.nsm", x, ends="fixed")
    operators = [one.operator for one in ns.load(tmp_path / "a.nsm").graph.nodes]
    assert operators.count("QuantizePlanes") == 3
    assert fixed_layers(ns.load(tmp_path / "a.nsm").graph).layers == 5  # type: ignore[union-attr]


def test_functions_between_layers_stay_floats(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = to_powers(Detached()), torch.randn(100, 6)
    packed(model, tmp_path / "a.nsm", x)
    with torch.no_grad():
        assert np.allclose(ns.load(tmp_path / "a.nsm")(x.numpy()), model(x).numpy(), atol=0.02)


def test_evaluate_is_asked_before_and_after(tmp_path: Path) -> None:
    model, x = residual(), images(32)
    with torch.no_grad():
        labels = model(x).argmax(1).numpy()
    report = packed(model, tmp_path / "a.nsm", x, evaluate=lambda network: (network(x).argmax(1) == labels).mean())
    assert report.metric_before == 1.0
    assert report.metric_after is not None
    assert report.metric_after >= 0.9


def test_layers_with_other_weights_stay_and_are_counted(tmp_path: Path) -> None:
    model = residual()
    with torch.no_grad():
        model.get_parameter("first.weight").normal_()
    report = packed(model, tmp_path / "a.nsm", images(64))
    assert any("1 of 4 layers" in remark for remark in report.remarks)


def test_nothing_is_rounded_unless_asked_for(tmp_path: Path) -> None:
    model, x = residual(), images(2)
    ns.pack(model, tmp_path / "a.nsm", example_inputs=x)
    assert "Quantize" not in {made.operator for made in ns.load(tmp_path / "a.nsm").graph.nodes}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"activations": "fixed"}, "needs calibration"),
        ({"activations": "integers"}, "must be 'float' or 'fixed'"),
        ({"calibration": []}, "takes neither calibration nor evaluate"),
        ({"evaluate": len}, "takes neither calibration nor evaluate"),
        ({"grids": {}}, "takes neither calibration nor evaluate"),
        ({"ends": "fixed"}, "takes neither calibration nor evaluate"),
        ({"activations": "fixed", "calibration": [], "ends": "first"}, "must be 'auto', 'fixed' or 'float'"),
        ({"activations": "fixed", "calibration": []}, "holds no batch"),
    ],
)
def test_settings_that_say_nothing_together_are_refused(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        ns.pack(residual(), tmp_path / "a.nsm", example_inputs=images(2), **settings)
    assert not list(tmp_path.iterdir())


def test_a_network_without_powers_of_two_or_planes_is_told_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="INQ first, without mantissa bits, or with"):
        packed(nn.Sequential(nn.Linear(4, 3)), tmp_path / "a.nsm", torch.randn(8, 4))


def test_values_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    x = images(4)
    x[0, 0, 0, 0] = float("nan")
    with pytest.raises(InputError, match="isn't finite"):
        ns.pack(residual(), tmp_path / "a.nsm", example_inputs=images(2), activations="fixed", calibration=[x])
    assert not list(tmp_path.iterdir())


def graph_of(values: Array) -> Graph:
    """A Linear of one weight, 1."""
    builder = GraphBuilder()
    x = builder.input("x", ("batch", values.shape[1]))
    weight = builder.constant(np.eye(values.shape[1], dtype=np.float32), "w")
    return simplify(builder.graph([builder.node("Linear", [x, weight])]), reference.run_node)


@pytest.mark.parametrize("spread", ["even", "normal", "with outliers", "positive"])
def test_no_other_power_of_two_rounds_with_less_error(spread: str) -> None:
    rng = np.random.default_rng(0)
    x = {
        "even": rng.uniform(-3, 3, (500, 2)),
        "normal": rng.normal(size=(500, 2)),
        "with outliers": np.where(rng.random((500, 2)) < 0.002, 90.0, rng.normal(size=(500, 2))),
        "positive": np.abs(rng.normal(size=(500, 2))),
    }[spread].astype(np.float32)
    made = next(one for one in calibrated(graph_of(x), [[x]]).graph.nodes if one.operator == "Quantize")
    assert made.attributes["signed"] == bool((x < 0).any())

    def error(exponent: int) -> float:
        attributes = {**made.attributes, "exponent": exponent}
        rounded = reference.run_node(type(made)("Quantize", ("x",), "y", attributes), [x])
        return float(np.square(rounded.astype(np.float64) - x).mean())

    chosen = int(str(made.attributes["exponent"]))
    assert all(error(chosen) <= error(other) for other in range(chosen - 12, chosen + 12))


def test_batches_come_as_loaders_give_them() -> None:
    inputs = graph_of(np.zeros((1, 2), np.float32)).inputs
    x = np.zeros((3, 2), np.float32)
    for given in (x, torch.tensor(x), [x], (torch.tensor(x), "labels"), {"x": x, "y": 1}):
        (array,) = batch_of(given, inputs)
        assert np.array_equal(array, x)
    (halves,) = batch_of(torch.ones(3, 2, dtype=torch.bfloat16), inputs)  # NumPy has no such type
    assert halves.dtype == np.float32
    assert (halves == 1).all()
    with pytest.raises(InputError, match="calibration batches hold a tensor on the meta device"):
        batch_of(torch.ones(3, 2, device="meta"), inputs)
    with pytest.raises(InputError, match="holds no 'x'"):
        batch_of({"y": x}, inputs)
    with pytest.raises(InputError, match="0 arrays"):
        batch_of([], inputs)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_what_is_not_finite_becomes_an_end_of_the_grid(engine: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = to_powers(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    x = torch.randn(50, 3)
    packed(model, tmp_path / "a.nsm", x, ends="fixed")
    network = ns.load(tmp_path / "a.nsm", engine=engine)
    (first, *_) = (made for made in network.graph.nodes if made.operator == "Quantize")
    assert first.attributes["signed"]
    reach = np.float32(
        (2 ** (int(str(first.attributes["bits"])) - 1) - 1) * 2.0 ** int(str(first.attributes["exponent"]))
    )
    for odd, instead in ((np.nan, -reach), (np.inf, reach), (-np.inf, -reach)):
        given, same = x.numpy().copy(), x.numpy().copy()
        given[:, 1], same[:, 1] = odd, instead
        outputs = np.asarray(network(given))
        assert np.isfinite(outputs).all()
        assert np.array_equal(outputs, np.asarray(network(same)))
