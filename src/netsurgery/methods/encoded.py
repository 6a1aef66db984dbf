"""The exact forms that methods know of weights, for whoever stores them: each decodes to the parameter, bit for bit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from netsurgery.methods.expansion import sum_of_planes


@dataclass(frozen=True)
class EncodedSparse:
    """Weights that are 0 but where they are kept.

    kept: bool of the parameter's shape. values: (k,) the kept weights in the parameter's type, in the order of
    `tensor[kept]`; k is the number of True.
    """

    kept: Tensor
    values: Tensor

    kind: ClassVar[str] = "sparse"

    @classmethod
    def of(cls, tensor: Tensor, kept: Tensor) -> EncodedSparse:
        """tensor: effective weights, +0 where `kept` (bool of its shape) is False."""
        return cls(kept.clone(), tensor.detach()[kept])

    def decoded(self) -> Tensor:
        """The parameter's values: its shape, type and device."""
        return self.values.new_zeros(self.kept.shape).masked_scatter_(self.kept, self.values)


@dataclass(frozen=True)
class EncodedPowers:
    """Weights of which each is 0 or ±2^e.

    signs: int8 of the parameter's shape, -1, 0 or 1. exponents: int16 of the same shape, e, and 0 where the sign is 0.
    dtype: the parameter's; it holds every one of the powers.
    """

    signs: Tensor
    exponents: Tensor
    dtype: torch.dtype

    kind: ClassVar[str] = "powers"

    @classmethod
    def of(cls, tensor: Tensor) -> EncodedPowers:
        """tensor: of any floating-point type; every weight is +0 or ±2^e."""
        mantissas, exponents = torch.frexp(tensor.detach().to(torch.float64))
        signs = mantissas.sign().to(torch.int8)
        return cls(signs, torch.where(signs == 0, 0, exponents - 1).to(torch.int16), tensor.dtype)

    def decoded(self) -> Tensor:
        """The parameter's values: its shape, type and device."""
        if not self.signs.numel():
            return self.signs.to(self.dtype)
        least, most = (int(end) for end in torch.aminmax(self.exponents))
        sizes = [math.ldexp(1.0, exponent) for exponent in range(least, most + 1)]
        table = torch.tensor(
            sizes, dtype=torch.float64, device=self.signs.device
        )  # exact, as no library's pow has to be
        return (self.signs * table[self.exponents.to(torch.int64) - least]).to(self.dtype)


@dataclass(frozen=True)
class EncodedPlanes:
    """Weights that are sums of binary planes, each times a scale.

    scales: float32 (groups, m), of m planes, falling and >= 0. codes: uint8 of the parameter's shape, bit j is 1 where
    plane j is +1. sharing: how many neighbouring filters make a group; the last one of a parameter may have fewer.
    dtype: the parameter's; sums are float32, and rounded to it. filter_dim: the dimension along which filters lie.
    """

    scales: Tensor
    codes: Tensor
    sharing: int
    dtype: torch.dtype
    filter_dim: int = 0

    kind: ClassVar[str] = "planes"

    def decoded(self) -> Tensor:
        """The parameter's values: its shape, type and device."""
        codes = self.codes.movedim(self.filter_dim, 0)
        rows = codes.reshape(len(codes), -1)
        scales = self.scales.repeat_interleave(self.sharing, dim=0)[: len(rows)]
        return sum_of_planes(scales, rows).view(codes.shape).movedim(0, self.filter_dim).to(self.dtype)


Encoded = EncodedSparse | EncodedPowers | EncodedPlanes
"""The exact form of a parameter."""


def says(form: Encoded, tensor: Tensor) -> bool:
    """True if a form decodes to exactly these values, the signs of zeros among them."""
    found = form.decoded()
    return torch.equal(found, tensor) and torch.equal(found.signbit(), tensor.signbit())
