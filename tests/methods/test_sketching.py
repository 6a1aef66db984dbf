"""Sketching while training: the network multiplies by sums of planes, the optimizer moves everything else."""

from __future__ import annotations

import contextlib
import copy
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.analysis.summary import summary_of
from netsurgery.methods.expansion import expand
from netsurgery.methods.expansion_in_place import Place, expand_in_place
from netsurgery.runtime.session import read_packed


def new_net(seed: int = 5) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 16, 7), nn.ReLU(), nn.Linear(7, 3))


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        images = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images.to(model[0].weight)), torch.tensor([0, 1, 2, 1])).backward()
        optimizer.step()


def operated(method: ns.Sketching, **options: Any) -> tuple[nn.Sequential, torch.optim.Optimizer, ns.Operation]:
    model = new_net()
    optimizer = torch.optim.SGD(model.parameters(), **{"lr": 0.05, "momentum": 0.9, **options})
    return model, optimizer, ns.attach(model, optimizer, method)


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters() if tensor.dim() > 1}


def latent_of(operation: ns.Operation) -> dict[str, Tensor]:
    return operation.state_dict()["stages"][0]["weights"]


def sketch_of(weight: Tensor, planes: int, refined: bool = True) -> Tensor:
    total = weight.flatten(1).contiguous().clone()
    scales, codes = total.new_empty(len(total), planes), torch.empty_like(total, dtype=torch.uint8)
    expand_in_place([Place(total, torch.empty_like(total), scales, codes)], refined)
    return total.view_as(weight)


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize("refined", [False, True])
@pytest.mark.parametrize("planes", [1, 3])
def test_each_step_moves_the_latent_weights_by_the_gradient_at_the_sketch_and_sketches_them_again(
    planes: int, refined: bool
) -> None:
    """Against the rule written out on a twin: w <- w - lr * dL/d(sketch of w)."""
    model, optimizer, operation = operated(ns.Sketching(planes, refined, steps=50), momentum=0.0)
    twin = new_net()
    latent = weights_of(twin)
    for step in range(4):
        with torch.no_grad():
            for name, tensor in twin.named_parameters():
                if name in latent:
                    tensor.copy_(sketch_of(latent[name], planes, refined))
        assert same(weights_of(model), weights_of(twin))
        train(model, optimizer, 1, first=step)
        plain = torch.optim.SGD(twin.parameters(), lr=0.05)
        train(twin, plain, 1, first=step)  # biases move; weights are overwritten above, with their gradient used here
        for name, tensor in twin.named_parameters():
            if name in latent:
                latent[name].add_(tensor.grad, alpha=-0.05)
    found = latent_of(operation)
    assert all(torch.allclose(found[name], latent[name], rtol=0, atol=1e-7) for name in latent)


def test_a_row_has_at_most_as_many_values_as_its_planes_have_sums_and_biases_are_left_alone() -> None:
    model, optimizer, _ = operated(ns.Sketching(planes=2, steps=50))
    biases = [layer.bias.detach().clone() for layer in model if hasattr(layer, "bias")]
    assert all(
        torch.equal(bias, layer.bias) for bias, layer in zip(biases, (model[0], model[3], model[5]), strict=True)
    )
    train(model, optimizer, 5)
    for weight in weights_of(model).values():
        assert all(len(row.unique()) <= 4 for row in weight.flatten(1))


