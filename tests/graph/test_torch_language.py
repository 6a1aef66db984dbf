"""Language models as they are written in plain torch, over open batch and time."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from tests.graph.torch_agreement import Of, agrees, pictures, sentences
from torch import Tensor, nn

WORDS, WIDTH, HEADS, LONGEST = 50, 32, 4, 64
TIME = {0: "batch", 1: "time"}
SENTENCES = sentences((2, 7), (1, 1), (3, 20), words=WORDS)
VECTORS = pictures((2, 7, WIDTH), (1, 2, WIDTH), (3, 30, WIDTH))


class RootMeanSquare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(WIDTH) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)).type_as(x)


def turned(x: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat([-second, first], -1)


class Llama(nn.Module):
    """Keys and values that queries share; rotary positions by complex numbers, a table, or angles of counted places."""

    def __init__(self, positions: str) -> None:
        super().__init__()
        self.positions, self.shared, self.each = positions, 2, WIDTH // HEADS
        self.words = nn.Embedding(WORDS, WIDTH)
        self.norms = nn.ModuleList(RootMeanSquare() for _ in range(3))
        self.query, self.out = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.key, self.value = (nn.Linear(WIDTH, self.shared * self.each, bias=False) for _ in range(2))
        self.gate, self.up = (nn.Linear(WIDTH, 64, bias=False) for _ in range(2))
        self.down, self.head = nn.Linear(64, WIDTH, bias=False), nn.Linear(WIDTH, WORDS, bias=False)
        frequencies = 1 / 10_000 ** (torch.arange(0, self.each, 2).float() / self.each)
        angles = torch.outer(torch.arange(LONGEST).float(), frequencies)
        self.register_buffer("frequencies", frequencies, persistent=False)
        if positions == "complex":
            self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles), persistent=False)
        self.register_buffer("cosines", torch.cat([angles, angles], -1).cos())
        self.register_buffer("sines", torch.cat([angles, angles], -1).sin())

    def angles(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        batch, time = ids.shape
        if self.positions == "table":
            return self.cosines[:time], self.sines[:time]
        if self.positions == "outer":
            angles = torch.outer(torch.arange(time, dtype=torch.float32), self.frequencies)
        elif self.positions == "einsum":
            angles = torch.einsum("i,j->ij", torch.arange(time).type_as(self.frequencies), self.frequencies)
        else:
            places = torch.arange(time).unsqueeze(0).expand(batch, -1)[:, None, :].float()
            angles = (self.frequencies[None, :, None].expand(batch, -1, 1) @ places).transpose(1, 2).unsqueeze(1)
        both = torch.cat([angles, angles], -1)
        return both.cos(), both.sin()

    def rotated(self, x: Tensor, ids: Tensor) -> Tensor:
        if self.positions == "complex":
            pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
            turns = self.turns[: x.shape[1]].view(1, x.shape[1], 1, -1)
            return torch.view_as_real(pairs * turns).flatten(3).type_as(x).transpose(1, 2)
        cosines, sines = self.angles(ids)
        x = x.transpose(1, 2)
        return x * cosines + turned(x) * sines

    def attended(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if self.positions == "table":
            return F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        batch, _, time, each = key.shape
        times = HEADS // self.shared
        key, value = (
            x[:, :, None].expand(batch, self.shared, times, time, each).reshape(batch, HEADS, time, each)
            for x in (key, value)
        )
        if self.positions == "outer":
            seen = torch.ones(time, time, dtype=torch.bool).tril()
            return F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        hidden = torch.triu(torch.full((time, time), torch.finfo(torch.float32).min), diagonal=1)
        weights = query @ key.transpose(2, 3) / math.sqrt(each) + hidden[None, None]
        return F.softmax(weights, dim=-1, dtype=torch.float32) @ value

    def forward(self, ids: Tensor) -> Tensor:
        batch, time = ids.shape
        x = self.words(ids)
        y = self.norms[0](x)
        query = self.rotated(self.query(y).view(batch, time, HEADS, self.each), ids)
        key = self.rotated(self.key(y).view(batch, time, self.shared, self.each), ids)
        value = self.value(y).view(batch, time, self.shared, self.each).transpose(1, 2)
        y = self.attended(query, key, value).transpose(1, 2).contiguous().view(batch, time, -1)
        x = x + self.out(y)
        y = self.norms[1](x)
        return self.head(self.norms[2](x + self.down(F.silu(self.gate(y)) * self.up(y))))


class GPT2(nn.Module):
    """Two blocks; the mask is a buffer of bools, the last layer the table of words."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(LONGEST, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(5))
        self.qkv = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH) for _ in range(2))
        self.out = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.up = nn.ModuleList(nn.Linear(WIDTH, 4 * WIDTH) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(4 * WIDTH, WIDTH) for _ in range(2))
        seen = torch.tril(torch.ones(LONGEST, LONGEST, dtype=torch.bool))
        self.register_buffer("seen", seen.view(1, 1, LONGEST, LONGEST))

    def forward(self, ids: Tensor) -> Tensor:
        batch, time = ids.shape
        x = self.words(ids) + self.places(torch.arange(0, time, dtype=torch.long).unsqueeze(0))
        for block in range(2):
            parts = self.qkv[block](self.norms[2 * block](x)).split(WIDTH, dim=-1)
            query, key, value = (part.view(*part.shape[:-1], HEADS, -1).permute(0, 2, 1, 3) for part in parts)
            weights = query @ key.transpose(-1, -2) / (value.size(-1) ** 0.5)
            lowest = torch.full([], torch.finfo(weights.dtype).min, dtype=weights.dtype)
            weights = torch.where(self.seen[:, :, :time, :time], weights, lowest)
            y = (F.softmax(weights, -1) @ value).permute(0, 2, 1, 3).contiguous()
            x = x + self.out[block](y.view(batch, time, -1))
            x = x + self.down[block](F.gelu(self.up[block](self.norms[2 * block + 1](x)), approximate="tanh"))
        return F.linear(self.norms[4](x), self.words.weight)


