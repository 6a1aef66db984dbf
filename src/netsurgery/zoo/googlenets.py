"""GoogLeNet: Szegedy et al., Going Deeper with Convolutions, 2015, table 1.

Two forms: the paper's, as BVLC trained it (biases, local response normalisation, 5x5 convolutions), and the one with
batch norms that torchvision has weights of, whose third branches hold 3x3 convolutions. Keys are torchvision's.
Two auxiliary classifiers help training; in evaluation mode they aren't computed, and `without_heads` takes them away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsurgery.zoo.sizes import CIFAR, check_classifier, check_size

SIZE = 224
AUXILIARY_WEIGHT = 0.3  # of the loss of each auxiliary classifier, section 5
_LEAST = 96  # of which the auxiliary classifiers see 6 x 6 pixels

INCEPTIONS = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}
"""Name -> channels: coming in; of the 1x1; before and of the 3x3; before and of the third branch; behind the pool."""


class Scores(NamedTuple):
    """What a GoogLeNet with auxiliary classifiers gives in training: (n, classes) of each."""

    scores: Tensor
    auxiliary2: Tensor
    auxiliary1: Tensor


class Convolution(nn.Module):
    """A convolution that keeps the size but for its stride, a batch norm in one of the two forms, and a ReLU."""

    def __init__(self, channels: int, width: int, size: int, normalised: bool, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, size, stride, size // 2, bias=not normalised)
        self.bn: nn.Module = nn.BatchNorm2d(width, eps=0.001) if normalised else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """(n, channels, h, w) -> (n, width, h / stride, w / stride)."""
        return F.relu(self.bn(self.conv(images)))


class Inception(nn.Module):
    """Four branches beside each other: (n, channels, h, w) -> (n, one + three + third + pooled, h, w)."""

    def __init__(
        self, channels: int, one: int, to_three: int, three: int, to_third: int, third: int, pooled: int, normed: bool
    ) -> None:
        super().__init__()
        last = 3 if normed else 5
        self.branch1 = Convolution(channels, one, 1, normed)
        self.branch2 = nn.Sequential(
            Convolution(channels, to_three, 1, normed), Convolution(to_three, three, 3, normed)
        )
        self.branch3 = nn.Sequential(
            Convolution(channels, to_third, 1, normed), Convolution(to_third, third, last, normed)
        )
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), Convolution(channels, pooled, 1, normed))

    def forward(self, images: Tensor) -> Tensor:
        """(n, channels, h, w) -> (n, sum of the branches, h, w)."""
        return torch.cat([self.branch1(images), self.branch2(images), self.branch3(images), self.branch4(images)], 1)


class Head(nn.Module):
    """An auxiliary classifier: (n, channels, h, w) -> (n, classes). side: h and w."""

    def __init__(self, channels: int, side: int, classes: int, normalised: bool) -> None:
        super().__init__()
        pooled = 4 if normalised else (side - 5) // 3 + 1
        self.pool: nn.Module = nn.AdaptiveAvgPool2d(4) if normalised else nn.AvgPool2d(5, 3)
        self.conv = Convolution(channels, 128, 1, normalised)
        self.fc1 = nn.Linear(128 * pooled**2, 1024)
        self.fc2 = nn.Linear(1024, classes)
        self.dropout = nn.Dropout(0.7)

    def forward(self, images: Tensor) -> Tensor:
        """(n, channels, side, side) -> (n, classes)."""
        hidden = self.conv(self.pool(images)).flatten(1)
        return self.fc2(self.dropout(F.relu(self.fc1(hidden))))  # type: ignore[no-any-return]


class GoogLeNet(nn.Module):
    """(n, 3, size, size) -> scores (n, classes); in training mode, with auxiliary classifiers, `Scores`.

    At 32 pixels the first convolution is a 3x3 that keeps the size, and no pool follows it.
    """

    def __init__(self, classes: int, size: int, dropout: float, auxiliary: bool, normalised: bool) -> None:
        super().__init__()
        check_classifier(classes, dropout)
        check_size(size, f"32, or a multiple of 32 from {_LEAST} on", _fits)
        small = size == CIFAR
        norm = nn.Identity() if normalised else nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
        self.conv1 = Convolution(3, 64, 3 if small else 7, normalised, 1 if small else 2)
        self.pool1 = nn.Sequential(nn.Identity() if small else _halved(), norm)
        self.conv2 = Convolution(64, 64, 1, normalised)
        self.conv3 = Convolution(64, 192, 3, normalised)
        self.pool2 = nn.Sequential(norm, _halved())
        for name, widths in INCEPTIONS.items():
            self.add_module(f"inception{name}", Inception(*widths, normalised))
        self.pool3 = _halved()
        self.pool4 = nn.MaxPool2d(2, 2, ceil_mode=True) if normalised else _halved()
        side = 8 if small else size // 16
        self.aux1 = Head(512, side, classes, normalised) if auxiliary else None
        self.aux2 = Head(528, side, classes, normalised) if auxiliary else None
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, classes)
        self._initialise(normalised)

    def forward(self, images: Tensor) -> Tensor | Scores:
        """(n, 3, size, size) -> (n, classes), or `Scores` of the same shape."""
        hidden = self.conv3(self.conv2(self.pool1(self.conv1(images))))
        hidden = self._inceptions(self.pool2(hidden), "3a", "3b")
        hidden = early = self._inceptions(self.pool3(hidden), "4a")
        hidden = late = self._inceptions(hidden, "4b", "4c", "4d")
        hidden = self._inceptions(self.pool4(self._inceptions(hidden, "4e")), "5a", "5b")
        scores = self.fc(self.dropout(hidden.mean(dim=(2, 3))))
        if self.training and self.aux1 is not None and self.aux2 is not None:
            return Scores(scores, self.aux2(late), self.aux1(early))
        return scores  # type: ignore[no-any-return]

    def without_heads(self) -> GoogLeNet:
        """Takes the auxiliary classifiers away, as in deployment; the network itself."""
        self.aux1 = self.aux2 = None
        return self

    def _inceptions(self, images: Tensor, *names: str) -> Tensor:
        """Through these modules, one after another."""
        for name in names:
            images = getattr(self, f"inception{name}")(images)
        return images

    def _initialise(self, normalised: bool) -> None:
        """Glorot's numbers and biases of 0.2, as BVLC has them; with batch norms He's."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and normalised:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.constant_(module.bias, 0.0 if module is self.fc else 0.2)  # type: ignore[arg-type]


