"""Branches and loops of ONNX models, read as the nodes that run: what they decide has to be known by then.

A branch whose condition is computed as the network runs is read with the other one, and one of the two is picked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import onnx

from netsurgery.errors import UnsupportedOperatorError
from netsurgery.graph.from_onnx.call import Call, Value, from_front, known
from netsurgery.graph.from_onnx.constants import AnyArray, attributes
from netsurgery.graph.from_onnx.inner_graphs import graph_named, laid_out
from netsurgery.graph.from_onnx.traced import Traced, extent_of
from netsurgery.graph.ir import Node
from netsurgery.graph.operators import OPERATORS

MOST_REPEATS = 4096
"""How often a loop may run: its body is written down as often."""

_FIX = "export the model with what it decides decided"


class Reading(Protocol):
    """What is read so far of a model, and how to read on (`reading.py`)."""

    @property
    def values(self) -> dict[str, Value]: ...

    @property
    def steps(self) -> Sequence[Node]: ...

    @property
    def in_vain(self) -> int: ...

    def own_name(self, wish: str) -> str: ...

    def read_inner(self, nodes: Sequence[onnx.NodeProto], outputs: Sequence[str]) -> None: ...

    def call(self, proto: onnx.NodeProto) -> Call: ...

    def settled(self, call: Call, name: str, value: Value) -> Value: ...


Decision: TypeAlias = Callable[[Reading, onnx.NodeProto], Sequence[Value | None]]
"""Reads what a node holds, and returns its outputs; none where something in it can't be read."""


def branch(reading: Reading, proto: onnx.NodeProto) -> list[Value | None]:
    """If: the branch that is taken, or one picked of both."""
    condition = reading.values[proto.input[0]]
    if condition.array is not None:
        taken = "then_branch" if condition.array.any() else "else_branch"
        return list(map(reading.values.get, _inside(reading, graph_named(proto, taken))))
    begun = len(reading.steps)
    both = [_inside(reading, graph_named(proto, name)) for name in ("then_branch", "else_branch")]
    _require_no_refusals(reading.steps[begun:], reading.steps)
    pairs = [tuple(map(reading.values.get, pair)) for pair in zip(*both, strict=True)]
    return [_picked(reading, proto, condition, one, other) for one, other in pairs]


def _require_no_refusals(steps: Sequence[Node], known_steps: Sequence[Node]) -> None:
    """Raise UnsupportedOperatorError if steps refuse some numbers: where a branch isn't taken, it may be given any."""
    whole = {step.output for step in known_steps if step.operator == "Integers"}
    for step in steps:
        for place, name in enumerate(step.inputs):
            counts = all(kind.whole for kind in OPERATORS[step.operator].operand(place).types)
            if name is not None and name not in whole and counts:
                raise UnsupportedOperatorError(
                    f"decides as the network runs, and a branch holds a {step.operator} by computed places, which "
                    f"refuses places that there aren't even where the other branch is meant; {_FIX}"
                )


def _picked(
    reading: Reading, proto: onnx.NodeProto, condition: Value, one: Value | None, other: Value | None
) -> Value | None:
    """One of two values, as a condition says that is computed as the network runs."""
    if one is None or other is None:
        return None
    if one.items is not None or other.items is not None:
        raise UnsupportedOperatorError(f"decides as the network runs between sequences; {_FIX}")
    if one.shape != other.shape or one.kind is not other.kind:
        raise UnsupportedOperatorError(
            f"decides as the network runs between {one.kind} {one.shape} and {other.kind} {other.shape}; {_FIX}"
        )
    call = reading.call(proto)
    chosen = call.reshaped(condition, ()) if condition.shape else condition
    name = reading.own_name(f"{proto.name or 'If'}.picked")
    return reading.settled(call, name, call.node("Where", [chosen, one, other]))


def loop(reading: Reading, proto: onnx.NodeProto) -> list[Value | None]:
    """Loop: the body as often as it runs, one after another."""
    body = graph_named(proto, "body")
    times, going = (reading.values[name] if name else None for name in [*proto.input, ""][:2])
    most = MOST_REPEATS + 1 if times is None else _repeats(times)
    carried: Sequence[str] = list(proto.input[2:])
    collected: list[Sequence[str]] = []
    begun = reading.in_vain
    while len(collected) < most and (going is None or _goes_on(going)):
        if len(collected) == MOST_REPEATS:
            raise UnsupportedOperatorError(f"repeats its body more than {MOST_REPEATS} times")
        count = _known(reading, np.asarray(len(collected), np.int64), f"{body.input[0].name}.number")
        condition = _known(reading, np.asarray(True), f"{body.input[1].name}.true")
        outputs = _inside(reading, body, [count, condition, *carried])
        if reading.in_vain > begun:
            return []
        going = reading.values[outputs[0]]
        carried = outputs[1 : 1 + len(carried)]
        collected.append(outputs[1 + len(carried) :])
    if not collected and len(proto.output) > len(carried):
        raise UnsupportedOperatorError("never runs its body, which leaves what it collects empty")
    scans = [_stacked(reading, proto, names, 0) for names in zip(*collected, strict=True)]
    return [*(reading.values[name] for name in carried), *scans]


