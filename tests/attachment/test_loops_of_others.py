"""Optimizers and loops that others have written: schedule-free, Accelerate, LoRA, Lion, Lookahead, SAM."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.errors import AdapterError, LayerNotFoundError, OptimizerError, TrainingModeWarning

METHODS: dict[str, Any] = {
    "surgery": ns.Surgery(density=0.2, steps=40, interval=2),
    "inq": ns.INQ(bits=3, steps=40, portions=(0.5, 0.75, 1), biases=True),
    "sketching": ns.Sketching(planes=2, steps=40),
}


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, arXiv 2302.06675: the sign of a momentum."""

    def __init__(self, params: Any, lr: float = 3e-3) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                p.add_(mean.lerp(p.grad, 0.1).sign_(), alpha=-group["lr"])
                mean.lerp_(p.grad, 0.01)


class Lookahead(torch.optim.Optimizer):
    """Zhang et al. 2019, arXiv 1907.08610, as it is often written: without the parent's own beginning."""

    def __init__(self, params: Any) -> None:
        self.optimizer = torch.optim.SGD(params, lr=0.05, momentum=0.9)
        self.param_groups = self.optimizer.param_groups
        self.slow = [p.detach().clone() for group in self.param_groups for p in group["params"]]
        self.count = 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        self.optimizer.step()
        self.count += 1
        if self.count % 5 == 0:
            for slow, p in zip(self.slow, (p for group in self.param_groups for p in group["params"]), strict=True):
                slow.lerp_(p, 0.5)
                p.copy_(slow)

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=5e-3),
    "radam": lambda p: torch.optim.RAdam(p, lr=5e-3),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=5e-3),
    "rprop": lambda p: torch.optim.Rprop(p, lr=1e-3),
    "lion": Lion,
    "lookahead": Lookahead,
}


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 4))


def loss_of(model: nn.Module, step: int) -> Tensor:
    x = torch.randn(16, 8, generator=torch.Generator().manual_seed(step))
    return (model(x) - x[:, :4]).square().mean()


