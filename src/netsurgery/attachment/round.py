"""A step of an operation over several optimizers: it is taken when each of them has stepped once since the last one.

A method changes its state once a step, from latent weights and gradients of all tensors of its stage. Where several
optimizers move them, those that step first leave theirs here, and the parameters go back to effective weights; the last
one finds all of them, as if one optimizer had moved everything at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from netsurgery.attachment.share import Share
from netsurgery.methods.base import tensors_of
from netsurgery.methods.exchange import remember
from netsurgery.methods.saved_state import check_keys, check_tensor, misfit

_KEYS = {"stepped", "latent", "gradients"}


class Round:
    """Which optimizers have stepped since the last step of the operation, and what they have left.

    shares: of all optimizers that move something of it, disjoint. One that steps again before the others goes on from
    where it was, and counts once.
    """

    def __init__(self, shares: Sequence[Share]) -> None:
        self._shares = shares
        self._steps: dict[int, int] = {}  # index of an optimizer -> its steps in this round
        self._latent: dict[str, Tensor] = {}
        self._gradients: dict[str, Tensor] = {}
        self._seen: set[str] = set()  # names whose gradients were asked for; those that had none are not above

    def add(self, share: Share) -> bool:
        """An optimizer has stepped; True if all have. Then the round is to be ended: `all_revealed`, then `clear`."""
        index = self._shares.index(share)
        self._steps[index] = self._steps.get(index, 0) + 1
        return len(self._steps) == len(self._shares)

    @property
    def waiting(self) -> list[Share]:
        """The optimizers that haven't stepped in this round."""
        return [share for index, share in enumerate(self._shares) if index not in self._steps]

    @property
    def longest(self) -> int:
        """Most steps that one of the optimizers has taken in this round."""
        return max(self._steps.values(), default=0)

    def keep(self, share: Share, step: int) -> None:
        """Take over latent weights, and gradients that methods want to see at `step`; parameters hold latent weights.

        A sketch has a place of its own for all latent weights, and needs none here.
        """
        for running, layers in share.parts:
            if running.is_followed:
                continue
            reads = running.method.reads_gradients(step - running.stage.start)
            for name, tensor in tensors_of(layers):
                if reads:
                    self._seen.add(name)
                    self._gradients.pop(name, None)
                    if tensor.grad is not None:
                        self._gradients[name] = tensor.grad.detach().clone()
                if running.state.own(name) is not None:
                    self._latent[name] = tensor.detach().clone()
                elif running.state.latent:
                    remember(running.state.latent[name], tensor, None)

    def reveal(self, share: Share) -> None:
        """Effective -> latent in one optimizer's tensors, from what it has left if it has stepped already.

        What somebody has written to connections whose home is the parameter stays.
        """
        if not share.tensors.keys() <= self._latent.keys():
            share.reveal()
        for running, layers in share.parts:
            for name, tensor in tensors_of(layers):
                own = running.state.own(name)
                if name in self._latent and own is not None:
                    torch.where(own, tensor, self._latent[name], out=tensor)

    @contextmanager
    def all_revealed(self, last: Share) -> Iterator[None]:
        """Within, all tensors hold latent weights, as those of `last` do, and have the gradients that were kept."""
        tensors = {name: tensor for share in self._shares for name, tensor in share.tensors.items()}
        for share in self._shares:
            if share is not last:
                self.reveal(share)
        kept = self._seen - last.tensors.keys()
        before = {name: tensors[name].grad for name in kept}
        for name in kept:
            tensors[name].grad = self._gradients.get(name)
        try:
            yield
        finally:
            for name, gradient in before.items():
                tensors[name].grad = gradient

    def clear(self) -> None:
        """Begin anew."""
        for kept in (self._steps, self._latent, self._gradients, self._seen):
            kept.clear()

    def save(self) -> dict[str, Any]:
        """What `load` needs: names of the tensors whose optimizers have stepped, and what these have left."""
        return {
            "stepped": [name for index in sorted(self._steps) for name in self._shares[index].tensors],
            "latent": {name: tensor.clone() for name, tensor in self._latent.items()},
            "gradients": {
                name: self._gradients[name].clone() if name in self._gradients else None for name in self._seen
            },
        }

    def check(self, saved: Mapping[str, Any]) -> None:
        """Raise StateError if `saved` is not what `save` gave for these tensors."""
        check_keys(saved, _KEYS, "'round' of the saved state")
        tensors = {name: tensor for share in self._shares for name, tensor in share.tensors.items()}
        stepped = saved["stepped"]
        if not isinstance(stepped, list) or not all(isinstance(name, str) for name in stepped):
            raise misfit(repr(stepped), "stepped", "a list of names of parameters")
        names = {"stepped": dict.fromkeys(stepped), "latent": saved["latent"], "gradients": saved["gradients"]}
        for key, found in names.items():
            own = tensors.keys() & set(found) if isinstance(found, Mapping) else set()
            check_keys(found, own, f"{key!r} of the saved state")
        for key in ("latent", "gradients"):
            for name, tensor in saved[key].items():
                if tensor is not None or key == "latent":
                    check_tensor(tensor, key, name, tensors[name])

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on with what `save` gave, once `check` accepted it. Other optimizers than then begin the round anew."""
        self.clear()
        for index, share in enumerate(self._shares):
            if share.tensors.keys() <= set(saved["stepped"]):
                self._steps[index] = 1
                names = share.tensors.keys()
                own = {n: t for n, t in saved["latent"].items() if n in names}
                self._latent.update({n: torch.empty_like(share.tensors[n]).copy_(t) for n, t in own.items()})
                for name in names & saved["gradients"].keys():
                    self._seen.add(name)
                    if saved["gradients"][name] is not None:
                        self._gradients[name] = torch.empty_like(share.tensors[name]).copy_(saved["gradients"][name])
