"""The two LeNets are the papers' own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from netsurgery.experiments.network_files import read_network
from netsurgery.train.digits import mnist
from netsurgery.train.loop import error_percent
from netsurgery.zoo.lenet import LeNet5, LeNet300


@pytest.mark.parametrize(("build", "count"), [(LeNet300, 266_610), (LeNet5, 431_080)])
def test_the_network_has_the_papers_number_of_parameters(build: type[nn.Module], count: int) -> None:
    model = build()
    assert sum(parameter.numel() for parameter in model.parameters()) == count
    assert model(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


@pytest.mark.parametrize(("build", "name", "error"), [(LeNet300, "lenet300", 2.28), (LeNet5, "lenet5", 0.91)])
def test_the_authors_reference_gives_the_authors_error(
    build: type[nn.Module], name: str, error: float, mnist_folder: Path, reference_folder: Path
) -> None:
    model = build()
    model.load_state_dict(read_network(model, reference_folder / f"{name}_reference.safetensors"))
    assert error_percent(model, mnist(mnist_folder).read_test()) == pytest.approx(error, abs=1e-9)


def test_skipping_dead_units_changes_neither_outputs_nor_gradients() -> None:
    torch.manual_seed(0)
    plain, skipping = LeNet5(), LeNet5(skip_dead_units=True)
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            parameter.mul_(torch.rand_like(parameter) < (0.5 if "fc2" in name or "bias" in name else 0.02))
        for layer, dead in ((plain.conv1, 12), (plain.conv2, 30), (plain.fc1, 400)):
            layer.weight[:dead] = 0
            layer.bias[:dead] = 0
        plain.conv2.weight[:, :10] = 0  # the first ten channels are dead on both sides
        plain.fc1.weight[:, : 25 * 16] = 0
        plain.fc2.weight[:, :350] = 0
    skipping.load_state_dict(plain.state_dict())
    images, labels = torch.rand(6, 1, 28, 28), torch.randint(0, 10, (6,))
    for model in (plain, skipping):
        nn.functional.cross_entropy(model(images), labels).backward()
    torch.testing.assert_close(skipping(images), plain(images))
    for left, right in zip(plain.parameters(), skipping.parameters(), strict=True):
        torch.testing.assert_close(right.grad, left.grad)
    assert [len(weight) for weight, _ in skipping._living()[:3]] == [10, 25, 150]


def test_a_network_of_zeros_can_still_be_trained() -> None:
    model = LeNet5(skip_dead_units=True)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    nn.functional.cross_entropy(model(torch.rand(2, 1, 28, 28)), torch.tensor([1, 2])).backward()
    assert model.fc2.bias.grad.count_nonzero() > 0
