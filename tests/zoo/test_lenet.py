"""The two LeNets are the papers' own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from netsurgery.train.data import mnist
from netsurgery.train.loop import error_percent
from netsurgery.zoo.lenet import LeNet5, LeNet300
from netsurgery.zoo.reproduction import read_network


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
