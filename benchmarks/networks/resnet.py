"""The zoo's ResNet-50 with random weights from a seed."""

from __future__ import annotations

import torch
from torch import nn

from netsurgery import zoo
from netsurgery.zoo.residual import ResNet
from networks.magnitude import cut


def resnet50(density: float = 1.0, seed: int = 0) -> ResNet:
    """In eval mode; He-initialised, batch norms with plausible statistics; the smallest weights of each layer cut."""
    torch.manual_seed(seed)
    model = zoo.resnet50().eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.0)
                module.bias.normal_(0, 0.1)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
            if density < 1 and isinstance(module, nn.Conv2d | nn.Linear):
                cut(module.weight, density)
    return model
