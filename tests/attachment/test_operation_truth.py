"""What an operation says of a model is what is in the model, whatever was done to model or optimizer meanwhile."""

from __future__ import annotations

import contextlib
import copy
import gc
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import (
    _global_optimizer_post_hooks,
    _global_optimizer_pre_hooks,
    register_optimizer_step_pre_hook,
)

import netsurgery as ns
from netsurgery.attachment.other_optimizers import _watchers
from netsurgery.errors import (
    AttachmentError,
    OptimizerError,
    RevivedWarning,
    StarvedLayerWarning,
    TrainingModeWarning,
    UnfinishedWarning,
    UnreachedLayerWarning,
)
from netsurgery.methods.base import Method

SURGERY = ns.Surgery(density=0.2, steps=20, interval=2)
METHODS: dict[str, Method[Any]] = {
    "surgery": SURGERY,
    "threshold-surgery": ns.ThresholdSurgery(c_rate=0.3, gamma=0.2, iter_stop=14),
    "naive-cut": ns.NaiveCut(density=0.2),
    "han-pruning": ns.HanPruning(quality=0.5, rounds=3, round_steps=5),
    "inq": ns.INQ(bits=2, steps=20, portions=(0.5, 0.75, 1), biases=True),
    "sketching": ns.Sketching(planes=2, steps=20),
}
PRUNING = {name: method for name, method in METHODS.items() if name not in ("inq", "sketching")}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 10), nn.ReLU())
        self.head = nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class Averaging(torch.optim.Optimizer):
    """As Lookahead: calls the step of the optimizer inside it, then writes an average to the weights."""

    def __init__(self, base_optimizer: torch.optim.Optimizer) -> None:
        self.base_optimizer = base_optimizer
        super().__init__(base_optimizer.param_groups, {})
        self.slow = [p.detach().clone() for group in self.param_groups for p in group["params"]]

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = self.base_optimizer.step(closure)
        for slow, p in zip(self.slow, (p for group in self.param_groups for p in group["params"]), strict=True):
            slow.lerp_(p, 0.5)
            p.data.copy_(slow)
        return loss


class SharpnessAware(torch.optim.Optimizer):
    """As SAM: the user calls two steps of it, neither of them `step`; the second calls that of the optimizer inside."""

    def __init__(self, base_optimizer: torch.optim.Optimizer) -> None:
        self.base_optimizer = base_optimizer
        super().__init__(base_optimizer.param_groups, {})

    @torch.no_grad()
    def first_step(self) -> None:
        for p in (p for group in self.param_groups for p in group["params"]):
            self.state[p]["old"] = p.data.clone()
            p.add_(p.grad, alpha=0.05)

    @torch.no_grad()
    def second_step(self) -> None:
        for p in (p for group in self.param_groups for p in group["params"]):
            p.data = self.state[p]["old"]
        self.base_optimizer.step()

    def step(self, closure: Any = None) -> Any:
        self.first_step()
        loss = torch.enable_grad()(closure)()
        self.second_step()
        return loss


def new_net(seed: int = 3) -> Net:
    torch.manual_seed(seed)
    return Net()


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-2)


def backward(model: nn.Module, step: int) -> Tensor:
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(step))
    loss = (model(x) - x[:, :4]).square().mean()
    loss.backward()
    return loss


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        optimizer.zero_grad()
        backward(model, step)
        optimizer.step()


def train_sharpness_aware(model: nn.Module, optimizer: SharpnessAware, steps: int) -> None:
    for step in range(steps):
        optimizer.zero_grad()
        backward(model, step)
        optimizer.first_step()
        optimizer.zero_grad()
        backward(model, step)
        optimizer.second_step()


def true_density(model: nn.Module, names: set[str]) -> float:
    tensors = [p for name, p in model.named_parameters() if name in names]
    return sum(int(p.count_nonzero()) for p in tensors) / sum(p.numel() for p in tensors)


