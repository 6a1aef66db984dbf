"""Rarer operators of torch over open axes: running products, signs, angles, diagonals, grids, bags, patches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.graph.torch_agreement import Of, agrees, pictures, sentences
from torch import Tensor, nn

from netsurgery.graph.from_torch import read_torch, torch_outputs
from netsurgery.packed.writer import encode
from netsurgery.runtime.session import Session

AXES = {0: "batch", 2: "height", 3: "width"}
PICTURES = pictures((2, 4, 9, 7), (1, 4, 5, 8), (1, 4, 6, 12))

FUNCTIONS: dict[str, Callable[[Tensor], Any]] = {
    "product so far": lambda x: x.cumprod(-1),
    "product so far, down": lambda x: x.cumprod(2),
    "the first places of a mask": lambda x: torch.nonzero_static(x > 1.5, size=30),
    "held within the sizes": lambda x: (
        (90 * x).long().clamp(0, x.shape[2] - 1),
        (90 * x).clamp(1 - x.shape[3], x.shape[2] / 2),
        (90 * x).clamp(max=x.shape[3] - 1),
    ),
    "largest so far": lambda x: torch.cummax(x, -1),
    "smallest so far, down": lambda x: torch.cummin(x.round(), 2),
    "logarithm of the sum so far": lambda x: torch.logcumsumexp(30 * x, -1),
    "hypotenuse": lambda x: torch.hypot(1e30 * x, x.relu()),
    "sign of another": lambda x: torch.copysign(x, -x.relu()),
    "angle": lambda x: torch.atan2(x.relu(), x.roll(1, 1)),
    "diagonals": lambda x: torch.diagonal(x, offset=1, dim1=-2, dim2=-1) + 1,
    "diagonals below": lambda x: torch.diagonal(x, offset=-2, dim1=1, dim2=3),
    "differences": lambda x: (torch.diff(x), torch.diff((9 * x).int(), dim=2)),
    "differences of differences": lambda x: torch.diff(x, 2, 3),
    "differences from what stands beside": lambda x: torch.diff(x, 1, 1, prepend=x[:, :1] * 2, append=x[:, :2]),
    "grid": lambda x: torch.stack(torch.meshgrid(torch.arange(x.shape[2]), torch.arange(x.shape[3]), indexing="xy")),
    "patches": lambda x: F.unfold(x, 3, padding=1),
    "patches put back": lambda x: F.fold(F.unfold(x, 3, padding=1), x.shape[-2:], 3, padding=1),
    "how many": lambda x: (x > 0).sum((2, 3)),
    "whole numbers": lambda x: ((5 * x).long().abs().clamp(1, 3), (5 * x).long().amax(-1), (9 * x).int().sign()),
    "the lesser whole number": lambda x: torch.minimum((5 * x).long(), torch.full_like(x, 2).long()),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_rare_function_of_torch_runs_at_any_sizes(name: str) -> None:
    agrees(Of(FUNCTIONS[name]), AXES, PICTURES)


@pytest.mark.parametrize("padding", [None, 0])
@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_bags_of_words_run_at_any_number_and_length(mode: str, padding: int | None) -> None:
    torch.manual_seed(0)
    bags = nn.EmbeddingBag(20, 8, mode=mode, padding_idx=padding)
    given = sentences((2, 7), (3, 5), (1, 1), words=20)
    given[0][0] = 0
    agrees(bags, {0: "batch", 1: "words"}, given)


def test_the_largest_entries_of_bags_are_taken() -> None:
    torch.manual_seed(0)
    agrees(nn.EmbeddingBag(20, 8, mode="max"), {0: "batch"}, sentences((2, 7), (3, 7), words=20))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("padding", [None, 3])
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_different_lengths_begin_where_offsets_say(mode: str, padding: int | None, last: bool) -> None:
    torch.manual_seed(0)
    bags = nn.EmbeddingBag(20, 8, mode=mode, padding_idx=padding, include_last_offset=last)
    ids = sentences((9,), (5,), (1,), words=20)
    ids[0][:3] = 3
    ends = [[0, 3, 5, 9], [0, 2, 2, 4, 5], [0, 1]]
    offsets = [torch.tensor(row if last else row[:-1]) for row in ends]
    graph = read_torch(bags, (ids[0], offsets[0]), open_axes={0: {0: "ids"}, 1: {0: "bags"}})
    for given in zip(ids, offsets, strict=True):
        (wanted,) = torch_outputs(bags, [one.numpy() for one in given])[0]
        for engine in ("native", "reference"):
            found = Session(encode(graph), engine=engine)(*(one.numpy() for one in given))  # type: ignore[arg-type]
            np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_bags_are_weighed_where_they_are_summed() -> None:
    torch.manual_seed(0)
    bags = nn.EmbeddingBag(20, 8, mode="sum", padding_idx=2)
    (ids,), offsets, weights = sentences((9,), words=5), torch.tensor([0, 3, 5]), torch.rand(9)
    graph = read_torch(bags, (ids, offsets, weights), open_axes={})
    (wanted,) = torch_outputs(bags, [ids.numpy(), offsets.numpy(), weights.numpy()])[0]
    found = Session(encode(graph))(ids.numpy(), offsets.numpy(), weights.numpy())
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


class FourierLayer(nn.Module):
    """Low frequencies are mixed by complex weights, as neural operators do."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4, 3, dtype=torch.cfloat) * 0.3)
        self.beside = nn.Conv1d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        found = torch.fft.rfft(x)
        mixed = torch.zeros_like(found)
        mixed[:, :, :3] = torch.einsum("bix,iox->box", found[:, :, :3], self.weight)
        return F.gelu(torch.fft.irfft(mixed, n=x.shape[-1]) + self.beside(x))


def test_complex_weights_mix_frequencies() -> None:
    torch.manual_seed(0)
    agrees(FourierLayer(), {0: "batch"}, pictures((2, 4, 16), (1, 4, 16)))


def test_windows_are_cut_where_sizes_are_padded_to_their_multiples() -> None:
    def windowed(x: Tensor) -> Tensor:
        x = F.pad(x, (0, (4 - x.shape[3] % 4) % 4, 0, (4 - x.shape[2] % 4) % 4))
        batch, channels, height, width = x.shape
        x = x.view(batch, channels, height // 4, 4, width // 4, 4).permute(0, 2, 4, 3, 5, 1)
        return x.reshape(batch, -1, 16, channels).mean(1)

    agrees(Of(windowed), AXES, pictures((2, 4, 9, 7), (1, 4, 5, 14)))
