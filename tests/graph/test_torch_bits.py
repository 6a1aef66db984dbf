"""Bits and products of whole numbers, and determinants and inverses of small matrices, as torch has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.graph.torch_agreement import EachOf, agrees, pictures
from torch import Tensor

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_torch import read_torch

WIDTH = 4
NUMBERS = [
    torch.randint(-(2**20), 2**20, (rows, WIDTH), generator=torch.Generator().manual_seed(rows)) for rows in (3, 5)
]
EDGES = torch.tensor([[0, -1, 2**31 - 1, -(2**31)]])


def masked(mask: int) -> Callable[[Tensor], Any]:
    return lambda x: (x & mask, x | mask, x ^ mask, mask & x)


BITS: dict[str, Callable[[Tensor], Any]] = {
    **{f"with {mask}": masked(mask) for mask in (0, 7, 90, -1, -4)},
    "turned": lambda x: ~x,
    "shifted": lambda x: (x >> 3, x >> 0, x & torch.tensor([4, 4, 4, 4])),
    "unpacked": lambda x: (x[:, :, None] >> torch.arange(0, 32, 4)) & 15,
    "as int32": lambda x: (x.to(torch.int32) >> 7, x.to(torch.int32) ^ 12),
}


def test_bits_of_whole_numbers_are_those_of_torch() -> None:
    agrees(EachOf(BITS, NUMBERS[0]), {0: "batch"}, [*NUMBERS, EDGES], in_onnx=False)


def test_products_of_whole_numbers_are_exact() -> None:
    functions: dict[str, Callable[[Tensor], Any]] = {
        "by a constant": lambda x: x @ torch.arange(12).reshape(WIDTH, 3),
        "of two": lambda x: torch.bmm(x[:, :, None], x[:, None] + 1),
        "shifted up": lambda x: x << 5,
        "along an axis": lambda x: (x.prod(1), x[:, :3].prod(1, keepdim=True), x[:, :1].prod(1)),
    }
    agrees(EachOf(functions, NUMBERS[0]), {0: "batch"}, NUMBERS)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_small_matrices_are_inverted_and_have_determinants(size: int) -> None:
    functions: dict[str, Callable[[Tensor], Any]] = {
        "determinant": torch.linalg.det,
        "inverse": torch.linalg.inv,
        "of one": lambda x: torch.inverse(x[0]) @ x.sum(0),
    }
    given = [torch.eye(size) * 2 + 0.3 * one for one in pictures((3, size, size), (5, size, size))]
    agrees(EachOf(functions, given[0]), {0: "batch"}, given)


def test_a_constant_matrix_of_any_size_is_inverted_when_it_is_packed() -> None:
    matrix = torch.eye(5) + 0.1 * pictures((5, 5))[0]
    given = pictures((3, 5), (4, 5))
    agrees(EachOf({"it": lambda x: x @ torch.linalg.inv(matrix) * torch.det(matrix)}, given[0]), {0: "batch"}, given)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x & x.flip(1), "one side must be a single known number"),
        (lambda x: x & 2**31, "beyond the 30th"),
        (lambda x: x >> x.abs().clamp(max=3), "shifts by what aren't known numbers from 0 to 30"),
        (lambda x: x << 31, "shifts by what aren't known numbers from 0 to 30"),
        (lambda x: torch.linalg.inv(x[:, None].float() * torch.eye(WIDTH)), "4 rows; up to 3, or constant ones"),
    ],
)
def test_what_has_no_such_form_is_refused(function: Any, said: str) -> None:
    with pytest.raises(UnsupportedOperatorError, match=said):
        read_torch(EachOf({"it": function}, NUMBERS[0]), (NUMBERS[0],))