def attached(method: Method[Any] = SURGERY) -> tuple[Net, torch.optim.Optimizer, ns.Operation]:
    model = new_net()
    optimizer = sgd(model)
    return model, optimizer, ns.attach(model, optimizer, method)


class TestReplacedParameters:
    """The model has other parameters than those that were attached."""

    @staticmethod
    def replaced_module(model: Net) -> None:
        model.head = nn.Linear(10, 4)

    @staticmethod
    def replaced_container(model: Net) -> None:
        model.body = nn.Sequential(nn.Linear(8, 10), nn.ReLU())

    @staticmethod
    def replaced_parameter(model: Net) -> None:
        model.head.weight = nn.Parameter(torch.randn(4, 10))

    @staticmethod
    def assigned_state(model: Net) -> None:
        model.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)

    @staticmethod
    def removed_module(model: Net) -> None:
        del model.head

    CHANGES = (replaced_module, replaced_container, replaced_parameter, assigned_state, removed_module)

    @pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
    @pytest.mark.parametrize("ask", ["step", "finish", "report", "density", "state_dict", "str"])
    def test_it_is_said_at_the_next_step_and_by_all_that_is_asked(
        self, change: Callable[[Net], None], ask: str
    ) -> None:
        model, optimizer, operation = attached()
        train(model, optimizer, 14)
        before = operation.step
        change(model)
        actions: dict[str, Callable[[], object]] = {
            "step": optimizer.step,
            "finish": operation.finish,
            "report": operation.report,
            "density": lambda: operation.density,
            "state_dict": operation.state_dict,
            "str": lambda: str(operation),
        }
        with pytest.raises(AttachmentError, match=r"^(head|body)\S* was replaced since attach.*attach again"):
            actions[ask]()
        assert operation.step == before
        assert not operation.finished
        operation.detach()

    def test_a_tied_weight_that_is_untied_is_said_too(self) -> None:
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        model[1].weight = model[0].weight
        operation = ns.attach(model, sgd(model), SURGERY)
        model[1].weight = nn.Parameter(torch.randn(4, 4))
        with pytest.raises(AttachmentError, match=r"^1\.weight was replaced"):
            operation.finish()

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
    def test_a_model_that_was_converted_is_said_by_name(self, dtype: torch.dtype) -> None:
        model, optimizer, operation = attached()
        train(model, optimizer, 14)
        model.to(dtype)
        with pytest.raises(AttachmentError, match=rf"^body\.0\.weight has become {dtype} on cpu since attach"):
            operation.finish()

    def test_data_of_another_shape_is_said_by_name(self) -> None:
        model, optimizer, operation = attached()
        model.head.weight.data = torch.randn(4, 9)
        with pytest.raises(AttachmentError, match=r"^head\.weight has become .* with shape \(4, 9\)"):
            optimizer.step()
        operation.detach()

    @pytest.mark.parametrize("method", PRUNING.values(), ids=PRUNING.keys())
    def test_other_data_in_the_same_parameter_is_a_write_and_what_is_pruned_stays_hidden(
        self, method: Method[Any]
    ) -> None:
        model, optimizer, operation = attached(method)
        train(model, optimizer, 14)
        for parameter in model.parameters():
            parameter.data = torch.randn_like(parameter)
        train(model, optimizer, 1, first=14)
        train(model, optimizer, 5, first=15)
        assert true_density(model, set(operation.masks)) == operation.density

    def test_other_data_written_over_a_pruned_weight_is_not_latent(self) -> None:
        model = new_net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        operation = ns.attach(model, optimizer, ns.ThresholdSurgery(c_rate=0.3, gamma=0.0))
        train(model, optimizer, 1)
        pruned = ~operation.masks["head.weight"]
        assert bool(pruned.any())
        model.head.weight.data = model.head.weight.data + 100 * pruned
        train(model, optimizer, 1)
        assert float(operation.state_dict()["stages"][0]["weights"]["head.weight"].abs().max()) < 1

    def test_wrapping_the_model_afterwards_replaces_nothing(self) -> None:
        model, optimizer, operation = attached()
        wrapped = nn.Sequential(model)
        train(wrapped, optimizer, 20)
        operation.finish()
        assert true_density(model, set(operation.masks)) == operation.density


