"""The loss that a teacher has a say in: what it is made of, and that a training really learns from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from netsurgery.errors import SettingError
from netsurgery.schedules import Constant
from netsurgery.train.distillation import distilled
from netsurgery.train.loop import train
from netsurgery.train.recipe import Recipe
from netsurgery.train.split import Split


def logits(seed: int) -> torch.Tensor:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_loss_is_labels_and_divergence_in_shares(temperature: float) -> None:
    outputs, taught, loss = logits(0), logits(1), torch.tensor(0.7)
    p, q = (F.softmax(values / temperature, dim=1) for values in (taught, outputs))
    divergence = (p * (p / q).log()).sum(dim=1).mean()
    expected = 0.25 * loss + 0.75 * temperature**2 * divergence
    torch.testing.assert_close(distilled(loss, outputs, taught, 0.75, temperature), expected)


def test_who_agrees_with_the_teacher_is_taught_nothing() -> None:
    outputs = logits(2).requires_grad_()
    distilled(torch.tensor(0.0), outputs, outputs.detach() + 3, 0.9, 4.0).backward()  # logits have no zero
    assert outputs.grad is not None
    assert float(outputs.grad.abs().max()) < 1e-6


def test_the_square_of_the_temperature_keeps_gradients_as_large() -> None:
    sizes = []
    for temperature in (4.0, 40.0):
        outputs = logits(0).requires_grad_()
        distilled(torch.tensor(0.0), outputs, logits(1), 1.0, temperature).backward()
        assert outputs.grad is not None
        sizes.append(float(outputs.grad.norm()))
    assert 0.5 < sizes[0] / sizes[1] < 2


def test_a_network_learns_what_only_its_teacher_knows() -> None:
    """Labels are noise; the teacher has a rule. It stays as it was."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(256, 1, 2, 2, generator=generator)
    split = Split(images, torch.randint(2, (256,), generator=generator))
    torch.manual_seed(1)
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.BatchNorm1d(2))
    kept = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    agreement = {}
    for share in (0.0, 0.9):
        torch.manual_seed(2)
        student = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        recipe = Recipe(steps=300, learning_rate=Constant(0.1), batch_size=32, distilled=share)
        train(student, split, recipe, seed=0, teacher=teacher)
        with torch.no_grad():
            agreement[share] = float((student(images).argmax(1) == teacher.eval()(images).argmax(1)).float().mean())
    assert agreement[0.9] > 0.95 > agreement[0.0] + 0.1
    assert all(torch.equal(tensor, kept[name]) for name, tensor in teacher.state_dict().items())


def test_a_recipe_that_wants_a_teacher_is_refused_without_one() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    before = model[1].weight.clone()
    split = Split(torch.randn(8, 1, 2, 2), torch.zeros(8, dtype=torch.int64))
    recipe = replace(Recipe(steps=2, learning_rate=Constant(0.1), batch_size=4), distilled=0.5)
    with pytest.raises(SettingError, match="distilled"):
        train(model, split, recipe, seed=0)
    assert torch.equal(model[1].weight, before)
