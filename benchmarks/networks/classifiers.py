"""DenseNet-121 (Huang et al. 2017), GoogLeNet (Szegedy et al. 2015), SqueezeNet 1.1 (Iandola et al. 2016), PP-LCNet.

GoogLeNet is the version with batch norms and without auxiliary classifiers; PP-LCNet is that of Cui et al. 2021, 1.0x.
"""

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


INCEPTIONS = (
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    None,
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
    None,
    (256, 160, 320, 32, 128, 128),
    (384, 192, 384, 48, 128, 128),
)
"""Channels of a module: 1x1; before and of the 3x3; the same of the third branch; behind the pool. None: a pool."""


class Inception(nn.Module):
    """Four branches beside each other."""

    def __init__(
        self, channels: int, one: int, before: int, three: int, before_last: int, last: int, pool: int
    ) -> None:
        super().__init__()

        def convolution(given: int, width: int, size: int = 1) -> ConvNorm:
            return ConvNorm(given, width, size, epsilon=1e-3)

        self.branches = nn.ModuleList(
            [
                convolution(channels, one),
                nn.Sequential(convolution(channels, before), convolution(before, three, 3)),
                nn.Sequential(convolution(channels, before_last), convolution(before_last, last, 3)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), convolution(channels, pool)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class GoogLeNet(nn.Module):
    """(n, 3, 224, 224) -> (n, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            ConvNorm(3, 64, 7, 2, epsilon=1e-3),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            ConvNorm(64, 64, epsilon=1e-3),
            ConvNorm(64, 192, 3, epsilon=1e-3),
            nn.MaxPool2d(3, 2, ceil_mode=True),
        ]
        channels, pools = 192, iter((3, 2))
        for widths in INCEPTIONS:
            if widths is None:
                layers.append(nn.MaxPool2d(next(pools), 2, ceil_mode=True))
                continue
            layers.append(Inception(channels, *widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]
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
