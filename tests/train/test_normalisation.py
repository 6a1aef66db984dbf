"""Statistics are those of the inputs given, and nothing else of the model changes."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.errors import DataError, LayerNotFoundError, SettingError


def network() -> nn.Sequential:
    """Batch norms and dropout, in the mixed modes of a model that is partly frozen."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
    )
    model.train()
    model[1].eval()
    return model


def images(count: int = 24) -> Tensor:
    return torch.randn(count, 2, 7, 7, generator=torch.Generator().manual_seed(1)) * 3 + 1


def test_the_pages_example_runs() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "robustness.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images(), torch.zeros(24)), batch_size=8)
    exec(code, {"ns": ns, "model": model, "optimizer": optimizer, "loader": loader})  # noqa: S102
    assert batch_norm(model, 1).num_batches_tracked == 3


def batch_norm(model: nn.Module, index: int) -> nn.BatchNorm2d:
    layer = model.get_submodule(str(index))
    assert isinstance(layer, nn.BatchNorm2d)
    return layer


def of_all_at_once(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unbiased variance of each channel of (n, channels, height, width)."""
    channels = values.detach().transpose(0, 1).flatten(1).double()
    return channels.mean(1).float(), channels.var(1).float()


@pytest.mark.parametrize("sizes", [[8, 8, 8], [24], [13, 4, 7]], ids=["equal", "one", "unequal"])
def test_statistics_are_those_of_all_inputs_at_once(sizes: list[int]) -> None:
    model = network()
    assert ns.recalibrate(model, images().split(sizes)) == len(sizes)
    mean, variance = of_all_at_once(model[0](images()))
    layer = batch_norm(model, 1)
    torch.testing.assert_close(layer.running_mean, mean)
    torch.testing.assert_close(layer.running_var, variance)
    assert layer.num_batches_tracked == len(sizes)


def test_later_layers_see_activations_normalised_by_their_own_batch() -> None:
    model = network()
    ns.recalibrate(model, [images()])
    layer = batch_norm(model, 1)
    layer.train()
    model[3].eval()
    mean, variance = of_all_at_once(model[:5](images()))
    torch.testing.assert_close(batch_norm(model, 5).running_mean, mean)
    torch.testing.assert_close(batch_norm(model, 5).running_var, variance)


def test_the_network_evaluates_as_it_trains_on_a_batch_afterwards() -> None:
    model = network()
    for parameter in model.parameters():
        parameter.data.mul_(3)
    model.eval()
    model[1].train()
    model[5].train()
    expected = model(images(200))
    model.eval()
    before = (model(images(200)) - expected).abs().mean()
    ns.recalibrate(model, [images(200)])
    assert (model(images(200)) - expected).abs().mean() < 0.01 * before


def test_old_statistics_leave_no_trace() -> None:
    fresh, diverged = network(), network()
    batch_norm(diverged, 1).running_mean.fill_(float("inf"))
    batch_norm(diverged, 5).running_var.fill_(float("nan"))
    for model in (fresh, diverged):
        ns.recalibrate(model, [images()])
    for name, buffer in fresh.named_buffers():
        assert torch.equal(buffer, diverged.get_buffer(name)), name


def test_nothing_but_the_statistics_changes() -> None:
    model = network()
    batch_norm(model, 1).momentum, batch_norm(model, 5).momentum = None, 0.3
    model(images()).sum().backward()
    before = copy.deepcopy(model)
    gradients = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    generator = torch.get_rng_state()
    ns.recalibrate(model, images().split(12))
    assert torch.equal(torch.get_rng_state(), generator)  # dropout drew nothing
    for (name, module), (_, old) in zip(model.named_modules(), before.named_modules(), strict=True):
        assert module.training == old.training, name
        assert getattr(module, "momentum", 0) == getattr(old, "momentum", 0), name
        assert not module._forward_hooks, name
    for (name, parameter), (_, old_parameter) in zip(model.named_parameters(), before.named_parameters(), strict=True):
        assert torch.equal(parameter, old_parameter), name
    assert all(
        torch.equal(p.grad, old) for p, old in zip(model.parameters(), gradients, strict=True) if p.grad is not None
    )
    assert [name for name, buffer in model.named_buffers() if torch.equal(buffer, before.get_buffer(name))] == []


def test_nothing_is_recorded_for_a_gradient() -> None:
    model = network()
    recording: list[bool] = []
    model[0].register_forward_hook(lambda *_: recording.append(torch.is_grad_enabled()))
    ns.recalibrate(model, [images()])
    assert recording == [False]
    assert torch.is_grad_enabled()


class Twice(nn.Module):
    """One batch norm that forward calls twice, and one that it never calls."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.unused = nn.BatchNorm1d(3), nn.BatchNorm1d(3)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        return self.shared(first), self.shared(second)


def test_a_layer_that_is_called_twice_pools_both_calls_and_one_that_is_not_called_keeps_its_own() -> None:
    model = Twice()
    first, second = torch.randn(6, 3), torch.randn(4, 3) + 2
    model.unused.running_mean.fill_(7)  # type: ignore[union-attr]
    assert ns.recalibrate(model, [{"first": first, "second": second}]) == 1
    torch.testing.assert_close(model.shared.running_mean, torch.cat([first, second]).mean(0))
    torch.testing.assert_close(model.shared.running_var, torch.cat([first, second]).var(0))
    assert model.shared.num_batches_tracked == 2
    assert model.unused.running_mean.tolist() == [7, 7, 7]  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.SyncBatchNorm])
