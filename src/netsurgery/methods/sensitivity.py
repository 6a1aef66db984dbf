"""How much the loss feels each connection: the second moment of its gradient, kept per output and per input only.

Optimal brain damage (LeCun, Denker, Solla, NIPS 1989) ranks a connection by its saliency h w² / 2, with h the curvature
of the loss along it; the mean squared gradient of mini-batches stands in for h (the empirical Fisher information).
A whole second moment would cost as much memory as the weights. It is nearly a product of what a layer's output and
its input contribute, so one number per output and one per input position are enough: the factoring of Adafactor
(Shazeer, Stern 2018, arXiv 1804.04235, section 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from netsurgery.methods.base import Layer, tensors_of

_DECAY = 0.992  # of the running means, per observation
_TINY = 1e-30  # keeps 0 / 0 away from tensors without any gradient


@dataclass
class Sensitivity:
    """Running means of squared gradients.

    outputs: parameter name -> (n,), mean over everything but the first dimension.
    inputs: parameter name -> the shape without its first dimension, mean over that; weights only.
    """

    outputs: dict[str, Tensor] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)

    def observe(self, layers: Sequence[Layer]) -> None:
        """Take in the gradients that the last step used; parameters without one are passed over."""
        for name, tensor in tensors_of(layers):
            if tensor.grad is None:
                continue
            gradient = (tensor.grad.to_dense() if tensor.grad.is_sparse else tensor.grad).to(torch.float32)
            if gradient.dim() == 1:
                _average(self.outputs, name, gradient.square())
                continue
            norms = torch.linalg.vector_norm(gradient, dim=tuple(range(1, gradient.dim())))
            _average(self.outputs, name, norms.square_() * (len(gradient) / gradient.numel()))
            _average(self.inputs, name, torch.linalg.vector_norm(gradient, dim=0).square_() / len(gradient))

    def factors(self, name: str, tensor: Tensor) -> tuple[Tensor, Tensor | None]:
        """(outputs, inputs) whose product estimates the root mean squared gradient of each connection of `tensor`.

        outputs: (n, 1, ...), or (n,) of a bias, which has no inputs. Zeros where no gradient was ever seen: the loss
        doesn't feel that parameter.
        """
        outputs, inputs = self.outputs.get(name), self.inputs.get(name)
        if outputs is None:
            return tensor.new_zeros([len(tensor)] + [1] * (tensor.dim() - 1), dtype=torch.float32), None
        if inputs is None:
            return outputs.sqrt(), None
        share = (outputs / outputs.mean().clamp(min=_TINY)).sqrt()
        return share.view(-1, *[1] * inputs.dim()), inputs.sqrt()

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Copies of both tables."""
        return {part: {name: t.clone() for name, t in getattr(self, part).items()} for part in ("outputs", "inputs")}

    @classmethod
    def from_state(cls, saved: Mapping[str, Mapping[str, Tensor]], layers: Sequence[Layer]) -> Sensitivity:
        """The inverse of `state_dict`, on the device of each parameter."""
        devices = {name: tensor.device for name, tensor in tensors_of(layers)}
        outputs, inputs = (
            {name: tensor.to(devices[name], copy=True) for name, tensor in saved[part].items()}
            for part in ("outputs", "inputs")
        )
        return cls(outputs, inputs)


def _average(means: dict[str, Tensor], name: str, value: Tensor) -> None:
    if name in means:
        means[name].lerp_(value, 1 - _DECAY)
    else:
        means[name] = value
