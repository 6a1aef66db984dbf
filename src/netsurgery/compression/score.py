"""What a network is worth on held-out data, and the rule by which it has lost nothing."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from netsurgery.checks import is_number, require, require_range
from netsurgery.errors import LooseLimitWarning, SettingError

_MEAN, SURE = 0.5, 0.95
"""Certainties: at which the mean decides, and with which it is told how much a network may lose."""
_LOOSE = 0.1
"""Of examples that are right or wrong, this share is more than anybody means to lose."""
_ALLOWED = "a finite number, or one number for each example (a list, an array or a tensor of one axis): more is better"


class UndefinedMetricError(SettingError):
    """A metric is NaN or infinite, as a correlation is where all outputs are alike. found: what it is, in words."""

    def __init__(self, found: str) -> None:
        super().__init__(f"evaluate returned {found}; it must return {_ALLOWED}.")
        self.found = found


@dataclass(frozen=True)
class Score:
    """A metric; more is better. examples: its parts, one for each held-out example in a fixed order, or none."""

    value: float
    examples: tuple[float, ...] = ()

    @classmethod
    def of(cls, given: Any) -> Score:
        """From what a user's `evaluate` returns. Raises SettingError; UndefinedMetricError for NaN and infinity."""
        if hasattr(given, "detach"):  # a tensor, on any device
            given = given.detach().cpu()
            try:
                given = given.numpy()
            except TypeError:  # NumPy has no bfloat16
                given = given.double().numpy()
        if is_number(given):
            return cls(float(given))
        if isinstance(given, float | np.floating):
            raise UndefinedMetricError(f"{given}")
        if isinstance(given, tuple):
            raise SettingError(
                f"evaluate returned a tuple of {len(given)}; it must return {_ALLOWED}. Of several metrics, such as a "
                "loss and an accuracy, return the one that counts."
            )
        if not isinstance(given, Sequence | np.ndarray) or isinstance(given, str | bytes):
            raise SettingError(f"evaluate returned {given!r}; it must return {_ALLOWED}.")
        try:
            numbers = np.asarray(given)
        except (TypeError, ValueError, RuntimeError) as error:  # of lists of lists, of tensors on other devices
            raise SettingError(
                f"evaluate returned a list that is none of numbers; it must return {_ALLOWED}."
            ) from error
        if numbers.dtype.kind not in "fiub" or numbers.ndim > 1 or not numbers.size:
            raise SettingError(
                f"evaluate returned {numbers.dtype} of shape {numbers.shape}; it must return {_ALLOWED}."
            )
        wrong = numbers[~np.isfinite(numbers)]
        if wrong.size:
            many = f" for {wrong.size:,} of {numbers.size:,} examples" if numbers.ndim else ""
            raise UndefinedMetricError(f"{wrong.flat[0]}{many}")
        if numbers.ndim == 0:
            return cls(float(numbers))
        return cls(float(numbers.mean(dtype=np.float64)), tuple(numbers.astype(np.float64).tolist()))


@dataclass(frozen=True)
class Verdict:
    """What a network has lost beside the reference: `drop`, in the metric's own unit, below 0 where it gained.

    error: the standard error of the drop, paired by example; None where a metric is one number. held: no more was lost
    than allowed. most: how much it may lose on all examples like those held out: less, with a certainty of about 0.95;
    None where nothing is known of that.
    """

    drop: float
    error: float | None
    held: bool
    most: float | None = None


