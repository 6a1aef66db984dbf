"""Which grids a network's values are rounded to: chosen by what they are on batches of real inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from netsurgery.errors import InputError, SettingError
from netsurgery.graph.capture import array_of
from netsurgery.graph.fixed_layers import FARTHEST_UNIT, Choice, Point, finest, fixed, points, whole_layers
from netsurgery.graph.fixed_point import highest
from netsurgery.graph.ir import Array, Graph, Input
from netsurgery.packed.format import MOST_OUTPUTS
from netsurgery.packed.writer import encode
from netsurgery.runtime.inputs import converted
from netsurgery.runtime.session import Session

_SAMPLE = 2**16
"""Entries of a value that are kept from each batch."""
_STEPS = 8
"""So many times the grid is made finer, and values beyond it are cut, to see where the error is least."""


@dataclass(frozen=True)
class FixedPoint:
    """A network in fixed point, and what became of it.

    graph: the network; remarks: what stays as it was, in sentences.
    """

    graph: Graph
    remarks: tuple[str, ...]


def calibrated(graph: Graph, batches: Iterable[Sequence[Array]]) -> FixedPoint:
    """The network with activations in fixed point, as far as its weights are powers of two.

    batches: of inputs, in their order; the more like those that the network is meant for, the better. Scales are
    powers of two, one for each value, of least squared error over a sample of each batch. Raises SettingError if no
    layer's weights are powers of two, or no batch is given; InputError for batches that the network doesn't take.
    """
    layers = whole_layers(graph)
    with_weights = sum(made.operator in ("Conv", "Linear") for made in graph.nodes)
    if not layers:
        raise SettingError(
            f"activations='fixed' adds where weights are powers of two; none of the {with_weights} layers' are. Train "
            "with netsurgery.INQ first, or leave activations='float'."
        )
    places = points(graph, layers)
    wanted = list(dict.fromkeys([name for point in places for name in point.values] + list(layers)))
    seen = _observed(graph, wanted, batches)
    chosen: dict[str, Choice] = {}
    for point in places:
        choice = _chosen(point, [seen[name] for name in point.values])
        chosen.update(dict.fromkeys(point.values, choice))
    made = fixed(graph, layers, chosen, lambda name: seen[name].largest)
    left = with_weights - len(layers)
    remarks = (f"{left} of {with_weights} layers have other weights than powers of two: they stay in float32.",)
    return FixedPoint(made, remarks if left else ())


@dataclass
class _Seen:
    """What a value was on all batches."""

    largest: float = 0.0
    negative: bool = False
    sample: list[npt.NDArray[np.float64]] = field(default_factory=list)


def _observed(graph: Graph, names: Sequence[str], batches: Iterable[Sequence[Array]]) -> dict[str, _Seen]:
    """What these values are, as the engine computes them. Inputs are looked at as they come."""
    seen = {name: _Seen() for name in names}
    generator = np.random.default_rng(0)
    inputs = [given.name for given in graph.inputs]
    made = [name for name in names if name not in inputs]
    parts = [made[first : first + MOST_OUTPUTS] for first in range(0, len(made), MOST_OUTPUTS)]
    sessions = [Session(encode(graph.replaced(outputs=tuple(part)))) for part in parts]
    any_given = False
    for batch in batches:
        any_given = True
        values: dict[str, Array] = {name: np.asarray(array) for name, array in zip(inputs, batch, strict=True)}
        for part, session in zip(parts, sessions, strict=True):
            outputs = session(*batch)
            values.update(zip(part, outputs if isinstance(outputs, tuple) else (outputs,), strict=True))
        for name in names:
            _look(seen[name], values[name], generator)
    if not any_given:
        raise SettingError("calibration holds no batch: give some inputs of the kind that the network is meant for.")
    return seen


def _look(seen: _Seen, values: Array, generator: np.random.Generator) -> None:
    flat = values.reshape(-1)
    if not np.isfinite(flat).all():
        raise InputError("a value of the network isn't finite on the calibration batches: no grid can hold it.")
    seen.largest = max(seen.largest, float(np.abs(flat).max(initial=0)))
    seen.negative = seen.negative or bool((flat < 0).any())
    if len(flat) > _SAMPLE:
        flat = flat[generator.integers(0, len(flat), _SAMPLE)]
    seen.sample.append(flat.astype(np.float64))


def _chosen(point: Point, seen: Sequence[_Seen]) -> Choice:
    """The grid of least squared error, with as many bits as sums allow."""
    signed = any(one.negative for one in seen)
    bits = point.bits(signed)
    count = highest(bits, signed)
    largest = max(one.largest for one in seen)
    if largest == 0:
        return Choice(0, bits, signed)
    sample = np.concatenate([part for one in seen for part in one.sample])
    coarsest = max(finest(largest, count), _STEPS - FARTHEST_UNIT)

    def error(exponent: int) -> float:
        counts = np.clip(np.rint(np.ldexp(sample, -exponent)), -count if signed else 0, count)
        return float(np.square(np.ldexp(counts, exponent) - sample).mean())

    best = min(range(coarsest, coarsest - _STEPS, -1), key=error)
    return Choice(best, bits, signed)


def batch_of(given: Any, inputs: Sequence[Input]) -> list[npt.NDArray[Any]]:
    """A batch as arrays in the order of the inputs: from an array or tensor, a mapping, or a sequence of them.

    A sequence may have more: what loaders give, labels behind the inputs. Raises InputError if it has fewer.
    """
    if isinstance(given, Mapping):
        missing = [one.name for one in inputs if one.name not in given]
        if missing:
            raise InputError(f"a calibration batch holds no {missing[0]!r}; it has {', '.join(map(repr, given))}.")
        parts = [given[one.name] for one in inputs]
    else:
        parts = list(given) if isinstance(given, list | tuple) else [given]
    if len(parts) < len(inputs):
        raise InputError(f"a calibration batch holds {len(parts)} arrays; the network takes {len(inputs)} inputs.")
    return [converted(one, array_of(part, "calibration batches")) for one, part in zip(inputs, parts, strict=False)]
