"""The paper's own rule, against a step-by-step reference that is written straight from equations 1 to 3."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import netsurgery as ns
from netsurgery.methods.base import Layer


class PaperReference:
    """One fully connected layer y = (T * W) x + (Tb * b), operated on as the paper says, in NumPy, step by step."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray, c_rate: float, iter_stop: int) -> None:
        self.parts = [weight.copy(), bias.copy()]
        self.masks = [np.ones(part.shape) for part in self.parts]
        self.speed = [np.zeros(part.shape) for part in self.parts]
        both = np.concatenate([part.ravel() for part in self.parts])
        mu = np.abs(both).mean()
        std = np.sqrt((both**2).mean() - mu**2)
        threshold = max(mu + c_rate * std, 0.0)
        self.a, self.b = 0.9 * threshold, 1.1 * threshold
        self.iter_stop = iter_stop
        self.step = 0
        self.refresh()

    def refresh(self) -> None:
        if self.step >= self.iter_stop:
            return
        for part, mask in zip(self.parts, self.masks, strict=True):
            for index in np.ndindex(part.shape):
                if mask[index] == 1 and abs(part[index]) <= self.a:
                    mask[index] = 0
                elif mask[index] == 0 and abs(part[index]) > self.b:
                    mask[index] = 1

    def train(self, x: np.ndarray, target: np.ndarray, lr: float, momentum: float, decay: float) -> None:
        (w, b), (tw, tb) = self.parts, self.masks
        error = 2 * (x @ (w * tw).T + b * tb - target) / target.size
        gradients = [error.T @ x, error.sum(axis=0)]  # at the effective weights, for every entry
        for part, gradient, speed in zip(self.parts, gradients, self.speed, strict=True):
            speed *= momentum
            speed += gradient + decay * part
            part -= lr * speed
        self.step += 1
        self.refresh()

    def effective(self) -> list[np.ndarray]:
        return [part * mask for part, mask in zip(self.parts, self.masks, strict=True)]


@pytest.mark.parametrize("c_rate", [-1.0, 0.0, 0.4, 1.0])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_every_step_equals_the_reference(c_rate: float, momentum: float) -> None:
    rng = np.random.default_rng(5)
    weight, bias = rng.normal(size=(6, 9)), rng.normal(size=6)
    model = nn.Linear(9, 6).double()
    model.weight.data, model.bias.data = torch.from_numpy(weight.copy()), torch.from_numpy(bias.copy())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=momentum, weight_decay=1e-3)
    # gamma 0: sigma is 1 at every step, nothing is left to chance
    operation = ns.attach(model, optimizer, ns.ThresholdSurgery(c_rate=c_rate, gamma=0.0, iter_stop=40))
    reference = PaperReference(weight, bias, c_rate, iter_stop=40)
    spliced = 0
    for _ in range(60):
        x = rng.normal(size=(4, 9))
        target = x @ rng.normal(size=(9, 6)) * 0.3
        before = [mask.copy() for mask in reference.masks]
        reference.train(x, target, lr=0.3, momentum=momentum, decay=1e-3)
        optimizer.zero_grad()
        (model(torch.from_numpy(x)) - torch.from_numpy(target)).square().mean().backward()
        optimizer.step()
        spliced += sum(int((now > old).sum()) for now, old in zip(reference.masks, before, strict=True))
        for parameter, mask, expected in zip(model.parameters(), reference.masks, reference.effective(), strict=True):
            # 60 steps of a few dozen additions in float64: far below 1e-12
            np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=0, atol=1e-12)
            assert ((parameter.detach().numpy() != 0) == (mask == 1)).all()
    assert sum(row.spliced_total for row in operation.report()) == spliced
    if c_rate == 0.4:
        assert spliced > 0  # the case above does exercise splicing


