"""The networks of the benchmarks, written out, one in a file; weights are random from a seed, or from recorded runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from networks.alexnet import alexnet
from networks.lenets import lenet, origin
from networks.mobilenet import mobilenet
from networks.resnet import resnet50
from networks.vgg import vgg16_sketch

Runs = Path | None
"""A folder that holds folders of `netsurgery reproduce --out`; only the LeNets are looked for there."""


def _cut_at_random(_: Runs) -> str:
    return "random, seed 0, the smallest of each layer cut"


@dataclass(frozen=True)
class Network:
    """A network that engines are compared on.

    build: runs -> the module in eval mode; origin: runs -> where its weights are from, in words; shape: of one input.
    goals: batch size -> how many times faster than ONNX Runtime it should run; these are the batch sizes measured.
    deepsparse_goals: the same beside DeepSparse, where there is one.
    """

    title: str
    build: Callable[[Runs], nn.Module]
    shape: tuple[int, ...]
    goals: dict[int, float]
    deepsparse_goals: dict[int, float] = field(default_factory=dict)
    origin: Callable[[Runs], str] = _cut_at_random


NETWORKS = {
    "lenet300": Network(
        "LeNet-300-100, surgery 56x",
        lambda runs: lenet("lenet300", runs),
        (1, 28, 28),
        goals={1: 5.0},
        deepsparse_goals={1: 1.0},
        origin=lambda runs: origin("lenet300", runs),
    ),
    "lenet5": Network(
        "LeNet-5, surgery 108x",
        lambda runs: lenet("lenet5", runs),
        (1, 28, 28),
        goals={1: 10.0, 64: 10.0},
        deepsparse_goals={1: 8.0, 64: 8.0},
        origin=lambda runs: origin("lenet5", runs),
    ),
    "alexnet": Network("AlexNet, the paper's densities", lambda _: alexnet(), (3, 227, 227), goals={1: 4.0, 16: 2.0}),
    "resnet50": Network(
        "ResNet-50, 10 % kept",
        lambda _: resnet50(0.1),
        (3, 224, 224),
        goals={1: 5.0, 16: 4.0},
        deepsparse_goals={1: 5.0, 16: 1.2},
    ),
    "mobilenet": Network("MobileNet, 10 % of 1x1 kept", lambda _: mobilenet(0.1), (3, 224, 224), goals={1: 2.0}),
    "vgg16-sketch": Network(
        "VGG-16, sketch of 2 planes",
        lambda _: vgg16_sketch(),
        (3, 224, 224),
        goals={1: 1.3},
        origin=lambda _: "random, seed 0, sketched by the refined method",
    ),
}
"""Name -> network, in the order of the tables."""

__all__ = ["NETWORKS", "Network", "Runs", "alexnet", "lenet", "mobilenet", "resnet50", "vgg16_sketch"]
