"""How many optimizer steps a training of so many epochs takes: what methods want to know as `steps`."""

from __future__ import annotations

import math
from collections.abc import Sized

from netsurgery.checks import require, require_count


def steps_of(loader: Sized, epochs: int, accumulate: int = 1) -> int:
    """The optimizer steps of `epochs` epochs over a loader.

    loader: anything with a length in batches, such as torch's DataLoader; under several processes that of one of them.
    epochs: >= 1. accumulate: batches whose gradients are summed for one step, >= 1; the last step of an epoch may have
        fewer, and one of fewer is taken, as Lightning, Hugging Face and Accelerate do.

    Raises SettingError for a loader without a length, or an empty one, and for counts outside their range.

    >>> len(loader)  # batches
    100
    >>> ns.steps_of(loader, epochs=3)
    300
    >>> method = ns.Surgery(density=0.1, steps=ns.steps_of(loader, epochs=3, accumulate=8))
    >>> method.steps
    39
    """
    try:
        batches = len(loader)
    except TypeError:  # an iterable dataset
        batches = 0
    advice = "count the batches of an epoch, and give methods their product with the epochs"
    require(batches > 0, "loader", type(loader).__name__, "a loader that knows its length, and has a batch", advice)
    require_count("epochs", epochs)
    require_count("accumulate", accumulate)
    return epochs * math.ceil(batches / accumulate)
