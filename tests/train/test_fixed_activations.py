"""Training that rounds activations: the grids that pack chooses, what reads them, what stays as it was."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.deployment.test_fixed_activations import Residual, images, to_powers
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import netsurgery as ns
from netsurgery.errors import AttachmentError, LayerNotFoundError, NonFiniteWeightsError, SettingError, StateError
from netsurgery.graph import fixed_layers
from netsurgery.graph.fixed_point import highest
from netsurgery.train.fixed_activations import OBSERVED
from netsurgery.zoo.lenet import LeNet5


class Shortcuts(nn.Module):
    """Blocks that add what they read to what they make, as residual networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.classify = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)
        self.layers = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(4))
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.relu(norm(layer(x)) + x)
        return self.classify(x.mean((2, 3)))


def network() -> nn.Module:
    torch.manual_seed(0)
    return Residual()


def shown(model: nn.Module, count: int, first: int = 0) -> None:
    """Forward in training mode, without training."""
    model.train()
    for seed in range(first, first + count):
        model(images(16, seed))


def trained(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, first: int = 0) -> None:
    model.train()
    for step in range(first, first + steps):
        optimizer.zero_grad()
        F.cross_entropy(model(images(16, step)), torch.arange(16) % 5).backward()
        optimizer.step()


def calibrated(model: nn.Module, path: Path, **settings: Any) -> ns.Session:
    batches = [images(16, seed) for seed in range(8)]
    ns.pack(model, path, example_inputs=images(2), activations="fixed", calibration=batches, ends="fixed", **settings)
    return ns.load(path)


def off(one: Any, other: Any) -> float:
    """Root mean square of a difference."""
    return float(np.sqrt(np.square(np.asarray(one) - np.asarray(other)).mean()))


def test_what_is_trained_is_what_pack_makes_shortcuts_and_folded_norms_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        fixed_layers, "_WIDE_BITS", 24
    )  # 16 of a sum, rounded twice, are all that training doesn't feel
    torch.manual_seed(0)
    model, unseen = Shortcuts(), images(64, seed=99)
    shown(model, 30)
    to_powers(model)
    with torch.no_grad():
        exact = model(unseen).numpy()
    rounding = ns.FixedActivations(model, start=4)
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0  # statistics stay
    shown(model, 5)
    model.eval()
    with torch.no_grad():
        rounded = model(unseen).numpy()
    rounding.remove()
    with torch.no_grad():
        assert np.array_equal(model(unseen).numpy(), exact)
    network_in_file = calibrated(model, tmp_path / "a.nsm", grids=rounding.grids)
    made = {node.inputs[0]: node for node in network_in_file.graph.nodes if node.operator == "Quantize"}
    assert made[network_in_file.inputs[0].name].attributes["bits"] == 8
    packed = network_in_file(unseen.numpy())
    assert off(exact, packed) > 1e-3
    assert off(rounded, packed) < 1e-6


def test_the_grids_of_training_are_those_in_the_file(tmp_path: Path) -> None:
    model = to_powers(network())
    rounding = ns.FixedActivations(model, start=2)
    shown(model, 3)
    rounding.remove()
    model.eval()
    wrong = {name: type(grid)(grid.exponent + 1, 8, grid.signed) for name, grid in rounding.grids.items()}
    for grids in (rounding.grids, wrong):
        graph = calibrated(model, tmp_path / "a.nsm", grids=grids).graph
        quantized = {node.output: node.attributes for node in graph.nodes if node.operator == "Quantize"}
        readers = [node for node in graph.nodes if node.operator in ("Conv", "Linear")]
        found = sorted(
            (quantized[str(node.inputs[0])]["exponent"], quantized[str(node.inputs[0])]["bits"]) for node in readers
        )
        assert found == sorted((grid.exponent, grid.bits) for grid in grids.values())


def test_values_are_on_the_grids_and_the_gradient_passes_where_they_dont_end() -> None:
    model = nn.Sequential(nn.Linear(4, 3))
    rounding = ns.FixedActivations(model, start=1)
    model(torch.tensor([[-1.0, 0.5, 0.3, 1.0]]))
    model(torch.zeros(1, 4))
    grid = rounding.grids["0.weight"]
    assert (grid.signed, grid.bits) == (True, 8)
    step, high = 2.0**grid.exponent, highest(8, True)
    x = torch.tensor([[0.3, 1.7 * step, -0.4 * step, 2 * high * step]], requires_grad=True)
    model(x).sum().backward()
    expected = torch.tensor([[round(0.3 / step) * step, 2 * step, 0, high * step]])
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(4)[:3]), model[0].bias.zero_()
    assert torch.equal(model(x.detach()), expected[:, :3])
    assert x.grad is not None
    assert x.grad[0, :3].all()
    assert x.grad[0, 3] == 0


