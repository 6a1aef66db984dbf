"""Operators that work in place: read as those that don't where nobody sees the difference, else by torch's own pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import ExportedProgram

from netsurgery.errors import CaptureError, UnsupportedOperatorError
from netsurgery.graph.from_torch import exported_once, read_torch
from netsurgery.graph.from_torch.program import read_program
from netsurgery.runtime.reference import run


class Layers(nn.Module):
    """Two layers, and a function of them and the input."""

    def __init__(self, function: Callable[[Layers, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.norm.running_mean.add_(0.3)  # type: ignore[union-attr]
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def shortcut(m: Layers, x: Tensor) -> Tensor:
    out = m.norm(m.conv(x))
    out += x
    return F.relu_(out)


def shortcut_of_itself(m: Layers, x: Tensor) -> Tensor:
    first = F.relu_(m.norm(m.conv(x)))
    out = m.norm(m.conv(first))
    out += first
    return F.relu_(out) * 2


def overwritten_read_after(m: Layers, x: Tensor) -> Tensor:
    y = m.conv(x)
    z = F.relu_(y)
    return y + z


def twice(m: Layers, x: Tensor) -> Tensor:
    y = m.conv(x)
    y.relu_()
    y.add_(1)
    return y * 2


UNSEEN: dict[str, Callable[[Layers, Tensor], Tensor]] = {
    "relu behind a norm": lambda m, x: F.relu_(m.norm(m.conv(x))),
    "a shortcut": shortcut,
    "a shortcut of what worked in place": shortcut_of_itself,
    "one after another": lambda m, x: m.conv(x).mul_(2).add_(1, alpha=3).clamp_(-1, 1),
    "hardtanh, elu, sigmoid": lambda m, x: F.elu_(F.hardtanh_(m.conv(x))).sigmoid_(),
    "of itself": lambda m, x: (lambda y: y.add_(y))(m.conv(x)),
    "read by the name of what was overwritten": overwritten_read_after,
    "two on the same": twice,
    "read before": lambda m, x: (lambda y, z: y.relu_() + z)(*(lambda y: (y, y * 3))(m.conv(x))),
}


def view_read_after(m: Layers, x: Tensor) -> Tensor:
    y = m.norm(m.conv(x))
    flat = y.flatten(1)
    y.relu_()
    return flat


def part_read_after(m: Layers, x: Tensor) -> Tensor:
    y = m.conv(x)
    first = y[:, :1]
    y.add_(1)
    return first * 2


def dropout_read_after(m: Layers, x: Tensor) -> Tensor:
    y = m.conv(x)
    same = F.dropout(y, 0.5, training=False)
    y.mul_(2)
    return same - 1


def dropout_written_to(m: Layers, x: Tensor) -> Tensor:
    y = m.conv(x)
    same = F.dropout(y, 0.5, training=False)
    same += 1
    return y + same * 2


def same_type_read_after(m: Layers, x: Tensor) -> Tensor:
    y = m.conv(x)
    same = y.type_as(x)
    y.mul_(2)
    return same + 1


def written_to_a_part(m: Layers, x: Tensor) -> Tensor:
    y = m.conv(x)
    y[:, 1].add_(1)
    return y


def written_to_a_view(m: Layers, x: Tensor) -> Tensor:
    y = m.conv(x)
    y.view(y.shape[0], -1).relu_()
    return y * 1


def the_input(m: Layers, x: Tensor) -> Tensor:
    x.mul_(2)
    return m.conv(x)


SEEN = {
    one.__name__: one
    for one in (
        view_read_after,
        part_read_after,
        dropout_read_after,
        dropout_written_to,
        same_type_read_after,
        written_to_a_part,
        written_to_a_view,
        the_input,
    )
}


@contextmanager
def counted() -> Iterator[list[object]]:
    """The programs that torch makes functional meanwhile."""
    calls: list[object] = []
    own = ExportedProgram.run_decompositions

    def run_decompositions(self: ExportedProgram, *given: object) -> ExportedProgram:
        calls.append(self)
        return own(self, *given)  # type: ignore[arg-type]

    with mock.patch.object(ExportedProgram, "run_decompositions", run_decompositions):
        yield calls


def assert_as_the_model(function: Callable[[Layers, Tensor], Tensor]) -> int:
    """How many programs torch had to make functional."""
    model = Layers(function).eval()
    x = torch.randn(2, 3, 5, 5)
    with counted() as calls:
        graph = read_torch(model, (x.clone(),))
    with torch.no_grad():
        expected = model(x.clone()).numpy()
    (found,) = run(graph, {graph.inputs[0].name: x.numpy()})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    return len(calls)


@pytest.mark.parametrize("name", UNSEEN)
def test_what_nobody_sees_takes_no_second_pass(name: str) -> None:
    assert assert_as_the_model(UNSEEN[name]) == 0


@pytest.mark.parametrize("name", SEEN)
def test_what_is_seen_afterwards_is_as_torch_computes_it(name: str) -> None:
    assert assert_as_the_model(SEEN[name]) > 0


def test_a_program_that_works_in_place_is_refused_by_the_operators_name() -> None:
    program = torch.export.export(Layers(written_to_a_view).eval(), (torch.randn(2, 3, 5, 5),))
    with pytest.raises(UnsupportedOperatorError, match=r"aten\.relu_\.default \(in place\)"):
        read_program(program, {})


@pytest.mark.parametrize("chunks", [1, 2, 3, 4, 7, 9])
def test_chunks_are_those_of_torch(chunks: int) -> None:
    class Chunks(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            return tuple((part * 2).sum(1) for part in x.chunk(chunks, dim=1))

    x = torch.randn(2, 7)
    with counted() as calls:
        graph = read_torch(Chunks(), (x,))
    found = run(graph, {graph.inputs[0].name: x.numpy()})
    expected = Chunks()(x)
    assert len(found) == len(expected)
    assert not calls
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-6)


def written_through_data(m: Layers, x: Tensor) -> Tensor:
    y = m.conv(x)
    y.data[:, 0] = 1
    return y


CONSTANTS: dict[str, Callable[[Layers, Tensor], Tensor]] = {
    "a power": lambda m, x: x + (m.norm.weight * 3).pow_(2).sum(),
    "a comparison": lambda m, x: x + (lambda y: y + y)((m.norm.weight * 3).gt_(2)).sum(),
    "bytes that overflow": lambda _, x: x + torch.arange(6).to(torch.uint8).clone().sub_(torch.arange(6) + 200).sum(),
    "a power of what is computed": lambda m, x: m.conv(x).pow_(2),
    "a comparison of what is computed": lambda m, x: (lambda y: y + y)(m.conv(x).gt_(0)),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_types_stay_those_of_what_is_overwritten(name: str) -> None:
    assert_as_the_model(CONSTANTS[name])


def test_a_program_that_works_in_place_is_read_again_with_other_weights() -> None:
    model, x = Layers(shortcut).eval(), torch.randn(2, 3, 5, 5)
    with exported_once(model):
        for _ in range(2):
            with torch.no_grad():
                model.conv.weight.mul_(2)
                expected = model(x.clone()).numpy()
            graph = read_torch(model, (x,))
            (found,) = run(graph, {graph.inputs[0].name: x.numpy()})
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_what_is_written_behind_torchs_back_is_refused_with_what_to_do() -> None:
    with pytest.raises(CaptureError, match=r"writes through \.data, .* Write to the tensor itself"):
        read_torch(Layers(written_through_data).eval(), (torch.randn(2, 3, 5, 5),))


def test_a_model_of_inference_mode_is_refused_with_what_to_do() -> None:
    with torch.inference_mode():
        model = nn.Linear(3, 3)
    with pytest.raises(CaptureError, match=r"under torch\.inference_mode\(\), .* make the model outside of it"):
        read_torch(model, (torch.randn(2, 3),))


def test_a_batch_norm_in_training_mode_is_refused() -> None:
    class Training(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.batch_norm(x, torch.zeros(3), torch.ones(3), training=True)

    with pytest.raises(UnsupportedOperatorError, match="statistics of the batch"):
        read_torch(Training(), (torch.randn(2, 3, 4, 4),))
