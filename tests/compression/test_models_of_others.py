"""Models, losses and metrics as people have them: heads for training alone, labels in `forward`, frozen norms."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import netsurgery as ns
from netsurgery.compression import workshop
from netsurgery.compression.result import Compression
from netsurgery.errors import DataError, LooseLimitWarning, SettingError, UnpackedWarning
from netsurgery.timing.turns import Pace

BUDGET = 240
pytestmark = pytest.mark.filterwarnings("ignore::netsurgery.errors.LooseLimitWarning")  # few steps lose much


@pytest.fixture(autouse=True)
def _timed_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workshop, "_PACE", Pace(rounds=2, turn_s=0.003, pause_s=0))


def drawn(count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 8, generator=generator)
    return x, x[:, :3].abs().argmax(1)


TRAIN, HELD_OUT = drawn(384, 0), drawn(128, 1)
BATCHES = list(zip(TRAIN[0].split(48), TRAIN[1].split(48), strict=True))


def network(*norms: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 24), *norms, nn.ReLU(), nn.Linear(24, 3))


def cross_entropy(model: nn.Module, batch: Any) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


def trained(model: nn.Module, loss: Callable[[nn.Module, Any], Tensor] = cross_entropy) -> Any:
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    model.train()
    for _ in range(150):
        optimizer.zero_grad()
        loss(model, TRAIN).backward()
        optimizer.step()
    return model.eval()


def percent(model: Any) -> Tensor:
    return 100.0 * (model(HELD_OUT[0]).argmax(1) == HELD_OUT[1])


def compressed(model: nn.Module, out: Path, **more: Any) -> Compression:
    settings = {"loss": cross_entropy, "max_loss": 40.0, "budget": BUDGET, "out": out, **more}
    batches, evaluate = settings.pop("batches", BATCHES), settings.pop("evaluate", percent)
    return ns.compress(model, batches, evaluate, **settings)


class Auxiliary(nn.Module):
    """A second head that there is in training only."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head, self.second = nn.Linear(8, 24), nn.Linear(24, 3), nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x).relu()
        return (self.head(x), self.second(x)) if self.training else self.head(x)


def of_both_heads(model: nn.Module, batch: Any) -> Tensor:
    first, second = model(batch[0])
    return F.cross_entropy(first, batch[1]) + 0.3 * F.cross_entropy(second, batch[1])


class Detector(nn.Module):
    """Losses in training, what it has found in evaluation, as torchvision's detectors."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = network()

    def forward(self, x: Tensor, targets: Any = None) -> Any:
        scores = self.layers(x)
        if not self.training:
            return [{"labels": row.argmax(), "scores": row} for row in scores]
        return {"classes": F.cross_entropy(scores, targets["labels"]), "size": scores.square().mean() * 1e-4}


def of_a_detector(model: nn.Module, batch: Any) -> Tensor:
    losses: Tensor = sum(model(batch[0], {"labels": batch[1]}).values())  # type: ignore[assignment]
    return losses


def found(model: nn.Module) -> Tensor:
    return 100.0 * (torch.stack([one["labels"] for one in model(HELD_OUT[0])]) == HELD_OUT[1])


@pytest.mark.parametrize("objective", ["size", "latency"])
def test_heads_that_there_are_in_training_only_train(objective: str, tmp_path: Path) -> None:
    model = trained(Auxiliary(), of_both_heads)
    result = compressed(model, tmp_path, loss=of_both_heads, objective=objective)
    assert result.met
    x = HELD_OUT[0][:5]
    np.testing.assert_allclose(ns.load(result.path)(x.numpy()), result.model(x).detach().numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("objective", ["size", "latency"])
@pytest.mark.filterwarnings("ignore::netsurgery.errors.UnpackedWarning")  # of a list whose length is the batch's
def test_a_detector_whose_losses_are_its_outputs_in_training_trains(objective: str, tmp_path: Path) -> None:
    model = trained(Detector(), of_a_detector)
    result = compressed(model, tmp_path, loss=of_a_detector, evaluate=found, objective=objective)
    assert result.met
    assert result.best.compression > 1


class Labelled(nn.Module):
    """With labels it gives its loss, too, as models of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = network()

    def forward(self, x: Tensor | None = None, labels: Tensor | None = None) -> dict[str, Tensor]:
        made = {"logits": self.layers(x)}
        return made if labels is None else {"loss": F.cross_entropy(made["logits"], labels), **made}


def test_the_file_takes_what_evaluate_gives_and_no_labels(tmp_path: Path) -> None:
    model = trained(Labelled(), lambda model, batch: model(x=batch[0], labels=batch[1])["loss"])
    result = compressed(
        model,
        tmp_path,
        batches=[{"x": x, "labels": labels} for x, labels in BATCHES],
        loss=lambda model, batch: model(**batch)["loss"],
        evaluate=lambda model: 100.0 * (model(x=HELD_OUT[0])["logits"].argmax(1) == HELD_OUT[1]),
    )
    packed = ns.load(result.path)
    assert len(packed.inputs) == 1
    x = HELD_OUT[0][:5]
    expected = result.model(x)["logits"].detach().numpy()
    np.testing.assert_allclose(packed(x.numpy()), expected, rtol=1e-3, atol=1e-4)


