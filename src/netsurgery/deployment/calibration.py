"""Which grids a network's values are rounded to: chosen by what they are on batches of real inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from netsurgery.checks import gives_items, require
from netsurgery.deployment.fixed_error import FixedError, Range, error_of, outputs_on, range_of
from netsurgery.deployment.float_ends import Ends, with_ends
from netsurgery.deployment.functions_behind import FunctionsBehind
from netsurgery.errors import InputError, SettingError
from netsurgery.graph.capture import array_of
from netsurgery.graph.fixed_layers import Point, WholeLayer, fixed, is_shown, points, reaching, whole_layers
from netsurgery.graph.fixed_point import EXACT, highest
from netsurgery.graph.grid_choice import FARTHEST_UNIT, FEWEST_BITS, MOST_BITS, Choice, least_error
from netsurgery.graph.ir import Array, Graph, Input
from netsurgery.graph.value_types import ValueType
from netsurgery.packed.format import MOST_OUTPUTS
from netsurgery.packed.writer import encode
from netsurgery.runtime.inputs import converted
from netsurgery.runtime.session import Session

_SAMPLE = 2**16
"""Entries of a value that are kept from each batch."""
_HELD, _MOST_HELD, _HELD_NUMBERS = 4, 64, 2**20
"""Batches that networks are compared on: the first ones, so many, or more while their inputs hold few numbers."""


@dataclass(frozen=True)
class FixedPoint:
    """A network in fixed point, and what became of it.

    graph: the network; remarks: what stays as it was, in sentences; error: how far its outputs lie from those in
    float32, on the first batches; ranges: the least and the largest number of each input in float32, on all batches.
    """

    graph: Graph
    remarks: tuple[str, ...]
    error: FixedError
    ranges: Mapping[str, Range]


def calibrated(
    graph: Graph,
    batches: Iterable[Sequence[Array]],
    grids: Mapping[str, Choice] | None = None,
    ends: Ends = "auto",
) -> FixedPoint:
    """The network with activations in fixed point, as far as its weights are powers of two or binary planes.

    batches: of inputs, in their order; the more like those that the network is meant for, the better. Scales are
    powers of two, one for each value, of least squared error over a sample of each batch: of the value where a layer
    reads it, behind the functions that read it elsewhere. grids: name of a layer's
    weight -> the grid of what it reads, in the place of one that is chosen here. ends: whether the first and the last
    layers stay in float32 (`pack`). Raises SettingError if no layer's weights are such, no batch is given, or
    sums of a given grid aren't exact; InputError for batches that the network doesn't take.
    """
    layers = whole_layers(graph)
    with_weights = sum(made.operator in ("Conv", "Linear") for made in graph.nodes)
    if not layers:
        raise SettingError(
            f"activations='fixed' adds where weights are powers of two or binary planes; none of the {with_weights} "
            "layers' are. Train with netsurgery.INQ first, without mantissa bits, or with netsurgery.Sketching, or "
            "leave activations='float'."
        )
    given = _checked({} if grids is None else grids, layers)
    wanted = list(dict.fromkeys([name for point in points(graph, layers) for name in point.values] + list(layers)))
    held: list[Sequence[Array]] = []
    ranges: dict[str, Range] = {}
    seen = _observed(graph, wanted, _holding(batches, held), ranges)
    behind = FunctionsBehind(graph, [output for output in layers if not is_shown(graph, output)], held)

    @cache
    def of_sums(output: str) -> Choice:
        return behind.choice(output, reaching(seen[output].largest, is_shown(graph, output)))

    def in_fixed_point(those: Mapping[str, WholeLayer]) -> Graph:
        chosen: dict[str, Choice] = {}
        for point in points(graph, those):
            choice = _given(point, given) or _chosen(point, [seen[name] for name in point.values])
            chosen.update(dict.fromkeys(point.values, choice))
        return fixed(graph, those, chosen, of_sums)

    made = with_ends(graph, layers, in_fixed_point, held, ends)
    left = with_weights - len(layers)
    remarks = []
    if left:
        remarks.append(
            f"{left} of {with_weights} layers have other weights than powers of two or planes: they stay in float32."
        )
    unused = sorted(set(given) - {str(layer.made.inputs[1]) for layer in layers.values()})
    if unused:
        remarks.append(
            f"{', '.join(unused[:3])}{', ...' if len(unused) > 3 else ''}: no layer in fixed point has that weight."
        )
    error = error_of(outputs_on(made.graph, held), outputs_on(graph, held))
    return FixedPoint(made.graph, (*remarks, *made.remarks), error, ranges)


def check_batches(given: object) -> None:
    """Raise SettingError for what is no list of batches, or anything else that batches can be taken from."""
    kind = f"a {type(given).__name__}"
    if isinstance(given, np.ndarray) or hasattr(given, "detach"):
        kind = f"one {'array' if isinstance(given, np.ndarray) else 'tensor'}"
    elif gives_items(given):
        return
    raise SettingError(
        f"calibration is {kind}: give a list of batches, such as [X], or a loader that gives inputs of the network."
    )


def _checked(grids: Mapping[str, Choice], layers: Mapping[str, WholeLayer]) -> Mapping[str, Choice]:
    """Grids that someone gives. Raises SettingError for what is none, or on which sums of a layer could round."""
    if not isinstance(grids, Mapping):
        raise SettingError(
            f"grids is a {type(grids).__name__}; it must be a dict of grids by the name of a layer's weight, as "
            "FixedActivations.grids."
        )
    for name, one in grids.items():
        fits = isinstance(one, Choice) and FEWEST_BITS <= one.bits <= MOST_BITS and abs(one.exponent) <= FARTHEST_UNIT
        require(fits, f"grids[{name!r}]", one, "a grid as FixedActivations.grids has it")
    for layer in layers.values():
        name = str(layer.made.inputs[1])
        grid = grids.get(name)
        if grid is not None and highest(grid.bits, grid.signed) * layer.largest_sum >= EXACT:
            raise SettingError(
                f"grids[{name!r}] has {grid.bits} bits: sums of that layer wouldn't fit 24 bits. Train with "
                f"FixedActivations(bits={FEWEST_BITS}), or leave this grid out."
            )
    return grids


def _given(point: Point, grids: Mapping[str, Choice]) -> Choice | None:
    """The grid that a value's readers were given; where they differ, as of joined values, one that reaches all."""
    found = [grids[name] for reader in point.readers if (name := str(reader.made.inputs[1])) in grids]
    if not found:
        return None
    return Choice(max(one.exponent for one in found), max(one.bits for one in found), any(one.signed for one in found))