def test_training_through_the_sketch_makes_good_what_sketching_has_cost() -> None:
    images = torch.randn(64, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    labels = (images.mean(dim=(1, 2, 3)) > 0).long()
    model = new_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    operation = ns.attach(model, optimizer, ns.Sketching(planes=1, steps=60))
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    operation.finish()
    assert losses[-1] < 0.3 * losses[0]


def test_between_two_sketches_the_network_stays_and_the_latent_weights_move() -> None:
    model, optimizer, operation = operated(ns.Sketching(planes=2, steps=50, interval=4))
    sketches, latents = [], []
    for step in range(9):
        sketches.append(weights_of(model))
        latents.append(latent_of(operation))
        train(model, optimizer, 1, first=step)
    for step in range(8):
        assert same(sketches[step], sketches[step + 1]) == ((step + 1) % 4 != 0)
        assert not same(latents[step], latents[step + 1])


def test_after_its_steps_the_sketch_stays_and_biases_train_on() -> None:
    model, optimizer, operation = operated(ns.Sketching(planes=2, steps=6, interval=4))
    train(model, optimizer, 5)
    before = weights_of(model)
    train(model, optimizer, 1, first=5)  # the last step sketches, whatever the interval
    fixed, bias = weights_of(model), model[0].bias.detach().clone()
    assert not same(before, fixed)
    assert not operation._stages[0].state.latent
    assert same(latent_of(operation), fixed)
    train(model, optimizer, 5, first=6)
    operation.finish()
    train(model, optimizer, 5, first=11)
    assert same(weights_of(model), fixed)
    assert not torch.equal(bias, model[0].bias)


def test_no_steps_are_one_sketch_at_once_without_a_warning() -> None:
    model, optimizer, operation = operated(ns.Sketching(planes=2, steps=0))
    dense, sketched = weights_of(new_net()), weights_of(model)
    for name, tensor in dense.items():
        expected = expand(tensor.flatten(1), 2, True).total.view(tensor.shape)
        torch.testing.assert_close(sketched[name], expected, rtol=1e-6, atol=1e-7)
    train(model, optimizer, 3)
    operation.finish()
    assert all(torch.equal(tensor, sketched[name]) for name, tensor in weights_of(model).items())


def test_finishing_early_fixes_the_sketch_and_warns() -> None:
    model, optimizer, operation = operated(ns.Sketching(planes=2, steps=50))
    train(model, optimizer, 3)
    fixed = weights_of(model)
    with pytest.warns(ns.errors.UnfinishedWarning):
        operation.finish()
    train(model, optimizer, 3, first=3)
    assert same(weights_of(model), fixed)


@pytest.mark.parametrize("stop", [9, 30])
def test_a_run_that_resumes_between_two_sketches_or_after_the_last_goes_on_bit_for_bit(stop: int) -> None:
    method = ns.Sketching(planes=3, steps=25, interval=4, sharing=4)
    straight, optimizer, operation = operated(method)
    train(straight, optimizer, stop)
    saved = copy.deepcopy((straight.state_dict(), optimizer.state_dict(), operation.state_dict()))
    train(straight, optimizer, 10, first=stop)
    for operation_first in (False, True):
        resumed = new_net(seed=99)
        optimizer = torch.optim.SGD(resumed.parameters(), lr=0.05, momentum=0.9)
        again = ns.attach(resumed, optimizer, method)
        optimizer.load_state_dict(copy.deepcopy(saved[1]))
        if operation_first:
            again.load_state_dict(saved[2])
        resumed.load_state_dict(saved[0])
        if not operation_first:
            again.load_state_dict(saved[2])
        train(resumed, optimizer, 10, first=stop)
        assert same(resumed.state_dict(), straight.state_dict())


def test_what_the_user_writes_between_steps_is_latent_and_the_rest_keeps_its_latent_weights() -> None:
    model, optimizer, operation = operated(ns.Sketching(planes=2, steps=50), lr=0.0)
    before = latent_of(operation)["3.weight"]
    with torch.no_grad():
        model[3].weight[2, :5] = 0.75
    train(model, optimizer, 1)
    after = latent_of(operation)["3.weight"]
    assert after[2, :5].tolist() == [0.75] * 5
    after[2, :5] = before[2, :5]
    assert torch.equal(after, before)


def by_data(weight: torch.nn.Parameter) -> None:
    weight.data[2, :5] = 0.75


def by_new_data(weight: torch.nn.Parameter) -> None:
    weight.data = torch.cat([weight.data[:2], torch.full_like(weight.data[2:3], 0.75), weight.data[3:]])


def by_numpy(weight: torch.nn.Parameter) -> None:
    weight.detach().numpy()[2, :5] = 0.75


@pytest.mark.parametrize("write", [by_data, by_new_data, by_numpy])
def test_what_is_written_behind_torchs_back_is_latent_too(write: Any) -> None:
    model, optimizer, operation = operated(ns.Sketching(planes=2, steps=50), lr=0.0)
    write(model[3].weight)
    train(model, optimizer, 1)
    assert latent_of(operation)["3.weight"][2, :5].tolist() == [0.75] * 5


def test_weights_that_cannot_be_sketched_leave_the_model_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4096, 2))
    with torch.no_grad():
        model[1].weight.fill_(1e38)  # finite, but their sum isn't
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ns.errors.NonFiniteWeightsError, match=r"1\.weight holds NaN, infinity or numbers close"):
        ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.Sketching())
    assert same(model.state_dict(), before)


