"""MobileNetV2 (Sandler et al. 2018), MobileNetV3-small (Howard et al. 2019), EfficientNet-B0 (Tan and Le 2019)."""

from __future__ import annotations

from torch import Tensor, nn

from networks.blocks import ConvNorm, InvertedResidual, divisible, pooled

V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""(expansion, channels, blocks, stride of the first)."""

V3_SMALL = (
    (3, 16, 16, True, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 2),
    (3, 88, 24, False, nn.ReLU, 1),
    (5, 96, 40, True, nn.Hardswish, 2),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 120, 48, True, nn.Hardswish, 1),
    (5, 144, 48, True, nn.Hardswish, 1),
    (5, 288, 96, True, nn.Hardswish, 2),
    (5, 576, 96, True, nn.Hardswish, 1),
    (5, 576, 96, True, nn.Hardswish, 1),
)
"""(size, expanded, channels, squeeze and excitation, activation, stride)."""

B0 = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""(expansion, size, stride of the first, channels, blocks)."""


class MobileNetV2(nn.Module):
    """(n, 3, 224, 224) -> (n, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNorm(3, 32, 3, 2, activation=nn.ReLU6)]
        channels = 32
        for expansion, width, count, first in V2:
            for block in range(count):
                stride = first if block == 0 else 1
                layers.append(InvertedResidual(channels, expansion * channels, width, 3, stride, nn.ReLU6))
                channels = width
        layers.append(ConvNorm(channels, 1280, activation=nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(pooled(self.features(x)))


class MobileNetV3Small(nn.Module):
    """(n, 3, 224, 224) -> (n, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNorm(3, 16, 3, 2, activation=nn.Hardswish, epsilon=1e-3)]
        channels = 16
        for size, expanded, width, squeezes, activation, stride in V3_SMALL:
            squeezed = divisible(expanded / 4) if squeezes else 0
            gates = (nn.ReLU, nn.Hardsigmoid)
            layers.append(
                InvertedResidual(channels, expanded, width, size, stride, activation, squeezed, gates, epsilon=1e-3)
            )
            channels = width
        layers.append(ConvNorm(channels, 576, activation=nn.Hardswish, epsilon=1e-3))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(576, 1024), nn.Hardswish(), nn.Linear(1024, 1000))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(pooled(self.features(x)))


class EfficientNetB0(nn.Module):
    """(n, 3, 224, 224) -> (n, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNorm(3, 32, 3, 2, activation=nn.SiLU)]
        channels = 32
        for expansion, size, first, width, count in B0:
            for block in range(count):
                stride = first if block == 0 else 1
                gates = (nn.SiLU, nn.Sigmoid)
                layers.append(
                    InvertedResidual(
                        channels, expansion * channels, width, size, stride, nn.SiLU, max(1, channels // 4), gates
                    )
                )
                channels = width
        layers.append(ConvNorm(channels, 1280, activation=nn.SiLU))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(pooled(self.features(x)))
