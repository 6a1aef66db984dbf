"""Squared gradients by output and by input."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from netsurgery.methods import filters
from netsurgery.methods.base import Layer
from netsurgery.methods.blocks import BLOCK
from netsurgery.methods.sensitivity import Sensitivity


def layer_with(gradient: torch.Tensor | None, shape: tuple[int, ...] = (3, 2)) -> tuple[Layer, nn.Parameter]:
    """A layer whose filters have norm 1."""
    weight = torch.ones(shape if gradient is None else gradient.shape)
    parameter = nn.Parameter(weight if weight.dim() == 1 else weight / filters.norms(weight))
    parameter.grad = gradient
    return Layer("l", {"l.weight": parameter}), parameter


@torch.no_grad()
def observed(layer: Layer, sensitivity: Sensitivity | None = None, window: int = 125) -> Sensitivity:
    """All connections are kept."""
    sensitivity = sensitivity or Sensitivity(window)
    sensitivity.observe([layer], {name: filters.norms(t) for name, t in layer.tensors.items() if t.dim() > 1})
    return sensitivity


def estimate(sensitivity: Sensitivity, parameter: nn.Parameter) -> torch.Tensor:
    outputs, inputs = sensitivity.factors("l.weight", parameter)
    whole = outputs.expand(parameter.shape) if inputs is None else outputs * inputs
    return whole.expand(parameter.shape)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([(4, 3), (1, 5), (6, 1), (3, 2, 2, 2), (5, 4, 3)]))
def test_a_product_of_outputs_and_inputs_is_estimated_exactly(seed: int, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.rand(shape[0], *[1] * (len(shape) - 1), generator=generator) + 0.1
    inputs = torch.rand(shape[1:], generator=generator) + 0.1
    layer, parameter = layer_with(outputs * inputs)
    sensitivity = observed(layer)
    # sums of at most 24 float32 squares: a few units in the last place each
    torch.testing.assert_close(estimate(sensitivity, parameter), outputs * inputs, rtol=1e-5, atol=0)


def test_the_mean_over_a_tensor_is_the_mean_squared_gradient() -> None:
    gradient = torch.randn(7, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    layer, parameter = layer_with(gradient)
    sensitivity = observed(layer)
    torch.testing.assert_close(estimate(sensitivity, parameter).square().mean(), gradient.square().mean())


@pytest.mark.parametrize("factors", [(1.0, 1.0, 1.0), (4.0, 0.25, 1024.0), (2.0**-9, 2.0**7, 1.0)])
def test_what_is_observed_is_the_same_at_any_scale_of_a_filter(factors: tuple[float, ...]) -> None:
    """As in front of a normalisation: weights c times as large have gradients c times as small."""
    scale = torch.tensor(factors)[:, None]
    generator = torch.Generator().manual_seed(0)
    weight, gradient = torch.randn(3, 6, generator=generator), torch.randn(3, 6, generator=generator)
    parameter = nn.Parameter(weight * scale)
    parameter.grad = gradient / scale
    plain = nn.Parameter(weight.clone())
    plain.grad = gradient
    scaled, unscaled = (observed(Layer("l", {"l.weight": p})) for p in (parameter, plain))
    assert torch.equal(scaled.outputs["l.weight"], unscaled.outputs["l.weight"])
    assert torch.equal(scaled.inputs["l.weight"], unscaled.inputs["l.weight"])


def test_a_bias_is_kept_entry_by_entry() -> None:
    layer, parameter = layer_with(torch.tensor([1.0, -2.0, 0.0]))
    assert estimate(observed(layer), parameter).tolist() == [1.0, 2.0, 0.0]


def test_observations_are_averaged() -> None:
    layer, parameter = layer_with(torch.full((2,), 1.0))
    sensitivity = observed(layer)
    parameter.grad = torch.full((2,), 1.5)
    observed(layer, sensitivity)
    assert sensitivity.outputs["l.weight"].tolist() == pytest.approx([0.992 * 1 + 0.008 * 2.25] * 2)


@pytest.mark.parametrize("factor", [1e3, 1e4, 1e18])
def test_an_odd_batch_counts_for_little(factor: float) -> None:
    layer, parameter = layer_with(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    sensitivity = observed(layer)
    before = estimate(sensitivity, parameter).clone()
    assert parameter.grad is not None
    usual = parameter.grad.clone()
    parameter.grad = torch.tensor([[4.0, 3.0], [2.0, 1.0]]) * factor
    observed(layer, sensitivity)
    parameter.grad = usual
    # 1 of 125 observations, counted BOUND times at most: squares change by BOUND / 125 of the largest over the smallest
    torch.testing.assert_close(estimate(sensitivity, parameter), before, rtol=0.15, atol=0)


def test_gradients_that_grow_are_followed() -> None:
    layer, parameter = layer_with(torch.full((2,), 1.0))
    sensitivity = observed(layer, window=10)
    parameter.grad = torch.full((2,), 30.0)
    for _ in range(100):
        observed(layer, sensitivity)
    assert sensitivity.outputs["l.weight"].tolist() == pytest.approx([900.0] * 2, rel=1e-2)


def test_after_gradients_of_zero_the_first_others_count_in_full() -> None:
    layer, parameter = layer_with(torch.zeros(2))
    sensitivity = observed(layer)
    parameter.grad = torch.full((2,), 2.0)
    observed(layer, sensitivity)
    assert sensitivity.outputs["l.weight"].tolist() == pytest.approx([4 * 0.008] * 2)


def test_a_parameter_without_gradient_has_none() -> None:
    layer, parameter = layer_with(None)
    assert estimate(observed(layer), parameter).count_nonzero() == 0


def test_sparse_gradients_of_embeddings_count() -> None:
    embedding = nn.Embedding(6, 3, sparse=True)
    embedding(torch.tensor([1, 4])).sum().backward()
    sensitivity = observed(Layer("l", {"l.weight": embedding.weight}))
    assert (estimate(sensitivity, embedding.weight)[:, 0] > 0).tolist() == [False, True, False, False, True, False]


@pytest.mark.parametrize("dim", [0, 1])
def test_a_weight_of_many_blocks_is_observed_as_a_whole_one(dim: int) -> None:
    rows = 2 * BLOCK // 300 + 7
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn((rows, 300) if dim == 0 else (300, rows), generator=generator)
    scales = torch.rand((rows, 1) if dim == 0 else (1, rows), generator=generator) + 0.5
    parameter = nn.Parameter(torch.ones_like(gradient))
    parameter.grad = gradient
    sensitivity = Sensitivity(125)
    sensitivity.observe([Layer("l", {"l.weight": parameter}, filter_dims={"l.weight": dim})], {"l.weight": scales})
    squares = (gradient * scales).square().to(torch.float64)
    torch.testing.assert_close(sensitivity.outputs["l.weight"].double(), squares.mean(1 - dim), rtol=1e-5, atol=0)
    torch.testing.assert_close(sensitivity.inputs["l.weight"].double(), squares.mean(dim), rtol=1e-4, atol=0)
