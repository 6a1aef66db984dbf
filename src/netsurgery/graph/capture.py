"""One door for every kind of model: what comes out is its graph, and what the model itself gives, or may be asked for.

torch and onnx are imported only when a model of theirs comes in.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from netsurgery.checks import require
from netsurgery.errors import CaptureError, InputError, MissingExtraError
from netsurgery.graph.examples import random_inputs, sizes_of_axes
from netsurgery.graph.ir import Array, Graph, InputShapes, OpenAxes, Sizes, with_shapes, with_sizes
from netsurgery.graph.passes.constant_folding import Evaluate
from netsurgery.graph.passes.tied_constants import merge_tied
from netsurgery.graph.value_types import ValueType, beyond_float32, refuse_masked, type_of, without_torch

Run: TypeAlias = Callable[[Sequence[Array]], Sequence[Array]]


SEED = 0
"""Of the random numbers that stand in for example inputs."""


@dataclass(frozen=True)
class Captured:
    """A model's graph, example inputs for it, and its own outputs on them, where it can run by itself.

    outputs: None for a graph, which is all there is, and for an ONNX model, which another program has to run.
    computed_by: what gave the outputs, with its version, such as "torch 2.9.1"; empty where there are none.
    remarks: what the graph computes otherwise than the model, in sentences (`from_onnx.ReadModel`). stand_in: the model
    to ask for outputs in its place, None for itself.
    fixed: which axes could not be open, though nobody asked for them to be fixed, and why, in sentences.
    is_first: False where another process has the same, and writes what comes of it.
    elsewhere: what gives the model's own outputs on other inputs; None where `outputs` is, and for a program, which is
        itself what was written down at some sizes.
    borders: sizes of all open axes at which the model may go another way than at the examples', as far as is known.
    memo: what was found out about the model, to be kept for as long as it is the same but for its weights.
    parameters: how many numbers its weights and biases are, those that layers share counted once. The graph may hold
    more, such as a shared matrix and its transpose.
    """

    graph: Graph
    examples: tuple[Array, ...]
    outputs: tuple[Array, ...] | None
    parameters: int
    computed_by: str = ""
    remarks: tuple[str, ...] = ()
    stand_in: Any = None
    fixed: tuple[str, ...] = ()
    is_first: bool = True
    elsewhere: Run | None = None
    borders: tuple[Mapping[str, int], ...] = ()
    memo: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Choices:
    """Which sizes of inputs a caller wants to be open, which fixed, which inputs always the same, and which outputs.

    See `packing.pack`.
    """

    open: OpenAxes | None = None
    shapes: InputShapes | None = None
    values: Mapping[str, npt.ArrayLike] | None = None
    outputs: Sequence[str] | None = None


def capture(model: Any, evaluate: Evaluate, example_inputs: Any = None, choices: Choices = Choices()) -> Captured:
    """Capture a torch module, an ExportedProgram, an .onnx or .pt2 file, an onnx ModelProto, or a Graph.

    evaluate: computes what an ONNX model leaves to be computed from its constants (`runtime.reference.run_node`).
    example_inputs: a tensor or array, or a sequence of them; a torch module can't do without. If None, random numbers.
    Raises CaptureError, UnsupportedOperatorError, InputError for examples that don't fit, MissingExtraError, and
    SettingError for axes or inputs that the model doesn't have.
    """
    if isinstance(model, Graph):
        model.check()
        graph = _with_shapes(model, choices)
        return Captured(graph, _examples(graph, example_inputs), None, _entries(graph))
    if isinstance(model, str | Path):
        return _capture_file(Path(model), evaluate, example_inputs, choices)
    family = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if "torch" in family:
        return _capture_torch(model, example_inputs, choices)
    if "onnx" in family:
        return _capture_onnx(model, evaluate, example_inputs, choices)
    raise _no_model(model)


def _with_shapes(graph: Graph, choices: Choices) -> Graph:
    """The graph with sizes in the place of axes that are to be fixed."""
    advice = "left out: this model says by itself which of its axes are open"
    require(choices.open is None, "open_axes", choices.open, advice)
    _require_for_onnx(choices)
    if not choices.shapes:
        return graph
    return with_sizes(graph, with_shapes(graph.inputs, choices.shapes))


def _require_for_onnx(choices: Choices) -> None:
    advice = "left out: only inputs of ONNX models can be given a value", "wrap the module in one that fixes it"
    require(not choices.values, "input_values", choices.values, *advice)
    advice = "left out: only values of ONNX models have names to ask for", "wrap the module in one that returns them"
    require(choices.outputs is None, "outputs", choices.outputs, *advice)


def _no_model(given: Any) -> CaptureError:
    return CaptureError(
        f"a {type(given).__name__} can't be captured; give a torch.nn.Module, a torch.export.ExportedProgram, "
        "or the path of an .onnx or .pt2 file."
    )


def check_model_file(path: Path) -> None:
    """Raise CaptureError unless the path is named like a file that can be captured; it isn't opened."""
    suffix = path.suffix.lower()
    if suffix == ".nsm":
        raise CaptureError(
            f"{path}: a network that is already packed; give the .onnx or .pt2 file that it was made from."
        )
    if suffix not in (".onnx", ".pt2"):
        raise CaptureError(f"{path}: an .onnx or a .pt2 file is needed; export the model to one of them first.")


