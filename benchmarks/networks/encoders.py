"""An encoder as DistilBERT's and a vision transformer as ViT-tiny, with random weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """(n, tokens, width) -> the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        return self.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and two linear layers, normalised before (as vision transformers are) or after (as BERT is)."""

    def __init__(self, width: int, heads: int, inner: int, normalised_before: bool) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.layers = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))
        self.normalised_before = normalised_before

    def forward(self, x: Tensor) -> Tensor:
        if self.normalised_before:
            x = x + self.attention(self.first(x))
            return x + self.layers(self.second(x))
        x = self.first(x + self.attention(x))
        return self.second(x + self.layers(x))


def encoder(layers: int = 6, width: int = 768, heads: int = 12, inner: int = 3072) -> nn.Module:
    """(n, tokens, width) -> the same: what lies between DistilBERT's embedding and its head."""
    torch.manual_seed(0)
    return nn.Sequential(*(Block(width, heads, inner, normalised_before=False) for _ in range(layers)))


class VisionTransformer(nn.Module):
    """(n, 3, 224, 224) -> (n, 1000)."""

    def __init__(self, layers: int, width: int, heads: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 197, width))
        self.blocks = nn.Sequential(*(Block(width, heads, 4 * width, normalised_before=True) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


def vit_tiny() -> nn.Module:
    """5.7 million parameters."""
    torch.manual_seed(0)
    return VisionTransformer(layers=12, width=192, heads=3)


def prune(model: nn.Module, density: float) -> nn.Module:
    """The model with that share of its linear layers' weights, chosen at random."""
    generator = torch.Generator().manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            with torch.no_grad():
                layer.weight *= torch.rand(layer.weight.shape, generator=generator) < density
    return model
