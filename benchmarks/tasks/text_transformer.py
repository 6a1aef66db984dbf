"""A small transformer that continues a text, character by character.

Made data: sentences of a grammar with agreement: the verb's ending follows its subject, quotes and brackets close in
the order in which they were opened, and sums are right. What can be known of the next character has to be learnt.
"""

from __future__ import annotations

import random

import torch
import torch.nn.functional as F
from kept import kept, train_on
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

DATA = "made: sentences of a grammar"
LETTERS = ' abcdefghijklmnopqrstuvwxyz.,()"+=0123456789\n'
LENGTH, WIDTH = 48, 96
NOUNS = ("cat", "engine", "river", "doctor", "window", "garden", "letter", "soldier")
VERBS = ("see", "paint", "follow", "carry", "answer", "open")
ADJECTIVES = ("old", "green", "quiet", "heavy", "small")


def sentence(draw: random.Random) -> str:
    """One sentence, with its full stop."""
    many = draw.random() < 0.5
    subject = " ".join(filter(None, (draw.choice(ADJECTIVES) if draw.random() < 0.5 else "", draw.choice(NOUNS))))
    said = f"the {subject}{'s' if many else ''} {draw.choice(VERBS)}{'' if many else 's'} the {draw.choice(NOUNS)}"
    if draw.random() < 0.3:
        said = f'"{said}"'
    if draw.random() < 0.3:
        first, second = draw.randint(0, 4), draw.randint(0, 5)
        said += f" ({first}+{second}={first + second})"
    return said + ". "


def split(part: int) -> TensorDataset:
    """0: to train on, 1: held out, 2: for the end: pieces of text, and the same a character later."""
    draw = random.Random(part)
    count = 4000 if part == 0 else 600
    text = ""
    while len(text) <= count * LENGTH:
        text += sentence(draw)
    ids = torch.tensor([LETTERS.index(one) for one in text])
    return TensorDataset(ids[: count * LENGTH].view(count, LENGTH), ids[1 : count * LENGTH + 1].view(count, LENGTH))


class Block(nn.Module):
    """Attention to what came before, and two layers: (n, t, c) -> (n, t, c)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.given, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        parts = self.given(self.before(x)).view(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=True)
        x = x + self.mixed(seen.transpose(1, 2).reshape(n, t, c))
        return x + self.narrow(F.gelu(self.wide(self.between(x))))


class Transformer(nn.Module):
    """Ids (n, t) -> logits (n, t, letters), two blocks, 226,000 connections."""

    def __init__(self) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(len(LETTERS), WIDTH), nn.Parameter(0.02 * torch.randn(LENGTH, WIDTH))
        self.blocks = nn.ModuleList(Block(WIDTH, 4) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(LETTERS))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.letters(ids) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def model() -> nn.Module:
    """The network, trained for 12 passes."""
    return kept("text_transformer", Transformer, train)


def train(trained: nn.Module) -> None:
    loader = train_loader()
    optimizer = torch.optim.AdamW(trained.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=12 * len(loader))
    train_on(trained, loader, loss, schedule, 12)


def loss(tried: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return F.cross_entropy(tried(batch[0]).flatten(0, 1), batch[1].flatten())


def metric(tried: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Of each piece of text, the mean logarithm of the probability that its characters were given, in bits."""
    logarithms = F.log_softmax(tried(batch[0]), -1).gather(-1, batch[1][..., None])[..., 0]
    return logarithms.mean(1) / torch.log(torch.tensor(2.0))


def train_loader() -> DataLoader:
    return DataLoader(split(0), batch_size=32, shuffle=True, drop_last=True)


def val_loader() -> DataLoader:
    return DataLoader(split(1), batch_size=200)


def test_loader() -> DataLoader:
    return DataLoader(split(2), batch_size=200)
