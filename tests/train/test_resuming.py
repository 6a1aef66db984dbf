"""A training that goes on from a checkpoint gives the bits of a straight run, and its file is complete or refused."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.errors import DataError, StateError
from netsurgery.records.trace import TraceRecorder
from netsurgery.schedules import Cosine
from netsurgery.train.checkpoint import Checkpoint
from netsurgery.train.loop import train
from netsurgery.train.recipe import Recipe
from netsurgery.train.split import Normalization, Split

STEPS = 24
RECIPE = Recipe(steps=STEPS, learning_rate=Cosine(0.1, 0.0, STEPS), batch_size=8, crop_padding=1, mirrored=True)
PLANS = {
    "dense": None,
    "surgery": ns.Plan.of(ns.Surgery(density=0.3, steps=STEPS, interval=3)),
    "inq": ns.Plan.of(ns.INQ(bits=4, steps=STEPS)),
    "sketching": ns.Plan.of(ns.Sketching(planes=2, steps=STEPS)),
    "surgery, then inq": ns.Plan(
        (
            ns.Stage(method=ns.Surgery(density=0.5, steps=12, interval=3)),
            ns.Stage(method=ns.INQ(bits=4, steps=12), start=12),
        )
    ),
}


def new_net() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 4)
    )


def split_of() -> Split:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (44, 3, 6, 6), generator=generator, dtype=torch.uint8)
    labels = torch.randint(4, (44,), generator=generator)
    return Split(pixels, labels, Normalization.of((0.5, 0.5, 0.5), (0.2, 0.2, 0.2)))


def reread(state: dict[str, Any]) -> dict[str, Any]:
    """As a file gives it back."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)  # type: ignore[no-any-return]


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("stopped_at", [1, 5, 12, 13, 23, STEPS])
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_resumed_training_gives_the_bits_of_a_straight_one(plan: ns.Plan | None, stopped_at: int) -> None:
    straight, split = new_net(), split_of()
    kept: list[dict[str, Any]] = []
    watched = TraceRecorder(straight, split, STEPS)
    traces: list[dict[str, Any]] = []

    def keep(state: Any) -> None:
        if len(kept) < stopped_at:
            kept.append(reread(state()))
            traces.append(watched.state_dict())

    train(straight, split, RECIPE, 0, plan, watch=watched, keep=keep)
    resumed = new_net()
    recorder = TraceRecorder(resumed, split, STEPS)
    recorder.load_state_dict(traces[-1])
    train(resumed, split, RECIPE, 0, plan, watch=recorder, resume=kept[-1])
    assert same(straight.state_dict(), resumed.state_dict())
    assert recorder.trace == watched.trace


def test_keeping_states_changes_nothing() -> None:
    plain, kept = new_net(), new_net()
    train(plain, split_of(), RECIPE, 0, PLANS["surgery"])
    train(kept, split_of(), RECIPE, 0, PLANS["surgery"], keep=lambda state: state() and None)
    assert same(plain.state_dict(), kept.state_dict())


@pytest.mark.parametrize("damage", [{"model": {}}, {"operation": None}, {"batches": {}}, {"optimizer": {}}])
def test_a_state_of_another_training_is_refused(damage: dict[str, Any]) -> None:
    states: list[dict[str, Any]] = []
    train(new_net(), split_of(), RECIPE, 0, PLANS["surgery"], keep=lambda state: states.append(state()))
    for _ in range(2):  # the second time would be refused if the first operation still held the weights
        with pytest.raises(StateError):
            train(new_net(), split_of(), RECIPE, 0, PLANS["surgery"], resume={**states[0], **damage})


def test_bfloat16_is_for_products_only() -> None:
    model = new_net()
    seen: set[torch.dtype] = set()
    model[0].register_forward_hook(lambda _module, _inputs, output: seen.add(output.dtype))
    train(model, split_of(), RECIPE, 0, precision="bfloat16")
    assert seen == {torch.bfloat16}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not same(model.state_dict(), new_net().state_dict())


