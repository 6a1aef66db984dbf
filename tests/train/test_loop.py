"""The training loop: repeatable to the bit, every image once an epoch, and a plan carried out to its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.attachment.operation import Operation
from netsurgery.schedules import Constant, Cosine, InversePower, Switch
from netsurgery.train.loop import error_percent, train
from netsurgery.train.recipe import Recipe
from netsurgery.train.split import Split

CONSTANT = InversePower(0.1, 0.0, 0.0)
RECIPE = Recipe(steps=20, learning_rate=CONSTANT, batch_size=8)


def split_of(count: int) -> Split:
    generator = torch.Generator().manual_seed(3)
    return Split(torch.rand(count, 1, 2, 2, generator=generator), torch.randint(3, (count,), generator=generator))


def new_net() -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def trained(seed: int, recipe: Recipe = RECIPE, plan: ns.Plan | None = None) -> dict[str, Tensor]:
    model = new_net()
    train(model, split_of(50), recipe, seed, plan)
    return model.state_dict()


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


class Watcher(nn.Module):
    """A network that notes which images it is shown; the pixel of image i is i / 1,000."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 2)
        self.batches: list[list[int]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.batches.append((1_000 * images.flatten()).round().int().tolist())
        return self.line(images.flatten(1))


def batches_shown(count: int, batch_size: int, steps: int, seed: int = 0) -> list[list[int]]:
    model = Watcher()
    split = Split(torch.arange(count).div(1_000).reshape(count, 1, 1, 1), torch.arange(count) % 2)
    train(model, split, Recipe(steps=steps, learning_rate=CONSTANT, batch_size=batch_size), seed)
    return model.batches


@pytest.mark.parametrize("plan", [None, ns.Plan.of(ns.Surgery(density=0.3, steps=20, interval=2))])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(plan: ns.Plan | None) -> None:
    first = trained(seed=1, plan=plan)
    torch.rand(7)  # the global generator has no say
    assert same(first, trained(seed=1, plan=plan))


def test_another_seed_gives_other_weights() -> None:
    assert not same(trained(seed=1), trained(seed=2))


def test_every_image_is_shown_once_per_epoch() -> None:
    batches = batches_shown(count=24, batch_size=8, steps=9)
    epochs = [[image for batch in batches[first : first + 3] for image in batch] for first in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(24)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert list(range(24)) not in epochs


def test_an_incomplete_last_batch_is_left_out() -> None:
    batches = batches_shown(count=25, batch_size=8, steps=30)
    assert [len(batch) for batch in batches] == [8] * 30
    for first in range(0, 30, 3):
        shown = Counter(image for batch in batches[first : first + 3] for image in batch)
        assert len(shown) == 24
    assert {image for batch in batches for image in batch} == set(range(25))


def test_a_split_smaller_than_a_batch_is_one_batch() -> None:
    assert [sorted(batch) for batch in batches_shown(count=5, batch_size=8, steps=4)] == [list(range(5))] * 4


def test_another_seed_shows_the_images_in_another_order() -> None:
    assert batches_shown(24, 8, 3, seed=0) == batches_shown(24, 8, 3, seed=0) != batches_shown(24, 8, 3, seed=1)


@pytest.mark.parametrize("bias_factor", [0.0, 1.0, 3.0])
def test_the_bias_factor_scales_the_step_of_biases_and_of_nothing_else(bias_factor: float) -> None:
    recipe = replace(RECIPE, steps=1, weight_decay=Constant(0.0))
    start, plain = new_net().state_dict(), trained(0, recipe)
    factored = trained(0, replace(recipe, bias_factor=bias_factor))
    for name in start:
        if name.endswith("weight"):
            assert torch.equal(factored[name], plain[name])
            assert not torch.equal(plain[name], start[name])
        else:
            torch.testing.assert_close(factored[name] - start[name], bias_factor * (plain[name] - start[name]))
            assert not torch.equal(plain[name], start[name])


def test_one_step_is_stochastic_gradient_descent_by_the_schedule() -> None:
    split, model = split_of(8), new_net()
    recipe = Recipe(
        steps=3, learning_rate=Cosine(0.2, 0.05, 3), batch_size=8, momentum=0.0, weight_decay=Switch(0.01, 0.0, 2)
    )
    expected = new_net()
    for step in range(3):
        expected.zero_grad()
        nn.functional.cross_entropy(expected(split.images), split.labels).backward()
        with torch.no_grad():
            for parameter in expected.parameters():
                parameter -= recipe.learning_rate(step) * (parameter.grad + (0.01 if step < 2 else 0.0) * parameter)
    train(model, split, recipe, seed=0)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [0, 5])
def test_the_watch_is_called_from_0_to_the_last_step(steps: int) -> None:
    calls: list[tuple[int, Operation | None]] = []
    recipe = replace(RECIPE, steps=steps)
    train(new_net(), split_of(20), recipe, seed=0, watch=lambda step, operation: calls.append((step, operation)))
    assert calls == [(step, None) for step in range(steps + 1)]


def test_the_watch_sees_the_weights_after_each_step_and_the_operation() -> None:
    seen: list[tuple[int, int, float]] = []
    model = new_net()

    def watch(step: int, operation: Operation | None) -> None:
        assert operation is not None
        seen.append((step, operation.step, model[1].weight.sum().item()))

    operation = train(model, split_of(20), replace(RECIPE, steps=4), 0, ns.Plan.of(ns.NaiveCut(density=0.5)), watch)
    assert operation is not None
    assert [(step, taken) for step, taken, _ in seen] == [(step, step) for step in range(5)]
    assert len({weight for _, _, weight in seen}) == 5
    assert seen[-1][2] == model[1].weight.sum().item()


def test_a_plan_is_carried_out_finished_and_detached() -> None:
    model = new_net()
    plan = ns.Plan.of(ns.Surgery(density=0.2, steps=20, interval=2))
    operation = train(model, split_of(50), RECIPE, seed=0, plan=plan)
    assert operation is not None
    assert operation.finished
    size = sum(tensor.numel() for tensor in model.parameters())
    assert sum(int(tensor.count_nonzero()) for tensor in model.parameters()) == round(0.2 * size)
    with pytest.raises(ns.errors.AttachmentError):
        operation.finish()
    ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), plan).detach()


