"""One operation over several optimizers: what comes of it is what one optimizer for everything would have given."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.attachment.steps import PATIENCE
from netsurgery.errors import OptimizerError, StalledWarning, StateError
from netsurgery.methods import ALL_METHODS
from netsurgery.methods.base import Method

SURGERY = ns.Surgery(density=0.2, steps=20, interval=2)
METHODS: dict[str, Any] = {
    "surgery": SURGERY,
    "threshold-surgery": ns.ThresholdSurgery(c_rate=0.3, gamma=0.2, iter_stop=14),
    "naive-cut": ns.NaiveCut(density=0.2),
    "keep-zeros": ns.KeepZeros(),
    "han-pruning": ns.HanPruning(quality=0.5, rounds=3, round_steps=5),
    "inq": ns.INQ(bits=2, steps=20, portions=(0.5, 0.75, 1), biases=True),
    "sketching": ns.Sketching(planes=2, steps=20),
    "two stages": ns.Plan(
        (
            ns.Stage(method=ns.Surgery(density=0.3, steps=10, interval=1)),
            ns.Stage(method=ns.INQ(bits=3, steps=10, portions=(0.5, 1), biases=True), start=10),
        )
    ),
}
MAKE: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-2),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1, foreach=False),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01),
}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 12), nn.BatchNorm1d(12), nn.ReLU())
        self.head = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def new_net(seed: int = 5) -> Net:
    torch.manual_seed(seed)
    return Net()


def halves(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Matrices, and all else: as Muon and AdamW share a network."""
    return [p for p in model.parameters() if p.dim() > 1], [p for p in model.parameters() if p.dim() < 2]


def backward(model: nn.Module, step: int) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    loss = nn.functional.cross_entropy(model(torch.randn(16, 8, generator=generator)), torch.arange(16) % 4)
    loss.backward()
    return loss


def train(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], steps: int, first: int = 0) -> None:
    """Each optimizer clears its gradients as soon as it has stepped."""
    for step in range(first, first + steps):
        backward(model, step)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def test_every_method_is_tested_here() -> None:
    assert METHODS.keys() == ALL_METHODS.keys() | {"two stages"}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_two_optimizers_in_either_order_give_the_bits_of_one(
    method: Any, make: Callable[[Any], torch.optim.Optimizer], seed: int
) -> None:
    alone = new_net(seed)
    one = make([{"params": part} for part in halves(alone)])
    expected = ns.attach(alone, one, method)
    train(alone, [one], 24)
    for turn in (1, -1):
        model = new_net(seed)
        several = [make(part) for part in halves(model)]
        operation = ns.attach(model, several, method)
        train(model, several[::turn], 24)
        assert operation.step == expected.step == 24
        assert same(operation.masks, expected.masks)
        assert operation.report() == expected.report()
        assert same(model.state_dict(), alone.state_dict())


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_the_model_holds_effective_weights_also_between_two_optimizers(method: Any) -> None:
    model = new_net()
    several = [MAKE["momentum"](part) for part in halves(model)]
    operation = ns.attach(model, several, method)
    for step in range(22):
        backward(model, step)
        for optimizer in several:
            optimizer.step()
            parameters = dict(model.named_parameters())
            for name, mask in operation.masks.items():
                pruned = parameters[name].detach()[~mask]
                assert torch.equal(pruned, torch.zeros_like(pruned))
            if isinstance(method, ns.Sketching):
                forms = operation.encoded()
                assert all(torch.equal(form.decoded(), parameters[name]) for name, form in forms.items() if form)
        for optimizer in several:
            optimizer.zero_grad()


@pytest.mark.parametrize("stop", ["after the first", "after both"])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_resuming_in_the_middle_of_a_step_equals_a_straight_run_bit_for_bit(method: Any, stop: str) -> None:
    def begun(seed: int) -> tuple[Net, list[torch.optim.Optimizer], ns.Operation]:
        model = new_net(seed)
        several = [MAKE["momentum"](part) for part in halves(model)]
        return model, several, ns.attach(model, several, method)

    def rest(model: nn.Module, several: list[torch.optim.Optimizer]) -> None:
        if stop == "after the first":
            backward(model, 99)
            several[1].step()
            several[1].zero_grad()
            several[0].zero_grad()
        train(model, several, 11, first=9)

    model, several, operation = begun(5)
    train(model, several, 9)
    if stop == "after the first":
        backward(model, 98)
        several[0].step()
        model.zero_grad()
    file = io.BytesIO()
    saved = {"model": model.state_dict(), "operation": operation.state_dict()}
    torch.save({**saved, "optimizers": [one.state_dict() for one in several]}, file)
    rest(model, several)

    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    resumed, again, second = begun(99)
    resumed.load_state_dict(loaded["model"])
    for one, state in zip(again, loaded["optimizers"], strict=True):
        one.load_state_dict(state)
    second.load_state_dict(loaded["operation"])
    rest(resumed, again)
    assert second.step == operation.step == 20 + (stop == "after the first")
    assert same(resumed.state_dict(), model.state_dict())
    assert same(second.masks, operation.masks)
    assert second.report() == operation.report()


