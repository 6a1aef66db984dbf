"""What one optimizer moves of the stages of a plan: latent weights before its step, effective ones after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from torch import Tensor
from torch.optim import Optimizer

from netsurgery.attachment.running_stages import RunningStage, RunningStages
from netsurgery.layers.parts import Parts
from netsurgery.methods import exchange
from netsurgery.methods.base import Layer, tensors_of


class Share:
    """The tensors of an optimizer, stage by stage; all of them where there is one optimizer.

    optimizer: it is told by its name and its parameters, and isn't kept.
    """

    def __init__(self, stages: RunningStages, optimizer: Optimizer) -> None:
        self.optimizer_name = type(optimizer).__name__
        owned = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        shares = [(running, list(_owned(running.layers, owned))) for running in stages]
        self._parts = [(running, Parts(layers)) for running, layers in shares if layers]
        self.tensors = {name: tensor for _, layers in shares for name, tensor in tensors_of(layers)}
        """Parameter name -> parameter, of what is operated on."""

    @property
    def parts(self) -> list[tuple[RunningStage, list[Layer]]]:
        """The stages that have begun, each with what is here of those of its tensors that the optimizer moves."""
        return [(running, parts.layers()) for running, parts in self._parts if running.state is not None]

    @property
    def is_spread(self) -> bool:
        """True if this process holds parts of some tensors alone."""
        return any(parts.are_spread for _, parts in self._parts)

    def reveal(self) -> None:
        """Effective -> latent, in every stage."""
        for running, layers in self.parts:
            exchange.reveal(running.state, layers)

    def hide(self) -> None:
        """Latent -> effective, in every stage."""
        for running, layers in self.parts:
            exchange.hide(running.method, running.state, layers)

    def clear_gradients(self) -> None:
        """Of connections that can't move: to a line search their gradient is a slope that the loss doesn't have."""
        for running, layers in self.parts:
            for layer in layers:
                for name in layer.tensors:
                    own, gradient = running.state.own(name), layer.gradient(name)
                    if gradient is not None and own is not None:
                        gradient.mul_(own)


def _owned(layers: list[Layer], owned: set[int]) -> Iterator[Layer]:
    for layer in layers:
        tensors: dict[str, Tensor] = {name: tensor for name, tensor in layer.tensors.items() if id(tensor) in owned}
        if len(tensors) == len(layer.tensors):
            yield layer
        elif tensors:
            yield dataclasses.replace(layer, tensors=tensors)
