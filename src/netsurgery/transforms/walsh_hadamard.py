"""The Walsh-Hadamard transform as an operator of torch, which is captured as one.

H_1 = (1),  H_2d = (H_d  H_d; H_d  -H_d): Sylvester's matrix, symmetric, of 1 and -1; H_d H_d = d I.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from netsurgery.checks import require


@torch.library.custom_op("netsurgery::walsh_hadamard", mutates_args=())
def _transform(x: Tensor, dim: int) -> Tensor:
    if x.shape[dim] == 1:
        return x.clone(memory_format=torch.contiguous_format)
    values = x.movedim(dim, -1).contiguous()
    shape, size = values.shape, values.shape[-1]
    half = size // 2
    while half:
        first, second = values.view(*shape[:-1], size // (2 * half), 2, half).unbind(-2)
        values = torch.stack([first + second, first - second], dim=-2).view(shape)
        half //= 2
    return values.movedim(-1, dim).contiguous()


@_transform.register_fake
def _(x: Tensor, dim: int) -> Tensor:  # noqa: ARG001
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _keep_axis(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:  # noqa: ARG001
    ctx.dim = inputs[1]


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
    return _transform(gradient, ctx.dim), None  # the matrix is symmetric


_transform.register_autograd(_backward, setup_context=_keep_axis)


def walsh_hadamard(x: Tensor, dim: int = -1) -> Tensor:
    """H x along an axis, in d log2(d) additions and no multiplication for each d entries.

    x: any shape and floating-point type, with a power of two, d, of entries along `dim`. The same shape comes out.
    Twice in a row multiplies by d; divided by sqrt(d) the transform keeps lengths. Raises SettingError for another d.

    >>> from netsurgery.transforms.walsh_hadamard import walsh_hadamard
    >>> walsh_hadamard(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([10., -2., -4.,  0.])
    """
    require(-x.ndim <= dim < x.ndim, "dim", dim, f"an axis of shape {tuple(x.shape)}")
    size = x.shape[dim]
    require(size > 0 and size & (size - 1) == 0, f"x.shape[{dim}]", size, "a power of two", "pad x with zeros")
    return _transform(x, dim % x.ndim)  # type: ignore[no-any-return]
