"""What happens inside and around optimizer.step(): closures, interruptions, the compiler, gradients of before."""

from __future__ import annotations

import copy
import io
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import netsurgery as ns
from netsurgery.attachment.stale_gradients import StaleGradients
from netsurgery.errors import NonFiniteWeightsError, OptimizerError
from netsurgery.methods.base import Method

SURGERY = ns.Surgery(density=0.2, steps=20, interval=2)
LATENT: dict[str, Method[Any]] = {
    "surgery": SURGERY,
    "threshold-surgery": ns.ThresholdSurgery(c_rate=0.3, gamma=0.2, iter_stop=14),
    "sketching": ns.Sketching(planes=2, steps=20),
}
WITHOUT_LATENT: dict[str, Method[Any]] = {
    "naive-cut": ns.NaiveCut(density=0.3),
    "han-pruning": ns.HanPruning(quality=0.5, rounds=3, round_steps=3),
    "inq": ns.INQ(bits=5, steps=9, biases=True),
}


class Failing(torch.optim.SGD):
    """An optimizer that is interrupted after it has moved the weights."""

    fail = False

    def step(self, closure: Any = None) -> Any:
        result = super().step(closure)
        if self.fail:
            raise KeyboardInterrupt
        return result


class KeywordOnly(torch.optim.SGD):
    def step(self, *, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        return super().step(closure)  # type: ignore[arg-type, return-value]


def new_net(seed: int = 5) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 10), nn.Tanh(), nn.Linear(10, 4))


def loss_of(model: nn.Module, step: int) -> Tensor:
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(step))
    return (model(x) - x[:, :4]).square().mean()


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        optimizer.zero_grad()
        loss_of(model, step).backward()
        optimizer.step()


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


class TestInterruptedSteps:
    """Ctrl-C inside optimizer.step() leaves latent weights; whoever looks next finds effective ones."""

    @staticmethod
    def interrupted() -> tuple[nn.Sequential, Failing, ns.Operation]:
        model = new_net()
        optimizer = Failing(model.parameters(), lr=0.05)
        operation = ns.attach(model, optimizer, SURGERY)
        train(model, optimizer, 12)
        optimizer.fail = True
        with pytest.raises(KeyboardInterrupt):
            train(model, optimizer, 1, first=12)
        optimizer.fail = False
        assert any(
            bool((dict(model.named_parameters())[name] != 0)[~mask].any()) for name, mask in raw_masks(operation)
        )
        return model, optimizer, operation

    @pytest.mark.parametrize(
        "ask", ["density", "masks", "report", "str", "encoded", "state_dict", "load", "detach", "pack"]
    )
    def test_whatever_is_asked_next_puts_effective_weights_back(self, ask: str, tmp_path: Path) -> None:
        model, _, operation = self.interrupted()
        saved = copy.deepcopy(operation.plan.to_dict())
        actions: dict[str, Callable[[], object]] = {
            "density": lambda: operation.density,
            "masks": lambda: operation.masks,
            "report": operation.report,
            "str": lambda: str(operation),
            "encoded": operation.encoded,
            "state_dict": operation.state_dict,
            "load": lambda: operation.load_state_dict({"plan": saved}),
            "detach": operation.detach,
            "pack": lambda: ns.pack(model, tmp_path / "m.nsm", example_inputs=torch.zeros(1, 8)),
        }
        if ask == "load":
            with pytest.raises(ns.errors.StateError):
                actions[ask]()
        else:
            actions[ask]()
        for name, mask in raw_masks(operation):
            assert not bool((dict(model.named_parameters())[name] != 0)[~mask].any())

    def test_a_packed_file_holds_what_the_density_says(self, tmp_path: Path) -> None:
        model, _, operation = self.interrupted()
        report = ns.pack(model, tmp_path / "m.nsm", example_inputs=torch.zeros(1, 8))
        assert report.connections <= sum(row.kept for row in operation.report())

    def test_a_thread_that_was_interrupted_is_noticed_from_another(self) -> None:
        model = new_net()
        optimizer = Failing(model.parameters(), lr=0.05)
        operation = ns.attach(model, optimizer, SURGERY)
        train(model, optimizer, 12)
        optimizer.fail = True

        def interrupted() -> None:
            with pytest.raises(KeyboardInterrupt):
                train(model, optimizer, 1, first=12)

        thread = threading.Thread(target=interrupted)
        thread.start()
        thread.join()
        assert operation.density < 1
        for name, mask in raw_masks(operation):
            assert not bool((dict(model.named_parameters())[name] != 0)[~mask].any())

    def test_packing_another_model_leaves_the_step_alone(self, tmp_path: Path) -> None:
        _, _, operation = self.interrupted()
        ns.pack(new_net(), tmp_path / "m.nsm", example_inputs=torch.zeros(1, 8))
        assert operation._steps._hooks[0].under_way is not None

    def test_training_goes_on_after_it(self) -> None:
        model, optimizer, operation = self.interrupted()
        train(model, optimizer, 8, first=13)
        assert operation.step == 20
        assert operation.density == pytest.approx(0.2, abs=0.005)


