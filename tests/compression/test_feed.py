"""The same batches for the same seed, from any step on."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, Sampler, Subset, TensorDataset

from netsurgery.compression.feed import Feed, last_batch, on_device, random_state, require_loader, restore_random_state
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


class Unsized(Sampler[int]):
    """Doesn't say how many it gives."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(4))


class Endless(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return itertools.count()


EXAMPLES = TensorDataset(torch.arange(7))


@pytest.mark.parametrize(
    ("loader", "size"),
    [
        ([torch.zeros(3), torch.zeros(2)], 2),
        (DataLoader(EXAMPLES, batch_size=3), 1),
        (DataLoader(EXAMPLES, batch_size=3, shuffle=True), 1),
        (DataLoader(EXAMPLES, batch_size=1), None),
        (DataLoader(EXAMPLES, batch_size=3, drop_last=True), None),
        (DataLoader(EXAMPLES, batch_size=4), None),
        (DataLoader(EXAMPLES, batch_size=None), None),
        (DataLoader(EXAMPLES, batch_size=3, sampler=Unsized()), None),
        (DataLoader(EXAMPLES, batch_sampler=BatchSampler(range(7), 3, False)), None),
        (DataLoader(Endless(), batch_size=3), None),
        (iter([torch.zeros(3)]), None),
    ],
)
def test_a_last_batch_is_known_where_it_is_at_hand_or_one_example_is_left_over(loader: Any, size: int | None) -> None:
    found = last_batch(loader)
    assert size == (None if found is None else len(_listed(found)[0]))


def test_batches_of_any_form_go_to_a_device() -> None:
    class Pair(NamedTuple):
        x: torch.Tensor
        name: str

    batch = {"a": [torch.ones(2), (torch.zeros(1), "text")], "b": Pair(torch.ones(1), "n"), "c": 3}
    moved = on_device(batch, torch.device("meta"))
    assert moved["a"][0].device.type == moved["a"][1][0].device.type == moved["b"].x.device.type == "meta"
    assert (moved["a"][1][1], moved["b"].name, moved["c"]) == ("text", "n", 3)


@pytest.mark.parametrize("dataset", [TensorDataset(torch.arange(7)), Augmented(), Subset(EXAMPLES, [0, 2])])
def test_a_data_set_is_no_loader_as_it_gives_examples_one_by_one(dataset: Dataset[Any]) -> None:
    with pytest.raises(SettingError, match=r"wrap it, DataLoader\(dataset, batch_size=64"):
        require_loader(dataset)
    for loader in (DataLoader(dataset, batch_size=None), Endless(), [torch.zeros(1)]):
        require_loader(loader)
