"""Filters: which of them are dead."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netsurgery.methods.filters import dead


@given(st.lists(st.integers(0, 4), min_size=2, max_size=4), st.integers(0, 1), st.floats(0, 1), st.integers(0, 9))
def test_a_filter_is_dead_if_nothing_of_it_is_kept(shape: list[int], dim: int, kept: float, seed: int) -> None:
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < kept
    filters = [mask.select(dim, index) for index in range(shape[dim])]
    assert dead(mask, dim).tolist() == [int(one.sum()) == 0 for one in filters]


@pytest.mark.parametrize("dim", [0, 1])
def test_masks_in_another_order_of_memory_are_read_as_they_are(dim: int) -> None:
    mask = (torch.rand(4, 3, 2, 5, generator=torch.Generator().manual_seed(1)) < 0.1).to(
        memory_format=torch.channels_last
    )
    assert torch.equal(dead(mask, dim), dead(mask.contiguous(), dim))