def raw_masks(operation: ns.Operation) -> list[tuple[str, Tensor]]:
    return [item for running in operation._stages for item in running.state.masks.items()]


@pytest.mark.parametrize("method", [*LATENT.values(), *WITHOUT_LATENT.values()], ids=[*LATENT, *WITHOUT_LATENT])
def test_what_is_asked_inside_a_closure_neither_breaks_the_step_nor_sees_latent_weights(method: Method[Any]) -> None:
    def trained(asks: bool) -> dict[str, Tensor]:
        model = new_net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        operation = ns.attach(model, optimizer, method)

        def closure() -> Tensor:
            loss = backward(model, optimizer, operation.step)
            if asks:
                operation.state_dict()
                kept = sum(row.kept for row in operation.report())
                names = set(operation.masks)
                assert sum(int(p.count_nonzero()) for name, p in model.named_parameters() if name in names) <= kept
            return loss

        for _ in range(20):
            optimizer.step(closure)
        assert operation.step == 20
        return model.state_dict()

    assert same(trained(asks=False), trained(asks=True))


@pytest.mark.parametrize("method", [*LATENT.values(), *WITHOUT_LATENT.values()], ids=[*LATENT, *WITHOUT_LATENT])
def test_a_step_with_a_closure_gives_the_same_bits_as_one_without(method: Method[Any]) -> None:
    def trained(with_closure: bool) -> dict[str, Tensor]:
        model = new_net()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        ns.attach(model, optimizer, method)
        for step in range(20):
            if with_closure:
                optimizer.step(lambda step=step: backward(model, optimizer, step))
            else:
                backward(model, optimizer, step)
                optimizer.step()
        return model.state_dict()

    assert same(trained(with_closure=False), trained(with_closure=True))


def backward(model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> Tensor:
    with torch.enable_grad():
        optimizer.zero_grad()
        loss = loss_of(model, step)
        loss.backward()
    return loss


def test_a_closure_that_only_keywords_take_arrives_as_a_keyword() -> None:
    torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    model = new_net()
    optimizer = KeywordOnly(model.parameters(), lr=0.05)
    operation = ns.attach(model, optimizer, SURGERY)
    for step in range(3):
        optimizer.step(closure=lambda step=step: backward(model, optimizer, step))
    assert operation.step == 3


class TestLineSearches:
    @pytest.mark.parametrize("method", LATENT.values(), ids=LATENT.keys())
    def test_lbfgs_is_refused_for_methods_with_latent_weights_and_nothing_is_touched(self, method: Method[Any]) -> None:
        class OwnLBFGS(torch.optim.LBFGS):
            pass

        model = new_net()
        before = copy.deepcopy(model.state_dict())
        for kind in (torch.optim.LBFGS, OwnLBFGS):
            match = rf"^{kind.__name__} compares gradients .* '{method.name}' .* \(SGD, Adam\)"
            with pytest.raises(OptimizerError, match=match):
                ns.attach(model, kind(model.parameters()), method)
        plan = ns.Plan((ns.Stage(method=WITHOUT_LATENT["naive-cut"]), ns.Stage(method=method, start=5)))
        if method.shares_tensors:
            with pytest.raises(OptimizerError, match="compares gradients"):
                ns.attach(model, torch.optim.LBFGS(model.parameters()), plan)
        assert same(model.state_dict(), before)

    @pytest.mark.parametrize("search", [None, "strong_wolfe"])
    @pytest.mark.parametrize("method", WITHOUT_LATENT.values(), ids=WITHOUT_LATENT.keys())
    def test_lbfgs_finds_the_best_weights_that_a_method_leaves(self, method: Method[Any], search: str | None) -> None:
        model = new_net()
        x = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
        warm = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(60):
            warm.zero_grad()
            (model(x) - x[:, :4]).square().mean().backward()
            warm.step()
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=8, line_search_fn=search)
        operation = ns.attach(model, optimizer, method)

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = (model(x) - x[:, :4]).square().mean()
            loss.backward()
            return loss

        losses = [float(optimizer.step(closure).detach()) for _ in range(12)]
        operation.finish()
        assert all(np.isfinite(losses))
        after = float(closure().detach())
        settled = losses[0] if method.name == "naive-cut" else max(losses[6:])
        assert after <= settled

    def test_gradients_are_cleared_for_line_searches_alone(self) -> None:
        for kind, clears in ((torch.optim.SGD, False), (torch.optim.LBFGS, True)):
            model = new_net()
            optimizer = kind(model.parameters(), lr=0.1)
            operation = ns.attach(model, optimizer, WITHOUT_LATENT["naive-cut"])
            optimizer.step(lambda: backward(model, optimizer, 0))  # noqa: B023
            gradient, mask = model[0].weight.grad, operation.masks["0.weight"]
            assert gradient is not None
            assert bool((gradient[~mask] == 0).all()) == clears
            assert bool((gradient[mask] != 0).any())


