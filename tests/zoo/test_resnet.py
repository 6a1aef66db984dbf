"""The residual networks are those of the paper, with the keys of the public references."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from netsurgery.errors import DataError
from netsurgery.experiments.network_files import read_network, write_network
from netsurgery.train.cifar import cifar10
from netsurgery.train.loop import error_percent
from netsurgery.train.split import Split
from netsurgery.zoo.resnet import Block, resnet20, resnet32, resnet44, resnet56

NETWORKS = {"resnet20": resnet20, "resnet32": resnet32, "resnet44": resnet44, "resnet56": resnet56}
COUNTS = {"resnet20": 269_722, "resnet32": 464_154, "resnet44": 658_586, "resnet56": 853_018}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_has_the_papers_layers(name: str) -> None:
    model = NETWORKS[name]()
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == int(name.removeprefix("resnet"))
    assert sum(parameter.numel() for parameter in model.parameters()) == COUNTS[name]
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("name", ["resnet20", "resnet56"])
def test_keys_and_shapes_are_those_of_the_public_references(name: str, reference_folder: Path) -> None:
    found = load_file(reference_folder / f"cifar10_{name}_reference.safetensors")
    own = {key: tensor for key, tensor in NETWORKS[name]().state_dict().items() if "num_batches" not in key}
    assert {key: tensor.shape for key, tensor in found.items()} == {key: tensor.shape for key, tensor in own.items()}


def test_a_shortcut_takes_every_second_pixel_and_pads_channels_on_both_sides() -> None:
    block = Block(2, 4, stride=2)
    images = torch.rand(1, 2, 6, 6)
    shortcut = block._shortcut(images)
    assert torch.equal(shortcut[:, 1:3], images[:, :, ::2, ::2])
    assert not shortcut[:, [0, 3]].any()


@pytest.mark.parametrize(("name", "wrong"), [("resnet20", 38), ("resnet56", 30)])
def test_the_public_reference_classifies_as_it_is_known_to(
    name: str, wrong: int, cifar10_folder: Path, reference_folder: Path
) -> None:
    model, test = NETWORKS[name](), cifar10(cifar10_folder).read_test()
    model.load_state_dict(read_network(model, reference_folder / f"cifar10_{name}_reference.safetensors"))
    first = Split(test.images[:500], test.labels[:500], test.normalization)
    assert error_percent(model, first) == pytest.approx(100 * wrong / 500, abs=0.21)  # one image on the edge


def test_a_file_with_and_without_counts_of_batches_is_read(tmp_path: Path) -> None:
    model = resnet20()
    model.bn1.num_batches_tracked.fill_(7)
    write_network(model, tmp_path / "with.safetensors")
    lean = {key: tensor for key, tensor in model.state_dict().items() if "num_batches" not in key}
    save_file(lean, tmp_path / "without.safetensors")
    assert int(read_network(resnet20(), tmp_path / "with.safetensors")["bn1.num_batches_tracked"]) == 7
    found = read_network(resnet20(), tmp_path / "without.safetensors")
    assert int(found["bn1.num_batches_tracked"]) == 0
    assert all(torch.equal(found[key], tensor) for key, tensor in lean.items())


@pytest.mark.parametrize(
    ("build", "says"),
    [(resnet32, "missing: layer1.3.conv1.weight"), (resnet20, "and 2 more")],
    ids=["another depth", "other shapes"],
)
def test_another_network_is_refused_and_the_differences_are_named(
    build: Callable[[], nn.Module], says: str, tmp_path: Path
) -> None:
    other = resnet20().state_dict()
    if build is resnet20:
        for key in ("conv1.weight", "bn1.bias", "bn1.running_var", "linear.weight", "linear.bias"):
            other[key] = other[key].new_zeros(3)
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match=r"other\.safetensors doesn't hold the weights") as caught:
        read_network(build(), tmp_path / "other.safetensors")
    assert says in str(caught.value)
