"""Weights as zero or powers of two: the arithmetic of incremental network quantization (arXiv 1702.03044, section 2.1).

At b bits a tensor's weights take values of {0, ±2^n2, ..., ±2^n1}: one bit says zero, the other b - 1 say which power
and sign, so there are 2^(b-1) / 2 powers. With m mantissa bits, of those b, each power stands for 2^m sizes, evenly
spread from it to below the next: (1 + j / 2^m) * 2^e. There are 2^m times fewer powers then, and neighbours lie nearer
to each other: at m = 0 a weight is up to a third away from the size that stands for it, at m = 2 a ninth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from netsurgery.methods.shards import Groups, most, totals

_ENDLESS = 1024  # exponent of a power that is beyond float64
_SMALLEST_EXPONENT = -1073  # of a power in float64 whose half, where it begins, is a number too


def smallest_power(n1: int, bits: int, mantissa_bits: int = 0) -> int:
    """n2 where n1 is the exponent of the largest power: n1 + 1 - 2^(b-1-m) / 2. 0 <= m <= b - 2."""
    return n1 + 1 - (1 << (bits - 2 - mantissa_bits))


def next_power_begins(mantissa_bits: int) -> float:
    """Half of a power is multiplied by this where that power is the nearest size: 3/2 at m = 0, then nearer to 2."""
    return 2 - 0.5 ** (mantissa_bits + 1)


def more_tries(mantissa_bits: int) -> int:
    """How many powers below the last one below the mean may still be the best largest one."""
    return 2 if mantissa_bits > 1 else 0


def powers(largest: float, bits: int, mantissa_bits: int = 0) -> tuple[int, int]:
    """(n1, n2), the exponents of the largest and of the smallest power, n2 <= n1; section 2.1.

    largest: s = max|w| of the tensor, > 0 and finite. bits: b >= 2. mantissa_bits: m, 0 <= m <= b - 2.
    n1 = floor(log2(4s / 3)) without any rounding of the logarithm; n2 = n1 + 1 - 2^(b-1) / 2. With mantissa bits n1 is
    the exponent of the size nearest to s.
    """
    fraction, exponent = math.frexp(largest)  # s = fraction * 2^exponent, fraction in [1/2, 1)
    n1 = exponent if 2 * fraction >= next_power_begins(mantissa_bits) else exponent - 1
    return n1, smallest_power(n1, bits, mantissa_bits)


def fitted_powers(
    weights: Callable[[], Iterable[Tensor]], bits: int, mantissa_bits: int = 0, groups: Groups = ()
) -> tuple[int, int]:
    """(n1, n2) of the powers that stand for all weights with the least squared error; among equals the largest n1.

    weights: gives the same tensors each time, floating-point and finite, not all zeros. bits: b >= 2. mantissa_bits: m,
    0 <= m <= b - 2. groups: over which other parts of the weights are spread.
    `powers` holds the largest weight, whatever that costs the others: where there are few powers, one large weight
    leaves most below the smallest. Here it may become a smaller power than its own, as equation 4 has no upper end.
    Nothing is missed by trying from there down to the last power below the mean of |w|: below, every weight from half
    of the largest power on would gain by a larger one, in sum. Where there are more sizes than powers the gaps above 0
    are wider than those between sizes, and two powers more are tried.
    """
    largest, total, count = 0.0, 0.0, 0.0
    for block in weights():
        if block.numel():
            sizes = block.abs().to(torch.float64)
            largest, total, count = max(largest, float(sizes.max())), total + float(sizes.sum()), count + block.numel()
    largest = most(largest, groups)
    total, count = totals([total, count], [groups, groups])
    highest, _ = powers(largest, bits, mantissa_bits)
    _, lowest = math.frexp(total / count)  # mean < 2^lowest
    span = -smallest_power(0, bits, mantissa_bits)
    tries = range(highest, min(lowest - 1, highest) - 1 - more_tries(mantissa_bits), -1)
    here = [sum(_squared_error(block, largest, n1, n1 - span, mantissa_bits) for block in weights()) for n1 in tries]
    errors = dict(zip(tries, totals(here, [groups] * len(here)), strict=True))
    n1 = min(errors, key=lambda tried: errors[tried])
    return n1, n1 - span


def _squared_error(weights: Tensor, largest: float, n1: int, n2: int, mantissa_bits: int) -> float:
    """Of the rounded weights, as shares of the largest one so that squares stay numbers."""
    lost = weights.to(torch.float64) - nearest_power(weights, n1, n2, mantissa_bits).to(torch.float64)
    return float((lost / largest).square().sum())


def nearest_power(weights: Tensor, n1: int, n2: int, mantissa_bits: int = 0) -> Tensor:
    """Each weight as zero or the power of two that stands for it, in its own type and shape; equation 4.

    With alpha < beta neighbours in {0, 2^n2, ..., 2^n1}: w becomes beta * sign(w) if (alpha + beta) / 2 <= |w| <
    3 beta / 2, and +0 below 2^n2 / 2. What lies beyond 3/2 * 2^n1 becomes 2^n1. With mantissa bits the neighbours are
    the sizes that each power stands for, and what lies beyond the largest becomes that. What lies beyond the type's
    largest power, or the sizes that it stands for, becomes the largest of those.

    weights: any shape and floating-point type, finite. Exact for every float16, bfloat16 and float32, subnormal ones
    too: float64 holds them and the boundaries. float64 weights next to the smallest there is (2^-1074) become 0.
    mantissa_bits: m, 0 .. 6, which every type has; a subnormal size that a type doesn't have is rounded to it.
    """
    _, beyond = math.frexp(torch.finfo(weights.dtype).max)
    exponents = range(max(n2, _SMALLEST_EXPONENT), n1 + 1)
    steps = 2**mantissa_bits
    each = [(power, step) for power in exponents for step in range(steps)]
    largest = math.ldexp(2 - 1 / steps, beyond - 1)
    sizes = [0.0, *(math.ldexp(1 + step / steps, power) if power < beyond else largest for power, step in each)]
    begins = [
        math.ldexp(_begin(step, steps) if index else 0.5, power) if power < _ENDLESS or not step else math.inf
        for index, (power, step) in enumerate(each)
    ]
    boundaries = weights.new_tensor(begins, dtype=torch.float64)
    magnitudes = weights.abs().to(torch.float64).contiguous()
    found = torch.bucketize(magnitudes, boundaries, right=True)  # boundaries[found - 1] <= |w| < boundaries[found]
    rounded = weights.new_tensor(sizes, dtype=torch.float64)[found].to(weights.dtype)
    return torch.copysign(rounded, weights).add_(0.0)  # -0 + 0 is +0


def _begin(step: int, steps: int) -> float:
    """Where weights begin to become 1 + step / steps: half of the way from the size before, nearer to it below 1."""
    return 1 + (step - 0.5) / steps if step else 1 - 0.25 / steps
