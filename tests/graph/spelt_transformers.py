"""Small transformers, written as well-known implementations write them: exporters take that apart in many ways."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, HEADS, LAYERS, TOKENS, VOCABULARY = 32, 4, 2, 12, 50
LOWEST = torch.finfo(torch.float32).min

Gelu = Callable[[Tensor], Tensor]
Attend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
torchs_gelu_by_tanh = partial(F.gelu, approximate="tanh")


def gelu_by_erf(x: Tensor) -> Tensor:
    """As BERT's first implementation has it."""
    return x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


def gelu_of_gpt2(x: Tensor) -> Tensor:
    """By tanh, with a power."""
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


def gelu_in_short(x: Tensor) -> Tensor:
    """By tanh, factored."""
    return 0.5 * x * (1.0 + torch.tanh(x * 0.7978845608 * (1.0 + 0.044715 * x * x)))


class SpeltLayerNorm(nn.Module):
    """Layer normalisation of the last axis, in arithmetic."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.rand(width) + 0.5), nn.Parameter(torch.randn(width) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).pow(2).mean(-1, keepdim=True)
        return self.weight * ((x - mean) / torch.sqrt(variance + 1e-6)) + self.bias


class RmsNorm(nn.Module):
    """Root mean square normalisation of the last axis, in arithmetic."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


def added(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """As BERT masks: the lowest number is added where a token is hidden."""
    hidden = (1.0 - mask[:, None, None, :].to(torch.float32)) * LOWEST
    return (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + hidden).softmax(-1) @ v


def filled(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """As DistilBERT masks: the lowest number stands for scores."""
    scores = q / math.sqrt(q.shape[-1]) @ k.transpose(2, 3)
    hidden = (mask == 0).view(mask.shape[0], 1, 1, mask.shape[1]).expand_as(scores)
    return scores.masked_fill(hidden, LOWEST).softmax(-1) @ v


def causal(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """As GPT-2 masks: by a buffer of bools, of which a corner is cut."""
    seen = torch.ones(64, 64, dtype=torch.bool).tril()[: q.shape[2], : q.shape[2]]
    scores = q @ k.transpose(-1, -2) / torch.full([], q.shape[-1] ** 0.5)
    return torch.where(seen, scores, torch.full([], LOWEST)).softmax(-1) @ v


def fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """torch's own, not masked."""
    return F.scaled_dot_product_attention(q, k, v)


def fused_causal(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """torch's own, causal."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def rotated(x: Tensor) -> Tensor:
    """Heads (n, h, t, d) with rotary embeddings, as LLaMA has them."""
    size = x.shape[-1]
    inverse = 1.0 / 10000 ** (torch.arange(0, size, 2, dtype=torch.float32) / size)
    angles = torch.arange(x.shape[2])[:, None].to(torch.float32) * inverse
    both = torch.cat((angles, angles), -1)
    halves = torch.cat((-x[..., size // 2 :], x[..., : size // 2]), -1)
    return x * both.cos() + halves * both.sin()


class Layer(nn.Module):
    """Attention and two linear layers; norms behind the sums, or in front."""

    def __init__(self, attend: Attend, norm: type[nn.Module], gelu: Gelu, *, first: bool, rotary: bool):
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.gate, self.down = nn.Linear(WIDTH, 64), nn.Linear(WIDTH, 64), nn.Linear(64, WIDTH)
        self.norm1, self.norm2 = norm(WIDTH), norm(WIDTH)
        self.attend, self.gelu, self.first, self.rotary = attend, gelu, first, rotary

    def heads(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], HEADS, WIDTH // HEADS).transpose(1, 2)

    def attention(self, x: Tensor, mask: Tensor) -> Tensor:
        query, key, value = (self.heads(layer(x)) for layer in (self.query, self.key, self.value))
        if self.rotary:
            query, key = rotated(query), rotated(key)
        seen = self.attend(query, key, value, mask).transpose(1, 2).reshape(x.shape[0], x.shape[1], WIDTH)
        return self.output(seen)

    def mlp(self, x: Tensor) -> Tensor:
        grown = self.gelu(self.up(x))
        return self.down(grown * self.gate(x) if self.rotary else grown)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if self.first:
            x = x + self.attention(self.norm1(x), mask)
            return x + self.mlp(self.norm2(x))
        x = self.norm1(x + self.attention(x, mask))
        return self.norm2(x + self.mlp(x))


class Transformer(nn.Module):
    """(n, t) int64, mask (n, t) int64 -> (n, t, width)."""

    def __init__(
        self, attend: Attend, norm: type[nn.Module], gelu: Gelu, first: bool = False, rotary: bool = False
    ) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(64, WIDTH)
        self.layers = nn.ModuleList(Layer(attend, norm, gelu, first=first, rotary=rotary) for _ in range(LAYERS))
        self.norm, self.rotary = norm(WIDTH), rotary

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.words(ids) if self.rotary else self.words(ids) + self.positions.weight[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x) + 0.0 * mask[:, :, None].to(torch.float32)  # so that the mask is an input of all of them


TRANSFORMERS: dict[str, Callable[[], Transformer]] = {
    "BERT": partial(Transformer, added, nn.LayerNorm, F.gelu),
    "BERT, all in arithmetic": partial(Transformer, added, SpeltLayerNorm, gelu_by_erf),
    "DistilBERT": partial(Transformer, filled, nn.LayerNorm, F.gelu),
    "ALBERT": partial(Transformer, added, nn.LayerNorm, gelu_of_gpt2),
    "BERT by torch's attention": partial(Transformer, fused, nn.LayerNorm, gelu_in_short),
    "GPT-2": partial(Transformer, causal, nn.LayerNorm, gelu_of_gpt2, True),
    "GPT-2 by torch's attention": partial(Transformer, fused_causal, nn.LayerNorm, torchs_gelu_by_tanh, True),
    "LLaMA": partial(Transformer, causal, RmsNorm, F.silu, True, True),
    "LLaMA by torch's attention": partial(Transformer, fused_causal, RmsNorm, F.silu, True, True),
}