def _holding(batches: Iterable[Sequence[Array]], held: list[Sequence[Array]]) -> Iterator[Sequence[Array]]:
    """The batches, of which the first are kept to compare networks on."""
    numbers = 0
    for batch in batches:
        numbers += sum(np.size(array) for array in batch)
        if len(held) < _HELD or (len(held) < _MOST_HELD and numbers <= _HELD_NUMBERS):
            held.append(batch)
        yield batch


@dataclass
class _Seen:
    """What a value was on all batches."""

    largest: float = 0.0
    negative: bool = False
    sample: list[npt.NDArray[np.float64]] = field(default_factory=list)


def _observed(
    graph: Graph, names: Sequence[str], batches: Iterable[Sequence[Array]], ranges: dict[str, Range]
) -> dict[str, _Seen]:
    """What these values are, as the engine computes them. Inputs are looked at as they come, and put into `ranges`."""
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
        for given in graph.inputs:
            if given.type is ValueType.FLOAT32:
                low, high = range_of(values[given.name])
                before = ranges.get(given.name, (low, high))
                ranges[given.name] = (min(low, before[0]), max(high, before[1]))
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
    largest = max(one.largest for one in seen)
    return least_error(np.concatenate([part for one in seen for part in one.sample]), largest, bits, signed)


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