class Biased(nn.Module):
    """Attention with a bias that follows from how far apart two places are: by ALiBi's slopes, or T5's buckets."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.qkv, self.near = kind, nn.Linear(WIDTH, 3 * WIDTH), nn.Embedding(32, HEADS)
        self.register_buffer("slopes", torch.tensor([0.5, 0.25, 0.125, 0.0625]).view(HEADS, 1, 1))

    def bias(self, time: int) -> Tensor:
        places = torch.arange(time)
        apart = places[None, :] - places[:, None]
        if self.kind == "slopes":
            return -apart.abs() * self.slopes
        far = apart.abs()
        wide = 8 + (torch.log(far.float().clamp(min=1) / 8) / math.log(16) * 8).to(torch.long)
        buckets = torch.where(far < 8, far, torch.min(wide, torch.full_like(wide, 15)))
        return self.near((apart > 0).long() * 16 + buckets).permute(2, 0, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, time, _ = x.shape
        query, key, value = self.qkv(x).view(batch, time, 3, HEADS, -1).permute(2, 0, 3, 1, 4).unbind(0)
        mask = self.bias(time).unsqueeze(0).expand(batch, -1, -1, -1)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)


class Waves(nn.Module):
    """Sines and cosines of places, written into every other column of zeros."""

    def forward(self, x: Tensor) -> Tensor:
        time, width = x.shape[1:]
        places = torch.arange(time).unsqueeze(1)
        frequencies = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))
        table = torch.zeros(time, width)
        table[:, 0::2] = torch.sin(places * frequencies)
        table[:, 1::2] = torch.cos(places * frequencies)
        return x + table


class RelativeShift(nn.Module):
    """Transformer-XL's way from distances to places: a column of zeros, another shape, a row less."""

    def forward(self, x: Tensor) -> Tensor:
        batch, time, _ = x.shape
        weights = F.pad(x @ x.transpose(1, 2), (1, 0)).view(batch, time + 1, time)
        return weights[:, 1:].view(batch, time, time)


@pytest.mark.parametrize("positions", ["complex", "table", "outer", "einsum", "product"])
def test_a_llama_runs_at_any_batch_and_time(positions: str) -> None:
    torch.manual_seed(0)
    agrees(Llama(positions), TIME, SENTENCES)


def test_a_gpt_runs_at_any_batch_and_time() -> None:
    torch.manual_seed(0)
    agrees(GPT2(), TIME, SENTENCES)


@pytest.mark.parametrize("kind", ["slopes", "buckets"])
def test_attention_with_a_bias_by_distance_runs_at_any_batch_and_time(kind: str) -> None:
    torch.manual_seed(0)
    agrees(Biased(kind), TIME, VECTORS)


@pytest.mark.parametrize("model", [Waves(), RelativeShift()])
def test_positions_made_of_the_length_run_at_any_batch_and_time(model: nn.Module) -> None:
    agrees(model, TIME, VECTORS)


class Masked(nn.Module):
    """torch's attention with what isn't there hidden, and what comes later."""

    def __init__(self, *, floats: bool, later: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.floats, self.later = floats, later

    def forward(self, x: Tensor) -> Tensor:
        time, absent = x.shape[1], x[..., 0] > 1
        hidden = torch.ones(time, time, dtype=torch.bool).triu(1) if self.later else None
        return self.attention(
            x,
            x,
            x,
            key_padding_mask=torch.where(absent, -math.inf, 0.0) if self.floats else absent,
            attn_mask=torch.full((time, time), -math.inf).triu(1) if self.floats and self.later else hidden,
            need_weights=False,
        )[0]


@pytest.mark.parametrize(("floats", "later"), [(True, True), (True, False), (False, False)])
@pytest.mark.parametrize("axes", [TIME, {0: "batch"}], ids=["time", "batch"])
def test_attention_gives_what_torch_gives_where_masks_hide_everything(
    floats: bool, later: bool, axes: dict[int, str]
) -> None:
    torch.manual_seed(0)
    shapes = [(2, 7, WIDTH), (1, 7, WIDTH), *([(3, 11, WIDTH)] if axes is TIME else [])]
    given = pictures(*shapes)
    for x in given:
        x[0, 0, 0] = 2.0  # the first entry is absent: behind a causal mask it sees nothing
    agrees(Masked(floats=floats, later=later), axes, given)


def test_what_is_no_number_stays_so() -> None:
    def marked(x: Tensor) -> Tensor:
        table = torch.tensor([0.0, math.nan, math.inf, -math.inf]).repeat(WIDTH // 4)
        return torch.where(x > 0, x, torch.tensor(math.nan)) + table

    agrees(Of(marked), TIME, VECTORS)
