"""What has to hold of the parameters before a method touches them: their weights are finite."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from netsurgery.errors import NonFiniteWeightsError
from netsurgery.methods.base import Layer, tensors_of
from netsurgery.methods.blocks import row_blocks
from netsurgery.methods.readings import numbers


def check_finite(layers: Sequence[Layer], when: str) -> None:
    """Raise NonFiniteWeightsError if a parameter holds NaN or infinity."""
    tensors = dict(tensors_of(layers))
    # The sum of a tensor with NaN or infinity is never finite, and quicker to have than a look at each element.
    finite = numbers(torch.isfinite(tensor.sum(dtype=torch.float32)) for tensor in tensors.values())
    for (name, tensor), sum_is_finite in zip(tensors.items(), finite, strict=True):
        if not sum_is_finite and not all(bool(torch.isfinite(tensor[rows]).all()) for rows in row_blocks(tensor)):
            raise NonFiniteWeightsError(
                f"{name} holds NaN or infinity {when}, so magnitudes can't be ranked. Start from finite weights; if "
                "training diverged, lower the learning rate or clip gradients, and resume from a good checkpoint. "
                "A layer that is not to be operated on can be left out with Stage(skip=...)."
            )