def test_weights_that_are_swapped_out_and_back_keep_their_latent_weights() -> None:
    """As averaging of weights does for an evaluation."""
    model, optimizer, operation = operated(ns.Sketching(planes=2, steps=50))
    train(model, optimizer, 3)
    before, saved = latent_of(operation), copy.deepcopy(model.state_dict())
    model.load_state_dict(new_net(seed=8).state_dict())
    model.load_state_dict(saved)
    assert same(latent_of(operation), before)
    assert same(weights_of(model), {name: saved[name] for name in before})


def test_what_the_user_wrote_before_finish_is_sketched_too() -> None:
    model, _, operation = operated(ns.Sketching(planes=1, steps=50))
    with torch.no_grad():
        model[5].weight.copy_(torch.arange(21.0).view(3, 7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ns.errors.UnfinishedWarning)
        operation.finish()
    assert model[5].weight.tolist() == [[3.0] * 7, [10.0] * 7, [17.0] * 7]


def test_filters_that_share_scales_are_one_filter_and_the_last_ones_may_be_fewer() -> None:
    model = nn.Conv2d(3, 8, 3, bias=False)
    before = model.weight.detach().clone()
    ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.Sketching(planes=2, sharing=3))
    parts = [sketch_of(part.reshape(1, -1), 2).view_as(part) for part in before.split(3)]
    assert torch.equal(model.weight, torch.cat(parts))


def test_large_layers_are_sketched_in_blocks_with_the_same_result() -> None:
    model = nn.Linear(700, 600, bias=False)
    expected = sketch_of(model.weight.detach(), 3)
    ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.Sketching(planes=3))
    assert torch.equal(model.weight, expected)


@pytest.mark.parametrize("layout", ["channels last", "transposed"])
def test_any_layout_of_memory_is_kept_and_gives_the_same_planes(layout: str) -> None:
    model = nn.Conv2d(5, 8, 3, bias=False)
    before = model.weight.detach().clone()
    if layout == "channels last":
        model.to(memory_format=torch.channels_last)
    else:
        model.weight = nn.Parameter(before.transpose(0, 1).contiguous().transpose(0, 1))
    strides = model.weight.stride()
    ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.Sketching(planes=3))
    assert model.weight.stride() == strides
    expected = sketch_of(before, 3)
    torch.testing.assert_close(model.weight.detach(), expected, rtol=1e-6, atol=0)  # sums in another order


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_weights_of_other_types_hold_the_sum_rounded_to_their_type(dtype: torch.dtype) -> None:
    model = nn.Linear(60, 8, bias=False).to(dtype)
    before = model.weight.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    operation = ns.attach(model, optimizer, ns.Sketching(planes=2, steps=9))
    assert torch.equal(model.weight, expand(before.float(), 2).total.to(dtype))
    model.weight.grad = torch.ones_like(model.weight)
    optimizer.step()
    assert latent_of(operation)["weight"].dtype == dtype
    assert torch.equal(latent_of(operation)["weight"], before - torch.tensor(0.1, dtype=dtype))


def test_the_state_is_one_weight_and_one_byte_for_each_weight_and_the_scales() -> None:
    model = nn.Linear(300, 200)
    operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.Sketching(planes=3))
    state = operation._stages[0].state
    held = [tensor for part in (state.latent, state.codes, state.scales) for tensor in part.values()]
    assert sum(tensor.numel() * tensor.element_size() for tensor in held) == 5 * 300 * 200 + 4 * 200 * 3


class Conv1D(nn.Module):
    """As GPT-2's: a linear layer that holds its weight as (inputs, outputs)."""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) * 0.1)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight)


@pytest.mark.parametrize("sharing", [1, 4])
@pytest.mark.parametrize("transposed", [Conv1D(6, 40), nn.ConvTranspose2d(5, 6, 3, stride=2)], ids=["matrix", "conv"])
def test_filters_that_lie_along_another_dimension_are_sketched_as_those_along_the_first(
    transposed: nn.Module, sharing: int
) -> None:
    model = copy.deepcopy(transposed)
    plain = model.weight.detach().transpose(0, 1).flatten(1).clone()
    rows = nn.Linear(plain.shape[1], len(plain), bias=False)
    rows.weight.data.copy_(plain)
    method = ns.Sketching(planes=2, steps=4, sharing=sharing)
    for one in (model, rows):
        optimizer = torch.optim.SGD(one.parameters(), lr=0.1, momentum=0.9)
        operation = ns.attach(one, optimizer, method)
        for step in range(4):
            gradient = torch.randn(plain.shape, generator=torch.Generator().manual_seed(step))
            shape = one.weight.transpose(0, 1).shape if one is model else plain.shape
            one.weight.grad = gradient.view(shape).transpose(0, 1) if one is model else gradient
            optimizer.step()
            if step == 1:
                operation.load_state_dict(operation.state_dict())
        operation.finish()
        form = operation.encoded()["weight"]
        assert form is not None
        assert torch.equal(form.decoded(), one.weight)
    torch.testing.assert_close(model.weight.transpose(0, 1).flatten(1), rows.weight, rtol=1e-5, atol=1e-6)


