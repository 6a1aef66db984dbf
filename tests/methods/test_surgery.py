"""Surgery by one number."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import netsurgery as ns
from netsurgery.methods import blocks
from netsurgery.methods.base import Layer
from netsurgery.methods.masking import MaskState


def layers_of(*values: list[float]) -> list[Layer]:
    return [Layer(f"l{i}", {f"l{i}.weight": torch.tensor(v, dtype=torch.float32)[None]}) for i, v in enumerate(values)]


def masks_of(state: MaskState) -> list[list[bool]]:
    return [mask.flatten().tolist() for mask in state.masks.values()]


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        x = torch.randn(8, 12, generator=generator)
        optimizer.zero_grad()
        (model(x) - x[:, :3] * 2).square().mean().backward()
        optimizer.step()


def small_model() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 3))


@pytest.mark.parametrize("density", [1.0, 0.5, 0.1, 0.013])
def test_density_is_reached_to_the_connection(density: float) -> None:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    operation = ns.attach(model, optimizer, ns.Surgery(density=density, steps=60, interval=7))
    train(model, optimizer, 60)
    total = sum(p.numel() for p in model.parameters())
    assert sum(row.kept for row in operation.report()) == max(1, round(density * total))


def test_density_falls_along_the_ramp_and_never_rises() -> None:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.05, steps=100, interval=1))
    seen = []
    for step in range(100):
        train(model, optimizer, 1, seed=step)
        seen.append(operation.density)
    assert seen == sorted(seen, reverse=True)
    assert seen[24] == pytest.approx(0.05**0.75, abs=0.005)
    assert seen[49] == seen[-1] == pytest.approx(0.05, abs=0.005)


def test_connections_come_back_and_masks_are_fixed_after_splicing() -> None:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    operation = ns.attach(
        model, optimizer, ns.Surgery(density=0.2, steps=200, interval=1, hysteresis=1.0, latent_speed=1)
    )
    train(model, optimizer, 140)
    assert sum(row.spliced_total for row in operation.report()) > 0
    fixed = {name: mask.clone() for name, mask in operation.masks.items()}
    train(model, optimizer, 60, seed=1)
    assert all(torch.equal(mask, fixed[name]) for name, mask in operation.masks.items())


def ranked(layers: list[Layer], gradient: float = 1.0, **settings: float) -> tuple[MaskState, list[list[bool]]]:
    """State and masks after the first refresh, with the same gradient everywhere."""
    for layer in layers:
        for tensor in layer.tensors.values():
            tensor.grad = torch.full_like(tensor, gradient)
    method = ns.Surgery(**{"density": 0.5, "steps": 10, "ramp": 0.0, "interval": 1, **settings})
    state = method.init(layers, seed=0)
    method.update(state, layers, 1)
    return state, masks_of(state)


def test_kept_connections_rank_hysteresis_times_higher() -> None:
    layers = layers_of([4.0, 3.0, 2.0, 1.0])
    method = ns.Surgery(density=0.5, steps=10, ramp=0.0, hysteresis=2.0)
    state, _ = ranked(layers, hysteresis=2.0)
    state.masks["l0.weight"].copy_(torch.tensor([[True, False, True, False]]))
    layers[0].tensors["l0.weight"].copy_(torch.tensor([[4.0, 3.0, 2.0, 1.0]]))
    ((_, _, mask),) = method.refreshed(state, layers, step=2)
    assert mask.tolist() == [[True, False, True, False]]  # 3 pruned < 2 * 2 kept
    layers[0].tensors["l0.weight"].copy_(torch.tensor([[4.0, 9.0, 1.5, 1.0]]))
    ((_, _, mask),) = method.refreshed(state, layers, step=2)
    # 9 pruned would be 9 / sqrt(4.27² + 9²) of its filter; kept is 1.5 / 4.27, which counts 2 times
    assert mask.tolist() == [[True, True, False, False]]


def test_layers_are_ranked_by_saliency_whatever_their_scale() -> None:
    """A layer with weights 1000 times smaller and gradients 1000 times larger is the same layer."""
    large, small = layers_of([1.0, 2.0, 3.0, 4.0], [1.5, 2.5, 3.5, 0.5])
    for layer, factor in ((large, 1.0), (small, 1e-3)):
        for tensor in layer.tensors.values():
            tensor.mul_(factor)
            tensor.grad = torch.ones_like(tensor) / factor
    method = ns.Surgery(density=0.5, steps=10, ramp=0.0, interval=1)
    state = method.init([large, small], seed=0)
    method.update(state, [large, small], 1)
    assert masks_of(state) == [[False, False, True, True], [False, True, True, False]]


def test_connections_from_inputs_that_are_always_zero_go_first() -> None:
    torch.manual_seed(0)
    model = nn.Linear(12, 3)
    model.weight.data.fill_(0.1)
    model.weight.data[:, :6] = 9.0  # large, but their inputs are never anything but zero
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    ns.attach(model, optimizer, ns.Surgery(density=0.5, steps=40, interval=2))
    for _ in range(40):
        x = torch.randn(8, 12)
        x[:, :6] = 0
        optimizer.zero_grad()
        (model(x) - 1).square().mean().backward()
        optimizer.step()
    assert model.weight[:, :6].count_nonzero() == 0
    assert model.weight[:, 6:].count_nonzero() > 12


def test_pruned_connections_follow_the_optimizer_at_latent_speed() -> None:
    for speed in (0.0, 0.25, 1.0):
        model = nn.Linear(2, 1, bias=False)
        model.weight.data = torch.tensor([[2.0, 1.0]])
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        plan = ns.Surgery(density=0.5, steps=100, ramp=0.0, interval=3, latent_speed=speed)
        operation = ns.attach(model, optimizer, plan)
        model.weight.grad = torch.zeros(1, 2)  # no saliency anywhere: the first connection is kept
        for _ in range(3):
            optimizer.step()
        assert model.weight.tolist() == [[2.0, 0.0]]
        model.weight.grad = torch.tensor([[0.25, 0.25]])
        optimizer.step()
        assert model.weight.tolist() == [[1.75, 0.0]]
        latent = operation.state_dict()["stages"][0]["weights"]["weight"]
        assert latent.tolist() == [[1.75, -speed * 0.25]]  # it began at 0 when it was pruned


def test_equal_bfloat16_weights_are_cut_to_the_exact_count() -> None:
    model = nn.Linear(64, 64, bias=False).to(torch.bfloat16)
    model.weight.data.fill_(0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.1, steps=10, ramp=0.0, interval=1))
    model.weight.grad = torch.ones_like(model.weight)  # not before: what was there when attached isn't learnt from
    optimizer.step()
    assert sum(row.kept for row in operation.report()) == round(0.1 * 64 * 64)


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def kept() -> list[list[bool]]:
        layers = [Layer("a", {"a.weight": torch.arange(60.0).sin().view(10, 3, 2)})]
        return ranked(layers, density=0.3)[1]

    whole = kept()
    monkeypatch.setattr(blocks, "ROW_BLOCK", 7)
    assert kept() == whole


def test_a_layer_of_zeros_is_pruned_first_and_breaks_nothing() -> None:
    assert ranked(layers_of([0.0, 0.0], [1.0, -2.0]))[1] == [[False, False], [True, True]]


def test_without_any_gradient_the_count_is_still_exact() -> None:
    _, masks = ranked(layers_of([1.0, 2.0], [3.0, 4.0, 5.0, 6.0]), gradient=0.0)
    assert sum(sum(mask) for mask in masks) == 3


def test_weights_that_become_nan_are_named() -> None:
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ns.attach(model, optimizer, ns.Surgery(density=0.5, steps=100, interval=1))
    model.get_submodule("2").weight.data[0, 0] = float("nan")
    with pytest.raises(ns.errors.NonFiniteWeightsError, match="weight holds NaN or infinity while training"):
        train(model, optimizer, 1)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("density", 0),
        ("density", 1.01),
        ("density", -0.1),
        ("density", float("nan")),
        ("density", "0.1"),
        ("density", True),
        ("steps", 0),
        ("steps", 1.5),
        ("ramp", 0.8),
        ("ramp", -0.1),
        ("splicing", 1.1),
        ("interval", 0),
        ("hysteresis", 0.9),
        ("latent_speed", 1.1),
        ("concentration", -0.1),
        ("concentration", 17),
        ("uses", 3.0),
        ("uses", ("conv1", 3.0)),
        ("uses", (("conv1", 0),)),
        ("uses", (("conv1", float("inf")),)),
        ("uses", (("conv1", 1, 2),)),
        ("uses", ((1, 2),)),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(ns.errors.SettingError, match=rf"{setting}=.* is not allowed"):
        ns.Surgery(**{"density": 0.1, setting: value})


def cut_model(density: float) -> tuple[nn.Sequential, dict[str, torch.Tensor]]:
    """A network that an operation has pruned before, and which of its connections are left."""
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    operation = ns.attach(model, optimizer, ns.Surgery(density=density, steps=40, interval=2))
    train(model, optimizer, 40)
    operation.finish()
    operation.detach()
    return model, {name: parameter != 0 for name, parameter in model.named_parameters()}


def test_a_warm_start_leaves_what_is_pruned_pruned_until_masks_are_refreshed() -> None:
    model, left = cut_model(0.2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.05, steps=200, interval=20, warm_start=True))
    assert all(torch.equal(parameter != 0, left[name]) for name, parameter in model.named_parameters())
    before = operation.density
    train(model, optimizer, 1)  # the first refresh comes at step 1
    assert operation.density == pytest.approx(before, rel=0.1)


def test_a_warm_start_ramps_from_the_density_that_is_left() -> None:
    model, left = cut_model(0.2)
    total = sum(mask.numel() for mask in left.values())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.05, steps=100, interval=1, warm_start=True))
    start, seen = sum(int(mask.sum()) for mask in left.values()) / total, []
    for step in range(100):
        train(model, optimizer, 1, seed=step)
        seen.append(operation.density)
    assert seen == sorted(seen, reverse=True)
    assert seen[24] == pytest.approx(start * (0.05 / start) ** 0.75, abs=0.005)
    assert seen[-1] == pytest.approx(0.05, abs=0.005)


def test_a_warm_start_may_end_denser_and_what_was_pruned_comes_back() -> None:
    model, _ = cut_model(0.1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    operation = ns.attach(model, optimizer, ns.Surgery(density=0.3, steps=100, interval=1, warm_start=True))
    train(model, optimizer, 100)
    operation.finish()
    assert operation.density == pytest.approx(0.3, abs=0.005)
    assert sum(row.spliced_total for row in operation.report()) > 0


def test_a_warm_start_resumes_to_the_same_bits() -> None:
    method = ns.Surgery(density=0.05, steps=60, interval=3, warm_start=True)

    def begun() -> tuple[nn.Module, torch.optim.Optimizer, ns.Operation]:
        model, _ = cut_model(0.3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        return model, optimizer, ns.attach(model, optimizer, method)

    straight, optimizer, _ = begun()
    train(straight, optimizer, 25)
    train(straight, optimizer, 35, seed=1)
    model, optimizer, operation = begun()
    train(model, optimizer, 25)
    saved = (model.state_dict(), operation.state_dict(), optimizer.state_dict())
    again, optimizer, operation = begun()
    again.load_state_dict(saved[0])
    operation.load_state_dict(saved[1])
    optimizer.load_state_dict(saved[2])
    train(again, optimizer, 35, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), again.parameters(), strict=True))


def twins() -> nn.Sequential:
    """Two layers that are alike in all, so that a common ranking cuts them alike."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 16, bias=False), nn.Linear(16, 16, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(model[0].weight.T)
    return model


