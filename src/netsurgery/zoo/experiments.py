"""The papers' experiments: network, reference training, surgery or quantization, and the row that the paper printed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from netsurgery.methods.magnitude import HanPruning, NaiveCut
from netsurgery.methods.masking import MaskMethod
from netsurgery.methods.quantization import INQ
from netsurgery.methods.sketching import Sketching
from netsurgery.methods.surgery import Surgery, ThresholdSurgery
from netsurgery.plan import Plan, Stage
from netsurgery.report.record import PaperRow
from netsurgery.schedules import Cosine, Followed, InversePower, Restarted, Schedule, Switch
from netsurgery.train.loop import Recipe
from netsurgery.zoo.lenet import LeNet5, LeNet300

SURGERY_THEN_INQ = f"{Surgery.name}+{INQ.name}"
_SOURCE = "Guo, Yao, Chen 2016"


@dataclass(frozen=True)
class Treatment:
    """A plan and the training it is carried out with."""

    plan: Plan
    recipe: Recipe

    @property
    def prunes(self) -> bool:
        """Whether connections are cut on purpose, so that the paper's row may stand beside the result."""
        return any(isinstance(stage.method, MaskMethod) for stage in self.plan.stages)


@dataclass(frozen=True)
class Numbers:
    """What a user may choose beside the method; a treatment ignores what it has no use for.

    density: of surgery and cuts. bits: of quantized weights. planes: of sketches.
    """

    density: float
    bits: int = 5
    planes: int = 2


Choice = Callable[[Numbers], Treatment]


@dataclass(frozen=True)
class Experiment:
    """A network of a paper.

    reference: how the dense network is trained where none is given.
    treatments: by method name.
    """

    name: str
    title: str
    build: Callable[[], nn.Module]
    reference: Recipe
    density: float
    treatments: dict[str, Choice]
    paper: PaperRow | None


CAFFE_RATE = InversePower(start=0.01, gamma=1e-4, power=0.75)
CAFFE = Recipe(steps=10_000, learning_rate=CAFFE_RATE, bias_factor=2.0)
"""The training of both references, with the learning rate of biases doubled."""


def _surgery(steps: int, learning_rate: float, input_dropout: float = 0.0, concentration: float = 0.0) -> Choice:
    """One density; weight decay only while connections still come and go."""

    def treatment(numbers: Numbers) -> Treatment:
        method = Surgery(density=numbers.density, steps=steps, concentration=concentration)
        recipe = Recipe(
            steps=steps,
            learning_rate=Cosine(learning_rate, 0.0, steps),
            weight_decay=Switch(5e-4, 0.0, method.active_steps),
            input_dropout=input_dropout,
        )
        return Treatment(Plan.of(method), recipe)

    return treatment


def _thresholds(steps: int, by_layer: dict[str, tuple[float, int]]) -> Choice:
    """by_layer: layer name -> (c_rate, iter_stop)."""
    stages = tuple(
        Stage(method=ThresholdSurgery(c_rate=c_rate, iter_stop=iter_stop), layers=(layer,))
        for layer, (c_rate, iter_stop) in by_layer.items()
    )
    treatment = Treatment(Plan(stages), Recipe(steps=steps, learning_rate=CAFFE_RATE, bias_factor=2.0))
    return lambda _: treatment


def _naive(numbers: Numbers) -> Treatment:
    return Treatment(Plan.of(NaiveCut(density=numbers.density)), Recipe(steps=0, learning_rate=CAFFE_RATE))


