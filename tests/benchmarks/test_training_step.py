"""What is said of a training step is what was measured."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import training_step
from training_step import BASE, OPERATORS, PARTS, THE_REST, Step, measure, random_split


@pytest.fixture(autouse=True)
def _few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_step, "IMAGES", 16)


def step_of(**changes: object) -> Step:
    device = torch.device("cpu")
    return Step(dataclasses.replace(BASE, **{"batch_size": 4, **changes}), random_split(device), device)


def test_parts_and_operators_of_a_step_are_all_timed() -> None:
    plain, operated = step_of(), step_of(surgery=True)
    assert tuple(plain.parts(2)) == PARTS[:-1]
    assert tuple(operated.parts(2)) == PARTS
    assert all(time_s > 0 for time_s in operated.parts(2).values())
    times_s = plain.operators(2)
    assert list(times_s) == [*OPERATORS, THE_REST]
    assert all(time_s > 0 for time_s in times_s.values())


def test_images_a_second_are_compared_whatever_the_batch() -> None:
    half = step_of(name="half", batch_size=64)
    base = step_of(batch_size=128)
    base.turn = lambda _: [1e6]  # type: ignore[method-assign]
    half.turn = lambda _: [0.25e6]  # type: ignore[method-assign]
    rows = measure({BASE.name: base, "half": half}, rounds=3, steps_per_turn=1)
    assert [row["times_faster"]["median"] for row in rows] == [1.0, 2.0]
    assert [row["images_per_s"] for row in rows] == [128.0, 256.0]


def test_turns_leave_threads_and_onednn_as_they_were() -> None:
    before = torch.get_num_threads(), torch.backends.mkldnn.enabled
    step_of(threads=2).turn(1)
    assert (torch.get_num_threads(), torch.backends.mkldnn.enabled) == before
