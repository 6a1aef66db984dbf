"""Walks through an exported program: what is known is computed by torch at once, the rest becomes nodes of a graph."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from netsurgery.errors import CaptureError, GraphError, Problem, UnsupportedOperatorError
from netsurgery.graph.from_torch.call import (
    Activation,
    Call,
    Constant,
    Constants,
    Cut,
    Missing,
    Open,
    Sizes,
    Zeros,
    sizes_of,
)
from netsurgery.graph.from_torch.complex_numbers import Complex, is_complex
from netsurgery.graph.from_torch.complex_numbers import translated as complex_call
from netsurgery.graph.from_torch.cuts import cut_of
from netsurgery.graph.from_torch.extents import Symbols
from netsurgery.graph.from_torch.in_place import functional_targets, works_in_place
from netsurgery.graph.from_torch.inputs import (
    COMPUTED_TYPES,
    FLOAT_ADVICE,
    StoredTensors,
    given_inputs,
    placeholders_of,
)
from netsurgery.graph.from_torch.lrn import Lrn, find_lrns
from netsurgery.graph.from_torch.number_formats import HalvesInFloat32
from netsurgery.graph.from_torch.operators import TRANSLATIONS, Translation
from netsurgery.graph.from_torch.picked import PICKS, PUT, REDUCTIONS, Picked, picks, with_all
from netsurgery.graph.ir import Graph, GraphBuilder, named_sizes
from netsurgery.graph.step_search import steps_of
from netsurgery.graph.value_types import ValueType

Value: TypeAlias = Any
"""Activation, Constant, Complex, Picked, Zeros, a tuple of these, Open, a number, or Missing."""


_IN_A_ROW = 9
"""Sizes at which torch's conditions have to hold: remainders by small numbers are all among them."""

_ABSENT = "is an operator that netsurgery doesn't have"
RANDOM = " (random numbers)"
_FINDING = (
    *("nonzero.default", "argwhere.default", "where.default", "masked_select.default", "bincount.default"),
    *("_unique2.default", "unique_dim.default", "unique_consecutive.default"),
)
"""Operators of ATen that give as many entries as they find."""
_FOUND = (
    "gives as many entries as it finds, and a network's shapes follow from its inputs' alone: return the mask or the "
    "numbers themselves, use torch.where, or count by one_hot(...).sum(0)"
)
_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
_FILLED: Mapping[str, int | None] = {
    f"aten.{name}.default": number
    for kind, number in (("empty", 0), ("zeros", 0), ("ones", 1), ("full", None))
    for name in (f"{kind}_like", f"new_{kind}")
} | {"aten.empty.memory_format": 0, "aten.empty_strided.default": 0, "aten.new_empty_strided.default": 0}
"""What takes of a tensor its shape or type alone -> what is in the tensor that it gives; None: `fill_value`.

What is in an empty tensor nobody knows: 0 is as good as anything, and a model that is right writes over all of it.
"""

_ZEROS = ("aten.zeros.default", *(name for name, number in _FILLED.items() if number == 0))


@dataclass
class _Refusals:
    """Everything in the program that has no place in a graph, so that one error can name it all."""

    problems: list[Problem]

    def add(self, operator: str, reason: str, place: str) -> None:
        self.problems.append(Problem(operator, reason or _ABSENT, place, absent=not reason))

    def error(self) -> UnsupportedOperatorError:
        return refusal_of(self.problems)


def refusal_of(problems: Sequence[Problem]) -> UnsupportedOperatorError:
    """One error that names what has no place in a graph, each thing once."""
    places: dict[str, list[str]] = {}
    for problem in problems:
        what = problem.operator if problem.absent else f"{problem.operator}: {problem.reason}"
        places.setdefault(what, []).append(problem.where)
    lines = [
        f"{what}, at {found[0]}" + (f" and {len(found) - 1} more" if len(found) > 1 else "")
        for what, found in places.items()
    ]
    drawn = any(problem.operator.endswith(RANDOM) for problem in problems)
    return UnsupportedOperatorError(
        f"the model holds what netsurgery doesn't have: {'; '.join(lines)}. "
        "Write these parts with the operators that docs/operators.md lists."
        + (" A network draws no random numbers: make them an input, or draw none in eval mode." if drawn else ""),
        problems,
    )


AxisNames: TypeAlias = Mapping[tuple[int, int], str]
"""(place of the input, place of the size) -> name of the axis."""


