"""Methods that somebody is told after stay what they were to everybody else."""

from __future__ import annotations

import copy
import warnings

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from netsurgery.attachment.tell_after import TellAfter


def optimizer() -> torch.optim.SGD:
    return torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)


def stepped(made: torch.optim.SGD, scheduler: LambdaLR) -> None:
    """As a training does; what torch has to say about the order is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.step()
        scheduler.step()


def test_a_scheduler_that_was_there_before_sees_its_own_mark() -> None:
    made, told = optimizer(), list[str]()
    scheduler = LambdaLR(made, lambda _: 1.0)
    before = made.step
    telling = TellAfter(made, ("step",), lambda: told.append("one"))
    stepped(made, scheduler)
    assert told == ["one"]
    telling.remove()
    assert made.step is before
    stepped(made, scheduler)
    assert told == ["one"]


def test_a_scheduler_that_comes_later_goes_around_and_everybody_is_told() -> None:
    made, told = optimizer(), list[str]()
    telling = TellAfter(made, ("step",), lambda: told.append("one"))
    scheduler = LambdaLR(made, lambda _: 1.0)
    stepped(made, scheduler)
    assert told == ["one"]
    telling.remove()
    stepped(made, scheduler)
    assert told == ["one"]


def test_the_class_is_in_charge_again_once_nobody_is_told() -> None:
    made = optimizer()
    first, second = (TellAfter(made, ("step",), lambda: None) for _ in range(2))
    first.remove()
    assert "step" in vars(made)
    second.remove()
    assert "step" not in vars(made)


def test_an_object_with_told_methods_can_be_copied() -> None:
    made = optimizer()
    TellAfter(made, ("step",), lambda: None)
    assert copy.deepcopy(made).param_groups[0]["lr"] == 0.1
