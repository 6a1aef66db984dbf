"""AlexNet: Krizhevsky, Sutskever, Hinton, ImageNet Classification with Deep CNNs, 2012, in the form that BVLC trained.

That is what pruning papers measure: two groups in conv2, conv4 and conv5, as on the two GPUs of 2012, local response
normalisation before the pools, 60,965,224 parameters. torchvision's network of the same name is another one (Krizhevsky
2014: one group, fewer channels, 61,100,840 parameters), and its weights don't fit.
"""

from __future__ import annotations

from torch import Tensor, nn

from netsurgery.checks import require_count
from netsurgery.transforms.fastfood import Fastfood
from netsurgery.zoo.sizes import check_classifier, check_size

SIZE = 227
_LEAST = 67  # of which one pixel is left behind the last pool


class AlexNet(nn.Module):
    """(n, 3, size, size) -> scores (n, classes).

    Layers: conv1 .. conv5, fc1 .. fc3 (fc6 .. fc8 in Caffe). normalised: a batch norm behind each layer but the last,
    in `batch_norms` by the layer's name, in the place of local response normalisation. features: how many fc1 gives,
    then a Fastfood layer in the place of fc1 and fc2. Pools round their size up, as
    Caffe's do, so that images of 224 pixels leave 6 x 6 pixels as well. Biases and weights begin as BVLC's do.
    """

    def __init__(
        self, classes: int, size: int, dropout: float, normalised: bool = False, features: int | None = None
    ) -> None:
        super().__init__()
        check_classifier(classes, dropout)
        check_size(size, f"a whole number >= {_LEAST}", lambda side: side >= _LEAST)
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        pixels = 256 * _last_side(size) ** 2
        self.fc1: nn.Module = nn.Linear(pixels, 4096) if features is None else Fastfood(pixels, features, bias=False)
        self.fc2 = nn.Linear(4096, 4096) if features is None else None
        self.fc3 = nn.Linear(features or 4096, classes)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.dropout = nn.Dropout(dropout)
        self.norm: nn.Module = nn.Identity() if normalised else nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
        widths = {"conv1": 96, "conv2": 256, "conv3": 384, "conv4": 384, "conv5": 256}
        self.batch_norms = nn.ModuleDict({name: nn.BatchNorm2d(width) for name, width in widths.items() if normalised})
        if normalised:
            self.batch_norms.update({"fc1": nn.BatchNorm1d(4096), "fc2": nn.BatchNorm1d(4096)})
        self._initialise(normalised)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, size, size) -> (n, classes)."""
        hidden = self.pool(self.norm(self._activated("conv1", images)))
        hidden = self.pool(self.norm(self._activated("conv2", hidden)))
        hidden = self._activated("conv4", self._activated("conv3", hidden))
        hidden = self.pool(self._activated("conv5", hidden)).flatten(1)
        hidden = self.dropout(self._activated("fc1", hidden))
        if self.fc2 is not None:
            hidden = self.dropout(self._activated("fc2", hidden))
        return self.fc3(hidden)  # type: ignore[no-any-return]

    def _activated(self, name: str, values: Tensor) -> Tensor:
        """What a layer makes of its values, its batch norm, where it has one, and the ReLU."""
        values = getattr(self, name)(values)
        if name in self.batch_norms:
            values = self.batch_norms[name](values)
        return self.relu(values)  # type: ignore[no-any-return]

    def _initialise(self, normalised: bool) -> None:
        """BVLC's numbers; with batch norms, whose gradients don't need them, He's."""
        for name, layer in self.named_children():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                if normalised:
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                else:
                    nn.init.normal_(layer.weight, std=0.005 if name in ("fc1", "fc2") else 0.01)
                late = name not in ("conv1", "conv3", "fc3")
                nn.init.constant_(layer.bias, 0.1 if late and not normalised else 0.0)  # type: ignore[arg-type]


def _last_side(size: int) -> int:
    """Pixels of a side behind the last pool."""
    side = (size - 11) // 4 + 1
    for _ in range(3):
        side = -(-(side - 3) // 2) + 1
    return side


def alexnet(classes: int = 1000, size: int = SIZE, dropout: float = 0.5) -> AlexNet:
    """BVLC's AlexNet, 60,965,224 parameters at 1000 classes and 227 pixels.

    size: pixels of a side of the images, from 67 on; dropout: share of what fc2 and fc3 read that is dropped in
    training, in [0, 1]. Raises SettingError.

    >>> network = ns.zoo.alexnet()
    >>> sum(parameter.numel() for parameter in network.parameters())
    60965224
    """
    return AlexNet(classes, size, dropout, normalised=False)


def alexnet_bn(classes: int = 1000, size: int = SIZE, dropout: float = 0.5) -> AlexNet:
    """AlexNet with a batch norm behind each layer but the last, in the place of local response normalisation.

    As Simon, Rodner, Denzler 2016 (arXiv 1612.01452) trained it. 60,984,360 parameters, the biases of layers among
    them, which the norms make idle.
    """
    return AlexNet(classes, size, dropout, normalised=True)


def alexnet_fastfood(features: int = 16_384, classes: int = 1000, size: int = SIZE, dropout: float = 0.5) -> AlexNet:
    """AlexNet with one Fastfood layer in the place of fc1 and fc2 (Yang et al. 2015, arXiv 1412.7149, section 6).

    features: how many it gives fc3, >= 1: 16,384 for Fastfood-16, 32,768 for Fastfood-32. Its fully connected part has
    16.4 and 32.9 million parameters, 3.7 and 2 times less than AlexNet has in all, as is quoted; with the convolutions,
    which that leaves out, it is 3.2 and 1.7 times. Other arguments as for `alexnet`. Raises SettingError.
    """
    require_count("features", features)
    return AlexNet(classes, size, dropout, features=features)