def read_program(program: ExportedProgram, names: AxisNames) -> Graph:
    """The graph of a program. names: of open axes, as far as they are known.

    Raises CaptureError, for operators that work in place as well, unless `functional_targets` sees to them.
    """
    try:
        return _read(program, names)
    except GraphError as error:
        raise CaptureError(f"the model doesn't make a graph: {error}") from error


def _read(program: ExportedProgram, names: AxisNames) -> Graph:
    """The graph at any sizes of its axes, or where the model holds only there: at larger ones, at multiples of steps.

    `x[:, :3]` has fewer entries where there are fewer, which torch doesn't think of, nor, as a rule, does what follows.
    """
    reader = _Reader(program, names, {})
    try:
        return reader.graph()
    except (GraphError, UnsupportedOperatorError) as refusal:
        if isinstance(refusal, GraphError):
            with suppress(GraphError, CaptureError):
                return _Reader(program, names, {}, cuts_whole=True).graph()
        steps = reader.steps()
        if not steps or not reader.examples_have(steps):  # else the model branches on what is left of a size
            raise
        for cuts_whole in (False, True):
            with suppress(GraphError, CaptureError):
                return _Reader(program, names, steps, cuts_whole=cuts_whole).graph()
        raise refusal from None  # which says more of the model


class _Reader:
    def __init__(
        self, program: ExportedProgram, names: AxisNames, steps: Mapping[str, int], *, cuts_whole: bool = False
    ) -> None:
        self._program = program
        self._names = names
        self._given_steps = steps
        self._cuts_whole = cuts_whole
        self._axes: tuple[str, ...] = ()
        self._written: list[tuple[str, int | None]] = []
        """Axes and the examples' sizes of them."""
        self._conditions = _divisibilities(program)
        self._whole: Graph | None = None
        """The graph, once all of it is read, which may contradict itself."""
        self._origins: dict[str, Activation] = {}
        self._symbols = Symbols({})
        self._builder = GraphBuilder()
        self._constants = Constants(self._builder)
        self._refusals = _Refusals([])
        self._values: dict[torch.fx.Node, Value] = {}
        self._lrns = find_lrns(program.graph)
        self._functional = functional_targets(program.graph)
        self._skipped = frozenset().union(*(lrn.interior for lrn in self._lrns.values()))

    def graph(self) -> Graph:
        nodes = list(self._program.graph.nodes)
        self._read_inputs()
        for node in nodes:
            if node.op == "call_function" and node not in self._skipped:
                self._values[node] = self._value(node)
            elif node.op == "get_attr":  # the body of a control flow operator, which is refused where it is called
                self._values[node] = Missing()
        if self._refusals.problems:
            raise self._refusals.error()
        outputs = list(self._outputs(nodes[-1]))
        self._whole = self._builder.unchecked(outputs)
        graph = self._builder.graph(outputs, self._symbols.steps)
        steps = {name: graph.steps.get(name, 1) for name in graph.axes}
        next_to = [{name: graph.least[name] + more * step for name, step in steps.items()} for more in range(_IN_A_ROW)]
        odd = [sizes for sizes in next_to if not self._symbols.hold(self._conditions, sizes)]
        if odd:
            raise GraphError(
                f"torch wrote the model down for other sizes than {named_sizes(odd[0])}: it branches on what is left "
                "of a size that is divided. Leave that axis out of open_axes, or give examples of a size that divides."
            )
        return graph

    def steps(self) -> dict[str, int]:
        """Of which steps sizes have to be multiples for torch's conditions to hold, and, if it was read, the graph."""
        found = steps_of(self._takes, list(self._axes))
        known = self._symbols.steps
        steps = {name: math.lcm(found.get(name, 1), known.get(name, 1)) for name in (*found, *known)}
        return {} if steps == known else steps

    def examples_have(self, steps: Mapping[str, int]) -> bool:
        """Whether the sizes at which torch wrote the model down are multiples of these, as far as it says."""
        return all(size is None or size % steps.get(name, 1) == 0 for name, size in self._written)

    def _takes(self, sizes: Mapping[str, int]) -> bool:
        if not self._symbols.hold(self._conditions, sizes):
            return False
        try:
            if self._whole is not None:
                self._whole.shapes(sizes)
        except GraphError:
            return False
        return True

    def _read_inputs(self) -> None:
        """The inputs first, so that they get the names that `forward` gives them; then parameters and buffers."""
        given = given_inputs(self._program)
        axes = axes_of([shape for _, shape, _ in given], self._names)
        self._axes = tuple(dict.fromkeys(axes.values()))
        self._written = [
            (axes[size], getattr(of_torch.node, "hint", None))
            for node, shape, _ in given
            for size, of_torch in zip(shape, node.meta["val"].shape, strict=True)
            if isinstance(size, Open)
        ]
        named = {size.expression: name for size, name in axes.items() if isinstance(size, Open)}
        self._symbols = Symbols(named, self._given_steps)
        for node, shape, kind in given:
            name = self._builder.input(node.name, [axes.get(size, size) for size in shape], kind)  # type: ignore[arg-type]
            self._values[node] = Activation(name, shape)
        tensors = StoredTensors(self._program)
        for node, spec in placeholders_of(self._program):
            if spec.kind != InputKind.USER_INPUT and node.users:
                self._values[node] = constant = tensors.constant(spec)
                if isinstance(constant, Constant):
                    self._constants.register(constant, learned=spec.kind == InputKind.PARAMETER)

    def _outputs(self, output: torch.fx.Node) -> Iterable[str]:
        for node, spec in zip(output.args[0], self._program.graph_signature.output_specs, strict=True):  # type: ignore[arg-type]
            if spec.kind == OutputKind.BUFFER_MUTATION:
                raise CaptureError(
                    f"the model changes its buffer {spec.target!r} when it runs; a graph has no memory. "
                    "Make it an input and an output."
                )
            if spec.kind == OutputKind.USER_OUTPUT and node is not None:
                value = self._values.get(node) if isinstance(node, torch.fx.Node) else node
                if isinstance(value, Constant | Zeros | Cut) and isinstance(node, torch.fx.Node):
                    _require_type(node)
                if isinstance(value, Constant):
                    value = Activation(self._constants.place(value, _kind_of(value)), value.shape)
                elif isinstance(value, Zeros | Cut):
                    call = self._call(node, {}, value.shape, ())
                    value = Activation(call.placed(value, "output", _kind_of(value)), value.shape)
                if isinstance(value, Picked):
                    raise refusal_of([Problem("aten.index.Tensor", PICKS, _place(node, with_class=True))])
                if not isinstance(value, Activation):
                    raise CaptureError(f"the model returns {node!r} ({type(node).__name__}); return tensors only.")
                yield value.name

    def _value(self, node: torch.fx.Node) -> Value:
        """What a call gives; its refusal is noted, so that the walk can go on."""
        given = node.meta.get("val")
        if works_in_place(node) and node not in self._functional:
            self._refusals.add(f"{node.target} (in place)", "", _place(node, with_class=True))
            return Missing()
        if given is None:  # assertions
            return None
        if isinstance(given, int | float | bool):
            return given
        if isinstance(given, torch.SymInt | torch.SymFloat | torch.SymBool):
            return Open(given.node.expr)
        try:
            return self._tensors(node, given)
        except UnsupportedOperatorError as refusal:
            self._refusals.add(str(node.target), str(refusal), _place(node, with_class=True))
        return Missing()

    def _tensors(self, node: torch.fx.Node, given: Any) -> Value:
        """The value of a call that gives tensors. Raises UnsupportedOperatorError."""
        if node in self._lrns:
            return self._lrn(node, self._lrns[node])
        target: Any = self._functional.get(node, node.target)
        args, kwargs = self._resolved(node.args), self._resolved(node.kwargs)
        if target is operator.getitem:
            return self._part(args[0], args[1], node)
        leaves = list(_leaves((args, kwargs)))
        if (filled := _filled(node, target, args, kwargs, given)) is not None:
            return filled
        known = not any(
            isinstance(leaf, Activation | Complex | Cut | Open | Picked | Zeros | Missing) for leaf in leaves
        )
        random = torch.Tag.nondeterministic_seeded in getattr(target, "tags", ())
        if known and not random and isinstance(target, torch._ops.OpOverload):
            return _computed(node, target, args, kwargs)
        missing = any(isinstance(leaf, Missing) for leaf in leaves)
        if (str(target) in _ZEROS or _is_nothing(given)) and not missing:
            zeros = Zeros(sizes_of(given), COMPUTED_TYPES.get(given.dtype, ValueType.FLOAT32))
            if not given.is_complex():
                return zeros
            call = self._call(node, {}, zeros.shape, (ValueType.FLOAT32,))
            return Complex(*2 * [Activation(call.placed(zeros), zeros.shape)])
        if (cut := cut_of(target, args, kwargs, node.name)) is not None:
            return cut
        if is_complex(str(target), leaves, given):
            if missing:
                return Missing()
            return self._complex(node, target, _named(target, args, kwargs), given)
        if str(target) == "aten.index.Tensor" and not missing:
            call = self._call(node, _named(target, args, kwargs), sizes_of(given), _types_of([given]))
            if (picked := picks(call)) is not None:
                return picked
        translation = TRANSLATIONS.get(str(target))
        if any(isinstance(leaf, Picked) for leaf in leaves) and str(target) not in PUT and not missing:
            return self._of_picked(node, target, translation, _named(target, args, kwargs), given)
        if translation is None:
            # Recurrent layers are tagged as random for the sake of their dropout, which evaluation leaves out.
            said = random and str(target).split(".")[1] not in _RECURRENT
            name = f"{target}{RANDOM if said else ''}"
            finds = str(target).removeprefix("aten.") in _FINDING
            self._refusals.add(name, _FOUND if finds else "", _place(node, with_class=True))
            return Missing()
        if missing:
            return Missing()
        first = given[0] if isinstance(given, list | tuple) else given
        if first.dtype not in COMPUTED_TYPES:
            raise UnsupportedOperatorError(f"gives {first.dtype}; {FLOAT_ADVICE}")
        return self._translated(node, translation, _named(target, args, kwargs), given)

    def _translated(
        self,
        node: torch.fx.Node,
        translation: Callable[[Call], str | tuple[str | None, ...]],
        arguments: Mapping[str, Any],
        given: Any,
    ) -> Value:
        several = isinstance(given, list | tuple)
        shapes = [sizes_of(one) for one in (given if several else [given])]
        types = _types_of(given if several else [given])
        builder = self._builder
        try:
            result = translation(self._call(node, arguments, shapes[0], types))
        except GraphError as error:
            raise UnsupportedOperatorError(str(error)) from error
        names = result if isinstance(result, tuple) else (result,)
        for made, kind in zip(names, types, strict=False):
            if made is not None and builder.type_of(made) is not kind:
                raise UnsupportedOperatorError(
                    f"gives {kind}, where the graph's operators give {builder.type_of(made)}"
                )
        values = [None if name is None else Activation(name, shape) for name, shape in zip(names, shapes, strict=False)]
        return tuple(values) if several else values[0]

    def _of_picked(
        self,
        node: torch.fx.Node,
        target: Any,
        translation: Translation | None,
        arguments: Mapping[str, Any],
        given: Any,
    ) -> Value:
        """What a call gives that takes entries that a mask picks: made with all of them, or a sum of these alone."""
        if str(target) in REDUCTIONS:
            return self._translated(node, REDUCTIONS[str(target)], arguments, given)
        first = given[0] if isinstance(given, list | tuple) else given
        call, picked = with_all(target, self._call(node, arguments, sizes_of(first), _types_of([first])))
        if translation is None:
            raise UnsupportedOperatorError(PICKS)
        try:
            made = translation(call)
        except GraphError as error:
            raise UnsupportedOperatorError(str(error)) from error
        whole = made[0] if isinstance(made, tuple) else made
        return replace(picked, whole=Activation(str(whole), call.shape))

    def _complex(self, node: torch.fx.Node, target: Any, arguments: Mapping[str, Any], given: Any) -> Value:
        """What a call gives that takes or makes complex numbers."""
        call = self._call(node, arguments, sizes_of(given), (ValueType.FLOAT32,))
        try:
            return complex_call(str(target), call, TRANSLATIONS)
        except GraphError as error:
            raise UnsupportedOperatorError(str(error)) from error

    def _call(
        self, node: torch.fx.Node, arguments: Mapping[str, Any], shape: Sizes, types: tuple[ValueType, ...]
    ) -> Call:
        used = frozenset(int(user.args[1]) for user in node.users if user.target is operator.getitem)  # type: ignore[arg-type]
        name = node.name.strip("_").replace("__", "_").replace("native_", "").replace("_legit_no_training", "")
        return Call(
            arguments, shape, used, name, _place(node), self._builder, self._constants, self._origins, self._symbols,
            types, self._cuts_whole, _strides(node),
        )  # fmt: skip

    def _part(self, whole: Value, index: int, node: torch.fx.Node) -> Value:
        """One of several outputs. Raises UnsupportedOperatorError if the graph doesn't make it."""
        if isinstance(whole, Missing):
            return Missing()
        if index >= len(whole) or whole[index] is None:
            raise UnsupportedOperatorError(f"output {index} of {node.args[0]} (such as indices) is not supported")
        return whole[index]

    def _lrn(self, node: torch.fx.Node, lrn: Lrn) -> Value:
        x = self._values[lrn.x]
        if isinstance(x, Missing):
            return Missing()
        settings = {"size": lrn.size, "alpha": lrn.alpha, "beta": lrn.beta, "bias": lrn.bias}
        call = self._call(node, {}, x.shape, (ValueType.FLOAT32,))
        read = call.placed(x)
        if lrn.size % 2:
            return Activation(call.node("Lrn", [read], "lrn", **settings), x.shape)
        # Of an even number of channels torch takes the odd one before, the graph, as ONNX, the one behind.
        backwards = call.node("Reverse", [read], "backwards", axes=(1,))
        normal = call.node("Lrn", [backwards], "lrn", **settings)
        return Activation(call.node("Reverse", [normal], axes=(1,)), x.shape)

    def _resolved(self, given: Any) -> Any:
        """Arguments with values in the place of nodes."""
        return torch.fx.node.map_arg(given, lambda node: self._values[node])


