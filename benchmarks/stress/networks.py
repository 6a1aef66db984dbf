"""The networks: one of each kind whose weights mean different things to a ranking. (n, 1, 8, 8) -> (n, 10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stress.digits import CLASSES

Norm = Callable[[int], nn.Module]
"""Channels -> a normalisation of them."""


def convolutional(norm: Norm) -> nn.Sequential:
    """Two 3x3 convolutions, each normalised, and a linear layer on the mean of the pixels: 5,200 parameters."""
    return nn.Sequential(
        *_convolution(1, 16, norm),
        nn.MaxPool2d(2),
        *_convolution(16, 32, norm),
        *_mean_of_pixels(),
        nn.Linear(32, CLASSES),
    )


class Residual(nn.Module):
    """x + two 3x3 convolutions of x, each behind a batch norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *_convolution(channels, channels, nn.BatchNorm2d), *_convolution(channels, channels, nn.BatchNorm2d)[:-1]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.branch(x))


def residual() -> nn.Sequential:
    """A stem and two residual blocks with a strided convolution between them: 28,400 parameters."""
    return nn.Sequential(
        *_convolution(1, 16, nn.BatchNorm2d),
        Residual(16),
        *_convolution(16, 32, nn.BatchNorm2d, stride=2),
        Residual(32),
        *_mean_of_pixels(),
        nn.Linear(32, CLASSES),
    )


def separable() -> nn.Sequential:
    """A stem and three depthwise-separable blocks, as in MobileNet: 9,000 parameters, of a depthwise channel 9."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        depthwise = _convolution(inputs, inputs, nn.BatchNorm2d, groups=inputs)
        return [*depthwise, *_convolution(inputs, outputs, nn.BatchNorm2d, side=1)]

    return nn.Sequential(
        *_convolution(1, 16, nn.BatchNorm2d),
        *block(16, 32),
        nn.MaxPool2d(2),
        *block(32, 64),
        *block(64, 64),
        *_mean_of_pixels(),
        nn.Linear(64, CLASSES),
    )


def perceptron() -> nn.Sequential:
    """Three linear layers with layer norms between them: 17,600 parameters."""
    return nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(64, 128), nn.LayerNorm(128), nn.ReLU()),
        *(nn.Linear(128, 64), nn.LayerNorm(64), nn.ReLU()),
        nn.Linear(64, CLASSES),
    )


class Transformer(nn.Module):
    """An encoder of two layers over the rows of an image, with learnt positions: 18,000 parameters."""

    def __init__(self) -> None:
        super().__init__()
        width = 32
        self.embedding = nn.Linear(8, width)
        self.positions = nn.Parameter(torch.randn(8, width) * 0.1)
        layer = nn.TransformerEncoderLayer(width, nhead=4, dim_feedforward=64, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.embedding(images[:, 0]) + self.positions
        return self.head(self.encoder(rows).mean(1))


class Recurrent(nn.Module):
    """A recurrent layer over the rows of an image, a linear layer on its last output: 9,000 to 12,000 parameters."""

    def __init__(self, kind: type[nn.LSTM | nn.GRU]) -> None:
        super().__init__()
        self.layer = kind(8, 48, batch_first=True)
        self.head = nn.Linear(48, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        outputs, _ = self.layer(images[:, 0])
        return self.head(outputs[:, -1])


def _convolution(
    inputs: int, outputs: int, norm: Norm, side: int = 3, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Convolution, normalisation, ReLU; as many pixels as before at stride 1."""
    convolution = nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=False)
    return [convolution, norm(outputs), nn.ReLU()]


def _mean_of_pixels() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]


@dataclass(frozen=True)
class StressNetwork:
    """A network and how it is trained.

    rates: optimizer -> learning rate, of the dense training and of all treatments. dense_steps: optimizer steps of the
    dense network that treatments begin with, along half a cosine to 0.
    """

    title: str
    build: Callable[[], nn.Module]
    rates: dict[str, float]
    dense_steps: int


_FEED_FORWARD = {"sgd": 0.05, "adamw": 2e-3}
_RECURRENT = {"sgd": 0.2, "adamw": 3e-3}

NETWORKS = {
    "conv": StressNetwork("convolutions, batch norm", lambda: convolutional(nn.BatchNorm2d), _FEED_FORWARD, 800),
    "residual": StressNetwork("residual, batch norm", residual, _FEED_FORWARD, 800),
    "separable": StressNetwork("depthwise separable, batch norm", separable, _FEED_FORWARD, 800),
    "conv-groups": StressNetwork(
        "convolutions, group norm",
        lambda: convolutional(lambda channels: nn.GroupNorm(4, channels)),
        _FEED_FORWARD,
        800,
    ),
    "perceptron": StressNetwork("perceptron, layer norm", perceptron, _FEED_FORWARD, 800),
    "transformer": StressNetwork("transformer, two layers", Transformer, {"sgd": 0.02, "adamw": 1e-3}, 2_000),
    "lstm": StressNetwork("LSTM", lambda: Recurrent(nn.LSTM), _RECURRENT, 2_000),
    "gru": StressNetwork("GRU", lambda: Recurrent(nn.GRU), _RECURRENT, 2_000),
}
"""Name -> network, in the order of the tables."""
