"""The callback for Hugging Face's Trainer: attached, saved, resumed and finished by the trainer's own doings."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.errors import StateError, UnfinishedWarning

transformers = pytest.importorskip("transformers", reason="Hugging Face's Trainer is the subject")
pytest.importorskip("accelerate", reason="Hugging Face's Trainer needs it")
from netsurgery.integrations.transformers import STATE_FILE, OperationCallback  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*pin_memory.*"),
    pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*"),
]
STEPS = 24


def bert(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=3
    )
    return transformers.BertForSequenceClassification(config)


def gpt2(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=20, n_positions=16, n_embd=16, n_layer=2, n_head=2)
    )


def sentences(classes: bool) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    words = torch.randint(0, 20, (48, 10), generator=generator)
    return [{"input_ids": row, "labels": row[0] % 3 if classes else row} for row in words]


MODELS: dict[str, Any] = {"bert": (bert, True), "gpt2": (gpt2, False)}


def trainer(folder: Path, model: nn.Module, callback: Any, classes: bool = True, **settings: Any) -> Any:
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=8,
        learning_rate=2e-3,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        **{"save_strategy": "no", "num_train_epochs": 4, "logging_strategy": "no", **settings},
    )
    data = sentences(classes)
    return transformers.Trainer(model, arguments, train_dataset=data, eval_dataset=data[:8], callbacks=[callback])


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


SURGERY = ns.Surgery(density=0.1, steps=STEPS, interval=2)
METHODS = {
    "surgery": SURGERY,
    "inq": ns.INQ(bits=3, steps=STEPS, portions=(0.5, 1)),
    "sketching": ns.Sketching(planes=2, steps=STEPS),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_a_run_that_is_resumed_from_a_checkpoint_has_the_bits_of_a_straight_one(
    method: Any, name: str, tmp_path: Path
) -> None:
    make, classes = MODELS[name]
    straight, callback = make(), OperationCallback(method)
    trainer(tmp_path, straight, callback, classes, save_strategy="steps", save_steps=9).train()
    assert callback.operation is not None
    assert callback.operation.finished
    assert callback.operation.step == STEPS

    resumed, again = make(seed=9), OperationCallback(method)
    trainer(tmp_path / "other", resumed, again, classes)  # a trainer draws, too
    folder = tmp_path / "checkpoint-9"
    trainer(tmp_path, resumed, again, classes).train(resume_from_checkpoint=str(folder))
    assert again.operation is not None
    assert again.operation.step == STEPS
    assert same(weights(resumed), weights(straight))
    assert same(again.operation.masks, callback.operation.masks)


def test_a_function_is_given_the_steps_that_the_trainer_plans_and_gradients_accumulate(tmp_path: Path) -> None:
    callback = OperationCallback(lambda steps: ns.Surgery(density=0.2, steps=steps))
    trainer(tmp_path, bert(), callback, gradient_accumulation_steps=2).train()
    assert callback.operation is not None
    assert callback.operation.step == callback.operation.plan.stages[0].method.steps == 12
    assert callback.operation.density == pytest.approx(0.2, abs=0.005)


def test_a_second_training_goes_on_where_the_first_one_ended(tmp_path: Path) -> None:
    model, callback = bert(), OperationCallback(SURGERY)
    with pytest.warns(UnfinishedWarning):
        trainer(tmp_path, model, callback, num_train_epochs=1).train()
    trainer(tmp_path, model, callback, num_train_epochs=3).train()
    assert callback.operation is not None
    assert callback.operation.step == STEPS
    assert callback.operation.density == pytest.approx(0.1, abs=0.005)
    before = callback.operation.masks
    trainer(tmp_path, model, callback, num_train_epochs=1).train()
    parameters = dict(model.named_parameters())
    assert all(not bool(parameters[name][~mask].any()) for name, mask in before.items())


class FirstIsBest(transformers.Trainer):
    """Whose metric gets worse from epoch to epoch."""

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        metrics = {"eval_loss": float(self.state.global_step)}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


@pytest.mark.parametrize("stops_early", [False, True])
def test_a_best_model_that_is_restored_has_the_density_that_the_operation_says(
    stops_early: bool, tmp_path: Path
) -> None:
    model, callback = bert(), OperationCallback(SURGERY)
    base = trainer(tmp_path, model, callback, load_best_model_at_end=True, eval_strategy="epoch", save_strategy="epoch")
    base.__class__ = FirstIsBest
    if stops_early:
        base.add_callback(transformers.EarlyStoppingCallback(early_stopping_patience=2))
    with pytest.warns(UnfinishedWarning, match="Finished at step 6 of"):
        base.train()
    assert base.state.global_step == (18 if stops_early else 24)
    operation = callback.operation
    assert operation is not None
    parameters = dict(model.named_parameters())
    kept = sum(int(parameters[name].count_nonzero()) for name in operation.masks)
    total = sum(mask.numel() for mask in operation.masks.values())
    assert operation.density == pytest.approx(kept / total, abs=1e-3)
    assert operation.density > 0.15
    from safetensors.torch import load_file

    best = load_file(tmp_path / "checkpoint-6" / "model.safetensors")
    assert all(torch.equal(parameters[name], best[name]) for name in operation.masks)


def test_a_schedule_free_optimizer_ends_on_its_averages(tmp_path: Path) -> None:
    schedulefree = pytest.importorskip("schedulefree", reason="its optimizers have modes")
    model, callback = bert(), OperationCallback(ns.Surgery(density=0.2, steps=STEPS))
    base = trainer(tmp_path, model, callback, lr_scheduler_type="constant")
    base.optimizer = schedulefree.AdamWScheduleFree(model.parameters(), lr=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ns.errors.TrainingModeWarning)
        base.train()
    assert callback.operation is not None
    assert callback.operation.density == pytest.approx(0.2, abs=0.005)


def test_averages_of_a_schedule_free_optimizer_that_were_saved_are_resumed_from(tmp_path: Path) -> None:
    pytest.importorskip("schedulefree", reason="its optimizers have modes")
    plan = ns.Plan.surgery_then_inq(density=0.2, bits=4, steps=STEPS)
    settings: dict[str, Any] = {"optim": "schedule_free_adamw", "lr_scheduler_type": "constant"}
    settings |= {"save_strategy": "epoch", "eval_strategy": "epoch"}
    straight = bert()
    trainer(tmp_path, straight, OperationCallback(plan), **settings).train()
    resumed, again = bert(3), OperationCallback(plan)
    trainer(tmp_path, resumed, again, **settings).train(resume_from_checkpoint=str(tmp_path / "checkpoint-12"))
    assert same(weights(resumed), weights(straight))


def test_a_checkpoint_without_the_operation_is_refused_with_what_to_do(tmp_path: Path) -> None:
    callback = OperationCallback(SURGERY)
    trainer(tmp_path, bert(), callback, save_strategy="steps", save_steps=12).train()
    (tmp_path / "checkpoint-12" / STATE_FILE).unlink()
    with pytest.raises(StateError, match=r"there is no .*operation\.pt.*resume_from=folder"):
        trainer(tmp_path, bert(), OperationCallback(SURGERY)).train(
            resume_from_checkpoint=str(tmp_path / "checkpoint-12")
        )


def test_a_checkpoint_from_elsewhere_is_resumed_from_where_it_is_said_to_be(tmp_path: Path) -> None:
    straight, callback = bert(), OperationCallback(SURGERY)
    trainer(tmp_path, straight, callback, save_strategy="steps", save_steps=12).train()
    folder = str(tmp_path / "checkpoint-12")
    resumed, again = bert(4), OperationCallback(SURGERY, resume_from=folder)
    trainer(tmp_path / "elsewhere", resumed, again).train(resume_from_checkpoint=folder)
    assert same(weights(resumed), weights(straight))


def test_a_state_of_the_same_step_of_another_training_is_refused_with_what_to_do(tmp_path: Path) -> None:
    for seed, place in enumerate(("here", "elsewhere")):
        trainer(tmp_path / place, bert(seed), OperationCallback(SURGERY), save_strategy="steps", save_steps=12).train()
    folder = str(tmp_path / "elsewhere" / "checkpoint-12")
    with pytest.raises(StateError, match=r"here.checkpoint-12.*of other weights than .* loaded.*resume_from=folder"):
        trainer(tmp_path / "here", bert(), OperationCallback(SURGERY)).train(resume_from_checkpoint=folder)
    trainer(tmp_path / "here", bert(), OperationCallback(SURGERY, resume_from=folder)).train(
        resume_from_checkpoint=folder
    )


def another_training(folder: Path) -> Any:
    other = trainer(folder / "elsewhere", bert(8), OperationCallback(SURGERY), save_strategy="steps", save_steps=12)
    other.train()
    return SURGERY


def no_state(folder: Path) -> Any:
    (folder / "checkpoint-12" / STATE_FILE).unlink()
    return SURGERY


def another_plan(folder: Path) -> Any:
    return ns.Surgery(density=0.7, steps=STEPS)


@pytest.mark.parametrize(
    ("why", "make"), [(another_training, bert), (no_state, bert), (another_plan, bert), (no_state, gpt2)]
)  # gpt2's embedding is tied
def test_a_model_has_the_weights_that_it_was_given_with_after_any_refusal(why: Any, make: Any, tmp_path: Path) -> None:
    classes = make is bert
    trainer(tmp_path, make(), OperationCallback(SURGERY), classes, save_strategy="steps", save_steps=12).train()
    plan = why(tmp_path)
    folder = tmp_path / ("elsewhere" if why is another_training else "") / "checkpoint-12"
    model, callback = make(5), OperationCallback(plan)
    refusing = trainer(tmp_path, model, callback, classes)
    model.load_state_dict(make(6).state_dict())  # whatever a user does before training
    given = weights(model)
    for _ in range(2):
        with pytest.raises(StateError):
            refusing.train(resume_from_checkpoint=str(folder))
        assert same(weights(model), given)
        assert callback.operation is None
    refusing.train()  # nothing is attached, nothing in the way


def test_a_callback_that_is_added_later_leaves_the_weights_that_the_trainer_has_loaded(tmp_path: Path) -> None:
    trainer(tmp_path, bert(), OperationCallback(SURGERY), save_strategy="steps", save_steps=12).train()
    another_training(tmp_path)
    model = bert(5)
    late = trainer(tmp_path, model, transformers.TrainerCallback())
    late.add_callback(OperationCallback(SURGERY))
    folder = tmp_path / "elsewhere" / "checkpoint-12"
    with pytest.raises(StateError, match="other weights"):
        late.train(resume_from_checkpoint=str(folder))
    from safetensors.torch import load_file

    assert same(load_file(folder / "model.safetensors"), weights(model))


def test_a_model_that_waits_for_its_training_can_be_copied_and_pickled(tmp_path: Path) -> None:
    model = bert()
    trainer(tmp_path, model, OperationCallback(SURGERY))
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
        twin.load_state_dict(bert(3).state_dict())
        assert same(weights(twin), weights(bert(3)))


@pytest.mark.parametrize("named", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_each_trial_of_a_search_begins_anew_and_its_state_lies_beside_its_weights(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with Weights & Biases, whose trials are dicts; run-1 is the name that the trainer makes of a trial's."""
    from transformers.trainer_utils import HPSearchBackend

    run = SimpleNamespace(id="")
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=run))
    monkeypatch.setattr("transformers.integrations.integration_utils.is_wandb_available", lambda: True)
    callback = OperationCallback(lambda steps: ns.Surgery(density=0.1, steps=steps, interval=2))
    base = trainer(tmp_path, bert(), callback, save_strategy="steps", save_steps=6, logging_strategy="epoch")
    base.model_init, base.hp_search_backend = lambda: bert(), HPSearchBackend.WANDB
    base.hp_name = (lambda trial: f"trial {trial['learning_rate']}") if named else None
    found = {}
    for number, settings in enumerate([{"learning_rate": 1e-3}, {"learning_rate": 4e-3}, {"learning_rate": 1e-3}]):
        run.id = str(number)
        base.train(trial=settings)
        assert callback.operation is not None
        assert callback.operation.finished
        assert callback.operation.step == STEPS
        assert callback.operation.density == pytest.approx(0.1, abs=0.005)
        folder = tmp_path / (f"trial {settings['learning_rate']}" if named else f"run-{number}")
        assert all((folder / f"checkpoint-{step}" / STATE_FILE).is_file() for step in (6, 12, 18, 24))
        found[number] = weights(base.model)
    assert same(found[0], found[2])
    assert not same(found[0], found[1])
    assert not list(tmp_path.glob("checkpoint-*"))

    alone = OperationCallback(SURGERY)  # one trial is gone on with by itself
    best = trainer(tmp_path, bert(3), alone, save_strategy="steps", save_steps=9)
    best.train(resume_from_checkpoint=str(tmp_path / ("trial 0.004" if named else "run-1") / "checkpoint-12"))
    assert alone.operation is not None
    assert alone.operation.step == STEPS
    assert (tmp_path / "checkpoint-18" / STATE_FILE).is_file()