def _divisibilities(program: ExportedProgram) -> tuple[Any, ...]:
    """What torch noted of remainders when it wrote the model down, which went one way and not another for them.

    What else it noted of sizes (that they are larger than one, differ, or are equal somewhere) holds because the
    examples had them, and is left to the operators.
    """
    return tuple(one for one in conditions_of(program) if is_of_remainders(one))


def conditions_of(program: ExportedProgram) -> list[Any]:
    """All that torch noted of sizes; nothing for a program that was loaded from a file."""
    for node in program.graph.nodes:
        for size in getattr(node.meta.get("val"), "shape", ()):
            if isinstance(size, torch.SymInt):
                return [noted.expr for noted in getattr(size.node.shape_env, "guards", ())]
    return []


def is_of_remainders(condition: Any) -> bool:
    """True if a number is divided by another one, or is said to divide without a remainder.

    That one size doesn't divide another holds of those of the examples, and isn't what the model depends on; nor is
    which of two numbers is larger, or that they differ, unless one of them is a remainder itself.
    """
    equal = type(condition).__name__ == "Equality"
    compares = getattr(condition, "is_Relational", False) and not equal
    if compares and not any(map(_is_remainder, condition.args)):
        return False
    remainders = list(_remainders(condition))
    return bool(remainders) and (equal or all(getattr(by, "is_Integer", False) for _, by in remainders))


