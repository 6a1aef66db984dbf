"""The experiments: network, data, reference training, treatments, and the row that was published of it."""

from __future__ import annotations

from functools import partial

from netsurgery.experiments.experiment import Experiment
from netsurgery.experiments.imagenet import IMAGENET, RESNET_PORTIONS, without_heads
from netsurgery.experiments.treatments import (
    CAFFE_RATE,
    SURGERY_THEN_INQ,
    Choice,
    Numbers,
    Treatment,
    han_pruning,
    inq,
    naive_cut,
    naive_cut_then_training,
    sketch,
    sketching,
    surgery,
    then_inq,
    thresholds,
)
from netsurgery.methods.magnitude import HanPruning, NaiveCut
from netsurgery.methods.quantization import INQ
from netsurgery.methods.sketching import Sketching
from netsurgery.methods.surgery import Surgery, ThresholdSurgery
from netsurgery.records.record import PaperRow
from netsurgery.schedules import Constant, Cosine, Followed, Warmed
from netsurgery.train.cifar import cifar10
from netsurgery.train.digits import embedded, mnist
from netsurgery.train.recipe import Recipe
from netsurgery.zoo.lenet import LeNet5, LeNet300
from netsurgery.zoo.resnet import resnet20, resnet56
from netsurgery.zoo.table import ZOO

CAFFE = Recipe(steps=10_000, learning_rate=CAFFE_RATE, bias_factor=2.0)
"""The training of both LeNet references, with the learning rate of biases doubled."""
_SOURCE = "Guo, Yao, Chen 2016"
_DROPPING = partial(Recipe, input_dropout=0.1)
_LENET300_SURGERY = partial(surgery, steps=25_000, learning_rate=0.1, recipe=partial(Recipe, input_dropout=0.15))
_LENET5_SURGERY = partial(surgery, steps=16_000, learning_rate=0.05, recipe=_DROPPING)


def _lenet5_then_inq(numbers: Numbers) -> Treatment:
    """Fewer bits lose more: they need longer rounds, at a larger rate."""
    steps, rate = (12_000, 0.01) if numbers.bits > 3 else (21_000, 0.02)
    return then_inq(_LENET5_SURGERY(steps=24_000, concentration=1.0), steps=steps, learning_rate=rate)(numbers)


LENET300 = Experiment(
    name="lenet300",
    title="LeNet-300-100",
    build=LeNet300,
    read_data=mnist,
    reference=CAFFE,
    density=1 / 56,
    treatments={
        Surgery.name: _LENET300_SURGERY(),
        ThresholdSurgery.name: thresholds(25_000, {"fc1": (4.5, 16_000), "fc2": (3.5, 16_000), "fc3": (2.5, 16_000)}),
        NaiveCut.name: naive_cut,
        HanPruning.name: han_pruning(25_000, {"fc1": 0.8, "fc2": 0.82, "fc3": 0.72}),
        INQ.name: inq(steps=9_000, learning_rate=0.05, recipe=_DROPPING),
        Sketching.name: sketching(steps=9_000, learning_rate=0.05, recipe=_DROPPING),
        SURGERY_THEN_INQ: then_inq(_LENET300_SURGERY(concentration=1.0), steps=9_000, learning_rate=0.05),
    },
    paper=PaperRow(
        source=_SOURCE,
        test_error_before_percent=2.28,
        test_error_percent=1.99,
        kept=4_800,
        compression=56,
        density_percent={"fc1": 1.8, "fc2": 1.8, "fc3": 5.5},
    ),
)

LENET5 = Experiment(
    name="lenet5",
    title="LeNet-5",
    build=lambda: LeNet5(skip_dead_units=True),
    read_data=mnist,
    reference=CAFFE,
    density=1 / 108,
    treatments={
        Surgery.name: _LENET5_SURGERY(),
        # The settings that an author of the paper gave.
        ThresholdSurgery.name: thresholds(
            16_000, {"conv1": (1, 14_000), "conv2": (3, 14_000), "fc1": (4, 10_000), "fc2": (2.5, 10_000)}
        ),
        NaiveCut.name: naive_cut,
        HanPruning.name: han_pruning(16_000, {"conv1": 0.5, "conv2": 0.81, "fc1": 0.91, "fc2": 0.75}),
        INQ.name: inq(steps=9_000, learning_rate=0.05, recipe=_DROPPING),
        Sketching.name: sketching(steps=9_000, learning_rate=0.05, recipe=_DROPPING),
        SURGERY_THEN_INQ: _lenet5_then_inq,
    },
    paper=PaperRow(
        source=_SOURCE,
        test_error_before_percent=0.91,
        test_error_percent=0.91,
        kept=4_000,
        compression=108,
        density_percent={"conv1": 14.2, "conv2": 3.1, "fc1": 0.7, "fc2": 4.3},
    ),
)

