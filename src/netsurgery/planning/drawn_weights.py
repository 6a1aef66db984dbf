"""Random weights that are spread as those of trained networks are, pruned and quantized as a row of a table says.

How many bytes a file takes depends on where the kept weights lie. Independent weights have no pattern to find: the
worst case. In trained networks rows and columns differ in size, more so than chance would have it, and what is pruned
lies in small ones; a sketch of that are weights whose rows and columns have scales of their own.
"""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor, nn

from netsurgery.methods.powers import fitted_powers, nearest_power
from netsurgery.planning.published import FLOAT_BITS, PublishedRow
from netsurgery.zoo.table import ZOO

SCALE_SPREAD = 0.3
"""Standard deviation of the logarithm of scales.

Below that of rows and columns in the public CIFAR-10 reference of ResNet-56, whose layers have 0.53 (rows) and 0.58
(columns) in the median, dead units among them.
"""


class Spread(Enum):
    """How weights are drawn.

    INDEPENDENT: Laplace's distribution. SCALED: Gauss', times a scale of each row and one of each column, both
    log-normal, of standard deviation SCALE_SPREAD.
    """

    INDEPENDENT = "independent"
    SCALED = "scaled"


@torch.no_grad()
def drawn_network(row: PublishedRow, spread: Spread, seed: int = 0) -> nn.Module:
    """The row's network in evaluation mode: the largest weights of each layer are kept, as the row's powers of two."""
    torch.manual_seed(seed)
    model = ZOO[row.network].deployed()
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.copy_(_drawn(module.weight.shape, spread))
            prune(module.weight, row.density_of(name))
            if row.bits < FLOAT_BITS:
                quantize(module.weight, row.bits)
            if module.bias is not None:
                module.bias.normal_(0, 0.05)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                tensor.uniform_(0.5, 1.5)  # type: ignore[union-attr]
            for tensor in (module.bias, module.running_mean):
                tensor.normal_(0, 0.1)  # type: ignore[union-attr]
    return model


def _drawn(shape: torch.Size, spread: Spread) -> Tensor:
    """Of He's variance."""
    if spread is Spread.INDEPENDENT:
        weights: Tensor = torch.distributions.Laplace(0.0, 0.5**0.5).sample(shape)
    else:
        weights = torch.randn(shape)
        for axis in (0, 1):
            scales = (SCALE_SPREAD * torch.randn(shape[axis])).exp()
            weights *= scales.view([-1 if place == axis else 1 for place in range(len(shape))])
    deviation: float = (2 / shape[1:].numel()) ** 0.5
    return weights * deviation


def prune(weights: Tensor, density: float) -> None:
    """Sets the smallest weights to 0, in place: round(density * count) remain."""
    gone = weights.numel() - round(density * weights.numel())
    if gone:
        smallest = weights.abs().flatten().argsort()[:gone]
        weights.view(-1)[smallest] = 0


def quantize(weights: Tensor, bits: int) -> None:
    """Kept weights become powers of two, in place, as INQ's last portion would leave them: zeros don't count."""
    kept = weights[weights != 0]
    if kept.numel():
        weights.copy_(nearest_power(weights, *fitted_powers(lambda: [kept], bits)))
