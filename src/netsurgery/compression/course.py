"""A search from its begin, or from where its folder says that it was, to its end.

threads ─▶ reference ─▶ probes: optimizer, rate, teacher ─▶ steps that there are ─▶ trials ─▶ best network, page
   each is recorded in the folder as soon as it is known, and taken from there on resuming
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from netsurgery.compression.budget import Budget
from netsurgery.compression.candidate import REFERENCE, Candidate, Objective, Trial, best
from netsurgery.compression.interruption import interruptions
from netsurgery.compression.page import write_page
from netsurgery.compression.rates import PROBED, PROBED_GIVEN, Rate, best_rate
from netsurgery.compression.result import Compression, Moment, Progress
from netsurgery.compression.search import Terms, may_begin, search
from netsurgery.compression.workshop import Workshop
from netsurgery.errors import DataError
from netsurgery.evaluation_mode import evaluating
from netsurgery.train.thread_choice import quickest_threads

_PROBE_SHARE = 0.01  # of the budget, for each probe
_PROBES_SHARE = 0.5  # of the budget's time, behind which none begins: where a few steps take long
_PROBE_DENSITY = 0.1
_HARD_DENSITY, _HARD_STEPS = 0.01, 2  # where optimizers, and with a teacher or without, are compared; times as long
_HARD_CONNECTIONS = 300  # at the least
_DOUBT = 2.0  # standard errors by which a metric has to be better, where the other way has something for it
_FEWEST_PROBE_STEPS, _MOST_PROBE_STEPS = 10, 2_000
_SHORTEST_STEP_S = 1e-5
_TIMED_SHARE = 0.005  # of the budget's time, for timing the steps of a trial
_RESERVE = 0.93  # share of the time that is planned with
_WORTH = 0.08  # share of the time that is worth going on for, when all steps are spent
_OVER = 1.05  # share of the time at which a search ends wherever it is


class _OutOfTimeError(Exception):
    """The budget's time is over."""


