"""The papers' networks, and weights for them from files.

`ZOO` has them all by name. Constructors take `classes`, those for images of many sizes take `size`, too.

>>> sorted(name for name in ns.zoo.ZOO if name.startswith("alexnet"))
['alexnet', 'alexnet-bn', 'alexnet-fastfood16', 'alexnet-fastfood32']
>>> ns.zoo.ZOO["alexnet"].parameters
60965224
"""

from netsurgery.zoo.alexnets import alexnet, alexnet_bn, alexnet_fastfood
from netsurgery.zoo.googlenets import googlenet, googlenet_bn, with_auxiliary
from netsurgery.zoo.lenet import LeNet5, LeNet300, lenet5_fastfood
from netsurgery.zoo.residual import resnet18, resnet50
from netsurgery.zoo.resnet import resnet20, resnet32, resnet44, resnet56
from netsurgery.zoo.table import ZOO, Architecture
from netsurgery.zoo.vgg import vgg16, vgg16_bn
from netsurgery.zoo.weights import read_weights

__all__ = [
    "ZOO",
    "Architecture",
    "LeNet5",
    "LeNet300",
    "alexnet",
    "alexnet_bn",
    "alexnet_fastfood",
    "googlenet",
    "googlenet_bn",
    "lenet5_fastfood",
    "read_weights",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet50",
    "resnet56",
    "vgg16",
    "vgg16_bn",
    "with_auxiliary",
]