class TestFinish:
    """finish() makes the declared set true."""

    @pytest.mark.parametrize("method", PRUNING.values(), ids=PRUNING.keys())
    def test_a_denser_checkpoint_of_an_early_epoch_is_cut_to_the_declared_set(self, method: Method[Any]) -> None:
        model, optimizer, operation = attached(method)
        dense = {name: torch.randn_like(tensor) for name, tensor in model.state_dict().items()}
        train(model, optimizer, 20)
        kept = {name: mask.clone() for name, mask in operation.masks.items()}
        model.load_state_dict(dense)
        with pytest.warns(RevivedWarning, match="what was measured with them isn't true of that network"):
            operation.finish()
        for name, parameter in model.named_parameters():
            assert torch.equal(parameter != 0, kept[name])
            assert torch.equal(parameter[kept[name]], dense[name][kept[name]])
        assert true_density(model, set(kept)) == operation.density

    def test_a_checkpoint_loaded_into_quantized_weights_leaves_them_powers(self) -> None:
        model, optimizer, operation = attached(METHODS["inq"])
        early = copy.deepcopy(model.state_dict())
        train(model, optimizer, 20)
        quantized = copy.deepcopy(model.state_dict())
        model.load_state_dict(early)
        with pytest.warns(RevivedWarning):
            operation.finish()
        assert torch.equal(model.head.weight, quantized["head.weight"])

    def test_a_run_that_diverged_in_a_later_stage_leaves_the_earlier_one_unfinished(self) -> None:
        stages = (ns.Stage(method=SURGERY, layers=("body.0",)), ns.Stage(method=SURGERY, layers=("head",)))
        model = new_net()
        operation = ns.attach(model, sgd(model), ns.Plan(stages))
        model.head.weight.data[0, 0] = float("nan")
        with pytest.raises(ns.errors.NonFiniteWeightsError, match=r"head\.weight"):
            operation.finish()
        assert operation._stages[0].state.latent

    @pytest.mark.parametrize("method", [SURGERY, METHODS["inq"], METHODS["sketching"]], ids=lambda m: m.name)
    def test_gradients_without_a_single_step_are_an_error_that_says_how_to_attach(self, method: Method[Any]) -> None:
        model, _, operation = attached(method)
        backward(model, 0)
        with pytest.raises(OptimizerError, match=r"^Gradients came, but the SGD .* never made a step.*base_optimizer"):
            operation.finish()
        assert not operation.finished

    def test_gradients_of_before_attach_are_not_taken_for_training(self) -> None:
        model = new_net()
        backward(model, 0)
        operation = ns.attach(model, sgd(model), SURGERY)
        with pytest.warns(UnfinishedWarning, match="step 0 of 14"):
            operation.finish()

    def test_a_run_that_was_resumed_may_finish_before_its_first_step(self) -> None:
        model, optimizer, operation = attached()
        train(model, optimizer, 14)
        saved = operation.state_dict()
        operation.detach()
        again = ns.attach(model, optimizer, SURGERY)
        again.load_state_dict(saved)
        optimizer.zero_grad()
        backward(model, 14)
        again.finish()
        assert again.density == pytest.approx(0.2, abs=0.01)

    def test_a_naive_cut_needs_no_step(self) -> None:
        model, _, operation = attached(METHODS["naive-cut"])
        backward(model, 0)
        operation.finish()
        assert true_density(model, set(operation.masks)) == operation.density


