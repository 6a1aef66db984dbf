"""What one optimizer moves of the stages of a plan: latent weights before its step, effective ones after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from torch import Tensor
from torch.optim import Optimizer

from netsurgery.attachment.running_stages import RunningStage, RunningStages
from netsurgery.methods import exchange
from netsurgery.methods.base import Layer, tensors_of


class Share:
    """The tensors of an optimizer, stage by stage; all of them where there is one optimizer.

    optimizer: it is told by its name and its parameters, and isn't kept.
    """

    def __init__(self, stages: RunningStages, optimizer: Optimizer) -> None:
        self.optimizer_name = type(optimizer).__name__
        owned = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        self._parts = [(running, list(_owned(running.layers, owned))) for running in stages]
        self.tensors = {
            name: tensor
            for name, tensor in ((n, t) for _, layers in self._parts for n, t in tensors_of(layers))
            if id(tensor) in owned
        }
        """Parameter name -> parameter, of what is operated on."""

    @property
    def parts(self) -> list[tuple[RunningStage, list[Layer]]]:
        """The stages that have begun, each with those of its tensors that the optimizer moves."""
        return [(running, layers) for running, layers in self._parts if running.state is not None and layers]

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
            for name, tensor in tensors_of(layers):
                own = running.state.own(name)
                if tensor.grad is not None and own is not None:
                    tensor.grad.mul_(own)


def _owned(layers: list[Layer], owned: set[int]) -> Iterator[Layer]:
    for layer in layers:
        tensors: dict[str, Tensor] = {name: tensor for name, tensor in layer.tensors.items() if id(tensor) in owned}
        if len(tensors) == len(layer.tensors):
            yield layer
        elif tensors:
            yield dataclasses.replace(layer, tensors=tensors)