def test_a_network_that_nothing_calls_with_tensors_alone_is_told_how_it_can_be_packed(tmp_path: Path) -> None:
    class Flagged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = network()

        def forward(self, x: Tensor, scaled: bool = False) -> Tensor:
            made: Tensor = self.layers(x) * (2 if scaled else 1)
            return made

    flagged: dict[str, Any] = {
        "loss": lambda model, batch: F.cross_entropy(model(batch[0], scaled=True), batch[1]),
        "evaluate": lambda model: 100.0 * (model(HELD_OUT[0], scaled=True).argmax(1) == HELD_OUT[1]),
    }
    with pytest.warns(UnpackedWarning, match=r"give pack_options=\{'example_inputs': "):
        assert compressed(trained(Flagged()), tmp_path / "first", **flagged).path is None
    options = {"example_inputs": HELD_OUT[0][:2]}
    assert compressed(trained(Flagged()), tmp_path / "second", pack_options=options, **flagged).path is not None


def test_going_on_with_a_model_of_other_weights_is_refused_and_they_stay(tmp_path: Path) -> None:
    compressed(trained(network()), tmp_path)
    other = trained(network())
    with torch.no_grad():
        other[0].weight[0, 0] += 1
    before = other[0].weight.detach().clone()
    with pytest.raises(DataError, match="holds a search for a model with other weights"):
        compressed(other, tmp_path, resume=True)
    assert torch.equal(other[0].weight, before)


def test_going_on_with_another_metric_or_other_options_is_refused(tmp_path: Path) -> None:
    compressed(trained(network()), tmp_path)
    with pytest.raises(
        DataError, match=r"`evaluate` that gave [0-9.]+ for the network as it was given; it gives 7 now"
    ):
        compressed(trained(network()), tmp_path, resume=True, evaluate=lambda model: percent(model) * 0 + 7)
    with pytest.raises(DataError, match="its pack_options differs"):
        compressed(trained(network()), tmp_path, resume=True, pack_options={"names": True})


def test_a_search_goes_on_with_the_model_that_it_gave_back(tmp_path: Path) -> None:
    steps: list[int] = []

    def interrupted(model: nn.Module, batch: Any) -> Tensor:
        steps.append(1)
        if len(steps) == 110:
            raise KeyboardInterrupt
        return cross_entropy(model, batch)

    model = trained(network())
    first = compressed(model, tmp_path / "a", loss=interrupted)
    assert first.interrupted
    second = compressed(first.model, tmp_path / "a", resume=True)
    straight = compressed(trained(network()), tmp_path / "b")
    assert not second.interrupted
    assert second.path is not None
    assert straight.path is not None
    assert second.path.read_bytes() == straight.path.read_bytes()


def test_files_beside_a_search_stay_when_it_goes_on(tmp_path: Path) -> None:
    compressed(trained(network()), tmp_path, budget=150)
    (tmp_path / "network-final.pt").write_text("mine", encoding="utf-8")
    compressed(trained(network()), tmp_path, budget=150, resume=True)
    assert (tmp_path / "network-final.pt").read_text(encoding="utf-8") == "mine"


def share(model: nn.Module) -> Tensor:
    return (model(HELD_OUT[0]).argmax(1) == HELD_OUT[1]).float()


def test_a_limit_that_lets_everything_be_lost_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"max_loss=1 lets everything be lost: .* for 1 percent give 0\.01"):
        compressed(trained(network()), tmp_path, evaluate=share, max_loss=1.0)
    with pytest.raises(SettingError, match=r"max_loss=100 lets everything be lost: .* be below .*; give less\."):
        compressed(trained(network()), tmp_path, max_loss=100)


def test_a_limit_in_the_wrong_unit_is_warned_of(tmp_path: Path) -> None:
    with pytest.warns(LooseLimitWarning, match=r"lets 50% of all examples be lost: .* for 0\.5 percent give 0\.005"):
        compressed(trained(network()), tmp_path, evaluate=share, max_loss=0.5, budget=120)


def test_a_frozen_norm_keeps_its_statistics(tmp_path: Path) -> None:
    model = trained(network(nn.BatchNorm1d(24), nn.BatchNorm1d(24)))
    model[1].requires_grad_(False)
    frozen, free = model[1].running_mean.clone(), model[2].running_mean.clone()
    compressed(model, tmp_path, batches=[(3 * x + 1, labels) for x, labels in BATCHES], max_loss=90.0, budget=150)
    assert torch.equal(model[1].running_mean, frozen)
    assert not torch.equal(model[2].running_mean, free)
    assert not model.training


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_models_of_other_floats_are_compressed(kind: torch.dtype, tmp_path: Path) -> None:
    def of_floats(model: nn.Module, batch: Any) -> Tensor:
        return F.cross_entropy(model(batch[0].to(kind)).float(), batch[1])

    def judged(model: nn.Module) -> Tensor:
        return 100.0 * (model(HELD_OUT[0].to(kind)).argmax(1) == HELD_OUT[1])

    result = compressed(trained(network()).to(kind), tmp_path, loss=of_floats, evaluate=judged, methods="surgery")
    assert result.path is not None
    assert result.met


