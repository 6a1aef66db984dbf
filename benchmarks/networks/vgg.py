"""The zoo's VGG-16 with every filter redrawn as the sum of two binary planes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netsurgery import zoo
from netsurgery.zoo.vgg import VGG16


def sketched(weight: Tensor) -> Tensor:
    """(O, ...) -> the same shape: each row as a_0 B_0 + a_1 B_1 by the refined method (Guo et al. 2017, section 3.2).

    B_0 and B_1 are the signs of the row and of what a scaled B_0 leaves of it; then both scales are solved again,
    a = (B^T B)^-1 B^T w. In exact float32 sums, so that packing finds the planes again.
    """
    rows = weight.flatten(1)
    first = torch.where(rows >= 0, 1.0, -1.0)
    rest = rows - (first * rows).mean(dim=1, keepdim=True) * first
    second = torch.where(rest >= 0, 1.0, -1.0)
    products = (first * second).mean(dim=1)
    on_first, on_second = (first * rows).mean(dim=1), (second * rows).mean(dim=1)
    determinant = 1 - products**2
    scale = torch.stack([on_first - products * on_second, on_second - products * on_first]) / determinant
    return (scale[0, :, None] * first + scale[1, :, None] * second).view_as(weight)


@torch.no_grad()
def sketch_layers(model: nn.Module) -> None:
    """Every layer as a sketch of two planes."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.copy_(sketched(module.weight))


def vgg16_sketch(seed: int = 0) -> VGG16:
    """In eval mode; He-initialised; every layer, the fully connected ones too, is a sketch of two planes."""
    torch.manual_seed(seed)
    model = zoo.vgg16().eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.uniform_(module.bias, -0.1, 0.1)
    sketch_layers(model)
    return model
