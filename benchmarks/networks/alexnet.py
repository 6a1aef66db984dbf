"""The zoo's AlexNet at the densities that dynamic network surgery leaves."""

from __future__ import annotations

import torch
from torch import nn

from netsurgery import zoo
from netsurgery.planning.published import ALEXNET_DENSITIES
from netsurgery.zoo.alexnets import AlexNet
from networks.magnitude import cut


def keep_as_published(model: nn.Module) -> None:
    """The smallest weights of each layer cut to the paper's densities."""
    for name, density in ALEXNET_DENSITIES.items():
        cut(getattr(model, name).weight, density)


def alexnet(seed: int = 0) -> AlexNet:
    """In eval mode; He-initialised; the smallest weights of each layer cut to the paper's density."""
    torch.manual_seed(seed)
    model = zoo.alexnet().eval()
    for name in ALEXNET_DENSITIES:
        layer = getattr(model, name)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.uniform_(layer.bias, -0.1, 0.1)
    keep_as_published(model)
    return model