@dataclass(frozen=True)
class Rule:
    """No loss: the mean drop on held-out examples is at most `max_loss`, in the metric's own unit.

    Where there is a number for each example, both networks are compared example by example, which cancels what makes
    examples easy or hard. certainty: in [0.5, 1), how sure the rule has to be that the drop of all such examples, not
    of these alone, is within the limit: drop + z(certainty) * its standard error <= max_loss. At 0.5 the mean decides.
    baseline: the metric that drops are counted from, in the place of the reference's own: where it was trained on these
    examples, or where another value is wanted. Nothing is paired then.
    """

    max_loss: float = 0.0
    certainty: float = 0.5
    baseline: float | None = None

    def __post_init__(self) -> None:
        require(
            self.baseline is None or is_number(self.baseline), "baseline", self.baseline, "a finite number, or left out"
        )
        require_range("max_loss", self.max_loss, 0, math.inf)
        require(
            is_number(self.certainty) and 0.5 <= self.certainty < 1, "certainty", self.certainty, "a number in [0.5, 1)"
        )
        for name in ("max_loss", "certainty", "baseline"):  # a search's folder holds no numbers of NumPy
            given = getattr(self, name)
            object.__setattr__(self, name, None if given is None else float(given))

    @property
    def margin(self) -> float:
        """By how many standard errors a drop has to be below the limit."""
        return NormalDist().inv_cdf(self.certainty)

    def require_limit(self, reference: Score) -> None:
        """Raise SettingError for a limit that lets everything be lost, where examples count as right or wrong.

        Warns (LooseLimitWarning) where a tenth of all examples may be lost: percents are meant then, as a rule.
        """
        value = reference.value if self.baseline is None else self.baseline
        right = _right(reference)
        if not right or self.max_loss < _LOOSE * right:
            return
        unit = (
            f"evaluate gives {right:g} for an example that is right, {value:.4g} in the mean; max_loss is in that unit"
        )
        meant = self.max_loss * right / 100
        percent = f"for {self.max_loss:g} percent give {meant:g}" if meant < self.max_loss else "give less"
        if self.max_loss >= value:
            raise SettingError(
                f"max_loss={self.max_loss:g} lets everything be lost: {unit}. It must be below {value:.4g}; {percent}."
            )
        warnings.warn(
            f"max_loss={self.max_loss:g} lets {self.max_loss / right:.0%} of all examples be lost: {unit}. Is that "
            f"meant? If not, {percent}.",
            LooseLimitWarning,
            stacklevel=2,
        )

    def verdict(self, reference: Score, candidate: Score) -> Verdict:
        """Raises SettingError if the two have scores for different numbers of examples."""
        if len(reference.examples) != len(candidate.examples):
            raise SettingError(
                f"evaluate returned {len(candidate.examples):,} numbers after {len(reference.examples):,} for the "
                "network it began with; it must look at the same examples, in the same order, each time."
            )
        right = _right(reference, candidate)
        if self.baseline is not None:
            return self._verdict(self.baseline - candidate.value, np.asarray(candidate.examples), right)
        if not reference.examples:
            return self._verdict(reference.value - candidate.value, np.empty(0), right)
        drops = np.subtract(reference.examples, candidate.examples)
        return self._verdict(float(drops.mean()), drops, right)

    def _verdict(self, drop: float, parts: npt.NDArray[np.float64], right: float) -> Verdict:
        """parts: numbers by whose spread the drop is uncertain; none where nothing is known of it. right: as _right."""
        if len(parts) < 2:
            return Verdict(drop, None, self.margin == 0 and drop <= self.max_loss)
        root = math.sqrt(len(parts))
        more = [right, -right if self.baseline is None else 0.0] if right else []
        careful = float(np.append(parts, more).std(ddof=1)) / root

        def most(certainty: float) -> float:
            if certainty == _MEAN:
                return drop
            unseen = right * (1 - math.pow(1 - certainty, 1 / len(parts)))
            return drop + max(NormalDist().inv_cdf(certainty) * careful, unseen)

        error = float(parts.std(ddof=1)) / root
        return Verdict(drop, error, most(self.certainty) <= self.max_loss, most(SURE))


def _right(*scores: Score) -> float:
    """What a right example counts, where each counts that or 0; else 0."""
    numbers = {number for score in scores for number in score.examples}
    right = max(numbers, default=0.0)
    return right if right > 0 and numbers <= {0.0, right} else 0.0