def test_a_module_may_keep_more_than_tensors_in_its_state(tmp_path: Path) -> None:
    class Kept(nn.Linear):
        def get_extra_state(self) -> dict[str, int]:
            return {"calls": 3}

        def set_extra_state(self, state: Any) -> None:
            assert state == {"calls": 3}

    torch.manual_seed(0)
    result = compressed(trained(nn.Sequential(Kept(8, 24), nn.ReLU(), nn.Linear(24, 3))), tmp_path)
    assert result.met


def test_settings_may_be_numbers_of_numpy(tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "max_loss": np.float32(40),
        "seed": np.int64(1),
        "certainty": np.float32(0.5),
        "baseline": np.float32(80),
    }
    assert compressed(trained(network()), tmp_path, **more).met
    with pytest.raises(SettingError, match="out=123 is not allowed"):
        compressed(trained(network()), 123)  # type: ignore[arg-type]


def test_random_numbers_go_on_as_if_nothing_had_been_searched(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(4)
    loader = DataLoader(TensorDataset(*TRAIN), 48, shuffle=True, generator=generator)

    def numbers() -> tuple[Any, ...]:
        return (
            torch.rand(3).tolist(),
            np.random.rand(),
            random.getrandbits(32),
            torch.rand(2, generator=generator).tolist(),
        )

    def seed() -> None:
        torch.manual_seed(5)
        np.random.seed(5)
        random.seed(5)
        generator.manual_seed(6)

    model = trained(network())
    seed()
    expected = numbers()
    seed()
    compressed(model, tmp_path, batches=loader, budget=150)
    assert numbers() == expected


def test_an_evaluate_that_freezes_the_model_does_no_harm(tmp_path: Path) -> None:
    def freezing(model: nn.Module) -> Tensor:
        model.requires_grad_(False)
        return percent(model)

    model = trained(network())
    assert compressed(model, tmp_path, evaluate=freezing).best.compression > 1
    assert all(one.requires_grad for one in model.parameters())


def test_a_search_that_was_killed_while_fixed_point_was_tried_goes_on(tmp_path: Path) -> None:
    compressed(trained(network()), tmp_path, budget=150)
    (tmp_path / "network-001.fixed.nsm").write_bytes(b"half of it")
    compressed(trained(network()), tmp_path, budget=150, resume=True)


def scripted(model: Any) -> Tensor:
    return percent(torch.jit.script(model))


def pickled(model: Any) -> Tensor:
    return percent(pickle.loads(pickle.dumps(model)))  # noqa: S301


def exported(model: Any) -> Tensor:
    return percent(torch.export.export(model, (HELD_OUT[0],)).module())


def mapped(model: Any) -> Tensor:
    return 100.0 * (torch.func.vmap(model)(HELD_OUT[0]).argmax(1) == HELD_OUT[1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("evaluate", [scripted, pickled, exported, mapped])
def test_a_model_is_judged_in_any_way(evaluate: Any, tmp_path: Path) -> None:
    """What the file takes is what `loss` gives, where `evaluate` doesn't call the module that it has."""
    result = compressed(trained(network()), tmp_path, evaluate=evaluate, budget=150)
    assert result.path is not None
    assert ns.load(result.path)(HELD_OUT[0].numpy()).shape == (128, 3)


def test_a_loss_that_knows_the_model_itself_leaves_the_reference_as_it_was(tmp_path: Path) -> None:
    model = trained(network(nn.BatchNorm1d(24))).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def closed(_: nn.Module, batch: Any) -> Tensor:
        return F.cross_entropy(model(batch[0]), batch[1])

    compressed(model, tmp_path, loss=closed, budget=150)
    kept = torch.load(tmp_path / "network-000.pt", weights_only=True)
    assert all(torch.equal(kept[name], value) for name, value in before.items())


def test_buffers_may_be_sparse_and_states_of_any_kind(tmp_path: Path) -> None:
    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = network()
            self.register_buffer("adjacent", torch.eye(8).to_sparse())

        def get_extra_state(self) -> Any:
            return {"seen": np.arange(3)}

        def set_extra_state(self, state: Any) -> None:
            assert list(state["seen"]) == [0, 1, 2]

        def forward(self, x: Tensor) -> Tensor:
            made: Tensor = self.layers(torch.sparse.mm(self.adjacent, x.t()).t())
            return made

    with pytest.warns(UnpackedWarning):
        result = compressed(trained(Graph()), tmp_path, budget=150)
    assert result.best is not None
