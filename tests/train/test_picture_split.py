"""Pictures while a network trains: every one once an epoch, the same ones whoever reads them, from any step on."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.pictures.made import write_folders, write_shards

from netsurgery.errors import DataError, SettingError
from netsurgery.pictures.finding import training_pictures
from netsurgery.pictures.order import Order
from netsurgery.pictures.preparation import modern
from netsurgery.schedules import Constant
from netsurgery.train.picture_split import PictureSplit
from netsurgery.train.processes import Processes
from netsurgery.train.recipe import Recipe
from netsurgery.train.source import in_order

RECIPE = Recipe(steps=8, learning_rate=Constant(0.1), batch_size=12)
ONE = Processes()


@pytest.fixture
def split(tmp_path: Path) -> PictureSplit:
    pictures = training_pictures(write_folders(tmp_path, training=10))
    return PictureSplit(pictures, np.arange(2, 30), modern(side=16, scaled=18), workers=0)


def shown(split: PictureSplit, processes: Processes = ONE, first: int = 0, seed: int = 0) -> list[torch.Tensor]:
    batches = split.batches(RECIPE, seed, processes)
    batches.load_state_dict({"taken": first})
    try:
        found = [batches.next() for _ in range(5 - first)]
        return [images + 100 * labels[:, None, None, None] for images, labels in found]
    finally:
        batches.close()


def same(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


def test_other_processes_read_the_same_batches(split: PictureSplit) -> None:
    alone = shown(split)
    for workers in (1, 3):
        assert same(alone, shown(dataclasses.replace(split, workers=workers)))
    assert not same(alone, shown(split, seed=1))


@pytest.mark.parametrize("first", [1, 2, 4])
def test_batches_go_on_at_any_step(split: PictureSplit, first: int) -> None:
    assert same(shown(split)[first:], shown(split, first=first))


def test_processes_share_each_batch(split: PictureSplit) -> None:
    parts = [shown(split, Processes(rank, 3)) for rank in range(3)]
    assert same(shown(split), [torch.cat(batch) for batch in zip(*parts, strict=True)])
    with pytest.raises(SettingError, match="batch_size=12 is not allowed: batch_size must be a multiple of 5"):
        split.batches(RECIPE, 0, Processes(0, 5))


@pytest.mark.parametrize("kind", ["folders", "shards"])
def test_an_epoch_shows_every_picture_once_in_an_order_of_its_own(kind: str, tmp_path: Path) -> None:
    write = write_folders if kind == "folders" else write_shards
    pictures = training_pictures(write(tmp_path, training=20))
    chosen = np.flatnonzero(np.arange(60) % 5 > 0)
    where = None if pictures.neighbourhoods is None else pictures.neighbourhoods[chosen]
    order = Order(chosen, where, batch_size=16, seed=3)
    epochs = [np.concatenate([order.batch(3 * epoch + place)[1] for place in range(3)]) for epoch in range(4)]
    for epoch in epochs:
        assert sorted(epoch.tolist()) == chosen.tolist()
    for one, next_ in pairwise(epochs):
        assert (one != next_).any()
    again = Order(chosen, where, batch_size=16, seed=3)
    assert again.batch(7)[1].tolist() == epochs[2][16:32].tolist()


def test_pictures_of_a_few_shards_are_mixed_at_a_time() -> None:
    where = np.repeat(np.arange(64), 10)
    shown_in_order = where[Order(np.arange(640), where, batch_size=640, seed=0).batch(0)[1]]
    quarters = [set(part.tolist()) for part in np.split(shown_in_order, 4)]
    assert [len(quarter) for quarter in quarters] == [16] * 4
    assert set.union(*quarters) == set(range(64))
    assert quarters[0] != set(range(16))


def test_all_are_judged_in_order_and_shared_by_the_processes(split: PictureSplit) -> None:
    whole = split.batch(slice(None))
    assert whole.shape == (28, 3, 16, 16)
    for workers in (0, 2):
        parts = list(in_order(dataclasses.replace(split, workers=workers), 5, ONE))
        torch.testing.assert_close(torch.cat([images for images, _ in parts]), whole, rtol=0, atol=0)
        assert torch.equal(torch.cat([labels for _, labels in parts]), split.labels)
    second = torch.cat([images for images, _ in in_order(split, 5, Processes(1, 2))])
    assert torch.equal(second, whole[1::2])
    ten = [(images, labels) for images, labels in in_order(split, 20, ONE, ten_crops=True)]
    assert [(len(images), len(labels)) for images, labels in ten] == [(20, 2)] * 14
    assert torch.equal(ten[0][0][4], whole[0])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_picture_is_told_by_name(split: PictureSplit, workers: int) -> None:
    path = Path(split.pictures.name(7))
    path.write_bytes(path.read_bytes()[:300])
    batches = dataclasses.replace(split, workers=workers).batches(RECIPE, 0, ONE)
    with pytest.raises(DataError, match=f"^{path} is damaged"):
        [batches.next() for _ in range(4)]
    path.unlink()
    with pytest.raises(DataError, match=f"^{path} can't be read: No such file"):
        list(in_order(dataclasses.replace(split, workers=workers), 5, ONE))


def test_reading_draws_nothing_from_torchs_own_source(split: PictureSplit) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    shown(dataclasses.replace(split, workers=1))
    assert torch.equal(torch.rand(3), expected)


def test_fewer_pictures_than_a_batch_make_smaller_batches(split: PictureSplit) -> None:
    few = dataclasses.replace(split, chosen=np.arange(7))
    assert {len(batch) for batch in shown(few)} == {7}
    assert {len(batch) for batch in shown(few, Processes(1, 2))} == {3}
    with pytest.raises(DataError, match="1 training pictures are too few for 2 processes"):
        dataclasses.replace(split, chosen=np.arange(1)).batches(RECIPE, 0, Processes(0, 2))
