"""A filter as a sum of binary planes, each times a scale: Guo, Yao, Zhao, Chen, CVPR 2017, arXiv 1706.02021.

Of a filter w of t entries, plane j is B_j in {-1, +1}^t and a_j its scale: w ≈ a_1 B_1 + ... + a_m B_m. Each plane is
the sign of what the planes before it leave over, sign(0) = +1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from netsurgery.methods.readings import reads_at_once

MOST_PLANES = 8
"""A code has a bit for each plane, and is a byte."""

_ROUNDING = 2.0**-20  # of a filter's norm: what is left over below is what float32 rounds, and no plane's to explain
_DEPENDENT = 1e-9  # of t: a plane that lies so close to the span of those before it lies in it, but for float64


class Expansion(NamedTuple):
    """What `expand` finds."""

    scales: Tensor
    """float32 (filters, planes), falling and >= 0."""
    codes: Tensor
    """uint8 (filters, t), bit j is 1 where plane j is +1."""
    total: Tensor
    """float32 (filters, t), the sum of the planes times their scales."""


def expand(weight: Tensor, planes: int, refined: bool = True, room: Tensor | None = None) -> Expansion:
    """Filters as sums of planes.

    weight: float32 (filters, t), finite, t < 2^24. planes: m, 1 .. MOST_PLANES.
    refined: after each plane the scales of all planes so far are the least-squares solution, a = (BᵀB)⁻¹ Bᵀw (the
        paper's refined approximation), solved in closed form in float64. Otherwise a scale is found with its plane and
        stays, a_j = ‖residual‖₁ / t (the paper's direct approximation).
    room: float32 (planes + 2, at least filters * t), overwritten, for callers that expand many blocks; `total` lies in
        it then. Memory that is used again is in the cache, memory that is new isn't even there.

    A filter that fewer planes explain, such as a constant or a zero one, has scales of 0 for the others. All sums of
    scales are exact (`_in_whole_steps`).
    Squared errors: direct <= ‖w‖²(1 - 1/t)^m; refined <= ‖w‖² Π_j (1 - 1/(t - λ_j)), where λ_j is the squared length of
    B_j's projection onto the span of the planes before it.
    """
    filters, entries = weight.shape
    room = weight.new_empty(planes + 2, weight.numel()) if room is None else room
    used = room[:, : weight.numel()].view(-1, filters, entries)
    signs, remainder, spare = used[:planes], used[planes], used[planes + 1]
    one, residual = weight.new_ones(()), torch.add(weight, 0.0, out=remainder)  # -0 becomes +0
    for plane in range(planes):
        torch.copysign(one, residual, out=signs[plane])
        norm = torch.abs(residual, out=spare).sum(dim=1).double()
        if plane == 0:
            rounding, scales = _ROUNDING * norm, norm[:, None] / entries
            inverse = scales.new_full((filters, 1, 1), 1 / entries)
        else:
            norm = torch.where(norm <= rounding, 0.0, norm)
            if refined:
                overlaps = [torch.mul(before, signs[plane], out=spare).sum(dim=1) for before in signs[:plane]]
                change, inverse = _refit(inverse, torch.stack(overlaps, dim=1).double(), norm, entries)
            else:
                change = pad((norm / entries)[:, None], (plane, 0))
            scales = pad(scales, (0, 1)) + change
        if plane < planes - 1:
            residual = _without(weight, signs, scales.float(), remainder)
    ordered = _in_whole_steps(_in_order(signs, scales)).float()
    return Expansion(ordered, _codes(signs, spare), _sum(signs, ordered, remainder))


def sum_of_planes(scales: Tensor, codes: Tensor) -> Tensor:
    """The total of an expansion, float32 (filters, t), from its scales (filters, planes) and codes (filters, t).

    From the first plane on, as netsurgery.graph.planes has it: the same bits.
    """

    def term(plane: int) -> Tensor:
        scale = scales[:, plane : plane + 1]
        return torch.where((codes & (1 << plane)) != 0, scale, -scale)

    total = term(0)
    for plane in range(1, scales.shape[1]):
        total.add_(term(plane))
    return total


def _refit(inverse: Tensor, overlaps: Tensor, norm: Tensor, entries: int) -> tuple[Tensor, Tensor]:
    """How the scales change by the new plane (filters, j + 1), and (BᵀB)⁻¹ with it (filters, j + 1, j + 1), float64.

    inverse: (BᵀB)⁻¹ of the j planes before; overlaps (filters, j): the new plane times each of them; norm (filters,):
    of the residual, ‖r‖₁. As r is orthogonal to the planes before, Bᵀr is ‖r‖₁ for the new plane and 0 for them: the
    change (BᵀB)⁻¹ Bᵀr is ‖r‖₁ times the last column of the new inverse. That follows from the old inverse by bordering;
    its Schur complement is t - λ.
    """
    projection = torch.bmm(inverse, overlaps[:, :, None])[:, :, 0]
    own = entries - (overlaps * projection).sum(dim=1)  # t - λ
    last = pad(-projection, (0, 1), value=1.0)
    column = last * torch.where(own > _DEPENDENT * entries, 1 / own, 0.0)[:, None]
    return column * norm[:, None], pad(inverse, (0, 1, 0, 1)) + column[:, :, None] * last[:, None, :]


def _without(weight: Tensor, signs: Tensor, scales: Tensor, out: Tensor) -> Tensor:
    """The weight less as many planes as there are scales: the residual."""
    for plane in range(scales.shape[1]):
        torch.addcmul(out if plane else weight, signs[plane], scales[:, plane : plane + 1], value=-1, out=out)
    return out


def _sum(signs: Tensor, scales: Tensor, out: Tensor) -> Tensor:
    """The sum of the planes. A sign is ±1: products are exact, and sums of such scales are."""
    torch.mul(signs[0], scales[:, :1], out=out)
    for plane in range(1, scales.shape[1]):
        torch.addcmul(out, signs[plane], scales[:, plane : plane + 1], out=out)
    return out


def _in_order(signs: Tensor, scales: Tensor) -> Tensor:
    """The scales >= 0 and falling, with signs to match; they nearly always are so already.

    A file tells planes from values alone, and looks for them in this order.
    """
    wrong: Tensor | slice = slice(None)  # of those in order nothing changes
    if reads_at_once(scales):
        steps = scales - pad(scales[:, 1:], (0, 1))
        if not bool(steps.min() < 0):
            return scales
        wrong = (steps < 0).any(dim=1).nonzero()[:, 0]
    sizes, order = scales[wrong].abs().sort(dim=1, descending=True, stable=True)
    flips = torch.where(scales[wrong] < 0, -1.0, 1.0)
    flipped = signs[:, wrong] * flips.T[:, :, None]
    signs[:, wrong] = torch.take_along_dim(flipped, order.T[:, :, None], dim=0)
    scales[wrong] = sizes
    return scales


def _in_whole_steps(scales: Tensor) -> Tensor:
    """Scales >= 0 (filters, planes), float64, rounded to whole multiples of one step in each filter.

    The step is 2^(e - 24), with the least e for which 2^e exceeds the sum of the filter's scales, but 2^-149 at least.
    Every sum of some of them, whatever their signs, is less than 2^24 steps then: exactly a float32, in whatever order
    it is summed. A scale moves by 2^-24 of that sum at most, by what float32 rounds anyway. In return weights tell
    their planes without doubt: they are sums of integers, while a rounded sum may come from several scales.
    """
    total = scales.sum(dim=1, keepdim=True).clamp(min=2.0**-126)  # below, the steps are those of float32: 2^-149
    step = total / torch.frexp(total).mantissa * 2.0**-24  # exact, as it is a power of two
    steps = torch.round(scales / step).sum(dim=1, keepdim=True)
    step = torch.where(steps < 2**24, step, 2 * step)  # rounding up may reach 2^e
    return torch.round(scales / step) * step


def _codes(signs: Tensor, spare: Tensor) -> Tensor:
    """Σ_j 2^j (B_j + 1) / 2, as bytes."""
    middle = spare.new_full((), 2.0 ** (len(signs) - 1) - 0.5)
    for plane in range(len(signs)):
        torch.add(spare if plane else middle, signs[plane], alpha=2.0 ** (plane - 1), out=spare)
    return spare.to(torch.uint8)
