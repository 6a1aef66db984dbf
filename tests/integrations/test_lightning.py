"""The callback for Lightning's Trainer: attached, saved, resumed and finished by the trainer's own doings."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.errors import EarlyCheckpointWarning, PlanError, RevivedWarning, SettingError, UnfinishedWarning

pl = pytest.importorskip("lightning.pytorch", reason="Lightning's Trainer is the subject")
from netsurgery.integrations.lightning import OperationCallback  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*num_workers.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings(
        "ignore:.*(tensorboard|checkpoint directory|mid-epoch|model.train|litlogger|Be aware that when using).*"
    ),
]
STEPS = 40


class Digits(pl.LightningModule):
    """(n, 8) -> (n, 4); what it is asked follows from the seed alone."""

    def __init__(self, optimizers: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 4))
        self.several = optimizers > 1
        self.automatic_optimization = not self.several

    def training_step(self, batch: list[Tensor], index: int) -> Tensor | None:
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        if not self.several:
            return loss
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            optimizer.step()
            optimizer.zero_grad()
        return None

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.log("epoch_as_loss", float(self.current_epoch))  # the first epoch is the best one

    def test_step(self, batch: list[Tensor], index: int) -> None:
        self.net(batch[0])

    def configure_optimizers(self) -> Any:
        if not self.several:
            return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)
        matrices = [p for p in self.parameters() if p.dim() > 1]
        vectors = [p for p in self.parameters() if p.dim() < 2]
        return [torch.optim.SGD(matrices, lr=0.05, momentum=0.9), torch.optim.Adam(vectors)]


def loader() -> Any:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(80, 8, generator=generator)
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x[:, :4].argmax(1)), batch_size=8)


def trainer(folder: Path, epochs: int, *callbacks: Any, library: Any = pl, **settings: Any) -> Any:
    return library.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=list(callbacks),
        **{"enable_checkpointing": False, **settings},
    )


def checkpoints(folder: Path, **settings: Any) -> Any:
    return pl.callbacks.ModelCheckpoint(folder, filename="{epoch}", **settings)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


METHODS = {
    "surgery": lambda steps: ns.Surgery(density=0.1, steps=steps, interval=2),
    "inq": lambda steps: ns.INQ(bits=3, steps=steps, portions=(0.5, 1)),
    "sketching": lambda steps: ns.Sketching(planes=1, steps=steps),
}


@pytest.mark.parametrize("optimizers", [1, 2])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_a_run_that_is_stopped_and_resumed_has_the_bits_of_a_straight_one(
    method: Any, optimizers: int, tmp_path: Path
) -> None:
    def plan(steps: int) -> Any:
        return method(STEPS)  # the run that is stopped would plan fewer

    straight = Digits(optimizers)
    callback = OperationCallback(plan)
    trainer(tmp_path, 4, callback).fit(straight, loader())
    assert callback.operation is not None
    assert callback.operation.finished
    assert callback.operation.step == STEPS

    first = Digits(optimizers)
    half = trainer(tmp_path, 2, OperationCallback(plan), checkpoints(tmp_path), enable_checkpointing=True)
    with pytest.warns(UnfinishedWarning):
        half.fit(first, loader())
    torch.manual_seed(77)
    resumed, again = Digits(optimizers), OperationCallback(plan)
    with torch.no_grad():
        resumed.net[0].weight.normal_()
    trainer(tmp_path, 4, again).fit(resumed, loader(), ckpt_path=str(tmp_path / "epoch=1.ckpt"))
    assert same(weights(resumed), weights(straight))
    assert again.operation is not None
    assert same(again.operation.masks, callback.operation.masks)


def test_a_function_is_given_the_steps_that_the_trainer_plans(tmp_path: Path) -> None:
    given: list[int] = []

    def plan(steps: int) -> Any:
        given.append(steps)
        return ns.Surgery(density=0.2, steps=steps)

    callback = OperationCallback(plan)
    trainer(tmp_path, 4, callback, accumulate_grad_batches=2).fit(Digits(), loader())
    assert given == [20]
    assert callback.operation is not None
    assert callback.operation.step == 20
    assert callback.operation.density == pytest.approx(0.2, abs=0.005)


def test_a_function_is_given_the_steps_that_are_left_behind_a_checkpoint_without_an_operation(tmp_path: Path) -> None:
    trainer(tmp_path, 2, checkpoints(tmp_path, save_top_k=-1), enable_checkpointing=True).fit(Digits(), loader())
    planned: list[int] = []
    callback = OperationCallback(lambda steps: planned.append(steps) or METHODS["surgery"](steps))
    trainer(tmp_path, 4, callback).fit(Digits(), loader(), ckpt_path=tmp_path / "epoch=0.ckpt")
    assert callback.operation is not None
    assert planned == [callback.operation.step] == [30]  # ten a pass
    assert callback.operation.density == pytest.approx(0.1, abs=0.02)
    trainer(tmp_path, 4, again := OperationCallback(METHODS["surgery"])).fit(Digits(), loader())
    assert again.operation is not None
    assert again.operation.plan.stages[0].method.steps == 40


def test_a_second_fit_goes_on_where_the_first_one_ended(tmp_path: Path) -> None:
    model, callback = Digits(), OperationCallback(METHODS["surgery"](STEPS))
    with pytest.warns(UnfinishedWarning):
        trainer(tmp_path, 1, callback).fit(model, loader())
    first = callback.operation
    assert first is not None
    assert first.density > 0.11
    trainer(tmp_path, 3, callback).fit(model, loader())  # a new trainer, a new optimizer, the same callback
    second = callback.operation
    assert second is not None
    assert second.step == STEPS
    assert second.density == pytest.approx(0.1, abs=0.005)
    before = second.masks
    trainer(tmp_path, 1, callback).fit(model, loader())  # what has ended holds
    assert callback.operation is not None
    assert same(callback.operation.masks, before)
    parameters = dict(model.named_parameters())
    assert all(not bool(parameters[name][~mask].any()) for name, mask in before.items())


def test_weights_that_are_loaded_between_two_fits_are_gone_on_with(tmp_path: Path) -> None:
    model, callback = Digits(), OperationCallback(METHODS["surgery"](STEPS))
    trainer(tmp_path, 4, callback).fit(model, loader())
    assert callback.operation is not None
    kept = callback.operation.masks["net.0.weight"]
    with torch.no_grad():
        model.net[0].weight.copy_(kept * 0.5)
    model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), lr=0.0)  # type: ignore[method-assign]
    trainer(tmp_path, 1, callback).fit(model, loader())
    assert torch.equal(model.net[0].weight, kept * 0.5)


def test_another_model_begins_anew(tmp_path: Path) -> None:
    callback = OperationCallback(METHODS["surgery"](STEPS))
    trainer(tmp_path, 4, callback).fit(Digits(), loader())
    other = Digits()
    trainer(tmp_path, 4, callback).fit(other, loader())
    assert callback.operation is not None
    assert callback.operation.is_on(other)
    assert callback.operation.step == STEPS


def test_a_best_checkpoint_that_is_denser_is_told_with_both_densities_and_can_be_gone_on_with(tmp_path: Path) -> None:
    model, callback = Digits(), OperationCallback(METHODS["surgery"](STEPS))
    best = checkpoints(tmp_path, monitor="epoch_as_loss", save_top_k=1)
    run = trainer(tmp_path, 4, callback, best, enable_checkpointing=True)
    with pytest.warns(EarlyCheckpointWarning, match=r"written at step 10 of 28, at density 0\.\d+.* is at 0\.1"):
        run.fit(model, loader(), loader())
    assert callback.operation is not None
    said = callback.operation.density
    saved = torch.load(best.best_model_path, weights_only=True)["state_dict"]
    true = sum(int(saved[name].count_nonzero()) for name in callback.operation.masks)
    assert true > 1.5 * said * sum(mask.numel() for mask in callback.operation.masks.values())

    with pytest.warns(RevivedWarning):
        run.test(model, loader(), ckpt_path="best")
    again = Digits(), OperationCallback(METHODS["surgery"](STEPS))
    trainer(tmp_path, 4, again[1]).fit(again[0], loader(), ckpt_path=best.best_model_path)
    assert again[1].operation is not None
    assert again[1].operation.density == said


def test_early_stopping_says_what_density_was_reached(tmp_path: Path) -> None:
    stopping = pl.callbacks.EarlyStopping("epoch_as_loss", patience=1)
    model, callback = Digits(), OperationCallback(METHODS["surgery"](STEPS))
    with pytest.warns(UnfinishedWarning, match="Finished at step 20 of 28"):
        trainer(tmp_path, 4, callback, stopping).fit(model, loader(), loader())
    assert callback.operation is not None
    there = sum(int(p.count_nonzero()) for p in model.parameters()) / sum(p.numel() for p in model.parameters())
    assert callback.operation.density == there > 0.1


class Judged(Digits):
    """How dense the weights are that are validated, and saved with."""

    def __init__(self) -> None:
        super().__init__()
        self.densities: list[float] = []

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.densities.append(density(self.net.state_dict()))
        self.log("epoch_as_loss", float(self.current_epoch))


def density(state: dict[str, Tensor]) -> float:
    return sum(int(one.count_nonzero()) for one in state.values()) / sum(one.numel() for one in state.values())


AVERAGING = {
    "EMA": lambda: pl.callbacks.EMAWeightAveraging(decay=0.9),
    "SWA": lambda: pl.callbacks.StochasticWeightAveraging(swa_lrs=0.01, swa_epoch_start=2),
}


@pytest.mark.filterwarnings("ignore:.*(Stochastic Weight|Swapping scheduler|outside the 'fit' stage).*")
@pytest.mark.parametrize("name", AVERAGING)
def test_averages_of_weights_are_as_sparse_as_the_module_wherever_they_go(name: str, tmp_path: Path) -> None:
    if not hasattr(pl.callbacks, "EMAWeightAveraging"):
        pytest.skip("this version of Lightning averages no weights")
    operation = OperationCallback(ns.Surgery(density=0.2, steps=STEPS // 2))
    model, saving = Judged(), checkpoints(tmp_path, save_top_k=-1, every_n_epochs=1)
    fitting = trainer(tmp_path, 4, AVERAGING[name](), operation, saving, enable_checkpointing=True)
    fitting.fit(model, loader(), loader())
    assert operation.operation is not None
    sparse = operation.operation.density
    assert sparse == pytest.approx(0.2, abs=0.01)
    assert density(model.net.state_dict()) <= sparse
    assert model.densities[-1] <= sparse
    fitting.save_checkpoint(tmp_path / "after.ckpt")
    for path in (saving.best_model_path.replace("epoch=0", "epoch=3"), tmp_path / "after.ckpt"):
        if Path(path).is_file():
            assert density(torch.load(path, weights_only=False)["state_dict"]) <= sparse


def test_a_callback_that_averages_behind_the_operation_is_refused(tmp_path: Path) -> None:
    if not hasattr(pl.callbacks, "EMAWeightAveraging"):
        pytest.skip("this version of Lightning averages no weights")
    operation = OperationCallback(ns.Surgery(density=0.2, steps=STEPS))
    with pytest.raises(
        SettingError,
        match=r"EMAWeightAveraging\]' is not allowed: callbacks must be .*EMAWeightAveraging, ..., Operation",
    ):
        trainer(tmp_path, 1, operation, AVERAGING["EMA"]()).fit(Digits(), loader())


def test_a_plan_of_steps_that_nobody_plans_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="The trainer plans inf optimizer steps"):
        trainer(tmp_path, -1, OperationCallback(METHODS["surgery"])).fit(Digits(), loader())


def test_what_is_no_plan_is_refused_where_it_is_written() -> None:
    with pytest.raises(PlanError, match="is not a plan"):
        OperationCallback(3)  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="The class Surgery is not a plan"):
        OperationCallback(ns.Surgery)  # type: ignore[arg-type]


OTHER_NAME = """
import sys, warnings
warnings.simplefilter("ignore")
import pytorch_lightning as pl
import torch
import netsurgery as ns
from netsurgery.integrations.lightning import OperationCallback

