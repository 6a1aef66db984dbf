"""What is exchanged where several processes hold parts of a weight; where none does, nothing is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.attachment import spread_worker
from torch import Tensor

from netsurgery.methods import shards
from netsurgery.methods.shards import Along, Group, Shard, before_and_all, part_of, shape_of, summed, totals, whole


@pytest.mark.parametrize("method", spread_worker.METHODS)
def test_one_process_exchanges_nothing(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("one process has called a collective")

    monkeypatch.setattr(shards, "exchange", refuse)
    special = {"warm": "sparse", "keep-zeros": "sparse", spread_worker.OF_CONVOLUTIONS: "convolutions"}
    network = special.get(method, "even")
    assert spread_worker.outcome(lambda model: model, (network, 0, "sgd", method))["decoded"]


def test_what_is_not_spread_is_the_same_object() -> None:
    values = [torch.ones(3), torch.zeros(2)]
    assert all(one is other for one, other in zip(summed(values, [(), ()]), values, strict=True))
    assert totals([0.1, 3], [(), ()]) == [0.1, 3]


class Processes:
    """Stand-ins for other processes: what they add to each exchange with a group of that name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, added: dict[str, Tensor]) -> None:
        self.calls: list[str] = []
        self._added = added
        monkeypatch.setattr(shards, "exchange", self._exchange)

    def _exchange(self, tensor: Tensor, group: Group, largest_of: bool = False) -> None:
        self.calls.append(group.handle)
        tensor.add_(self._added[group.handle].view(tensor.shape).to(tensor.dtype))


def test_values_of_one_group_and_type_are_exchanged_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Group("rows", 2, 0, "cpu")
    processes = Processes(monkeypatch, {"rows": torch.tensor([10.0, 20.0, 30.0])})
    found = summed([torch.tensor([1.0, 2.0]), torch.tensor(5.0), torch.tensor(3.0)], [(rows,), (), (rows,)])
    assert [value.tolist() for value in found] == [[11.0, 22.0], 5.0, 33.0]
    assert processes.calls == ["rows"]


def test_counts_of_those_before_are_told_from_all(monkeypatch: pytest.MonkeyPatch) -> None:
    second = Group("rows", 3, 1, "cpu")
    Processes(monkeypatch, {"rows": torch.tensor([7, 0, 5])})
    assert before_and_all({"a": 4}, {"a": (second,)}) == {"a": (7, 16)}


def test_a_part_is_a_box_of_what_is_held_for_the_whole() -> None:
    shard = Shard((7, 4), (3, 0), ((0, Group("rows", 2, 1, "cpu")),))
    held = torch.arange(28).view(7, 4)
    part = part_of(held, shard, [Along(0), Along(1)], torch.empty(3, 4))
    assert torch.equal(part, held[3:6])
    assert shape_of([Along(0, per=3), 2], (7, 4)) == (3, 2)
    assert torch.equal(part_of(torch.arange(3), shard, [Along(0, per=3)], torch.empty(1)), torch.tensor([1]))


def test_parts_are_put_together_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = Shard((4,), (2,), ((0, Group("rows", 2, 1, "cpu")),))
    theirs = torch.tensor([-0.0, float("nan"), 0.0, 0.0])
    theirs[2:] = 0.0
    Processes(monkeypatch, {"rows": theirs.view(torch.uint8)})
    found = whole(torch.tensor([-0.0, 1e-45]), shard, [Along(0)])
    expected = torch.tensor([-0.0, float("nan"), -0.0, 1e-45])
    assert torch.equal(found.view(torch.int32), expected.view(torch.int32))
