"""Reads an ONNX model as a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from netsurgery.checks import require
from netsurgery.errors import CaptureError, GraphError, MissingExtraError, UnsupportedOperatorError
from netsurgery.graph.ir import Graph, Input, InputShapes, with_shapes
from netsurgery.graph.passes.constant_folding import Evaluate
from netsurgery.graph.value_types import ValueType

try:
    import onnx
    from onnx import inliner
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f"Reading ONNX models needs {error.name}, which isn't installed: pip install 'netsurgery[onnx]'"
    ) from error

from netsurgery.graph.from_onnx.call import TYPES
from netsurgery.graph.from_onnx.constants import initialisers, largest_bound
from netsurgery.graph.from_onnx.control_flow import DECISIONS
from netsurgery.graph.from_onnx.folding import FOLDABLE
from netsurgery.graph.from_onnx.function_bodies import taken_apart
from netsurgery.graph.from_onnx.inner_graphs import needed
from netsurgery.graph.from_onnx.models import in_order, loaded
from netsurgery.graph.from_onnx.open_axes import at_any_sizes, is_hopeless
from netsurgery.graph.from_onnx.reading import read
from netsurgery.graph.from_onnx.rewriting import RUNTIME, prepared, runtimes_own, with_choices, without_fusion

OLDEST_OPSET = 7
"""Earlier models broadcast by attributes."""


_TYPES: dict[int, ValueType] = {
    onnx.TensorProto.FLOAT: ValueType.FLOAT32,
    onnx.TensorProto.INT32: ValueType.INT32,
    onnx.TensorProto.INT64: ValueType.INT64,
    onnx.TensorProto.BOOL: ValueType.BOOL,
}


@dataclass(frozen=True)
class ReadModel:
    """The graph of a model, and how it departs from the model.

    remarks: what netsurgery computes otherwise, in sentences, as that activations aren't rounded. as_read: the ONNX
    model that computes what the graph computes; None where that is the one given. fixed: axes that could not be open,
    and why, in sentences.
    """

    graph: Graph
    remarks: tuple[str, ...] = ()
    as_read: onnx.ModelProto | None = None
    fixed: tuple[str, ...] = ()


def read_onnx(
    source: str | Path | onnx.ModelProto, evaluate: Evaluate, input_shapes: InputShapes | None = None
) -> Graph:
    """The graph of an ONNX model; see `read_model`."""
    return read_model(source, evaluate, input_shapes).graph


def read_model(
    source: str | Path | onnx.ModelProto,
    evaluate: Evaluate,
    input_shapes: InputShapes | None = None,
    input_values: Mapping[str, npt.ArrayLike] | None = None,
    outputs: Sequence[str] | None = None,
) -> ReadModel:
    """The graph of an ONNX model: a file (with its external data, if any) or a model in memory.

    Opset 7 to the newest that the installed onnx knows. Inputs are float32, int32, int64 or bool. Any of their sizes
    may be open: the axis is called as its `dim_param`; without one, or where that is "?", it is the "batch" in the
    first place, and an axis of its own in another. input_shapes: shapes of inputs that are to have others.
    input_values: what inputs are that aren't to be inputs any more; all sizes that are open in the model may be others
    then. outputs: names of values that are to be its outputs; what only leads to others isn't read.

    Other floats are read as float32, quantised weights as the floats that they stand for, quantised activations without
    their rounding. Values are named as in the model. What doesn't depend on the inputs is computed now, operators of
    the graph by `evaluate` (`runtime.reference.run_node`). BatchNormalization becomes a Mul and an Add, Dropout and
    Identity go.

    Raises CaptureError if the model can't be read, isn't valid ONNX, or has other inputs; UnsupportedOperatorError,
    which lists all of them, for operators that the graph doesn't have.
    """
    label = "the ONNX model" if isinstance(source, onnx.ModelProto) else str(source)
    try:
        return _read(source, evaluate, input_shapes or {}, input_values or {}, outputs)
    except UnsupportedOperatorError as error:
        raise UnsupportedOperatorError(f"{label}: {error}", error.missing) from error
    except (CaptureError, GraphError) as error:
        raise CaptureError(f"{label}: {error}") from error


def _read(
    source: str | Path | onnx.ModelProto,
    evaluate: Evaluate,
    input_shapes: InputShapes,
    input_values: Mapping[str, npt.ArrayLike],
    outputs: Sequence[str] | None,
) -> ReadModel:
    given = loaded(source)
    opset = _opset(given)
    model = in_order(given)
    _check(model, source if model is given else model)
    if model.functions:
        model = inliner.inline_local_functions(model)
    elif model is source:  # which stays as it is
        model = onnx.ModelProto()
        model.CopyFrom(source)
    ranked = _ranked(model.graph)
    _fix(model.graph, input_values)
    if outputs is not None:
        _end_at(model.graph, outputs)
    ready = prepared(model, opset)
    written_out = with_choices(without_fusion(model), ready.opset)
    read_as = taken_apart(written_out, ready.opset, {*FOLDABLE, *DECISIONS}).graph
    arrays = initialisers(read_as)
    inputs = tuple(_input(given) for given in read_as.input if given.name not in arrays)
    inputs = with_shapes(inputs, input_shapes)

    bound = largest_bound(read_as, arrays)

    def of(inputs: Sequence[Input]) -> Graph:
        axes = tuple(dict.fromkeys(name for given in inputs for name in given.axes))
        return at_any_sizes(partial(read, read_as, inputs, arrays, ready.opset, evaluate), axes, bound)

    try:
        graph, fixed = _as_open_as_it_can_be(of, inputs)
    except CaptureError as refusal:
        refusal.args = (f"{refusal}{_of_adaptive_pooling(model.graph, inputs)}",)
        raise
    graph = graph.replaced(known_least=graph.least)
    changed = bool(ready.remarks or input_values or outputs or ranked)
    return ReadModel(graph, ready.remarks, model if changed else None, fixed)


def _ranked(graph: onnx.GraphProto) -> bool:
    """Have TopK rank what it may give in any order, for others to give it in ours; whether there was any such."""
    free = [
        attribute
        for made in graph.node
        if made.op_type == "TopK" and not made.domain
        for attribute in made.attribute
        if attribute.name == "sorted" and not attribute.i
    ]
    for attribute in free:
        attribute.i = 1
    return bool(free)


ReadOf: TypeAlias = Callable[[Sequence[Input]], Graph]


def _as_open_as_it_can_be(read_of: ReadOf, inputs: Sequence[Input]) -> tuple[Graph, tuple[str, ...]]:
    """The graph; where it can't have all axes open by themselves, with fewer, and a sentence that says so."""
    try:
        return read_of(inputs), ()
    except CaptureError as refusal:
        if is_hopeless(refusal):
            raise
        return _of_fewer_axes(read_of, inputs, refusal)


