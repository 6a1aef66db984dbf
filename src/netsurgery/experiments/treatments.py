"""Treatments of trained networks: what is done to the weights, and the training it is carried out with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType

from netsurgery.checks import require
from netsurgery.methods.magnitude import HanPruning, NaiveCut
from netsurgery.methods.masking import MaskMethod
from netsurgery.methods.quantization import INQ
from netsurgery.methods.sketching import Sketching
from netsurgery.methods.surgery import Surgery, ThresholdSurgery
from netsurgery.plan import Plan
from netsurgery.records.record import PaperRow
from netsurgery.schedules import Cosine, Followed, InversePower, Restarted, Schedule, Switch
from netsurgery.stage import Stage
from netsurgery.train.recipe import Recipe

SURGERY_THEN_INQ = f"{Surgery.name}+{INQ.name}"
CAFFE_RATE = InversePower(start=0.01, gamma=1e-4, power=0.75)
"""The learning rate of the LeNet references."""


@dataclass(frozen=True)
class Treatment:
    """A plan and the training it is carried out with."""

    plan: Plan
    recipe: Recipe
    paper: PaperRow | None = None
    """What was published of it, where the experiment has several rows."""

    @property
    def prunes(self) -> bool:
        """Whether connections are cut on purpose, so that the row of a pruned network may stand beside the result."""
        return any(isinstance(stage.method, MaskMethod) for stage in self.plan.stages)


@dataclass(frozen=True)
class Numbers:
    """What a user may choose beside the method; a treatment ignores what it has no use for.

    density: of surgery and cuts. bits: of quantized weights. planes: of sketches.
    steps: optimizer steps of the whole training; None: as many as the treatment has. Refused where it can't be chosen.
    """

    density: float
    bits: int = 5
    planes: int = 2
    steps: int | None = None


Choice = Callable[[Numbers], Treatment]
RecipeOf = Callable[..., Recipe]
"""Recipe, or it with some fields filled in (functools.partial); `steps` and schedules come from the treatment."""


def surgery(
    steps: int,
    learning_rate: float,
    recipe: RecipeOf = Recipe,
    concentration: float = 0.0,
    decay: float = 5e-4,
    late_decay: float = 0.0,
) -> Choice:
    """One density. decay, late_decay: weight decay while connections still come and go, and after that."""

    def treatment(numbers: Numbers) -> Treatment:
        length = numbers.steps or steps
        method = Surgery(density=numbers.density, steps=length, concentration=concentration)
        training = recipe(
            steps=length,
            learning_rate=Cosine(learning_rate, 0.0, length),
            weight_decay=Switch(decay, late_decay, method.active_steps),
        )
        return Treatment(Plan.of(method), training)

    return treatment


def thresholds(steps: int, by_layer: dict[str, tuple[float, int]]) -> Choice:
    """by_layer: layer name -> (c_rate, iter_stop)."""
    stages = tuple(
        Stage(method=ThresholdSurgery(c_rate=c_rate, iter_stop=iter_stop), layers=(layer,))
        for layer, (c_rate, iter_stop) in by_layer.items()
    )
    return _fixed(Treatment(Plan(stages), Recipe(steps=steps, learning_rate=CAFFE_RATE, bias_factor=2.0)))


def naive_cut(numbers: Numbers) -> Treatment:
    """A cut and no training."""
    plan = Plan.of(NaiveCut(density=numbers.density))
    return _fixed(Treatment(plan, Recipe(steps=0, learning_rate=CAFFE_RATE)))(numbers)


def naive_cut_then_training(steps: int, learning_rate: float, recipe: RecipeOf = Recipe) -> Choice:
    """A cut, and what is left trained as surgery is: the measure of what coming and going connections are good for."""

    def treatment(numbers: Numbers) -> Treatment:
        length = numbers.steps or steps
        training = recipe(steps=length, learning_rate=Cosine(learning_rate, 0.0, length))
        return Treatment(Plan.of(NaiveCut(density=numbers.density)), training)

    return treatment


def han_pruning(steps: int, quality: dict[str, float]) -> Choice:
    """Five rounds, at a tenth of the original learning rate; qualities for about the paper's 12x."""
    rounds = 5
    stages = tuple(
        Stage(method=HanPruning(quality=value, rounds=rounds, round_steps=steps // rounds), layers=(layer,))
        for layer, value in quality.items()
    )
    rate = InversePower(start=0.001, gamma=1e-4, power=0.75)
    return _fixed(Treatment(Plan(stages), Recipe(steps=steps, learning_rate=rate, bias_factor=2.0)))


def inq(
    steps: int,
    learning_rate: float,
    recipe: RecipeOf = Recipe,
    portions: Mapping[int, tuple[float, ...]] = MappingProxyType({}),
) -> Choice:
    """Powers of two of all weights of the dense network. portions: by bits; others take the method's own."""

    def treatment(numbers: Numbers) -> Treatment:
        shares = portions.get(numbers.bits, ())
        method = INQ(bits=numbers.bits, steps=numbers.steps or steps, portions=shares)
        return Treatment(Plan.of(method), recipe(steps=method.steps, learning_rate=_rounds(method, learning_rate)))

    return treatment


def then_inq(first: Choice, steps: int, learning_rate: float) -> Choice:
    """A surgery, and then powers of two of all that it has left, biases too.

    What comes of both is a small file, and for that the surgery concentrates on few units, as far as it costs little.
    Chosen steps are shared as the treatment's own are.
    """

    def treatment(numbers: Numbers) -> Treatment:
        before, length = first(numbers if numbers.steps is None else dataclasses.replace(numbers, steps=None)), steps
        if numbers.steps is not None:
            rounds = len(INQ(bits=numbers.bits).round_starts)  # of retraining, each of which has a step
            length = max(rounds, round(numbers.steps * steps / (before.recipe.steps + steps)))
            require(numbers.steps > length, "steps", numbers.steps, f"> {length}", "both methods need some")
            before = first(dataclasses.replace(numbers, steps=numbers.steps - length))
        method, start = INQ(bits=numbers.bits, steps=length, biases=True), before.recipe.steps
        plan = Plan((*before.plan.stages, Stage(method=method, start=start)))
        rate = Followed(before.recipe.learning_rate, _rounds(method, learning_rate), start)
        return Treatment(plan, dataclasses.replace(before.recipe, steps=start + length, learning_rate=rate))

    return treatment


def sketching(steps: int, learning_rate: float, recipe: RecipeOf = Recipe) -> Choice:
    """Binary planes for each filter, trained as that."""

    def treatment(numbers: Numbers) -> Treatment:
        length = numbers.steps or steps
        training = recipe(steps=length, learning_rate=Cosine(learning_rate, 0.0, length))
        return Treatment(Plan.of(Sketching(planes=numbers.planes, steps=length)), training)

    return treatment


def sketch(*, refined: bool) -> Choice:
    """Binary planes for each filter, and no training. refined: all scales solved again with each plane."""

    def treatment(numbers: Numbers) -> Treatment:
        plan = Plan.of(Sketching(planes=numbers.planes, refined=refined, steps=0))
        return _fixed(Treatment(plan, Recipe(steps=0, learning_rate=CAFFE_RATE)))(numbers)

    return treatment


def thresholds_in_turns(
    turns: Sequence[tuple[int, dict[str, float]]], learning_rate: float, recipe: RecipeOf = Recipe
) -> Choice:
    """The paper's rule, one group of layers after the other. turns: steps, and by layer its density in the end.

    A c_rate is what gives that density where weights are distributed normally. In half of a turn's steps masks may
    change, less and less often, as in the released code.
    """

    def treatment(numbers: Numbers) -> Treatment:
        share = 1.0 if numbers.steps is None else numbers.steps / sum(steps for steps, _ in turns)
        stages, start = list[Stage](), 0
        for steps, densities in turns:
            length = max(1, round(steps * share))
            for layer, density in densities.items():
                stop = max(1, length // 2)
                method = ThresholdSurgery(c_rate=_c_rate(density), gamma=1e-3 / share, iter_stop=stop)
                stages.append(Stage(method=method, layers=(layer,), start=start))
            start += length
        length = max(start, numbers.steps or 0)
        rate = Cosine(learning_rate, 0.0, length)
        return Treatment(Plan(tuple(stages)), recipe(steps=length, learning_rate=rate, bias_factor=2.0))

    return treatment


def _c_rate(density: float) -> float:
    """Of normally distributed weights so many are larger than mean|w| + c_rate * std, std = sqrt(E[w²] - mean|w|²)."""
    mean = math.sqrt(2 / math.pi)
    return round((NormalDist().inv_cdf(1 - density / 2) - mean) / math.sqrt(1 - mean**2), 3)


def with_row(choice: Choice, row: Callable[[Numbers], PaperRow | None]) -> Choice:
    """The treatment with what was published of it."""

    def treatment(numbers: Numbers) -> Treatment:
        return dataclasses.replace(choice(numbers), paper=row(numbers))

    return treatment


def leaving_out(treatment: Treatment, patterns: Sequence[str]) -> Treatment:
    """The same on all layers but those, in stages that are of the whole network."""
    stages = tuple(
        dataclasses.replace(stage, skip=(*stage.skip, *patterns)) if stage.layers == ("*",) else stage
        for stage in treatment.plan.stages
    )
    return dataclasses.replace(treatment, plan=dataclasses.replace(treatment.plan, stages=stages))


def _rounds(method: INQ, learning_rate: float) -> Schedule:
    """The learning rate begins again with each round of retraining, and falls to 0."""
    starts = method.round_starts
    return Restarted(Cosine(learning_rate, 0.0, method.steps // len(starts)), starts)


def _fixed(treatment: Treatment) -> Choice:
    """A treatment whose length can't be chosen."""

    def unchanged(numbers: Numbers) -> Treatment:
        advice = "this method's own settings are for the length that it has"
        require(numbers.steps is None, "steps", numbers.steps, "left out here", advice)
        return treatment

    return unchanged
