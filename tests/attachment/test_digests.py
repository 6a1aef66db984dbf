"""What digests of tensors tell apart, and that those which folders of searches hold stay what they are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from netsurgery.attachment.digests import digest

GOLDEN = "a3fd1e42e81627887f73bf4372669ab7b755b8633345c8e0369fe79cf7d55ee2"


def test_a_folder_that_was_begun_before_knows_its_weights() -> None:
    weights = {
        "b.weight": torch.tensor([[1.0, -0.0], [2.5, float("nan")]]),
        "a": torch.arange(3),
        "half": torch.ones(2, 1, dtype=torch.bfloat16),
        "none": torch.empty(0, 4),
        "scalar": torch.tensor(7.0),
        "extra": {"x": 1},
        "mask": torch.tensor([True, False]),
        "turned": torch.arange(6.0).reshape(2, 3).T,
    }
    assert digest(sorted(weights.items())) == GOLDEN


BASE = torch.tensor([[0.0, 1.0], [-2.0, 3.0]])
OTHERS: dict[str, tuple[str, Tensor]] = {
    "name": ("other", BASE),
    "value": ("weight", BASE + 1e-6),
    "place": ("weight", BASE.T),
    "size": ("weight", BASE.reshape(4)),
    "type": ("weight", BASE.view(torch.int32)),
    "sign of a zero": ("weight", torch.tensor([[-0.0, 1.0], [-2.0, 3.0]])),
}


@pytest.mark.parametrize("zeros_have_signs", [True, False])
@pytest.mark.parametrize("what", OTHERS)
def test_it_tells_apart_what_differs_in_anything_but_zeros_where_these_have_no_sign(
    what: str, zeros_have_signs: bool
) -> None:
    first, other = (digest([one], zeros_have_signs=zeros_have_signs) for one in (("weight", BASE), OTHERS[what]))
    assert (first == other) == (what == "sign of a zero" and not zeros_have_signs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int8, torch.bool])
def test_layouts_and_neighbours_in_memory_make_no_difference(dtype: torch.dtype) -> None:
    values = torch.arange(12).reshape(3, 4).to(dtype)
    wide = torch.ones(3, 9).to(dtype)
    wide[:, 2:6] = values
    assert digest([("w", values)]) == digest([("w", wide[:, 2:6])]) == digest([("w", values.T.contiguous().T)])
    assert digest([("w", values)]) == digest([("w", values.to_sparse())])
