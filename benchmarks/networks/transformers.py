"""DistilBERT (Sanh et al. 2019) and BERT-tiny (Turc et al. 2019) as encoders, ViT-tiny (Touvron et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

VOCABULARY, POSITIONS = 30522, 512


class Attention(nn.Module):
    """(n, t, width) -> the same: scaled dot products of queries and keys weigh the values."""

    def __init__(self, width: int, heads: int, joined: bool) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        layers = [nn.Linear(width, 3 * width)] if joined else [nn.Linear(width, width) for _ in range(3)]
        self.inputs, self.output = nn.ModuleList(layers), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        joined = torch.cat([layer(x) for layer in self.inputs], 2) if len(self.inputs) > 1 else self.inputs[0](x)
        queries, keys, values = (
            part.view(n, t, self.heads, width // self.heads).transpose(1, 2) for part in joined.chunk(3, 2)
        )
        weights = (queries * self.scale @ keys.transpose(2, 3)).softmax(3)
        return self.output((weights @ values).transpose(1, 2).reshape(n, t, width))


class Layer(nn.Module):
    """Attention, and two linear layers. norm_first: norms before them, else behind the sums."""

    def __init__(self, width: int, heads: int, hidden: int, norm_first: bool) -> None:
        super().__init__()
        epsilon = 1e-6 if norm_first else 1e-12
        self.attention = Attention(width, heads, joined=norm_first)
        self.norm1, self.norm2 = nn.LayerNorm(width, epsilon), nn.LayerNorm(width, epsilon)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.norm_first = norm_first

    def forward(self, x: Tensor) -> Tensor:
        if self.norm_first:
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.mlp(x))


class Encoder(nn.Module):
    """A text encoder: (n, t) int64 -> (n, t, width), and (n, width) of the first token if there is a pooler."""

    def __init__(self, width: int, layers: int, heads: int, token_types: int, pooler: bool) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(VOCABULARY, width), nn.Embedding(POSITIONS, width)
        self.types = nn.Embedding(token_types, width) if token_types else None
        self.norm = nn.LayerNorm(width, 1e-12)
        self.layers = nn.Sequential(*[Layer(width, heads, 4 * width, norm_first=False) for _ in range(layers)])
        self.pooler = nn.Linear(width, width) if pooler else None

    def forward(self, ids: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = self.words(ids) + self.positions.weight[: ids.shape[1]]
        if self.types is not None:
            x = x + self.types.weight[0]
        x = self.layers(self.norm(x))
        return x if self.pooler is None else (x, torch.tanh(self.pooler(x[:, 0])))


def distilbert() -> Encoder:
    """The layers that a task stands on, without its head."""
    return Encoder(768, 6, 12, token_types=0, pooler=False)


def bert_tiny() -> Encoder:
    """Two layers of 128, with the pooler."""
    return Encoder(128, 2, 2, token_types=2, pooler=True)


class ViTTiny(nn.Module):
    """(n, 3, 224, 224) -> (n, 1000): 196 patches of 16 x 16, and the class token."""

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.positions = nn.Parameter(torch.randn(1, 197, width) * 0.02)
        self.layers = nn.Sequential(*[Layer(width, 3, 4 * width, norm_first=True) for _ in range(12)])
        self.norm = nn.LayerNorm(width, 1e-6)
        self.head = nn.Linear(width, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.layers(x))[:, 0])