def test_a_matrix_held_as_inputs_by_outputs_packs_as_planes(tmp_path: Path) -> None:
    model = nn.Sequential(Conv1D(30, 100), nn.ReLU(), nn.Linear(30, 5))
    operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.Sketching(planes=2, steps=0))
    operation.finish()
    ns.pack(model, tmp_path / "a.nsm", example_inputs=torch.randn(3, 100))
    tensors = {one.shape: one.encoding for one in summary_of(read_packed(tmp_path / "a.nsm")).tensors}
    assert tensors[30, 100] == "2 binary planes"


def test_states_of_before_filters_along_other_dimensions_load_where_there_are_none() -> None:
    for model, loads in ((nn.Linear(8, 6), True), (Conv1D(6, 6), False)):
        operation = ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.Sketching(steps=3))
        saved = operation.state_dict()
        del saved["stages"][0]["filter_dims"]
        before = model.weight.detach().clone()
        with contextlib.nullcontext() if loads else pytest.raises(ns.errors.StateError, match="filter_dims"):
            operation.load_state_dict(saved)
        assert torch.equal(model.weight, before)


def test_weights_that_diverge_while_training_are_named() -> None:
    model, optimizer, _ = operated(ns.Sketching(planes=2, steps=50))
    model[3].weight.grad = torch.full_like(model[3].weight, float("nan"))
    with pytest.raises(ns.errors.NonFiniteWeightsError, match=r"3\.weight holds NaN"):
        optimizer.step()


def test_a_sketched_network_packs_as_planes(tmp_path: Path) -> None:
    for planes in (1, 2, 3):
        model, optimizer, operation = operated(ns.Sketching(planes, steps=3))
        train(model, optimizer, 3)
        operation.finish()
        ns.pack(model, tmp_path / "model.nsm", example_inputs=torch.randn(2, 2, 6, 6))
        stored = ns.load(tmp_path / "model.nsm").packed.stored
        encodings = [how.encoding for how in stored.values() if how.shape == (7, 96)]
        assert encodings == [f"{planes} binary plane" + "s" * (planes > 1)]


def test_a_sketched_network_with_batch_norms_packs_as_planes_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3))
    model(torch.randn(8, 3, 9, 9))
    nn.init.normal_(model[1].weight)
    ns.attach(model, torch.optim.SGD(model.parameters(), lr=0.1), ns.Sketching(planes=2))
    ns.pack(model.eval(), tmp_path / "model.nsm", example_inputs=torch.randn(2, 3, 9, 9))
    stored = ns.load(tmp_path / "model.nsm").packed.stored.values()
    assert [how.encoding for how in stored if len(how.shape) == 4] == ["2 binary planes"] * 2


@pytest.mark.parametrize(
    "setting",
    [{"planes": 0}, {"planes": 9}, {"planes": 2.0}, {"refined": 1}, {"steps": -1}, {"interval": 0}, {"sharing": 0}],
)
def test_settings_outside_their_range_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ns.errors.SettingError, match=next(iter(setting))):
        ns.Sketching(**setting)


def test_a_state_with_other_planes_or_parts_is_refused() -> None:
    model, _, operation = operated(ns.Sketching(planes=2, steps=50))
    good = operation.state_dict()
    stage, before = good["stages"][0], copy.deepcopy(model.state_dict())
    scales = {**stage["scales"], "3.weight": torch.ones(7, 3)}
    for change, match in (
        ({"scales": scales}, r"in 'scales' for 3\.weight"),
        ({"scales": {}}, "'scales' of the saved state lacks"),
        ({"codes": {}}, "'codes' of the saved state lacks"),
        ({"codes": stage["weights"]}, r"torch\.float32"),
        ({"weights": {"3.weight": stage["weights"]["3.weight"]}}, "'weights' of the saved state lacks"),
        ({"sharing": 0}, "0 in 'sharing', expected a whole number >= 1"),
        ({"more": 1}, "don't belong"),
    ):
        with pytest.raises(ns.errors.StateError, match=match):
            operation.load_state_dict({**good, "stages": [{**stage, **change}]})
    assert same(model.state_dict(), before)
