"""Grids of sums that functions in float32 read: their error is that of what the functions make of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tests.deployment.test_fixed_activations import to_powers
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.deployment.calibration import calibrated
from netsurgery.graph.ir import Graph, GraphBuilder, Node
from netsurgery.runtime import reference


class WithFunction(nn.Module):
    """Two convolutions, of which one channel of the second gives numbers 2^10 times those of the others; a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3)
        to_powers(self)
        with torch.no_grad():
            self.second.weight[0] *= 2**10
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.second(torch.relu(self.first(x))))


def images(count: int, seed: int = 1) -> Tensor:
    return torch.randn(count, 4, 12, 12, generator=torch.Generator().manual_seed(seed))


def off(path: Path, model: nn.Module, x: Tensor) -> float:
    """The root mean square of what outputs are off by, as a share of their own."""
    with torch.no_grad():
        exact = model(x).numpy()
    return float(np.linalg.norm(np.asarray(ns.load(path)(x.numpy())) - exact) / np.linalg.norm(exact))


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu6": nn.functional.relu6,
    "hardtanh": nn.functional.hardtanh,
    "a cut between numbers of any grid": lambda x: torch.clamp(x, -0.3, 0.7),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "hard sigmoid": nn.functional.hardsigmoid,
    "a pool, then a cut": lambda x: nn.functional.relu6(nn.functional.max_pool2d(x, 2)),
    "a sum, then a cut": lambda x: nn.functional.relu6(x + 1.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_channel_that_a_function_cuts_off_makes_no_grid_coarse(name: str, tmp_path: Path) -> None:
    model = WithFunction(FUNCTIONS[name]).eval()
    with torch.no_grad():
        model.second.weight[0].abs_().neg_()  # that channel is far below 0, where these functions say nothing more
    x = images(32)
    ns.pack(model, tmp_path / "a.nsm", example_inputs=x[:2], activations="fixed", calibration=[x], ends="fixed")
    step = max(2.0 ** int(one.attributes["exponent"]) for one in quantized(ns.load(tmp_path / "a.nsm").graph)[2:])
    assert step <= 2**-5
    assert off(tmp_path / "a.nsm", model, images(32, seed=2)) < 0.04


def quantized(graph: Graph) -> list[Node]:
    return [made for made in graph.nodes if made.operator == "Quantize"]


def test_of_the_grids_of_sums_the_one_of_least_error_behind_their_function_is_taken() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 2))
    sums = builder.node("Linear", [x, builder.constant(np.array([[1, 2], [1024, 2048]], np.float32))])
    graph = builder.graph([builder.node("Clip", [sums], minimum=-1.0, maximum=6.0)])
    values = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    made = quantized(calibrated(graph, [[values]]).graph)[-1]
    raw = values.astype(np.float64) @ [[1, 1024], [2, 2048]]

    def error(exponent: int) -> float:
        total = 0.0
        for numbers in (raw, 2 * raw):
            rounded = reference.run_node(
                Node("Quantize", ("x",), "y", {**made.attributes, "exponent": exponent}), [numbers.astype(np.float32)]
            )
            cut = np.clip(numbers, -1, 6)
            total += float(np.square(np.clip(rounded, -1, 6) - cut).mean() / np.square(cut).mean())
        return total

    chosen = int(str(made.attributes["exponent"]))
    assert all(error(chosen) <= error(other) * (1 + 1e-3) for other in range(chosen - 6, chosen + 14))
    assert chosen == -8  # 2047 of them reach 6, half as large ones don't


@pytest.mark.parametrize("follows", ["Relu", "Abs", "MaxPool"])
def test_where_nothing_is_cut_a_grid_reaches_twice_the_largest_value(follows: str) -> None:
    builder = GraphBuilder()
    x = builder.input("x", ("batch", 3, 4))
    sums = builder.node("Conv", [x, builder.constant(np.ones((2, 3, 1), np.float32))],
                        strides=(1,), pads=(0, 0), dilations=(1,), groups=1)  # fmt: skip
    attributes = {"kernel": (2,), "strides": (2,), "pads": (0, 0), "dilations": (1,)} if follows == "MaxPool" else {}
    graph = builder.graph([builder.node(follows, [sums], **attributes)])
    values: npt.NDArray[np.float32] = np.random.default_rng(0).normal(size=(200, 3, 4)).astype(np.float32)
    made = quantized(calibrated(graph, [[values]]).graph)[-1]
    largest = np.abs(values.sum(1)).max()
    step = 2.0 ** int(str(made.attributes["exponent"]))
    assert 2047 * step >= 2 * largest > 2047 * step / 2


def test_a_value_that_several_functions_read_has_a_grid_that_suits_them_all(tmp_path: Path) -> None:
    model = WithFunction(lambda x: x * torch.sigmoid(x)).eval()  # beyond 6 a sigmoid alone wouldn't see anything
    x = images(32)
    ns.pack(model, tmp_path / "a.nsm", example_inputs=x[:2], activations="fixed", calibration=[x], ends="fixed")
    assert off(tmp_path / "a.nsm", model, images(32, seed=2)) < 0.04


def test_batches_of_one_example_and_inputs_of_fixed_sizes_do_as_well(tmp_path: Path) -> None:
    model, x = WithFunction(nn.functional.relu6).eval(), images(8)
    for name, axes in (("open", None), ("fixed", {})):
        path = tmp_path / f"{name}.nsm"
        ns.pack(
            model, path, example_inputs=x[:1], open_axes=axes, activations="fixed", calibration=[*x.split(1)],
            ends="fixed",
        )  # fmt: skip
        assert quantized(ns.load(path).graph)[-1].attributes["exponent"] == -8