class TestOtherOptimizers:
    """The weights are moved by another optimizer than the attached one."""

    def test_an_optimizer_put_in_the_place_of_the_attached_one_is_refused_at_its_first_step(self) -> None:
        model, optimizer, operation = attached()
        train(model, optimizer, 8)
        other = torch.optim.Adam(model.parameters())
        with pytest.raises(OptimizerError, match=r"^Adam moves weights that are attached to another optimizer, a SGD"):
            train(model, other, 1, first=8)
        assert true_density(model, set(operation.masks)) == operation.density < 1

    def test_one_that_writes_through_data_is_refused_too(self) -> None:
        class Old(torch.optim.SGD):
            def step(self, closure: Any = None) -> Any:
                for p in (p for group in self.param_groups for p in group["params"]):
                    p.data.add_(p.grad.data, alpha=-0.1)

        model, optimizer, _ = attached()
        train(model, optimizer, 8)
        with pytest.raises(OptimizerError, match=r"^Old moves weights"):
            train(model, Old(model.parameters()), 1)

    def test_after_the_advice_of_the_message_the_run_goes_on(self) -> None:
        model, optimizer, operation = attached()
        train(model, optimizer, 8)
        saved = operation.state_dict()
        operation.detach()
        other = torch.optim.Adam(model.parameters())
        operation = ns.attach(model, other, SURGERY)
        operation.load_state_dict(saved)
        train(model, other, 12, first=8)
        operation.finish()
        assert operation.step == 20
        assert true_density(model, set(operation.masks)) == operation.density

    @pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
    def test_after_finish_any_optimizer_may_train_on_and_nothing_comes_back(self, method: Method[Any]) -> None:
        model, optimizer, operation = attached(method)
        train(model, optimizer, 20)
        operation.finish()
        density = operation.density
        train(model, torch.optim.Adam(model.parameters(), lr=0.01), 5)
        assert operation.density == density
        if method.name != "sketching":
            assert true_density(model, set(operation.masks)) == density

    def test_optimizers_of_other_weights_are_none_of_its_business(self) -> None:
        model, optimizer, operation = attached()
        other = new_net()
        train(other, sgd(other), 3)
        extended = torch.optim.SGD(other.parameters(), lr=0.1)
        train(other, extended, 1)
        extended.add_param_group({"params": list(model.head.parameters())})
        backward(model, 0)
        with pytest.raises(OptimizerError, match="SGD moves weights"):
            extended.step()
        train(model, optimizer, 1)
        assert operation.step == 1

    def test_an_optimizer_that_owns_the_weights_and_moves_none_is_allowed(self) -> None:
        model, optimizer, operation = attached()
        other = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(3):
            optimizer.zero_grad()
            other.step()  # without gradients
            backward(model, step)
            optimizer.step()
        assert operation.step == 3

    def test_a_wrapper_that_averages_after_the_attached_step_leaves_the_pruned_weights_hidden(self) -> None:
        model = new_net()
        base = sgd(model)
        wrapper = Averaging(base)
        operation = ns.attach(model, base, SURGERY)
        for step in range(20):
            train(model, wrapper, 1, first=step)
            assert true_density(model, set(operation.masks)) == operation.density
        operation.finish()
        assert operation.step == 20

    def test_what_a_wrapper_writes_to_sketched_weights_is_trained_on(self) -> None:
        model = new_net()
        base = sgd(model)
        operation = ns.attach(model, base, METHODS["sketching"])
        train(model, Averaging(base), 1)
        averaged = model.head.weight.detach().clone()
        latent = operation.state_dict()["stages"][0]["weights"]["head.weight"]
        assert torch.equal(latent, averaged)
        assert len(averaged[0].unique()) > 4

    @pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
    def test_attached_to_the_optimizer_inside_sam_trains_as_ever(self, method: Method[Any]) -> None:
        model = new_net()
        wrapper = SharpnessAware(sgd(model))
        operation = ns.attach(model, wrapper.base_optimizer, method)
        train_sharpness_aware(model, wrapper, 20)
        operation.finish()
        assert operation.step == 20
        if method.name != "sketching":
            assert true_density(model, set(operation.masks)) == operation.density

    def test_attached_to_sam_itself_the_steps_that_the_hooks_never_see_are_refused(self) -> None:
        model = new_net()
        wrapper = SharpnessAware(sgd(model))
        ns.attach(model, wrapper, SURGERY)
        with pytest.raises(OptimizerError, match=r"^SGD moves .* attached to another.*wrapper\.base_optimizer"):
            train_sharpness_aware(model, wrapper, 1)

    def test_attached_to_sam_itself_its_own_step_with_a_closure_counts(self) -> None:
        model = new_net()
        wrapper = SharpnessAware(sgd(model))
        operation = ns.attach(model, wrapper, SURGERY)
        for step in range(20):
            wrapper.zero_grad()
            backward(model, step)
            wrapper.step(lambda step=step: backward(model, step))
            assert true_density(model, set(operation.masks)) == operation.density
        assert operation.step == 20

    def test_after_detach_no_optimizer_is_watched(self) -> None:
        gc.collect()  # operations of other tests
        before = len(_watchers)
        _, _, operation = attached()
        assert len(_watchers) == before + 1
        operation.detach()
        assert len(_watchers) == before

    def test_however_many_operations_torch_calls_one_pair_of_hooks(self) -> None:
        _, _, first = attached()
        before = len(_global_optimizer_pre_hooks), len(_global_optimizer_post_hooks)
        _, _, second = attached()
        assert (len(_global_optimizer_pre_hooks), len(_global_optimizer_post_hooks)) == before
        first.detach()
        second.detach()

    def test_an_operation_dies_with_its_optimizer(self) -> None:
        gc.collect()  # operations of other tests
        before = len(_watchers)
        model, optimizer, operation = attached()
        dead = weakref.ref(operation)
        del model, optimizer, operation
        gc.collect()
        assert dead() is None
        assert len(_watchers) == before

    def test_an_operation_may_die_while_torch_goes_through_its_hooks(self) -> None:
        doomed = [attached()]
        dead = weakref.ref(doomed[0][2])

        def collect(*_: object) -> None:
            doomed.clear()
            gc.collect()

        model = nn.Linear(3, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.ones(1, 3)).sum().backward()
        handle = register_optimizer_step_pre_hook(collect)
        try:
            optimizer.step()
        finally:
            handle.remove()
        assert dead() is None