def _is_remainder(expression: Any) -> bool:
    """Whether an expression is a remainder, perhaps times a number."""
    return type(expression.as_coeff_Mul()[1]).__name__ in ("Mod", "PythonMod")


def _remainders(expression: Any) -> Iterator[tuple[Any, Any]]:
    """Each remainder in it: of what, by what."""
    if type(expression).__name__ in ("Mod", "PythonMod"):
        yield expression.args
    for part in expression.args:
        yield from _remainders(part)


def axes_of(shapes: Sequence[Sizes], names: AxisNames) -> dict[int | Open, str]:
    """A name for each open size: as given, or "batch" for the first one in front, or by its number."""
    axes: dict[int | Open, str] = {}
    followed: dict[Any, Open] = {}
    for index, shape in enumerate(shapes):
        for place, size in enumerate(shape):
            if isinstance(size, Open) and size not in axes:
                other = followed.setdefault(size.expression.as_coeff_Mul()[1], size)
                if other != size:
                    raise CaptureError(
                        f"sizes {other} and {size} of inputs follow from each other: an open size must be an axis of "
                        "its own; fix one of them, or give it a torch.export.Dim of its own."
                    )
                made_up = "batch" if place == 0 and "batch" not in axes.values() else f"axis_{len(axes) + 1}"
                axes[size] = names.get((index, place), made_up)
    for (index, place), name in names.items():
        found = shapes[index][place]
        if not isinstance(found, Open):
            raise CaptureError(f"the model fixes axis {name!r} at {found}; leave it out of open_axes.")
        if axes[found] != name:
            raise CaptureError(f"axes {axes[found]!r} and {name!r} must have the same size: give them one name.")
    return axes