def test_before_start_nothing_is_rounded_and_evaluation_counts_for_nothing() -> None:
    model, plain = network().eval(), network().eval()
    rounding = ns.FixedActivations(model, start=3)
    x = images(8)
    for _ in range(5):
        assert torch.equal(model(x), plain(x))
    shown(model, 3)
    shown(plain, 3)
    assert (rounding.passes, rounding.grids) == (3, {})
    assert torch.equal(model.eval()(x), plain.eval()(x))
    shown(model, 1)
    shown(plain, 1)
    assert rounding.grids.keys() == {"first.weight", "second.weight", "shortcut.weight", "classify.weight"}
    assert not torch.equal(model.eval()(x), plain.eval()(x))


def test_grids_are_chosen_on_the_last_batches_before_start() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    rounding = ns.FixedActivations(model, start=OBSERVED + 2)
    for batch in range(OBSERVED + 3):
        model(torch.full((4, 2), 1000.0 if batch < 2 else 1.0))
    assert rounding.grids["0.weight"].exponent <= -6


def test_a_models_keys_and_gradients_of_others_stay_as_they_are() -> None:
    model = network()
    keys = list(model.state_dict())
    rounding = ns.FixedActivations(model, start=1, skip=("classify",))
    shown(model, 2)
    assert list(model.state_dict()) == keys
    assert "classify.weight" not in rounding.grids
    rounding.remove()
    rounding.remove()
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def test_resuming_equals_a_straight_run_bit_for_bit() -> None:
    def new_run(seed: int) -> tuple[nn.Module, torch.optim.Optimizer, ns.FixedActivations]:
        torch.manual_seed(seed)
        model = Residual()
        return model, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), ns.FixedActivations(model, start=8)

    for cut in (3, 12):  # while grids are chosen, and after that
        straight, optimizer, rounding = new_run(0)
        trained(straight, optimizer, cut)
        file = io.BytesIO()
        parts = {"model": straight, "optimizer": optimizer, "rounding": rounding}
        torch.save({name: part.state_dict() for name, part in parts.items()}, file)
        trained(straight, optimizer, 16 - cut, first=cut)
        file.seek(0)
        saved = torch.load(file, weights_only=True)
        resumed, optimizer, again = new_run(99)
        resumed.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        again.load_state_dict(saved["rounding"])
        trained(resumed, optimizer, 16 - cut, first=cut)
        assert again.grids == rounding.grids != {}
        expected = straight.state_dict()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.state_dict().items())


