"""What an operation knows of its weights reaches the file: nothing has to be told from values again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import netsurgery as ns  # noqa: E402
from netsurgery.graph.weights import Planes, Powers  # noqa: E402


class Depthwise(nn.Module):
    """Short rows (9 weights), rows of 1x1 convolutions, batch norm behind each."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.pointwise = nn.Conv2d(8, 16, 1, bias=False)
        self.head = nn.Linear(16 * 36, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.pointwise(torch.relu(self.norm(self.depthwise(x))))).flatten(1))


def operated(method: object, steps: int) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model, images = Depthwise(), torch.rand(8, 8, 6, 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    operation = ns.attach(model, optimizer, method)
    for _ in range(steps):
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()
    operation.finish()
    model.operation = operation  # it knows as long as it lives
    return model.eval(), images


@pytest.mark.parametrize("sharing", [1, 3])
@pytest.mark.parametrize("planes", range(1, 9))
def test_sketches_of_any_number_of_planes_pack_as_planes_also_in_short_rows_and_behind_batch_norm(
    planes: int, sharing: int, tmp_path: Path
) -> None:
    model, images = operated(ns.Sketching(planes=planes, sharing=sharing, steps=2), 2)
    ns.pack(model, tmp_path / "net.nsm", example_inputs=images, names=True)
    network = ns.load(tmp_path / "net.nsm")
    constants = network.graph.constants
    head = constants["head.weight"]
    assert isinstance(head, Planes)
    assert head.planes == planes
    assert head.values.tobytes() == model.head.weight.detach().numpy().tobytes()
    np.testing.assert_allclose(network(images.numpy()), model(images).detach().numpy(), rtol=0, atol=1e-5)


def test_sketches_that_share_scales_are_no_larger_than_the_planes_and_scales_they_are(tmp_path: Path) -> None:
    """Five planes of shared scales couldn't be told from their sums: they were written as floats."""
    model, images = operated(ns.Sketching(planes=5, sharing=4, steps=2), 2)
    report = ns.pack(model, tmp_path / "net.nsm", example_inputs=images)
    weights = model.head.weight.numel() + model.pointwise.weight.numel()
    assert report.size_bytes < weights * 5 / 8 + 2_500


def test_powers_of_two_are_powers_in_the_file(tmp_path: Path) -> None:
    model, images = operated(ns.INQ(bits=3, steps=16), 16)
    ns.pack(model, tmp_path / "net.nsm", example_inputs=images, names=True)
    network = ns.load(tmp_path / "net.nsm")
    head = network.graph.constants["head.weight"]
    assert isinstance(head, Powers)
    assert (
        np.sort(head.values, 1).tobytes() == np.sort(model.head.weight.detach().numpy(), 1).tobytes()
    )  # units are ordered
    np.testing.assert_allclose(network(images.numpy()), model(images).detach().numpy(), rtol=0, atol=1e-5)


def test_what_was_written_over_afterwards_is_packed_as_it_is(tmp_path: Path) -> None:
    model, images = operated(ns.Sketching(planes=2, steps=2), 2)
    with torch.no_grad():
        model.head.weight[0, 0] = 0.123
    ns.pack(model, tmp_path / "net.nsm", example_inputs=images, names=True)
    head = ns.load(tmp_path / "net.nsm").graph.constants["head.weight"]
    assert head.values.tobytes() == model.head.weight.detach().numpy().tobytes()


@pytest.mark.parametrize(
    "method",
    [
        ns.Surgery(density=0.5, steps=12),
        ns.INQ(bits=3, steps=12),
        ns.INQ(bits=3, steps=12, per_channel=True),
        ns.Sketching(planes=2, steps=12),
        ns.Sketching(planes=2, steps=12, sharing=2),
    ],
    ids=repr,
)
def test_channels_that_lie_last_in_memory_pack_as_they_do_first(method: object, tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten(), nn.Linear(24, 5)
    model, images = nn.Sequential(*layers).to(memory_format=torch.channels_last), torch.rand(8, 3, 6, 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    operation = ns.attach(model, optimizer, method)
    for _ in range(12):
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()
    operation.finish()
    assert not model[3].weight.is_contiguous()
    model.eval()
    ns.pack(model, tmp_path / "last.nsm", example_inputs=images)
    np.testing.assert_allclose(
        ns.load(tmp_path / "last.nsm")(images.numpy()), model(images).detach().numpy(), rtol=0, atol=1e-5
    )
    model.to(memory_format=torch.contiguous_format)
    ns.pack(model, tmp_path / "first.nsm", example_inputs=images)
    assert (tmp_path / "first.nsm").read_bytes() == (tmp_path / "last.nsm").read_bytes()
