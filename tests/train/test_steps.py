"""Steps of a training, counted as trainers take them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import netsurgery as ns
from netsurgery.errors import SettingError


class Endless(IterableDataset[int]):
    def __iter__(self) -> Any:
        return iter(int, 1)


@pytest.mark.parametrize("size", [1, 7, 8, 20])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("drop_last", [False, True])
def test_it_is_as_many_as_a_loop_takes(size: int, accumulate: int, drop_last: bool) -> None:
    loader = DataLoader(TensorDataset(torch.zeros(41)), batch_size=size, drop_last=drop_last)
    taken = 0
    for _ in range(3):
        for index, _ in enumerate(loader):
            taken += (index + 1) % accumulate == 0 or index + 1 == len(loader)
    assert ns.steps_of(loader, epochs=3, accumulate=accumulate) == taken


@pytest.mark.parametrize("loader", [DataLoader(Endless()), [], iter([1])])
def test_a_loader_whose_length_nobody_knows_is_refused_with_what_to_do(loader: Any) -> None:
    with pytest.raises(SettingError, match="count the batches of an epoch"):
        ns.steps_of(loader, epochs=3)


@pytest.mark.parametrize("counts", [{"epochs": 0}, {"epochs": 1.5}, {"epochs": 1, "accumulate": 0}])
def test_counts_are_whole_and_at_least_one(counts: Any) -> None:
    with pytest.raises(SettingError):
        ns.steps_of([1, 2], **counts)