class Functional(nn.Module):
    """Weights of its own, given to functions; a value that is overwritten, and a list of values."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4))
        self.second = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight)
        y = F.relu(y + x[:, :3], inplace=True)
        y += 1
        return self.second(torch.cat([y, x[:, :3]], 1))


def test_functions_that_are_given_a_models_weights_are_layers_too() -> None:
    torch.manual_seed(0)
    model, x = Functional(), torch.rand(8, 4)
    rounding = ns.FixedActivations(model, start=1)
    model(x)
    found = model(x)
    assert rounding.grids.keys() == {"weight", "second.weight"}

    def on(grid: Any, values: Tensor) -> Tensor:
        step = 2.0**grid.exponent
        return (values / step).round().clamp(0, highest(8, False)) * step

    rounded = on(rounding.grids["weight"], x)
    y = torch.relu(rounded @ model.weight.T + rounded[:, :3]) + 1
    expected = model.second.weight @ on(rounding.grids["second.weight"], torch.cat([y, rounded[:, :3]], 1)).T
    torch.testing.assert_close(found, expected.T + model.second.bias)


def test_networks_of_functions_and_of_layers_train_alike() -> None:
    class Layers(LeNet5):
        def forward(self, x: Tensor) -> Tensor:
            x = F.max_pool2d(self.conv2(F.max_pool2d(self.conv1(x), 2)), 2)
            return self.fc2(F.relu(self.fc1(x.flatten(1))))

    found = []
    for kind in (LeNet5, Layers):
        torch.manual_seed(0)
        model, x = kind(), torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(1))
        rounding = ns.FixedActivations(model, start=1)
        model(x)
        found.append((model(x), rounding.grids))
    assert found[0][1] == found[1][1]
    torch.testing.assert_close(found[0][0], found[1][0])


class Recomputed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.layers, x, use_reentrant=False) if self.recomputes else self.layers(x)  # type: ignore

    recomputes = False


def test_layers_that_are_recomputed_in_backward_have_the_same_gradient() -> None:
    gradients = []
    for recomputes in (False, True):
        torch.manual_seed(0)
        model, x = Recomputed(), torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
        model.recomputes = recomputes
        ns.FixedActivations(model, start=1)
        model(x)
        model(x).square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_a_copy_of_the_model_is_rounded_alike_and_no_file_holds_hooks() -> None:
    model, x = network(), images(4)
    rounding = ns.FixedActivations(model, start=1)
    shown(model, 2)
    assert torch.equal(copy.deepcopy(model).eval()(x), model.eval()(x))
    with pytest.raises(AttachmentError, match="can't be copied or pickled"):
        pickle.dumps(rounding)
    with pytest.raises(AttachmentError, match="rounded alike, by its own hooks"):
        copy.deepcopy((model, rounding))


def test_packing_waits_for_the_hooks_to_be_removed(tmp_path: Path) -> None:
    model = to_powers(network())
    with ns.FixedActivations(model):
        for part in (model, nn.Sequential(model)):
            with pytest.raises(AttachmentError, match=r"remove\(\) first"):
                ns.pack(part, tmp_path / "a.nsm", example_inputs=images(2))
        with pytest.raises(AttachmentError, match="rounded already"):
            ns.FixedActivations(model)
    ns.pack(model, tmp_path / "a.nsm", example_inputs=images(2))


def test_a_copy_counts_for_nothing_and_is_rounded_until_remove(tmp_path: Path) -> None:
    model, x = to_powers(network()), images(2)
    rounding = ns.FixedActivations(model, start=2)
    averaged = torch.optim.swa_utils.AveragedModel(model)
    shown(averaged, 3)
    assert rounding.passes == 0
    shown(model, 3)
    twin = averaged.module.eval()
    rounded = twin(x)
    with pytest.raises(AttachmentError, match="a copy of one whose are"):
        ns.pack(twin, tmp_path / "a.nsm", example_inputs=x)
    rounding.remove()
    assert not torch.equal(twin(x), rounded)
    ns.pack(twin, tmp_path / "a.nsm", example_inputs=x)


def test_a_copy_with_fixed_activations_of_its_own_is_rounded_by_them_alone() -> None:
    model, x = network(), images(4)
    first = ns.FixedActivations(model, start=1)
    shown(model, 2)
    twin = copy.deepcopy(model)
    second = ns.FixedActivations(twin, start=1, bits=12)
    assert torch.equal(twin.eval()(x), _plain(model, x))
    shown(twin, 2)
    assert {grid.bits for grid in second.grids.values()} == {12}
    first.remove()
    assert not torch.equal(twin.eval()(x), _plain(twin, x))


def _plain(model: nn.Module, x: Tensor) -> Tensor:
    """What a model gives without rounding."""
    plain = network()
    plain.load_state_dict(model.state_dict())
    return plain.eval()(x)  # type: ignore[no-any-return]


def test_a_whole_model_and_its_copies_are_pickled_only_without_their_hooks() -> None:
    model = network()
    rounding = ns.FixedActivations(model, start=1)
    twin = copy.deepcopy(model)
    models = (model, twin, copy.deepcopy(twin), torch.optim.swa_utils.AveragedModel(model))
    for one in models:
        with pytest.raises(AttachmentError, match=r"state_dict\(\)"):
            torch.save(one, io.BytesIO())
    rounding.remove()
    for one in models:
        torch.save(one, io.BytesIO())
        assert not any(part._forward_pre_hooks or part._forward_hooks for part in one.modules())


def test_threads_that_evaluate_at_once_get_what_one_gets() -> None:
    model, x = network(), images(16)
    ns.FixedActivations(model, start=1)
    shown(model, 2)
    expected = model.eval()(x)
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(lambda _: torch.equal(model(x), expected), range(200)))


def test_a_model_that_is_compiled_afterwards_trains_as_it_would_have_without_being_compiled_again_and_again() -> None:
    ended = []
    for compiled in (False, True):
        model = network()
        rounding = ns.FixedActivations(model, start=2)
        torch.compiler.reset()
        with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The .grad attribute")  # which torch's compiler looks at itself
            called = torch.compile(model, backend="eager") if compiled else model
            trained(called, torch.optim.SGD(model.parameters(), lr=0.01), 8)
        assert rounding.passes == 8
        ended.append((rounding.grids, *model.state_dict().values()))
    assert ended[0][0] == ended[1][0]
    assert all(map(torch.equal, ended[0][1:], ended[1][1:]))


def test_a_forward_that_breaks_off_leaves_nothing_behind() -> None:
    model = network()
    rounding = ns.FixedActivations(model, start=1)
    shown(model, 2)
    with pytest.raises(RuntimeError):
        model(torch.zeros(2, 5, 10, 10))
    assert rounding._forward is None
    plain = F.linear(torch.full((1, 4), 0.123), torch.eye(4))
    assert torch.equal(plain, torch.full((1, 4), 0.123))


def test_models_without_layers_and_patterns_without_matches_are_refused() -> None:
    with pytest.raises(LayerNotFoundError, match="no linear layer"):
        ns.FixedActivations(nn.Sequential(nn.ReLU()))
    with pytest.raises(LayerNotFoundError, match="matches no layer with 'fc'"):
        ns.FixedActivations(network(), skip=("fc",))
    unread = nn.Module()
    unread.layer, unread.forward = nn.Linear(2, 2), lambda x: x  # type: ignore[method-assign]
    ns.FixedActivations(unread, start=1)
    unread(torch.ones(1))
    with pytest.raises(LayerNotFoundError, match=r"multiplies nothing by layer\.weight"):
        unread(torch.ones(1))


@pytest.mark.parametrize(("name", "value"), [("bits", 7), ("bits", 13), ("bits", 8.0), ("start", 0), ("start", "1")])
def test_settings_out_of_range_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=name):
        ns.FixedActivations(network(), **{name: value})  # type: ignore[arg-type]


def test_values_that_are_no_numbers_are_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    ns.FixedActivations(model, start=2)
    model(torch.full((1, 2), float("nan")))
    model(torch.ones(1, 2))
    with pytest.raises(NonFiniteWeightsError, match=r"0\.weight"):
        model(torch.ones(1, 2))


def test_states_of_others_are_refused_and_change_nothing() -> None:
    model = network()
    rounding = ns.FixedActivations(model, start=1)
    shown(model, 2)
    saved, before = rounding.state_dict(), dict(rounding.grids)
    for change, match in [
        ({"bits": 9}, "'bits': 9"),
        ({"version": 2}, "'version': 2"),
        ({"grids": {"a": {}}}, "damaged"),
        ({"grids": 1}, "damaged"),
        ({"seen": {"a": {"largest": 1, "negative": True, "sample": None}}}, "damaged"),
        ({"more": 1}, "'more'"),
        ({"passes": -1}, "damaged"),
        ({"passes": None}, "damaged"),
        ({"bits": torch.zeros(2)}, "and .* is set"),
        *[
            (
                {"seen": {"first.weight": {"largest": 1.0, "negative": True, "sample": torch.zeros(1), **wrong}}},
                "damaged",
            )
            for wrong in ({"sample": torch.zeros(())}, {"sample": "a"}, {"negative": torch.zeros(2)}, {"largest": None})
        ],
        ({"seen": {"first.weight": torch.zeros(2)}}, "damaged"),
        ({"grids": {"a": {"exponent": -3, "signed": True}}}, "is of a, which this model lacks"),
        ({"grids": {"a": {"exponent": 300, "signed": True}}}, "damaged"),
    ]:
        with pytest.raises(StateError, match=match):
            rounding.load_state_dict({**saved, **change})
    with pytest.raises(StateError, match=r"FixedActivations\.state_dict"):
        rounding.load_state_dict(None)  # type: ignore[arg-type]
    assert rounding.grids == before


def test_grids_that_fit_nothing_are_said_and_sums_that_round_are_refused(tmp_path: Path) -> None:
    model = to_powers(network())
    rounding = ns.FixedActivations(model, bits=12, start=1)
    shown(model, 2)
    rounding.remove()
    model.eval()
    grid = rounding.grids["first.weight"]
    batch = [images(16)]

    def pack(**settings: Any) -> Any:
        return ns.pack(
            model, tmp_path / "a.nsm", example_inputs=images(2), activations="fixed", calibration=batch, **settings
        )

    assert any("nowhere.weight" in remark for remark in pack(grids={"nowhere.weight": grid}).remarks)
    with pytest.raises(SettingError, match=r"grids\['first.weight'\]"):
        pack(grids={"first.weight": 8})
    with torch.no_grad():
        model.get_parameter("second.weight").fill_(2.0**9)
        model.get_parameter("second.weight")[:, 0] = 1.0  # 99 times 512: sums of 8 bits fit 24, of 12 they don't
    with pytest.raises(SettingError, match="wouldn't fit 24 bits"):
        pack(grids={"second.weight": rounding.grids["second.weight"]})