def _of_fewer_axes(read_of: ReadOf, inputs: Sequence[Input], refusal: CaptureError) -> tuple[Graph, tuple[str, ...]]:
    """The graph with axes of several inputs as one, else with a batch of one. Raises the refusal."""
    said = _first_problem(refusal)
    for names, alike in _likely_one(inputs):
        with suppress(CaptureError, GraphError):
            return read_of(alike), tuple(
                f"Axes {', '.join(map(repr, group))} are one, {group[0]!r}: {said}" for group in names
            )
    leading = {given.shape[0] for given in inputs if given.shape and isinstance(given.shape[0], str)}
    if len(leading) != 1:
        raise refusal
    (batch,) = leading
    try:
        graph = read_of([_renamed(one, {batch: 1}) for one in inputs])
    except (CaptureError, GraphError):
        raise refusal from None
    return graph, (f"Axis {batch!r} is fixed at 1: {said}",)


def _likely_one(inputs: Sequence[Input]) -> Iterator[tuple[list[list[str]], list[Input]]]:
    """Groups of axes that exporters name apart though a model wants them equal, and the inputs with one name for each.

    First those in front, the batch; then those at any place of inputs of as many axes, as of ids and their mask.
    """
    sizes = [(place, len(one.shape), size) for one in inputs for place, size in enumerate(one.shape)]
    before: list[list[str]] = []
    for places in (1, max((place + 1 for place, _, _ in sizes), default=0)):
        groups: dict[tuple[int, int], dict[str, None]] = {}
        for place, rank, size in sizes:
            key = (place, rank if place else 0)
            elsewhere = any(size in group for other, group in groups.items() if other != key)
            if isinstance(size, str) and place < places and not elsewhere:
                groups.setdefault(key, {})[size] = None
        found = [list(group) for group in groups.values() if len(group) > 1]
        if found and found != before:
            before = found
            one_name: dict[str, int | str] = {name: group[0] for group in found for name in group}
            yield found, [_renamed(given, one_name) for given in inputs]