def _capture_file(path: Path, evaluate: Evaluate, example_inputs: Any, choices: Choices) -> Captured:
    check_model_file(path)
    if path.suffix.lower() == ".onnx":
        return _capture_onnx(path, evaluate, example_inputs, choices)
    _need("torch", "torch")
    from netsurgery.graph.from_torch import load_program

    return _capture_torch(load_program(path), example_inputs, choices)


def _capture_torch(model: Any, example_inputs: Any, choices: Choices) -> Captured:
    _need("torch", "torch")
    import torch

    from netsurgery.graph.from_torch import (
        borders_of,
        borders_of_code,
        in_float32,
        is_first,
        is_spread,
        ranges_of,
        read_exported,
        read_module,
        torch_outputs,
        unscripted,
        whole,
    )

    if isinstance(model, torch.export.ExportedProgram):
        graph = _with_shapes(read_exported(model), choices)
        named = {graph.inputs[one.place].shape[one.axis]: one for one in ranges_of(model)}
        ranges = {axis: one for axis, one in named.items() if isinstance(axis, str)}
        most = {axis: one.most for axis, one in ranges.items() if one.most is not None}
        examples = _examples(graph, example_inputs, {axis: one.least for axis, one in ranges.items()}, most)
        module = model.module()
        written = {axis: one.written for axis, one in ranges.items() if one.written is not None}
        if example_inputs is None and written.keys() == set(graph.axes) and graph.takes(written):
            try:
                torch_outputs(module, examples)
            except (AssertionError, RuntimeError):  # sizes that others depend on have bounds that ranges don't say
                examples = random_inputs(graph, written, SEED)
        sizes = sizes_of_axes(graph.inputs, examples)
        axes = ((graph.inputs[at].shape[place], size) for at, place, size in borders_of_code(model))
        borders = tuple({**sizes, axis: size} for axis, size in axes if isinstance(axis, str))
        further = {axis: end + graph.steps.get(axis, 1) for axis, end in most.items()}
        remarks = tuple(
            _beyond(axis, most[axis]) for axis, size in further.items() if graph.takes({**sizes, axis: size})
        )
        try:
            found = _captured_torch(graph, examples, module, remarks)
        except (AssertionError, RuntimeError) as error:  # by which a program says that it wasn't exported for such
            raise InputError(
                f"the program doesn't take example_inputs of shapes {[array.shape for array in examples]}: "
                f"{str(error).strip().rstrip('.')}. Give example_inputs of sizes that it was exported for."
            ) from error
        return replace(found, borders=borders)
    if not isinstance(model, torch.nn.Module):
        raise _no_model(model)
    if example_inputs is None:
        raise CaptureError(
            "example_inputs is missing; a torch module can only be captured with inputs like those it takes: "
            "example_inputs=(images[:1],)."
        )
    if isinstance(example_inputs, Mapping):
        example_inputs = in_forwards_order(model, example_inputs)
    arrays = [array_of(given) for given in _sequence(example_inputs)]
    _require_for_onnx(choices)
    advice = "the examples say the shapes; say with open_axes which of their sizes are open"
    require(not choices.shapes, "input_shapes", choices.shapes, "left out for a torch module", advice)
    first = True
    if is_spread(model):
        first, model = is_first(model), whole(model)
    model, remarks = in_float32(model)
    tensors = tuple(torch.from_numpy(array) for array in arrays)
    captured = unscripted(model, tensors) if isinstance(model, torch.jit.ScriptModule) else model
    try:
        read = read_module(captured, tensors, open_axes=choices.open)
    except CaptureError as error:
        error.args = (error.args[0] + _hint(example_inputs, str(error)),)
        raise
    fixed = (read.fixed,) if read.fixed else ()
    found = _captured_torch(read.graph, _examples(read.graph, arrays), model, remarks)
    own = sizes_of_axes(read.graph.inputs, found.examples)
    written = {axis: max(size, 2) for axis, size in own.items()}  # sizes of one are doubled to be open
    beyond = read.memo.get("borders")
    if beyond is None:
        beyond = read.memo["borders"] = borders_of(read.program, read.names, written)
    borders = tuple(
        {axis: own[axis] if size == written[axis] else size for axis, size in sizes.items()} for sizes in beyond
    )
    return replace(
        found,
        fixed=fixed,
        is_first=first,
        elsewhere=lambda given: torch_outputs(model, given)[0],
        borders=borders,
        memo=read.memo,
    )


