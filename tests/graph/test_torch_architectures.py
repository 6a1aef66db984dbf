"""Small versions of well-known networks, as their papers' code is written, over all axes that they leave open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.graph.torch_agreement import agrees, pictures, sentences
from torch import Tensor, nn

WIDTH = 16


def block(ins: int, outs: int, size: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (size // 2)
    conv = nn.Conv2d(ins, outs, size, stride, padding, dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outs), nn.ReLU())


class DeepLab(nn.Module):
    """Dilated branches beside the mean of the picture, resized to the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.project, self.head = block(3, 8, 3, 2), block(32, 8, 1), nn.Conv2d(8, 3, 1)
        self.branches = nn.ModuleList([block(8, 8, 1), block(8, 8, dilation=2), block(8, 8, dilation=4)])
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        mean = F.interpolate(self.pooled(y), size=y.shape[-2:], mode="bilinear", align_corners=False)
        y = self.project(torch.cat([*(branch(y) for branch in self.branches), mean], 1))
        return F.interpolate(self.head(y), size=x.shape[-2:], mode="bilinear", align_corners=False)


class ConvNeXt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.deep = nn.Conv2d(3, WIDTH, 4, 4), nn.Conv2d(WIDTH, WIDTH, 7, padding=3, groups=WIDTH)
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 5)
        self.up, self.down = nn.Linear(WIDTH, 64), nn.Linear(64, WIDTH)
        self.scale = nn.Parameter(torch.full((WIDTH,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.norm(self.deep(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(F.gelu(self.up(y)))
        return self.head((x + y.permute(0, 3, 1, 2)).mean([-2, -1]))


class VisionTransformer(nn.Module):
    """A table of positions for 4 x 4 patches, resized to those that there are."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.first = nn.Conv2d(3, WIDTH, 4, 4), nn.Parameter(torch.randn(1, 1, WIDTH))
        self.positions = nn.Parameter(torch.randn(1, 17, WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 32, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        table = self.positions[:, 1:].reshape(1, 4, 4, WIDTH).permute(0, 3, 1, 2)
        places = F.interpolate(table, size=x.shape[-2:], mode="bicubic", align_corners=False)
        first = self.first.expand(x.shape[0], -1, -1) + self.positions[:, :1]
        patches = (x + places).flatten(2).transpose(1, 2)
        return self.encoder(torch.cat([first, patches], 1))[:, 0]


class Detr(nn.Module):
    """Positions of rows beside those of columns; a transformer from pixels to queries."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(block(3, 8, 3, 2), block(8, WIDTH, 3, 2))
        self.transformer = nn.Transformer(WIDTH, 2, 1, 1, 32, batch_first=True)
        self.queries = nn.Parameter(torch.rand(5, WIDTH))
        self.rows, self.columns = (nn.Parameter(torch.rand(20, WIDTH // 2)) for _ in range(2))
        self.kinds, self.boxes = nn.Linear(WIDTH, 4), nn.Linear(WIDTH, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.stem(x)
        height, width = y.shape[-2:]
        columns = self.columns[:width].unsqueeze(0).repeat(height, 1, 1)
        rows = self.rows[:height].unsqueeze(1).repeat(1, width, 1)
        places = torch.cat([columns, rows], -1).flatten(0, 1)
        queries = self.queries.repeat(x.shape[0], 1, 1)
        found = self.transformer(places + 0.1 * y.flatten(2).transpose(1, 2), queries)
        return self.kinds(found), self.boxes(found).sigmoid()


class Detector(nn.Module):
    """Two scales; boxes as means of distances from the centres of cells, which are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = block(3, 8, 3, 2), block(8, 8, 3, 2)
        self.heads = nn.ModuleList(nn.Conv2d(8, 4 * 4 + 3, 1) for _ in range(2))
        self.register_buffer("distances", torch.arange(4.0))

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        scales, found = ((first, 2), (self.second(first), 4)), []
        for (y, stride), head in zip(scales, self.heads, strict=True):
            batch, _, height, width = y.shape
            across, down = torch.arange(width) + 0.5, torch.arange(height) + 0.5
            centres = torch.stack([across[None].expand(height, width), down[:, None].expand(height, width)], -1)
            boxes, kinds = head(y).flatten(2).transpose(1, 2).split([16, 3], -1)
            sides = boxes.reshape(batch, height * width, 4, 4).softmax(-1) @ self.distances
            before, behind = sides.chunk(2, -1)
            corners = [(centres.view(-1, 2) - before) * stride, (centres.view(-1, 2) + behind) * stride]
            found.append(torch.cat([*corners, kinds.sigmoid()], -1))
        return torch.cat(found, 1)


class Conformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.halves = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 32), nn.SiLU(), nn.Linear(32, WIDTH)) for _ in range(2)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.gate, self.out = nn.Conv1d(WIDTH, 2 * WIDTH, 1), nn.Conv1d(WIDTH, WIDTH, 1)
        self.deep, self.norm = nn.Conv1d(WIDTH, WIDTH, 5, padding=2, groups=WIDTH), nn.BatchNorm1d(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = x + 0.5 * self.halves[0](x)
        y = self.norms[0](x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        y = F.glu(self.gate(self.norms[1](x).transpose(1, 2)), 1)
        x = x + self.out(F.silu(self.norm(self.deep(y)))).transpose(1, 2)
        return self.norms[2](x + 0.5 * self.halves[1](x))


class WaveNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.start, self.head = nn.Conv1d(1, 8, 1), nn.Conv1d(8, 16, 1)
        self.filters, self.gates = (
            nn.ModuleList(nn.Conv1d(8, 8, 2, dilation=2**depth) for depth in range(4)) for _ in range(2)
        )
        self.residuals, self.skips = (nn.ModuleList(nn.Conv1d(8, 8, 1) for _ in range(4)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x, skipped = self.start(x), torch.zeros(())
        for depth in range(4):
            padded = F.pad(x, (2**depth, 0))
            y = torch.tanh(self.filters[depth](padded)) * torch.sigmoid(self.gates[depth](padded))
            x, skipped = x + self.residuals[depth](y), skipped + self.skips[depth](y)
        return self.head(F.relu(skipped))


class Speech(nn.Module):
    """wav2vec 2.0: normalised sound, group norm over time, positions by a convolution with normed weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(1, 8, 10, 5, bias=False), nn.Conv1d(8, 8, 3, 2, bias=False)
        self.groups, self.norm = nn.GroupNorm(8, 8), nn.LayerNorm(8)
        self.places = nn.utils.parametrizations.weight_norm(nn.Conv1d(8, 8, 4, padding=2, groups=2), dim=2)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + 1e-7)
        x = F.gelu(self.second(F.gelu(self.groups(self.first(x.unsqueeze(1))))))
        return self.norm((x + F.gelu(self.places(x)[..., :-1])).transpose(1, 2))


class Tacotron(nn.Module):
    """Attention that knows where it looked before, three steps of it."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.encoder = nn.Embedding(20, WIDTH), nn.LSTM(WIDTH, 8, batch_first=True, bidirectional=True)
        self.query, self.memory = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2))
        self.energy, self.located = nn.Linear(WIDTH, 1, bias=False), nn.Linear(4, WIDTH, bias=False)
        self.location = nn.Conv1d(2, 4, 5, padding=2, bias=False)
        self.cell, self.frame = nn.LSTMCell(WIDTH + 4, WIDTH), nn.Linear(2 * WIDTH, 4)

    def forward(self, ids: Tensor) -> Tensor:
        encoded, _ = self.encoder(self.words(ids))
        batch, time, _ = encoded.shape
        memory, frames = self.memory(encoded), []
        weights, before = encoded.new_zeros(batch, time), encoded.new_zeros(batch, time)
        context, hidden, cell = (encoded.new_zeros(batch, WIDTH) for _ in range(3))
        frame = encoded.new_zeros(batch, 4)
        for _ in range(3):
            hidden, cell = self.cell(torch.cat([context, frame], -1), (hidden, cell))
            located = self.located(self.location(torch.stack([weights, before], 1)).transpose(1, 2))
            energies = self.energy(torch.tanh(self.query(hidden).unsqueeze(1) + memory + located))
            weights = energies.squeeze(-1).softmax(1)
            before = before + weights
            context = torch.bmm(weights.unsqueeze(1), encoded).squeeze(1)
            frame = self.frame(torch.cat([hidden, context], -1))
            frames.append(frame)
        return torch.stack(frames, 1)


class Field(nn.Module):
    """NeRF: sines of places, and colours along a ray, weighed by the light that comes so far."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(39, WIDTH), nn.Linear(WIDTH + 39, WIDTH), nn.Linear(WIDTH, 4)

    def forward(self, x: Tensor) -> Tensor:
        waves = [wave(x * 2.0**power) for power in range(6) for wave in (torch.sin, torch.cos)]
        places = torch.cat([x, *waves], -1)
        y = F.relu(self.second(torch.cat([places, F.relu(self.first(places))], -1)))
        colours, density = self.out(y).split([3, 1], -1)
        stopped = 1 - torch.exp(-F.relu(density.squeeze(-1)) * 0.1)
        passed = torch.cat([torch.ones_like(stopped[:, :1]), 1 - stopped + 1e-10], 1)
        weights = stopped * torch.cumprod(passed, 1)[:, :-1]
        return (weights[..., None] * colours.sigmoid()).sum(1)


class Graph(nn.Module):
    """A graph convolution by a dense matrix of edges, normalised by degrees."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, WIDTH), nn.Linear(WIDTH, 8)

    def forward(self, x: Tensor) -> Tensor:
        edges = (x @ x.transpose(-1, -2) > 0).float() + torch.eye(x.shape[-2])
        degrees = edges.sum(-1).pow(-0.5)
        degrees = torch.where(torch.isinf(degrees), torch.zeros_like(degrees), degrees)
        edges = degrees.unsqueeze(-1) * edges * degrees.unsqueeze(-2)
        return F.log_softmax(edges @ self.second(F.relu(edges @ self.first(x))), -1)


class LinearAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).chunk(3, -1)
        query, key = F.elu(query) + 1, F.elu(key) + 1
        sums = torch.cumsum(torch.einsum("btd,bte->btde", key, value), 1)
        total = torch.einsum("btd,btd->bt", query, key.cumsum(1)) + 1e-6
        return torch.einsum("btd,btde,bt->bte", query, sums, 1 / total)


class Experts(nn.Module):
    """Two of four experts for each entry."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, 4)
        self.experts = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        weights, chosen = self.gate(x).softmax(-1).topk(2, -1)
        weights = weights / weights.sum(-1, keepdim=True)
        gates = torch.zeros_like(self.gate(x)).scatter(-1, chosen, weights)
        return torch.stack([gates[..., n : n + 1] * expert(x) for n, expert in enumerate(self.experts)]).sum(0)


class Tagger(nn.Module):
    """What a BiLSTM-CRF emits, and the logarithm of the sum over all ways through the first six."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(20, 8), nn.Linear(WIDTH, 5)
        self.layer = nn.LSTM(8, 8, bidirectional=True, batch_first=True)
        self.steps = nn.Parameter(torch.randn(5, 5))

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        emitted = self.out(self.layer(self.words(ids))[0])
        ways = emitted[:, 0]
        for place in range(1, 6):
            ways = torch.logsumexp(ways.unsqueeze(2) + self.steps + emitted[:, place].unsqueeze(1), 1)
        return emitted, ways.logsumexp(1)


PICTURE, TIME = {0: "batch", 2: "height", 3: "width"}, {0: "batch", 1: "time"}
PICTURES = pictures((2, 3, 32, 32), (1, 3, 33, 47))
VECTORS, IDS = pictures((2, 7, WIDTH), (1, 12, WIDTH)), sentences((2, 7), (1, 12), words=20)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], dict[int, str], Sequence[Any]]] = {
    "DeepLab": (DeepLab, PICTURE, PICTURES),
    "ConvNeXt": (ConvNeXt, PICTURE, PICTURES),
    "vision transformer": (VisionTransformer, PICTURE, pictures((2, 3, 16, 16), (1, 3, 24, 20))),
    "DETR": (Detr, PICTURE, PICTURES),
    "detector": (Detector, PICTURE, PICTURES),
    "Conformer": (Conformer, TIME, VECTORS),
    "WaveNet": (WaveNet, {0: "batch", 2: "time"}, pictures((2, 1, 20), (1, 1, 33))),
    "speech": (Speech, TIME, pictures((2, 200), (1, 333))),
    "Tacotron": (Tacotron, TIME, IDS),
    "field": (Field, {0: "rays", 1: "places"}, [x / 4 for x in pictures((4, 6, 3), (3, 9, 3))]),
    "graph": (Graph, {0: "batch", 1: "nodes"}, pictures((2, 6, 8), (1, 9, 8))),
    "linear attention": (LinearAttention, TIME, VECTORS),
    "experts": (Experts, TIME, VECTORS),
    "tagger": (Tagger, TIME, IDS),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_runs_at_any_sizes_of_its_open_axes(name: str) -> None:
    torch.manual_seed(0)
    make, axes, given = NETWORKS[name]
    agrees(make(), axes, given)