assert issubclass(OperationCallback, pl.Callback)
class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(8, 4)
    def training_step(self, batch, index):
        return self.net(batch[0]).square().mean()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(80, 8)), batch_size=8)
callback = OperationCallback(lambda steps: ns.Surgery(density=0.25, steps=steps))
folder = sys.argv[1]
saved = pl.callbacks.ModelCheckpoint(folder, save_last=True)
settings = dict(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
pl.Trainer(max_epochs=2, callbacks=[callback, saved], **settings).fit(Model(), data)
assert callback.operation.finished and callback.operation.step == 20
again = OperationCallback(lambda steps: ns.Surgery(density=0.25, steps=steps))
pl.Trainer(max_epochs=3, callbacks=[again], enable_checkpointing=False, **settings).fit(
    Model(), data, ckpt_path=folder + "/last.ckpt")
assert again.operation.step == 30 and again.operation.density == callback.operation.density
print("done")
"""


@pytest.mark.slow  # a process that imports all of it
def test_it_works_under_the_library_s_other_name(tmp_path: Path) -> None:
    if importlib.util.find_spec("pytorch_lightning") is None:
        pytest.skip("pytorch_lightning isn't installed")
    run = [sys.executable, "-c", OTHER_NAME, str(tmp_path)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("done"), done.stderr