def _repeats(times: Value) -> int:
    """How often a loop runs at most. Raises UnsupportedOperatorError unless that is one number."""
    if times.array is None:
        raise UnsupportedOperatorError(f"repeats its body as often as is computed when the network runs; {_FIX}")
    number = (times.array if times.numbers is None else times.numbers).reshape(-1)[0]
    _require_fixed(number)
    return int(number)


def _require_fixed(number: int) -> None:
    if isinstance(number, Traced):
        raise UnsupportedOperatorError(
            f"repeats its body {extent_of(number)} times, and a network has as many nodes at any size"
        )


def _goes_on(going: Value) -> bool:
    if going.array is None:
        raise UnsupportedOperatorError(f"ends on a condition that is computed as the network runs; {_FIX}")
    return bool(going.array.any())


def scan(reading: Reading, proto: onnx.NodeProto) -> list[Value | None]:
    """Scan: the body for each entry along an axis, one after another."""
    body, given = graph_named(proto, "body"), attributes(proto)
    scanned = list(proto.input[len(proto.input) - given["num_scan_inputs"] :])
    carried: Sequence[str] = list(proto.input[: -len(scanned)])
    collected: list[Sequence[str]] = []
    axes = given.get("scan_input_axes", [0] * len(scanned))
    backwards = given.get("scan_input_directions", [0] * len(scanned))
    shapes = [reading.values[name].shape for name in scanned]
    size = shapes[0][from_front(axes[0], len(shapes[0]))]
    _require_fixed(size)
    if size > MOST_REPEATS:
        raise UnsupportedOperatorError(f"repeats its body more than {MOST_REPEATS} times")
    begun = reading.in_vain
    for step in range(size):
        entries = []
        for name, axis, turned in zip(scanned, axes, backwards, strict=True):
            place = _known(reading, np.asarray(size - 1 - step if turned else step, np.int64), f"{name}.place")
            entry = reading.own_name(f"{name}.entry")
            reading.read_inner([onnx.helper.make_node("Gather", [name, place], [entry], axis=axis)], [entry])
            entries.append(entry)
        outputs = _inside(reading, body, [*carried, *entries])
        if reading.in_vain > begun:
            return []
        carried = outputs[: len(carried)]
        collected.append(outputs[len(carried) :])
    count = len(body.output) - len(carried)
    axes, backwards = (given.get(f"scan_output_{what}", [0] * count) for what in ("axes", "directions"))
    scans = [
        _stacked(reading, proto, names[::-1] if turned else names, axis)
        for names, axis, turned in zip(zip(*collected, strict=True), axes, backwards, strict=True)
    ]
    return [*(reading.values[name] for name in carried), *scans]


def _inside(reading: Reading, graph: onnx.GraphProto, inputs: Sequence[str] = ()) -> tuple[str, ...]:
    """Read a graph that lies in a node, for these values. Returns the names of its outputs."""
    found = laid_out(graph, inputs, reading.own_name)
    reading.values.update({name: known(array, name) for name, array in found.arrays.items()})
    reading.read_inner(found.nodes, found.outputs)
    return found.outputs


def _known(reading: Reading, array: AnyArray, wish: str) -> str:
    """The name of a new known value."""
    name = reading.own_name(wish)
    reading.values[name] = known(array, name)
    return name


def _stacked(reading: Reading, proto: onnx.NodeProto, names: Sequence[str], axis: int) -> Value:
    """What every run of a body gives, along a new axis."""
    values = [reading.values[name] for name in names]
    arrays = [value.array for value in values if value.array is not None]
    output = reading.own_name(f"{names[0]}.stacked")
    if len(arrays) == len(values):
        return known(np.stack(arrays, axis), output)
    call = reading.call(proto)
    place = from_front(axis, len(values[0].shape) + 1)
    parts = [call.reshaped(value, (*value.shape[:place], 1, *value.shape[place:])) for value in values]
    return reading.settled(call, output, parts[0] if len(parts) == 1 else call.node("Concat", parts, axis=place))


DECISIONS: dict[str, Decision] = {"If": branch, "Loop": loop, "Scan": scan}
"""ONNX operators that hold graphs, and how they are read."""
