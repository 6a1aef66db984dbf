"""Random graphs from the whole operator table: the engine, the reference and ONNX Runtime have to agree on each.

    python -m fuzz.graphs --count 10000 --processes 2

Operators follow each other in any order; what one gives is moved into the shape that the next one takes. How far
outputs may lie apart is measured for each graph: by how much the reference's own outputs move when every number that
goes in is moved by a few units in its last place. A graph that does not agree is written to a file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, given, reject, seed, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.samples.case import constant  # noqa: E402
from tests.samples.table import SAMPLES, cases  # noqa: E402

from netsurgery._native import instructions  # noqa: E402
from netsurgery.errors import NetsurgeryError  # noqa: E402
from netsurgery.graph.examples import random_inputs  # noqa: E402
from netsurgery.graph.ir import Array, Graph, GraphBuilder, Node  # noqa: E402
from netsurgery.graph.passes import simplify  # noqa: E402
from netsurgery.graph.shapes import Attributes, Shape  # noqa: E402
from netsurgery.graph.value_types import ValueType  # noqa: E402
from netsurgery.packed.writer import encode  # noqa: E402
from netsurgery.runtime import reference  # noqa: E402
from netsurgery.runtime.kernels.positions import resized_positions  # noqa: E402
from netsurgery.runtime.session import Session  # noqa: E402
from netsurgery.timing.machine import machine, versions  # noqa: E402

Draw = Callable[[st.SearchStrategy[Any]], Any]

MOST_OPERATORS = 6
ROUNDING = 2.0**-18
"""Of the largest output: so much may be rounding whatever the graph is."""
MOVED = 2.0**-21
"""Of each number that goes in: how far it is moved to see what that does."""
AMPLIFIED = 16
"""Outputs may lie apart by so many times what moved inputs do to them."""


@st.composite
def graphs(draw: Draw, operators: Sequence[str]) -> Graph:
    """A graph of some operators, each of which takes inputs, constants or what others have given."""
    builder = GraphBuilder()
    values: list[tuple[str, Shape]] = []  # of floats
    made: list[str] = []
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inputs = 0
    for _ in range(draw(st.integers(1, MOST_OPERATORS))):
        case = draw(cases(draw(st.sampled_from(operators))))
        names: list[str | None] = []
        for place, shape in enumerate(case.shapes):
            if shape is None:
                names.append(None)
            elif case.takes(place):
                names.append(builder.constant(constant(rng, shape), "w"))
            elif values and case.kind(place) is ValueType.FLOAT32 and draw(st.integers(0, 3)):
                names.append(_moved(builder, *values[draw(st.integers(0, len(values) - 1))], shape))
            else:
                names.append(builder.input(f"x{inputs}", shape, case.kind(place)))
                inputs += 1
        if not inputs:
            reject()
        made.append(builder.node(case.operator, names, **case.attributes))
        so_far = builder.graph(made[-1:])
        if so_far.types[made[-1]] is ValueType.FLOAT32:
            values.append((made[-1], so_far.shapes()[made[-1]]))
    return builder.graph(made[-2:])


def _moved(builder: GraphBuilder, name: str, shape: Shape, wanted: Shape) -> str:
    """Entries of a value in another shape: the first ones where there are too many, with zeros where too few."""
    have, need = int(np.prod(shape)), int(np.prod(wanted))
    if shape == wanted:
        return name
    if have != need:
        name = builder.node("Reshape", [name], shape=(have,))
        if have > need:
            name = builder.node("Slice", [name], axis=0, start=0, stop=need)
        else:
            name = builder.node("Pad", [name], pads=(0, need - have))
    return builder.node("Reshape", [name], shape=wanted)


@dataclass
class Found:
    """What has come out so far."""

    graphs: int = 0
    operators: Counter[str] = field(default_factory=Counter)
    not_run: Counter[str] = field(default_factory=Counter)
    differences: list[dict[str, Any]] = field(default_factory=list)
    largest: float = 0.0

    def add(self, other: Found) -> None:
        """What came out elsewhere."""
        self.graphs += other.graphs
        self.operators += other.operators
        self.not_run += other.not_run
        self.differences += other.differences
        self.largest = max(self.largest, other.largest)


def check(graph: Graph, found: Found, folder: Path, runtime: bool) -> None:
    """Run a graph in every way, and note what comes of it."""
    found.graphs += 1
    found.operators.update(made.operator for made in graph.nodes)
    arrays = random_inputs(graph, {}, found.graphs)
    if not _stays_finite(graph, arrays):
        graph = _connected(graph)
    names = [given.name for given in graph.inputs]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = reference.run(graph, dict(zip(names, arrays, strict=True)))
        allowed = _allowed(graph, arrays, expected)
        content = encode(graph)
        ways: dict[str, Sequence[Array]] = {"engine": _outputs(Session(content, threads=1)(*arrays))}
        ways["simplified"] = reference.run(simplify(graph, reference.run_node), dict(zip(names, arrays, strict=True)))
        if runtime and _stays_finite(graph, arrays) and not _is_told_apart(graph):
            _ask_onnx_runtime(graph, arrays, ways, found)
    for way, outputs in ways.items():
        for place, (mine, wanted, most) in enumerate(zip(outputs, expected, allowed, strict=True)):
            apart = _apart(mine, wanted)
            found.largest = max(found.largest, apart / most if most else 0.0)
            if not apart <= most:
                path = folder / f"{found.graphs}-{way}.nsm"
                path.write_bytes(content)
                said = [made.operator for made in graph.nodes]
                found.differences.append(
                    {"way": way, "output": place, "apart": apart, "allowed": most, "operators": said, "file": path.name}
                )


def _is_told_apart(graph: Graph) -> bool:
    shapes = graph.shapes()
    return any(_done_otherwise(made, shapes) for made in graph.nodes)


def _stays_finite(graph: Graph, arrays: Sequence[Array]) -> bool:
    """Is every value finite? ONNX doesn't say what many operators make of NaN, or of a maximum of -inf alone."""
    every = graph.replaced(outputs=tuple(made.output for made in graph.nodes))
    values = reference.run(every, {given.name: array for given, array in zip(graph.inputs, arrays, strict=True)})
    return all(bool(np.isfinite(value).all()) for value in values)