def test_what_was_written_is_read_by_the_same_work_only(tmp_path: Path) -> None:
    path = tmp_path / "work.checkpoint"
    checkpoint = Checkpoint(path, "mine")
    assert checkpoint.read() == {}
    checkpoint.write({"step": 3, "weights": {"w": torch.arange(4.0)}, "trace": [1.5, 2.0]})
    found = Checkpoint(path, "mine").read()
    assert (found["step"], found["trace"]) == (3, [1.5, 2.0])
    assert torch.equal(found["weights"]["w"], torch.arange(4.0))
    with pytest.raises(DataError, match="of another experiment"):
        Checkpoint(path, "yours").read()
    checkpoint.remove()
    checkpoint.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_written_when_its_interval_has_passed(tmp_path: Path) -> None:
    path = tmp_path / "work.checkpoint"
    rarely = Checkpoint(path, "mine", interval_s=1_000)
    rarely.offer(lambda: pytest.fail("nothing is asked for before it is time"))
    assert not path.exists()
    Checkpoint(path, "mine", interval_s=0).offer(lambda: {"step": 1})
    assert rarely.read() == {"step": 1}


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("stopped_at", [1, 7, STEPS])
def test_ctrl_c_ends_a_training_behind_the_step_with_a_checkpoint(stopped_at: int, tmp_path: Path) -> None:
    """Wherever in a step it is pressed: the state of half a step wouldn't go on to the same bits."""
    straight, interrupted, split, plan = new_net(), new_net(), split_of(), PLANS["surgery"]
    train(straight, split, RECIPE, 0, plan)
    checkpoint, steps = Checkpoint(tmp_path / "work.checkpoint", "mine"), [0]

    def pressing(*_: object) -> None:
        steps[0] += interrupted.training
        if steps[0] == stopped_at:
            press_ctrl_c()

    interrupted[3].register_forward_hook(pressing)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="holds every step so far"), checkpoint.until_interrupted():
        train(interrupted, split, RECIPE, 0, plan, keep=lambda state: checkpoint.offer(state))
    assert signal.getsignal(signal.SIGINT) is before
    found = checkpoint.read()
    assert found["step"] == stopped_at
    resumed = new_net()
    train(resumed, split, RECIPE, 0, plan, resume=found)
    assert same(straight.state_dict(), resumed.state_dict())


def test_ctrl_c_twice_waits_for_nothing_and_once_until_the_end(tmp_path: Path) -> None:
    checkpoint, lines = Checkpoint(tmp_path / "work.checkpoint", "mine"), list[str]()

    def pressed(times: int) -> None:
        with checkpoint.until_interrupted():
            for _ in range(times):
                press_ctrl_c()
            lines.append(f"behind {times}")

    for times in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            pressed(times)
    checkpoint.offer(lambda: pytest.fail("what was pressed before is over"))
    assert lines == ["behind 1"]
    assert not checkpoint.path.exists()


def test_ctrl_c_that_another_hears_is_left_alone(tmp_path: Path) -> None:
    heard = list[int]()
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        with Checkpoint(tmp_path / "work.checkpoint", "mine").until_interrupted():
            press_ctrl_c()
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]


def test_a_checkpoint_of_other_work_is_refused_with_what_differs(tmp_path: Path) -> None:
    mine = {"seed": 0, "data": {"train": 48, "classes": ["ant"] * 50}, "versions": {"torch": "2.1"}, "a": 1, "b": 1}
    yours = {"seed": 0, "data": {"train": 47, "classes": ["bee"] * 50}, "versions": {"torch": "2.1"}, "c": 1}
    Checkpoint(tmp_path / "work.checkpoint", json.dumps(mine)).write({})
    says = ": data.train was 48 and is 47; data.classes is another; c was null and is 1; and 2 more. To go on from it"
    with pytest.raises(DataError, match=re.escape(says)):
        Checkpoint(tmp_path / "work.checkpoint", json.dumps(yours)).read()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04"])
def test_a_damaged_checkpoint_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "work.checkpoint"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"work\.checkpoint can't be read as a checkpoint"):
        Checkpoint(path, "mine").read()


def test_a_checkpoint_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "work.checkpoint"
    Checkpoint(path, "mine").write({"weights": torch.zeros(500)})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="can't be read as a checkpoint"):
        Checkpoint(path, "mine").read()


class _Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("code of a checkpoint was run",))


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    path = tmp_path / "work.checkpoint"
    torch.save({"identity": "mine", "contents": _Harmful()}, path)
    with pytest.raises(DataError, match="can't be read as a checkpoint"):
        Checkpoint(path, "mine").read()
