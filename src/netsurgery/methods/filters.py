"""A filter is what makes one output: a row of a weight, flattened. Its norm, and what it feels once it is dead.

Filters lie along dimension `dim` of their weight: the first one but for transposed convolutions and their like.

A filter in front of a normalisation may be rescaled freely: f(c w) = f(w), so its gradient shrinks as its weights grow,
g(c w) = g(w) / c. Neither |w| nor the gradient means anything alone there. What means something is a weight's share of
its filter, |w| / ‖w‖, and the gradient times the filter's norm, g ‖w‖: both stay the same whatever c is. Behind no
normalisation they mean as much, as their product is |w| |g| everywhere.

A dead filter, whose connections are all pruned, has no norm. Batch norm divides its constant output by sqrt(0 + eps):
the gradient at its pruned connections is hundreds of times that of live ones, and holds only up to weights of about
sqrt(eps). Taken at its word it would throw the latent weights far, and whoever clips gradients by their norm would clip
all others because of it. So a dead filter may feel, relative to the norm that it had when it died, as much as the live
filters of its layer do in the mean, and no more (`DeadFilters.bounded`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from netsurgery.methods.blocks import as_number, row_blocks
from netsurgery.methods.fields import per_filter
from netsurgery.methods.readings import reads_at_once
from netsurgery.methods.shards import Groups, norm, summed

_TINY = 1e-30  # keeps 0 / 0 away


def norms(weight: Tensor, dim: int = 0, groups: Groups = ()) -> Tensor:
    """float32 with n in dimension `dim` and 1 in all others: the norm of each filter of `weight`.

    groups: over which the entries of each filter are spread.
    """
    return norm(length(weight, tuple(other for other in range(weight.dim()) if other != dim)), groups)


def length(values: Tensor, dim: tuple[int, ...] | None = None) -> Tensor:
    """The Euclidean norm over some dimensions, which stay with extent 1; () over all. float32, summed in no less."""
    wide = torch.float64 if values.dtype == torch.float64 else torch.float32
    norm: Tensor = torch.linalg.vector_norm(values, dim=dim, keepdim=dim is not None, dtype=wide)
    return norm.to(torch.float32)


def dead(mask: Tensor, dim: int = 0, groups: Groups = ()) -> Tensor:
    """(n,) bool: True for the filters of `mask` of which nothing is kept. groups: as for `norms`."""
    others = tuple(other for other in range(mask.dim()) if other != dim)
    if mask.numel() and others:
        # The largest of bytes is found a hundred times faster than whether any bool is True.
        lives = mask.view(torch.uint8).amax(dim=others) != 0
    else:
        lives = mask.transpose(0, dim).flatten(1).any(dim=1)
    return ~lives if not groups else summed([lives.to(torch.int32)], [groups])[0] == 0


def scales(weight: Tensor, mask: Tensor, before: Tensor, dim: int = 0, groups: Groups = ()) -> Tensor:
    """As `norms`: the norm of what is kept of each filter; of a dead one, what it was when it died.

    weight: latent weights. mask: bool of its shape, True = kept. before: the scales so far.
    """
    if dim or groups or not len(weight):
        kept = norms(weight * as_number(mask), dim, groups)
        return torch.where(dead(mask, dim, groups).view(kept.shape), before, kept)
    parts = []
    for rows in row_blocks(weight):
        kept = norms(weight[rows] * as_number(mask[rows]))
        parts.append(torch.where(dead(mask[rows]).view(kept.shape), before[rows], kept))
    return torch.cat(parts)


@dataclass
class DeadFilters:
    """Which filters are dead, and what bounds their gradient, of those weights that have some."""

    flags: dict[str, Tensor] = per_filter(torch.bool)
    """True = dead."""
    scales: dict[str, Tensor] = per_filter()
    """The norm of each filter (`scales`) when the mask was last refreshed."""

    def note(self, name: str, flags: Tensor, scales: Tensor) -> None:
        """Some filters of a weight are dead. flags: (n,) bool, as `dead` gives them. scales: as `scales` gives them."""
        self.flags[name], self.scales[name] = flags.view(scales.shape), scales

    def forget(self, name: str) -> None:
        """No filter of a weight is dead."""
        self.flags.pop(name, None)
        self.scales.pop(name, None)

    def without(self, name: str, gradient: Tensor) -> Tensor:
        """The gradient, and 0 for dead filters."""
        flags = self.flags.get(name)
        if flags is None:
            return gradient
        if reads_at_once(gradient) and flags.numel() > 1:  # quicker there; elsewhere the device would be waited for
            dim = next(dim for dim, extent in enumerate(flags.shape) if extent > 1)
            return gradient.index_fill(dim, flags.flatten().nonzero().flatten(), 0)
        return gradient.masked_fill(flags, 0)

    def bounded(self, name: str, gradient: Tensor, across: Groups = (), within: Groups = ()) -> Tensor:
        """The gradient, where no dead filter feels more, relatively, than live filters do in the mean.

        Where no filter lives, none has a gradient. The share counts as a number for whoever differentiates again.
        across, within: over which the filters, and the entries of each, are spread.
        """
        flags = self.flags.get(name)
        if flags is None:
            return gradient
        with torch.no_grad():
            live = (~flags).to(torch.float32)
            others = tuple(dim for dim, extent in enumerate(flags.shape) if extent == 1)
            relative = norm(length(gradient, others), within) * self.scales[name]
            (count,) = summed([live.sum()], [across])
            (mean,) = summed([(relative * (live / count.clamp(min=1))).sum()], [across])
            share = (mean / relative.clamp_(min=_TINY)).clamp_(max=1).masked_fill_(~flags, 1)
        return gradient * share.to(gradient.dtype)
