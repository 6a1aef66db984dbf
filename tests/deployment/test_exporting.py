"""Packed networks of open axes as ONNX files: run by ONNX Runtime, at sizes that the examples did not have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsurgery as ns
from netsurgery.deployment.exporting import export_onnx
from netsurgery.runtime.session import read_packed

onnxruntime = pytest.importorskip("onnxruntime")


class Skip(nn.Module):
    """Half the size and back, joined with what was before: sizes are even."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 8, 3, padding=1), norm
        self.up, self.last = nn.ConvTranspose2d(8, 8, 2, 2), nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.first(x))
        return self.last(torch.cat([self.up(F.max_pool2d(x, 2)), x], 1))


class Rolled(nn.Module):
    """Rolled along open axes, in windows if asked for, as Swin transformers are."""

    def __init__(self, windows: bool) -> None:
        super().__init__()
        self.windows, self.linear = windows, nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.roll(x.permute(0, 2, 3, 1), (-2, 1), (1, 2))
        if self.windows:
            batch, h, w, channels = x.shape
            x = x.view(batch, h // 4, 4, w // 4, 4, channels).transpose(2, 3).reshape(-1, 16, channels)
            x = self.linear(x).view(batch, h // 4, w // 4, 4, 4, channels)
            return x.transpose(2, 3).reshape(batch, h, w, channels)
        return self.linear(x)


NETWORKS = {
    "a group norm": (nn.Sequential(nn.Conv2d(1, 8, 3), nn.GroupNorm(4, 8)), 1),
    "a skip with a group norm": (Skip(nn.GroupNorm(4, 8)), 1),
    "a skip with an instance norm": (Skip(nn.InstanceNorm2d(8, affine=True)), 1),
    "a skip with a batch norm": (Skip(nn.BatchNorm2d(8)), 1),
    "a roll": (Rolled(windows=False), 4),
    "a roll in windows": (Rolled(windows=True), 4),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_open_height_and_width_goes_to_onnx_and_runs_there_at_other_sizes(
    name: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model, channels = NETWORKS[name]
    packed, file = tmp_path / "net.nsm", tmp_path / "net.onnx"
    axes = {0: {0: "batch", 2: "h", 3: "w"}}
    ns.pack(model.eval(), packed, example_inputs=torch.randn(2, channels, 16, 16), open_axes=axes)
    report = export_onnx(read_packed(packed).graph, file)
    assert report.computed_by.startswith("onnxruntime")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for shape in ((1, channels, 8, 20), (3, channels, 28, 12)):
        x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        (found,) = session.run(None, {session.get_inputs()[0].name: x})
        with torch.no_grad():
            wanted = model(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ns.load(packed, threads=1)(x), wanted, rtol=1e-4, atol=1e-5)
