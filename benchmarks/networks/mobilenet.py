"""A MobileNet as in its first version (Howard et al. 2017): depthwise 3x3 and 1x1 convolutions in turn, 224 x 224."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from networks.magnitude import cut

BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""(channels, stride) of each pair of a depthwise and a 1x1 convolution."""


def _convolution(channels: int, width: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, width, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())


class MobileNet(nn.Module):
    """4.2M parameters: (n, 3, 224, 224) -> (n, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(3, 32, 3, 2)]
        channels = 32
        for width, stride in BLOCKS:
            layers += [_convolution(channels, channels, 3, stride, groups=channels), _convolution(channels, width, 1)]
            channels = width
        self.layers = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.avgpool(self.layers(x)).flatten(1))


def mobilenet(density: float = 1.0, seed: int = 0) -> MobileNet:
    """In eval mode; He-initialised, batch norms with plausible statistics; 1x1 convolutions cut to `density`."""
    torch.manual_seed(seed)
    model = MobileNet().eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.kernel_size == (1, 1):
                    cut(module.weight, density)
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.0)
                module.bias.normal_(0, 0.1)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return model
