"""What several networks for images consist of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class ConvNorm(nn.Sequential):
    """A convolution that keeps the size but for its stride, a batch norm, and an activation, if there is one."""

    def __init__(
        self,
        channels: int,
        width: int,
        size: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: Callable[[], nn.Module] | None = nn.ReLU,
        epsilon: float = 1e-5,
    ) -> None:
        convolution = nn.Conv2d(channels, width, size, stride, size // 2, groups=groups, bias=False)
        layers = [convolution, nn.BatchNorm2d(width, epsilon)]
        super().__init__(*layers, *([activation()] if activation else []))


class SqueezeExcitation(nn.Module):
    """Scales channels by what their means say (Hu et al. 2018)."""

    def __init__(
        self, channels: int, squeezed: int, activation: Callable[[], nn.Module], gate: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.scale = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1), activation(), nn.Conv2d(squeezed, channels, 1), gate()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale(self.pool(x))


class InvertedResidual(nn.Module):
    """1x1, depthwise, 1x1, and the input added where it fits (Sandler et al. 2018).

    expanded: channels of the depthwise convolution; the first 1x1 is left out where they are those of the input.
    squeezed: channels of a squeeze-and-excitation behind the depthwise convolution; 0 for none.
    """

    def __init__(
        self,
        channels: int,
        expanded: int,
        width: int,
        size: int,
        stride: int,
        activation: Callable[[], nn.Module],
        squeezed: int = 0,
        gates: tuple[Callable[[], nn.Module], Callable[[], nn.Module]] = (nn.ReLU, nn.Sigmoid),
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if expanded != channels:
            layers.append(ConvNorm(channels, expanded, activation=activation, epsilon=epsilon))
        layers.append(ConvNorm(expanded, expanded, size, stride, expanded, activation, epsilon))
        if squeezed:
            layers.append(SqueezeExcitation(expanded, squeezed, *gates))
        layers.append(ConvNorm(expanded, width, activation=None, epsilon=epsilon))
        self.layers = nn.Sequential(*layers)
        self.added = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        out = self.layers(x)
        return x + out if self.added else out


def divisible(channels: float, by: int = 8) -> int:
    """The nearest multiple, not more than a tenth below."""
    nearest = max(by, int(channels + by / 2) // by * by)
    return nearest + by if nearest < 0.9 * channels else nearest


def pooled(x: Tensor) -> Tensor:
    """(n, c, h, w) -> (n, c): means."""
    return torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1)
