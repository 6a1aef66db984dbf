"""What has to hold of the parameters before a method touches them: their weights are finite."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from netsurgery.errors import NonFiniteWeightsError
from netsurgery.methods.base import Layer, tensors_of
from netsurgery.methods.blocks import row_blocks
from netsurgery.methods.readings import numbers
from netsurgery.methods.state import of_all_parts


def check_finite(layers: Sequence[Layer], when: str) -> None:
    """Raise NonFiniteWeightsError if a parameter holds NaN or infinity."""
    tensors = dict(tensors_of(layers))
    # The sum of a tensor with NaN or infinity is never finite, and quicker to have than a look at each element.
    finite = numbers(torch.isfinite(tensor.sum(dtype=torch.float32)) for tensor in tensors.values())
    unsound = {
        name: int(not fine and not all(bool(torch.isfinite(tensor[rows]).all()) for rows in row_blocks(tensor)))
        for (name, tensor), fine in zip(tensors.items(), finite, strict=True)
    }
    for name, parts in of_all_parts(unsound, layers).items():
        if parts:
            raise NonFiniteWeightsError(
                f"{name} holds NaN or infinity {when}, so magnitudes can't be ranked. Start from finite weights; if "
                "training diverged, lower the learning rate or clip gradients, and resume from a good checkpoint. "
                "A layer that is not to be operated on can be left out with Stage(skip=...)."
            )