def _beyond(axis: str, most: int) -> str:
    return (
        f"The program was exported for {axis} up to {most}. The packed network takes more, and of that nobody knows "
        "whether it is what the model would give."
    )


def _captured_torch(graph: Graph, examples: tuple[Array, ...], module: Any, remarks: tuple[str, ...] = ()) -> Captured:
    import torch

    from netsurgery.graph.from_torch import torch_outputs

    outputs, more = torch_outputs(module, examples)
    said = remarks or more  # of a model that is in other floats as a whole there is no more to say
    return Captured(graph, examples, tuple(outputs), _parameters(module), f"torch {torch.__version__}", said)


def in_forwards_order(model: Any, named: Mapping[str, Any]) -> list[Any]:
    """Example inputs by the names of forward's first arguments, in their order. Raises InputError."""
    known = list(inspect.signature(model.forward).parameters)
    skips = set(named) <= set(known)  # an argument before those that it is given
    advice = f" Wrap it in a module whose forward takes {', '.join(named)}, and hands them on by name." if skips else ""
    return _in_order(named, known[: len(named)], "forward takes, from its first argument on,", advice)


def _in_order(named: Mapping[str, Any], wanted: Sequence[str], whose: str, advice: str = "") -> list[Any]:
    """Example inputs by name, in the order of these names. Raises InputError, which ends with the advice."""
    if set(named) != set(wanted):
        raise InputError(
            f"example_inputs are called {', '.join(map(repr, named))}; {whose} {', '.join(map(repr, wanted))}.{advice}"
        )
    return [named[name] for name in wanted]


_OF_TYPES = re.compile(r"\b(dtype|[Ll]ong|Int|Float|Double|Half|float|integer|u?int\d+|float\d+)\b")


def _hint(example_inputs: Any, error: str) -> str:
    """What may be wrong with examples that a module doesn't take, as far as the error is about that."""
    given = _sequence(example_inputs)
    if _OF_TYPES.search(error) and any("int" in str(getattr(one, "dtype", "")) for one in given):
        return " Example inputs of int32 or int64 stay whole numbers: give float32 where the model computes with them."
    if isinstance(example_inputs, list) and len(given) > 1:
        return f" example_inputs is a list of {len(given)}: each entry is one input of the model, not one sample."
    return ""


def _capture_onnx(model: Any, evaluate: Evaluate, example_inputs: Any, choices: Choices) -> Captured:
    _need("onnx", "onnx")
    from netsurgery.graph.from_onnx import read_model

    require(choices.open is None, "open_axes", choices.open, "left out: the ONNX model says which of its axes are open")
    read = read_model(model, evaluate, choices.shapes, choices.values, choices.outputs)
    examples = _examples(read.graph, example_inputs)
    return Captured(
        read.graph, examples, None, _entries(read.graph), remarks=read.remarks, stand_in=read.as_read, fixed=read.fixed
    )


def _parameters(module: Any) -> int:
    """How many numbers a module's parameters are; the module of a program holds a tied one as several, in one place."""
    from netsurgery.graph.from_torch.call import memory

    return sum({memory(parameter): parameter.numel() for parameter in module.parameters()}.values())


def _entries(graph: Graph) -> int:
    return sum(constant.size for constant in merge_tied(graph).constants.values())


def _need(package: str, extra: str) -> None:
    import importlib.util

    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(f"this model needs {package}, which isn't installed: pip install 'netsurgery[{extra}]'")