class ScheduleFree(torch.optim.Optimizer):
    """As schedule-free SGD: the model trains with one set of weights, and `eval` puts their average in its place."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 0.05, "beta": 0.9, "count": 0, "train_mode": True})

    @torch.no_grad()
    def eval(self) -> None:
        self._swap(False, lambda group: 1 - 1 / group["beta"])

    @torch.no_grad()
    def train(self) -> None:
        self._swap(True, lambda group: 1 - group["beta"])

    def _swap(self, trains: bool, share: Callable[[dict[str, Any]], float]) -> None:
        for group in self.param_groups:
            if group["train_mode"] != trains:
                group["train_mode"] = trains
                for p in group["params"]:
                    if p in self.state:
                        p.lerp_(self.state[p]["z"], share(group))

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            group["count"] += 1
            share = 1 / group["count"]
            for p in group["params"]:
                z = self.state[p].setdefault("z", p.detach().clone())
                p.lerp_(z, share)
                p.add_(p.grad, alpha=group["lr"] * (group["beta"] * (1 - share) - 1))
                z.sub_(p.grad, alpha=group["lr"])


class TestScheduleFreeOptimizers:
    """Their eval() writes other weights into the model, those that are shipped."""

    @staticmethod
    def trained(method: Method[Any]) -> tuple[Net, ScheduleFree, ns.Operation]:
        model = new_net()
        optimizer = ScheduleFree(model.parameters())
        operation = ns.attach(model, optimizer, method)
        train(model, optimizer, 20)
        return model, optimizer, operation

    @pytest.mark.parametrize("method", PRUNING.values(), ids=PRUNING.keys())
    def test_what_is_said_after_finishing_in_eval_mode_is_true(self, method: Method[Any]) -> None:
        model, optimizer, operation = self.trained(method)
        optimizer.eval()
        operation.finish()
        assert true_density(model, set(operation.masks)) == operation.density < 1

    @pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
    def test_the_averages_are_effective_too_while_training_goes_on_and_after_it(self, method: Method[Any]) -> None:
        model, optimizer, operation = self.trained(method)
        for _ in range(2):
            for switch in (optimizer.eval, optimizer.train):
                switch()
                forms = operation.encoded()
                assert all(
                    torch.equal(form.decoded(), p) for n, p in model.named_parameters() if (form := forms.get(n))
                )
                kept = operation.masks
                assert all(not bool(dict(model.named_parameters())[n][~mask].any()) for n, mask in kept.items())
            train(model, optimizer, 3)
            with pytest.warns(TrainingModeWarning, match=r"Call optimizer\.eval\(\)"):
                operation.finish()

    def test_evaluating_meanwhile_leaves_latent_weights_alone(self) -> None:
        def latent(evaluates: bool) -> dict[str, Tensor]:
            model = new_net()
            optimizer = ScheduleFree(model.parameters())
            operation = ns.attach(model, optimizer, ns.Surgery(density=0.2, steps=40, interval=2))
            for step in range(15):
                train(model, optimizer, 1, first=step)
                if evaluates and step == 14:
                    optimizer.eval()
                    optimizer.train()
            return operation._stages[0].state.latent

        left, right = latent(False), latent(True)
        assert all(torch.equal(left[name], right[name]) for name in left)

    def test_after_detach_the_optimizer_has_its_own_methods_and_two_operations_share_them(self) -> None:
        model = new_net()
        optimizer = ScheduleFree(model.parameters())
        first = ns.attach(model, optimizer, ns.Stage(method=SURGERY, layers=("head",)))
        second = ns.attach(model, optimizer, ns.Stage(method=SURGERY, layers=("body.0",)))
        first.detach()
        train(model, optimizer, 12)
        optimizer.eval()
        assert true_density(model, set(second.masks)) == second.density < 1
        second.detach()
        assert not {"eval", "train"} & vars(optimizer).keys()


class Headless(Net):
    """The loss doesn't depend on the head: not at all, or by a factor of 0."""

    uses_head = False

    def forward(self, x: Tensor) -> Tensor:
        body = self.body(x)
        return body[:, :4] + 0 * self.head(body) if self.uses_head else body[:, :4]


