"""How much the loss feels each connection: the second moment of its gradient, kept per output and per input only.

Optimal brain damage (LeCun, Denker, Solla, NIPS 1989) ranks a connection by its saliency h w² / 2, with h the curvature
of the loss along it; the mean squared gradient of mini-batches stands in for h (the empirical Fisher information).
A whole second moment would cost as much memory as the weights. It is nearly a product of what a layer's output and
its input contribute, so one number per output and one per input position are enough: the factoring of Adafactor
(Shazeer, Stern 2018, arXiv 1804.04235, section 3).

What is observed is g ‖w‖, the gradient times the norm of the filter it belongs to, which means the same at any scale of
that filter (filters.py). And observations are bounded: one whose sum of squares is BOUND times the mean so far counts
as BOUND times the mean. A batch with a loss a thousand times too large is not remembered for hundreds of steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netsurgery.methods.base import Layer
from netsurgery.methods.blocks import BLOCK, row_blocks
from netsurgery.methods.fields import Home, number, one_tensor, per_some
from netsurgery.methods.shards import Along, Extents, Groups, summed

BOUND = 4.0
_TINY = 1e-30  # keeps 0 / 0 away from tensors without any gradient


def _outputs(home: Home) -> Extents:
    return [Along(home.filter_dim)]


def _inputs(home: Home) -> Extents:
    dims = list(range(home.tensor.dim()))
    dims[0], dims[home.filter_dim] = dims[home.filter_dim], dims[0]
    return [Along(dim) for dim in dims[1:]]


@dataclass
class Sensitivity:
    """Running means of squared relative gradients, over about `window` observations.

    outputs: parameter name -> (n,), mean over everything but the dimension of its filters.
    inputs: parameter name -> mean over the filters, of the shape that is left where theirs is the first dimension (it
        changes places with the first); weights only.
    total: (), the running mean of the sum of squares over all weights, on the device of one; None before any.
    """

    window: int = number()
    outputs: dict[str, Tensor] = per_some(_outputs)
    inputs: dict[str, Tensor] = per_some(_inputs)
    total: Tensor | None = one_tensor()

    def observe(self, layers: Sequence[Layer], scales: Mapping[str, Tensor]) -> None:
        """Take in the gradients that the last step used; parameters without one are passed over.

        scales: name of each weight -> the norms of its filters, as filters.norms gives them.
        """
        outputs: dict[str, Tensor] = {}
        inputs: dict[str, Tensor] = {}
        weights: dict[str, Layer] = {}
        spread: dict[str, Groups] = {}
        for layer in layers:
            for name in layer.tensors:
                given = layer.gradient(name)
                if given is None:
                    continue
                gradient = (given.to_dense() if given.is_sparse else given).to(torch.float32)
                spread[name] = layer.across_filters(name)
                if gradient.dim() == 1:
                    outputs[name] = gradient.square()
                    continue
                weights[name] = layer
                outputs[name], inputs[name] = _sums_of_squares(gradient, scales[name], layer.filter_dim(name))
        sums = summed(
            [*(outputs[name] for name in weights), *inputs.values()],
            [*(layer.within_filters(name) for name, layer in weights.items()), *(spread[name] for name in weights)],
        )
        for place, (name, layer) in enumerate(weights.items()):
            filters = layer.shape(name)[layer.filter_dim(name)]
            outputs[name] = sums[place] * (filters / layer.size(name))
            inputs[name] = sums[len(weights) + place] / filters
        share = self._share(list(outputs.values()), [spread[name] for name in outputs])
        for means, fresh in ((self.outputs, outputs), (self.inputs, inputs)):
            for name, value in fresh.items():
                bounded = value if share is None else value * share.to(value.device)
                if name in means:
                    means[name].lerp_(bounded, 1 / self.window)
                else:
                    means[name] = bounded

    def _share(self, outputs: Sequence[Tensor], spread: Sequence[Groups]) -> Tensor | None:
        """What an observation counts for, in (0, 1], and the running mean of its sum; None: the first one, for all."""
        if not outputs:
            return None
        sums = summed([value.sum() for value in outputs], spread)
        total = torch.stack([value.to(outputs[0].device) for value in sums]).sum()
        if self.total is None:
            self.total = total
            return None
        before = self.total.to(total.device)
        known = before > 0
        share = (BOUND * before / total.clamp(min=_TINY)).clamp(max=1).masked_fill_(~known, 1)
        self.total = torch.where(known, before.lerp(total * share, 1 / self.window), total)
        return share

    def means(self, layers: Sequence[Layer]) -> dict[str, Tensor]:
        """Names of weights whose filters are spread over processes -> the mean of their outputs."""
        spread = {
            name: (layer, groups)
            for layer in layers
            for name in layer.tensors
            if name in self.inputs and (groups := layer.across_filters(name))
        }
        sums = summed([self.outputs[name].sum() for name in spread], [groups for _, groups in spread.values()])
        return {
            name: total / layer.shape(name)[layer.filter_dim(name)]
            for (name, (layer, _)), total in zip(spread.items(), sums, strict=True)
        }

    def factors(
        self, name: str, tensor: Tensor, dim: int = 0, mean: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """(outputs, inputs) whose product estimates the root mean squared gradient of each connection of `tensor`.

        Both broadcast to the tensor, whose filters lie along `dim`; a bias, (n,), has no inputs. Zeros where no
        gradient was ever seen: the loss doesn't feel that parameter. mean: as `means` gives it, of what is spread.
        """
        outputs, inputs = self.outputs.get(name), self.inputs.get(name)
        if outputs is None:
            return tensor.new_zeros([1] * tensor.dim(), dtype=torch.float32), None
        if inputs is None:
            return outputs.sqrt(), None
        share = (outputs / (outputs.mean() if mean is None else mean).clamp(min=_TINY)).sqrt()
        return share.view(-1, *[1] * inputs.dim()).transpose(0, dim), inputs.sqrt()[None].transpose(0, dim)


def _sums_of_squares(gradient: Tensor, scales: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The sums of the squares of gradient * scales, (per filter, per input position); filters lie along `dim`.

    Some filters at a time: a product as large as the weight would be the largest thing that a step holds beside it.
    """
    filters, norms = gradient.transpose(0, dim), scales.transpose(0, dim)
    outputs = gradient.new_empty(len(filters))
    inputs = gradient.new_zeros(filters.shape[1:])
    for rows in row_blocks(filters, BLOCK):
        relative = filters[rows] * norms[rows]
        outputs[rows] = torch.linalg.vector_norm(relative, dim=tuple(range(1, relative.dim()))).square_()
        inputs += torch.linalg.vector_norm(relative, dim=0).square_()
    return outputs, inputs
