"""DenseNet-121 (Huang et al. 2017), SqueezeNet 1.1 (Iandola et al. 2016), PP-LCNet 1.0x (Cui et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from networks.blocks import ConvNorm, SqueezeExcitation, pooled


class DenseLayer(nn.Module):
    """Norm, 1x1, norm, 3x3: (n, channels, h, w) -> 32 channels more."""

    def __init__(self, channels: int, growth: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth),
            nn.ReLU(),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], 1)


class DenseNet121(nn.Module):
    """(n, 3, 224, 224) -> (n, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        ]
        channels = 64
        for stage, count in enumerate((6, 12, 24, 16)):
            if stage:
                layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels // 2, 1, bias=False)]
                layers.append(nn.AvgPool2d(2))
                channels //= 2
            for _ in range(count):
                layers.append(DenseLayer(channels))
                channels += 32
        layers += [nn.BatchNorm2d(channels), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(pooled(self.features(x)))


class Fire(nn.Module):
    """1x1, then 1x1 and 3x3 beside each other."""

    def __init__(self, channels: int, squeezed: int, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.one = nn.Conv2d(squeezed, width, 1)
        self.three = nn.Conv2d(squeezed, width, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.squeeze(x))
        return torch.cat([self.relu(self.one(x)), self.relu(self.three(x))], 1)


class SqueezeNet(nn.Module):
    """(n, 3, 224, 224) -> (n, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 2), nn.ReLU()]
        channels = 64
        for stage in (((16, 64),) * 2, ((32, 128),) * 2, ((48, 192),) * 2 + ((64, 256),) * 2):
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            for squeezed, width in stage:
                layers.append(Fire(channels, squeezed, width))
                channels = 2 * width
        self.features = nn.Sequential(*layers, nn.Conv2d(channels, 1000, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return pooled(self.features(x))


LCNET = (
    (3, 32, 1, False),
    (3, 64, 2, False),
    (3, 64, 1, False),
    (3, 128, 2, False),
    (3, 128, 1, False),
    (3, 256, 2, False),
    *[(5, 256, 1, False)] * 5,
    (5, 512, 2, True),
    (5, 512, 1, True),
)
"""(size of the depthwise convolution, channels, stride, squeeze and excitation)."""


class PPLCNet(nn.Module):
    """(n, 3, 224, 224) -> (n, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNorm(3, 16, 3, 2, activation=nn.Hardswish)]
        channels = 16
        for size, width, stride, squeezes in LCNET:
            layers.append(ConvNorm(channels, channels, size, stride, channels, nn.Hardswish))
            if squeezes:
                layers.append(SqueezeExcitation(channels, channels // 4, nn.ReLU, nn.Hardsigmoid))
            layers.append(ConvNorm(channels, width, activation=nn.Hardswish))
            channels = width
        self.features = nn.Sequential(*layers)
        self.last = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 1280, 1, bias=False), nn.Hardswish())
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.last(self.features(x)).flatten(1))
