"""For the Trainer of Hugging Face's transformers: pip install 'netsurgery[integrations]'."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, final

import torch
from torch import nn

from netsurgery.attachment.digests import digest
from netsurgery.attachment.operation import Operation
from netsurgery.errors import MissingExtraError, StateError
from netsurgery.files import write_verified
from netsurgery.integrations.given_weights import GivenWeights
from netsurgery.integrations.trainer_operation import GivenPlan, TrainerOperation

try:
    from transformers import TrainerCallback, TrainerState
    from transformers.trainer import TRAINER_STATE_NAME
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "netsurgery.integrations.transformers needs transformers: pip install 'netsurgery[integrations]'"
    ) from error

STATE_FILE = "operation.pt"
"""The operation's state in the folder of a checkpoint; torch.load(weights_only=True) reads it."""


@final
class OperationCallback(TrainerCallback):  # type: ignore[misc]  # its sources aren't read for types
    """Operates on the model while `Trainer.train` trains it.

        callback = OperationCallback(lambda steps: ns.Surgery(density=0.05, steps=steps))
        trainer = Trainer(model, arguments, train_dataset=data, callbacks=[callback])
        trainer.train()
        print(callback.operation)

    plan: what `ns.attach` takes, or a function that makes it of the number of optimizer steps that the trainer plans.
    resume_from: the folder of the checkpoint that `train(resume_from_checkpoint=...)` is given, where that isn't in
        the trainer's own `output_dir`.

    It attaches when training begins, and finishes when it ends. Its state is a file in each checkpoint's folder, so
    that `train(resume_from_checkpoint=...)` goes on with the same bits. A second `train` goes on where the first one
    ended; the operation stays attached, and what is pruned stays pruned, until `callback.operation.detach()`.

    With `load_best_model_at_end` the operation's state is that of the best checkpoint, too: what it says is true of the
    model, and `finish` warns (UnfinishedWarning) if that was written before the schedule had ended.

    Each trial of `Trainer.hyperparameter_search` has an operation of its own, whose state is in the trial's folder.

    Raises what `ns.attach` raises, when training begins; StateError if a checkpoint that is resumed from has no state,
    or if the state found is of other weights than the trainer has loaded. The model has the weights again then that it
    had before the trainer loaded the checkpoint, or, where the callback was added to a trainer that there was already,
    those that the trainer has loaded.
    """

    def __init__(self, plan: GivenPlan, *, resume_from: str | Path | None = None) -> None:
        self._kept = TrainerOperation(plan)
        self._resume_from = resume_from
        self._given: GivenWeights | None = None

    @property
    def operation(self) -> Operation | None:
        """The operation; None before training."""
        return self._kept.operation

    def on_init_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        self._watch(model)

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **_: Any
    ) -> None:
        given = self._watch(model)
        if not state.global_step:
            given.clear()
            self._kept.begin(model, [optimizer], state.max_steps)
            return
        given.note_trained(model)
        try:
            self._resume(Path(self._resume_from or _folder(args, state)), state, model, optimizer)
        except BaseException:
            given.restore(model)
            raise
        finally:
            given.clear()

    def _watch(self, model: nn.Module) -> GivenWeights:
        """What notes the weights that this model is given: the trainer loads a checkpoint before it tells anybody."""
        if self._given is None or not self._given.is_of(model):
            if self._given is not None:
                self._given.stop()
            self._given = GivenWeights(model)
        return self._given

    def _resume(self, folder: Path, state: Any, model: nn.Module, optimizer: Any) -> None:
        saved, loaded = _read(folder), _digests(model)
        self._kept.begin(model, [optimizer], state.max_steps, saved)
        # where a trainer resumes from isn't said, and output_dir may hold a checkpoint of that step of another training
        others = [name for name, digest in _digests(model).items() if digest != loaded[name]]
        if others:
            self._kept.give_up()
            raise StateError(
                f"Training resumes from a checkpoint at step {state.global_step}, and {folder / STATE_FILE} is of "
                f"other weights than those that the trainer has loaded ({len(others)} tensors, as {others[0]}). If the "
                "checkpoint lies elsewhere, say OperationCallback(plan, resume_from=folder)."
            )

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        kept = self._kept.state()
        if kept is not None and state.is_world_process_zero:
            _write(_folder(args, state), kept)

    def on_train_end(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        best = Path(state.best_model_checkpoint or "") / STATE_FILE
        is_restored = args.load_best_model_at_end and state.best_model_checkpoint is not None
        if self.operation is not None and is_restored and best.is_file():
            self.operation.load_state_dict(torch.load(best, weights_only=True), weights=False)
        self._kept.end([] if is_restored else [optimizer])
        if self._given is not None:
            self._given.clear()  # the best checkpoint was loaded


def _folder(args: Any, state: Any) -> Path:
    """Where the trainer has written the checkpoint of this step.

    Of a trial of a search that is a folder within `output_dir`, whose name only the trainer knows: it is found by what
    the trainer's own state says in it, which tells trials apart that run at one time.
    """
    output, name = Path(args.output_dir), f"checkpoint-{state.global_step}"
    if not state.is_hyper_param_search:
        return output / name
    every = [output / name, output / (state.trial_name or "") / name, *output.glob(f"*/{name}")]
    found = [folder for folder in every if _is_written_in(folder, state)]
    return max(found, key=lambda folder: (folder / TRAINER_STATE_NAME).stat().st_mtime_ns, default=output / name)


def _is_written_in(folder: Path, state: Any) -> bool:
    path = folder / TRAINER_STATE_NAME
    if not path.is_file():
        return False
    written = TrainerState.load_from_json(str(path))
    of_trial = state.trial_params in (None, written.trial_params)  # None where a trial is gone on with by itself
    return of_trial and written.epoch == state.epoch and written.log_history == state.log_history


def _read(folder: Path) -> Any:
    path = folder / STATE_FILE
    if not path.is_file():
        raise StateError(
            f"Training resumes from a checkpoint, and there is no {path}: the operation can't go on from there. If the "
            "checkpoint lies elsewhere, say OperationCallback(plan, resume_from=folder); if it was written without "
            "this callback, load its weights into the model and begin a new training."
        )
    return torch.load(path, weights_only=True)


def _digests(model: nn.Module) -> dict[str, str]:
    """Of each parameter's values; zeros of both signs are one value."""
    parameters = [(name, value) for name, value in model.named_parameters() if value.is_floating_point()]
    return {name: digest([(name, value)], zeros_have_signs=False) for name, value in parameters}


def _write(folder: Path, state: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_verified(folder / STATE_FILE, buffer.getvalue(), lambda path: "step" in torch.load(path, weights_only=True))
