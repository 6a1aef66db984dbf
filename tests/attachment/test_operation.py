"""Operations on models that train: the model stays a plain module, and nothing is ever half done."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.methods import ALL_METHODS
from netsurgery.methods.base import Method

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, weight_decay=1e-2),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
}
METHODS: dict[str, Method[Any]] = {
    "surgery": ns.Surgery(density=0.2, steps=20, interval=2),
    "threshold-surgery": ns.ThresholdSurgery(c_rate=0.3, gamma=0.2, iter_stop=14),
    "naive-cut": ns.NaiveCut(density=0.2),
    "keep-zeros": ns.KeepZeros(),
    "han-pruning": ns.HanPruning(quality=0.5, rounds=3, round_steps=5),
    "inq": ns.INQ(bits=2, steps=20, portions=(0.5, 0.75, 1), order="random", biases=True),
    "sketching": ns.Sketching(planes=2, steps=20),
}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean(dim=(2, 3)))


class Failing(torch.optim.SGD):
    """An optimizer that can be interrupted between its hooks."""

    fail = False

    def step(self, closure: Any = None) -> Any:
        if self.fail:
            raise KeyboardInterrupt
        return super().step(closure)


def new_net() -> Net:
    torch.manual_seed(11)
    return Net()


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, first: int = 0) -> None:
    dtype = next(model.parameters()).dtype
    for step in range(first, first + steps):
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(4, 2, 6, 6, generator=generator).to(dtype)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 2, 1])).backward()
        optimizer.step()


def non_zero(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor != 0 for name, tensor in model.named_parameters()}


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def test_every_method_is_tested_here() -> None:
    assert METHODS.keys() == ALL_METHODS.keys()


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_resuming_equals_a_straight_run_bit_for_bit(
    method: Method[Any], make: Callable[[Any], torch.optim.Optimizer]
) -> None:
    straight = new_net()
    optimizer = make(straight.parameters())
    operation = ns.attach(straight, optimizer, method)
    train(straight, optimizer, 9)
    file = io.BytesIO()
    torch.save(
        {"model": straight.state_dict(), "optimizer": optimizer.state_dict(), "operation": operation.state_dict()}, file
    )
    train(straight, optimizer, 16, first=9)

    torch.manual_seed(99)  # a resumed process begins with other weights
    resumed = Net()
    optimizer = make(resumed.parameters())
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed.load_state_dict(saved["model"])
    again = ns.attach(resumed, optimizer, method)  # cuts at step 0 already; loading has to undo that
    optimizer.load_state_dict(saved["optimizer"])
    again.load_state_dict(saved["operation"])
    train(resumed, optimizer, 16, first=9)

    assert again.step == operation.step == 25
    assert same(resumed.state_dict(), straight.state_dict())
    assert same(again.masks, operation.masks)
    assert again.report() == operation.report()


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_between_steps_the_model_holds_effective_weights(
    method: Method[Any], make: Callable[[Any], torch.optim.Optimizer]
) -> None:
    model = new_net()
    optimizer = make(model.parameters())
    operation = ns.attach(model, optimizer, method)
    parameters = dict(model.named_parameters())
    for step in range(22):
        train(model, optimizer, 1, first=step)
        for name, mask in operation.masks.items():
            pruned = parameters[name].detach()[~mask]
            assert torch.equal(pruned, torch.zeros_like(pruned))
            assert not bool(torch.signbit(pruned).any())


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_after_finish_no_pruned_weight_comes_back_even_when_training_goes_on(
    method: Method[Any], make: Callable[[Any], torch.optim.Optimizer]
) -> None:
    model = new_net()
    optimizer = make(model.parameters())
    operation = ns.attach(model, optimizer, method)
    train(model, optimizer, 20)
    operation.finish()
    kept = {name: mask.clone() for name, mask in operation.masks.items()}
    prunes = method.name not in ("sketching", "keep-zeros")  # there are no zeros to keep here
    assert any(not bool(mask.all()) for mask in kept.values()) == prunes
    before = copy.deepcopy(model.state_dict())
    for step in range(20):
        train(model, optimizer, 1, first=20 + step)
        for name, parameter in model.named_parameters():
            if name in kept:
                assert not bool((parameter != 0)[~kept[name]].any())
    assert not same(before, model.state_dict())  # the kept ones do train on


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_a_state_is_a_copy_that_training_on_does_not_change(method: Method[Any]) -> None:
    model = new_net()
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    operation = ns.attach(model, optimizer, method)
    train(model, optimizer, 4)
    saved, file, again = operation.state_dict(), io.BytesIO(), io.BytesIO()
    torch.save(saved, file)
    train(model, optimizer, 20, first=4)
    torch.save(saved, again)
    assert again.getvalue() == file.getvalue()


def test_the_model_stays_a_plain_module_with_plain_keys() -> None:
    model = new_net()
    keys, modules = list(model.state_dict()), [type(module) for module in model.modules()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    operation = ns.attach(model, optimizer, METHODS["surgery"])
    train(model, optimizer, 20)
    operation.finish()
    assert list(model.state_dict()) == keys
    assert [type(module) for module in model.modules()] == modules
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_copied_model_is_free_and_equal() -> None:
    model = new_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ns.attach(model, optimizer, METHODS["surgery"])
    train(model, optimizer, 12)
    twin = copy.deepcopy(model)
    assert same(twin.state_dict(), model.state_dict())
    frozen = copy.deepcopy(twin.state_dict())
    train(model, optimizer, 5, first=12)
    assert same(twin.state_dict(), frozen)
    own = torch.optim.SGD(twin.parameters(), lr=0.1)
    ns.attach(twin, own, METHODS["surgery"])
    train(twin, own, 3)


def test_all_connections_kept_trains_exactly_like_no_operation() -> None:
    plain, operated = new_net(), new_net()
    optimizers = [OPTIMIZERS["momentum"](model.parameters()) for model in (plain, operated)]
    ns.attach(operated, optimizers[1], ns.Surgery(density=1.0, steps=20, interval=1))
    for model, optimizer in zip((plain, operated), optimizers, strict=True):
        train(model, optimizer, 15)
    assert same(plain.state_dict(), operated.state_dict())


def test_several_parameter_groups_with_their_own_learning_rates() -> None:
    model = new_net()
    optimizer = torch.optim.SGD(
        [{"params": model.features.parameters(), "lr": 0.0}, {"params": model.head.parameters()}], lr=0.1
    )
    before = model.features[0].weight.detach().clone()
    operation = ns.attach(model, optimizer, METHODS["surgery"])
    train(model, optimizer, 20)
    kept = operation.masks["features.0.weight"]
    assert torch.equal(model.features[0].weight[kept], before[kept])


def test_gradient_accumulation_counts_optimizer_steps_only() -> None:
    model = new_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    operation = ns.attach(model, optimizer, METHODS["surgery"])
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            model(torch.randn(2, 2, 6, 6)).square().mean().backward()
        optimizer.step()
    assert operation.step == 3


def test_a_step_that_gradscaler_skips_does_not_count() -> None:
    model = new_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    operation = ns.attach(model, optimizer, METHODS["surgery"])
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    for step, poison in enumerate([False, True, False]):
        optimizer.zero_grad()
        loss = model(torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(step))).square().mean()
        scaler.scale(loss * (float("inf") if poison else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()
    assert operation.step == 2
    assert all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())


def test_a_closure_meets_effective_weights() -> None:
    model = new_net()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
    operation = ns.attach(model, optimizer, ns.NaiveCut(density=0.3))
    x, calls = torch.randn(8, 2, 6, 6), []

    def closure() -> Tensor:
        calls.append(sum(int(mask.sum()) for mask in non_zero(model).values()))
        optimizer.zero_grad()
        loss = (model(x) - 1).square().mean()
        loss.backward()
        return loss

    untouched = 12  # weights and biases of the batch norm
    for _ in range(3):
        optimizer.step(closure)
    assert len(calls) > 3
    assert max(calls) <= sum(row.kept for row in operation.report()) + untouched
    assert operation.step == 3


def test_tied_weights_are_operated_on_once_and_stay_tied() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Linear(8, 8)
            self.decoder = nn.Linear(8, 8)
            self.decoder.weight = self.encoder.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.decoder(self.encoder(x))

    for pattern in ("encoder", "decoder", "*"):
        model = Tied()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        operation = ns.attach(model, optimizer, ns.Stage(method=ns.NaiveCut(density=0.25), layers=(pattern,)))
        assert [row.name for row in operation.report() if row.shape == (8, 8)] == ["encoder.weight"]
        assert model.decoder.weight is model.encoder.weight
        assert bool((model.decoder.weight == 0).any())


def test_bfloat16_weights_keep_their_type_and_reach_the_density() -> None:
    model = new_net().to(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    operation = ns.attach(model, optimizer, METHODS["surgery"])
    train(model, optimizer, 20)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert operation.density == pytest.approx(0.2, abs=0.005)


def test_channels_last_weights_give_the_same_masks_and_keep_their_layout() -> None:
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        model = new_net().to(memory_format=layout)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        operation = ns.attach(model, optimizer, ns.Surgery(density=0.3, steps=10, ramp=0.0, interval=1))
        train(model, optimizer, 4)
        assert model.features[0].weight.is_contiguous(memory_format=layout)
        results.append({name: mask.clone() for name, mask in operation.masks.items()})
    assert same(*results)


def test_what_is_frozen_is_decided_by_attach() -> None:
    """As docs/what-is-operated-on.md says: freezing a weight later doesn't take it out of the operation."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 5))
    model[1].weight.requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    operation = ns.attach(model, optimizer, ns.Plan.of(ns.Surgery(density=0.2, steps=6, interval=1)))
    model[1].weight.requires_grad_(True)
    for step in range(6):
        model[0].weight.requires_grad_(step == 0)
        optimizer.zero_grad()
        model(torch.randn(4, 20)).square().mean().backward()
        optimizer.step()
    operation.finish()
    assert (model[0].weight != 0).float().mean() < 0.25
    assert (model[1].weight != 0).all()


