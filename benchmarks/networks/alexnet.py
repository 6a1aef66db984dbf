"""The zoo's AlexNet at the densities that dynamic network surgery leaves."""

from __future__ import annotations

import torch
from torch import nn

from netsurgery import zoo
from netsurgery.zoo.alexnets import AlexNet
from networks.magnitude import cut

DENSITIES = {
    "conv1": 0.538,
    "conv2": 0.406,
    "conv3": 0.290,
    "conv4": 0.323,
    "conv5": 0.325,
    "fc1": 0.037,
    "fc2": 0.066,
    "fc3": 0.046,
}
"""What dynamic network surgery leaves of each layer (Guo et al. 2016, table 4)."""


def keep_as_published(model: nn.Module) -> None:
    """The smallest weights of each layer cut to the paper's densities."""
    for name, density in DENSITIES.items():
        cut(getattr(model, name).weight, density)


def alexnet(seed: int = 0) -> AlexNet:
    """In eval mode; He-initialised; the smallest weights of each layer cut to the paper's density."""
    torch.manual_seed(seed)
    model = zoo.alexnet().eval()
    for name in DENSITIES:
        layer = getattr(model, name)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.uniform_(layer.bias, -0.1, 0.1)
    keep_as_published(model)
    return model