class TestWhatCounts:
    @staticmethod
    def attached(method: Method[Any] = SURGERY) -> tuple[Net, list[torch.optim.Optimizer], ns.Operation]:
        model = new_net()
        several = [MAKE["momentum"](part) for part in halves(model)]
        return model, several, ns.attach(model, several, method)

    def test_one_that_steps_more_often_counts_once(self) -> None:
        model, (first, second), operation = self.attached()
        for step in range(10):
            for _ in range(3):
                backward(model, step)
                first.step()
                assert operation.step == step
            second.step()
            assert operation.step == step + 1
            model.zero_grad()

    def test_a_step_that_gradscaler_skips_for_one_of_them_is_waited_for(self) -> None:
        model, (first, second), operation = self.attached()
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        for step in range(6):
            scaler.scale(backward(model, step)).detach()
            if step == 3:
                model.head.weight.grad.fill_(torch.inf)  # of the first one
            for optimizer in (first, second):
                scaler.step(optimizer)
            scaler.update()
            model.zero_grad()
        assert operation.step == 5

    def test_one_that_steps_twice_moves_latent_weights_twice(self) -> None:
        model = new_net()
        matrices, rest = halves(model)
        first, second = torch.optim.SGD(matrices, lr=0.5), torch.optim.SGD(rest, lr=0.5)
        operation = ns.attach(model, [first, second], ns.Surgery(density=0.2, steps=30, interval=1))
        train(model, [first, second], 12)
        name, weight = "body.0.weight", model.body[0].weight
        pruned = ~operation.masks[name]
        before = operation._stages[0].state.latent[name][pruned].clone()
        backward(model, 50)
        first.step()
        first.step()
        assert not bool(weight[pruned].any())
        moved = operation._steps.round._latent[name][pruned]
        assert weight.grad is not None
        torch.testing.assert_close(moved, before - 2 * 0.5 * weight.grad[pruned])
        assert bool((moved != before).any())

    def test_one_without_a_weight_of_the_plan_is_not_waited_for(self) -> None:
        model = new_net()
        matrices, rest = halves(model)
        first, second = MAKE["momentum"](matrices), MAKE["adamw"](rest)
        operation = ns.attach(model, [first, second], ns.INQ(bits=3, steps=4, portions=(0.5, 1)))
        train(model, [first], 4)
        assert operation.step == 4
        operation.finish()

    def test_an_optimizer_of_another_network_stays_outside(self) -> None:
        model, (first, second), operation = self.attached()
        critic = nn.Linear(4, 1)
        other = torch.optim.Adam(critic.parameters())
        for step in range(5):
            critic(model(torch.randn(16, 8))).mean().backward()
            other.step()
            backward(model, step)
            first.step()
            second.step()
            model.zero_grad()
        assert operation.step == 5

    def test_one_that_never_steps_is_told_while_training_goes_on_and_refused_at_the_end(self) -> None:
        model, (first, _), operation = self.attached()
        train(model, [first], PATIENCE - 1)
        with pytest.warns(StalledWarning, match=r"SGD of body\.0\.bias, head\.bias"):
            train(model, [first], 1)
        train(model, [first], PATIENCE)  # said once
        assert operation.step == 0
        with pytest.raises(OptimizerError, match="the SGD that is attached never made a step, while SGD did"):
            operation.finish()

    def test_one_that_stops_is_told(self) -> None:
        model, (first, second), operation = self.attached(ns.Surgery(density=0.2, steps=500))
        train(model, [first, second], 5)
        with pytest.warns(StalledWarning):
            train(model, [second], PATIENCE)
        assert operation.step == 5

    def test_after_finish_none_of_them_brings_anything_back(self) -> None:
        model, several, operation = self.attached()
        train(model, several, 20)
        backward(model, 1)
        several[0].step()  # in the middle of a step
        operation.finish()
        before = operation.masks
        train(model, several, 5)
        zeros = {name: p.detach() != 0 for name, p in model.named_parameters() if name in before}
        assert all(bool((zeros[name] <= before[name]).all()) for name in before)