def test_frozen_weights_are_left_alone() -> None:
    model = new_net()
    model.head.requires_grad_(False)
    before = copy.deepcopy(model.head.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    operation = ns.attach(model, optimizer, METHODS["naive-cut"])
    assert set(operation.masks) == {"features.0.weight", "features.0.bias"}
    assert same(model.head.state_dict(), before)


def test_what_the_user_does_to_kept_weights_between_steps_stays_done() -> None:
    model = nn.Linear(6, 4, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    operation = ns.attach(model, optimizer, ns.NaiveCut(density=0.5))
    with torch.no_grad():
        model.weight.clamp_(-0.01, 0.01)
    model.weight.grad = torch.zeros_like(model.weight)
    optimizer.step()
    assert float(model.weight.detach().abs().max()) <= 0.01
    assert operation.step == 1


def test_stages_begin_at_their_step_and_part_the_layers() -> None:
    model = new_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    plan = ns.Plan.convolutions_first(ns.NaiveCut(density=0.5), ns.NaiveCut(density=0.25), switch=3)
    operation = ns.attach(model, optimizer, plan)
    for step in range(5):
        assert bool((model.features[0].weight == 0).any())
        assert bool((model.head.weight == 0).any()) == (step >= 3)
        train(model, optimizer, 1, first=step)
    convolution, head = operation.report()[:2], operation.report()[2:]
    assert sum(row.kept for row in convolution) == round(0.5 * (6 * 2 * 9 + 6))
    assert sum(row.kept for row in head) == round(0.25 * (3 * 6 + 3))


def test_finishing_early_warns_and_says_how_far_it_came() -> None:
    model = new_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    operation = ns.attach(model, optimizer, METHODS["surgery"])
    train(model, optimizer, 4)
    with pytest.warns(ns.errors.UnfinishedWarning, match="step 4 of 14"):
        operation.finish()
    operation.finish()  # a second time is harmless


def test_after_detach_the_optimizer_is_as_it_was() -> None:
    model = new_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    operation = ns.attach(model, optimizer, METHODS["naive-cut"])
    operation.detach()
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    train(model, optimizer, 3)
    assert all(bool(mask.all()) for mask in non_zero(model).values())
    with pytest.raises(ns.errors.AttachmentError, match="was detached"):
        operation.finish()
    ns.attach(model, optimizer, METHODS["naive-cut"])


def test_a_step_that_fails_leaves_no_latent_weights_behind() -> None:
    model = new_net()
    optimizer = Failing(model.parameters(), lr=0.05)
    operation = ns.attach(model, optimizer, METHODS["surgery"])
    train(model, optimizer, 12)
    before = copy.deepcopy(model.state_dict())
    optimizer.fail = True
    with pytest.raises(KeyboardInterrupt):
        optimizer.step()
    operation.state_dict()
    assert same(model.state_dict(), before)
    optimizer.fail = False
    train(model, optimizer, 8, first=12)
    assert operation.density == pytest.approx(0.2, abs=0.005)


def test_a_subclass_that_calls_its_parents_step_is_one_step() -> None:
    class Outer(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            return super().step(closure)

    torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)  # torch hooks the step of each class that was ever made
    results = []
    for kind in (torch.optim.SGD, Outer):
        model = new_net()
        optimizer = kind(model.parameters(), lr=0.05, momentum=0.9)
        operation = ns.attach(model, optimizer, METHODS["surgery"])
        train(model, optimizer, 20)
        assert operation.step == 20
        results.append(model.state_dict())
    assert same(*results)


def test_infinite_gradients_that_a_fused_optimizer_skips_do_not_count() -> None:
    model = new_net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)
    operation = ns.attach(model, optimizer, METHODS["surgery"])
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    for poison in (True, False, False, False):
        before = copy.deepcopy(dict(model.named_parameters()))
        optimizer.zero_grad()
        scaler.scale(model(torch.randn(2, 2, 6, 6)).square().mean() * (float("inf") if poison else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()
        assert all(torch.equal(before[name], p) for name, p in model.named_parameters()) == poison
    assert operation.step == 3


def test_a_closure_that_raises_leaves_effective_weights() -> None:
    model = new_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    ns.attach(model, optimizer, METHODS["surgery"])
    train(model, optimizer, 12)
    before = copy.deepcopy(model.state_dict())

    def closure() -> float:
        raise RuntimeError("out of data")

    with pytest.raises(RuntimeError, match="out of data"):
        optimizer.step(closure)
    assert same(model.state_dict(), before)


def test_a_dense_checkpoint_loaded_meanwhile_does_not_reach_the_latent_weights() -> None:
    model = nn.Linear(8, 4, bias=False)
    dense = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    operation = ns.attach(model, optimizer, ns.ThresholdSurgery(c_rate=0.5, gamma=0.0))
    assert not bool(operation.masks["weight"].all())
    model.load_state_dict(dense)
    model.weight.grad = torch.zeros_like(model.weight)
    optimizer.step()
    latent = operation.state_dict()["stages"][0]["weights"]["weight"]
    assert torch.equal(latent, dense["weight"])


def test_bfloat16_latent_weights_follow_the_optimizer() -> None:
    torch.manual_seed(0)
    model = nn.Linear(40, 40, bias=False).to(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.1, steps=100, ramp=0.0, interval=1, splicing=1.0))
    model.weight.grad = torch.ones_like(model.weight)
    optimizer.step()

    def latent() -> Tensor:
        return operation.state_dict()["stages"][0]["weights"]["weight"]

    before = latent()
    optimizer.step()
    assert float((latent() != before).float().mean()) > 0.9


@pytest.mark.filterwarnings("ignore::netsurgery.errors.UnfinishedWarning")
@pytest.mark.parametrize("method", [ns.ThresholdSurgery(), ns.NaiveCut(density=0.5), ns.HanPruning(), ns.Surgery(0.5)])
def test_a_run_that_diverged_is_not_declared_finished(method: Method[Any]) -> None:
    model = new_net()
    operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), method)
    model.head.weight.data[0, 0] = float("nan")
    with pytest.raises(ns.errors.NonFiniteWeightsError, match=r"head\.weight holds NaN"):
        operation.finish()


