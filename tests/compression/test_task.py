"""Task files: what they may say, and what is said of those that won't do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from netsurgery.compression.task import default_loss, default_metric, read_task
from netsurgery.errors import DataError, SettingError

WHOLE = """
import torch
from torch import nn

def batches(seed, size):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, 6, generator=generator)
    return [(x, (x.sum(1) > 0).long())]

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))

def train_loader():
    return batches(0, 32) * 4

def val_loader():
    return batches(1, 20) + batches(2, 10)
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "task.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_three_functions_are_enough(tmp_path: Path) -> None:
    task = read_task(written(tmp_path, WHOLE))
    scores = task.evaluate(task.model)
    assert scores.shape == (30,)
    assert set(scores.tolist()) <= {0.0, 100.0}
    loss = task.loss(task.model, next(iter(task.train_loader)))
    assert loss.requires_grad
    assert (task.optimizer, task.pack_options, task.baseline) == (None, None, None)


def test_what_a_file_says_itself_counts(tmp_path: Path) -> None:
    more = """
def loss(model, batch):
    return model(batch[0]).square().mean()

def metric(model, batch):
    return -batch[0][:, 0]

def optimizer(parameters):
    return torch.optim.SGD(parameters, lr=0.5)

def pack_options():
    return {"names": True}
"""
    task = read_task(written(tmp_path, WHOLE + more))
    x = torch.cat([batch[0] for batch in _held_out()])
    np.testing.assert_allclose(task.evaluate(task.model).numpy(), -x[:, 0].numpy())
    assert task.optimizer(task.model.parameters()).param_groups[0]["lr"] == 0.5
    assert task.pack_options == {"names": True}


def _held_out() -> list[tuple[torch.Tensor, torch.Tensor]]:
    names: dict[str, object] = {}
    exec(WHOLE, names)  # noqa: S102
    return names["val_loader"]()  # type: ignore[no-any-return, operator]


@pytest.mark.parametrize("shape", [(8,), (8, 1), (8, 3)])
def test_floats_are_values(shape: tuple[int, ...]) -> None:
    model, targets = nn.Linear(5, shape[1] if len(shape) > 1 else 1), torch.randn(shape)
    x = torch.randn(8, 5)
    made = model(x).reshape(shape)
    assert torch.allclose(default_loss(model, (x, targets)), (made - targets).square().mean())
    scores = default_metric(model, (x, targets))
    assert scores.shape == (8,)
    assert torch.allclose(scores, -(made - targets).square().reshape(8, -1).mean(1))


def test_classes_at_every_place_count_by_their_share() -> None:
    outputs = torch.tensor([[[9.0, 0.0], [0.0, 9.0]]]).repeat(2, 1, 1)  # (2, classes, places)
    scores = default_metric(nn.Identity(), (outputs, torch.tensor([[0, 1], [0, 0]])))
    assert scores.tolist() == [100.0, 50.0]


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        (
            None,
            DataError,
            r"there is no such file. Give a Python file with model\(\), train_loader\(\), val_loader\(\)",
        ),
        ("def model(: pass", DataError, "can't be run: "),
        ("import no_such_module_at_all", DataError, "can't be run: No module named 'no_such_module_at_all'"),
        ("def model(): return 3", SettingError, r"lacks train_loader\(\), val_loader\(\)"),
        (WHOLE + "\nloss = 3\n", SettingError, r"\['loss'\] is not allowed"),
        (WHOLE.replace("return nn.Sequential(", "return list("), SettingError, "model.*must be a torch.nn.Module"),
        (
            WHOLE + "\ndef pack_options(): return None\n",
            SettingError,
            r"pack_options\(\)=None is not allowed: .* a dict",
        ),
        (
            WHOLE + "\ndef val_loader(): return None\n",
            SettingError,
            r"val_loader\(\)='NoneType' is not allowed: .* a load",
        ),
        (
            WHOLE + "\ndef val_loader(): yield from batches(1, 9)\n",
            SettingError,
            r"val_loader\(\)='generator' .* again",
        ),
        (
            WHOLE + "\ndef metric(model): return [1.0]\n",
            SettingError,
            r"metric=metric\(model\) can't be called as metric",
        ),
        (
            WHOLE + "\ndef train_loader(size): return []\n",
            SettingError,
            r"train_loader\(size\) can't be called as train",
        ),
        (WHOLE + "\ndef pack_options(): return [1]\n", SettingError, r"pack_options\(\)=\[1\] is not allowed"),
    ],
)
def test_a_file_that_won_t_do_is_refused(
    text: str | None, error: type[Exception], sentence: str, tmp_path: Path
) -> None:
    if text is not None and "list(" in text:
        text = text.replace("nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)", "[]")
    path = written(tmp_path, text) if text is not None else tmp_path / "task.py"
    with pytest.raises(error, match=sentence):
        read_task(path)