def _renamed(given: Input, names: Mapping[str, int | str]) -> Input:
    """An input whose open axes are called otherwise, or have a size."""
    return replace(given, shape=tuple(names.get(size, size) if isinstance(size, str) else size for size in given.shape))


def _of_adaptive_pooling(graph: onnx.GraphProto, inputs: Sequence[Input]) -> str:
    """What is to be said of pooling that torch's exporter writes out for one size of open axes; empty without."""
    for made in graph.node if any(given.axes for given in inputs) else ():
        noted = {entry.key: entry.value for entry in getattr(made, "metadata_props", ())}  # of onnx 1.16 and later
        if made.op_type == "GatherND" and "adaptive_avg_pool" in noted.get("pkg.torch.onnx.stack_trace", ""):
            return (
                " torch writes adaptive pooling to ONNX for the sizes of its example alone, whatever is said to be "
                "open: give the torch module itself, or a .pt2 file of it, to have these sizes open."
            )
    return ""


def _first_problem(refusal: CaptureError) -> str:
    """What forces it, with the place."""
    if isinstance(refusal, UnsupportedOperatorError) and refusal.missing:
        first = refusal.missing[0]
        return f"{first.operator} at {first.where}: {first.reason.split('. ')[0]}."
    return str(refusal).split(". ")[0].rstrip(".") + "."


def _fix(graph: onnx.GraphProto, values: Mapping[str, npt.ArrayLike]) -> None:
    """Make inputs constants. Raises SettingError for inputs that there aren't, and values that they don't take."""
    for name, value in values.items():
        given = {one.name: one for one in graph.input}
        require(name in given, "input_values", name, f"of the model's inputs: {', '.join(given)}")
        tensor = given[name].type.tensor_type
        array = np.asarray(value)
        kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        sizes = [size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim]
        fits = len(sizes) == array.ndim and all(
            size in (None, own) for size, own in zip(sizes, array.shape, strict=True)
        )
        said = f"{kind} of shape ({', '.join('any' if size is None else str(size) for size in sizes)})"
        whole = array.dtype.kind in "iub" or kind.kind == "f"
        require(fits and whole, f"input_values[{name!r}]", value, f"as the model takes it: {said}")
        graph.input.remove(given[name])
        graph.initializer.append(onnx.numpy_helper.from_array(array.astype(kind), name))


def _end_at(graph: onnx.GraphProto, outputs: Sequence[str]) -> None:
    """Give a graph these outputs, and leave out what leads to none of them. Raises SettingError for other names."""
    made = [name for node in graph.node for name in node.output if name]
    said = "names of values that nodes of the model make", "viewers of ONNX files, such as Netron, show them"
    require(bool(outputs) and not isinstance(outputs, str), "outputs", outputs, *said)
    for name in outputs:
        near = get_close_matches(name, made, 3)
        allowed = f"the name of a value that a node of the model makes{f', such as {near}' if near else ''}"
        require(name in made, "outputs", name, allowed)
    require(len(set(outputs)) == len(outputs), "outputs", list(outputs), "each name once")
    known = {value.name: value for value in (*graph.output, *graph.value_info)}
    kept = [known.get(name, onnx.ValueInfoProto(name=name)) for name in outputs]
    kept = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in kept]
    nodes = needed(graph.node, set(outputs))
    del graph.output[:], graph.node[:]
    graph.output.extend(kept)
    graph.node.extend(nodes)


