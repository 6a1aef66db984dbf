"""Where trials are carried out: from the weights of one candidate to another candidate, trained, judged and packed."""

from __future__ import annotations

import copy
import inspect
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from netsurgery.attachment.operation import attach
from netsurgery.checks import require
from netsurgery.compression.calls import Loss, Seen, first_call, lost, rehearsed, tensors_given
from netsurgery.compression.candidate import REFERENCE, Candidate, Objective, Trial
from netsurgery.compression.feed import Feed, last_batch, on_device, require_batch, seed_everything
from netsurgery.compression.folder import SearchFolder
from netsurgery.compression.packed_module import PackedModule
from netsurgery.compression.rates import OptimizerFactory, Rate, optimizer_for, plan_for
from netsurgery.compression.score import Rule, Score, UndefinedMetricError
from netsurgery.compression.teaching import Precision, loss_of
from netsurgery.compression.training import DivergedError, Trainer, set_training
from netsurgery.compression.uses import uses_of
from netsurgery.deployment.packing import pack
from netsurgery.errors import CalibrationWarning, DataError, InputError, NetsurgeryError, SettingError, UnpackedWarning
from netsurgery.evaluation_mode import evaluating
from netsurgery.graph.capture import array_of, in_forwards_order
from netsurgery.layers.selecting import select
from netsurgery.methods.base import tensors_of
from netsurgery.methods.quantization import INQ
from netsurgery.methods.surgery import Surgery
from netsurgery.plan import Plan
from netsurgery.runtime.session import load
from netsurgery.timing.calls import timed
from netsurgery.timing.turns import Pace, in_turns
from netsurgery.train.distillation import frozen

Evaluate = Callable[[nn.Module], Any]
_CALIBRATION_BATCHES = 4  # that scales of activations are chosen on
_CALIBRATION_FEED = 10**7  # in the place of a trial's number
_PACE = Pace(rounds=5, turn_s=0.03, pause_s=0)
_LONG_S = 30.0
_TIMED_STEPS = 44  # of a trial, in which masks are refreshed twice
_LONG_TRIAL = 10_000  # steps, far more than are timed
_SAME_METRIC = 1e-3  # share by which a metric may be another one when it is computed again
_EXAMPLES = 4  # of a batch, on which model and packed file are compared


class _SeenEnoughError(Exception):
    """So many steps of a trial are timed as are needed."""


