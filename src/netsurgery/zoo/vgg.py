"""VGG-16: Simonyan, Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2015, table 1, D.

Keys are torchvision's: features.0 .. features.28 (features.40 with batch norms), classifier.0, .3 and .6.
"""

from __future__ import annotations

from torch import Tensor, nn

from netsurgery.zoo.sizes import CIFAR, check_classifier, check_size

SIZE = 224
WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the 3x3 convolutions before each max-pool."""


class VGG16(nn.Module):
    """(n, 3, size, size) -> scores (n, classes): 13 convolutions, 5 pools, 3 linear layers.

    For images of 32 pixels there are 2 linear layers, the first of 512 units (Li et al. 2017, arXiv 1608.08710).
    normalised: a batch norm behind each convolution.
    """

    def __init__(self, classes: int, size: int, dropout: float, normalised: bool) -> None:
        super().__init__()
        check_classifier(classes, dropout)
        check_size(size, "32, or a multiple of 32 from 64 on", lambda side: side % CIFAR == 0)
        layers: list[nn.Module] = []
        channels = 3
        for widths in WIDTHS:
            for width in widths:
                layers.append(nn.Conv2d(channels, width, 3, padding=1))
                layers += [nn.BatchNorm2d(width), nn.ReLU()] if normalised else [nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        if size == CIFAR:
            classifier = [nn.Linear(channels, 512), nn.ReLU(), nn.Dropout(dropout), nn.Linear(512, classes)]
        else:
            classifier = [nn.Linear(channels * (size // 32) ** 2, 4096), nn.ReLU(), nn.Dropout(dropout)]
            classifier += [nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(dropout), nn.Linear(4096, classes)]
        self.classifier = nn.Sequential(*classifier)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, size, size) -> (n, classes)."""
        return self.classifier(self.features(images).flatten(1))  # type: ignore[no-any-return]


def vgg16(classes: int = 1000, size: int = SIZE, dropout: float = 0.5) -> VGG16:
    """VGG-16, 138,357,544 parameters at 1000 classes and 224 pixels.

    size: pixels of a side of the images, a multiple of 32; at 32 the network is smaller, for CIFAR. dropout: share of
    what the last linear layers read that is dropped in training, in [0, 1]. Raises SettingError.

    >>> network = ns.zoo.vgg16(classes=10, size=32)
    >>> sum(parameter.numel() for parameter in network.parameters())
    14982474
    """
    return VGG16(classes, size, dropout, normalised=False)


def vgg16_bn(classes: int = 1000, size: int = SIZE, dropout: float = 0.5) -> VGG16:
    """VGG-16 with batch norms behind convolutions: 138,365,992 parameters, 14,990,922 for 10 classes at 32 pixels."""
    return VGG16(classes, size, dropout, normalised=True)