def test_a_user_that_writes_to_kept_weights_between_two_optimizers_is_heeded() -> None:
    model = new_net()
    first, second = (torch.optim.SGD(part, lr=0.0) for part in halves(model))
    operation = ns.attach(model, [first, second], ns.Surgery(density=0.5, steps=20, interval=1))
    train(model, [first, second], 12)
    backward(model, 1)
    first.step()
    with torch.no_grad():
        model.head.weight.fill_(0.25)
    kept = operation.masks["head.weight"]
    second.step()
    assert bool((model.head.weight[kept & operation.masks["head.weight"]] == 0.25).all())


def test_muon_and_adamw_reach_one_density_that_is_ranked_over_both() -> None:
    muon = getattr(torch.optim, "Muon", None)
    if muon is None:
        pytest.skip("this torch has no Muon")
    model = new_net()
    matrices, rest = halves(model)
    several = [muon(matrices, lr=0.02), torch.optim.AdamW(rest, lr=0.01)]
    operation = ns.attach(model, several, ns.Surgery(density=0.2, steps=60))
    train(model, several, 60)
    operation.finish()
    kept = {row.name: row.kept for row in operation.report()}
    assert sum(kept.values()) == round(0.2 * sum(p.numel() for n, p in model.named_parameters() if n in kept))
    assert len({row.density for row in operation.report()}) > 1


class TestRefusals:
    @staticmethod
    def refused(make: Callable[[Net], Any], match: str) -> None:
        model = new_net()
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(OptimizerError, match=match):
            ns.attach(model, make(model), ns.NaiveCut(density=0.2))
        assert same(model.state_dict(), before)

    def test_two_that_own_the_same_weight(self) -> None:
        def twice(model: Net) -> Any:
            return [MAKE["momentum"](model.parameters()), MAKE["adamw"](model.head.parameters())]

        self.refused(twice, r"head\.weight belongs to two of the optimizers, SGD and AdamW")

    def test_weights_that_none_of_them_owns(self) -> None:
        def lacking(model: Net) -> Any:
            return [MAKE["momentum"](model.body.parameters()), MAKE["adamw"]([model.head.bias])]

        self.refused(lacking, r"None of the 2 optimizers owns head\.weight\. Give one of them")

    def test_one_alone_where_another_trains_the_rest(self) -> None:
        self.refused(lambda model: MAKE["momentum"](halves(model)[0]), r"give all of them: \[first, second\]")

    def test_no_optimizer_and_something_else_in_the_list(self) -> None:
        self.refused(lambda _: [], "list of optimizers is empty")
        self.refused(lambda model: [MAKE["momentum"](model.parameters()), 3], "int is not a torch")

    def test_line_searches_with_latent_weights(self) -> None:
        model = new_net()
        matrices, rest = halves(model)
        with pytest.raises(OptimizerError, match="LBFGS compares gradients"):
            ns.attach(model, [torch.optim.LBFGS(matrices), MAKE["adamw"](rest)], SURGERY)


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state["round"].pop("latent"),
        lambda state: state["round"]["latent"].update({"head.weight": torch.zeros(2)}),
        lambda state: state["round"]["latent"].update({"body.0.weight": torch.full((12, 8), torch.nan)}),
        lambda state: state["round"]["stepped"].append("nobody"),
        lambda state: state["round"].update(stepped=3),
        lambda state: state["round"].update(stepped=[["body.0.weight"]]),
        lambda state: state["round"].update(latent=3),
        lambda state: state["round"].update(gradients=["head.weight"]),
        lambda state: state.pop("round"),
    ],
)
def test_a_damaged_round_is_refused_and_nothing_is_changed(damage: Callable[[dict[str, Any]], Any]) -> None:
    model = new_net()
    several = [MAKE["momentum"](part) for part in halves(model)]
    operation = ns.attach(model, several, SURGERY)
    train(model, several, 4)
    backward(model, 0)
    several[0].step()
    state = operation.state_dict()
    damage(state)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(StateError):
        operation.load_state_dict(state)
    assert same(model.state_dict(), before)
    assert operation.step == 4


def test_a_state_of_before_there_were_rounds_is_read() -> None:
    model = new_net()
    optimizer = MAKE["momentum"](model.parameters())
    operation = ns.attach(model, optimizer, SURGERY)
    train(model, [optimizer], 4)
    state = operation.state_dict()
    del state["round"]
    operation.load_state_dict({**state, "version": 1})
    assert operation.step == 4


def test_several_optimizers_without_an_operation_after_detach() -> None:
    model = new_net()
    several = [MAKE["momentum"](part) for part in halves(model)]
    ns.attach(model, several, SURGERY).detach()
    for optimizer in several:
        assert not optimizer._optimizer_step_pre_hooks
        assert not optimizer._optimizer_step_post_hooks
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(model, several[:1], PATIENCE + 1)
