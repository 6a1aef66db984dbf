"""The two LeNets of the papers, as Caffe trained them: inputs are pixels / 256, shape (n, 1, 28, 28)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netsurgery.transforms.fastfood import Fastfood


class LeNet300(nn.Module):
    """LeNet-300-100: 784-300-100-10 with ReLU, 266,610 parameters. (n, 1, 28, 28) -> logits (n, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc3 = nn.Linear(100, 10)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> (n, 10)."""
        hidden = F.relu(self.fc1(images.flatten(1)))
        hidden = F.relu(self.fc2(hidden))
        return self.fc3(hidden)  # type: ignore[no-any-return]


class LeNet5(nn.Module):
    """Caffe's LeNet-5, 431,080 parameters; no ReLU after the convolutions. (n, 1, 28, 28) -> logits (n, 10).

    skip_dead_units: while training, compute only with units (channels, neurons) that have a non-zero weight or bias
        on either side. Outputs and gradients are the same, because a unit without any is 0 and feels nothing; a step
        of a network at 1 % density takes a fraction of the time.
    """

    def __init__(self, skip_dead_units: bool = False) -> None:
        super().__init__()
        self.skip_dead_units = skip_dead_units
        self.conv1 = nn.Conv2d(1, 20, kernel_size=5)
        self.conv2 = nn.Conv2d(20, 50, kernel_size=5)
        self.fc1 = nn.Linear(800, 500)
        self.fc2 = nn.Linear(500, 10)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> (n, 10)."""
        if self.training and self.skip_dead_units:
            conv1, conv2, fc1, fc2 = self._living()
        else:
            conv1, conv2, fc1, fc2 = self._parameters_by_layer()
        hidden = F.max_pool2d(_channels_last(F.conv2d(images, *conv1)), 2)
        hidden = F.max_pool2d(_channels_last(F.conv2d(hidden, *conv2)), 2)
        hidden = F.relu(F.linear(hidden.flatten(1), *fc1))
        return F.linear(hidden, *fc2)

    def _parameters_by_layer(self) -> list[tuple[Tensor, Tensor]]:
        """(weight, bias) of each layer."""
        named = dict(self.named_parameters())
        return [(named[f"{name}.weight"], named[f"{name}.bias"]) for name in ("conv1", "conv2", "fc1", "fc2")]

    def _living(self) -> list[tuple[Tensor, Tensor]]:
        """(weight, bias) of each layer without the dead units; gradients reach the whole parameters."""
        (conv1, bias1), (conv2, bias2), (fc1, bias3), (fc2, bias4) = self._parameters_by_layer()
        side = 16  # pixels of a channel where fc1 reads it
        with torch.no_grad():
            weight2, weight3 = conv2.abs(), fc1.abs()
            channels1 = _alive(conv1.abs(), bias1, leaving=weight2.sum(dim=(0, 2, 3)))
            channels2 = _alive(weight2, bias2, leaving=weight3.view(500, 50, side).sum(dim=(0, 2)))
            neurons = _alive(weight3, bias3, leaving=fc2.abs().sum(dim=0))
            pixels = (channels2[:, None] * side + torch.arange(side, device=fc1.device)).flatten()
        return [
            (_pick(conv1, 0, channels1), _pick(bias1, 0, channels1)),
            (_pick(_pick(conv2, 0, channels2), 1, channels1), _pick(bias2, 0, channels2)),
            (_pick(_pick(fc1, 0, neurons), 1, pixels), _pick(bias3, 0, neurons)),
            (_pick(fc2, 1, neurons), bias4),
        ]


class LeNet5Fastfood(nn.Module):
    """LeNet-5 with a Fastfood layer in the place of fc1: (n, 1, 28, 28) -> logits (n, 10).

    features: how many it gives fc2, in the paper 1024 or 2048 (Yang et al. 2015, arXiv 1412.7149, section 5).
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, kernel_size=5)
        self.conv2 = nn.Conv2d(20, 50, kernel_size=5)
        self.fc1 = Fastfood(800, features, bias=False)
        self.fc2 = nn.Linear(features, 10)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> (n, 10)."""
        hidden = F.max_pool2d(_channels_last(self.conv1(images)), 2)
        hidden = F.max_pool2d(_channels_last(self.conv2(hidden)), 2)
        return self.fc2(F.relu(self.fc1(hidden.flatten(1))))  # type: ignore[no-any-return]


def lenet5_fastfood(features: int = 1024) -> LeNet5Fastfood:
    """LeNet-5 with Fastfood: 38,892 parameters at 1024 features, 52,204 at 2048; 80 of them are biases.

    Raises SettingError for features below 1.

    >>> network = ns.zoo.lenet5_fastfood(2048)
    >>> sum(parameter.numel() for parameter in network.parameters())
    52204
    """
    return LeNet5Fastfood(features)


def _alive(arriving: Tensor, bias: Tensor, leaving: Tensor) -> Tensor:
    """Indices of the living units, at least one. arriving: |w| (units, ...); leaving: sum of |w| (units,)."""
    alive = arriving.flatten(1).sum(dim=1) + leaving + bias.abs() != 0
    return alive.nonzero().flatten() if bool(alive.any()) else alive.new_zeros(1, dtype=torch.int64)


def _pick(tensor: Tensor, dim: int, indices: Tensor) -> Tensor:
    """Those slices of a tensor; the tensor itself if that is all of them."""
    return tensor if len(indices) == tensor.shape[dim] else tensor.index_select(dim, indices)


def _channels_last(images: Tensor) -> Tensor:
    """The same values with channels side by side: pooling is several times faster so."""
    return images.contiguous(memory_format=torch.channels_last)
