"""Adaptive Fastfood: Yang et al., Deep Fried Convnets, 2015, arXiv 1412.7149, sections 3 and 4.

y = S H G Π H B x: three diagonals, which are learned, a permutation, which is fixed, and two Walsh-Hadamard transforms.
d log2(d) additions and 3 d weights stand in for d² of a matrix.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsurgery.checks import require, require_count, require_flag
from netsurgery.transforms.walsh_hadamard import walsh_hadamard


class Fastfood(nn.Module):
    """A fully connected layer as transforms and diagonals: (..., in_features) -> (..., out_features).

    Inputs are padded with zeros to d entries, the next power of two. Where more than d outputs are wanted, that many
    blocks of their own diagonals and permutations lie side by side; of the last one only as many outputs are computed
    as are wanted. Use it where a fully connected layer holds most of a network's weights; the activation stays where
    it was. It isn't pruned or quantized: what it holds are vectors.

    in_features, out_features: whole numbers >= 1. bias: add one to each output; the paper's counts are without.
    Parameters: b and g (blocks, d), s (out_features,), which has the factor 1 / d of the two transforms beside it, and
    bias (out_features,). They begin as in the paper, section 3: b is 1 or -1 at random, g is Gaussian, s gives rows
    the lengths that those of a Gaussian matrix have: here of He's variance, 2 / in_features. `permutation` (blocks *
    d,) is where each entry comes from. Raises SettingError, also for inputs of another width.

    >>> layer = ns.Fastfood(800, 1024, bias=False)
    >>> sum(parameter.numel() for parameter in layer.parameters())  # of a matrix: 819,200
    3072
    >>> layer(torch.randn(5, 800)).shape
    torch.Size([5, 1024])
    """

    permutation: Tensor

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        require_count("in_features", in_features)
        require_count("out_features", out_features)
        require_flag("bias", bias)
        self.in_features, self.out_features = in_features, out_features
        self.size = 1 << (in_features - 1).bit_length()
        self.blocks = -(-out_features // self.size)
        self.b = nn.Parameter(torch.empty(self.blocks, self.size))
        self.g = nn.Parameter(torch.empty(self.blocks, self.size))
        self.s = nn.Parameter(torch.empty(out_features))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        self.register_buffer("permutation", torch.empty(self.blocks * self.size, dtype=torch.int64))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws all of it anew from torch's generator."""
        self.b.bernoulli_().mul_(2).sub_(1)
        self.g.normal_()
        # A row of H G Π H B / d is as long as g of its block, over sqrt(d); a Gaussian row's length is chi / sqrt(d).
        wide = torch.promote_types(self.s.dtype, torch.float32)  # torch draws no such numbers in float16
        lengths = self.g.norm(dim=1, dtype=wide).repeat_interleave(self.size)[: self.out_features]
        freedom = torch.full_like(self.s, self.size, dtype=wide)
        squares = torch.distributions.Chi2(freedom, validate_args=False).sample()
        self.s.copy_(squares.sqrt() / lengths * (2 * self.size / self.in_features) ** 0.5)
        if self.bias is not None:
            self.bias.zero_()
        orders = [torch.randperm(self.size) + block * self.size for block in range(self.blocks)]
        self.permutation.copy_(torch.cat(orders))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features).

        float16 and bfloat16 become float32 between the ends: d numbers are added twice before they are divided by d.
        Raises SettingError for inputs of another width.
        """
        if x.shape[-1:] != (self.in_features,):
            advice = "make the layer for as many features as its inputs have"
            require(False, "x.shape", tuple(x.shape), f"(..., {self.in_features})", advice)
        given, wide = torch.promote_types(x.dtype, self.s.dtype), torch.promote_types(x.dtype, torch.float32)
        x = x if x.dtype == wide else x.to(wide)
        hidden = F.pad(x, (0, self.size - self.in_features)) if self.size > self.in_features else x
        if self.blocks > 1:
            hidden = walsh_hadamard(hidden.unsqueeze(-2) * self.b).flatten(-2)
            hidden = hidden.index_select(-1, self.permutation) * self.g.flatten()
            hidden = walsh_hadamard(hidden.unflatten(-1, (self.blocks, self.size))).flatten(-2)
        else:
            hidden = walsh_hadamard(hidden * self.b[0]).index_select(-1, self.permutation) * self.g[0]
            hidden = walsh_hadamard(hidden)
        s = self.s if self.s.dtype.itemsize > 2 else self.s.to(wide)
        outputs = hidden[..., : self.out_features] * (s / self.size)
        outputs = outputs if self.bias is None else outputs + self.bias
        return outputs if outputs.dtype == given else outputs.to(given)

    def matrix(self) -> Tensor:
        """The matrix that the layer stands for: (out_features, in_features), without the bias."""
        identity = torch.eye(self.in_features, dtype=self.s.dtype, device=self.s.device)
        rows = self(identity)
        return (rows if self.bias is None else rows - self.bias).T  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"
