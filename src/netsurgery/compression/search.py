"""What is tried next: a search over densities and bits that learns from what came of the trials before.

    scouts: short trials, each much sparser, until one fails ──▶ few bits for the sparsest that held the limit
                                                                       │ about where the limit lies, for short trials
    long trials from there on: sparser where that led to a better network, denser where not ◀┘ each with few bits, until
    the budget is spent

Most of the budget is for long trials: what a short one can't hold says where to begin, and little of what can be held
in the end. It is a generator that is sent the outcome of each trial, and nothing else decides: a search that goes on
from what was recorded takes the same way as one that was never interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from netsurgery.compression.candidate import REFERENCE, Candidate, Objective, Trial, best

Search: TypeAlias = Generator[Trial, Candidate, None]

_FIRST_FACTOR = 0.1  # of the density, in the first trial
_SMALLEST_GAIN = 0.93  # a factor nearer to 1 isn't worth a trial
_SCOUT_SHARE, _SCOUTS_SHARE = 0.03, 0.2  # of the budget: for one scout, for all of them
_FEWEST_SCOUTS = 2
_DENSEST_SCOUT = 0.6  # factor of the density: what lies behind it, a long trial finds out
_GENTLER = 0.3  # of the learning rate: where a first scout failed, for all but the first long trial; once these diverge
_BITS_SHARE = 0.04  # of the budget, for the first trial of bits
_CLOSE = 0.28  # a scout that held and one that failed lie so near that another tells nothing: factor of densities
_LONG_SHARE = 0.4  # of what is left, for each long trial
_LONG_SHARE_DISTURBED = 0.55  # for the first of them, where a first scout failed: length gains more than attempts
_ONLY_HOPE_SHARE = 0.7  # where bits alone are tried, and none held
_LENGTH_EXPONENT = 0.4  # a training six times as long holds half the density
_LEAST_SHARE = 0.25  # of the way from a density that held to one that didn't, or back
_BITS_OF_LONG = 0.25  # steps of a trial of bits, over those of the long one that it follows
_AGAIN = 2  # times as many, once, where the most bits fail by less than chance may do: they can't be trained on
_BOLD, _CAREFUL = 0.55, 0.75  # factors of long trials: where the limit was held with room, and by a hair
_FEWEST_STEPS = 20
_SOUND_STEPS, _LARGEST_SHARE = 400, 0.15  # shorter trials say little; where the budget has room for them
_FIRST_BITS, _FEWEST_BITS = 4, 2
_MOST_BITS, _COARSER = 6, 2  # where the first don't hold, so many more are tried
_MOST_BITS_TRIALS, _BITS_TRIALS_OF_A_POINT = 4, 2
_LONGEST_LINE = 3
_PLACE_BITS = 1.6  # what the file spends on a connection beside the bits of its value, about
_ROOM = 2.0  # standard errors that a limit held with room was held by
_NEAR = 1.0  # standard errors beyond the limit that chance may have to do with


@dataclass(frozen=True)
class Terms:
    """What a search is given.

    max_loss: how much of the metric may be lost; margin: by how many standard errors less. steps: optimizer steps that
    may be spent, what evaluating and packing takes counted as steps as well: `overhead` for each trial. prunes,
    quantizes: whether it may do either.
    """

    objective: Objective
    steps: int
    overhead: int
    prunes: bool = True
    quantizes: bool = True
    max_loss: float = 0.0
    margin: float = 0.0


class _Account:
    """Steps that are left."""

    def __init__(self, terms: Terms) -> None:
        self.left = terms.steps
        self._overhead = terms.overhead

    def affords(self, steps: int) -> bool:
        return steps >= _FEWEST_STEPS and steps + self._overhead <= self.left

    def spend(self, trial: Trial) -> None:
        self.left -= trial.steps + self._overhead

    def add(self, steps: int) -> None:
        self.left += steps


def search(reference: Candidate, terms: Terms, more: Callable[[], int] = lambda: 0) -> Search:
    """Yields trials and is sent what came of each; ends when nothing that is affordable promises anything.

    reference: the candidate that it begins with, number 0. more: asked when all steps are spent; how many there are
    beside, as where steps took less time than had been thought, or 0.
    """
    account = _Account(terms)
    found = [reference]
    unit = max(_FEWEST_STEPS, round(terms.steps * _SCOUT_SHARE) - terms.overhead)
    unit = max(unit, min(_SOUND_STEPS, round(terms.steps * _LARGEST_SHARE)))
    pruned = yield from _scouted(terms, account, found, unit)

    # Few bits for what is left.
    bits_unit = max(_FEWEST_STEPS, round(terms.steps * _BITS_SHARE) - terms.overhead)
    bits_unit = max(bits_unit, min(_SOUND_STEPS, round(terms.steps * _LARGEST_SHARE)) // 2)
    rate_share = _GENTLER if _is_disturbed(found, terms) else 1.0
    long_share = _LONG_SHARE_DISTURBED if _is_disturbed(found, terms) else _LONG_SHARE
    few = _FewBits(terms, account, found, rate_share)
    if terms.quantizes:
        yield from few.tried(_line(pruned, found), _FIRST_BITS, bits_unit, _MOST_BITS_TRIALS)
    if not terms.prunes:
        if terms.quantizes:
            yield from _long_bits(few, account, found, bits_unit, more)
        return

    # Both together, with what is left of the budget.
    missed: _Missed | None = None
    if terms.objective == "size" and pruned.number != REFERENCE and few.none_held_like(pruned):
        missed = _Missed(pruned, pruned.density, short=True)
        pruned = _denser(pruned, found)
    factor, long_rate_share = 0.0, 1.0  # the factor until it is known how long the first trial is
    while True:
        behind = bits_unit + terms.overhead if terms.quantizes else 0
        share = _LONG_SHARE if factor else long_share
        longer = min(max(2 * unit, round(share * account.left)), account.left - behind - terms.overhead)
        if not account.affords(longer) or longer < unit // 2:
            added = more()
            if not added:
                break
            account.add(added)
            continue
        factor = factor or _limit(pruned, found, terms) / pruned.density * _sparser_by(longer / unit)
        begin, goal = (pruned, _density(pruned, factor)) if missed is None else missed.back_to(pruned, found, terms)
        if missed is not None and missed.short:
            goal *= _sparser_by(longer / unit)
        most = pruned.density
        if terms.quantizes and terms.objective == "size":
            most = min(most, few.most_connections(few.bits or _MOST_BITS) / pruned.connections)
        goal = max(min(goal, _SMALLEST_GAIN * most), 1 / pruned.connections)
        if pruned.density <= goal:
            break
        if missed is not None and missed.density >= goal and not missed.short:
            break
        before = best(found, terms.objective)
        trial = Trial(begin.number, goal, None, longer, long_rate_share)
        yield from _trained_on(trial, longer // 2, terms, account, found, behind, rate_share)
        latest = found[-1]
        long_rate_share *= _GENTLER if latest.failed else 1.0
        long_rate_share = min(long_rate_share, rate_share)  # of those that follow, which are shorter
        bits = few.bits or (_MOST_BITS if terms.quantizes and latest.held else 0)
        if few.bits and terms.objective == "size" and latest.drop + few.cost_of(latest) > _target(latest, terms):
            bits = min(bits + _COARSER, _MOST_BITS)
        if bits and latest.held and not latest.failed:  # few bits hold nothing that floats don't
            steps = max(bits_unit, round(_BITS_OF_LONG * longer))
            yield from few.tried([latest], bits, steps, _BITS_TRIALS_OF_A_POINT, _AGAIN * steps)
        if best(found, terms.objective) != before or few.some_held_at(latest):
            pruned = latest
            factor = max(factor, _BOLD if _has_room(latest, terms) else _CAREFUL)
            missed = None if missed is not None and missed.short else missed  # a long one tells more than that did
        else:  # what holds with float weights alone is no smaller than what there is, either
            missed = _Missed(None if latest.failed else latest, goal)


@dataclass(frozen=True)
class _Missed:
    """A trial that led to nothing better: the network, or None where training diverged; the density.

    short: of scouts and bits, which says little about long trials.
    """

    network: Candidate | None
    density: float
    short: bool = False

    def back_to(self, held: Candidate, found: Sequence[Candidate], terms: Terms) -> tuple[Candidate, float]:
        """What the next trial begins with, and its density: between this one's and that of a network that held.

        It begins with the network that was trained longest, this one, some of whose connections come back; where the
        limit lies between the two is told from their drops; where these say nothing, half of the way.
        """
        share = 0.5
        if self.network is not None:
            of_held, of_missed = _drops(held, self.network, found)
            if of_missed > of_held:
                share = _share_of_way(of_held, of_missed, _target(self.network, terms))
            share = min(max(share, _LEAST_SHARE), 1 - _LEAST_SHARE)
        return self.network or held, _between(held.density, self.density, share)


def _drops(point: Candidate, other: Candidate, found: Sequence[Candidate]) -> tuple[float, float]:
    """What is lost at two points: with few bits, the least, where these were tried at both."""
    few = [[one.drop for one in _few_bits_of(each, found) if not one.failed] for each in (point, other)]
    return (min(few[0]), min(few[1])) if all(few) else (point.drop, other.drop)


def _few_bits_of(point: Candidate, found: Sequence[Candidate]) -> list[Candidate]:
    """What trials of bits made of a network."""
    return [one for one in found if one.trial and one.trial.bits and one.trial.start == point.number]


def _scouted(
    terms: Terms, account: _Account, found: list[Candidate], unit: int
) -> Generator[Trial, Candidate, Candidate]:
    """Short trials that find out about how sparse a network may be; returns the sparsest that held the limit.

    Large steps down; once one fails, half of the way between what held and what didn't, as long as these lie far from
    each other. What diverges behind one that held is tried again, at a lower learning rate.
    """
    pruned, factor, failed = found[0], _FIRST_FACTOR, 0.0
    while terms.prunes and _FIRST_FACTOR <= factor < _DENSEST_SCOUT and account.affords(unit) and pruned.kept > 1:
        spent = terms.steps - account.left
        if spent > _SCOUTS_SHARE * terms.steps and len(found) > _FEWEST_SCOUTS:
            break
        if pruned.number != REFERENCE and failed > _CLOSE * pruned.density:
            break
        goal = _density(pruned, factor)
        gentle = _is_disturbed(found, terms) or any(one.failed for one in found)
        trial = Trial(pruned.number, goal, None, unit, _GENTLER if gentle else 1.0)
        yield from _trained_on(trial, unit, terms, account, found)
        if found[-1].held and not found[-1].failed:
            pruned = found[-1]
            factor = math.sqrt(failed / pruned.density) if failed else _FIRST_FACTOR
        elif gentle or not found[-1].failed or pruned.number == REFERENCE:  # else it diverged, and goes more gently
            failed, factor = goal, math.sqrt(factor)
    return pruned


def _is_disturbed(found: Sequence[Candidate], terms: Terms) -> bool:
    """Whether the first scout, if there was one, failed: short trainings may have lost more than there was to lose.

    Not where it failed by less than chance may do, as by one example of a few hundred.
    """
    return len(found) > 1 and not found[1].held and not _nearly(found[1], terms)


def _long_bits(
    few: _FewBits, account: _Account, found: Sequence[Candidate], unit: int, more: Callable[[], int]
) -> Search:
    """Bits alone, with what is left of the budget: fewer than held, or the most where none did."""
    while True:
        share = _LONG_SHARE if few.bits else _ONLY_HOPE_SHARE
        longer = max(2 * unit, round(share * account.left))
        bits = few.bits - 1 if few.bits else _MOST_BITS
        if bits < _FEWEST_BITS or few.was_tried(found[REFERENCE], bits, longer):
            return
        if account.affords(longer):
            tried = len(found)
            yield from few.tried([found[REFERENCE]], bits, longer, _BITS_TRIALS_OF_A_POINT)
            if len(found) == tried:  # fewer bits promise no cheaper network
                return
        elif added := more():
            account.add(added)
        else:
            return


def _sparser_by(longer: float) -> float:
    """The factor of the density that a training so many times longer holds, about: a guess that failing corrects."""
    return max(math.pow(longer, -_LENGTH_EXPONENT), _FIRST_FACTOR)


def _limit(pruned: Candidate, found: Sequence[Candidate], terms: Terms) -> float:
    """The density at which the limit would just be held by trials such as the scouts.

    Between the sparsest that held it and the densest sparser one that didn't, on a line through their drops over the
    logarithm of the density.
    """
    sparser = [one for one in found if not one.held and not one.failed and one.bits == pruned.bits]
    sparser = [one for one in sparser if one.density < pruned.density]
    if not sparser:
        return pruned.density
    next_one = max(sparser, key=lambda one: one.density)
    rise = next_one.drop - pruned.drop
    share = min(max((_target(next_one, terms) - pruned.drop) / rise, 0.0), 1.0) if rise > 0 else 0.0
    return _between(pruned.density, next_one.density, share)


def _target(candidate: Candidate, terms: Terms) -> float:
    """The drop at which a network that is as uncertain as this one would just hold the limit."""
    return terms.max_loss - terms.margin * (candidate.error or 0.0)


def _share_of_way(held: float, missed: float, target: float) -> float:
    """Of the way between two densities, in their logarithms, where a drop between theirs is reached.

    Drops grow by factors rather than by steps, slowly as long as there are connections to spare; where one of them is
    none, a line has to do.
    """
    if min(held, target) > 0:
        return math.log(target / held) / math.log(missed / held)
    return (target - held) / (missed - held)


def _between(dense: float, sparse: float, share: float) -> float:
    """A density that lies on the way from one to another, in their logarithms."""
    return math.exp((1 - share) * math.log(dense) + share * math.log(sparse))


def _has_room(candidate: Candidate, terms: Terms) -> bool:
    """Whether it holds the limit by more than chance may do; where nothing is known of chance, whether it holds it."""
    return candidate.held and (candidate.error is None or candidate.drop + _ROOM * candidate.error <= terms.max_loss)


def _nearly(candidate: Candidate, terms: Terms) -> bool:
    """Whether it fails by less than chance may do on so many examples."""
    if candidate.held or candidate.failed or candidate.error is None:
        return False
    return candidate.drop - _NEAR * candidate.error <= terms.max_loss


def _tried(trial: Trial, account: _Account, found: list[Candidate]) -> Search:
    """Have a trial carried out: it is paid for, and what came of it is the last that was found."""
    account.spend(trial)
    found.append((yield trial))


def _trained_on(
    trial: Trial,
    on: int,
    terms: Terms,
    account: _Account,
    found: list[Candidate],
    behind: int = 0,
    rate_share: float = 1.0,
) -> Search:
    """Have a trial of a density carried out; what fails by less than chance may do is trained on, once.

    on: steps of that, which have to be there beside those that trials behind it take. rate_share: of the trial's own
    rate, for them.
    """
    yield from _tried(trial, account, found)
    latest = found[-1]
    if _nearly(latest, terms) and account.affords(on + behind):
        share = trial.rate_share * rate_share
        further = replace(trial, start=latest.number, density=latest.density, steps=on, rate_share=share)
        yield from _tried(further, account, found)


class _FewBits:
    """Tries few bits for pruned networks. bits: the first that held, then those of the best network; 0: none."""

    def __init__(self, terms: Terms, account: _Account, found: list[Candidate], rate_share: float) -> None:
        self.bits = 0
        self._rate_share = rate_share
        self._terms = terms
        self._account = account
        self._found = found

    def tried(self, points: Sequence[Candidate], bits: int, steps: int, trials: int, again: int = 0) -> Search:
        """From the sparsest point on: fewer bits while the limit holds, more where it doesn't, then a denser point.

        What holds with some connections and bits holds with more of either, about: the border between is followed, as
        long as it promises a cheaper network. points: networks of float weights, the sparsest first. again: steps of a
        second trial of the most bits, where the first fails by less than chance may do; once.
        """
        for start in points:
            held_here = False
            while trials > 0 and self._account.affords(steps) and self._pays(start, bits):
                trials -= 1
                trial = Trial(start.number, None, bits, steps, self._rate_share)
                yield from _tried(trial, self._account, self._found)
                latest = self._found[-1]
                if bits >= _MOST_BITS and _nearly(latest, self._terms) and self._account.affords(again):
                    yield from _tried(replace(trial, steps=again), self._account, self._found)
                    latest, again = self._found[-1], 0
                held = latest.held and not latest.failed
                if held:
                    held_here = True
                    if not self.bits or best(self._found, self._terms.objective) is latest:
                        self.bits = bits
                    bits -= 1
                elif held_here or bits >= _MOST_BITS:
                    break
                else:
                    bits = min(bits + _COARSER, _MOST_BITS)
                if bits < _FEWEST_BITS or self.was_tried(start, bits, steps):
                    break
            if bits < _FEWEST_BITS:
                return
            if not held_here:
                bits = _FIRST_BITS

    def cost_of(self, point: Candidate) -> float:
        """What these bits may cost of the metric: what they did where they held last, times how much sparser it is."""
        held = [one for one in self._found if one.held and one.trial and one.trial.bits == self.bits]
        if not held or held[-1].trial is None or point.failed:
            return 0.0
        start = self._found[held[-1].trial.start]
        return max(held[-1].drop - start.drop, 0.0) * start.density / point.density

    def none_held_like(self, point: Candidate) -> bool:
        """Whether few bits were tried at a point, and held neither there nor at one of its line that is as sparse."""
        like = [one for one in _line(point, self._found) if one.density <= point.density]
        return bool(_few_bits_of(point, self._found)) and not any(self.some_held_at(one) for one in like)

    def some_held_at(self, point: Candidate) -> bool:
        """Whether few bits were tried at a point, and held the limit."""
        return any(one.held for one in _few_bits_of(point, self._found))

    def was_tried(self, start: Candidate, bits: int, steps: int) -> bool:
        """Whether a network was given so many bits before, by a training at least as long."""
        tried = [one.trial for one in _few_bits_of(start, self._found) if one.trial]
        return any(trial.bits == bits and trial.steps >= steps for trial in tried)

    def most_connections(self, bits: int) -> float:
        """With how many a network of so many bits is as cheap as the best: a guess by the bits of each value."""
        cheapest = best(self._found, self._terms.objective)
        return cheapest.kept * (cheapest.bits + _PLACE_BITS) / (bits + _PLACE_BITS)

    def _pays(self, start: Candidate, bits: int) -> bool:
        return start.kept < self.most_connections(bits)


def _line(candidate: Candidate, found: Sequence[Candidate]) -> list[Candidate]:
    """The candidate, and the nearest of those that it was pruned from."""
    line = [candidate]
    while line[-1].trial is not None and len(line) < _LONGEST_LINE:
        line.append(found[line[-1].trial.start])
    return line


def _denser(candidate: Candidate, found: Sequence[Candidate]) -> Candidate:
    """The nearest of those that it was pruned from that has more connections and held the limit: the first held it."""
    one = candidate
    while one.trial is not None and (one.density <= candidate.density or not one.held):
        one = found[one.trial.start]
    return one


def may_begin(found: Sequence[Candidate]) -> set[int]:
    """The numbers of the candidates that a later trial of this search may begin with."""
    floats = [one for one in found if one.trial is None or one.trial.density is not None]
    points = [*(one for one in found if one.held), floats[-1], found[-1]]
    return {one.number for point in points for one in _line(point, found) if not one.failed}


def _density(candidate: Candidate, factor: float) -> float:
    """The density of the next trial; at least a connection is left."""
    return max(candidate.density * factor, 1 / candidate.connections)