class TestGradientsOfBefore:
    """What was learnt from other weights than those operated on isn't learnt from."""

    def test_the_first_step_does_not_observe_gradients_that_were_there_before(self) -> None:
        model = new_net()
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 1e6)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        operation = ns.attach(model, optimizer, SURGERY)
        optimizer.step()
        seen = operation.state_dict()["stages"][0]["sensitivity"]
        assert (seen["outputs"], seen["inputs"], seen["total"]) == ({}, {}, None)

    def test_attaching_with_gradients_at_hand_gives_the_masks_of_attaching_without(self) -> None:
        masks = []
        for scale in (0.0, 1e6):
            model = new_net()
            if scale:
                (scale * loss_of(model, 99)).backward()
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
            operation = ns.attach(model, optimizer, ns.Surgery(density=0.3, steps=8, ramp=0.0, interval=2))
            train(model, optimizer, 8)
            masks.append(operation.masks)
        assert same(*masks)

    def test_gradients_are_back_after_the_step(self) -> None:
        model = new_net()
        loss_of(model, 0).backward()
        gradients = {name: p.grad for name, p in model.named_parameters()}
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        ns.attach(model, optimizer, SURGERY)
        optimizer.step()
        assert all(p.grad is gradients[name] for name, p in model.named_parameters())

    def test_gradients_that_were_added_to_since_are_observed(self) -> None:
        model = new_net()
        loss_of(model, 0).backward()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        operation = ns.attach(model, optimizer, SURGERY)
        loss_of(model, 1).backward()
        optimizer.step()
        assert set(operation.state_dict()["stages"][0]["sensitivity"]["outputs"]) == set(operation.masks)

    def test_only_the_gradients_that_did_not_change_are_hidden(self) -> None:
        old, new = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
        for parameter in (old, new):
            parameter.grad = torch.ones(2)
        stale = StaleGradients([old, new])
        new.grad = torch.ones(2)
        with stale.hidden():
            assert old.grad is None
            assert new.grad is not None
        assert old.grad is not None
        assert stale.covers(old)
        assert not stale.covers(new)
        old.grad.zero_()
        assert not stale.covers(old)


class TestAttachingAllOrNothing:
    @pytest.mark.parametrize("start", [0, 3])
    def test_a_stage_that_cannot_begin_leaves_the_model_as_it_was(self, start: int) -> None:
        model = new_net().double()
        model[2].weight.data[0, 0] = 1e39  # beyond float32
        plan = ns.Plan(
            (
                ns.Stage(method=ns.NaiveCut(density=0.25), layers=("0",), start=start),
                ns.Stage(method=ns.INQ(bits=5), layers=("2",), start=start),
            )
        )
        before = copy.deepcopy(model.state_dict())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        if start == 0:
            with pytest.raises(NonFiniteWeightsError):
                ns.attach(model, optimizer, plan)
            assert not optimizer._optimizer_step_pre_hooks
        else:
            operation = ns.attach(model, optimizer, plan)
            for _ in range(2):
                optimizer.step()
            with pytest.raises(NonFiniteWeightsError):
                optimizer.step()
            assert operation.density == 1
        assert same(model.state_dict(), before)

    def test_masks_are_copies(self) -> None:
        model = new_net()
        operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.NaiveCut(density=0.25))
        density = operation.density
        for mask in operation.masks.values():
            mask.fill_(True)
        assert operation.density == density


class TestNumbersOfNumPy:
    def test_they_are_taken_as_settings_and_written_as_plain_ones(self) -> None:
        uses = (("hidden", np.float32(2)), ("head", np.int64(1)))
        method = ns.Surgery(density=np.float32(0.25), steps=np.int64(12), interval=np.int16(2), uses=uses)  # type: ignore[arg-type]
        plan = ns.Plan((ns.Stage(method=method, start=np.int64(1)),), seed=np.uint8(3))  # type: ignore[arg-type]
        again = ns.Plan.from_toml(plan.to_toml())
        assert again == plan
        found = [again.stages[0].start, again.seed, *vars(again.stages[0].method).values()]
        assert {type(value) for value in found} == {int, float, bool, tuple}
        assert [(name, type(count)) for name, count in method.uses] == [("hidden", float), ("head", float)]
        held = [plan.stages[0].start, plan.seed, *vars(plan.stages[0].method).values()]
        assert [type(value) for value in held] == [type(value) for value in found]

    def test_a_model_trains_with_them(self) -> None:
        model = new_net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        method = ns.Surgery(density=np.float64(0.25), steps=np.int64(12), hysteresis=np.float32(2))  # type: ignore[arg-type]
        operation = ns.attach(model, optimizer, method)
        train(model, optimizer, 12)
        torch.save(operation.state_dict(), io.BytesIO())
        assert operation.density == pytest.approx(0.25, abs=0.01)

    def test_portions_are_taken_too(self) -> None:
        portions = tuple(np.array([0.5, 1.0], np.float32))
        assert ns.Stage(method=ns.INQ(bits=np.int8(4), portions=portions)).method == ns.INQ(bits=4, portions=(0.5, 1.0))  # type: ignore[arg-type]


