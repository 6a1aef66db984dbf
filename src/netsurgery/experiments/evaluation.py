"""How often a network errs on the test of its data set: weights of any origin, or a packed file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from netsurgery.errors import DataError
from netsurgery.experiments.experiment import Experiment
from netsurgery.experiments.network_files import read_network
from netsurgery.experiments.own_classes import for_own_classes
from netsurgery.runtime.session import Session
from netsurgery.runtime.session import load as load_packed
from netsurgery.train.dataset import Dataset
from netsurgery.train.device import device_of
from netsurgery.train.loop import errors_percent


@dataclass(frozen=True)
class Errors:
    """Top-1 and top-5 errors in percent. network: what was judged, in words. images: how many the test has."""

    network: str
    images: int
    top1_percent: float
    top5_percent: float


class _Packed(nn.Module):
    """A packed network, called as a module is. classes: how many scores it has to give at least."""

    def __init__(self, session: Session, file: Path, classes: int) -> None:
        super().__init__()
        self._session = session
        self._file = file
        self._classes = classes

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) float32 -> scores (n, classes). Raises DataError where a class has none."""
        scores = self._session(images.contiguous().numpy())
        if not isinstance(scores, np.ndarray) or scores.ndim != 2 or scores.shape[1] < self._classes:
            given = scores.shape if isinstance(scores, np.ndarray) else f"{len(scores)} outputs"
            raise DataError(
                f"{self._file} gives {given} for {len(images)} images; ({len(images)}, {self._classes}) or more scores "
                "are needed, one for each class of the data. Give a classifier of these classes."
            )
        return torch.from_numpy(scores)


def evaluate(experiment: Experiment, data: Dataset, file: Path, device: str, *, ten_crops: bool = False) -> Errors:
    """Read the test and judge the network in a file on it: .nsm by the engine, weights by torch, in float32.

    device: auto, cpu or cuda, of weights. ten_crops: of pictures, judge corners, middle and their mirror images.
    A packed file may be of any network that takes the images. Weights may be for as many classes as the data has.
    Raises DataError or PackedFileError for files that can't be read, or, of weights, are of another network.
    """
    if file.suffix.lower() == ".nsm":
        session = load_packed(file)
        model: nn.Module = _Packed(session, file, data.facts.get("classes", 1))
        entries = sum(constant.size for constant in session.graph.constants.values())
        network = f"{file.name}, {entries:,} values in {len(list(session.graph.weights()))} layers,"
    else:
        experiment = for_own_classes(experiment, data, file)
        network = experiment.title
        model = experiment.deployed(experiment.build())
        read_network(model, file)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        model = model.to(device=device_of(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    test = data.read_test()
    return Errors(network, len(test), *errors_percent(model, test, ten_crops=ten_crops))
