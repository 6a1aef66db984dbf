"""What a user chooses for an experiment, and the treatment that follows from it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from netsurgery.checks import require, require_count
from netsurgery.experiments.experiment import Experiment
from netsurgery.experiments.treatments import Numbers, Treatment
from netsurgery.plan import Plan
from netsurgery.schedules import Hastened, Warmed
from netsurgery.train.recipe import Recipe

SHIFTED = 0.6
_WARM_UP_STEPS = 500
DISTILLED = 0.9
"""Of the loss, at a temperature of 4, as is usual for small images."""


@dataclass(frozen=True)
class Settings:
    """What the user chose for an experiment. None: as the experiment has it.

    method: a key of the experiment's treatments: plan and recipe. plan: in place of the treatment's.
    density, bits, planes: for methods that take them.
    steps, epochs: length of the treatment's training, in optimizer steps or passes through the training images; one of
        them at most.
    reference: safetensors file of the dense network, which is trained where it is None.
    shift: train on batches that are moved by up to one pixel (SHIFTED of them), in place of dropping out pixels.
    teacher: learn from the dense network's outputs too (DISTILLED of the loss).
    reference_steps: length of the dense network's own training, where it is trained.
    device: auto, cpu or cuda. precision: of products while training, float32, bfloat16 or float16.
    ten_crops: judge pictures by ten cuts, too.
    """

    method: str
    density: float | None = None
    bits: int | None = None
    planes: int | None = None
    steps: int | None = None
    epochs: int | None = None
    reference: Path | None = None
    seeds: int = 1
    plan: Plan | None = None
    shift: bool = False
    teacher: bool = False
    device: str = "auto"
    precision: str = "float32"
    reference_steps: int | None = None
    ten_crops: bool = False


def chosen_reference(experiment: Experiment, settings: Settings, treatment: Treatment) -> Recipe:
    """The recipe of the dense network, as the settings have it: its schedules run as much faster as it is shorter."""
    recipe = experiment.reference
    if settings.reference_steps is not None:
        require_count("reference_steps", settings.reference_steps)
        advice = "it isn't trained where it is given"
        require(settings.reference is None, "reference_steps", settings.reference_steps, "left out here", advice)
        steps = settings.reference_steps
    elif experiment.cut_together and (settings.steps or settings.epochs):
        whole = experiment.treatments[settings.method](Numbers(experiment.density)).recipe.steps
        steps = max(1, round(recipe.steps * treatment.recipe.steps / whole)) if whole else recipe.steps
    else:
        return recipe
    factor = recipe.steps / steps
    return dataclasses.replace(
        recipe,
        steps=steps,
        learning_rate=Hastened(recipe.learning_rate, factor),
        weight_decay=Hastened(recipe.weight_decay, factor),
    )


def chosen_treatment(experiment: Experiment, settings: Settings, training_images: int) -> Treatment:
    """The method's plan and recipe, as the settings have them. Raises SettingError for what doesn't go together."""
    require(
        settings.method in experiment.treatments,
        "method",
        settings.method,
        f"one of {', '.join(experiment.treatments)} for {experiment.title}",
    )
    both = settings.steps is not None and settings.epochs is not None
    require(not both, "epochs", settings.epochs, "left out where steps are given", "they say the same")
    choose = experiment.treatments[settings.method]
    given = {name: number for name in ("bits", "planes") if (number := getattr(settings, name)) is not None}
    numbers = Numbers(settings.density or experiment.density, **given)
    treatment = choose(numbers)
    steps = settings.steps
    if settings.epochs is not None:
        require_count("epochs", settings.epochs)
        steps = settings.epochs * max(1, training_images // treatment.recipe.batch_size)
    if steps is not None:
        require_count("steps", steps)
        treatment = choose(dataclasses.replace(numbers, steps=steps))
    if settings.plan is not None:
        treatment = dataclasses.replace(treatment, plan=settings.plan, paper=None)
    if settings.shift:
        require(treatment.recipe.steps > 0, "shift", True, "left out here", f"{settings.method} trains nothing")
        cropped = bool(treatment.recipe.crop_padding or experiment.preprocessing)
        require(not cropped, "shift", True, "left out here", "images are cropped at random")
        treatment = dataclasses.replace(treatment, recipe=_shifted(treatment.recipe))
    if settings.teacher:
        require(treatment.recipe.steps > 0, "teacher", True, "left out here", f"{settings.method} trains nothing")
        recipe = dataclasses.replace(treatment.recipe, distilled=DISTILLED)
        treatment = dataclasses.replace(treatment, recipe=recipe)
    return treatment


def _shifted(recipe: Recipe) -> Recipe:
    """Moved images in place of dropped pixels.

    They are new to the network, and its first gradients so large that some seeds diverge at the full learning rate:
    it is reached step by step.
    """
    learning_rate = Warmed(recipe.learning_rate, _WARM_UP_STEPS)
    return dataclasses.replace(recipe, shifted=SHIFTED, input_dropout=0.0, learning_rate=learning_rate)
