"""A network of a paper, its data, and what is done to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

from netsurgery.experiments.treatments import Choice
from netsurgery.pictures.preparation import Preparation
from netsurgery.records.record import PaperRow
from netsurgery.train.dataset import Dataset
from netsurgery.train.recipe import Recipe


def _as_it_is(model: nn.Module) -> nn.Module:
    return model


@dataclass(frozen=True)
class Experiment:
    """A network of a paper.

    read_data: its data set, from the folder that the user names; with preprocessing, also how pictures are prepared and
        how many processes read them.
    reference: how the dense network is trained where none is given.
    density: kept / all where the user says nothing.
    treatments: by method name.
    paper: what was published of the pruned network, if anything was; of others their treatments say it.
    preprocessing: ways to prepare pictures, by name, the usual one first; empty where images come as they are.
    deployed: the trained network -> what is judged and packed of it. training_only: patterns of layers that it lacks;
        no treatment operates on them.
    of_classes: classes -> the network for so many, where that can be chosen.
    cut_together: whether chosen steps cut the reference's training short, too.
    """

    name: str
    title: str
    build: Callable[[], nn.Module]
    read_data: Callable[..., Dataset]
    reference: Recipe
    density: float
    treatments: dict[str, Choice]
    paper: PaperRow | None
    preprocessing: Mapping[str, Preparation] = field(default_factory=dict)
    deployed: Callable[[nn.Module], nn.Module] = _as_it_is
    training_only: tuple[str, ...] = ()
    of_classes: Callable[[int], nn.Module] | None = None
    cut_together: bool = False