class Course:
    """A search. batches: those of a pass, where the loader says so, for budgets in epochs."""

    def __init__(
        self,
        workshop: Workshop,
        budget: Budget,
        objective: Objective,
        methods: tuple[str, ...],
        own_optimizer: bool,
        batches: int | None,
        progress: Progress | None,
    ) -> None:
        self._workshop = workshop
        self._folder = workshop.folder
        self._state = workshop.folder.state
        self._budget = budget
        self._objective = objective
        self._methods = methods
        self._rates = PROBED_GIVEN if own_optimizer else PROBED
        self._batches = batches
        self._progress = progress or (lambda _: None)
        self._begun_s = time.monotonic() - float(self._state["elapsed_s"])
        self._interrupted = False
        self._pressed: Callable[[], bool] = lambda: False

    def run(self) -> Compression:
        """All of it. An interruption ends it early, with what there is."""
        with interruptions() as self._pressed:
            try:
                self._prepare()
                self._try_out()
            except (KeyboardInterrupt, _OutOfTimeError):
                self._interrupted = True
            except Exception:
                if not self._pressed():
                    raise
                self._interrupted = True
        if not self._state["candidates"]:
            raise KeyboardInterrupt  # there is nothing to give back yet
        try:
            return self._finish()
        except RuntimeError:
            if not self._interrupted:
                raise
            return self._finish()  # torch says of a loader's workers once that they have ended, wherever that falls

    def _prepare(self) -> None:
        """The reference, threads, probes, and how many steps there are."""
        state, workshop = self._state, self._workshop
        self._folder.require_known(workshop.model.state_dict())
        if "threads" not in state:
            self._tell("choosing threads", 0, 1)
            state["threads"] = self._threads()
        torch.set_num_threads(int(state["threads"]))
        if state["candidates"]:
            workshop.resume_reference(float(state["candidates"][REFERENCE]["value"]))
        else:
            self._tell("judging the network as it is", 0, 1)
            reference, state["overhead_s"] = workshop.reference()
            state["unpacked"] = workshop.unpacked
            state["candidates"].append(reference.to_dict())
            self._save()
        workshop.unpacked = state["unpacked"]
        if "rate" not in state:
            self._probe()
        if "steps" not in state:
            state["steps"], state["overhead"] = self._terms()
            state["trials_begun_s"], state["added_steps"] = self._elapsed_s, []
            self._save()

    def _threads(self) -> int:
        """As many as make a plain step quickest, where that can be tried: with a copy of the model, on processors."""
        own = torch.get_num_threads()
        if self._workshop.trainer.teacher is None or next(self._workshop.model.parameters()).device.type != "cpu":
            return own
        with evaluating(self._workshop.model):  # which a loss may know by another way than its argument
            return quickest_threads(self._workshop.sample_step(), own)[0]

    def _probe(self) -> None:
        """Which optimizer, at which rate, with or without a teacher: short trainings that all begin alike."""
        state, workshop = self._state, self._workshop
        done: list[dict[str, Any]] = state["probes"]
        density = _PROBE_DENSITY if "surgery" in self._methods else 1.0
        hard_density = min(max(_HARD_DENSITY, _HARD_CONNECTIONS / workshop.connections), density)
        if self._budget.unit == "seconds" and "trial_step_s" not in state:
            self._tell("timing steps", 0, 1)
            limit_s = self._budget.amount * _TIMED_SHARE
            state["trial_step_s"] = max(workshop.step_s(self._rates[-1], density, limit_s), _SHORTEST_STEP_S)
        steps = round(self._planned_steps() * _PROBE_SHARE)
        steps = min(max(steps, _FEWEST_PROBE_STEPS), _MOST_PROBE_STEPS)

        def probed(rate: Rate, taught: bool = False, hard: bool = False) -> dict[str, Any]:
            what = {"kind": rate.kind, "rate": rate.value, "taught": taught, "hard": hard}
            for one in done:
                if what.items() <= one.items():
                    return one
            if self._budget.unit == "seconds" and self._elapsed_s > _PROBES_SHARE * self._budget.amount:
                return {**what, "steps": 0, "loss": None, "value": None}  # as one that came to nothing
            where = f"trying {rate}{' at few connections' * hard}{', with the network as its own teacher' * taught}"
            self._tell(where, len(done), max(len(done) + 1, 4 * len(self._rates) + 1))
            length = _HARD_STEPS * steps if hard else steps
            judged = hard or density == 1.0  # rates are chosen by the loss alone
            outcome = workshop.probe(rate, length, hard_density if hard else density, taught, judged)
            one = {**what, "steps": length, **outcome}
            done.append(one)
            self._save()
            return one

        rates = [best_rate(begin, lambda rate: _loss(probed(rate))) for begin in self._rates]
        hard = density < 1.0  # what trains faster with many connections left may be worse with few
        chosen = rates[0]
        for other in rates[1:]:  # SGD, the first, gains more from longer trainings
            chosen = other if is_better(probed(other, hard=hard), probed(chosen, hard=hard)) else chosen
        taught = False
        if workshop.trainer.teacher is not None:
            taught = is_better(probed(chosen, taught=True, hard=hard), probed(chosen, hard=hard), by_loss=False)
        state["rate"], state["taught"] = {"kind": chosen.kind, "value": chosen.value}, taught
        workshop.load(REFERENCE)
        self._save()

    def _planned_steps(self) -> float:
        """Steps of the whole budget, as far as is known before any trial."""
        if self._budget.unit == "seconds":
            return self._budget.amount * _RESERVE / float(self._state["trial_step_s"])
        return self._budget.steps(self._batches)

    def _terms(self) -> tuple[int, int]:
        """Steps that trials may spend, and what each costs beside its own, in steps."""
        state = self._state
        probes = state["probes"]
        if self._budget.unit != "seconds":
            return max(1, round(self._budget.steps(self._batches) - sum(one["steps"] for one in probes))), 0
        like = [one["step_s"] for one in probes if one["taught"] == state["taught"] and one["loss"] is not None]
        step_s = min(like) if like else float(state["trial_step_s"])
        left_s = self._budget.amount * _RESERVE - self._elapsed_s
        return max(1, int(left_s / step_s)), round(float(state["overhead_s"]) / step_s)

    def _try_out(self) -> None:
        """The search's trials: those that are recorded already are taken from there."""
        state, workshop = self._state, self._workshop
        candidates = [Candidate.from_dict(one) for one in state["candidates"]]
        terms = Terms(
            self._objective,
            int(state["steps"]),
            int(state["overhead"]),
            prunes="surgery" in self._methods,
            quantizes="inq" in self._methods,
            max_loss=self._workshop.rule.max_loss,
            margin=self._workshop.rule.margin,
        )
        trials = search(candidates[REFERENCE], terms, self._more_steps(candidates))
        outcome: Candidate | None = None
        number = 0
        while True:
            try:
                trial = trials.send(outcome) if outcome else next(trials)
            except StopIteration:
                return
            number += 1
            if number < len(candidates):
                outcome = candidates[number]
                if outcome.trial != trial:
                    raise DataError(
                        f"{self._folder.path} was begun by another way of searching: its trial {number} isn't what "
                        "this one would try. Give another folder to begin from the start."
                    )
                continue
            outcome = self._made(number, trial, candidates)
            candidates.append(outcome)
            state["candidates"].append(outcome.to_dict())
            self._save()
            workshop.folder.checkpoint.remove()
            self._folder.keep_only(may_begin(candidates))

    def _more_steps(self, candidates: list[Candidate]) -> Callable[[], int]:
        """What tells a search that has spent its steps how many more the time allows; what was told is recorded."""
        told = iter(list(self._state["added_steps"]))

        def more() -> int:
            before = next(told, None)
            if before is not None:
                return int(before)
            left_s = self._budget.amount * _RESERVE - self._elapsed_s
            if self._budget.unit != "seconds" or left_s < _WORTH * self._budget.amount:
                return 0
            step_s = (self._elapsed_s - float(self._state["trials_begun_s"])) / max(self._spent(candidates), 1)
            self._state["added_steps"].append(int(left_s / max(step_s, _SHORTEST_STEP_S)))
            self._save()
            return int(self._state["added_steps"][-1])

        return more

    def _spent(self, candidates: list[Candidate]) -> int:
        """Steps of all trials, with what each costs beside."""
        return sum((one.trial.steps if one.trial else 0) + int(self._state["overhead"]) for one in candidates[1:])

    def _made(self, number: int, trial: Trial, candidates: list[Candidate]) -> Candidate:
        so_far = best(candidates, self._objective)
        spent = self._spent(candidates)

        def advance(step: int) -> None:
            self._progress(Moment(trial.words, step, trial.steps, self._share(spent + step), so_far))
            if self._budget.unit == "seconds" and self._elapsed_s > self._budget.amount * _OVER:
                raise _OutOfTimeError
            if self._pressed():  # and Python or what it ran then made nothing of it
                raise KeyboardInterrupt

        return self._workshop.make(
            number,
            trial,
            candidates[trial.start],
            Rate(**self._state["rate"]),
            taught=bool(self._state["taught"]),
            advance=advance,
        )

    def _finish(self) -> Compression:
        """Put the best weights into the model, and write what is for the user."""
        state, workshop, folder = self._state, self._workshop, self._folder
        candidates = tuple(Candidate.from_dict(one) for one in state["candidates"])
        chosen = best(candidates, self._objective)
        workshop.load(chosen.number)
        folder.note_weights(workshop.model.state_dict())  # a model that has these may be given to go on
        self._save()
        folder.copy(folder.weights_path(chosen.number), "best.pt")
        packed = folder.packed_path(chosen.number)
        path = folder.copy(packed, "best.nsm") if packed.exists() else None
        result = Compression(
            workshop.model,
            self._objective,
            candidates,
            self._interrupted,
            folder.path,
            path,
            str(state.get("unpacked", "")),
            None,
        )
        report = write_page(folder.path / "report.html", result, state, workshop.layers())
        return Compression(**{**result.__dict__, "report": report})

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._begun_s

    def _save(self) -> None:
        self._state["elapsed_s"] = round(self._elapsed_s, 3)
        self._folder.save()

    def _tell(self, what: str, step: int, steps: int) -> None:
        candidates = self._state["candidates"]
        known = best([Candidate.from_dict(one) for one in candidates], self._objective) if candidates else None
        self._progress(Moment(what, step, steps, self._share(0), known))

    def _share(self, trials: int) -> float:
        """Share of the budget that is spent: of time what has passed, of steps those of probes and `trials` of trials.

        Not of the steps that the time was planned for: more are added where it allows them, and a share would fall.
        """
        if self._budget.unit == "seconds":
            return min(1.0, self._elapsed_s / self._budget.amount)
        probes = sum(one["steps"] for one in self._state.get("probes", []))
        return min(1.0, (probes + trials) / self._budget.steps(self._batches)) if probes + trials else 0.0


def _loss(probe: dict[str, Any]) -> float:
    """What a probe ended with; infinite where it diverged."""
    return float("inf") if probe["loss"] is None else float(probe["loss"])


def is_better(probe: dict[str, Any], other: dict[str, Any], by_loss: bool = True) -> bool:
    """Whether a probe did more for the metric than another one, beyond doubt: for what is slower, or tires earlier.

    by_loss: whether losses decide where nothing is known of chance; else any gain of the metric does.
    """
    if probe["value"] is None or other["value"] is None:
        return probe["value"] is not None
    errors = (probe.get("error"), other.get("error"))
    if None in errors and by_loss:
        return _loss(probe) < _loss(other)
    return bool(probe["value"] - other["value"] > _DOUBT * max(error or 0.0 for error in errors))
