"""The networks that the papers measured on ImageNet, and what each paper did to them.

None of it has been trained on ImageNet by us: lengths, batches, portions and densities are the papers'; learning rates,
where they aren't published, those of the networks' own training.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from netsurgery.errors import DataError
from netsurgery.experiments.experiment import Experiment
from netsurgery.experiments.paper_rows import INQ_ROWS, SURGERY_ALEXNET, SURGERY_INQ_ROWS
from netsurgery.experiments.treatments import (
    SURGERY_THEN_INQ,
    Choice,
    Numbers,
    Treatment,
    inq,
    naive_cut_then_training,
    sketch,
    sketching,
    surgery,
    then_inq,
    thresholds_in_turns,
    with_row,
)
from netsurgery.methods.magnitude import NaiveCut
from netsurgery.methods.quantization import INQ
from netsurgery.methods.sketching import Sketching
from netsurgery.methods.surgery import Surgery, ThresholdSurgery
from netsurgery.pictures.finding import test_pictures, training_pictures
from netsurgery.pictures.loading import cores
from netsurgery.pictures.picture_set import held_out
from netsurgery.pictures.preparation import Preparation, modern, paper
from netsurgery.records.record import PaperRow
from netsurgery.schedules import Constant, Cosine, Followed, Schedule
from netsurgery.train.dataset import Dataset
from netsurgery.train.picture_split import PictureSplit
from netsurgery.train.recipe import Recipe
from netsurgery.zoo.googlenets import GoogLeNet
from netsurgery.zoo.table import ZOO

CLASSES = 1_000
PICTURES = "labelled pictures"
"""The name of a data set of which nothing else is known."""
_OF_IMAGENET = re.compile(r"n\d{8}")
EPOCH = 5_004  # steps of 256 images in 1,281,167
_SURGERY_STEPS = (320_000, 380_000)  # of convolutions, and then of fully connected layers: 700K in all
_INQ_EPOCHS = 8
_INQ_EPOCHS_2_BITS = 30
_SKETCH_EPOCHS = 20
_ALEXNET_PERCENT = SURGERY_ALEXNET.density_percent
_BATCH = partial(Recipe, batch_size=256)


def pictures(
    folder: Path,
    *,
    preparation: Preparation,
    workers: int | None = None,
    classes: int = CLASSES,
) -> Dataset:
    """Labelled pictures in class folders or shards: train, of which some are held out, and val, the test.

    They are called ImageNet where there are a thousand classes with names such as its own have, n01440764.
    workers: processes that read; None: as many as there are cores for this process.
    Raises DataError for folders that aren't so, and for more classes than the network knows.
    """
    training = training_pictures(folder)
    if len(training.classes) > classes:
        raise DataError(
            f"{folder} holds {len(training.classes)} classes of pictures; the network tells {classes} apart. Give a "
            "folder of at most so many."
        )
    test_pictures(folder, training)  # whatever is wrong with it had better be found before the training
    workers = cores() if workers is None else workers
    out = held_out(training.labels)
    train, validation = (PictureSplit(training, np.flatnonzero(part), preparation, workers) for part in (~out, out))

    def read_test() -> PictureSplit:
        found = test_pictures(folder, training)
        return PictureSplit(found, np.arange(len(found)), preparation, workers)

    own = len(training.classes) != CLASSES or not all(map(_OF_IMAGENET.fullmatch, training.classes))
    name = PICTURES if own else "ImageNet"
    facts = {"classes": len(training.classes), "preparation": preparation.facts}
    return Dataset(name, train, validation, read_test, facts)


def in_tenths(start: float, every: int, times: int) -> Schedule:
    """`start`, and a tenth of what it was after each `every` steps, `times` times."""
    rate: Schedule = Constant(start * 0.1**times)
    for number in reversed(range(times)):
        rate = Followed(Constant(start * 0.1**number), rate, every)
    return rate


def _caffe(steps: int, every: int, start: float = 0.01) -> Recipe:
    """Caffe's training: biases learn twice as fast."""
    times = (steps - 1) // every
    return _BATCH(steps=steps, learning_rate=in_tenths(start, every, times), bias_factor=2.0)


