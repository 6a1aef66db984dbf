"""Expansion in place, in C++: all planes of a filter while it is in the cache, many filters at once.

expansion.py says what is computed, and does it for other devices, types and layouts. Both agree but for the rounding of
sums: scales to a few units of float32, planes except where what is left over of a weight lies as close to 0. The sums
of planes that are there already agree to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from netsurgery import _native


class Place(NamedTuple):
    """Where the filters of a layer lie, and where their expansion goes."""

    weight: Tensor
    """(filters, t), becomes the sums of planes."""
    latent: Tensor
    """(filters, t), becomes what the weights were."""
    scales: Tensor
    """(filters, planes), as Expansion has them."""
    codes: Tensor
    """(filters, t), as Expansion has them."""


def fits(*values: Tensor) -> bool:
    """True if these are what a Place may hold, codes aside: plain contiguous float32 tensors that the CPU reads."""
    return all(
        type(value) is Tensor and value.device.type == "cpu" and value.dtype == torch.float32 and value.is_contiguous()
        for value in values
    )


def expand_in_place(places: Iterable[Place], refined: bool) -> None:
    """Filters as sums of planes, on as many threads as torch uses; the result doesn't depend on how many.

    places: of tensors that `fits` accepts, and uint8 codes, contiguous too; no memory is in two of them.
    refined: as for `expand`.
    A filter that isn't finite has a scale that isn't. Torch's counts of changes to the tensors stay as they are.
    """
    _native.expand_in_place(_arrays(places), refined, torch.get_num_threads())


def sum_in_place(places: Iterable[Place]) -> None:
    """Weights become the sums of planes that scales and codes say.

    Places as for `expand_in_place`, but latent weights, which stay, may be the weights themselves.
    """
    _native.sum_in_place(_arrays(places), torch.get_num_threads())


def adopt_in_place(places: Iterable[Place]) -> list[bool]:
    """Weights that aren't the sums of planes that scales and codes say become latent, and stay where they are.

    One bool for each place: True if it had such weights. Places as for `expand_in_place`.
    """
    return _native.adopt_in_place(_arrays(places), torch.get_num_threads())


def _arrays(places: Iterable[Place]) -> list[tuple[Any, Any, Any, Any]]:
    return [(p.weight.numpy(), p.latent.numpy(), p.scales.numpy(), p.codes.numpy()) for p in places]