class TestUnreachedLayers:
    """Layers that the loss never reaches keep connections at the cost of the others."""

    @pytest.mark.parametrize("uses_head", [False, True])
    @pytest.mark.parametrize("method", [*METHODS.values()], ids=METHODS.keys())
    def test_they_are_named_with_what_they_keep_unless_they_keep_nothing(
        self, method: Method[Any], uses_head: bool
    ) -> None:
        torch.manual_seed(3)
        model = Headless()
        model.uses_head = uses_head
        optimizer = sgd(model)
        operation = ns.attach(model, optimizer, method)
        train(model, optimizer, 20)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            operation.finish()
        kept = {row.name: row.kept for row in operation.report()}["head.weight"]
        said = [str(entry.message) for entry in caught if entry.category is UnreachedLayerWarning]
        if kept:
            assert len(said) == 1
            assert said[0].startswith("The loss has reached nothing of head.weight since attach")
            assert f" {kept} connections are kept there" in said[0]
        else:
            assert not said
            assert any(entry.category is StarvedLayerWarning for entry in caught)

    def test_nothing_is_said_where_the_loss_reaches_every_layer_once(self) -> None:
        model = Headless()
        optimizer = sgd(model)
        operation = ns.attach(model, optimizer, METHODS["naive-cut"])
        train(model, optimizer, 5)
        nn.init.ones_(model.head.weight)
        model.head.weight.data.mul_(operation.masks["head.weight"])
        optimizer.zero_grad()
        model.head(torch.ones(1, 10)).sum().backward()
        optimizer.step()
        train(model, optimizer, 5, first=6)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UnreachedLayerWarning)
            warnings.simplefilter("ignore", StarvedLayerWarning)
            operation.finish()


