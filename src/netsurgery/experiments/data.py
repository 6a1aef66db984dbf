"""The data set of an experiment, as the user wants its pictures prepared and read."""

from __future__ import annotations

from pathlib import Path

from netsurgery.checks import require, require_count
from netsurgery.experiments.experiment import Experiment
from netsurgery.train.dataset import Dataset


def read_data(experiment: Experiment, folder: Path, preprocessing: str | None, workers: int | None) -> Dataset:
    """The images in a folder. preprocessing, workers: of pictures, None for what is usual; workers >= 0.

    Raises DataError for folders that hold something else, SettingError for settings that the images don't take.
    """
    ways = experiment.preprocessing
    if not ways:
        advice = f"images of {experiment.title}'s data set come as they are"
        require(preprocessing is None, "preprocessing", preprocessing, "left out here", advice)
        require(workers is None, "workers", workers, "left out here", "they are read at once")
        return experiment.read_data(folder)
    if workers is not None:
        require_count("workers", workers, minimum=0)
    preprocessing = preprocessing or next(iter(ways))
    require(preprocessing in ways, "preprocessing", preprocessing, f"one of {', '.join(ways)}")
    return experiment.read_data(folder, preparation=ways[preprocessing], workers=workers)
