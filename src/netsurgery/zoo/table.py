"""The networks that there are: how each is made, what it sees, how many parameters were published of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from netsurgery.zoo import alexnets, googlenets, lenet, residual, resnet, vgg

_BVLC = "BVLC's model zoo; 61M in Guo, Yao, Chen 2016, table 4"
_HE = "He, Zhang, Ren, Sun 2015, section 4.2"
_LECUN = "Guo, Yao, Chen 2016, table 1"
_YANG = "Yang et al. 2015"
_TORCHVISION = "torchvision's table of weights"
_SIMONYAN = "Simonyan, Zisserman 2015, table 2: 138 million; torchvision's table of weights"


Channels = tuple[float, float, float]
"""A number for each channel of a picture: red, green, blue."""


@dataclass(frozen=True)
class Architecture:
    """A network of the papers.

    build: () -> the network, with random weights, in training mode; of ImageNet's (classes) -> the same for as many
    classes. size: pixels of a side of its images, which are
    square; channels: of its images. classes: how many scores it gives. parameters: weights and biases of the network
    as it is deployed, without auxiliary classifiers. source: who published that number, rounded or exactly.
    mean_and_deviation: of each channel of pixels in [0, 1], as the network's public weights take them, (pixels - mean)
    / deviation; None: those of ImageNet's pictures, as nearly all public weights do.
    """

    title: str
    build: Callable[..., nn.Module]
    size: int
    classes: int
    parameters: int
    source: str
    channels: int = 3
    mean_and_deviation: tuple[Channels, Channels] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: (channels, size, size)."""
        return self.channels, self.size, self.size

    def deployed(self) -> nn.Module:
        """The network in evaluation mode, as it is packed: without auxiliary classifiers."""
        network = self.build().eval()
        return network.without_heads() if isinstance(network, googlenets.GoogLeNet) else network


ZOO = {
    "lenet300": Architecture("LeNet-300-100", lenet.LeNet300, 28, 10, 266_610, _LECUN, channels=1),
    "lenet5": Architecture("LeNet-5", lenet.LeNet5, 28, 10, 431_080, _LECUN, channels=1),
    "resnet20": Architecture("ResNet-20", resnet.resnet20, 32, 10, 269_722, _HE),
    "resnet32": Architecture("ResNet-32", resnet.resnet32, 32, 10, 464_154, _HE),
    "resnet44": Architecture("ResNet-44", resnet.resnet44, 32, 10, 658_586, _HE),
    "resnet56": Architecture("ResNet-56", resnet.resnet56, 32, 10, 853_018, _HE),
    "alexnet": Architecture("AlexNet", alexnets.alexnet, alexnets.SIZE, 1000, 60_965_224, _BVLC),
    "lenet5-fastfood": Architecture(
        "LeNet-5, Fastfood-1024", lenet.lenet5_fastfood, 28, 10, 38_892, f"{_YANG}, and 80 biases", channels=1
    ),
    "alexnet-fastfood16": Architecture(
        "AlexNet, Fastfood-16",
        partial(alexnets.alexnet_fastfood, 16_384),
        alexnets.SIZE,
        1000,
        18_768_232,
        f"{_YANG}: 16.4 million without convolutions",
    ),
    "alexnet-fastfood32": Architecture(
        "AlexNet, Fastfood-32",
        partial(alexnets.alexnet_fastfood, 32_768),
        alexnets.SIZE,
        1000,
        35_201_384,
        f"{_YANG}: 32.8 million without convolutions",
    ),
    "alexnet-bn": Architecture(
        "AlexNet, batch norm", alexnets.alexnet_bn, alexnets.SIZE, 1000, 60_984_360, f"{_BVLC}, and 19,136 of norms"
    ),
    "vgg16": Architecture("VGG-16", vgg.vgg16, vgg.SIZE, 1000, 138_357_544, _SIMONYAN),
    "vgg16-bn": Architecture("VGG-16, batch norm", vgg.vgg16_bn, vgg.SIZE, 1000, 138_365_992, _TORCHVISION),
    "googlenet": Architecture(
        "GoogLeNet",
        googlenets.googlenet,
        googlenets.SIZE,
        1000,
        6_998_552,
        "Szegedy et al. 2015, table 1, and its biases",
    ),
    "googlenet-bn": Architecture(
        "GoogLeNet, batch norm",
        googlenets.googlenet_bn,
        googlenets.SIZE,
        1000,
        6_624_904,
        _TORCHVISION,
        mean_and_deviation=((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),  # pixels in [-1, 1]
    ),
    "resnet18": Architecture("ResNet-18", residual.resnet18, residual.SIZE, 1000, 11_689_512, _TORCHVISION),
    "resnet50": Architecture("ResNet-50", residual.resnet50, residual.SIZE, 1000, 25_557_032, _TORCHVISION),
    "vgg16-32": Architecture(
        "VGG-16, 32 x 32", partial(vgg.vgg16, 10, 32), 32, 10, 14_982_474, "Li et al. 2017, table 1: 15 million"
    ),
    "vgg16-bn-32": Architecture(
        "VGG-16, batch norm, 32 x 32", partial(vgg.vgg16_bn, 10, 32), 32, 10, 14_990_922, "Li et al. 2017, table 1"
    ),
    "googlenet-32": Architecture(
        "GoogLeNet, 32 x 32", partial(googlenets.googlenet, 10, 32), 32, 10, 5_976_122, "nobody: a first layer of 3x3"
    ),
    "googlenet-bn-32": Architecture(
        "GoogLeNet, batch norm, 32 x 32",
        partial(googlenets.googlenet_bn, 10, 32),
        32,
        10,
        5_602_474,
        "nobody: a first layer of 3x3",
    ),
    "resnet18-32": Architecture(
        "ResNet-18, 32 x 32",
        partial(residual.resnet18, 10, 32),
        32,
        10,
        11_173_962,
        "kuangliu/pytorch-cifar: 11.17 million",
    ),
}
"""Name -> network, in the order of the papers."""
