"""Batches of a user's loader without an end, the same ones for the same seed, from any step on."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sized
from typing import Any, final

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from netsurgery.checks import gives_items, require

_EPOCH_SEEDS = 1_000_003  # so that passes of neighbouring seeds draw differently


@final
class Feed:
    """Pass after pass over a loader.

    loader: anything that can be iterated over again and again; a DataLoader, or a list of batches. Before each pass all
    sources of random numbers are seeded (torch, NumPy, Python, and the loader's own generator), so that shuffling and
    augmentation give the same batches each time the search comes to that pass. steps: batches taken so far.

    Raises SettingError where the loader is empty, or can be iterated over only once.
    """

    def __init__(self, loader: Iterable[Any], seed: int, taken: int = 0) -> None:
        self._loader = loader
        self._seed = seed
        self._pass = 0
        self._batches: Iterator[Any] = iter(())
        self.taken = 0
        self._begin(0)
        while self.taken < taken:  # in front of a loader's own state there is no other way than to draw again
            self.next()

    def next(self) -> Any:
        """The next batch."""
        for _ in range(2):
            for batch in self._batches:
                self.taken += 1
                return batch
            require_batch(self.taken > 0, self._loader)
            self._begin(self._pass + 1)
        _require_again(False, self._loader)
        return None

    def _begin(self, number: int) -> None:
        self._pass = number
        seed_everything(self._seed * _EPOCH_SEEDS + number)
        for generator in generators_of(self._loader):
            generator.manual_seed(self._seed * _EPOCH_SEEDS + number)
        for part in _samplers_of(self._loader):
            set_epoch = getattr(part, "set_epoch", None)
            if set_epoch is not None:
                set_epoch(number)
        self._batches = iter(self._loader)


def require_loader(loader: object, setting: str = "train_loader") -> None:
    """Raise SettingError for what gives no batches, or gives them only once, as far as that shows without asking."""
    allowed = "a loader, or a list of batches as `loss` takes them"
    require(gives_items(loader), setting, type(loader).__name__, allowed)
    examples = isinstance(loader, Dataset) and not isinstance(loader, IterableDataset)
    require(
        not examples,
        setting,
        type(loader).__name__,
        allowed,
        "a Dataset gives examples one by one: wrap it, DataLoader(dataset, batch_size=64, shuffle=True), or with "
        "batch_size=None where its items are batches",
    )
    of_python = type(loader).__module__ in ("builtins", "itertools")  # those of others may begin again
    _require_again(not (of_python and isinstance(loader, Iterator)), loader, setting)


def require_batch(there_is: bool, loader: object) -> None:
    """Raise SettingError for a loader that is empty."""
    require(there_is, "train_loader", type(loader).__name__, "a loader with at least one batch")


def _require_again(can_be: bool, loader: object, setting: str = "train_loader") -> None:
    require(
        can_be,
        setting,
        type(loader).__name__,
        "something that can be iterated over again and again",
        "a generator ends for good: give a DataLoader, or a list",
    )


def last_batch(loader: Iterable[Any]) -> Any:
    """The batch at the end of a pass, where that is known to hold one example or is at hand; else None."""
    if isinstance(loader, list | tuple):
        return loader[-1]
    if not isinstance(loader, DataLoader) or loader.batch_size is None or loader.drop_last:
        return None
    if isinstance(loader.dataset, IterableDataset) or not isinstance(loader.sampler, Sized):
        return None
    if len(loader.sampler) % loader.batch_size != 1:
        return None
    return loader.collate_fn([loader.dataset[next(iter(loader.sampler))]])


def _samplers_of(loader: Any) -> list[Any]:
    return [getattr(loader, name, None) for name in ("sampler", "batch_sampler")]


def generators_of(loader: Any) -> list[torch.Generator]:
    """What a loader and its samplers draw from, where that is their own."""
    every = [getattr(part, "generator", None) for part in (loader, *_samplers_of(loader))]
    return [one for one in every if isinstance(one, torch.Generator)]


def seed_everything(seed: int) -> None:
    """Seed what torch, NumPy and Python draw from when nobody says otherwise."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # what users' augmentation draws from
    random.seed(seed)


def random_state() -> dict[str, Any]:
    """Where those sources are, as torch.save takes it."""
    kind, keys, place, has_gauss, gauss = np.random.get_state()
    version, numbers, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys, np.int64)), int(place), int(has_gauss), float(gauss)],
        "python": [version, list(numbers), gauss_next],
        **({"cuda": torch.cuda.get_rng_state_all()} if torch.cuda.is_available() else {}),
    }


def restore_random_state(saved: dict[str, Any]) -> None:
    """The inverse of `random_state`."""
    torch.set_rng_state(saved["torch"])
    kind, keys, place, has_gauss, gauss = saved["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), place, has_gauss, gauss))
    version, numbers, gauss_next = saved["python"]
    random.setstate((version, tuple(numbers), gauss_next))
    if "cuda" in saved and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(saved["cuda"])


def on_device(batch: Any, device: torch.device) -> Any:
    """The batch with all its tensors on a device: in dicts, lists, tuples and what has a `to`."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {name: on_device(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(on_device(value, device) for value in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(on_device(value, device) for value in batch)
    return batch.to(device) if hasattr(batch, "to") else batch
