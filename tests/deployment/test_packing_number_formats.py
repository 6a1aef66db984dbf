"""Torch models in other floats than float32, and TorchScript modules: packed, and what is told of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import netsurgery as ns
from netsurgery.errors import CaptureError


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)).eval()


@pytest.mark.parametrize(
    ("kind", "weights"), [(torch.float16, "the same"), (torch.bfloat16, "the same"), (torch.float64, "rounded")]
)
def test_a_model_in_other_floats_packs_in_float32(tmp_path, kind, weights):
    model = network().to(kind)
    images = torch.randn(2, 1, 8, 8, dtype=kind)
    report = ns.pack(model, tmp_path / "model.nsm", example_inputs=images)
    name = str(kind).removeprefix("torch.")
    assert report.remarks == (f"It computes in {name}; netsurgery computes in float32, from {weights} weights.",)
    assert report.remarks[0] in str(report)
    assert {parameter.dtype for parameter in model.parameters()} == {kind}
    with torch.no_grad():
        wanted = model.float()(images.float()).numpy()
    np.testing.assert_allclose(ns.load(tmp_path / "model.nsm")(images.float().numpy()), wanted, rtol=0, atol=1e-5)


def test_a_model_of_several_floats_packs(tmp_path):
    model = network()
    model[4].half()
    report = ns.pack(model, tmp_path / "model.nsm", example_inputs=torch.randn(2, 1, 8, 8))
    assert report.remarks == ("It computes in float16; netsurgery computes in float32, from the same weights.",)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("make", [lambda model, x: torch.jit.trace(model, x), lambda model, _: torch.jit.script(model)])
def test_a_torchscript_module_packs_as_the_module_that_it_was_made_from(tmp_path, make):
    model, images = network(), torch.randn(2, 1, 8, 8)
    report = ns.pack(make(model, images), tmp_path / "model.nsm", example_inputs=images)
    assert report.axes == ("batch",)
    assert report.size_bytes == ns.pack(model, tmp_path / "same.nsm", example_inputs=images).size_bytes
    with torch.no_grad():
        wanted = model(images).numpy()
    np.testing.assert_allclose(ns.load(tmp_path / "model.nsm")(images.numpy()), wanted, rtol=0, atol=1e-5)


class Counts(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        while bool(x.sum() > 0):
            x = x - 1
        return x


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_module_that_torch_can_not_convert_is_refused_with_what_to_give(tmp_path):
    with pytest.raises(CaptureError, match=r"TorchScript|operator|control flow|doesn't have"):
        ns.pack(torch.jit.script(Counts()), tmp_path / "model.nsm", example_inputs=torch.ones(2, 3))
    assert not (tmp_path / "model.nsm").exists()
