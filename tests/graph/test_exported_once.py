"""A module whose weights change and that is read again and again: exported once, with its weights as they are."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netsurgery.graph.from_torch import exported_once, read_torch, reading
from netsurgery.runtime.reference import run


class Mixed(nn.Module):
    """Weights that a graph takes as they are, and such that it changes: a norm, a transposed one, a product of two."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.matrix = nn.Parameter(torch.randn(4, 6))
        self.scale = nn.Parameter(torch.randn(6, 6))
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.first(x)).mean((2, 3))
        return self.head(x @ (self.matrix @ self.scale.t()).relu())


def changed(model: nn.Module) -> None:
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.5)


def assert_as_the_model(model: nn.Module, x: Tensor) -> None:
    graph = read_torch(model, (x,))
    with torch.no_grad():
        expected = model.eval()(x).numpy()
    (found,) = run(graph, {graph.inputs[0].name: x.numpy()})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_weights_are_those_that_the_model_has_now(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    model = Mixed().to(memory_format=layout)  # type: ignore[call-overload]
    x = torch.randn(3, 2, 8, 8)
    with exported_once(model), mock.patch.object(reading, "_export", wraps=reading._export) as export:
        for _ in range(3):
            assert_as_the_model(model, x)
            changed(model)
        assert export.call_count == 1


def test_other_examples_other_parameters_and_other_models_are_exported_anew() -> None:
    torch.manual_seed(0)
    model, other = Mixed(), Mixed()
    with exported_once(model), mock.patch.object(reading, "_export", wraps=reading._export) as export:
        assert_as_the_model(model, torch.randn(3, 2, 8, 8))
        assert_as_the_model(model, torch.randn(3, 2, 9, 8))
        assert export.call_count == 2
        model.head.weight.data = torch.randn(3, 6)  # the program has the same parameter
        assert_as_the_model(model, torch.randn(3, 2, 8, 8))
        assert export.call_count == 2
        model.head.weight = nn.Parameter(torch.randn(3, 6))
        assert_as_the_model(model, torch.randn(3, 2, 8, 8))
        assert export.call_count == 3
        assert_as_the_model(other, torch.randn(3, 2, 8, 8))
        assert_as_the_model(other, torch.randn(3, 2, 8, 8))
        assert export.call_count == 5
    assert not reading._KEPT


def test_afterwards_nothing_is_kept_even_if_it_failed() -> None:
    model = Mixed()
    with pytest.raises(ZeroDivisionError), exported_once(model):
        raise ZeroDivisionError
    assert not reading._KEPT
