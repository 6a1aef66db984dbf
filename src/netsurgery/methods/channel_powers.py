"""Powers of two of each output channel by itself: the rule of powers.py, for all channels of a weight at once.

A channel is a filter (filters.py): all that makes one output. Its weights, over its own largest power 2^n1, are rounded
to {0, ±2^(n2 - n1), ..., ±1}, and scaled back; scaling by a power of two rounds nothing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from netsurgery.methods.blocks import row_blocks
from netsurgery.methods.powers import more_tries, nearest_power, next_power_begins, smallest_power
from netsurgery.methods.shards import Groups, largest, summed

_SMALLEST = -1022  # of n1: float64 holds 2^-n1 too


def largest_exponents(
    weight: Tensor, bits: int, mantissa_bits: int = 0, dim: int = 0, fitted: bool = True, groups: Groups = ()
) -> Tensor:
    """n1 of each channel: int16 with n in dimension `dim` and 1 in all others; 0 for a channel of zeros.

    weight: of two dimensions or more, floating-point and finite; channels lie along `dim`. bits, mantissa_bits: b >= 2
    and m, 0 .. b - 2.
    fitted: the n1 of least squared error over the channel's weights other than 0, as `powers.fitted_powers` has it of a
    tensor; False: the n1 that follows from its largest weight, as in `powers.powers`. groups: over which the weights of
    each channel are spread.
    """
    channels = weight.transpose(0, dim)
    if groups or not len(channels):
        found = _largest(channels.flatten(1), bits, mantissa_bits, fitted, groups)
    else:
        parts = (channels[rows].flatten(1) for rows in row_blocks(channels))
        found = torch.cat([_largest(part, bits, mantissa_bits, fitted) for part in parts])
    return found.view([extent if one == dim else 1 for one, extent in enumerate(weight.shape)])


def nearest_in_channels(weight: Tensor, exponents: Tensor, bits: int, mantissa_bits: int = 0) -> Tensor:
    """Each weight as zero or the power of its channel that stands for it, in its own type and shape; equation 4.

    exponents: n1 of each channel, integers that broadcast to the weight. As exact as `powers.nearest_power`; float64
    weights below 2^-1023 become 0.
    """
    scaled = weight.to(torch.float64) * _powers_of_two(-exponents)
    rounded = nearest_power(scaled, 0, smallest_power(0, bits, mantissa_bits), mantissa_bits)
    rounded = rounded * _powers_of_two(exponents)
    return rounded.to(weight.dtype).add_(0.0)  # -0 + 0 is +0, where a power was too small for the type


def sizes_in_channels(weight: Tensor, exponents: Tensor) -> Tensor:
    """float32 of the weight's shape: |w| over its channel's largest power, the same however a channel is scaled."""
    return (weight.to(torch.float64).abs() * _powers_of_two(-exponents)).to(torch.float32)


def _largest(channels: Tensor, bits: int, mantissa_bits: int, fitted: bool, groups: Groups = ()) -> Tensor:
    """(n,) int16: n1 of each row of (n, k), or of what is here of it."""
    if not len(channels):
        return channels.new_empty(0, dtype=torch.int16)
    sizes = channels.abs().to(torch.float64)
    (tops,) = largest([sizes.amax(dim=1) if sizes.shape[1] else sizes.new_zeros(len(sizes))], [groups])
    fractions, above = torch.frexp(tops)
    _, beyond = math.frexp(torch.finfo(channels.dtype).max)
    own = 2 * fractions >= next_power_begins(mantissa_bits)
    highest = torch.where(own, above, above - 1).clamp_(_SMALLEST, beyond - 1)
    if not fitted:
        return torch.where(fractions > 0, highest, 0).to(torch.int16)
    sums, counts = summed([sizes.sum(dim=1), sizes.count_nonzero(dim=1)], [groups, groups])
    means = sums / counts.clamp_(min=1)
    tries = (highest - torch.frexp(means).exponent + 1).clamp_(min=0)  # why no more are worth it: powers.fitted_powers
    tries += more_tries(mantissa_bits)
    scaled = sizes * _powers_of_two(-highest)[:, None]
    least, best = torch.full_like(means, math.inf), torch.zeros_like(highest)
    for lower in range(int(tries.max()) + 1):
        lost = scaled - nearest_power(scaled, -lower, smallest_power(-lower, bits, mantissa_bits), mantissa_bits)
        (error,) = summed([lost.square_().sum(dim=1)], [groups])
        error = error.masked_fill_(tries < lower, math.inf)
        better = error < least
        least, best = torch.where(better, error, least), torch.where(better, lower, best)
    return torch.where(fractions > 0, highest - best, 0).to(torch.int16)


def _powers_of_two(exponents: Tensor) -> Tensor:
    """float64: 2^e, exact, as no library's pow has to be."""
    least, most = (int(end) for end in torch.aminmax(exponents))
    table = [math.ldexp(1.0, exponent) for exponent in range(least, most + 1)]
    return torch.tensor(table, dtype=torch.float64, device=exponents.device)[exponents.to(torch.int64) - least]