def train(model: nn.Module, optimizer: Any, steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        optimizer.zero_grad()
        loss_of(model, step).backward()
        optimizer.step()


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_it_learns_and_what_is_declared_is_there_at_the_end(
    make: Callable[[Any], torch.optim.Optimizer], method: Any, seed: int
) -> None:
    model = network(seed)
    before = float(loss_of(model, 1000).detach())
    optimizer = make(model.parameters())
    operation = ns.attach(model, optimizer, method)
    train(model, optimizer, 40)
    there = dict(model.named_parameters())
    assert all(int(there[row.name].count_nonzero()) == row.kept for row in operation.report())
    operation.finish()
    assert operation.step == 40
    train(model, optimizer, 5, first=40)  # held from here on
    parameters = dict(model.named_parameters())
    for name, form in operation.encoded().items():
        assert form is not None
        assert torch.equal(form.decoded(), parameters[name])
    if isinstance(method, ns.Surgery):
        assert sum(int(p.count_nonzero()) for p in parameters.values()) <= round(0.2 * 316)
    assert float(loss_of(model, 1000).detach()) < before


class TestScheduleFree:
    @pytest.mark.parametrize("name", ["SGDScheduleFree", "AdamWScheduleFree", "RAdamScheduleFree"])
    @pytest.mark.parametrize("seed", [0, 1, 2])
    @pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
    def test_its_averages_are_effective_whenever_they_are_looked_at(self, method: Any, seed: int, name: str) -> None:
        library = pytest.importorskip("schedulefree", reason="its optimizers are the subject")
        model = network(seed)
        optimizer = getattr(library, name)(model.parameters(), lr=0.5 if name.startswith("SGD") else 1e-2)
        operation = ns.attach(model, optimizer, method)
        optimizer.train()
        for step in range(0, 40, 8):
            train(model, optimizer, 8, first=step)
            optimizer.eval()
            parameters = dict(model.named_parameters())
            assert all(not bool(parameters[n][~mask].any()) for n, mask in operation.masks.items())
            forms = operation.encoded()
            assert all(torch.equal(form.decoded(), parameters[n]) for n, form in forms.items() if form is not None)
            optimizer.train()
        with pytest.warns(TrainingModeWarning, match="is in training mode"):
            operation.finish()
        optimizer.eval()
        shown = {n: p.detach().clone() for n, p in model.named_parameters()}
        operation.finish()
        assert same(dict(model.named_parameters()), shown)

    def test_resuming_equals_a_straight_run_bit_for_bit(self) -> None:
        library = pytest.importorskip("schedulefree", reason="its optimizers are the subject")

        def begun() -> tuple[Any, ...]:
            model = network()
            optimizer = library.AdamWScheduleFree(model.parameters(), lr=1e-2)
            return model, optimizer, ns.attach(model, optimizer, METHODS["surgery"])

        straight = begun()
        straight[1].train()
        train(*straight[:2], 13)
        straight[1].eval()  # as its authors say that checkpoints are written
        saved = copy.deepcopy([part.state_dict() for part in straight])
        straight[1].train()
        train(*straight[:2], 20, first=13)
        resumed = begun()
        for part, state in zip(resumed, saved, strict=True):
            part.load_state_dict(state)
        resumed[1].train()
        train(*resumed[:2], 20, first=13)
        assert same(resumed[0].state_dict(), straight[0].state_dict())
        assert same(resumed[2].masks, straight[2].masks)

    def test_its_wrapper_is_refused_with_what_to_use(self) -> None:
        library = pytest.importorskip("schedulefree", reason="its optimizers are the subject")
        model = network()
        wrapper = library.ScheduleFreeWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
        with pytest.raises(OptimizerError, match=r"ScheduleFreeWrapper is not a .*AdamWScheduleFree"):
            ns.attach(model, wrapper, METHODS["surgery"])


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_under_accelerate_a_step_is_one_of_the_optimizer_and_the_bits_are_those_of_a_plain_loop(method: Any) -> None:
    accelerate = pytest.importorskip("accelerate", reason="its wrappers are the subject")
    plain = network()
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9)
    expected = ns.attach(plain, optimizer, method)
    for step in range(20):
        optimizer.zero_grad()
        for batch in (2 * step, 2 * step + 1):
            (loss_of(plain, batch) / 2).backward()
        optimizer.step()

    accelerator = accelerate.Accelerator(gradient_accumulation_steps=2, cpu=True)
    original = network()
    model, wrapped = accelerator.prepare(original, torch.optim.SGD(original.parameters(), lr=0.1, momentum=0.9))
    operation = ns.attach(model, wrapped, method)
    for batch in range(40):
        with accelerator.accumulate(model):
            accelerator.backward(loss_of(model, batch))
            wrapped.step()
            wrapped.zero_grad()
    assert operation.step == expected.step == 20
    assert same(accelerator.unwrap_model(model).state_dict(), plain.state_dict())
    assert same(operation.masks, expected.masks)


class TestAdapters:
    @staticmethod
    def adapted() -> Any:
        peft = pytest.importorskip("peft", reason="its adapters are the subject")
        return peft.get_peft_model(network(), peft.LoraConfig(r=2, target_modules=["0", "2"]))

    def test_they_are_refused_with_the_way_to_merge_them(self) -> None:
        model = self.adapted()
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
        with pytest.raises(AdapterError, match=r"lora_A.*merge_and_unload"):
            ns.attach(model, optimizer, METHODS["surgery"])

    def test_the_base_weights_that_a_plan_names_are_said_to_be_frozen(self) -> None:
        model = self.adapted()
        stage = ns.Stage(method=METHODS["surgery"], layers=("*.base_layer",))
        with pytest.raises(LayerNotFoundError, match=r"base_layer\.weight is left alone \(frozen"):
            ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), stage)

    def test_merged_they_are_operated_on_like_any_network(self) -> None:
        model = self.adapted().merge_and_unload()
        model.requires_grad_(True)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        operation = ns.attach(model, optimizer, METHODS["surgery"])
        train(model, optimizer, 40)
        operation.finish()
        assert set(operation.masks) == {"0.weight", "0.bias", "2.weight", "2.bias"}
