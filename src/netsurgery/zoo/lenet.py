"""The two LeNets of the papers, as Caffe trained them: inputs are pixels / 256, shape (n, 1, 28, 28)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


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
    """Caffe's LeNet-5, 431,080 parameters; no ReLU after the convolutions. (n, 1, 28, 28) -> logits (n, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, kernel_size=5)
        self.conv2 = nn.Conv2d(20, 50, kernel_size=5)
        self.fc1 = nn.Linear(800, 500)
        self.fc2 = nn.Linear(500, 10)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 1, 28, 28) -> (n, 10)."""
        hidden = F.max_pool2d(self.conv1(images), 2)
        hidden = F.max_pool2d(self.conv2(hidden), 2)
        hidden = F.relu(self.fc1(hidden.flatten(1)))
        return self.fc2(hidden)  # type: ignore[no-any-return]