def test_without_a_plan_there_is_no_operation() -> None:
    assert train(new_net(), split_of(20), RECIPE, seed=0) is None


class Echo(nn.Module):
    """Answers with the class that stands in the image, in evaluation mode."""

    def forward(self, images: Tensor) -> Tensor:
        answers = images.flatten().long() if not self.training else torch.zeros(len(images), dtype=torch.long)
        return nn.functional.one_hot(answers, 3).float()


def test_the_error_is_the_percentage_of_wrong_answers() -> None:
    answers = torch.tensor([0.0, 1, 2, 2, 1, 0, 0, 2]).reshape(-1, 1, 1, 1)
    labels = torch.tensor([0, 1, 2, 1, 1, 0, 2, 0])
    assert error_percent(Echo(), Split(answers, labels)) == 37.5


def test_the_error_counts_every_image_of_a_large_split_once() -> None:
    answers = torch.ones(1_203, 1, 1, 1)
    labels = torch.ones(1_203, dtype=torch.long)
    labels[[0, 499, 500, 1_202]] = 2
    assert error_percent(Echo(), Split(answers, labels)) == 100 * 4 / 1_203


@pytest.mark.parametrize("mode", [True, False])
def test_measuring_the_error_restores_the_mode(mode: bool) -> None:
    model = new_net().train(mode)
    error_percent(model, split_of(5))
    assert all(module.training is mode for module in model.modules())


def test_measuring_the_error_builds_no_graph() -> None:
    scores: list[Tensor] = []
    model = new_net()
    model.register_forward_hook(lambda _module, _inputs, output: scores.append(output))
    error_percent(model, split_of(5))
    assert [score.requires_grad for score in scores] == [False]


@pytest.mark.parametrize("setting", ["input_dropout", "shifted"])
def test_images_vary_by_the_seed_and_only_while_training(setting: str) -> None:
    recipe = replace(RECIPE, **{setting: 0.5})
    first, again, plain = trained(0, recipe), trained(0, recipe), trained(0, RECIPE)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], plain[name]) for name in first)


def test_a_failing_run_detaches_its_operation() -> None:
    def fail(step: int, operation: Operation | None) -> None:
        if step == 2:
            raise KeyboardInterrupt

    model = new_net()
    for _ in range(2):  # the second time would be refused if the first operation still held the weights
        with pytest.raises(KeyboardInterrupt):
            train(model, split_of(20), RECIPE, seed=0, plan=ns.Plan.of(ns.NaiveCut(density=0.5)), watch=fail)