class Workshop:
    """A model on its device, and what is done with it.

    Raises SettingError and LayerNotFoundError where the model, the loader or what the user's functions return won't do.
    """

    def __init__(
        self,
        model: nn.Module,
        loader: Iterable[Any],
        evaluate: Evaluate,
        loss: Loss,
        *,
        rule: Rule,
        objective: Objective,
        factory: OptimizerFactory | None,
        seed: int,
        precision: Precision,
        pack_options: Mapping[str, Any],
        folder: SearchFolder,
    ) -> None:
        self.model = model
        self.folder = folder
        self._evaluate = evaluate
        self.rule = rule
        self._objective = objective
        self._seed = seed
        self._pack_options = dict(pack_options)
        self._has_pack_options = bool(pack_options)
        found = select(model, Plan.of(Surgery(density=1.0, steps=1)))
        names = {id(tensor): name for name, tensor in model.named_parameters()}
        self._operated = sorted({names[id(tensor)] for layers in found.stages for _, tensor in tensors_of(layers)})
        self.connections = sum(model.get_parameter(name).numel() for name in self._operated)
        device = next(model.parameters()).device
        seed_everything(seed)
        batch = next(iter(loader), None)
        require_batch(batch is not None, loader)
        self._batch = on_device(batch, device)
        self._flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        self._layers = [layer for layers in found.stages for layer in layers]
        self._loss = loss
        given = self._pack_options.pop("example_inputs", None)
        self._given = None if given is None else _tensors(model, given)
        self._by_loss, teacher = self._rehearsed(loader)
        if factory is not None:
            self._try_optimizer(factory)
        self._examples: tuple[Tensor, ...] | None = None
        self._uses: tuple[tuple[str, float], ...] = ()
        self.trainer = Trainer(model, loader, loss, factory, teacher, seed, precision)
        self.unpacked = ""
        """Why the network can't be packed, where it can't."""

    def reference(self) -> tuple[Candidate, float]:
        """The candidate that a search begins with, and the seconds that judging and packing it takes."""
        self.folder.write_weights(REFERENCE, self.model.state_dict())  # a full disk shows before anything takes long
        begun_s = time.perf_counter()
        self._score = self._first_scored()
        sure = self.rule.certainty > 0.5 and not self._score.examples
        allowed = "0.5 where `evaluate` returns one number", "let it return one for each example"
        require(not sure, "certainty", self.rule.certainty, *allowed)
        self.rule.require_limit(self._score)
        size_bytes, latency_us = self._packed(REFERENCE)
        if time.perf_counter() - begun_s < _LONG_S:  # much of it is what the first time takes alone: look again
            begun_s = time.perf_counter()
            self._scored()
            self._packed(REFERENCE)
        kept = self._kept()
        made = Candidate(
            REFERENCE, None, kept, self.connections, 32, self._score.value, 0.0, None, True, size_bytes, latency_us
        )
        return made, time.perf_counter() - begun_s

    def resume_reference(self, value: float) -> None:
        """Judge the reference again, where it was packed before: the others are compared with it by example.

        value: of its metric, then. Raises DataError if it is another one now.
        """
        self.load(REFERENCE)
        self._score = self._first_scored()
        if abs(self._score.value - value) > _SAME_METRIC * max(abs(value), abs(self._score.value)):
            raise DataError(
                f"{self.folder.path} was begun with an `evaluate` that gave {value:.6g} for the network as it was "
                f"given; it gives {self._score.value:.6g} now. Give the one that it was begun with, or another folder."
            )

    def step_s(self, rate: Rate, density: float, limit_s: float) -> float:
        """Mean seconds of a step of a trial: of its first ones, until `limit_s` seconds have passed."""
        times = [time.perf_counter()]

        def advance(step: int) -> None:
            times.append(time.perf_counter())
            if step >= _TIMED_STEPS or (step > 1 and times[-1] - times[0] > limit_s):
                raise _SeenEnoughError

        self.load(REFERENCE)
        plan = self._plan(Trial(REFERENCE, density, None, _LONG_TRIAL), False)
        with suppress(_SeenEnoughError, DivergedError):
            self.trainer.train(plan, rate, _LONG_TRIAL, number=10**6, taught=False, advance=advance)
        return (times[-1] - times[min(1, len(times) - 2)]) / max(len(times) - 2, 1)  # but the first, which is slower

    def probe(self, rate: Rate, steps: int, density: float, taught: bool, judged: bool) -> dict[str, Any]:
        """A short training of the reference at a rate: its mean loss at the end, its metric, seconds of a step.

        judged: whether the metric is wanted, which may take long; else it is None, and so it is where it is undefined.
        error: the standard error of what the metric lost; None where nothing is known of it. All are None where the
        training diverged.
        """
        self.load(REFERENCE)
        trial = Trial(REFERENCE, density, None, steps)
        begun_s = time.perf_counter()
        try:
            operation, loss = self.trainer.train(self._plan(trial, False), rate, steps, number=10**6, taught=taught)
            operation.detach()
        except DivergedError:
            return {"loss": None, "value": None, "error": None, "step_s": None}  # it took fewer steps
        step_s = (time.perf_counter() - begun_s) / steps
        outcome = {"loss": loss, "value": None, "error": None, "step_s": step_s}
        with suppress(UndefinedMetricError):
            score = self._scored() if judged else None
            if score is not None:
                outcome |= {"value": score.value, "error": self.rule.verdict(self._score, score).error}
        return outcome

    def make(
        self,
        number: int,
        trial: Trial,
        start: Candidate,
        rate: Rate,
        *,
        taught: bool,
        advance: Callable[[int], None],
    ) -> Candidate:
        """Carry out a trial, from its checkpoint where there is one of it."""
        checkpoint = self.folder.checkpoint
        begun = checkpoint.read()
        resume = begun.get("training") if begun.get("number") == number else None
        self.load(trial.start)
        bits = trial.bits or start.bits
        plan = self._plan(trial, start.kept < start.connections)
        try:
            operation, _ = self.trainer.train(
                plan,
                replace(rate, value=rate.value * trial.rate_share),
                _steps(plan),
                number,
                taught=taught,
                advance=advance,
                keep=lambda state: checkpoint.offer(lambda: {"number": number, "training": state()}),
                resume=resume,
            )
        except DivergedError as error:
            checkpoint.remove()
            return self._failed(number, trial, bits, str(error))
        try:
            score = self._scored()
            verdict = self.rule.verdict(self._score, score)
            self.folder.write_weights(number, self.model.state_dict())
            size_bytes, latency_us = self._packed(number)
        except UndefinedMetricError as error:  # one bad network of many; the reference has a metric
            return self._failed(number, trial, bits, f"The metric became {error.found}.")
        finally:
            operation.detach()
        made = Candidate(
            number,
            trial,
            self._kept(),
            self.connections,
            bits,
            score.value,
            verdict.drop,
            verdict.error,
            verdict.held,
            size_bytes,
            latency_us,
            examples=len(score.examples),
            most=verdict.most,
        )
        method = plan.stages[0].method
        may_add = isinstance(method, INQ) and not method.mantissa_bits and self._objective == "latency"
        return self._in_fixed_point(made) if may_add else made

    def _failed(self, number: int, trial: Trial, bits: int, why: str) -> Candidate:
        return Candidate(number, trial, 0, self.connections, bits, 0.0, 0.0, None, False, failed=why)

    def _in_fixed_point(self, made: Candidate) -> Candidate:
        """The candidate with its activations in fixed point too, where that holds the limit as well and is faster.

        The packed file is judged, by the user's `evaluate`: where that wants more than to call a module, or the network
        can't be packed so, the candidate stays as it is.
        """
        if not made.held or made.latency_us is None:
            return made
        path = self.folder.packed_path(made.number)
        beside = self.folder.fixed_path(made.number)
        try:
            with evaluating(self.model), warnings.catch_warnings():
                calibration = self._calibration()
                warnings.simplefilter("ignore", CalibrationWarning)  # `evaluate` judges that
                report = pack(
                    self.model,
                    beside,
                    example_inputs=self._examples,
                    activations="fixed",
                    calibration=calibration,
                    **self._pack_options,
                )
            latency_us = self._latency_us(beside)
            if latency_us >= made.latency_us:
                return made
            packed = PackedModule(load(beside), self._input_names, next(self.model.parameters()).device)
            seed_everything(self._seed)
            with torch.no_grad():
                score = Score.of(self._evaluate(packed))
            verdict = self.rule.verdict(self._score, score)
            if not verdict.held:
                return made
            beside.replace(path)
        except OSError:
            raise
        except Exception:  # the user's `evaluate` is for the module, and may ask of it what no packed network has
            return made
        finally:
            beside.unlink(missing_ok=True)
        return replace(
            made,
            value=score.value,
            drop=verdict.drop,
            error=verdict.error,
            most=verdict.most,
            size_bytes=report.size_bytes,
            latency_us=latency_us,
            activations="fixed",
        )

    def _calibration(self) -> list[tuple[Tensor, ...]]:
        """What the model takes of some batches, the same ones each time."""
        feed = Feed(self.trainer.loader, self._seed * 7919 + _CALIBRATION_FEED)
        device = next(self.model.parameters()).device
        batches = (on_device(feed.next(), device) for _ in range(_CALIBRATION_BATCHES))
        found = []
        for batch in batches:
            with torch.no_grad(), first_call(self.model) as calls:
                self._loss(self.model, batch)
            taken = tensors_given(self.model, calls[0]) if calls else None
            found.append((taken or ())[: len(self._examples or ())])
        return found

    @property
    def _input_names(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.model.forward).parameters)

    def load(self, number: int) -> None:
        """Give the model the weights of a candidate."""
        left_out = {name: value for name, value in self.model.state_dict().items() if not isinstance(value, Tensor)}
        with torch.no_grad():
            self.model.load_state_dict({**left_out, **self.folder.read_weights(number)})

    def sample_step(self) -> Callable[[], None]:
        """A training step of a copy of the model, for choosing threads; what it does is thrown away."""
        twin = set_training(copy.deepcopy(self.model))
        optimizer = torch.optim.SGD([one for one in twin.parameters() if one.requires_grad], lr=0.0)
        trainer, batch = self.trainer, self._batch

        def step() -> None:
            optimizer.zero_grad()
            loss_of(twin, batch, trainer.loss, None, trainer.precision).backward()
            optimizer.step()

        return step

    def layers(self) -> list[tuple[str, int, int]]:
        """Parameter name, connections that are left, all of them: of what is operated on, as the model is now."""
        found = [(name, self.model.get_parameter(name)) for name in self._operated]
        return [(name, int(one.count_nonzero()), one.numel()) for name, one in found]

    def _plan(self, trial: Trial, warm: bool) -> Plan:
        return plan_for(trial, warm=warm, objective=self._objective, uses=self._uses, seed=self._seed)

    def _scored(self) -> Score:
        seed_everything(self._seed)
        try:
            with torch.no_grad(), evaluating(self.model):
                return Score.of(self._evaluate(self.model))
        finally:
            for parameter, flag in self._flags:  # many an `evaluate` freezes what it judges
                parameter.requires_grad_(flag)

    def _first_scored(self) -> Score:
        """Of the reference; what `evaluate` gives to the model is what its file will take."""
        try:
            with first_call(self.model) as calls:
                score = self._scored()
        except (
            Exception
        ):  # of what takes no module with a hook, such as torch.jit.script or pickle; else it comes again
            calls, score = [], self._scored()
        taken = tensors_given(self.model, calls[0]) if calls else None
        if taken is None and self._by_loss is not None:
            taken = tensors_given(self.model, self._by_loss)
        self._examples = _few(taken) if self._given is None else self._given
        if self._objective == "latency":
            self._uses = self._used()
        return score

    def _used(self) -> tuple[tuple[str, float], ...]:
        """How often a run uses the connections of each layer; nothing where the model can't be run for that."""
        device = next(self.model.parameters()).device
        examples = self._examples

        def run() -> None:
            if examples is None:
                self._loss(self.model, self._batch)
            else:
                self.model(*(one.to(device) for one in examples))

        with evaluating(self.model), suppress(Exception):  # of a loss that is for training alone
            return uses_of(self.model, self._layers, run)
        return ()

    def _kept(self) -> int:
        return sum(kept for _, kept, _ in self.layers())

    def _packed(self, number: int) -> tuple[int | None, float | None]:
        """Bytes of the packed file and microseconds of a run; None for both where it can't be packed."""
        if self._examples is None or self.unpacked:
            self.unpacked = self.unpacked or self._warned(
                "neither `evaluate` nor `loss` calls it with tensors alone, for the first parameters of its forward: "
                "give pack_options={'example_inputs': ...}, or wrap the model in a module that takes tensors."
            )
            return None, None
        path = self.folder.packed_path(number)
        try:
            with evaluating(self.model):
                report = pack(self.model, path, example_inputs=self._examples, **self._pack_options)
        except NetsurgeryError as error:
            if number != REFERENCE or (isinstance(error, SettingError | InputError) and self._has_pack_options):
                raise
            self.unpacked = self._warned(str(error))
            return None, None
        return report.size_bytes, self._latency_us(path)

    def _warned(self, why: str) -> str:
        message = f"The network can't be packed: {why} The search goes on by its connections."
        warnings.warn(message, UnpackedWarning, stacklevel=2)
        return why

    def _latency_us(self, path: Path) -> float:
        """Of one example where the first axis is open, else of the examples as they are."""
        session = load(path, threads=1)
        arrays = [array_of(one) for one in self._examples or ()]
        cut = [array[:1] if array.ndim else array for array in arrays]
        try:
            session(*cut)
        except NetsurgeryError:  # the batch is fixed
            cut = arrays
        times = in_turns({"run": partial(timed, partial(session, *cut))}, _PACE)["run"]
        return round(times.latency_us.median, 2)

    def _try_optimizer(self, factory: OptimizerFactory) -> None:
        """Raise what is wrong with a user's own before anything is trained."""
        optimizer = optimizer_for(self.model, Rate("given", 1.0), factory)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            attach(self.model, optimizer, Plan.of(Surgery(density=1.0, steps=1))).detach()

    def _rehearsed(self, loader: Iterable[Any]) -> tuple[Seen | None, nn.Module | None]:
        """How `loss` calls the model, and a teacher: the model as it is, if it gives what a model in training gives.

        With a copy in training mode, whose statistics nobody needs, as far as the model can be copied; the model itself
        is in evaluation mode meanwhile, for a loss that knows it by another way than its argument.
        """
        teacher = twin = None
        with suppress(Exception):
            teacher, twin = frozen(copy.deepcopy(self.model)), set_training(copy.deepcopy(self.model))
        with evaluating(self.model):
            if teacher is not None and twin is not None:
                seen, alike = rehearsed(twin, self._batch, self._loss, teacher)
                if seen is not None:
                    if (last := last_batch(loader)) is not None:
                        lost(self._loss, twin, on_device(last, next(twin.parameters()).device))
                    return seen, teacher if alike else None
            seen, alike = rehearsed(self.model, self._batch, self._loss, teacher)
            return seen, teacher if alike else None


def _steps(plan: Plan) -> int:
    return int(plan.stages[0].method.steps)  # type: ignore[attr-defined]


def _tensors(model: nn.Module, given: Any) -> tuple[Tensor, ...]:
    """Example inputs, as `pack` takes them. Raises InputError."""
    if isinstance(given, Mapping):
        given = in_forwards_order(model, given)
    each = given if isinstance(given, list | tuple) else (given,)
    return tuple(torch.from_numpy(array_of(one)) for one in each)


def _few(examples: tuple[Tensor, ...] | None) -> tuple[Tensor, ...] | None:
    """The first examples of a batch, where all inputs have one size along their first axis."""
    if not examples:
        return None
    firsts = {one.shape[0] if one.dim() else 0 for one in examples}
    return tuple(one[:_EXAMPLES] for one in examples) if len(firsts) == 1 and 0 not in firsts else examples