def kept_by(uses: tuple[tuple[str, float], ...], scale: float = 1.0) -> list[torch.Tensor]:
    model = twins()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    method = ns.Surgery(0.3, steps=60, interval=5, uses=tuple((name, scale * count) for name, count in uses))
    operation = ns.attach(model, optimizer, method)
    generator = torch.Generator().manual_seed(1)
    for _ in range(60):
        x = torch.randn(32, 16, generator=generator)
        optimizer.zero_grad()
        (model(x) - x).square().mean().backward()
        optimizer.step()
    operation.finish()
    return [operation.masks[name].clone() for name in ("0.weight", "1.weight")]


def test_layers_whose_connections_are_used_more_often_keep_fewer_at_the_same_total() -> None:
    plain = [int(mask.sum()) for mask in kept_by(())]
    fewer_first = [int(mask.sum()) for mask in kept_by((("0", 16), ("1", 1)))]
    fewer_second = [int(mask.sum()) for mask in kept_by((("0", 1), ("1", 16)))]
    assert sum(plain) == sum(fewer_first) == sum(fewer_second)
    assert fewer_first[0] < plain[0] < fewer_second[0]


@given(power=st.integers(-8, 8))
@settings(max_examples=4, deadline=None)
def test_only_proportions_of_uses_count(power: int) -> None:
    once = kept_by((("0", 16), ("1", 1)))
    often = kept_by((("0", 16), ("1", 1)), scale=4.0**power)  # whose root is a power of two: the same bits
    assert all(torch.equal(one, other) for one, other in zip(once, often, strict=True))


def test_uses_survive_toml() -> None:
    plan = ns.Plan.of(ns.Surgery(0.1, uses=(("features.0", 576), ("head", 1.5))))
    assert ns.Plan.from_toml(plan.to_toml()) == plan


def test_a_layer_that_uses_leaves_out_is_named() -> None:
    model = twins()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with pytest.warns(ns.errors.UnnamedLayerWarning, match="1 of 2 layers, and not '1'"):
        ns.attach(model, optimizer, ns.Surgery(0.3, steps=60, uses=(("0", 16),)))
