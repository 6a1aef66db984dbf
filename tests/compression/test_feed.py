"""The same batches for the same seed, from any step on."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from netsurgery.compression.feed import Feed, on_device, random_state, restore_random_state
from netsurgery.errors import SettingError


class Augmented(Dataset[torch.Tensor]):
    """Examples that are changed by all three sources of random numbers."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, place: int) -> torch.Tensor:
        return torch.tensor([place, torch.rand(()).item(), np.random.rand(), random.random()])  # noqa: S311


LOADERS = {
    "list": lambda: [torch.tensor([place]) for place in range(5)],
    "shuffled": lambda: DataLoader(TensorDataset(torch.arange(11)), batch_size=3, shuffle=True),
    "own generator": lambda: DataLoader(
        TensorDataset(torch.arange(11)), batch_size=3, shuffle=True, generator=torch.Generator().manual_seed(5)
    ),
    "augmented": lambda: DataLoader(Augmented(), batch_size=2, shuffle=True),
}


def taken(feed: Feed, count: int) -> list[list[float]]:
    return [torch.cat([one.flatten() for one in _listed(feed.next())]).tolist() for _ in range(count)]


def _listed(batch: object) -> list[torch.Tensor]:
    return list(batch) if isinstance(batch, list | tuple) else [batch]  # type: ignore[list-item]


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("step", [0, 1, 4, 9])
def test_a_feed_goes_on_as_one_that_was_never_interrupted(kind: str, step: int) -> None:
    straight = Feed(LOADERS[kind](), seed=3)
    taken(straight, step)
    drawn = random_state()
    wanted = taken(straight, 12)
    torch.rand(5), np.random.rand(3), random.random()  # noqa: S311  # whatever happened meanwhile
    again = Feed(LOADERS[kind](), seed=3, taken=step)
    restore_random_state(drawn)
    assert taken(again, 12) == wanted


@pytest.mark.parametrize("kind", ["shuffled", "own generator", "augmented"])
def test_passes_differ_and_so_do_seeds(kind: str) -> None:
    length = len(LOADERS[kind]())
    found = [taken(Feed(LOADERS[kind](), seed), 2 * length) for seed in (0, 1)]
    passes = [batches[:length] for batches in found] + [found[0][length:]]
    assert all(one != other for one, other in itertools.combinations(passes, 2))


def test_a_generator_that_ends_for_good_is_refused() -> None:
    def once() -> Iterator[torch.Tensor]:
        yield torch.zeros(1)

    feed = Feed(once(), seed=0)
    feed.next()
    with pytest.raises(SettingError, match=r"train_loader='generator' is not allowed: .* a generator ends for good"):
        feed.next()


def test_an_empty_loader_is_refused() -> None:
    with pytest.raises(SettingError, match="a loader with at least one batch"):
        Feed([], seed=0).next()


def test_batches_of_any_form_go_to_a_device() -> None:
    class Pair(NamedTuple):
        x: torch.Tensor
        name: str

    batch = {"a": [torch.ones(2), (torch.zeros(1), "text")], "b": Pair(torch.ones(1), "n"), "c": 3}
    moved = on_device(batch, torch.device("meta"))
    assert moved["a"][0].device.type == moved["a"][1][0].device.type == moved["b"].x.device.type == "meta"
    assert (moved["a"][1][1], moved["b"].name, moved["c"]) == ("text", "n", 3)