@pytest.mark.parametrize(
    ("outputs", "targets", "sentence"),
    [
        (torch.ones(4, 3), torch.zeros(4), r"shape \(4, 3\) and targets of shape \(4,\) and torch.float32 have"),
        (torch.ones(4, 3), torch.zeros(4, 1).long(), r"targets of shape \(4, 1\) and torch.int64"),
        (torch.ones(4, 3), torch.zeros(4, 3).long(), r"targets of shape \(4, 3\)"),
        (torch.ones(4), torch.zeros(4).long(), r"outputs of shape \(4,\)"),
        (torch.ones(4, 2), torch.ones(4, dtype=torch.bool), "torch.bool"),
        ((torch.ones(4, 3),), torch.zeros(4).long(), "outputs that are a tuple"),
    ],
)
def test_targets_that_say_nothing_of_the_outputs_are_refused_and_never_broadcast(
    outputs: object, targets: torch.Tensor, sentence: str
) -> None:
    for name, function in {"loss": default_loss, "metric": default_metric}.items():
        with pytest.raises(SettingError, match=rf"The {name} that .*{sentence}.* Give the task {name}\(model, batch\)"):
            function(lambda _: outputs, (None, targets))  # type: ignore[arg-type]


def test_a_class_that_there_is_no_score_of_is_named_and_int32_will_do() -> None:
    outputs, targets = torch.randn(3, 4), torch.tensor([0, 3, 1])
    narrow = default_loss(nn.Identity(), (outputs, targets.int()))
    assert torch.equal(narrow, default_loss(nn.Identity(), (outputs, targets)))
    with pytest.raises(SettingError, match="from 1 to 4 have"):
        default_loss(nn.Identity(), (outputs, targets + 1))


@pytest.mark.parametrize("value", ["None", "'good'", "{'accuracy': 1}", "1j", "[[1], [2, 3]]"])
def test_a_metric_that_is_no_numbers_is_refused(value: str, tmp_path: Path) -> None:
    task = read_task(written(tmp_path, WHOLE + f"\ndef metric(model, batch): return {value}\n"))
    with pytest.raises(SettingError, match=r"metric returned .* must return one number for each example of the batch"):
        task.evaluate(task.model)


def test_a_metric_may_be_a_list(tmp_path: Path) -> None:
    task = read_task(written(tmp_path, WHOLE + "\ndef metric(model, batch): return [1.0] * len(batch[1])\n"))
    assert task.evaluate(task.model).tolist() == [1.0] * 30


def test_a_metric_of_the_wrong_shape_and_batches_of_another_form_are_refused(tmp_path: Path) -> None:
    task = read_task(written(tmp_path, WHOLE + "\ndef metric(model, batch): return 1.0\n"))
    with pytest.raises(SettingError, match=r"metric returned a tensor of shape \(\)"):
        task.evaluate(task.model)
    with pytest.raises(SettingError, match="A batch is a dict, no pair of inputs and targets"):
        default_loss(nn.Identity(), {"x": 1})
