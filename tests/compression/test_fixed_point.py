"""Where the fastest network is asked for, activations in fixed point are tried, and judged on the packed file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.compression.networks import Given, pictures, sequences
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.compression.packed_module import PackedModule
from netsurgery.compression.result import Compression
from netsurgery.compression.workshop import Workshop
from netsurgery.errors import InputError
from netsurgery.runtime.session import Session

pytestmark = pytest.mark.filterwarnings("ignore::netsurgery.errors.LooseLimitWarning")


def fixed_takes(factor: float) -> Callable[[Workshop, Path], float]:
    """Latencies as if a file in fixed point took so many times as long as one in floats, and the reference longer."""

    def latency_us(_: Workshop, path: Path) -> float:
        if path.name == "network-000.nsm":
            return 300.0
        return 100.0 * factor if path.name.endswith(".fixed.nsm") else 100.0

    return latency_us


def quantized(given: Given, out: Path, **more: Any) -> Compression:
    settings: dict[str, Any] = {"loss": given.loss, "max_loss": 0.3, "budget": 130, "objective": "latency"}
    settings["optimizer"] = lambda parameters: torch.optim.SGD(parameters, 0.02, momentum=0.9)
    return ns.compress(
        given.model, given.batches, more.pop("evaluate", given.evaluate), methods="inq", out=out, **settings | more
    )


def rounds_activations(path: Path) -> bool:
    return any(node.operator == "Quantize" for node in ns.load(path).graph.nodes)


def test_a_faster_network_in_fixed_point_that_holds_the_limit_is_the_one_that_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workshop, "_latency_us", fixed_takes(0.5))
    given = pictures()
    result = quantized(given, tmp_path / "out")
    assert result.best.activations == "fixed"
    assert rounds_activations(result.path)
    assert "activations in fixed point" in str(result)
    assert "activations in fixed point" in result.report.read_text(encoding="utf-8")
    # The metric is that of the file, not of the module.
    images, labels = given.held_out
    outputs = torch.from_numpy(ns.load(result.path)(images.numpy()))
    assert result.best.value == pytest.approx(float((outputs.argmax(1) == labels).float().mean()))
    assert not list((tmp_path / "out").glob("*.fixed.nsm"))


@pytest.mark.parametrize(("factor", "objective"), [(2.0, "latency"), (0.5, "size")])
def test_where_it_is_no_faster_or_size_is_asked_for_floats_stay(
    factor: float, objective: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workshop, "_latency_us", fixed_takes(factor))
    result = quantized(pictures(), tmp_path / "out", objective=objective)
    assert result.best.activations == "float"
    assert not rounds_activations(result.path)
    assert not list((tmp_path / "out").glob("*.fixed.nsm"))


def test_an_evaluate_that_no_packed_network_serves_leaves_floats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workshop, "_latency_us", fixed_takes(0.5))
    given = pictures()

    def evaluate(model: nn.Module) -> Tensor:
        model.head(torch.zeros(1, 12))  # type: ignore[operator]
        return given.evaluate(model)

    result = quantized(given, tmp_path / "out", evaluate=evaluate)
    assert result.best.activations == "float"
    assert result.best.number
    assert not list((tmp_path / "out").glob("*.fixed.nsm"))


def packed(given: Given, tmp_path: Path, *inputs: Tensor) -> PackedModule:
    ns.pack(given.model, tmp_path / "a.nsm", example_inputs=inputs)
    return PackedModule(ns.load(tmp_path / "a.nsm"), ("ids", "scale"), torch.device("cpu"))


def test_a_packed_network_is_called_as_the_module_is(tmp_path: Path) -> None:
    given = sequences()
    ids, scale = given.held_out["ids"][:7], given.held_out["scale"][:7]
    network = packed(given, tmp_path, ids, scale)
    expected = given.model(ids, scale).detach()
    for outputs in (network(ids, scale), network(ids, scale=scale), network(ids=ids, scale=scale)):
        torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=1e-6)
    assert not network.training
    for wrong in ((ids.tolist(), scale), (ids, None)):
        with pytest.raises(InputError, match="tensors alone"):
            network(*wrong)
    with pytest.raises(InputError, match="tensors alone"):
        network(ids, scales=scale)
    assert isinstance(network._session, Session)
