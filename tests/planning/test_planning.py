"""Counts are those of the networks themselves, and files hold what a row says."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from netsurgery.planning.counts import counts_of
from netsurgery.planning.drawn_weights import Spread, drawn_network, prune, quantize
from netsurgery.planning.measured_file import measured_file
from netsurgery.planning.published import ALEXNET_DENSITIES, ROWS, PublishedRow, rows_of
from netsurgery.zoo import ZOO

OPERATIONS = {"alexnet": 724.4e6, "vgg16": 15.47e9, "googlenet": 1.58e9, "resnet18": 1.814e9, "resnet50": 4.089e9}
"""Multiplications for one image, as published of each network."""
SMALL = PublishedRow("lenet5", "small", bits=4, densities={"fc1": 0.05}, density=0.3)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.network}, {row.title}")
def test_counts_are_those_of_the_network(row: PublishedRow) -> None:
    counts = counts_of(row)
    assert counts.parameters == ZOO[row.network].parameters
    assert counts.dense_operations == pytest.approx(OPERATIONS[row.network], rel=0.005)
    assert counts.kept <= counts.parameters
    assert counts.multiplications == (counts.additions if row.bits == 32 else 0)


def test_alexnet_keeps_as_many_parameters_as_the_paper_counts() -> None:
    (surgery,) = (row for row in rows_of("alexnet") if row.title == "surgery")
    counts = counts_of(surgery)
    assert {layer.name for layer in counts.layers} == ALEXNET_DENSITIES.keys()
    assert counts.kept == pytest.approx(3.45e6, rel=0.005)
    assert counts.parameters / counts.kept == pytest.approx(17.7, rel=0.01)


def test_a_density_that_names_no_layer_would_be_found() -> None:
    for row in ROWS:
        assert row.densities.keys() <= {layer.name for layer in counts_of(row).layers}


@pytest.mark.parametrize("spread", Spread)
def test_drawn_weights_have_the_rows_densities_and_powers(spread: Spread) -> None:
    model = drawn_network(SMALL, spread)
    for name, layer in model.named_children():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            kept = layer.weight[layer.weight != 0]
            assert len(kept) <= round(SMALL.density_of(name) * layer.weight.numel())
            mantissas, exponents = torch.frexp(kept.detach().abs())
            assert (mantissas == 0.5).all()
            assert int(exponents.max() - exponents.min()) < 2 ** (SMALL.bits - 2)


def test_the_same_seed_draws_the_same_and_another_others() -> None:
    first, again, other = (drawn_network(SMALL, Spread.SCALED, seed).fc1.weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("density", [0.0, 0.123, 1.0])
def test_pruning_keeps_the_largest_and_as_many_as_asked_for(density: float) -> None:
    torch.manual_seed(0)
    weights = torch.randn(30, 7)
    pruned = weights.clone()
    prune(pruned, density)
    assert int(pruned.count_nonzero()) == round(density * 210)
    if 0 < density < 1:
        assert pruned[pruned != 0].abs().min() > weights[pruned == 0].abs().max()
    quantize(pruned, 3)
    assert len(pruned.abs().unique()) <= 3


def test_a_files_bytes_are_those_of_its_parts_and_scales_make_it_smaller() -> None:
    files = {spread: measured_file(SMALL, spread) for spread in Spread}
    for file in files.values():
        assert file.dense_bytes == 4 * 431_080
        assert 8 * file.size_bytes == pytest.approx(sum(file.tensor_bits.values()) + file.structure_bits, abs=1000)
        assert file.compression == file.dense_bytes / file.size_bytes
    assert files[Spread.SCALED].size_bytes < files[Spread.INDEPENDENT].size_bytes
