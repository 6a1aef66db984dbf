"""Parameters and operations of a network's layers, dense and as a row of a table leaves them. Nothing is computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netsurgery.planning.published import FLOAT_BITS, PublishedRow
from netsurgery.zoo.table import ZOO


@dataclass(frozen=True)
class LayerCounts:
    """A convolution or a linear layer.

    weights: of its kernel or matrix; others: its biases; kept: weights that a row leaves. positions: how often it
    applies its weights for one image. multiplies: whether kept weights are multiplied with; powers of two aren't: sums
    of each exponent are shifted.
    """

    name: str
    weights: int
    others: int
    kept: int
    positions: int
    multiplies: bool

    @property
    def dense_operations(self) -> int:
        """Multiplications of the dense layer for one image, and about as many additions."""
        return self.weights * self.positions

    @property
    def additions(self) -> int:
        """For one image, one for each kept connection wherever it is applied."""
        return self.kept * self.positions

    @property
    def multiplications(self) -> int:
        """For one image."""
        return self.additions if self.multiplies else 0


@dataclass(frozen=True)
class Counts:
    """A network: its layers in order, and the parameters that belong to none of them (batch norms), which all stay."""

    layers: tuple[LayerCounts, ...]
    elsewhere: int

    @property
    def parameters(self) -> int:
        """Of the dense network."""
        return sum(layer.weights + layer.others for layer in self.layers) + self.elsewhere

    @property
    def kept(self) -> int:
        """Parameters that stay; biases and norms all do."""
        return sum(layer.kept + layer.others for layer in self.layers) + self.elsewhere

    @property
    def dense_operations(self) -> int:
        """Multiplications of the dense network for one image, and about as many additions."""
        return sum(layer.dense_operations for layer in self.layers)

    @property
    def multiplications(self) -> int:
        """For one image."""
        return sum(layer.multiplications for layer in self.layers)

    @property
    def additions(self) -> int:
        """For one image."""
        return sum(layer.additions for layer in self.layers)


def counts_of(row: PublishedRow) -> Counts:
    """What a row leaves of its network's layers at the size of image that the network is for."""
    architecture = ZOO[row.network]
    with torch.device("meta"):
        model = architecture.deployed()
        layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
        positions: dict[str, int] = {}

        def hook(name: str) -> object:
            def seen(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
                positions[name] = output[0, 0].numel()

            return seen

        for name, layer in layers.items():
            layer.register_forward_hook(hook(name))  # type: ignore[arg-type]
        model(torch.zeros(1, *architecture.shape))
    counted = tuple(
        LayerCounts(
            name=name,
            weights=layer.weight.numel(),
            others=0 if layer.bias is None else layer.bias.numel(),
            kept=round(row.density_of(name) * layer.weight.numel()),
            positions=positions[name],
            multiplies=row.bits == FLOAT_BITS,
        )
        for name, layer in layers.items()
    )
    total = sum(parameter.numel() for parameter in model.parameters())
    return Counts(counted, total - sum(layer.weights + layer.others for layer in counted))