def test_surgery_without_ramp_and_splicing_still_cuts() -> None:
    model = new_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.1, steps=10, ramp=0.0, splicing=0.0))
    train(model, optimizer, 2)
    assert sum(row.kept for row in operation.report()) == round(0.1 * 135)


def test_parametrized_weights_are_left_alone() -> None:
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 5)), nn.Linear(5, 3))
    operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), METHODS["naive-cut"])
    assert set(operation.masks) == {"1.weight", "1.bias"}


def test_biases_of_recurrent_and_attention_layers_are_biases() -> None:
    model = nn.ModuleList([nn.LSTM(4, 3), nn.MultiheadAttention(4, 2, add_bias_kv=True)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    operation = ns.attach(model, optimizer, ns.NaiveCut(density=0.5, biases=False))
    assert not any("bias" in name for name in operation.masks)
    operation.detach()
    operation = ns.attach(model, optimizer, ns.NaiveCut(density=0.5))
    assert {"0.bias_ih_l0", "0.bias_hh_l0", "1.out_proj.bias", "1.in_proj_bias"} <= set(operation.masks)
    assert not {"1.bias_k", "1.bias_v"} & set(operation.masks)  # tokens that are attended to


@pytest.mark.parametrize(
    "method",
    [
        ns.NaiveCut(density=0.5, biases=False),
        ns.Surgery(density=0.5, steps=4, interval=1, biases=False),
        ns.ThresholdSurgery(c_rate=0.3, gamma=0.2, iter_stop=5, biases=False),
    ],
    ids=lambda method: type(method).__name__,
)
def test_a_layer_whose_only_own_parameter_is_a_bias_is_left_out_with_the_biases(method: Method[Any]) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    model[2].weight = model[0].weight  # tied
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    operation = ns.attach(model, optimizer, method)
    for _ in range(6):
        optimizer.zero_grad()
        model(torch.rand(3, 4)).square().mean().backward()
        optimizer.step()
    assert set(operation.masks) == {"0.weight"}
    operation.finish()
    assert [row.kept for row in operation.report()] == [int(model[0].weight.count_nonzero())]


def test_the_step_after_one_that_failed_counts_and_hides_as_ever() -> None:
    model = new_net()
    optimizer = Failing(model.parameters(), lr=0.05)
    operation = ns.attach(model, optimizer, METHODS["surgery"])
    for step in range(20):
        optimizer.fail = step == 10
        if optimizer.fail:
            with pytest.raises(KeyboardInterrupt):
                train(model, optimizer, 1, first=step)
        else:
            train(model, optimizer, 1, first=step)
    assert operation.step == 19
    assert sum(row.kept for row in operation.report()) == round(0.2 * 135)
    for name, mask in operation.masks.items():
        assert not bool((dict(model.named_parameters())[name] != 0)[~mask].any())


class TestRefusals:
    """Bad input gets a typed error, and nothing is half attached."""

    @staticmethod
    def refused(
        error: type[Exception], match: str, plan: Any, model: nn.Module | None = None, owned: Any = None
    ) -> None:
        model = model or new_net()
        optimizer = torch.optim.SGD(list(model.parameters()) if owned is None else owned, lr=0.1)
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(error, match=match) as caught:
            ns.attach(model, optimizer, plan)
        assert isinstance(caught.value, ns.NetsurgeryError)
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor.nan_to_num(), before[name].nan_to_num())
        assert not optimizer._optimizer_step_pre_hooks
        assert not optimizer._optimizer_step_post_hooks

    def test_a_pattern_that_matches_no_layer(self) -> None:
        plan = ns.Stage(method=METHODS["naive-cut"], layers=("haed",))
        self.refused(ns.errors.LayerNotFoundError, r"'haed' matches no layer.*Did you mean 'head'\?", plan)

    def test_a_type_that_matches_no_layer(self) -> None:
        plan = ns.Stage(method=METHODS["naive-cut"], types=("Conv3d",))
        self.refused(ns.errors.LayerNotFoundError, "'Conv3d' matches no layer.*Conv2d", plan)

    def test_patterns_that_leave_nothing(self) -> None:
        plan = ns.Stage(method=METHODS["naive-cut"], layers=("head",), types=("Conv2d",))
        self.refused(ns.errors.LayerNotFoundError, "Stage 0 selects no layer", plan)

    def test_an_optimizer_that_does_not_own_the_weights(self) -> None:
        model = new_net()
        match = r"doesn't own features\.0\.weight, features\.0\.bias"
        self.refused(ns.errors.OptimizerError, match, METHODS["naive-cut"], model, list(model.head.parameters()))

    def test_an_optimizer_of_matrices_alone_is_told_of_biases(self) -> None:
        model = new_net()
        matrices = [parameter for parameter in model.parameters() if parameter.dim() >= 2]
        match = r"doesn't own features\.0\.bias, head\.bias.*biases=False"
        self.refused(ns.errors.OptimizerError, match, METHODS["naive-cut"], model, matrices)
        ns.attach(model, torch.optim.SGD(matrices, lr=0.1), ns.NaiveCut(density=0.5, biases=False))

    def test_something_that_is_no_optimizer(self) -> None:
        model = new_net()
        with pytest.raises(ns.errors.OptimizerError, match="list of optimizers is empty"):
            ns.attach(model, [], METHODS["naive-cut"])  # type: ignore[arg-type]

    def test_weights_that_are_nan_or_infinite(self) -> None:
        for value in (float("nan"), float("inf")):
            model = new_net()
            model.head.weight.data[1, 2] = value
            self.refused(ns.errors.NonFiniteWeightsError, r"head\.weight holds NaN", METHODS["naive-cut"], model)

    def test_a_second_operation_on_the_same_weights(self) -> None:
        model = new_net()
        first = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.Surgery(density=0.9))
        match = r"Another operation already holds features\.0\.weight"
        self.refused(ns.errors.AttachmentError, match, METHODS["naive-cut"], model)
        first.detach()

    def test_two_stages_that_want_the_same_tensor(self) -> None:
        plan = ns.Plan((ns.Stage(method=METHODS["surgery"]), ns.Stage(method=METHODS["naive-cut"], layers=("head",))))
        self.refused(ns.errors.PlanError, r"Stages 0 and 1 both operate on head\.weight", plan)

    def test_another_stage_on_weights_that_are_sketched(self) -> None:
        cut, sketch = ns.NaiveCut(density=0.5), ns.Sketching(steps=5)
        for first, second in ((cut, sketch), (sketch, cut), (sketch, sketch)):
            plan = ns.Plan((ns.Stage(method=first), ns.Stage(method=second, layers=("head",), start=5)))
            self.refused(ns.errors.PlanError, r"on head\.weight, and 'sketching' shares its tensors with no", plan)

    def test_something_that_is_no_plan(self) -> None:
        self.refused(ns.errors.PlanError, r"0\.1 is not a plan", 0.1)

    def test_a_model_whose_weights_are_all_frozen(self) -> None:
        model = new_net().requires_grad_(False)
        owned = [nn.Parameter(torch.ones(1))]
        match = r"There are: none \(.*left alone are features\.0\.weight.* and 3 more \(frozen"
        self.refused(ns.errors.LayerNotFoundError, match, METHODS["naive-cut"], model, owned)

    def test_a_lazy_module_without_a_shape(self) -> None:
        model = nn.Sequential(nn.LazyLinear(3))
        optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
        with pytest.raises(ns.errors.LayerNotFoundError, match=r"0\.weight has no shape yet"):
            ns.attach(model, optimizer, METHODS["naive-cut"])

    def test_a_wrapper_that_is_no_real_optimizer(self) -> None:
        class Wrapper(torch.optim.Optimizer):
            def __init__(self, inner: torch.optim.Optimizer) -> None:
                self.param_groups = inner.param_groups

        model = new_net()
        before = copy.deepcopy(model.state_dict())
        wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.1))
        with pytest.raises(ns.errors.OptimizerError, match="Attach to the optimizer inside it"):
            ns.attach(model, wrapper, METHODS["naive-cut"])
        assert same(model.state_dict(), before)

    def test_something_that_is_no_model(self) -> None:
        model = new_net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with pytest.raises(ns.errors.AttachmentError, match=r"SGD is not a torch\.nn\.Module"):
            ns.attach(optimizer, model, METHODS["naive-cut"])  # type: ignore[arg-type]

    def test_a_model_that_is_converted_after_attach(self) -> None:
        model = new_net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        operation = ns.attach(model, optimizer, METHODS["surgery"])
        train(model, optimizer, 12)
        model.to(torch.bfloat16)
        before = copy.deepcopy(model.state_dict())
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        with pytest.raises(ns.errors.AttachmentError, match=r"torch\.bfloat16 on cpu since attach"):
            optimizer.step()
        assert same(model.state_dict(), before)
        operation.detach()

    def test_gradients_that_are_gone_when_the_step_is_over(self) -> None:
        class Freeing(torch.optim.SGD):
            def step(self, closure: Any = None) -> Any:
                super().step(closure)
                self.zero_grad()

        model = new_net()
        optimizer = Freeing(model.parameters(), lr=0.1)
        ns.attach(model, optimizer, ns.Surgery(density=0.5, steps=10, interval=1))
        with pytest.raises(ns.errors.OptimizerError, match="No weight has a gradient"):
            train(model, optimizer, 2)  # at the first one there may be gradients of before, which don't count

    def test_a_state_loaded_after_detach(self) -> None:
        model = new_net()
        operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), METHODS["naive-cut"])
        saved = operation.state_dict()
        operation.detach()
        with pytest.raises(ns.errors.AttachmentError, match="was detached"):
            operation.load_state_dict(saved)

    def test_a_state_of_another_plan_or_model(self) -> None:
        model = new_net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        operation = ns.attach(model, optimizer, METHODS["surgery"])
        train(model, optimizer, 3)
        good = operation.state_dict()
        before = copy.deepcopy(model.state_dict())
        stage = good["stages"][0]
        seen = stage["sensitivity"]
        floats = {name: mask.float() for name, mask in stage["masks"].items()}
        damaged: list[tuple[dict[str, Any], str]] = [
            ({"masks": {}}, "'masks' of the saved state lacks"),
            ({"masks": [1, 2]}, "'masks' of the saved state is a list"),
            ({"masks": {**stage["masks"], "other.weight": torch.ones(1)}}, "don't belong"),
            ({"masks": floats}, "torch.float32"),
            ({"pruned": {}}, "'pruned' of the saved state lacks"),
            ({"generator": torch.zeros(3)}, "in 'generator', expected the state of a torch.Generator"),
            ({"sensitivity": {}}, "'sensitivity' of the saved state lacks"),
            ({"sensitivity": {**seen, "outputs": {"nowhere": torch.ones(1)}}}, "'outputs' .* holds .'nowhere'"),
            ({"sensitivity": {**seen, "outputs": {"head.bias": torch.ones(1)}}}, r"in 'outputs' for head\.bias"),
            ({"sensitivity": {**seen, "window": 0}}, "0 in 'window', expected a whole number >= 1"),
            ({"sensitivity": {**seen, "total": 3.0}}, "3.0 in 'total', expected torch.float32"),
            ({"moves": {"means": {"head.weight": torch.ones(())}}}, "'means' .* don't belong"),
            ({"latent": None}, "None in 'latent', expected True or False"),
            ({"constants": {"nowhere": 1.0}}, "'constants' .* don't belong"),
            ({"dead": None}, "'dead' of the saved state is a NoneType"),
            ({"weights": {name: tensor * math.nan for name, tensor in stage["weights"].items()}}, "NaN or infinity in"),
            ({"sensitivity": {**seen, "total": torch.tensor(math.inf)}}, "NaN or infinity in 'total'"),
            ({"pruned": dict.fromkeys(stage["pruned"], -1)}, "-1 in 'pruned' .* expected a whole number >= 0"),
            ({"latent": torch.zeros(2)}, "in 'latent', expected True or False"),
        ]
        wrong: list[tuple[dict[str, Any], str]] = [
            ({}, "lacks"),
            ({**good, "version": 7}, "version 7"),
            ({**good, "plan": {"seed": 5}}, "belongs to the plan"),
            ({**good, "version": torch.zeros(2)}, "version tensor"),
            ({**good, "plan": {**good["plan"], "seed": torch.zeros(2)}}, "belongs to the plan"),
            ({**good, "step": "3"}, "step='3'"),
            ({**good, "step": -1}, "step=-1"),
            ({**good, "stages": [None]}, "stage 0 begins at step 0, and after 3 steps it lacks a state"),
            ({**good, "stages": None}, "not a list of 1"),
            ({**good, "stages": []}, "not a list of 1"),
            ({**good, "stages": [{}]}, "lacks"),
            *[({**good, "stages": [{**stage, **change}]}, match) for change, match in damaged],
        ]
        for state, match in wrong:
            with pytest.raises(ns.errors.StateError, match=match):
                operation.load_state_dict(state)
        assert same(model.state_dict(), before)


