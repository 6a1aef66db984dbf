"""Networks of every kind that users run, for `any_network.py`: what they are, what goes in, what is done to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from netsurgery import zoo
from networks import classifiers, detectors, mobilenets, sequences, transformers
from networks.alexnet import keep_as_published
from networks.random_weights import keep, trained_like
from networks.vgg import sketch_layers

Treatment = Callable[[nn.Module], None]
"""Changes weights in place."""


def _nothing(_: nn.Module) -> None:
    pass


DENSE, TENTH = "dense", "90 % zero"
TREATMENTS: dict[str, Treatment] = {
    DENSE: _nothing,
    TENTH: partial(keep, density=0.1),
    "33 % kept": partial(keep, density=0.33),
    "the paper's densities": keep_as_published,
    "2 planes": sketch_layers,
}


@dataclass(frozen=True)
class AnyNetwork:
    """A network that is measured dense and pruned.

    examples: (batch) -> what goes in. goals: treatment -> how many times faster than ONNX Runtime it should run, on
    batches of one; these are the treatments measured. batches: treatment -> batch sizes, where there are others.
    parameters: how many the published network has; None where it is nobody's. quick: in the choice of `--quick`.
    exported_by: "torch", or "netsurgery" where torch writes an operator of ONNX as many others (LRN).
    """

    title: str
    build: Callable[[], nn.Module]
    examples: Callable[[int], tuple[Tensor, ...]]
    goals: Mapping[str, float]
    parameters: int | None = None
    batches: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    quick: bool = False
    exported_by: str = "torch"

    def made(self, treatment: str) -> nn.Module:
        """In eval mode, with weights of seed 0."""
        torch.manual_seed(0)
        model = trained_like(self.build(), *self.examples(2 if self.has_batch_norm else 1))
        TREATMENTS[treatment](model)
        return model

    @property
    def has_batch_norm(self) -> bool:
        """Whose statistics are of more than one example."""
        with torch.device("meta"):
            return any("BatchNorm" in type(module).__name__ for module in self.build().modules())

    def runs(self, treatment: str) -> dict[int, float]:
        """Batch size -> goal."""
        return {1: self.goals[treatment]} | dict(self.batches.get(treatment, {}))


def _images(size: int) -> Callable[[int], tuple[Tensor, ...]]:
    return lambda batch: (torch.rand(batch, 3, size, size),)


def _tokens(count: int) -> Callable[[int], tuple[Tensor, ...]]:
    return lambda batch: (torch.randint(0, transformers.VOCABULARY, (batch, count)),)


def _steps(count: int, states: int) -> Callable[[int], tuple[Tensor, ...]]:
    return lambda batch: (torch.randn(count, batch, 256), *[torch.zeros(2, batch, 256) for _ in range(states)])


def _pruned(goal: float) -> dict[str, float]:
    return {DENSE: 1.0, TENTH: goal}


ANY_NETWORKS = {
    "yolov8n": AnyNetwork("YOLOv8n, 640 x 640", detectors.YOLOv8n, _images(640), _pruned(2.5), 3_157_200),
    "yolox-tiny": AnyNetwork("YOLOX-tiny, 416 x 416", detectors.YOLOX, _images(416), _pruned(2.5), 5_055_855),
    "resnet18": AnyNetwork("ResNet-18", zoo.resnet18, _images(224), _pruned(5.0), 11_689_512, quick=True),
    "resnet50": AnyNetwork("ResNet-50", zoo.resnet50, _images(224), _pruned(5.0), 25_557_032),
    "mobilenet-v2": AnyNetwork(
        "MobileNetV2", mobilenets.MobileNetV2, _images(224), _pruned(2.5), 3_504_872, quick=True
    ),
    "mobilenet-v3-small": AnyNetwork(
        "MobileNetV3-small", mobilenets.MobileNetV3Small, _images(224), _pruned(2.5), 2_542_856
    ),
    "efficientnet-b0": AnyNetwork("EfficientNet-B0", mobilenets.EfficientNetB0, _images(224), _pruned(2.5), 5_288_548),
    "densenet121": AnyNetwork("DenseNet-121", classifiers.DenseNet121, _images(224), _pruned(5.0), 7_978_856),
    "googlenet": AnyNetwork(
        "GoogLeNet", partial(zoo.googlenet_bn, auxiliary=False), _images(224), _pruned(5.0), 6_624_904
    ),
    "squeezenet": AnyNetwork(
        "SqueezeNet 1.1",
        classifiers.SqueezeNet,
        _images(224),
        {DENSE: 1.0, "33 % kept": 1.3},
        1_235_496,
        quick=True,
    ),
    "pp-lcnet": AnyNetwork("PP-LCNet-like", classifiers.PPLCNet, _images(224), _pruned(1.0)),
    "distilbert": AnyNetwork("DistilBERT, 128 tokens", transformers.distilbert, _tokens(128), _pruned(3.0), 66_362_880),
    "bert-tiny": AnyNetwork(
        "BERT-tiny, 128 tokens", transformers.bert_tiny, _tokens(128), _pruned(3.0), 4_385_920, quick=True
    ),
    "vit-tiny": AnyNetwork("ViT-tiny, 197 tokens", transformers.ViTTiny, _images(224), _pruned(3.0), 5_717_416),
    "tcn": AnyNetwork(
        "TCN, 256 steps", sequences.TCN, lambda batch: (torch.randn(batch, 32, 256),), _pruned(2.5), quick=True
    ),
    "conv3d": AnyNetwork(
        "Conv3d, 16 x 56 x 56", sequences.Conv3dNet, lambda batch: (torch.rand(batch, 3, 16, 56, 56),), _pruned(2.0)
    ),
    "lstm-step": AnyNetwork("LSTM 2x256, one step", sequences.LSTM, _steps(1, 2), _pruned(5.0), quick=True),
    "lstm": AnyNetwork("LSTM 2x256, 100 steps", sequences.LSTM, _steps(100, 2), _pruned(5.0)),
    "gru-step": AnyNetwork("GRU 2x256, one step", sequences.GRU, _steps(1, 1), _pruned(5.0)),
    "gru": AnyNetwork("GRU 2x256, 100 steps", sequences.GRU, _steps(100, 1), _pruned(5.0)),
    "alexnet": AnyNetwork(
        "AlexNet",
        zoo.alexnet,
        _images(227),
        {DENSE: 1.0, "the paper's densities": 4.0},
        60_965_224,
        {"the paper's densities": {16: 3.0}},
        exported_by="netsurgery",
    ),
    "vgg16": AnyNetwork("VGG-16", zoo.vgg16, _images(224), {DENSE: 1.0, "2 planes": 1.3}, 138_357_544),
}
"""Name -> network, in the order of the table."""