def test_every_kind_of_batch_norm_is_estimated_again(kind: Callable[[int], nn.Module]) -> None:
    layer = kind(3)
    x = torch.randn(10, 3) + 5
    ns.recalibrate(nn.Sequential(layer), [x])
    torch.testing.assert_close(layer.get_buffer("running_mean"), x.mean(0))


def test_batches_are_tensors_pairs_or_keywords_and_no_more_than_asked_for_are_taken() -> None:
    x = torch.randn(10, 3)
    taken: list[int] = []

    def endless() -> Any:
        while True:
            taken.append(1)
            yield x, torch.zeros(10)

    given: list[tuple[Any, int | None]] = [([x], None), ([(x, None)], None), ([[x]], None), (endless(), 2)]
    for inputs, batches in [*given, ([{"input": x}], None)]:
        layer = nn.BatchNorm1d(3)
        ns.recalibrate(layer, inputs, batches)
        torch.testing.assert_close(layer.running_mean, x.mean(0))
    assert len(taken) == 2


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")
def test_a_model_that_is_compiled_is_run_as_it_was_before() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3))
    ns.recalibrate(torch.compile(model), [torch.ones(4, 3)])  # type: ignore[arg-type]
    assert model[0].get_buffer("running_mean").tolist() == [1, 1, 1]


def failing(batch: Tensor) -> Any:
    yield batch
    raise OSError("the disk is gone")


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        ([], DataError, "inputs gave no batch"),
        ([images(), images() * float("nan")], DataError, "statistics of 1 are not finite"),
        ([images(), []], DataError, "Batch 2 is an empty list: it holds no input"),
        ([images(), torch.zeros(1, 5)], RuntimeError, "input to conv2d"),
        (failing(images()), OSError, "the disk is gone"),
    ],
    ids=["no batch", "not finite", "empty", "forward raises", "inputs raise"],
)
def test_after_an_error_everything_is_as_it_was(inputs: Any, error: type[Exception], words: str) -> None:
    model = network()
    model(images())
    before = copy.deepcopy(model.state_dict())
    flags = [module.training for module in model.modules()]
    with pytest.raises(error, match=words):
        ns.recalibrate(model, inputs)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == flags
    assert batch_norm(model, 5).momentum == 0.1
    assert not batch_norm(model, 5)._forward_hooks


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3)), "Sequential has no batch norm that tracks statistics"),
        (nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False)), "has no batch norm that tracks statistics"),
        (nn.Sequential(nn.Identity(), nn.ModuleList([nn.BatchNorm1d(3)])[:0]), "has no batch norm"),
    ],
    ids=["layer norm", "no statistics", "empty"],
)
def test_a_model_without_batch_norm_is_refused(model: nn.Module, words: str) -> None:
    with pytest.raises(LayerNotFoundError, match=words):
        ns.recalibrate(model, [torch.ones(2, 3)])


def test_a_model_that_calls_no_batch_norm_is_refused() -> None:
    model = nn.Linear(3, 3)
    model.add_module("unused", nn.BatchNorm1d(3))
    with pytest.raises(LayerNotFoundError, match="Linear's forward calls none of unused"):
        ns.recalibrate(model, [torch.ones(2, 3)])


@pytest.mark.parametrize("batches", [0, -1, 1.5, True])
def test_a_number_of_batches_out_of_range_is_refused(batches: Any) -> None:
    with pytest.raises(SettingError, match="batches="):
        ns.recalibrate(nn.BatchNorm1d(3), [torch.ones(2, 3)], batches)


def test_a_batch_of_single_values_is_refused_with_advice_and_nothing_changes() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(DataError, match=r"Batch 2 has one value.*drop_last=True"):
        ns.recalibrate(model, [torch.randn(8, 3), torch.randn(1, 3)])
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_one_tensor_in_place_of_batches_is_refused() -> None:
    with pytest.raises(DataError, match=r"give \[inputs\]"):
        ns.recalibrate(network(), images())