def test_the_state_is_one_weight_and_one_byte_per_connection() -> None:
    model = nn.Linear(300, 200)
    operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.Surgery(density=0.1))
    (running,) = operation._stages
    tensors = [*running.state.masks.values(), *running.state.latent.values()]
    assert sum(t.numel() * t.element_size() for t in tensors) == 5 * sum(p.numel() for p in model.parameters())


def test_printing_an_operation_gives_a_table() -> None:
    model = new_net()
    operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), METHODS["naive-cut"])
    lines = str(operation).splitlines()
    assert lines[5].split() == ["total", "27", "135", "20.00%"]
    assert lines[6:] == ["left alone: features.1.weight, features.1.bias (normalisation)"]


def test_a_model_that_holds_its_operation_can_be_copied_and_not_pickled() -> None:
    model = nn.Linear(4, 3)
    operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.NaiveCut(density=0.5))
    model.operation = operation
    copied = copy.deepcopy(model)
    assert copied.operation is operation
    assert torch.equal(copied.weight, model.weight)
    with pytest.raises(ns.errors.AttachmentError, match="can't be copied or pickled"):
        pickle.dumps(operation)


def test_an_operation_is_never_copied_beside_its_model() -> None:
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    operation = ns.attach(model, optimizer, ns.NaiveCut(density=0.5))
    all_three = (model, optimizer, operation)
    for copied in (copy.copy, copy.deepcopy):
        with pytest.raises(ns.errors.AttachmentError, match="attach the same plan where it is needed, as to copies"):
            copied(operation)
    for held in (all_three, [operation], {"operation": operation, "model": model}):
        with pytest.raises(ns.errors.AttachmentError, match="can't be copied"):
            copy.deepcopy(held)
    twin, its_optimizer = copy.deepcopy((model, optimizer))
    again = ns.attach(twin, its_optimizer, operation.plan)
    again.load_state_dict(operation.state_dict())
    its_optimizer.zero_grad()
    twin(torch.ones(2, 4)).sum().backward()
    its_optimizer.step()
    assert again.density == operation.density == (twin.weight.count_nonzero() + twin.bias.count_nonzero()) / 15
