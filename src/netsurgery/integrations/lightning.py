"""For Lightning's Trainer: pip install 'netsurgery[integrations]'. pytorch_lightning will do as well."""

from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path
from typing import Any, final

import torch

from netsurgery.attachment.operation import Operation
from netsurgery.checks import require
from netsurgery.errors import EarlyCheckpointWarning, MissingExtraError
from netsurgery.integrations.trainer_operation import GivenPlan, TrainerOperation


def _callback_class() -> Any:
    """Of the library that is in use; Lightning comes under two names, which don't know each other."""
    if "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules:
        from pytorch_lightning import Callback

        return Callback
    try:
        from lightning.pytorch import Callback
    except ModuleNotFoundError:
        try:
            from pytorch_lightning import Callback
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                "netsurgery.integrations.lightning needs lightning: pip install 'netsurgery[integrations]'"
            ) from error
    return Callback


def _averages(callback: Any) -> bool:
    """Whether a callback is one of Lightning's that average weights, under either name of the library."""
    return any(kind.__name__ in ("WeightAveraging", "StochasticWeightAveraging") for kind in type(callback).__mro__)


@final
class OperationCallback(_callback_class()):  # type: ignore[misc]  # which of two it is shows when it is imported
    """Operates on the LightningModule while `Trainer.fit` trains it.

        callback = OperationCallback(lambda steps: ns.Surgery(density=0.05, steps=steps))
        trainer = Trainer(max_epochs=10, callbacks=[callback])
        trainer.fit(model, loader)
        print(callback.operation)

    plan: what `ns.attach` takes, or a function that makes it of the number of optimizer steps that the trainer plans:
        those that are left, where `fit(ckpt_path=...)` goes on from a checkpoint that was written without an operation.

    It attaches to all optimizers of the module when `fit` begins, and finishes when training ends. Its state is in the
    trainer's checkpoints, so that `fit(ckpt_path=...)` goes on with the same bits. A second `fit` goes on where the
    first one ended; the operation stays attached, and what is pruned stays pruned, until `callback.operation.detach()`.

    Early stopping may end training before the schedule does: `finish` warns (UnfinishedWarning), the density is as
    reached, and another `fit` goes on. A checkpoint that the trainer calls its best, and that was written before the
    schedule had ended, is denser than what `callback.operation.density` says: EarlyCheckpointWarning names both.
    Beside callbacks that average weights (EMAWeightAveraging, StochasticWeightAveraging) it stands behind them in
    `callbacks`: what they have evaluated, saved and left in the end is as pruned and as quantized as the module.

    One training process with ordinary parameters; raises what `ns.attach` raises, when `fit` begins.
    """

    def __init__(self, plan: GivenPlan) -> None:
        super().__init__()
        self._kept = TrainerOperation(plan)
        self._saved: dict[str, Any] | None = None
        self._taken = 0
        """Optimizer steps that were taken before this training, without an operation."""
        self._averages = False
        """Whether another callback puts averages into the module."""

    @property
    def operation(self) -> Operation | None:
        """The operation; None before `fit`."""
        return self._kept.operation

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Raises SettingError if a callback that averages weights stands behind this one."""
        behind = trainer.callbacks[trainer.callbacks.index(self) + 1 :]
        averaging = next((type(one).__name__ for one in behind if _averages(one)), None)
        require(
            averaging is None,
            "callbacks",
            f"[..., OperationCallback, ..., {averaging}]",
            f"[..., {averaging}, ..., OperationCallback]",
            "what it averages would be evaluated and saved with connections that are pruned",
        )
        self._averages = any(map(_averages, trainer.callbacks))

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """The module holds the averages for the validation, if there are any."""
        if self._averages and self.operation is not None:
            self.operation.apply(pl_module)

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """The checkpoint holds the averages as the module's weights, if there are any."""
        if self._averages and self.operation is not None:
            weights = {
                name: value.clone() if isinstance(value, torch.Tensor) else value
                for name, value in checkpoint["state_dict"].items()
            }
            self.operation.apply(weights)
            checkpoint["state_dict"] = weights

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        saved, self._saved = self._saved, None
        taken, self._taken = self._taken, 0
        planned = trainer.estimated_stepping_batches
        left = planned - taken if taken < planned and pl_module.automatic_optimization else planned
        self._kept.begin(pl_module, trainer.optimizers, left, saved)

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Called before `fit` goes on from a checkpoint, which may be of a training without an operation."""
        self._taken = checkpoint.get("global_step", 0)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if self._averages and self.operation is not None:
            self.operation.apply(pl_module)
        self._kept.end(trainer.optimizers)
        if self.operation is not None:
            for checkpoint in trainer.checkpoint_callbacks:
                path = getattr(checkpoint, "best_model_path", "")
                if path and Path(path).is_file():
                    self._compare(path, self.operation)

    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        """Warns (RevivedWarning) if the trainer has loaded a denser network than the operation has made."""
        if self.operation is not None:
            self.operation.report()

    def state_dict(self) -> dict[str, Any]:
        state = self._kept.state()
        if state is None or self.operation is None:
            return {}
        return {"operation": state, "density": self.operation.density}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called before `fit` has optimizers: what it says is loaded when they are there."""
        self._saved = state_dict.get("operation")

    def _compare(self, path: str, operation: Operation) -> None:
        """Warn if a checkpoint is denser than the operation is in the end."""
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)["callbacks"][self.state_key]
            step, density = saved["operation"]["step"], saved["density"]
        except (pickle.UnpicklingError, KeyError):  # objects of the user's own, or of another training
            return
        if density > operation.density:
            warnings.warn(
                f"{path} is the best checkpoint by what the trainer monitors. It was written at step {step} of "
                f"{operation.plan.active_steps}, at density {density:.4g}, and the operation is at "
                f"{operation.density:.4g}. Use the weights that the model has now; or call fit again with ckpt_path="
                "that checkpoint to train it to the end. To choose among finished networks, begin to monitor when "
                "operation.step has come to operation.plan.active_steps.",
                EarlyCheckpointWarning,
                stacklevel=2,
            )
