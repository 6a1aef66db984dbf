"""The figures of docs/methods/network-sketching.md are those of the reference network."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import netsurgery as ns
from netsurgery.analysis.operation_counts import OperationCounts, counts_of
from netsurgery.deployment.comparison import largest_difference
from netsurgery.methods.expansion import expand
from netsurgery.train.digits import mnist
from netsurgery.zoo.lenet import LeNet5

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "methods" / "network-sketching.md").read_text(encoding="utf-8")
POSITIONS = {"conv1": 24 * 24, "conv2": 8 * 8, "fc1": 1, "fc2": 1}


@pytest.fixture
def weights(reference_folder: Path) -> dict[str, Tensor]:
    return load_file(reference_folder / "lenet5_reference.safetensors")


def counts(weight: Tensor, planes: int, positions: int) -> OperationCounts:
    codes = expand(weight.flatten(1), planes).codes.numpy()
    return counts_of([(codes >> np.arange(planes)[:, None, None] & 1).astype(np.uint8)], positions)


def test_the_table_of_additions_is_what_the_layers_take(weights: dict[str, Tensor]) -> None:
    rows = re.findall(r"^\| (conv1|conv2|fc1|fc2) \| (\d) \| (.*) \|$", PAGE, flags=re.MULTILINE)
    assert len(rows) == 12
    for layer, planes, cells in rows:
        found = counts(weights[f"{layer}.weight"], int(planes), POSITIONS[layer])
        assert found.tree_additions is not None
        additions = (found.dense_additions, found.plain_additions, found.tree_additions, found.stretch_additions)
        shares = (found.plain_additions / found.tree_additions, found.plain_additions / found.stretch_additions)
        assert cells.split(" | ") == [*(f"{count:,}" for count in additions), *(f"{share:.2f}x" for share in shares)]


def test_the_table_of_errors_is_what_the_sketch_of_two_planes_makes(
    weights: dict[str, Tensor], mnist_folder: Path
) -> None:
    test, model = mnist(mnist_folder).read_test(), LeNet5().eval()
    for name, refined in (("direct", False), ("refined", True)):
        sketched = {
            name: expand(tensor.flatten(1), 2, refined).total.view_as(tensor) if tensor.dim() > 1 else tensor
            for name, tensor in weights.items()
        }
        model.load_state_dict(sketched)
        with torch.no_grad():
            scores = torch.cat([model(part) for part in test.images.split(1_000)])
        error_percent = 100 * float((scores.argmax(dim=1) != test.labels).float().mean())
        stated = re.search(rf"^\| {name} \| [\d.]+ \| ([\d.]+) ", PAGE, flags=re.MULTILINE)
        assert stated is not None
        assert error_percent == pytest.approx(float(stated[1]), abs=0.03)


@pytest.mark.parametrize("planes", [1, 4, 5])
def test_the_table_of_bytes_is_what_files_take_and_the_engine_runs_them_as_the_reference_does(
    weights: dict[str, Tensor], planes: int, tmp_path: Path
) -> None:
    model = LeNet5().eval()
    model.load_state_dict(
        {
            name: expand(tensor.flatten(1), planes).total.view_as(tensor) if tensor.dim() > 1 else tensor
            for name, tensor in weights.items()
        }
    )
    images = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "lenet5.nsm"
    size_bytes = ns.pack(model, path, example_inputs=(images,)).size_bytes
    (row,) = re.findall(r"^\| whole file, bytes \| (.*) \|$", PAGE, flags=re.MULTILINE)
    assert f"{size_bytes:,}" == row.split(" | ")[planes - 1]
    fast, slow = (ns.load(path, engine=engine)(images.numpy()) for engine in ("native", "reference"))
    assert largest_difference([fast], [slow]) <= 1e-5  # sums of at most 800 terms, in another order