def _strides(node: torch.fx.Node) -> Sizes:
    """How far apart entries of a call's first argument lie in memory, along each of its axes."""
    first = node.args[0] if node.args else None
    given = first.meta.get("val") if isinstance(first, torch.fx.Node) else None
    if not isinstance(given, torch.Tensor) or given.layout is not torch.strided:
        return ()
    return tuple(step if isinstance(step, int) else Open(step.node.expr) for step in given.stride())


def _types_of(given: Iterable[torch.Tensor]) -> tuple[ValueType, ...]:
    """What the graph has for these tensors that torch.export traced."""
    return tuple(COMPUTED_TYPES.get(one.dtype, ValueType.FLOAT32) for one in given)


def _leaves(given: Any) -> Iterable[Any]:
    if isinstance(given, list | tuple):
        for item in given:
            yield from _leaves(item)
    elif isinstance(given, dict):
        yield from _leaves(list(given.values()))
    else:
        yield given


def _named(target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by the names of the overload's schema, in its order, with its defaults."""
    schema = target._schema.arguments
    named = {argument.name: argument.default_value for argument in schema}
    return {**named, **dict(zip(named, args, strict=False)), **kwargs}


def _computed(node: torch.fx.Node, target: Any, args: Any, kwargs: Any) -> Value:
    """What torch gives for a call whose arguments are all known; on the CPU."""

    def tensors(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [tensors(item) for item in value]
        return value.tensor if isinstance(value, Constant) else value

    settings = {name: tensors(value) for name, value in kwargs.items()}
    if settings.get("device") is not None:
        settings["device"] = torch.device("cpu")
    with torch.no_grad(), HalvesInFloat32():
        result = target(*tensors(args), **settings)
    if isinstance(result, list | tuple):
        return tuple(Constant(item, f"{node.name}.{index}") for index, item in enumerate(result))
    return Constant(result, node.name)


def _filled(node: torch.fx.Node, target: Any, args: Any, kwargs: Any, given: Any) -> Constant | None:
    """A tensor of one number in a known shape: known, whatever else is in the tensor that it is made like."""
    if str(target) not in _FILLED or any(isinstance(size, Open) for size in sizes_of(given)):
        return None
    number = _FILLED[str(target)]
    if number is None:
        number = _named(target, args, kwargs)["fill_value"]
    if not isinstance(number, int | float):
        return None
    return Constant(torch.full(tuple(given.shape), number, dtype=given.dtype), node.name)


def _require_type(output: torch.fx.Node) -> None:
    """Raise CaptureError for an output of whole numbers of a type that the graph hasn't."""
    kind = output.meta["val"].dtype
    if not kind.is_floating_point and not kind.is_complex and kind not in COMPUTED_TYPES:
        raise CaptureError(f"the model returns {output.name!r}, which is {kind}; {FLOAT_ADVICE}.")


def _kind_of(value: Constant | Cut | Zeros) -> ValueType:
    """The type that the graph has for it."""
    if isinstance(value, Zeros):
        return value.kind
    tensor = value.whole.tensor if isinstance(value, Cut) else value.tensor
    return COMPUTED_TYPES.get(tensor.dtype, ValueType.FLOAT32)


def _is_nothing(given: Any) -> bool:
    """Whether a tensor has no entries, which is known where one of its sizes is 0 at any size of open axes."""
    return isinstance(given, torch.Tensor) and any(isinstance(size, int) and size == 0 for size in given.shape)


def _place(node: torch.fx.Node, with_class: bool = False) -> str:
    """The module that makes the call, as "features.3", with its class as "features.3 (MyLayer)"."""
    stack = [entry for entry in (node.meta.get("nn_module_stack") or {}).values() if isinstance(entry, tuple)]
    path, kind = stack[-1] if stack else ("", "")
    path = re.sub(r"@\d+", "", path)  # torch numbers the calls of a module that is called more than once
    if not with_class:
        return path
    name = (kind if isinstance(kind, str) else kind.__name__).rpartition(".")[2]
    return f"{path} ({name})" if path else name or "the model"