def test_a_kept_weight_is_pruned_at_a_and_a_pruned_one_comes_back_only_above_b() -> None:
    method = ns.ThresholdSurgery(c_rate=0.0)  # t = mu = 1 for the weights below
    weight = torch.tensor([[0.5, 1.5, 0.75, 1.25]], dtype=torch.float64)
    layers = [Layer("l", {"l.weight": weight})]
    state = method.init(layers, seed=0)
    a, b = 1.0 * (1 - 0.1), 1.0 * (1 + 0.1)
    assert state.constants["l"] == 1.0
    weight.copy_(torch.tensor([[a, np.nextafter(a, 2), -a, -np.nextafter(a, 2)]]))
    ((_, _, kept_before),) = method.refreshed(state, layers, step=0)
    assert kept_before.tolist() == [[False, True, False, True]]
    state.masks["l.weight"].zero_()
    weight.copy_(torch.tensor([[b, np.nextafter(b, 2), -b, -np.nextafter(b, 2)]]))
    ((_, _, pruned_before),) = method.refreshed(state, layers, step=0)
    assert pruned_before.tolist() == [[False, True, False, True]]
    between = torch.tensor([[True, False, True, False]])
    state.masks["l.weight"].copy_(between)
    weight.copy_(torch.tensor([[1.0, 1.0, -1.0, -1.0]]))
    ((_, _, unchanged),) = method.refreshed(state, layers, step=0)
    assert torch.equal(unchanged, between)


def test_the_threshold_is_measured_over_weights_and_biases_together_and_never_negative() -> None:
    weight, bias = torch.tensor([[1.0, -2.0, 3.0]]), torch.tensor([-6.0])
    layer = Layer("l", {"l.weight": weight, "l.bias": bias})
    magnitudes = np.array([1.0, 2.0, 3.0, 6.0])
    expected = magnitudes.mean() + 2.0 * np.sqrt((magnitudes**2).mean() - magnitudes.mean() ** 2)
    assert ns.ThresholdSurgery(c_rate=2.0).measure(layer) == pytest.approx(expected, rel=1e-12)
    assert ns.ThresholdSurgery(c_rate=-100.0).measure(layer) == 0.0


def test_masks_are_refreshed_with_probability_sigma_and_never_from_iter_stop_on() -> None:
    method = ns.ThresholdSurgery(gamma=0.01, power=1.0, iter_stop=2_000)
    layers = [Layer(str(i), {f"{i}.weight": torch.ones(1, 2)}) for i in range(4)]
    state = method.init(layers, seed=1)
    due = [len(method.due(state, layers, step)) for step in range(3_000)]
    assert due[0] == 4  # sigma(0) = 1
    assert sum(due[2_000:]) == 0
    expected = 4 * sum(1 / (1 + 0.01 * step) for step in range(2_000))
    assert sum(due) == pytest.approx(expected, abs=5 * expected**0.5)  # five standard deviations of a Poisson count
    state = method.init(layers, seed=1)
    assert [len(method.due(state, layers, step)) for step in range(3_000)] == due


def test_biases_can_be_left_alone() -> None:
    model = nn.Linear(10, 10)
    bias = model.bias.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    operation = ns.attach(model, optimizer, ns.ThresholdSurgery(c_rate=1.0, biases=False))
    assert set(operation.masks) == {"weight"}
    assert torch.equal(model.bias, bias)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("c_rate", float("inf")), ("gamma", -1), ("power", -0.5), ("iter_stop", 0), ("margin", 1.5)],
)
def test_a_setting_out_of_range_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(ns.errors.SettingError, match=rf"{setting}=.* is not allowed"):
        ns.ThresholdSurgery(**{setting: value})


def test_the_default_leaves_connections_of_weights_as_torch_draws_them_and_trains() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    operation = ns.attach(model, optimizer, ns.ThresholdSurgery())
    assert all(0.1 < row.kept / row.size < 0.5 for row in operation.report() if len(row.shape) > 1)
    x = torch.randn(256, 20)
    labels = (x[:, :3]).argmax(1)
    losses = []
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert 0.1 < operation.density < 0.6


def test_a_threshold_above_all_weights_of_a_layer_is_warned_of_when_it_cuts() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.warns(
        ns.errors.StarvedLayerWarning, match=r"c_rate=3 leaves no connection of 0\.weight, 2\.weight"
    ) as told:
        ns.attach(model, optimizer, ns.ThresholdSurgery(c_rate=3.0))
    assert told[0].filename == __file__
