"""Random weights that are spread as those of trained networks are, and which of them a pruning cuts."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from networks.magnitude import cut

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@torch.no_grad()
def trained_like(model: nn.Module, *examples: Tensor, seed: int = 0) -> nn.Module:
    """The model in eval mode, with weights drawn from the seed.

    Weights of trained layers are peaked and have heavy tails: Laplace's distribution, of He's variance in front of an
    activation that cuts half of what it gets, else of Glorot's. Scales of norms lie around 1. Batch norms hold the
    statistics that these weights give on the examples, so that no activation vanishes or explodes.
    """
    torch.manual_seed(seed)
    draw = torch.distributions.Laplace(0.0, 0.5**0.5)  # of variance 1
    for module in model.modules():
        if isinstance(module, _LAYERS) and module.weight.requires_grad:
            fan_in = module.weight[0].numel()
            gain = 2.0 if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) else 1.0
            module.weight.copy_(draw.sample(module.weight.shape) * (gain / fan_in) ** 0.5)
            if module.bias is not None:
                module.bias.normal_(0, 0.05)
        elif isinstance(module, nn.Embedding):
            module.weight.normal_(0, 0.05)
        elif isinstance(module, (*_NORMS, nn.LayerNorm)):
            module.weight.uniform_(0.5, 1.5)
            if module.bias is not None:
                module.bias.normal_(0, 0.1)
        elif isinstance(module, nn.RNNBase):
            for name, parameter in module.named_parameters():
                scale = parameter.shape[-1] ** -0.5 if name.startswith("weight") else 0.05
                parameter.copy_(draw.sample(parameter.shape) * scale)
    norms = [module for module in model.modules() if isinstance(module, _NORMS)]
    if norms:
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0
        model.train()(*examples)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return model.eval()


def weights_that_are_pruned(model: nn.Module) -> Iterator[Tensor]:
    """Weights of convolutions, but for depthwise ones, of linear and of recurrent layers; no tables, no biases."""
    for module in model.modules():
        if isinstance(module, _LAYERS):
            depthwise = getattr(module, "groups", 1) == getattr(module, "in_channels", 0) > 1
            if module.weight.requires_grad and not depthwise:
                yield module.weight
        elif isinstance(module, nn.RNNBase):
            yield from (parameter for name, parameter in module.named_parameters() if name.startswith("weight"))


def keep(model: nn.Module, density: float) -> None:
    """Of each weight that a pruning cuts, the largest entries are kept, so many of all of them."""
    for weight in weights_that_are_pruned(model):
        cut(weight, density)
