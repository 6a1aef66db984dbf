"""Residual networks for CIFAR-10: He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, 2015, section 4.2.

6 n + 2 layers: a convolution of 16 channels, three stages of n blocks with 16, 32 and 64 channels, and a classifier.
All shortcuts are identities without parameters (the paper's option A).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 10


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: (n, inputs, h, w) -> (n, outputs, h / stride, w / stride).

    stride: 1, or 2 where outputs = 2 * inputs; the shortcut then takes every second pixel in both directions, and the
        channels that are new are zeros, half of them on either side.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.padding = (outputs - inputs) // 2
        self.conv1 = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, images: Tensor) -> Tensor:
        """(n, inputs, h, w) -> (n, outputs, h / stride, w / stride)."""
        hidden = F.relu(self.bn1(self.conv1(images)))
        return F.relu(self.bn2(self.conv2(hidden)) + self._shortcut(images))

    def _shortcut(self, images: Tensor) -> Tensor:
        if self.stride == 1:
            return images
        return F.pad(images[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))


class CifarResNet(nn.Module):
    """A residual network of 6 n + 2 layers: (n, 3, 32, 32), normalised -> logits (n, 10).

    blocks: n, in each of the three stages: 3, 5, 7 and 9 for ResNet-20, -32, -44 and -56.
    Keys are those of the public references: conv1, bn1, layer1.0.conv1 ..., linear.
    """

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, 1, blocks)
        self.layer2 = _stage(16, 32, 2, blocks)
        self.layer3 = _stage(32, 64, 2, blocks)
        self.linear = nn.Linear(64, CLASSES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, 32, 32) -> (n, 10)."""
        hidden = F.relu(self.bn1(self.conv1(images)))
        hidden = self.layer3(self.layer2(self.layer1(hidden)))
        return self.linear(hidden.mean(dim=(2, 3)))  # type: ignore[no-any-return]


def _stage(inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
    """The first block changes channels and size, the others keep both."""
    return nn.Sequential(Block(inputs, outputs, stride), *(Block(outputs, outputs, 1) for _ in range(blocks - 1)))


def resnet20() -> CifarResNet:
    """269,722 parameters."""
    return CifarResNet(blocks=3)


def resnet32() -> CifarResNet:
    """464,154 parameters."""
    return CifarResNet(blocks=5)


def resnet44() -> CifarResNet:
    """658,586 parameters."""
    return CifarResNet(blocks=7)


def resnet56() -> CifarResNet:
    """853,018 parameters."""
    return CifarResNet(blocks=9)
