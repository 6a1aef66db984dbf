"""ResNet-18 and ResNet-50: He, Zhang, Ren, Sun, Deep Residual Learning for Image Recognition, 2015, table 1.

Keys are those of torchvision and timm. Where a block of ResNet-50 makes its image smaller, its 3x3 convolution does, as
in the networks that are public today; the paper had the first 1x1 do it, of equally many parameters. resnet.py has the
paper's networks for CIFAR-10.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from netsurgery.zoo.sizes import CIFAR, check_classifier, check_size

SIZE = 224


class BasicBlock(nn.Module):
    """3x3, 3x3, and the input added: (n, inputs, h, w) -> (n, width, h / stride, w / stride)."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, images: Tensor) -> Tensor:
        """(n, inputs, h, w) -> (n, width, h / stride, w / stride)."""
        hidden = F.relu(self.bn1(self.conv1(images)))
        return F.relu(self.bn2(self.conv2(hidden)) + self.downsample(images))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, and the input added: (n, inputs, h, w) -> (n, 4 * width, h / stride, w / stride)."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _shortcut(inputs, 4 * width, stride)

    def forward(self, images: Tensor) -> Tensor:
        """(n, inputs, h, w) -> (n, 4 * width, h / stride, w / stride)."""
        hidden = F.relu(self.bn1(self.conv1(images)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        return F.relu(self.bn3(self.conv3(hidden)) + self.downsample(images))


class ResNet(nn.Module):
    """(n, 3, size, size) -> scores (n, classes).

    blocks: how many in each of the four stages, of 64, 128, 256 and 512 channels times the block's expansion. At 32
    pixels the first convolution is a 3x3 that keeps the size, and no pool follows it.
    """

    def __init__(
        self, block: type[BasicBlock | Bottleneck], blocks: tuple[int, int, int, int], classes: int, size: int
    ) -> None:
        super().__init__()
        check_classifier(classes)
        check_size(size, f"a whole number >= {CIFAR}", lambda side: side >= CIFAR)
        small = size == CIFAR
        self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False) if small else nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.pool: nn.Module = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        channels, stages = 64, []
        for number, count in enumerate(blocks):
            width = 64 * 2**number
            first = block(channels, width, 2 if number else 1)
            channels = width * block.expansion
            stages.append(nn.Sequential(first, *(block(channels, width, 1) for _ in range(count - 1))))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, size, size) -> (n, classes)."""
        hidden = self.pool(F.relu(self.bn1(self.conv1(images))))
        hidden = self.layer4(self.layer3(self.layer2(self.layer1(hidden))))
        return self.fc(hidden.mean(dim=(2, 3)))  # type: ignore[no-any-return]


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The identity where shapes agree, else a 1x1 convolution (the paper's option B)."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def resnet18(classes: int = 1000, size: int = SIZE) -> ResNet:
    """ResNet-18, 11,689,512 parameters at 1000 classes; for 10 classes at 32 pixels 11,173,962.

    size: pixels of a side of the images, from 32 on; at 32 the first layer keeps the size. Any larger images fit the
    network that was made for larger ones. Raises SettingError.

    >>> network = ns.zoo.resnet18()
    >>> sum(parameter.numel() for parameter in network.parameters())
    11689512
    """
    return ResNet(BasicBlock, (2, 2, 2, 2), classes, size)


def resnet50(classes: int = 1000, size: int = SIZE) -> ResNet:
    """ResNet-50, 25,557,032 parameters at 1000 classes; `size` as for `resnet18`."""
    return ResNet(Bottleneck, (3, 4, 6, 3), classes, size)
