"""The networks are those of the papers: counts as published, in all and layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.pictures.narrow import narrow
from torch import Tensor, nn

import netsurgery as ns
from netsurgery import zoo
from netsurgery.errors import SettingError
from netsurgery.zoo import ZOO
from netsurgery.zoo.googlenets import GoogLeNet, Scores


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@torch.no_grad()
def thin(network: nn.Module) -> None:
    """One connection in a hundred is kept, so that packing takes less time."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight *= torch.rand(layer.weight.shape) < 0.01


@pytest.mark.parametrize("name", ZOO)
def test_a_network_has_as_many_parameters_as_were_published_and_sees_its_images(name: str) -> None:
    architecture = ZOO[name]
    with torch.device("meta"):
        network = architecture.deployed()
        scores = network(torch.zeros(2, *architecture.shape))
    assert parameters(network) == architecture.parameters
    assert scores.shape == (2, architecture.classes)


ALEXNET = {"conv1": 35, "conv2": 307, "conv3": 885, "conv4": 664, "conv5": 443, "fc1": 38e3, "fc2": 17e3, "fc3": 4e3}
"""Thousands of parameters by layer: Guo, Yao, Chen 2016, table 4."""


def test_alexnets_layers_are_those_of_the_papers_table() -> None:
    with torch.device("meta"):
        network = zoo.alexnet()
    counts = {name: parameters(layer) / 1000 for name, layer in network.named_children() if parameters(layer)}
    assert counts.keys() == ALEXNET.keys()
    for name, count in counts.items():
        unit = 1000 if ALEXNET[name] >= 1000 else 1
        assert round(count / unit) == ALEXNET[name] / unit or int(count / unit) == ALEXNET[name] / unit, name


VGG = (2, 37, 74, 148, 295, 590, 590, 1_180, 2_360, 2_360, 2_360, 2_360, 2_360, 102_765, 16_781, 4_097)
"""Thousands of parameters by layer: weights of 3x3 and linear layers, table 1 D, and their biases."""


def test_vggs_layers_are_those_of_its_configuration() -> None:
    with torch.device("meta"):
        network = zoo.vgg16()
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert [round(parameters(layer) / 1000) for layer in layers] == list(VGG)


RESNET_STAGES = {"resnet18": (148, 526, 2_100, 8_394), "resnet50": (216, 1_220, 7_098, 14_965)}
"""Thousands of parameters in each stage."""


@pytest.mark.parametrize("name", RESNET_STAGES)
def test_the_stages_of_residual_networks_have_the_papers_blocks(name: str) -> None:
    with torch.device("meta"):
        network = ZOO[name].build()
    stages = [getattr(network, f"layer{number}") for number in (1, 2, 3, 4)]
    assert [round(parameters(stage) / 1000) for stage in stages] == list(RESNET_STAGES[name])
    layers = [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear) and "downsample" not in name
    ]
    assert len(layers) == int(name.removeprefix("resnet"))


GOOGLENET = {
    "inception3a": 159,
    "inception3b": 380,
    "inception4a": 364,
    "inception4b": 437,
    "inception4d": 580,
    "inception4e": 840,
    "inception5a": 1_072,
    "inception5b": 1_388,
    "fc": 1_000,
}
"""Thousands of parameters by module: Szegedy et al. 2015, table 1 (where 463 of inception4c is a slip)."""


def test_googlenets_modules_are_those_of_the_papers_table() -> None:
    with torch.device("meta"):
        network = zoo.googlenet()
    for name, thousands in GOOGLENET.items():
        assert parameters(getattr(network, name)) / 1000 == pytest.approx(thousands, rel=0.05), name