class TestRevivedWeights:
    """After finish() something else than an optimizer writes to what was pruned."""

    @staticmethod
    def revived() -> tuple[Net, torch.optim.Optimizer, ns.Operation]:
        model, optimizer, operation = attached()
        train(model, optimizer, 20)
        operation.finish()
        with torch.no_grad():
            model.head.weight.fill_(1.0)
        return model, optimizer, operation

    @pytest.mark.parametrize("ask", ["density", "report", "str", "detach", "pack"])
    def test_whatever_is_asked_next_says_so(self, ask: str, tmp_path: Path) -> None:
        model, _, operation = self.revived()
        actions: dict[str, Callable[[], object]] = {
            "density": lambda: operation.density,
            "report": operation.report,
            "str": lambda: str(operation),
            "detach": operation.detach,
            "pack": lambda: ns.pack(model, tmp_path / "m.nsm", example_inputs=torch.zeros(1, 8)),
        }
        with pytest.warns(RevivedWarning, match=r"^\d+ connections of head\.weight were pruned and hold values again"):
            actions[ask]()

    def test_a_network_that_has_diverged_is_not_said_to_have_been_written_to(self) -> None:
        model, optimizer, operation = attached(SURGERY)
        train(model, optimizer, 12)
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, torch.inf)
        with contextlib.suppress(ns.errors.NonFiniteWeightsError):
            optimizer.step()
        assert operation.density < 1
        operation.detach()

    def test_the_density_said_is_the_true_one(self) -> None:
        model, _, operation = self.revived()
        with pytest.warns(RevivedWarning):
            assert operation.density == true_density(model, set(operation.masks))

    def test_finishing_again_hides_them(self) -> None:
        model, _, operation = self.revived()
        operation.finish()
        assert operation.density == true_density(model, set(operation.masks))

    def test_nothing_is_said_of_a_model_that_nobody_wrote_to(self, tmp_path: Path) -> None:
        model, optimizer, operation = attached()
        train(model, optimizer, 20)
        operation.finish()
        operation.report()
        ns.pack(model, tmp_path / "m.nsm", example_inputs=torch.zeros(1, 8))
        operation.detach()
        with torch.no_grad():
            model.head.weight.fill_(1.0)
        operation.report()


@pytest.mark.parametrize("write", ["data", "no_grad"])
def test_what_is_written_over_a_pruned_connection_is_not_its_latent_weight(write: str) -> None:
    """Neither where torch counts the change, nor where it doesn't."""
    torch.manual_seed(0)
    model = nn.Linear(8, 8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    operation = ns.attach(model, optimizer, ns.ThresholdSurgery(c_rate=0.5, iter_stop=1000))

    def step() -> Tensor:
        optimizer.zero_grad()
        model(torch.ones(4, 8)).square().sum().backward()
        optimizer.step()
        return operation.state_dict()["stages"][0]["weights"]["weight"]

    before = step()
    pruned = ~operation.masks["weight"]
    assert pruned.any()
    if write == "data":
        model.weight.data[pruned] = 5.0
    else:
        with torch.no_grad():
            model.weight[pruned] = 5.0
    assert torch.equal(step(), before)
    assert not bool(model.weight[pruned].any())


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_what_is_attached_saved_or_loaded_in_inference_mode_trains_on_with_the_same_bits(method: Method[Any]) -> None:
    ended = []
    for mode in (contextlib.nullcontext, torch.inference_mode):
        model = new_net()
        optimizer = sgd(model)
        with mode():
            operation = ns.attach(model, optimizer, method)
        train(model, optimizer, 9)
        with mode():
            saved = operation.state_dict()
        operation.load_state_dict(saved)
        train(model, optimizer, 5, first=9)
        with mode():
            operation.load_state_dict(operation.state_dict())
        train(model, optimizer, 6, first=14)
        with mode():
            operation.finish()
        train(model, optimizer, 2, first=20)
        ended.append([parameter.detach().clone() for parameter in model.parameters()])
    assert all(map(torch.equal, *ended))