def _han(steps: int, quality: dict[str, float]) -> Choice:
    """Five rounds, at a tenth of the original learning rate; qualities for about the paper's 12x."""
    rounds = 5
    stages = tuple(
        Stage(method=HanPruning(quality=value, rounds=rounds, round_steps=steps // rounds), layers=(layer,))
        for layer, value in quality.items()
    )
    rate = InversePower(start=0.001, gamma=1e-4, power=0.75)
    treatment = Treatment(Plan(stages), Recipe(steps=steps, learning_rate=rate, bias_factor=2.0))
    return lambda _: treatment


def _rounds(method: INQ, learning_rate: float) -> Schedule:
    """The learning rate begins again with each round of retraining, and falls to 0."""
    starts = method.round_starts
    return Restarted(Cosine(learning_rate, 0.0, method.steps // len(starts)), starts)


def _inq(steps: int, learning_rate: float, input_dropout: float = 0.0) -> Choice:
    """Powers of two of all weights of the dense network."""

    def treatment(numbers: Numbers) -> Treatment:
        method = INQ(bits=numbers.bits, steps=steps)
        recipe = Recipe(steps=steps, learning_rate=_rounds(method, learning_rate), input_dropout=input_dropout)
        return Treatment(Plan.of(method), recipe)

    return treatment


def _then_inq(surgery: Choice, steps: int, learning_rate: float) -> Choice:
    """The surgery, and then powers of two of all that it has left, biases too.

    What comes of both is a small file, and for that the surgery concentrates on few units, as far as it costs little.
    """

    def treatment(numbers: Numbers) -> Treatment:
        first, method = surgery(numbers), INQ(bits=numbers.bits, steps=steps, biases=True)
        start = first.recipe.steps
        plan = Plan((*first.plan.stages, Stage(method=method, start=start)))
        rate = Followed(first.recipe.learning_rate, _rounds(method, learning_rate), start)
        return Treatment(plan, dataclasses.replace(first.recipe, steps=start + steps, learning_rate=rate))

    return treatment


def _sketching(steps: int, learning_rate: float, input_dropout: float = 0.0) -> Choice:
    """Binary planes for each filter, trained as that."""

    def treatment(numbers: Numbers) -> Treatment:
        recipe = Recipe(steps=steps, learning_rate=Cosine(learning_rate, 0.0, steps), input_dropout=input_dropout)
        return Treatment(Plan.of(Sketching(planes=numbers.planes, steps=steps)), recipe)

    return treatment


_LENET300_SURGERY = partial(_surgery, steps=25_000, learning_rate=0.1, input_dropout=0.15)
_LENET5_SURGERY = partial(_surgery, steps=16_000, learning_rate=0.05, input_dropout=0.1)


def _lenet5_then_inq(numbers: Numbers) -> Treatment:
    """Fewer bits lose more: they need longer rounds, and leave room for more units in as small a file."""
    if numbers.bits > 3:
        choice = _then_inq(_LENET5_SURGERY(concentration=6.0), steps=9_000, learning_rate=0.05)
    else:
        choice = _then_inq(_LENET5_SURGERY(concentration=1.0), steps=21_000, learning_rate=0.02)
    return choice(numbers)


LENET300 = Experiment(
    name="lenet300",
    title="LeNet-300-100",
    build=LeNet300,
    reference=CAFFE,
    density=1 / 56,
    treatments={
        Surgery.name: _LENET300_SURGERY(),
        ThresholdSurgery.name: _thresholds(25_000, {"fc1": (4.5, 16_000), "fc2": (3.5, 16_000), "fc3": (2.5, 16_000)}),
        NaiveCut.name: _naive,
        HanPruning.name: _han(25_000, {"fc1": 0.8, "fc2": 0.82, "fc3": 0.72}),
        INQ.name: _inq(steps=9_000, learning_rate=0.05, input_dropout=0.1),
        Sketching.name: _sketching(steps=9_000, learning_rate=0.05, input_dropout=0.1),
        SURGERY_THEN_INQ: _then_inq(_LENET300_SURGERY(concentration=1.0), steps=9_000, learning_rate=0.05),
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
    reference=CAFFE,
    density=1 / 108,
    treatments={
        Surgery.name: _LENET5_SURGERY(),
        # The settings that an author of the paper gave.
        ThresholdSurgery.name: _thresholds(
            16_000, {"conv1": (1, 14_000), "conv2": (3, 14_000), "fc1": (4, 10_000), "fc2": (2.5, 10_000)}
        ),
        NaiveCut.name: _naive,
        HanPruning.name: _han(16_000, {"conv1": 0.5, "conv2": 0.81, "fc1": 0.91, "fc2": 0.75}),
        INQ.name: _inq(steps=9_000, learning_rate=0.05, input_dropout=0.1),
        Sketching.name: _sketching(steps=9_000, learning_rate=0.05, input_dropout=0.1),
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
    reference=Recipe(steps=800, learning_rate=Cosine(0.02, 0.0, 800)),
    density=1 / 108,
    treatments={Surgery.name: _surgery(steps=4_000, learning_rate=0.05, input_dropout=0.15)},
    paper=None,
)

REPRODUCIBLE = {experiment.name: experiment for experiment in (LENET300, LENET5)}
"""What `netsurgery reproduce` offers."""
