"""AlexNet as Caffe has it (Krizhevsky et al. 2012): 61M parameters, groups in conv2, conv4, conv5, LRN, 227 x 227."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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


class AlexNet(nn.Module):
    """(n, 3, 227, 227) -> (n, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, 4)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.fc1 = nn.Linear(256 * 6 * 6, 4096)
        self.fc2 = nn.Linear(4096, 4096)
        self.fc3 = nn.Linear(4096, 1000)
        self.relu = nn.ReLU()
        self.norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
        self.pool = nn.MaxPool2d(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.norm(self.relu(self.conv1(x))))
        x = self.pool(self.norm(self.relu(self.conv2(x))))
        x = self.relu(self.conv4(self.relu(self.conv3(x))))
        x = self.pool(self.relu(self.conv5(x))).flatten(1)
        return self.fc3(self.relu(self.fc2(self.relu(self.fc1(x)))))


def keep_as_published(model: nn.Module) -> None:
    """The smallest weights of each layer cut to the paper's densities."""
    for name, density in DENSITIES.items():
        cut(getattr(model, name).weight, density)


def alexnet(seed: int = 0) -> AlexNet:
    """In eval mode; He-initialised; the smallest weights of each layer cut to the paper's density."""
    torch.manual_seed(seed)
    model = AlexNet().eval()
    for name in DENSITIES:
        layer = getattr(model, name)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.uniform_(layer.bias, -0.1, 0.1)
    keep_as_published(model)
    return model
