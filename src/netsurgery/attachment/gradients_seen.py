"""Which parameters the loss has reached: those that have had a gradient other than 0 after some step."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from netsurgery.layers.parts import gradient_part
from netsurgery.methods.readings import numbers, reads_at_once


class GradientsSeen:
    """Looks at the gradients of parameters until each has been seen once; nothing is left to do after that.

    What is seen on a graphics card stays there, and is read after 1, 2, 4, 8 ... looks: reading waits for it.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._unseen = {id(parameter): parameter for parameter in parameters}
        self._waiting: dict[int, Tensor] = {}
        self._seen: set[int] = set()
        self._looks = 0

    def look(self) -> None:
        """Take in the gradients as they are now."""
        if not self._unseen:
            return
        self._looks += 1
        felt = {key: gradient_part(tensor) for key, tensor in self._unseen.items()}
        found = {key: _values(gradient).any() for key, gradient in felt.items() if gradient is not None}
        read = {key: any_felt for key, any_felt in found.items() if reads_at_once(any_felt)}
        self._take(read)
        for key in found.keys() - read.keys():
            self._waiting[key] = self._waiting[key] | found[key] if key in self._waiting else found[key]
        if self._looks & (self._looks - 1) == 0:
            self._take(self._waiting)
            self._waiting = {}

    def seen(self) -> set[int]:
        """The ids of parameters that have been seen."""
        self._take(self._waiting)
        self._waiting = {}
        return self._seen

    def _take(self, felt: dict[int, Tensor]) -> None:
        for key, is_felt in zip(felt, numbers(felt.values()), strict=True):
            if is_felt:
                self._unseen.pop(key, None)
                self._seen.add(key)


def _values(gradient: Tensor) -> Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient
