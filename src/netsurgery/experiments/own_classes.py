"""A network of as many classes as the user's own pictures have, where its weights are of such a network."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

from netsurgery.errors import DataError
from netsurgery.experiments.experiment import Experiment
from netsurgery.experiments.network_files import read_network
from netsurgery.train.dataset import Dataset


def for_own_classes(experiment: Experiment, data: Dataset, weights: Path | None) -> Experiment:
    """The experiment for as many classes as `data` has, if a file of weights is of that network and no other.

    weights: None where the network is trained from the start: it is the paper's then. A file that fits neither is left
    to its reader, which says what differs.
    """
    classes = data.facts.get("classes")
    if weights is None or experiment.of_classes is None or classes is None or _fits(experiment, weights):
        return experiment
    own = dataclasses.replace(experiment, build=partial(experiment.of_classes, classes))
    return own if _fits(own, weights) else experiment


def _fits(experiment: Experiment, weights: Path) -> bool:
    try:
        read_network(experiment.deployed(experiment.build()), weights)
    except DataError:
        return False
    return True