@pytest.mark.parametrize("build", [zoo.googlenet, zoo.googlenet_bn])
def test_auxiliary_classifiers_count_in_training_and_are_gone_in_deployment(
    build: Callable[..., GoogLeNet],
) -> None:
    torch.manual_seed(0)
    network, images, labels = build(classes=7, size=32), torch.randn(3, 3, 32, 32), torch.tensor([0, 1, 6])
    outputs = network(images)
    assert isinstance(outputs, Scores)
    assert [output.shape for output in outputs] == [(3, 7)] * 3
    entropy = nn.functional.cross_entropy
    loss = zoo.with_auxiliary(entropy)(outputs, labels)
    others = entropy(outputs.auxiliary1, labels) + entropy(outputs.auxiliary2, labels)
    assert loss.item() == pytest.approx((entropy(outputs.scores, labels) + 0.3 * others).item())
    loss.backward()
    assert all(parameter.grad is not None for parameter in network.parameters())

    scores = network.eval()(images)
    assert zoo.with_auxiliary(entropy)(scores, labels).item() == pytest.approx(entropy(scores, labels).item())
    with_heads = parameters(network)
    assert torch.equal(network.without_heads()(images), scores)
    assert parameters(network) < with_heads


def test_a_packed_googlenet_is_without_auxiliary_classifiers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    with narrow():
        network, images = zoo.googlenet(classes=7, size=32).eval(), torch.randn(3, 3, 32, 32)
    thin(network)
    report = ns.pack(network, tmp_path / "network.nsm", example_inputs=images)
    assert report.difference < 1e-4
    lean = ns.pack(network.without_heads(), tmp_path / "lean.nsm", example_inputs=images)
    assert lean.size_bytes == report.size_bytes
    assert lean.dense_bytes < report.dense_bytes


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: zoo.alexnet(classes=5, size=67), (3, 67, 67)),
        (lambda: zoo.alexnet_bn(classes=5, size=67), (3, 67, 67)),
        (lambda: zoo.vgg16_bn(classes=5, size=32), (3, 32, 32)),
        (lambda: zoo.resnet18(classes=5, size=32), (3, 32, 32)),
    ],
    ids=["alexnet", "alexnet-bn", "vgg16-bn-32", "resnet18-32"],
)
def test_other_classes_and_sizes_train_and_pack(
    build: Callable[[], nn.Module], shape: tuple[int, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    with narrow():
        network, images = build(), torch.randn(4, *shape)
    outputs = network(images)
    zoo.with_auxiliary(nn.functional.cross_entropy)(outputs, torch.tensor([0, 1, 2, 4])).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    thin(network)
    report = ns.pack(network, tmp_path / "network.nsm", example_inputs=images)
    assert report.difference < 1e-4
    assert ns.load(tmp_path / "network.nsm")(images.numpy()).shape == (4, 5)


def test_alexnet_leaves_six_pixels_of_224_as_of_227() -> None:
    with torch.device("meta"):
        assert zoo.alexnet(size=224).fc1.in_features == zoo.alexnet().fc1.in_features == 256 * 6 * 6


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: zoo.alexnet(size=66), "size=66 is not allowed"),
        (lambda: zoo.alexnet(classes=0), "classes=0 is not allowed"),
        (lambda: zoo.vgg16(size=100), "multiple of 32"),
        (lambda: zoo.vgg16(size="224"), "size='224' is not allowed"),  # type: ignore[arg-type]
        (lambda: zoo.vgg16(dropout=1.5), "dropout=1.5 is not allowed"),
        (lambda: zoo.googlenet(size=64), "from 96 on"),
        (lambda: zoo.resnet50(size=31), "size=31 is not allowed"),
        (lambda: zoo.resnet18(classes=2.5), "classes=2.5 is not allowed"),  # type: ignore[arg-type]
    ],
)
def test_settings_that_make_no_network_are_refused(build: Callable[[], nn.Module], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        build()


def test_local_response_normalisation_is_caffes() -> None:
    """alpha is divided by the window: x / (1 + 1e-4 / 5 * sum of 5 squares)^0.75."""
    values = 100 * torch.randn(1, 9, 2, 2)
    norm = zoo.alexnet(size=67).norm
    squares = nn.functional.pad(values.square(), (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1).sum(dim=-1)
    expected: Tensor = values / (1 + 1e-4 / 5 * squares) ** 0.75
    assert torch.allclose(norm(values), expected, rtol=1e-5)