def _connected(graph: Graph) -> Graph:
    """The graph without zeros among its weights: what is not finite passes connections, and none that was pruned."""
    held = {name: weights.values for name, weights in graph.constants.items()}
    return graph.replaced(
        constants={name: np.where(values == 0, np.float32(0.25), values) for name, values in held.items()}
    )


def _done_otherwise(made: Node, shapes: Mapping[str, Shape]) -> bool:
    """Whether ONNX Runtime does this in a way of its own.

    The last state of a sequence of no steps is 0 there, not the first state. Antialiased maps of three axes aren't
    those of onnx's reference, which ours are. Positions of nearest neighbours are float32 there, so that it takes the
    other one where two are as near.
    """
    if made.operator == "Interpolate":
        return bool(made.attributes["antialias"]) and len(made.attributes["size"] or made.attributes["scales"]) > 2
    if made.operator == "Resize":
        scales = made.attributes["scales"] or itertools.repeat(None)
        sizes = zip(shapes[made.inputs[0]][2:], shapes[made.output][2:], scales, strict=False)
        return any(_is_close(*size, made.attributes) for size in sizes)
    return 0 in made.attributes.get("fixed_lengths", ())


def _is_close(old: int, new: int, scale: float | None, attributes: Attributes) -> bool:
    """True if some position of a nearest neighbour lies where another one begins, but for rounding."""
    begins = 0.0 if attributes["rounding"] in ("floor", "ceil") else 0.5
    beyond = resized_positions(old, new, scale, attributes["coordinates"]) - begins
    return bool((np.abs(beyond - np.round(beyond)) < 1e-5 * new).any())


def _ask_onnx_runtime(graph: Graph, arrays: Sequence[Array], ways: dict[str, Sequence[Array]], found: Found) -> None:
    from netsurgery.deployment.dense_runtime import DenseRuntime

    try:
        ways["onnxruntime"] = [np.asarray(one) for one in DenseRuntime(graph, 1).bound(arrays)()]
    except NetsurgeryError as error:
        found.not_run[str(error)[:400]] += 1
    except Exception as error:  # of onnxruntime's own kinds
        found.not_run[f"{type(error).__name__}: {error}"[:400]] += 1


def _outputs(given: Any) -> Sequence[Array]:
    return given if isinstance(given, tuple) else (given,)