DEMO = Experiment(
    name="demo",
    title="LeNet-5 on the embedded digits",
    build=lambda: LeNet5(skip_dead_units=True),
    read_data=lambda _: embedded(),
    reference=Recipe(steps=800, learning_rate=Cosine(0.02, 0.0, 800)),
    density=1 / 108,
    treatments={
        Surgery.name: surgery(steps=4_000, learning_rate=0.05, recipe=partial(Recipe, input_dropout=0.15)),
    },
    paper=None,
)

_CIFAR_DECAY = 1e-4
_CIFAR = partial(Recipe, batch_size=128, weight_decay=Constant(_CIFAR_DECAY), crop_padding=4, mirrored=True)
CIFAR_REFERENCE = _CIFAR(
    steps=64_000,
    learning_rate=Followed(Constant(0.1), Followed(Constant(0.01), Constant(0.001), 16_000), 32_000),
)
"""He et al. 2015, section 4.2."""
_EPOCH = 351  # steps of 128 images in 45,000


_CIFAR_SURGERY = partial(
    surgery,
    learning_rate=0.1,  # that of the reference's own training: at half of it as much is pruned, but less learnt anew
    recipe=_CIFAR,
    decay=_CIFAR_DECAY,
    late_decay=_CIFAR_DECAY,
)


def _cifar_inq(numbers: Numbers) -> Treatment:
    """Fewer bits lose more."""
    return inq(steps=20 * _EPOCH, learning_rate=0.02 if numbers.bits > 3 else 0.05, recipe=_CIFAR)(numbers)


_CIFAR_TREATMENTS: dict[str, Choice] = {
    Surgery.name: _CIFAR_SURGERY(steps=20 * _EPOCH),
    NaiveCut.name: naive_cut_then_training(steps=20 * _EPOCH, learning_rate=0.05, recipe=_CIFAR),
    INQ.name: _cifar_inq,
    Sketching.name: sketching(steps=20 * _EPOCH, learning_rate=0.02, recipe=_CIFAR),
    "sketching-refined": sketch(refined=True),
    "sketching-direct": sketch(refined=False),
    SURGERY_THEN_INQ: then_inq(_CIFAR_SURGERY(steps=20 * _EPOCH), steps=16 * _EPOCH, learning_rate=0.02),
}

RESNET20 = Experiment(
    name="resnet20",
    title="ResNet-20",
    build=resnet20,
    read_data=cifar10,
    reference=CIFAR_REFERENCE,
    density=0.309,
    treatments=_CIFAR_TREATMENTS,
    paper=PaperRow(
        source="dynamic network surgery in IntelLabs' Distiller",
        test_error_before_percent=8.22,
        test_error_percent=8.57,
        kept=None,
        compression=1 / 0.309,
        density_percent={},
    ),
)

RESNET56 = Experiment(
    name="resnet56",
    title="ResNet-56",
    build=resnet56,
    read_data=cifar10,
    reference=CIFAR_REFERENCE,
    density=0.2,
    treatments=_CIFAR_TREATMENTS,
    paper=None,
)


def _proxy(name: str, density: float, treatments: dict[str, Choice]) -> Experiment:
    """A network of ImageNet's in the form that it has for small images."""
    architecture = ZOO[name]
    return Experiment(
        name=name,
        title=f"{architecture.title}, proxy on CIFAR-10",
        build=architecture.build,
        read_data=cifar10,
        reference=_CIFAR(steps=60 * _EPOCH, learning_rate=Warmed(Cosine(0.1, 0.0, 60 * _EPOCH), 500)),
        density=density,
        treatments=treatments,
        paper=None,
        deployed=without_heads,
        training_only=("aux1.*", "aux2.*") if name.startswith("googlenet") else (),
        cut_together=True,
    )


def _proxy_inq(numbers: Numbers) -> Treatment:
    """In the portions of the paper's ResNet-18."""
    rate = 0.02 if numbers.bits > 3 else 0.05
    return inq(20 * _EPOCH, rate, _CIFAR, RESNET_PORTIONS)(numbers)


_PROXY_TREATMENTS: dict[str, Choice] = {
    **_CIFAR_TREATMENTS,
    INQ.name: _proxy_inq,
}
PROXIES = {
    name: _proxy(name, density, _PROXY_TREATMENTS)
    for name, density in {"vgg16-bn-32": 0.05, "googlenet-bn-32": 0.2, "resnet18-32": 0.1}.items()
}
"""By name."""

REPRODUCIBLE = {
    **{experiment.name: experiment for experiment in (LENET300, LENET5, RESNET20, RESNET56)},
    **IMAGENET,
    **PROXIES,
}
"""What `netsurgery reproduce` offers."""