def _residual(steps: int, every: int) -> Recipe:
    return _BATCH(steps=steps, learning_rate=in_tenths(0.1, every, (steps - 1) // every), weight_decay=Constant(1e-4))


def _treatments(
    network: str, rate: float, decay: float, portions: dict[int, tuple[float, ...]], steps: int = 90 * EPOCH
) -> dict[str, Choice]:
    """What all networks have in common. rate: at which surgery and naive cuts begin; the others at a tenth of it."""
    recipe = partial(_BATCH, weight_decay=Constant(decay))
    cut = partial(surgery, steps=steps, learning_rate=rate, recipe=_BATCH, decay=decay, late_decay=decay)

    def powers(numbers: Numbers) -> Treatment:
        epochs = _INQ_EPOCHS if numbers.bits > 2 else _INQ_EPOCHS_2_BITS
        choice = inq(epochs * EPOCH, rate / 10, recipe, portions)
        return with_row(choice, lambda given: INQ_ROWS.get((network, given.bits)))(numbers)

    after = then_inq(cut(concentration=1.0), _INQ_EPOCHS * EPOCH, rate / 10)
    return {
        Surgery.name: cut(),
        NaiveCut.name: naive_cut_then_training(steps=steps, learning_rate=rate, recipe=recipe),
        INQ.name: powers,
        SURGERY_THEN_INQ: with_row(after, lambda given: SURGERY_INQ_ROWS.get((network, given.bits))),
        Sketching.name: sketching(_SKETCH_EPOCHS * EPOCH, rate / 10, recipe),
        "sketching-refined": sketch(refined=True),
        "sketching-direct": sketch(refined=False),
    }


def _alexnet_treatments(network: str) -> dict[str, Choice]:
    conv_steps, fc_steps = _SURGERY_STEPS
    common = _treatments(network, 0.01, 5e-4, {5: (0.3, 0.6, 0.8, 1.0)}, steps=conv_steps + fc_steps)
    by_hand = thresholds_in_turns(
        [
            (
                conv_steps,
                {layer: _ALEXNET_PERCENT[layer] / 100 for layer in ("conv1", "conv2", "conv3", "conv4", "conv5")},
            ),
            (fc_steps, {layer: _ALEXNET_PERCENT[layer] / 100 for layer in ("fc1", "fc2", "fc3")}),
        ],
        learning_rate=0.001,
        recipe=_BATCH,
    )
    return {**common, ThresholdSurgery.name: by_hand}


_VGG_PORTIONS: dict[int, tuple[float, ...]] = {5: (0.5, 0.75, 0.875, 1.0)}
_GOOGLENET_PORTIONS: dict[int, tuple[float, ...]] = {5: (0.2, 0.4, 0.6, 0.8, 1.0)}
RESNET_PORTIONS: dict[int, tuple[float, ...]] = {
    5: (0.5, 0.75, 0.875, 1.0),
    4: (0.3, 0.5, 0.8, 0.9, 0.95, 1.0),
    3: (0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
    2: (0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 1.0),
}
"""Zhou et al. 2017: bits -> shares quantized so far. Other bits than a network's take INQ's own."""


def without_heads(model: nn.Module) -> nn.Module:
    """A GoogLeNet without its auxiliary classifiers, any other network as it is."""
    return model.without_heads() if isinstance(model, GoogLeNet) else model


def _experiment(
    name: str,
    reference: Recipe,
    density: float,
    treatments: Callable[[str], dict[str, Choice]],
    *,
    as_trained: str = "modern",
    row: PaperRow | None = None,
) -> Experiment:
    """as_trained: how its pictures are prepared where the user says nothing."""
    architecture = ZOO[name]
    modern_way = modern(architecture.size, mean_and_deviation=architecture.mean_and_deviation)
    ways = {"modern": modern_way, "paper": paper(architecture.size)}
    return Experiment(
        name=name,
        title=architecture.title,
        build=architecture.build,
        of_classes=architecture.build,
        read_data=partial(pictures, classes=architecture.classes),
        reference=reference,
        density=density,
        treatments=treatments(name.removesuffix("-bn")),
        paper=row,
        preprocessing={as_trained: ways[as_trained], **ways},
        deployed=without_heads,
        training_only=("aux1.*", "aux2.*") if name.startswith("googlenet") else (),
        cut_together=True,
    )


def _vgg_treatments(network: str) -> dict[str, Choice]:
    return _treatments(network, 0.01, 5e-4, _VGG_PORTIONS)


def _googlenet_treatments(network: str) -> dict[str, Choice]:
    return _treatments(network, 0.01, 2e-4, _GOOGLENET_PORTIONS)


def _resnet_treatments(network: str) -> dict[str, Choice]:
    return _treatments(network, 0.05, 1e-4, RESNET_PORTIONS)


_BVLC = _caffe(450_000, every=100_000)
_VGG = _caffe(74 * EPOCH, every=25 * EPOCH)
_GOOGLENET = _BATCH(
    steps=60 * EPOCH, learning_rate=Cosine(0.01, 0.0, 60 * EPOCH), weight_decay=Constant(2e-4), bias_factor=2.0
)
_RESNET = _residual(90 * EPOCH, every=30 * EPOCH)

IMAGENET = {
    experiment.name: experiment
    for experiment in (
        _experiment("alexnet", _BVLC, 1 / 17.7, _alexnet_treatments, as_trained="paper", row=SURGERY_ALEXNET),
        _experiment("alexnet-bn", _BVLC, 1 / 17.7, _alexnet_treatments, row=SURGERY_ALEXNET),
        _experiment("vgg16", _VGG, 0.075, _vgg_treatments),
        _experiment("vgg16-bn", _VGG, 0.075, _vgg_treatments),
        _experiment("googlenet", _GOOGLENET, 0.2, _googlenet_treatments, as_trained="paper"),
        _experiment("googlenet-bn", _GOOGLENET, 0.2, _googlenet_treatments),
        _experiment("resnet18", _RESNET, 0.2, _resnet_treatments),
        _experiment("resnet50", _RESNET, 0.1, _resnet_treatments),
    )
}
"""By name."""
