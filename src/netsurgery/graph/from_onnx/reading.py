"""Reads the nodes of an ONNX graph for one choice of sizes, so that all shapes are numbers as nodes are translated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from netsurgery.errors import GraphError, InputError, Problem, UnsupportedOperatorError
from netsurgery.graph.extents import axis, in_entries
from netsurgery.graph.from_onnx import found
from netsurgery.graph.from_onnx.call import TYPES, Call, Value, Whole, known
from netsurgery.graph.from_onnx.constants import RANDOM, AnyArray, attributes, can_be_known
from netsurgery.graph.from_onnx.control_flow import DECISIONS
from netsurgery.graph.from_onnx.folders import FOLDERS
from netsurgery.graph.from_onnx.folding import folded
from netsurgery.graph.from_onnx.inner_graphs import needed, read_by
from netsurgery.graph.from_onnx.operators import MICROSOFT, TRANSLATIONS, Translation
from netsurgery.graph.from_onnx.sequences import READERS, SEQUENCES
from netsurgery.graph.from_onnx.traced import extent_of, traced
from netsurgery.graph.from_onnx.tracing import traced_values, traces
from netsurgery.graph.ir import Array, Graph, Input, Node, Sizes, integers_attributes, node
from netsurgery.graph.passes.constant_folding import Evaluate
from netsurgery.graph.weights import Dense

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


_QUANTIZED = "; give the model as it was before quantisation"
_FOUND = (
    "; it gives as many entries as it finds, and a network's shapes follow from its inputs' alone: end the network "
    "before it (outputs, --outputs)"
)
_DRAWN = "A network draws no random numbers: make them an input, or draw none in evaluation mode."
_ADVICE = {
    "NonZero": _FOUND,
    "Unique": _FOUND,
    "Compress": _FOUND,
    "QuantizeLinear": _QUANTIZED,
    "DequantizeLinear": _QUANTIZED,
    "DynamicQuantizeLinear": _QUANTIZED,
    "QLinearConv": _QUANTIZED,
}
"""What helps where these operators stand in a model."""


class UnreadError(UnsupportedOperatorError):
    """A model with nodes that can't be translated: all of them, in its order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(_report(problems), problems)


class _AbsentError(UnsupportedOperatorError):
    """There is no such operator."""


def read(
    proto: onnx.GraphProto,
    inputs: Sequence[Input],
    arrays: Mapping[str, AnyArray],
    opset: int,
    evaluate: Evaluate,
    sizes: Sizes,
    steps: Sizes,
) -> Graph:
    """The graph for these sizes of open axes, not checked yet. steps: of axes of which all sizes are multiples.

    Raises UnreadError, or UnsupportedOperatorError for an output.

    `arrays`: what the initialisers hold; `evaluate` computes with them. Shapes in the nodes are those at these sizes.
    """
    outputs = [output.name for output in proto.output]
    wanted = set(outputs)
    nodes = needed(proto.node, wanted)
    made_here = {name for made in nodes for name in made.output}
    reading = _Reading(inputs, arrays, opset, evaluate, sizes, steps, wanted, made_here)
    reading.read_nodes(nodes)
    return reading.graph(outputs)


