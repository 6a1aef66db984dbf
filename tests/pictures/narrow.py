"""The networks of ImageNet with an eighth of their channels, for small pictures of five classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn

from netsurgery.experiments import catalogue
from netsurgery.experiments.experiment import Experiment
from netsurgery.experiments.imagenet import IMAGENET, pictures
from netsurgery.pictures.preparation import modern, paper
from netsurgery.zoo import alexnets, googlenets, residual, vgg

CLASSES = 5
BUILD: dict[str, tuple[Callable[..., nn.Module], int]] = {
    "alexnet": (alexnets.alexnet, 67),
    "vgg16": (vgg.vgg16, 32),
    "googlenet": (googlenets.googlenet, 32),
    "resnet18": (residual.resnet18, 32),
    "resnet50": (residual.resnet50, 32),
}
"""Name -> constructor, and the size of pictures."""
_LAYERS = {nn.Conv2d: 2, nn.Linear: 2, nn.BatchNorm2d: 1, nn.BatchNorm1d: 1}


@contextmanager
def narrow() -> Iterator[None]:
    """Layers that are made here have an eighth of the channels that they are asked for."""

    def eighth(number: int) -> int:
        return number // 8 if number > 8 else number

    def narrowed(layer: type[nn.Module], count: int) -> type[nn.Module]:
        def begin(self: Any, *sizes: int, **settings: Any) -> None:
            layer.__init__(self, *map(eighth, sizes[:count]), *sizes[count:], **settings)

        return type(layer.__name__, (layer,), {"__init__": begin})

    for layer, count in _LAYERS.items():
        setattr(nn, layer.__name__, narrowed(layer, count))
    try:
        yield
    finally:
        for layer in _LAYERS:
            setattr(nn, layer.__name__, layer)


def _build(name: str, classes: int = CLASSES) -> nn.Module:
    make, size = BUILD[name]
    with narrow():
        return make(classes, size)


def small(name: str) -> Experiment:
    """The experiment on the narrow network, in batches of 12."""
    size = BUILD[name][1]
    experiment = IMAGENET[name]

    def in_small_batches(choice: Any) -> Any:
        def treatment(numbers: Any) -> Any:
            made = choice(numbers)
            return dataclasses.replace(made, recipe=dataclasses.replace(made.recipe, batch_size=12))

        return treatment

    ways = {"modern": modern(size, size + 4), "paper": paper(size, size + 4)}
    return dataclasses.replace(
        experiment,
        build=partial(_build, name),
        of_classes=partial(_build, name),
        read_data=partial(pictures, classes=CLASSES),
        reference=dataclasses.replace(experiment.reference, batch_size=12),
        treatments={method: in_small_batches(choice) for method, choice in experiment.treatments.items()},
        preprocessing={way: ways[way] for way in experiment.preprocessing},
    )


def offer_small_ones() -> None:
    """`netsurgery reproduce` takes these networks from here on."""
    catalogue.REPRODUCIBLE.update({name: small(name) for name in BUILD})