def _examples(
    graph: Graph, given: Any, least: Mapping[str, int] | None = None, most: Mapping[str, int] | None = None
) -> tuple[Array, ...]:
    """Example arrays that fit the graph's inputs. least, most: of axes, the sizes that the model holds for."""
    if given is None:
        # With a single image, a mistake about the batch would not show: axes have more than their smallest size.
        _, *larger = tried = graph.tried_sizes()
        sizes = _inside(graph, (larger or tried)[0], least or {}, most or {})
        return random_inputs(graph, sizes, SEED)
    if isinstance(given, Mapping):
        given = _in_order(given, [one.name for one in graph.inputs], "the model takes")
    arrays = tuple(array_of(one) for one in _sequence(given))
    shapes = [one.shape for one in graph.inputs]
    fits = len(arrays) == len(shapes) and all(
        len(array.shape) == len(shape)
        and all(isinstance(want, str) or want == size for size, want in zip(array.shape, shape, strict=True))
        for array, shape in zip(arrays, shapes, strict=True)
    )
    if not fits:
        takes = ", ".join(map(str, graph.inputs))
        raise InputError(f"example_inputs have shapes {[array.shape for array in arrays]}; the model takes {takes}.")
    for one, array in zip(graph.inputs, arrays, strict=True):
        if one.type is not ValueType.FLOAT32 and not np.can_cast(array.dtype, one.type.dtype, "safe"):
            raise InputError(f"example_inputs hold {array.dtype} for input {one.name!r}, which is {one.type}.")
    arrays = tuple(np.asarray(array, one.type.dtype) for one, array in zip(graph.inputs, arrays, strict=True))
    if not all(np.isfinite(array).all() for array in arrays):
        raise InputError("example_inputs hold NaN or infinity; outputs can only be compared on finite numbers.")
    return arrays


def _inside(graph: Graph, sizes: Sizes, least: Mapping[str, int], most: Mapping[str, int]) -> Sizes:
    """Sizes as far above the least as these are above the graph's own; the same ones where it doesn't take those."""
    moved = dict(sizes)
    for axis, size in sizes.items():
        step = graph.steps.get(axis, 1)
        lowest = -(-least.get(axis, 1) // step) * step
        if size < lowest:
            moved[axis] = lowest + size - graph.least[axis]
        if axis in most:
            moved[axis] = min(moved[axis], most[axis] // step * step)
    return moved if graph.takes(moved) else sizes


def _sequence(given: Any) -> Sequence[Any]:
    return given if isinstance(given, list | tuple) else [given]


def _flat(given: Any) -> Iterator[Any]:
    """What lists, tuples and dicts hold in the end."""
    if isinstance(given, list | tuple | Mapping):
        for one in given.values() if isinstance(given, Mapping) else given:
            yield from _flat(one)
    else:
        yield given


def _has_axes(given: Any) -> bool:
    return hasattr(given, "detach") and bool(getattr(given, "ndim", 0))


def array_of(given: Any, whose: str = "example_inputs") -> Array:
    """A tensor or array-like as an array: int32, int64 and bools as they are, all others as float32.

    Raises InputError, which says whose it is, for what holds no numbers that NumPy has.
    """
    if getattr(given, "is_meta", False):
        raise InputError(f"{whose} hold a tensor on the meta device, which has no numbers: give real ones.")
    refuse_masked(given, f"{whose} hold")
    if isinstance(given, list | tuple | Mapping) and any(_has_axes(leaf) for leaf in _flat(given)):
        raise InputError(
            f"{whose} hold a {type(given).__name__} of tensors for one input; each input has to be one tensor: wrap "
            "the model in a module whose forward takes them one by one."
        )
    try:
        value: npt.ArrayLike = np.asarray(without_torch(given)) if hasattr(given, "detach") else given
    except TypeError as error:  # numpy has no such type: bfloat16, float8, sparse tensors
        raise InputError(
            f"{whose} hold a {given.layout} tensor of {given.dtype}; netsurgery computes in float32: "
            "call model.float() and give dense float32 inputs."
        ) from error
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{whose} hold lists of unequal lengths; tensors or arrays of numbers are needed.") from error
    if array.dtype.kind not in "fiub":
        of = f" of {array.dtype}" if _has_axes(given) else ""
        raise InputError(f"{whose} hold a {type(given).__name__}{of}; tensors or arrays of real numbers are needed.")
    if type_of(array.dtype) is None:
        return _in_float32(array, whose)
    return np.ascontiguousarray(array).reshape(array.shape)


def _in_float32(array: npt.NDArray[Any], whose: str) -> Array:
    """Numbers of another type as float32. Raises InputError for a finite one beyond all of those."""
    with np.errstate(over="ignore"):
        made = np.ascontiguousarray(array, np.float32).reshape(array.shape)
    beyond = beyond_float32(array, made)
    if beyond is not None:
        raise InputError(
            f"{whose} hold {beyond:.4g}, which is beyond float32: give numbers within ± {np.finfo(np.float32).max:.3g}."
        )
    return made