def _allowed(graph: Graph, arrays: Sequence[Array], expected: Sequence[Array]) -> list[float]:
    """How far each output may lie off: what moving all numbers that go in does to it, and some rounding."""
    moved = [0.0] * len(expected)
    for place in range(3):
        rng = np.random.default_rng(place)
        feeds = {given.name: _shaken(rng, array) for given, array in zip(graph.inputs, arrays, strict=True)}
        constants = {name: _shaken(rng, weights.values) for name, weights in graph.constants.items()}
        outputs = reference.run(graph.replaced(constants=constants), feeds)
        moved = [
            max(most, _apart(*both)) for most, both in zip(moved, zip(outputs, expected, strict=True), strict=True)
        ]
    sizes = [float(np.abs(one[np.isfinite(one)]).max(initial=0.0)) for one in expected]
    return [AMPLIFIED * most + ROUNDING * max(size, 1.0) for most, size in zip(moved, sizes, strict=True)]


def _shaken(rng: np.random.Generator, array: Array) -> Array:
    if array.dtype != np.float32:
        return array
    return np.asarray(array * (1 + MOVED * rng.choice([-1.0, 1.0], array.shape)), np.float32)


def _apart(mine: Array, wanted: Array) -> float:
    """The largest difference; infinite where shapes, types, NaN or infinities aren't the same."""
    if mine.shape != wanted.shape or mine.dtype != wanted.dtype:
        return float("inf")
    if mine.dtype != np.float32:
        return 0.0 if np.array_equal(mine, wanted) else float("inf")
    finite = np.isfinite(wanted)
    if not np.array_equal(mine[~finite], wanted[~finite], equal_nan=True):
        return float("inf")
    return float(np.abs(mine[finite].astype(np.float64) - wanted[finite]).max(initial=0.0))


def run(count: int, start: int, operators: Sequence[str], folder: Path, runtime: bool) -> Found:
    """Check so many graphs. What differs is written to a folder for this seed."""
    found, begun, folder = Found(), time.monotonic(), folder / str(start)
    folder.mkdir(parents=True, exist_ok=True)

    @seed(start)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    @given(graph=graphs(operators))
    def go(graph: Graph) -> None:
        check(graph, found, folder, runtime)
        if sys.stderr.isatty() and found.graphs % 50 == 0:
            print(f"\r{found.graphs:,} of {count:,} graphs, {time.monotonic() - begun:.0f} s", end="", file=sys.stderr)

    go()
    return found


def _lines(found: Found) -> Iterator[str]:
    yield f"{found.graphs:,} graphs, {len(found.operators)} operators, {len(found.differences)} differences"
    for reason, times in found.not_run.most_common(20):
        yield f"not run by onnxruntime {times:,} times: {reason}"
    for one in found.differences[:20]:
        yield f"{one['file']}: {one['apart']:.2e}, allowed {one['allowed']:.2e}: {', '.join(one['operators'])}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--operators", nargs="*", default=sorted(SAMPLES), help="by default all of them")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "graphs", help="for graphs that differ")
    parser.add_argument("--no-onnxruntime", action="store_true", help="compare engine and reference alone")
    parser.add_argument("--record", type=Path, metavar="FILE.json")
    parser.add_argument("--processes", type=int, default=1, help="each with a seed of its own, from --seed on")
    options = parser.parse_args()
    found, begun = Found(), time.monotonic()
    count = -(-options.count // options.processes)
    with ProcessPoolExecutor(options.processes) as pool:
        for own in [
            pool.submit(run, count, place, options.operators, options.folder, not options.no_onnxruntime)
            for place in range(options.seed, options.seed + options.processes)
        ]:
            found.add(own.result())
    print(*_lines(found), sep="\n")
    if options.record:
        record = {
            "graphs": found.graphs,
            "seed": options.seed,
            "processes": options.processes,
            "seconds": round(time.monotonic() - begun),
            "machine": machine(options.processes),
            "instructions": instructions(),
            "versions": versions(("netsurgery", "numpy", "onnx", "onnxruntime", "hypothesis")),
            "largest_share_of_what_is_allowed": round(found.largest, 3),
            "operators": dict(sorted(found.operators.items())),
            "not_run": dict(found.not_run),
            "differences": found.differences,
        }
        options.record.write_text(json.dumps(record, indent=1) + "\n")
    sys.exit(1 if found.differences else 0)


if __name__ == "__main__":
    main()