def test_another_thread_that_asks_during_a_step_does_not_end_it() -> None:
    class Waiting(torch.optim.Optimizer):
        """Plain gradient descent; asks in another thread before it moves the weights."""

        asks = False

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            if self.asks:
                thread = threading.Thread(target=lambda: seen.append(operation.density))
                thread.start()
                thread.join()
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.add_(parameter.grad, alpha=-0.1)

    seen: list[float] = []
    results = []
    for asks in (False, True):
        model = new_net()
        optimizer = Waiting(model.parameters(), {})
        optimizer.asks = asks
        operation = ns.attach(model, optimizer, SURGERY)
        train(model, optimizer, 20)
        results.append(model.state_dict())
    assert len(seen) == 20
    assert same(*results)


@pytest.mark.parametrize("by_data", [False, True])
@pytest.mark.parametrize("method", LATENT.values(), ids=LATENT.keys())
def test_after_a_closure_the_optimizer_finds_the_weights_that_it_had_moved(method: Method[Any], by_data: bool) -> None:
    """Torch counts no change of what is written through .data."""

    class Wandering(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            tensors = [parameter for group in self.param_groups for parameter in group["params"]]
            for moves in (False, True, True):
                with torch.no_grad():
                    for tensor in tensors:
                        (tensor.data if by_data else tensor).add_(0.01 * moves)
                    before = [tensor.clone() for tensor in tensors]
                closure()
                found.append(all(map(torch.equal, tensors, before)))

    found: list[bool] = []
    model = new_net()
    optimizer = Wandering(model.parameters(), lr=0.1)
    operation = ns.attach(model, optimizer, method)
    for step in range(12):
        optimizer.step(lambda step=step: backward(model, optimizer, step))
    assert operation.step == 12
    assert len(found) == 36
    assert all(found)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_compiled_step_gives_the_same_bits_and_is_not_traced_at_each_step() -> None:
    counters = pytest.importorskip("torch._dynamo.utils").counters
    results = []
    for compiled in (False, True):
        torch._dynamo.reset()
        model = new_net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        operation = ns.attach(model, optimizer, SURGERY)
        step_of = torch.compile(optimizer.step, backend="eager") if compiled else optimizer.step
        graphs = []
        for step in range(20):
            optimizer.zero_grad()
            loss_of(model, step).backward()
            step_of()
            graphs.append(counters["stats"]["unique_graphs"])
        assert operation.step == 20
        assert graphs[-1] == graphs[4]
        results.append(model.state_dict())
    assert same(*results)


class Counting(TorchDispatchMode):
    """Notes what torch computes, views left out."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if str(function).split(".")[1] not in ("detach", "view", "new_zeros"):
            self.operators[str(function)] += 1
        return function(*args, **(kwargs or {}))


def computed(optimizer: torch.optim.Optimizer, closure: Callable[[], Tensor] | None = None) -> Counter[str]:
    with Counting() as counting:
        optimizer.step(closure)  # type: ignore[arg-type]
    return counting.operators


def test_a_step_after_finish_costs_one_product_of_each_tensor() -> None:
    model = new_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    backward(model, optimizer, 0)
    plain = computed(optimizer)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.3, steps=4, interval=1))
    for step in range(6):
        backward(model, optimizer, step)
        optimizer.step()
    operation.finish()
    backward(model, optimizer, 6)
    more = computed(optimizer) - plain
    assert set(more) == {"aten.addcmul.out"}
    assert sum(more.values()) == len(operation.masks)


def test_a_closure_at_each_step_copies_no_weights() -> None:
    model = new_net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.3, steps=4, interval=1))
    for step in range(6):
        optimizer.step(lambda step=step: backward(model, optimizer, step))  # type: ignore[misc]
    operation.finish()
    found = computed(optimizer, lambda: backward(model, optimizer, 6))
    assert found
    assert not [name for name in found if "clone" in name or "copy" in name]
