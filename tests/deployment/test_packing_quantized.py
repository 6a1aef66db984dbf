"""Networks of powers of two pack as exponents, and come back bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import netsurgery as ns
from netsurgery.cli.main import main
from netsurgery.runtime.session import read_packed

IMAGES = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def norm() -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(8)
    nn.init.uniform_(made.running_var, 0.5, 2.0)
    nn.init.uniform_(made.running_mean, -0.5, 0.5)
    return made


NETWORKS: dict[str, Callable[[], nn.Sequential]] = {
    "no norm": lambda: nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)),
    "a norm that is folded": lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3), norm(), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)
    ),
    "a norm that is not folded": lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), norm(), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)
    ),
}


def quantized(name: str, bits: int) -> nn.Sequential:
    """The network after surgery and quantization, trained for a few steps."""
    torch.manual_seed(0)
    model = NETWORKS[name]()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    stages = (ns.Stage(method=ns.NaiveCut(density=0.5)), ns.Stage(method=ns.INQ(bits=bits, steps=12)))
    operation = ns.attach(model, optimizer, ns.Plan(stages))
    for step in range(12):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(IMAGES), (torch.arange(6) + step) % 10).backward()
        optimizer.step()
    operation.finish()
    return model.eval()


@pytest.mark.parametrize("bits", [2, 3, 5])
@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_written_as_exponents_and_come_back_bit_for_bit(name: str, bits: int, tmp_path: Path) -> None:
    model, path = quantized(name, bits), tmp_path / "model.nsm"
    ns.pack(model, path, example_inputs=IMAGES, names=True)
    packed = read_packed(path)
    for weight in (f"{index}.weight" for index, layer in enumerate(model) if isinstance(layer, nn.Conv2d | nn.Linear)):
        folded = name == "a norm that is folded" and weight == "0.weight"
        expected = dict(model.named_parameters())[weight].detach().numpy()
        assert packed.stored[weight].encoding == ("scaled powers of two" if folded else "powers of two")
        if not folded:  # units may have changed places
            found = packed.graph.constants[weight].values
            np.testing.assert_array_equal(np.sort(found[found != 0]), np.sort(expected[expected != 0]))
            assert np.unique(np.abs(found[found != 0])).size <= 2 ** (bits - 2)
    with torch.no_grad():
        expected_outputs = model(IMAGES).numpy()
    # Sums of at most 288 products in another order, through two layers and a norm: sqrt(288) * eps each.
    tolerance = 3 * 17 * np.finfo(np.float32).eps * np.abs(expected_outputs).max()
    np.testing.assert_allclose(ns.load(path)(IMAGES.numpy()), expected_outputs, rtol=0, atol=tolerance)


def test_info_shows_the_bits_per_weight(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.nsm"
    model = quantized("no norm", 3)
    ns.pack(model, path, example_inputs=IMAGES, names=True)
    assert main(["info", str(path)]) == 0
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line}
    kept = int(model[3].weight.count_nonzero())
    assert rows["3.weight"][1:6] == ["10x288", "powers", "of", "two", "4"]
    assert float(rows["3.weight"][7]) < 2.3  # half of them are 0
    assert float(rows["3.weight"][7]) * 2880 == pytest.approx(float(rows["3.weight"][8]) * kept, rel=0.01)
    assert main(["info", str(path), "--json"]) == 0
    tensors = {tensor["name"]: tensor for tensor in json.loads(capsys.readouterr().out)["tensors"]}
    assert tensors["3.weight"]["bits_per_weight"] == pytest.approx(float(rows["3.weight"][7]), abs=0.006)
    assert tensors["3.bias"]["encoding"] != "powers of two"
