"""Which parameters the loss has reached: those that have had a gradient other than 0 after some step."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from netsurgery.methods.readings import numbers


class GradientsSeen:
    """Looks at the gradients of parameters until each has been seen once; nothing is left to do after that."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._unseen = {id(parameter): parameter for parameter in parameters}
        self._any = False

    def look(self) -> None:
        """Take in the gradients as they are now."""
        gradients = {key: tensor.grad for key, tensor in self._unseen.items() if tensor.grad is not None}
        felt = numbers(_values(gradient).any() for gradient in gradients.values())
        for key, is_felt in zip(gradients, felt, strict=True):
            if is_felt:
                del self._unseen[key]
                self._any = True

    def unreached(self, parameter: Tensor) -> bool:
        """True if others have been seen, and this one hasn't."""
        return self._any and id(parameter) in self._unseen


def _values(gradient: Tensor) -> Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient
