"""Batches of pictures, read and prepared by processes of their own, always in the order that was asked for."""

from __future__ import annotations

import math
import os
import signal
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from netsurgery.errors import DataError
from netsurgery.pictures.picture_set import PictureSet
from netsurgery.pictures.preparation import Preparation

_AHEAD = 3  # batches that each process has ready


@dataclass(frozen=True)
class Wanted:
    """A batch. pictures: their places in the set. how: of Preparation. seed: with which each is varied."""

    pictures: Sequence[int]
    how: Literal["varied", "judged", "ten_crops"]
    seed: str = ""


def cores() -> int:
    """Processor cores that this process may use, shared with the others of its machine that torchrun has started."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, available // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


@final
class Loader:
    """Gives one batch of pictures after another; an iterator that closes itself at its end.

    Each is uint8 (b, 3, side, side), channels last in memory; with ten crops (b * 10, 3, side, side).
    wanted: which batches, in this order; it may be endless. processes: that read and prepare, >= 0; 0: this one does.
    `waited_s` says how long `next` has waited in all, without the first batch, which has to be read first anyway.
    Raises DataError where a picture can't be read.
    """

    def __init__(
        self,
        pictures: PictureSet,
        preparation: Preparation,
        wanted: Iterable[Wanted],
        processes: int,
        *,
        pinned: bool = False,
    ) -> None:
        self.waited_s = 0.0
        self._given = 0
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This DataLoader will create")  # more than there are cores, if asked for
            loader = DataLoader(
                _Batches(pictures, preparation),
                batch_size=None,
                sampler=wanted,
                num_workers=processes,
                prefetch_factor=_AHEAD if processes else None,
                worker_init_fn=_begin,
                pin_memory=pinned,
                generator=torch.Generator(),  # it draws a number: not from the one that dropout draws from
            )
            self._batches: Iterator[Tensor | str] | None = iter(loader)

    def __iter__(self) -> Iterator[Tensor]:
        return self

    def __next__(self) -> Tensor:
        if self._batches is None:
            raise StopIteration
        began_s = time.perf_counter()
        try:
            found = next(self._batches)
        except StopIteration:
            self.close()
            raise
        except RuntimeError as error:
            self.close()
            raise DataError(
                f"A process that reads pictures has ended: {error}. Memory may be short, of the machine or shared (a "
                "container's --shm-size); fewer processes (--workers) take less."
            ) from error
        self.waited_s += (time.perf_counter() - began_s) * bool(self._given)
        self._given += 1
        if isinstance(found, str):
            self.close()
            raise DataError(found)
        return found

    def close(self) -> None:
        """End the processes."""
        if self._batches is not None:
            shut_down = getattr(self._batches, "_shutdown_workers", None)
            self._batches = None
            if shut_down is not None:
                shut_down()


class _Batches(Dataset[Tensor]):
    """What the processes do. Wanted -> a batch, or the message of what stands against it."""

    def __init__(self, pictures: PictureSet, preparation: Preparation) -> None:
        self._pictures = pictures
        self._preparation = preparation

    def __getitem__(self, wanted: Wanted) -> Tensor | str:  # type: ignore[override]
        pictures, prepare = self._pictures, getattr(self._preparation, wanted.how)
        whole = torch.empty(0, dtype=torch.uint8)
        for place, index in enumerate(map(int, wanted.pictures)):
            seed = (f"{wanted.seed}-{index}",) if wanted.how == "varied" else ()
            try:
                made = prepare(pictures.read(index), pictures.name(index), *seed)
            except DataError as error:
                return str(error)
            if place == 0:
                whole = _room((len(wanted.pictures), *made.shape))
            whole.numpy()[place] = made
        return whole.flatten(0, -4).permute(0, 3, 1, 2)


def _room(shape: tuple[int, ...]) -> Tensor:
    """Bytes for a batch: in a process that hands it over, in memory that both share, or it would be copied there."""
    shared = getattr(torch.UntypedStorage, "_new_shared", None)  # as torch's own collation of batches does it
    if shared is None or get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    return torch.empty(0, dtype=torch.uint8).set_(shared(math.prod(shape))).view(shape)


def _begin(_: int) -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all; the training says when they end