class _Reading:
    """What is known so far: a value for each ONNX name, and the nodes and constants of the graph."""

    def __init__(
        self,
        inputs: Sequence[Input],
        arrays: Mapping[str, AnyArray],
        opset: int,
        evaluate: Evaluate,
        sizes: Sizes,
        steps: Sizes,
        wanted: set[str],
        made: set[str],
    ) -> None:
        self._inputs = tuple(inputs)
        self._opset = opset
        self._evaluate = evaluate
        self._steps = steps
        self._counted = {name: size // steps.get(name, 1) for name, size in sizes.items()}
        self._values = {
            given.name: Value(given.name, tuple(_size(size, sizes, steps) for size in given.shape), kind=given.type)
            for given in inputs
        }
        self._values |= {name: known(array, name) for name, array in arrays.items()}
        self._wanted = wanted
        self._onnx_names = set(self._values) | made
        self._taken: set[str] = set()
        self._nodes: list[Node] = []
        self._constants: dict[str, Array] = {}
        self._problems: list[Problem] = []

    def read_nodes(self, nodes: Sequence[onnx.NodeProto]) -> None:
        """Translate the nodes, in order. One that can't be takes those that need it along, and the rest goes on."""
        for proto in nodes:
            where = proto.name or f"the one that makes {proto.output[0]!r}"
            operator = f"{proto.domain}.{proto.op_type}" if proto.domain else proto.op_type
            try:
                if read_by(proto) <= self._values.keys():
                    if proto.op_type in DECISIONS and not proto.domain:
                        if any(self._values[name].found is not None for name in read_by(proto)):
                            raise UnsupportedOperatorError(
                                f"decides by entries of which there are as many as are found; {found.ADVICE}"
                            )
                        outputs = DECISIONS[proto.op_type](self, proto)
                        self._values |= {
                            name: value for name, value in zip(proto.output, outputs, strict=False) if value
                        }
                    else:
                        self._translate(proto)
                elif not _translated(proto):
                    raise _AbsentError(_missing(proto))
            except (
                GraphError,
                InputError,
                UnsupportedOperatorError,
            ) as error:  # such as indices of nothing
                absent = isinstance(error, _AbsentError)
                self._problems.append(Problem(operator, str(error).rstrip("."), where, absent))
            except (ArithmeticError, LookupError, TypeError, ValueError, StopIteration) as error:
                # onnx.checker looks at neither shapes nor the entries of constants.
                self._problems.append(Problem(operator, f"isn't as the ONNX specification has it ({error!r})", where))

    def _translate(self, proto: onnx.NodeProto) -> None:
        operands = [self._values[name] if name else None for name in proto.input]
        names_decide = proto.op_type == "BatchNormalization" and self._opset < 14  # what is named is computed otherwise
        used = [name in self._wanted or (names_decide and bool(name)) for name in proto.output]
        if proto.op_type not in READERS:
            _require_tensors(operands)
        all_known = all(value is None or value.array is not None for value in operands)
        if all_known and not proto.domain and can_be_known(proto) and proto.op_type not in SEQUENCES:
            arrays = folded(proto, operands, self._opset, used, self._evaluate, self._counted)
            _require_outputs(proto.output, used, arrays)
            if traces(operands):
                call = Call(operands, attributes(proto), self._opset, used, proto.name, self._place)
                with np.errstate(all="ignore"):
                    values = traced_values(proto.op_type, FOLDERS.get(proto.op_type), call, arrays, proto.output)
                if values is not None:
                    self._values |= {value.name: value for value in values}
                    return
                if self._follows(proto, call):
                    return
            self._values |= {
                name: known(array, name) for name, array in zip(proto.output, arrays, strict=False) if array is not None
            }
            return
        if not _translated(proto):
            raise _AbsentError(_missing(proto))
        call = Call(operands, attributes(proto), self._opset, used, proto.name, self._place)
        with np.errstate(all="ignore"):
            if any(value is not None and value.found is not None for value in operands):
                answer = found.translated(proto.op_type, call, _translations(proto))
            else:
                answer = _translations(proto)[proto.op_type](call)
        self._settle(call, proto.output, [answer] if isinstance(answer, Value) else answer)

    @property
    def values(self) -> dict[str, Value]:
        """What each ONNX name stands for so far."""
        return self._values

    @property
    def steps(self) -> Sequence[Node]:
        """The nodes of the graph so far."""
        return self._nodes

    @property
    def in_vain(self) -> int:
        """How many nodes couldn't be translated so far."""
        return len(self._problems)

    def own_name(self, wish: str) -> str:
        """The name of a value of an inner graph: its own, the first time."""
        name = self._free(wish)
        self._onnx_names.add(name)
        return name

    def read_inner(self, nodes: Sequence[onnx.NodeProto], outputs: Sequence[str]) -> None:
        """Read nodes that lead to these outputs and that lay in a node."""
        self._wanted.update(outputs)
        self.read_nodes(needed(nodes, self._wanted))

    def call(self, proto: onnx.NodeProto) -> Call:
        """To answer with nodes in the place of this one."""
        return Call([], {}, self._opset, [True], proto.name, self._place)

    def settled(self, call: Call, name: str, value: Value) -> Value:
        """Take over an answer; its value is called so."""
        self._settle(call, [name], [value])
        return self._values[name]

    def _follows(self, proto: onnx.NodeProto, call: Call) -> bool:
        """Try to leave to the network what is known, but follows axes in a way that only nodes can say."""
        if not _translated(proto):
            return False
        before = list(self._nodes)
        try:
            answer = _translations(proto)[proto.op_type](call)
        except (GraphError, UnsupportedOperatorError, ValueError):
            self._nodes = before
            return False
        values = [answer] if isinstance(answer, Value) else list(answer)
        if any(value is not None and value.array is not None for value in values):
            return False
        self._settle(call, proto.output, values)
        return True

    def _settle(self, call: Call, names: Sequence[str], answer: Sequence[Value | None]) -> None:
        """Take over the nodes of an answer, their values named as in the ONNX model."""
        _require_outputs(names, call.used, answer)
        made = {own.output for own in call.nodes}
        final: dict[str | None, str] = {}
        for name, value in zip(names, answer, strict=False):
            if value is not None and name:
                own = value.name in made
                self._values[name] = replace(value, name=name) if own else value
                if own:
                    final[value.name] = name
        for step in call.nodes:
            final.setdefault(step.output, self._unique(f"{names[0]}.{step.operator.lower()}"))
            inputs = tuple(final.get(name, name) for name in step.inputs)
            self._nodes.append(replace(step, inputs=inputs, output=final[step.output]))
        for name in names:
            value = self._values.get(name)
            if value is not None and value.items is not None:
                items = tuple(replace(one, name=final.get(one.name, one.name)) for one in value.items)
                self._values[name] = replace(value, name=name, items=items)
            if value is not None and value.found is not None and value.found.count.name in final:
                count = replace(value.found.count, name=final[value.found.count.name])
                self._values[name] = replace(value, found=replace(value.found, count=count))

    def _unique(self, wish: str) -> str:
        """This name, with a number appended if it is taken; it is taken then."""
        name = self._free(wish)
        self._taken.add(name)
        return name

    def _free(self, wish: str) -> str:
        name, count = wish, 1
        while name in self._onnx_names or name in self._taken:
            count += 1
            name = f"{wish}_{count}"
        return name

    def _place(self, value: Value) -> str:
        """The name of the constant with these entries, so that what is shared in the model is one constant here."""
        if value.whole is not None:
            return self._begun(value, value.whole)
        array, name, count = value.array, value.name, 1
        if array is None or array.dtype not in _FLOATS:
            kind = None if array is None else array.dtype
            raise UnsupportedOperatorError(f"reads {name!r}, which is {kind}; networks compute in float32")
        with np.errstate(over="ignore"):
            entries = np.asarray(array, np.float32, order="C")
        while True:
            if name in self._constants:
                if _same_bits(self._constants[name], entries):
                    return name
            elif name not in self._taken and (name not in self._onnx_names or self._is(name, value)):
                self._constants[name] = entries
                return name
            count += 1
            name = f"{value.name}_{count}"

    def _begun(self, value: Value, whole: Whole) -> str:
        """The beginning of a constant: cut, and spread where one entry stands for all."""
        counted = _evenly(whole)
        name = self._cut(value, whole) if counted is None else self._counted_out(value, whole, *counted)
        wanted = tuple(
            extent_of(whole.stops[place]) if place in whole.stops and size == 1 else 1
            for place, size in enumerate(whole.array.shape)
        )
        return name if set(wanted) <= {1} else self._step("Expand", name, f"{value.name}.spread", shape=wanted)

    def _cut(self, value: Value, whole: Whole) -> str:
        whole_value = known(whole.array, f"{value.name}.whole")
        if whole_value.is_weight:  # a mask hides by the lowest number as well, and a file holds finite ones
            largest = np.finfo(np.float32).max
            name = self._place(known(np.clip(whole.array, -largest, largest), whole_value.name))
        elif whole_value.kind is None:
            raise UnsupportedOperatorError(f"reads {value.name!r}, which is {whole.array.dtype}")
        else:
            given = integers_attributes(whole.array, whole_value.kind)
            name = self._step("Integers", None, whole_value.name, **given)
        for place, stop in _cuts(whole).items():
            name = self._step("Slice", name, f"{value.name}.cut", axis=place, start=0, stop=extent_of(stop))
        return name

    def _counted_out(self, value: Value, whole: Whole, first: int, step: int) -> str:
        """Whole numbers that rise evenly along the only axis of theirs that is cut."""
        ((place, stop),) = _cuts(whole).items()
        begin = self._place(known(np.asarray(first, np.float32), f"{value.name}.first"))
        name = self._step("Range", begin, f"{value.name}.range", count=extent_of(stop), scale=float(step))
        name = self._step("Cast", name, f"{value.name}.counted", type=str(value.kind))
        if whole.array.ndim == 1:
            return name
        shape = tuple(-1 if axis == place else 1 for axis in range(whole.array.ndim))
        return self._step("Reshape", name, f"{value.name}.column", shape=shape)

    def _step(self, operator: str, x: str | None, wish: str, **given: Any) -> str:
        made = node(operator, [] if x is None else [x], self._unique(wish), **given)
        self._nodes.append(made)
        return made.output

    def _is(self, name: str, value: Value) -> bool:
        """True if the ONNX model itself calls this array so."""
        return name in self._values and self._values[name].array is value.array

    def graph(self, outputs: Sequence[str]) -> Graph:
        """The graph that was read."""
        counts = self._end_at_what_is_found(outputs)
        self._name_outputs(outputs)
        if self._problems:
            raise UnreadError(self._problems)
        outputs = (*outputs, *counts)
        read = {name for made in self._nodes for name in made.inputs} | set(outputs)
        constants = {name: Dense(array) for name, array in self._constants.items() if name in read}
        nodes = tuple(made.changed(lambda number: in_entries(number, self._steps)) for made in self._nodes)
        return Graph(self._inputs, nodes, tuple(outputs), constants, steps=self._steps)

    def _end_at_what_is_found(self, outputs: Sequence[str]) -> list[str]:
        """Say of outputs how many of their entries there are; the names of outputs that hold these numbers."""
        counts: dict[str, str] = {}
        for name in outputs:
            value = self._values.get(name)
            if value is None or value.found is None:
                continue
            entries = value.found
            if entries.spare:
                raise UnsupportedOperatorError(f"output {name!r} has more entries than are found; {found.ADVICE}")
            whole = self._renamed_value(value.name) if value.name in outputs else value.name
            of = entries.count.name
            if of not in counts:
                counts[of] = self._step("Reshape", of, f"{name}.count", shape=(1,))
            first = node("FirstEntries", [whole, counts[of]], self._unique(f"{name}.found"), axis=entries.axis)
            self._nodes.append(first)
            self._values[name] = replace(value, name=first.output, found=None)
        return list(counts.values())

    def _renamed_value(self, name: str) -> str:
        """Another name for a value, because an output is to have its name."""
        new = self._unique(f"{name}.all")
        self._rename(name, new)
        self._values = {
            other: replace(one, name=new) if one.name == name else one for other, one in self._values.items()
        }
        return new

    def _name_outputs(self, outputs: Sequence[str]) -> None:
        """Where an output only is another name of a value, give that name to the value, or to a copy of it."""
        names = {name: name for name in outputs}
        for name in outputs:
            value = self._values.get(name)
            if value is not None and value.items is not None:
                raise UnsupportedOperatorError(
                    f"output {name!r} is a sequence of {len(value.items)} tensors; name these as outputs instead "
                    "(outputs=, --outputs)."
                )
            if value is None or (value.name == name and value.array is None):
                continue
            if value.array is not None:
                if not value.array.size:
                    raise UnsupportedOperatorError(f"output {name!r} is an empty tensor of shape {value.shape}.")
                if value.array.dtype in _FLOATS:
                    self._place(known(value.array, name))
                elif value.kind is None:
                    raise UnsupportedOperatorError(
                        f"output {name!r} is {value.array.dtype}; {TYPES} are what there is."
                    )
                else:
                    self._nodes.append(node("Integers", [], name, **integers_attributes(value.array, value.kind)))
            elif value.name in names or value.name not in {made.output for made in self._nodes}:
                source = names.get(value.name, value.name)
                self._nodes.append(node("Reshape", [source], name, shape=value.shape))
            else:
                names[value.name] = name
                self._rename(value.name, name)

    def _rename(self, old: str, new: str) -> None:
        for index, made in enumerate(self._nodes):
            inputs = tuple(new if name == old else name for name in made.inputs)
            self._nodes[index] = replace(made, inputs=inputs, output=new if made.output == old else made.output)


def _cuts(whole: Whole) -> dict[int, int]:
    """The stops of axes that are cut; along the others one entry is spread."""
    return {place: stop for place, stop in whole.stops.items() if whole.array.shape[place] != 1}


def _evenly(whole: Whole) -> tuple[int, int] | None:
    """(the first one, the distance) of whole numbers that rise or fall evenly along the only axis that is cut."""
    array = whole.array
    cuts = _cuts(whole)
    if len(cuts) != 1 or array.size != max(array.shape, default=0) or array.dtype.kind != "i" or array.size < 2:
        return None
    numbers = array.ravel().astype(np.int64)
    first, step = int(numbers[0]), int(numbers[1] - numbers[0])
    (place,) = cuts
    if array.shape[place] != array.size or abs(first) + abs(step) * array.size >= 2**24 or not step:
        return None
    return (first, step) if np.array_equal(numbers, first + step * np.arange(array.size)) else None


def _size(size: int | str, sizes: Sizes, steps: Sizes) -> int:
    """A size of an input; what is computed from an open one is said in steps of its axis, of which none is rounded."""
    return traced(sizes[size], steps.get(size, 1) * axis(size)) if isinstance(size, str) else size


def _require_tensors(values: Sequence[Value | None]) -> None:
    """Raise UnsupportedOperatorError for a sequence."""
    for value in values:
        if value is not None and value.items is not None:
            raise UnsupportedOperatorError(f"takes {value.name!r} for a tensor, a sequence of {len(value.items)}")


def _require_outputs(names: Sequence[str], used: Sequence[bool], given: Sequence[object]) -> None:
    """Raise UnsupportedOperatorError if something reads an output that isn't given."""
    for index, name in enumerate(names):
        if used[index] and (index >= len(given) or given[index] is None):
            raise UnsupportedOperatorError(f"has its output {name!r} read; netsurgery gives its first one only")


def _same_bits(a: Array, b: Array) -> bool:
    return a is b or (a.shape == b.shape and a.tobytes() == b.tobytes())


def _translations(proto: onnx.NodeProto) -> Mapping[str, Translation]:
    """Those of its domain."""
    return {"": TRANSLATIONS, "com.microsoft": MICROSOFT}.get(proto.domain, {})


def _translated(proto: onnx.NodeProto) -> bool:
    return proto.op_type in _translations(proto) or (not proto.domain and proto.op_type in DECISIONS)


def _missing(proto: onnx.NodeProto) -> str:
    if proto.domain == "com.microsoft.nchwc":
        return (
            "has its numbers in the order of one processor; give the model as it was before ONNX Runtime optimised it, "
            "or have that go to ORT_ENABLE_EXTENDED at most"
        )
    if proto.domain:
        return f"belongs to domain {proto.domain!r}; export plain ONNX, without optimisations for one runtime"
    return f"is an operator that netsurgery doesn't have{_ADVICE.get(proto.op_type, '')}"


def _report(problems: Sequence[Problem]) -> str:
    """Each operator once, with the number of its nodes: those that there aren't, and uses that there aren't."""
    absent = _counted([replace(one, reason="") for one in problems if one.absent])
    uses = _counted([one for one in problems if not one.absent])
    sentences = [
        f"{introduction}: {'; '.join(found)}."
        for introduction, found in (
            ("the model holds operators that netsurgery doesn't have", absent),
            (f"{'It uses others' if absent else 'the model uses operators'} in ways that netsurgery can't", uses),
        )
        if found
    ]
    if any(one.operator in RANDOM for one in problems):
        sentences.append(_DRAWN)
    return f"{' '.join(sentences)} The error's `missing` and netsurgery pack --explain say where each of them stands."


def _counted(problems: Sequence[Problem]) -> list[str]:
    """An entry for each operator: what is wrong with the first of its nodes, and how many these are."""
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(problem.operator, problem)
    counts = Counter(problem.operator for problem in problems)
    return [
        f"{name} {one.reason}".rstrip() + f" ({'once' if counts[name] == 1 else f'{counts[name]} times'})"
        for name, one in first.items()
    ]
