"""Squared gradients by output and by input."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from netsurgery.methods.base import Layer
from netsurgery.methods.sensitivity import Sensitivity


def layer_with(gradient: torch.Tensor | None, shape: tuple[int, ...] = (3, 2)) -> tuple[Layer, nn.Parameter]:
    parameter = nn.Parameter(torch.ones(shape if gradient is None else gradient.shape))
    parameter.grad = gradient
    return Layer("l", {"l.weight": parameter}), parameter


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
    sensitivity = Sensitivity()
    sensitivity.observe([layer])
    # sums of at most 24 float32 squares: a few units in the last place each
    torch.testing.assert_close(estimate(sensitivity, parameter), outputs * inputs, rtol=1e-5, atol=0)


def test_the_mean_over_a_tensor_is_the_mean_squared_gradient() -> None:
    gradient = torch.randn(7, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    layer, parameter = layer_with(gradient)
    sensitivity = Sensitivity()
    sensitivity.observe([layer])
    torch.testing.assert_close(estimate(sensitivity, parameter).square().mean(), gradient.square().mean())


def test_a_bias_is_kept_entry_by_entry() -> None:
    layer, parameter = layer_with(torch.tensor([1.0, -2.0, 0.0]))
    sensitivity = Sensitivity()
    sensitivity.observe([layer])
    assert estimate(sensitivity, parameter).tolist() == [1.0, 2.0, 0.0]


def test_observations_are_averaged() -> None:
    layer, parameter = layer_with(torch.full((2,), 1.0))
    sensitivity = Sensitivity()
    sensitivity.observe([layer])
    parameter.grad = torch.full((2,), 3.0)
    sensitivity.observe([layer])
    assert sensitivity.outputs["l.weight"].tolist() == pytest.approx([0.992 * 1 + 0.008 * 9] * 2)


def test_a_parameter_without_gradient_has_none() -> None:
    layer, parameter = layer_with(None)
    sensitivity = Sensitivity()
    sensitivity.observe([layer])
    assert estimate(sensitivity, parameter).count_nonzero() == 0


def test_sparse_gradients_of_embeddings_count() -> None:
    embedding = nn.Embedding(6, 3, sparse=True)
    embedding(torch.tensor([1, 4])).sum().backward()
    sensitivity = Sensitivity()
    sensitivity.observe([Layer("l", {"l.weight": embedding.weight})])
    assert (estimate(sensitivity, embedding.weight)[:, 0] > 0).tolist() == [False, True, False, False, True, False]