def _opset(model: onnx.ModelProto) -> int:
    """The version of the default operator set."""
    newest = onnx.defs.onnx_opset_version()
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions:
        raise CaptureError("it names no version of the ONNX operator set; is it an ONNX model?")
    version = int(max(versions))
    if version < OLDEST_OPSET:
        advice = "export it again with a later one, or use onnx.version_converter.convert_version"
    elif version > newest:
        advice = f"update onnx ({onnx.__version__} is installed), or export it again with an earlier one"
    else:
        return version
    raise CaptureError(f"it has opset {version}; opsets {OLDEST_OPSET} to {newest} can be read: {advice}.")


def _check(model: onnx.ModelProto, source: str | Path | onnx.ModelProto) -> None:
    """Raise CaptureError unless onnx's checker finds the model valid, but for outputs without a type or a shape.

    The checker wants them, and nothing is done with them here: both follow from what the nodes do. What ONNX Runtime
    alone has under ONNX's name passes as its own.
    """
    typeless = [value.type for value in model.graph.output if value.type.WhichOneof("value") is None]
    for unknown in typeless:
        unknown.tensor_type.elem_type = onnx.TensorProto.FLOAT
    shapeless = [
        value.type.tensor_type
        for value in model.graph.output
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape")
    ]
    unregistered = runtimes_own(model)
    silent = [node for node in unregistered if not node.HasField("domain")]  # others say "", which means the same
    checked: onnx.ModelProto | str = str(source)  # by its path, a model may be larger than protobuf's limit of 2 GiB
    if shapeless or unregistered or isinstance(source, onnx.ModelProto):
        checked = model
    imports = list(model.opset_import)
    try:
        for kind in shapeless:
            kind.shape.SetInParent()
        for node in unregistered:
            node.domain = RUNTIME
        if unregistered and all(entry.domain != RUNTIME for entry in imports):
            model.opset_import.append(onnx.helper.make_opsetid(RUNTIME, 1))
        onnx.checker.check_model(checked)
    except Exception as error:  # ValidationError, and ValueError beyond protobuf's limit
        raise CaptureError(f"onnx finds it invalid: {error}") from error
    finally:
        for kind in shapeless:  # a model that was given in memory stays as it was
            kind.ClearField("shape")
        for unknown in typeless:
            unknown.ClearField("tensor_type")
        for node in unregistered:
            node.domain = ""
        for node in silent:
            node.ClearField("domain")
        del model.opset_import[len(imports) :]


def _input(given: onnx.ValueInfoProto) -> Input:
    kinds, tensor = onnx.TensorProto, given.type.tensor_type
    if tensor.elem_type not in _TYPES:
        kind = kinds.DataType.Name(tensor.elem_type) if given.type.HasField("tensor_type") else "not a tensor"
        advice = "leave what turns it into one of them out of the export"
        raise CaptureError(f"input {given.name!r} is {kind}; netsurgery takes {TYPES}: {advice}.")
    if not tensor.HasField("shape"):
        raise CaptureError(f"input {given.name!r} has no shape; export the model with one.")
    shape = (_size(given.name, place, size) for place, size in enumerate(tensor.shape.dim))
    return Input(given.name, tuple(shape), _TYPES[tensor.elem_type])


def _size(name: str, place: int, size: onnx.TensorShapeProto.Dimension) -> int | str:
    if size.HasField("dim_value") and size.dim_value >= 0:
        return int(size.dim_value)
    unnamed = size.dim_param in ("", "?")  # Paddle's exporter calls every size "?" that it doesn't know
    return ("batch" if place == 0 else f"{name}.{place}") if unnamed else size.dim_param
