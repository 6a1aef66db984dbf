"""Tasks for `compress` that need no file: the papers' networks, from a reference that is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from netsurgery.compression.task import Task
from netsurgery.experiments.catalogue import REPRODUCIBLE
from netsurgery.experiments.experiment import Experiment
from netsurgery.experiments.network_files import read_network
from netsurgery.experiments.settings import SHIFTED
from netsurgery.train.loop import error_percent, loss_of
from netsurgery.train.processes import Processes
from netsurgery.train.recipe import Recipe
from netsurgery.train.source import Source, feed
from netsurgery.train.split import Split

_HELD_OUT_ERROR_PERCENT = {"lenet300": 1.87, "lenet5": 0.92}
"""What the LeNets' references would have on held-out images, had they not been trained on these, too: what networks
have that `netsurgery reproduce` trains in the same way without them. MNIST's test images are harder."""
_REMEMBERING = ("resnet20", "resnet56")
"""Whose references know all training images by heart, 99.9 % of them, so that what is made of them is flattered by
these, too: they are judged on the first half of the test images, and reported on the second."""
_CERTAINTY = 0.84  # of MNIST: drops have to be a standard error below 0, as the smallest of many networks is picked
_CERTAINTY_OF_REMEMBERING = 0.5  # on half of the test images a standard error is most of what may be lost
_DROPPED_PIXELS = 0.1  # of MNIST's images, as the recorded experiments have it


class Passes:
    """Passes over a split, augmented as a recipe says; each draws its order from torch's own source."""

    def __init__(self, split: Source, recipe: Recipe) -> None:
        self._split = split
        self._recipe = recipe

    def __len__(self) -> int:
        return max(1, len(self._split) // self._recipe.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        batches = feed(self._split, self._recipe, int(torch.randint(1 << 62, ())), Processes())
        for _ in range(len(self)):
            yield batches.next()


def built_in(name: str, data: Path, reference: Path, *, shift: bool = True) -> Task:
    """A task of that name. data: the folder of its data set. reference: the dense network, safetensors.

    shift: show some of MNIST's batches, SHIFTED of them, moved by up to a pixel. The metric is the percentage of
    held-out training images that are classified rightly; drops are counted from what a reference has that wasn't
    trained on them. The test images are read once, at the end. For ResNets the first half of the test images is held
    out, which no network was trained on, and the second is for the end. Raises DataError.
    """
    experiment = REPRODUCIBLE[name]
    dataset = experiment.read_data(data)
    model = experiment.build()
    model.load_state_dict(read_network(model, reference))
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    recipe = _recipe(experiment, shift=shift)

    remembering = name in _REMEMBERING
    held_out = _half(dataset.read_test(), 0) if remembering else dataset.validation

    def evaluate(tried: nn.Module) -> Tensor:
        parts = [slice(first, first + 500) for first in range(0, len(held_out), 500)]
        right = [tried(held_out.batch(part)).argmax(1) == held_out.labels[part] for part in parts]
        return 100.0 * torch.cat(right).to(torch.float64)

    def report(best: nn.Module) -> list[str]:
        test, before = dataset.read_test(), experiment.build()
        before.load_state_dict(read_network(before, reference))
        words = "test error"
        if remembering:
            test, words = _half(test, 1), "error on the other half of the test images"
        return [f"{words} {error_percent(before, test):.2f} -> {error_percent(best, test):.2f} %"]

    return Task(
        model,
        Passes(dataset.train, recipe),
        evaluate,
        lambda tried, batch: loss_of(tried, batch[0], batch[1], recipe),
        baseline=None if remembering else 100.0 - _HELD_OUT_ERROR_PERCENT[name],
        certainty=_CERTAINTY_OF_REMEMBERING if remembering else _CERTAINTY,
        report=report,
    )


def _half(split: Source, which: int) -> Source:
    """The first or the second half of a split that is in memory."""
    if not isinstance(split, Split):
        raise TypeError(f"a split in memory is needed, not a {type(split).__name__}")
    middle = len(split) // 2
    part = slice(middle, None) if which else slice(middle)
    return replace(split, images=split.images[part], labels=split.labels[part])


def _recipe(experiment: Experiment, *, shift: bool) -> Recipe:
    """How images are shown: as the reference was trained; without augmentation there, moved or with pixels left out.

    Not both: what has a hundredth of its connections left learns less from images that are moved and lack pixels.
    """
    recipe = experiment.reference
    if recipe.crop_padding:
        return recipe
    return replace(recipe, shifted=SHIFTED) if shift else replace(recipe, input_dropout=_DROPPED_PIXELS)