def _fits(size: int) -> bool:
    return size == CIFAR or (size >= _LEAST and size % CIFAR == 0)


def _halved() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def with_auxiliary(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor | Scores, Tensor], Tensor]:
    """A loss for what a GoogLeNet gives in training and in evaluation mode, made of one for scores.

    loss: (scores, labels) -> one number. Auxiliary classifiers count with a weight of 0.3 each (section 5).

    >>> criterion = ns.zoo.with_auxiliary(torch.nn.functional.cross_entropy)
    >>> network = ns.zoo.googlenet(classes=10, size=32)
    >>> value = criterion(network(torch.zeros(2, 3, 32, 32)), torch.tensor([3, 8]))
    """

    def weighted(outputs: Tensor | Scores, labels: Tensor) -> Tensor:
        if isinstance(outputs, Tensor):
            return loss(outputs, labels)
        auxiliary = loss(outputs.auxiliary1, labels) + loss(outputs.auxiliary2, labels)
        return loss(outputs.scores, labels) + AUXILIARY_WEIGHT * auxiliary

    return weighted


def googlenet(classes: int = 1000, size: int = SIZE, dropout: float = 0.4, auxiliary: bool = True) -> GoogLeNet:
    """GoogLeNet as in the paper, 6,998,552 parameters at 1000 classes without auxiliary classifiers.

    size: pixels of a side of the images, 32 or a multiple of 32 from 96 on; dropout: share of what the last layer reads
    that is dropped in training, in [0, 1]; auxiliary: with the two classifiers that training takes: its outputs are
    `Scores` then, for which `with_auxiliary` makes a loss. Raises SettingError.

    >>> network = ns.zoo.googlenet(auxiliary=False)
    >>> sum(parameter.numel() for parameter in network.parameters())
    6998552
    """
    return GoogLeNet(classes, size, dropout, auxiliary, normalised=False)


def googlenet_bn(classes: int = 1000, size: int = SIZE, dropout: float = 0.2, auxiliary: bool = True) -> GoogLeNet:
    """GoogLeNet with batch norms, 6,624,904 parameters without auxiliary classifiers; arguments as for `googlenet`.

    torchvision's weights fit. They are of images with values in [-1, 1], not of normalised ones.
    """
    return GoogLeNet(classes, size, dropout, auxiliary, normalised=True)
