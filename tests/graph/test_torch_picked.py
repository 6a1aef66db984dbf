"""What is picked by a mask, computed with, and put back, or summed up: as torch does it, however many there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.graph.torch_agreement import EachOf, agrees, pictures
from torch import Tensor, nn

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_torch import read_torch

WIDTH = 5
ROWS = [*pictures((3, WIDTH), (4, WIDTH)), -torch.ones(2, WIDTH)]
LAYER = nn.Linear(WIDTH, WIDTH)
NORM = nn.LayerNorm(WIDTH)


def doubled(x: Tensor) -> Tensor:
    y, mask = x.clone(), x > 0
    y[mask] = x[mask] * 2
    return y


def by_masks_computed_anew(x: Tensor) -> Tensor:
    y = x.clone()
    y[y > 0.1] = torch.exp(-y[y > 0.1]) + x[x > 0.1] * y[y > 0.1]
    return y


def rows_through_layers(x: Tensor) -> Tensor:
    y, mask = x.clone(), x.sum(1) > 0
    y[mask] = NORM(torch.relu(LAYER(x[mask]))) + 1
    return y


def columns(x: Tensor) -> Tensor:
    y, mask = x.clone(), x.sum(0) > 0
    y[:, mask] = x[:, mask] * 2
    return y


def added(x: Tensor) -> Tensor:
    y, mask = x.clone(), x > 0
    y[mask] += x[mask] * 2
    return y


def accumulated(x: Tensor) -> Tensor:
    return x.index_put((x > 0,), x[x > 0] * 3, accumulate=True)


def experts(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    for expert in range(3):
        mask = x.argmax(1) % 3 == expert
        y[mask] = LAYER(x[mask]) * expert
    return y


def less_their_mean(x: Tensor) -> Tensor:
    y, mask = x.clone(), x.abs().sum(1) > 0
    y[mask] = x[mask] - x[mask].mean()
    return y


def whole_numbers(x: Tensor) -> Tensor:
    y = torch.zeros(x.shape, dtype=torch.int64)
    y[x > 0] = (x[x > 0] * 3).long()
    return y


def summed(x: Tensor) -> Tensor:
    return torch.cat([x[x > 0].sum()[None], (x[x < 0] < -0.5).sum()[None]])


def rows_for_themselves(x: Tensor) -> Tensor:
    y, mask = x.clone(), x.abs().sum(1) > 0
    rows = y[mask]
    weights = rows.softmax(1) - rows.mean(-1, keepdim=True) * rows.log_softmax(-1)
    y[mask] = weights * rows.sum(1, keepdim=True) + rows.amax(1, keepdim=True) - rows.amin(-1, keepdim=True)
    y[:, 0][mask] = rows.sum(1)
    return y


def test_what_is_done_with_picked_entries_is_done_with_these_alone() -> None:
    written = (
        *(doubled, by_masks_computed_anew, rows_through_layers, columns, added, accumulated, experts),
        *(less_their_mean, whole_numbers, summed, rows_for_themselves),
    )
    functions: dict[str, Callable[..., Any]] = {one.__name__: one for one in written}
    agrees(EachOf(functions, ROWS[0]), {0: "batch"}, ROWS)


def put_by_another(x: Tensor) -> Tensor:
    other = x.flip(1)
    return x.index_put((x > 0,), other[other > 0])


def across(x: Tensor) -> Tensor:
    y, mask = x.clone(), x.sum(1) > 0
    y[mask] = x[mask].softmax(0)
    return y


def all_pairs(x: Tensor) -> Tensor:
    mask = x[:, 0] > 0
    return (x[:, 1][mask] * x[:, 2:3][mask]).sum()  # (N,) and (N, 1): of each two


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x[x > 0], "picks entries by a mask, as many as it finds.*use torch.where"),
        (lambda x: x[x > 0].sort()[0], "sort.*computes with entries that a mask picks"),
        (across, "softmax.*computes across the entries that a mask picks"),
        (lambda x: x[x.sum(1) > 0].sum(0), "sum.*computes across the entries that a mask picks"),
        (lambda x: x[:, x.sum(0) > 0].sum(0), "sum.*computes across the entries that a mask picks"),
        (all_pairs, "mul.*computes across the entries that a mask picks"),
        (put_by_another, "puts by one mask what another one picks"),
    ],
)
def test_what_depends_on_how_many_are_picked_is_refused(function: Any, said: str) -> None:
    with pytest.raises(UnsupportedOperatorError, match=said):
        read_torch(EachOf({"it": function}, ROWS[0]), (ROWS[0],))
