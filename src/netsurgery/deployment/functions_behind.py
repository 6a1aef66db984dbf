"""Grids of sums that functions in float32 read: chosen by the error behind those functions, not by that of the sums.

    layer ─▶ Quantize ─▶ Clip, Sigmoid, Softmax, Add and Relu ... ─▶ an end: here the error is measured

A cut at 6 makes the same of 60 and of 6000, so that a grid that reaches 6000 would only be too coarse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from netsurgery.graph.examples import sizes_of_axes
from netsurgery.graph.fixed_point import limits
from netsurgery.graph.grid_choice import FARTHEST_UNIT, Choice
from netsurgery.graph.ir import Array, Graph, Node
from netsurgery.graph.operators import OPERATORS
from netsurgery.graph.operators.operator import Work
from netsurgery.packed.format import MOST_OUTPUTS
from netsurgery.packed.writer import encode
from netsurgery.runtime import reference
from netsurgery.runtime.session import Session

_FINER = 24
"""So many grids are tried, each twice as fine as the one before: 12 bits that begin at 2^23 times the cut find it."""
_ENTRIES = 2**16
"""Of a value, that errors are measured on; more where a batch can't be cut."""
_NO_FUNCTIONS = frozenset({"Conv", "Linear", "MatMul", "Lstm", "Gru", "Rnn", "GridSample", "RoiAlign", "FirstEntries",
                           "NonMaxSuppression", "ArgMax", "ArgMin", "TopKIndices", "TopKValues"})  # fmt: skip
"""Operators that aren't tried with each grid: they cost too much, or give places, whose distance means nothing."""


@dataclass(frozen=True)
class _Region:
    """The functions behind a value, up to where several read what they make, or what isn't a function does.

    ends: values whose errors count; others: what the functions read beside it, from elsewhere.
    """

    value: str
    nodes: tuple[Node, ...]
    ends: tuple[str, ...]
    others: tuple[str, ...]


class FunctionsBehind:
    """What functions behind values of a graph make of them, on some entries of batches."""

    def __init__(self, graph: Graph, values: Sequence[str], batches: Sequence[Sequence[Array]]) -> None:
        regions = {value: _region(graph, value) for value in values}
        self._regions = {value: region for value, region in regions.items() if region.nodes}
        self._samples: dict[str, list[_Sample]] = {value: [] for value in self._regions}
        read = dict.fromkeys(name for one in self._regions.values() for name in (one.value, *one.others))
        engine = _Values(graph, [name for name in read if name not in {given.name for given in graph.inputs}])
        for batch in batches if self._regions else ():
            self._look(graph, _few_rows(graph, batch), engine)

    def choice(self, value: str, reaching: Choice) -> Choice:
        """Of a grid that reaches all values and beyond, and of finer ones, the one of least error behind functions.

        The error on a sample is added to that on its doubles: other inputs give larger values, and a grid that cuts
        those off is no better than it looks.
        """
        samples = self._samples.get(value, ())
        if not samples:
            return reaching
        finest = max(reaching.exponent - _FINER, -FARTHEST_UNIT)
        tried = [replace(reaching, exponent=one) for one in range(reaching.exponent, finest - 1, -1)]
        return min(tried, key=lambda choice: sum(sample.error(choice) for sample in samples))

    def _look(self, graph: Graph, batch: Sequence[Array], engine: _Values) -> None:
        """Take over the entries of a batch, where there are too few so far."""
        wanting = [
            region
            for value, region in self._regions.items()
            if sum(sample.x.size for sample in self._samples[value]) < _ENTRIES
        ]
        if not wanting:
            return
        found = {**dict(zip((given.name for given in graph.inputs), batch, strict=True)), **engine.on(batch)}
        nodes = {made.output: made for made in graph.nodes_at(sizes_of_axes(graph.inputs, batch))}
        for region in wanting:
            read = {name for made in region.nodes for name in made.given}
            held = {name: graph.constants[name].values for name in read if name in graph.constants}
            operands = {**held, **{name: found[name] for name in (region.value, *region.others)}}
            made = tuple(nodes[one.output] for one in region.nodes)
            self._samples[region.value].append(_Sample(replace(region, nodes=made), _some_entries(region, operands)))


class _Values:
    """Values of a graph, as the engine computes them."""

    def __init__(self, graph: Graph, names: Sequence[str]) -> None:
        parts = (names[first : first + MOST_OUTPUTS] for first in range(0, len(names), MOST_OUTPUTS))
        self._sessions = [(part, Session(encode(graph.replaced(outputs=tuple(part))))) for part in parts]

    def on(self, batch: Sequence[Array]) -> dict[str, Array]:
        """Name -> array, for a batch of inputs."""
        found: dict[str, Array] = {}
        for part, session in self._sessions:
            outputs = session(*batch)
            found.update(zip(part, outputs if isinstance(outputs, tuple) else (outputs,), strict=True))
        return found


class _Sample:
    """Entries of a value, and what the functions behind it make of them as they are, and twice as large."""

    def __init__(self, region: _Region, operands: Mapping[str, Array]) -> None:
        self.x = operands[region.value]
        self._region = region
        self._operands = operands
        self._sides = [(x, self._behind(x)) for x in (self.x, np.float32(2) * self.x)]

    def error(self, choice: Choice) -> float:
        """The squared error at the ends, each as a share of what is there."""
        low, high = limits({"bits": choice.bits, "signed": choice.signed})
        total = 0.0
        for x, expected in self._sides:
            counts = np.clip(np.rint(np.ldexp(x.astype(np.float64), -choice.exponent)), low, high)
            found = self._behind(np.ldexp(counts, choice.exponent).astype(np.float32))
            total += sum(map(_share, found, expected))
        return total

    def _behind(self, x: Array) -> list[npt.NDArray[np.float64]]:
        """The ends, where the value is x."""
        values = {**self._operands, self._region.value: x}
        for made in self._region.nodes:
            values[made.output] = reference.run_node(
                made, [None if name is None else values[name] for name in made.inputs]
            )
        return [values[name].astype(np.float64) for name in self._region.ends]


def _share(found: npt.NDArray[np.float64], expected: npt.NDArray[np.float64]) -> float:
    """The squared error beside the squares of what is expected, wherever that is finite."""
    finite = np.isfinite(expected)
    if not finite.any():
        return 0.0
    with np.errstate(all="ignore"):
        error = np.square(found[finite] - expected[finite]).mean()
        share = error / max(np.square(expected[finite]).mean(), np.finfo(np.float64).tiny)
    return float(share) if np.isfinite(share) else np.inf


def _region(graph: Graph, value: str) -> _Region:
    readers = graph.consumers()

    def is_function(made: Node) -> bool:
        return made.operator not in _NO_FUNCTIONS

    reached = {value}
    nodes, ends = [], [] if all(map(is_function, readers.get(value, ()))) else [value]
    for made in graph.nodes:
        if not is_function(made) or reached.isdisjoint(made.given):
            continue
        nodes.append(made)
        reading = readers.get(made.output, [])
        if made.output not in graph.outputs and len(reading) == 1 and is_function(reading[0]):
            reached.add(made.output)
        else:
            ends.append(made.output)
    own = {value, *(made.output for made in nodes), *graph.constants}
    others = dict.fromkeys(name for made in nodes for name in made.given if name not in own)
    return _Region(value, tuple(nodes), tuple(ends), tuple(others))


def _few_rows(graph: Graph, batch: Sequence[Array]) -> Sequence[Array]:
    """A batch of fewer examples, spread over all, where every input has them along an open first axis of its own."""
    first = {given.shape[0] if given.shape else 0 for given in graph.inputs}
    name = first.pop()
    if first or not isinstance(name, str) or any(name in given.shape[1:] for given in graph.inputs):
        return batch
    rows = len(batch[0])
    entries = max(
        (int(np.prod(shape)) for shape in graph.shapes(sizes_of_axes(graph.inputs, batch)).values()), default=1
    )
    wanted = min(rows, max(1, _ENTRIES * rows // max(entries, 1)))
    if not graph.takes({**sizes_of_axes(graph.inputs, batch), name: wanted}):
        return batch
    picked = np.linspace(0, rows - 1, wanted).astype(np.int64)
    return [np.ascontiguousarray(array[picked]) for array in batch]


def _some_entries(region: _Region, operands: Mapping[str, Array]) -> Mapping[str, Array]:
    """The operands, or entries of them drawn at random where functions take each entry by itself."""
    shape = operands[region.value].shape
    apart = all(OPERATORS[made.operator].work in (Work.ENTRYWISE, Work.BROADCAST) for made in region.nodes)
    size = operands[region.value].size
    if (
        not apart
        or size <= _ENTRIES
        or any(np.broadcast_shapes(shape, one.shape) != shape for one in operands.values())
    ):
        return operands
    picked = np.random.default_rng(0).integers(0, size, _ENTRIES)
    return {name: np.broadcast_to(one, shape).reshape(-1)[picked] for name, one in operands.items()}
