"""From a model to a verified .nsm file: capture, simplify, write, read back, compare, rename.

torch module, .pt2, .onnx ──capture──▶ graph ──passes──▶ graph ──writer──▶ bytes ──▶ temporary file
                                                                                         │ read back: structure and
                                                                                         │ weights, bit for bit; run by
                                                                                         ▼ the engine, and in NumPy
                                                                                       path
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from netsurgery.checks import is_number, require, require_choice, require_flag
from netsurgery.deployment.calibration import batch_of, calibrated, check_batches
from netsurgery.deployment.comparison import TOLERANCE, Difference, compared, largest_difference
from netsurgery.deployment.fixed_error import FixedError, error_of, oddities
from netsurgery.deployment.float_ends import Ends
from netsurgery.deployment.known_weights import with_known_weights
from netsurgery.deployment.other_sizes import Answer, compared_elsewhere
from netsurgery.deployment.separate_process import asked_apart
from netsurgery.errors import CalibrationWarning, CaptureError, SettingError, VerificationError
from netsurgery.files import check_keeps, check_target, replacing
from netsurgery.graph.capture import Captured, Choices, capture
from netsurgery.graph.examples import sizes_of_axes
from netsurgery.graph.extents import Extent, axis
from netsurgery.graph.fixed_point import same_everywhere
from netsurgery.graph.grid_choice import Choice
from netsurgery.graph.ir import Array, Graph, Input, InputShapes, OpenAxes, named_axes, named_sizes
from netsurgery.graph.passes import simplify
from netsurgery.graph.rounding import rounded
from netsurgery.graph.weights import Weights, same_bits
from netsurgery.packed.reader import PackedReader
from netsurgery.packed.tensor_writer import require_finite
from netsurgery.packed.writer import constants_in_order, encode, encode_to
from netsurgery.runtime import reference
from netsurgery.runtime.session import Session

WeightFormat: TypeAlias = Literal["exact", "float16", "bfloat16"]
Activations: TypeAlias = Literal["float", "fixed"]


@dataclass(frozen=True)
class PackReport:
    """What `pack` did.

    size_bytes: of the whole file; dense_bytes: of the model's parameters as float32, those that layers share counted
    once; connections: kept weights and biases in the file; difference: largest difference of an output from the model's
    (its weights rounded where that was asked for) on the example inputs, as a share of the largest output;
    rounding_difference: the same between the model and itself with rounded weights or activations, None if nothing
    was rounded;
    inputs: what the network takes, with the names of axes that are open; least, steps, most: of each open axis the
    smallest size, of those whose sizes are multiples, of what, and of those that have one the largest size;
    compared_with: whose outputs the difference is
    measured from, such as "torch 2.9.1" or "onnxruntime 1.22.0", or "the graph as read", with the reason, where no
    other program could run the model;
    fixed: which axes could not be open, though nobody asked for them to be fixed, and what forces that, in sentences;
    remarks: what the file computes otherwise than the model, by its nature, in sentences: a model in float16 is run
    in float32, values of a quantised one aren't rounded;
    tolerance: the difference that was allowed, more than usual where rounding alone moves the outputs further;
    metric_before, metric_after: what `evaluate` says of the network in float32 and in fixed point;
    calibration_error, example_error: how far outputs in fixed point lie from those in float32, on the first calibration
    batches and on the example inputs, if there were any: `share` is the root mean square as a share of that of the
    outputs, `typical` the median of the same of each example alone. None where nothing is in fixed point.

    >>> report = ns.pack(model, "network.nsm", example_inputs=images, weights="bfloat16")
    >>> report.dense_bytes  # 263 parameters as float32
    1052
    >>> report.difference < 1e-5 < report.rounding_difference  # the file is right; what is lost was asked for
    True
    """

    path: Path
    size_bytes: int
    dense_bytes: int
    connections: int
    difference: float
    rounding_difference: float | None
    inputs: tuple[Input, ...]
    compared_with: str
    least: Mapping[str, int]
    steps: Mapping[str, int]
    most: Mapping[str, int]
    fixed: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    tolerance: float = TOLERANCE
    metric_before: float | None = None
    metric_after: float | None = None
    calibration_error: FixedError | None = None
    example_error: FixedError | None = None

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of all open axes."""
        return tuple(dict.fromkeys(name for given in self.inputs for name in given.axes))

    @property
    def batch(self) -> int | None:
        """The only batch size that the file takes, None if it takes any, or has no such axis."""
        sizes = [given.shape[0] for given in self.inputs if given.shape]
        return None if self.axes or not sizes or isinstance(sizes[0], str) else sizes[0]

    def __str__(self) -> str:
        batch = "" if self.batch is None else f"\nIt takes batches of {self.batch} only."
        if self.axes not in ((), ("batch",)):
            batch += f"\nIt takes any {named_axes(self.least, self.steps, self.most)}."
        whose = self.compared_with if self.rounding_difference is None else f"{self.compared_with}, rounded as asked"
        return (
            f"{self.path}: {self.size_bytes:,} bytes{self._comparison()}; {self.connections:,} connections{batch}\n"
            f"Verified: its outputs are those of {whose}, to {self.difference:.1e} of the largest."
            f"{self._allowance()}"
            + "".join(f"\n{remark}" for remark in (*self.fixed_point, *self.fixed, *self.remarks))
        )

    @property
    def fixed_point(self) -> tuple[str, ...]:
        """What fixed point costs, in sentences; none where nothing is in fixed point."""
        if self.calibration_error is None:
            return ()
        also = "" if self.example_error is None else f", by {self.example_error} on the example inputs"
        return (f"Fixed point moves outputs by {self.calibration_error} on the calibration batches{also}.",)

    def _allowance(self) -> str:
        """Nothing to say of a network that doesn't magnify rounding."""
        if self.tolerance <= TOLERANCE:
            return ""
        return (
            f"\nRounding alone moves them far on these inputs: {self.tolerance:.0e} was allowed in the place of "
            f"{TOLERANCE:.0e}. Inputs like those that it is meant for may show more."
        )

    def _comparison(self) -> str:
        """Of the sizes; nothing to say of a network without parameters."""
        if not self.dense_bytes:
            return ""
        ratio = self.dense_bytes / self.size_bytes
        change = f"{ratio:,.1f}x smaller" if ratio >= 1 else f"{1 / ratio:,.1f}x larger"
        return f", {change} than {self.dense_bytes:,} bytes of float32"


def pack(
    model: Any,
    path: str | Path,
    *,
    example_inputs: Any = None,
    open_axes: OpenAxes | None = None,
    input_shapes: InputShapes | None = None,
    input_values: Mapping[str, npt.ArrayLike] | None = None,
    outputs: Sequence[str] | None = None,
    weights: WeightFormat = "exact",
    names: bool = False,
    activations: Activations = "float",
    calibration: Iterable[Any] | None = None,
    grids: Mapping[str, Choice] | None = None,
    ends: Ends = "auto",
    evaluate: Callable[[Session], float] | None = None,
) -> PackReport:
    """Write a network as an .nsm file, verified before it gets its name.

    model: a torch.nn.Module, a torch.export.ExportedProgram, or the path of an .onnx or .pt2 file.
    example_inputs: what the model takes: a tensor or array, a sequence of them, or a dict of them by the names of the
        first arguments of `forward`, or of a file's inputs. A module can't be captured without.
        Whatever is given is also what model and file are compared on; for files, random numbers are used if it's None.
        A module with open axes is also run, and compared, at other sizes, on parts and repeats of the examples.
        int32 and int64 stay whole numbers, for embeddings to look up; all else is made float32.
    open_axes: for a torch.nn.Module, the sizes of its inputs that are open, with names for these axes, by name or place
        of the input: {"ids": {0: "batch", 1: "time"}}. Sizes of one name are the same. None: the first size of every
        input is "batch", if the model allows it. {}: all sizes are fixed.
    input_shapes: for files and programs, which say by themselves what is open: shapes of inputs that are to have other
        ones, sizes and names of axes, {"image": ("batch", 3, 224, 224)}.
    input_values: for ONNX files, what inputs are that are to be constants, such as {"sample_rate": 16000}; they are no
        inputs of the packed network.
    outputs: for ONNX files, names of values that the network is to give, in this order, in the place of the model's own
        outputs; what only leads to others is left out.
    weights: "exact" writes every weight bit for bit. "float16" and "bfloat16" round them first: lossy, on request only.
    names: keep the names of inputs, layers and weights in the file; they cost bytes.
    activations: "fixed" rounds activations to fixed point where the weights of layers are powers of two, as INQ leaves
        them, or binary planes, as Sketching does: 8 to 12 bits, scales that are powers of two. Such layers only add,
        and give the same bits on every processor. Lossy, on request only.
    calibration: batches of inputs, each a tensor or array, or a sequence of them, that scales are chosen on; needed
        for "fixed". Some hundred examples do, of the kind that the network is meant for. The report says how far
        outputs in fixed point lie from those in float32; a CalibrationWarning is given where that is more than a tenth
        of them (root mean square, of all or of half of the examples), where an input is 0 in all batches, and where
        example_inputs lie outside of what they are in the batches, by more than half of the largest number there.
    grids: `FixedActivations.grids`, the grids that a network was trained with, which are then those of what the layers
        read; name of a layer's weight -> grid. Where there is none, one is chosen by calibration.
    ends: "fixed" or "float": whether the first and the last layers, those before and behind which no other has weights,
        are in fixed point too. "auto" leaves an end in float32 where that takes away half of the error of outputs on
        calibration batches, if that is 1 % at all; the report says so. With the first layer in float32,
        outputs may differ in the last bit between processors.
    evaluate: of a network that is called as `ns.load` gives it, a metric; the report has it for the network in float32
        and in fixed point.
    An .onnx file is compared with what ONNX Runtime makes of it, of a quantised one or one in other floats of what it
        means in float32; where that isn't installed, or can't run the model, with the graph as read from it.
        `compared_with` of the report says which.
    A module whose weights are spread over processes (fully_shard, tensor parallel) is packed whole: all of them have to
    call this, alike, and the first one writes the file.
    A file takes any size along an open axis where every operator does: at least as much as its windows and slices need.
    An .onnx or .pt2 file may have its batch fixed, and so has a module that torch can't export otherwise, at the batch
    of the examples; `batch` of the report says so, and `fixed` what forces it.
    Raises CaptureError, UnsupportedOperatorError (naming what is missing and where), InputError for examples that don't
    fit, NonFiniteWeightsError, VerificationError if the file doesn't compute what the model computes, OSError if it
    can't be written; then `path` stays as it was.

    >>> print(ns.pack(model, "network.nsm", example_inputs=images))
    network.nsm: ... bytes...
    """
    require_choice("weights", weights, "exact", "float16", "bfloat16")
    require_choice("activations", activations, "float", "fixed")
    require_choice("ends", ends, "auto", "fixed", "float")
    require_flag("names", names)
    require(isinstance(input_shapes, Mapping | None), "input_shapes", input_shapes, "a dict of shapes by input name")
    require(isinstance(input_values, Mapping | None), "input_values", input_values, "a dict of numbers by input name")
    require(evaluate is None or callable(evaluate), "evaluate", evaluate, "a function of a network")
    only_fixed = any((calibration is not None, evaluate is not None, grids is not None, ends != "auto"))
    if activations == "fixed" and calibration is None:
        raise SettingError("activations='fixed' needs calibration: batches of inputs.")
    if activations == "float" and only_fixed:
        raise SettingError(
            "activations='float' takes neither calibration nor evaluate, grids and ends: they are for "
            "activations='fixed'."
        )
    if calibration is not None:
        check_batches(calibration)
    check_target(path)
    if isinstance(model, str | Path):
        check_keeps("path", path, [model])
    operation = sys.modules.get("netsurgery.attachment.operation")
    if operation is not None:  # else nothing is attached, and torch may not be there
        operation.settle(model)
    rounding = sys.modules.get("netsurgery.train.fixed_activations")
    if rounding is not None:
        rounding.check_removed(model)
    choices = Choices(open_axes, input_shapes, input_values, outputs)
    captured, answers = _captured(model, example_inputs, choices)
    for name, constant in captured.graph.constants.items():
        require_finite(name, constant.values)  # not later: passes fold constants into others, and leave some out
    expected, whose = _expected(model, captured)
    graph, examples, dense_bytes = captured.graph, captured.examples, 4 * captured.parameters
    remarks, fixed, writes = captured.remarks, captured.fixed, captured.is_first
    del captured  # of a large model there should be no more copies than needed
    graph = simplify(with_known_weights(graph, model), reference.run_node)
    rounding_difference = None
    if weights != "exact":
        _difference(graph, examples, expected, whose, path)
        graph = rounded(graph, weights)  # not before: what passes compute from rounded weights isn't round any more
        rounded_outputs = _run(graph, examples)
        rounding_difference = largest_difference(rounded_outputs, expected)
        expected = rounded_outputs  # what is lost by request isn't the file's fault
        graph = simplify(graph, reference.run_node)
    metric_before = metric_after = calibration_error = example_error = None
    if calibration is not None:
        _difference(graph, examples, expected, whose, path)
        fixed_point = calibrated(graph, (batch_of(batch, graph.inputs) for batch in calibration), grids, ends)
        metric_before = _metric(evaluate, graph)
        graph, remarks = fixed_point.graph, (*remarks, *fixed_point.remarks)
        rounded_outputs = _run(graph, examples)
        rounding_difference = largest_difference(rounded_outputs, expected)
        calibration_error = fixed_point.error
        given: dict[str, Array] = {}
        if example_inputs is not None:  # else examples are random numbers
            given = _feeds(graph, examples)
            example_error = error_of([rounded_outputs], [tuple(expected)])
        for oddity in oddities(fixed_point.ranges, given, calibration_error, example_error):
            warnings.warn(oddity, CalibrationWarning, stacklevel=2)
        expected = rounded_outputs
        metric_after = _metric(evaluate, graph)
    with replacing(path) if writes else nullcontext() as temporary:
        if temporary is not None:
            with temporary.open("wb") as file:
                encode_to(file, graph, names=names)
        content = encode(graph, names=names) if temporary is None else temporary.read_bytes()
        read = _read_back(content, graph, path)
        found = _difference(read, examples, expected, whose, path)
        session = Session(content)
        of_engine = _engine_difference(session, read, examples, expected, path)
        if weights == "exact" and calibration is None:
            _require_same_elsewhere(session, read, answers, path)
        found = max(found, of_engine, key=lambda one: one.share / one.allowed)
    if graph.most and not graph.takes({**graph.least, **graph.most}):
        remarks = (*remarks, "The largest sizes of axes hold with the others at their smallest, not all together.")
    connections = sum(int(np.count_nonzero(graph.constants[name].values)) for name in constants_in_order(graph))
    return PackReport(
        Path(path),
        len(content),
        dense_bytes,
        connections,
        found.share,
        rounding_difference,
        graph.inputs,
        whose,
        graph.least,
        graph.steps,
        graph.most,
        fixed,
        remarks,
        found.allowed,
        metric_before,
        metric_after,
        calibration_error,
        example_error,
    )


def _metric(evaluate: Callable[[Session], float] | None, graph: Graph) -> float | None:
    """What the caller's function says of a network. Raises SettingError where that is no number."""
    if evaluate is None:
        return None
    value: object = evaluate(Session(encode(graph)))
    if hasattr(value, "item") and getattr(value, "size", None) != 0:
        with suppress(ValueError, TypeError, RuntimeError):  # of several numbers
            value = value.item()
    if not is_number(value):
        raise SettingError(
            f"evaluate gave {value!r}, a {type(value).__name__}, and has to give a finite number: the metric of the "
            "network that it is called with."
        )
    return float(value)  # type: ignore[arg-type]


def _captured(model: Any, example_inputs: Any, choices: Choices) -> tuple[Captured, tuple[Answer, ...]]:
    """The model, compared at other sizes: with its batch fixed where it isn't the same at another one; answers there.

    Raises CaptureError for other axes.
    """
    captured = capture(model, reference.run_node, example_inputs, choices)
    elsewhere = captured.memo.get("elsewhere") or compared_elsewhere(captured)
    captured.memo["elsewhere"] = replace(elsewhere, answers=())  # the next weights give others
    if not elsewhere.odd:
        return replace(captured, remarks=(*captured.remarks, *elsewhere.remarks)), elsewhere.answers
    if captured.elsewhere is None:
        raise CaptureError(
            f"{elsewhere.odd} A packed network would run there, too: fix that size with input_shapes (--input-shape), "
            "or export the model without what branches on it."
        )
    if choices.open is not None:
        raise CaptureError(
            f"{elsewhere.odd} Leave that axis out of open_axes, or write forward without the branch; where there is "
            "none, give examples as large as what the network is for."
        )
    fixed = capture(model, reference.run_node, example_inputs, replace(choices, open={}))
    return replace(fixed, fixed=(f"The batch is fixed: {elsewhere.odd[0].lower()}{elsewhere.odd[1:]}",)), ()


_IN_FLOAT32 = ", of the model in float32"


def _expected(model: Any, captured: Captured) -> tuple[tuple[Array, ...], str]:
    """What the file has to give on the examples, and whose outputs those are."""
    if captured.outputs is not None:
        return captured.outputs, captured.computed_by
    if isinstance(model, Graph):
        return _run(captured.graph, captured.examples), "the graph as given"
    answer = asked_apart(captured.stand_in or model, _feeds(captured.graph, captured.examples))
    if answer.outputs is not None:
        return answer.outputs, answer.runtime + (_IN_FLOAT32 if captured.remarks else "")
    return _run(captured.graph, captured.examples), f"the graph as read ({answer.runtime})"


def _read_back(content: bytes, graph: Graph, path: str | Path) -> Graph:
    """The graph in a file's bytes, compared bit for bit; constants that are equal are those of `graph` itself."""
    reader = PackedReader(content)
    same: dict[str, Weights] = {}
    for (name, read_weights, _), source in zip(reader.constants(), constants_in_order(graph), strict=True):
        expected = graph.constants[source]
        if not same_bits(read_weights, expected):
            raise VerificationError(f"{path}: {source} could not be read back as it was written; nothing was kept.")
        same[name] = expected
    read = reader.graph(same)
    if _structure(read, list(same)) != _structure(graph, constants_in_order(graph)):
        raise VerificationError(f"{path}: the structure could not be read back as it was written; nothing was kept.")
    return read


def _structure(graph: Graph, constants: Sequence[str]) -> tuple[Any, ...]:
    """All of a graph but what its values and axes are called, and the entries of its constants."""
    values = [*(given.name for given in graph.inputs), *(made.output for made in graph.nodes), *constants]
    number: dict[str | None, int] = {name: place for place, name in enumerate(values)}
    axes = {name: place for place, name in enumerate(graph.axes)}
    by_place = {name: axis(f"axis {place}") for name, place in axes.items()}

    def renamed(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(renamed, value))
        return value.put(by_place) if isinstance(value, Extent) else value

    nodes = [
        (
            made.operator,
            [number.get(name) for name in made.inputs],
            sorted((name, repr(renamed(value))) for name, value in made.attributes.items()),
        )
        for made in graph.nodes
    ]
    shapes = [
        (tuple(f"axis {axes[s]}" if isinstance(s, str) else s for s in one.shape), one.type) for one in graph.inputs
    ]
    return shapes, nodes, [number[name] for name in graph.outputs]


def _difference(
    graph: Graph, examples: Sequence[Array], expected: Sequence[Array], whose: str, path: str | Path
) -> Difference:
    """How far the graph's outputs lie from those expected. Raises VerificationError beyond what is allowed."""
    feeds = _feeds(graph, examples)
    found = compared(reference.run(graph, feeds), expected, graph, feeds)
    if not found.within:
        raise VerificationError(
            f"{path}: the packed network's outputs differ from those of {whose} by {found.share:.1e} of the largest "
            f"output, {found.allowed:.0e} is allowed; nothing was kept. {_advice(whose)}"
        )
    return found


def _advice(whose: str) -> str:
    """What a difference from these outputs may come from."""
    if whose.startswith("torch"):
        return (
            "Does the model give the same outputs twice in eval mode? Does its forward write in place to what shares "
            "memory with something else? Then torch may have written it down wrongly."
        )
    if whose.startswith("the graph"):
        return "That is a fault of netsurgery: please report it with the model."
    return (
        f"netsurgery and {whose} take an operator of the model for different things: please report it with the model."
    )


def _require_same_elsewhere(session: Session, graph: Graph, answers: Sequence[Answer], path: str | Path) -> None:
    """Raise VerificationError unless the engine gives at other sizes what the model's graph, as it was read, gives."""
    for arrays, expected in answers:
        given = session(*arrays)
        outputs = [
            np.where(np.isnan(other), other, one) if one.dtype == np.float32 and one.shape == other.shape else one
            for one, other in zip(given if isinstance(given, tuple) else (given,), expected, strict=True)
        ]
        if not compared(outputs, expected, graph, _feeds(graph, arrays)).within:
            sizes = named_sizes(sizes_of_axes(graph.inputs, arrays))
            raise VerificationError(
                f"{path}: the packed network isn't what the model is at {sizes}; nothing was kept. That is a fault of "
                "netsurgery: please report it with the model. Fixed axes (input_shapes, or no open_axes) avoid it."
            )


def _engine_difference(
    session: Session, graph: Graph, examples: Sequence[Array], expected: Sequence[Array], path: str | Path
) -> Difference:
    """The same of what the engine, which will run the file, makes of its bytes."""
    outputs = session(*examples)
    given = outputs if isinstance(outputs, tuple) else (outputs,)
    if same_everywhere(graph).issuperset(graph.outputs) and not all(map(np.array_equal, given, _run(graph, examples))):
        raise VerificationError(
            f"{path}: the engine's outputs aren't those of the fixed point network in the file, bit for bit; nothing "
            "was kept. That is a fault of netsurgery: please report it with the model."
        )
    found = compared(given, expected, graph, _feeds(graph, examples))
    if not found.within:
        raise VerificationError(
            f"{path}: the engine's outputs differ from those expected by {found.share:.1e} of the largest output, "
            f"{found.allowed:.0e} is allowed, though the network in the file is right; nothing was kept. That is a "
            "fault of netsurgery: please report it with the model. engine='reference' would run such a file."
        )
    return found


def _run(graph: Graph, examples: Sequence[Array]) -> tuple[Array, ...]:
    return reference.run(graph, _feeds(graph, examples))


def _feeds(graph: Graph, examples: Sequence[Array]) -> dict[str, Array]:
    return {given.name: array for given, array in zip(graph.inputs, examples, strict=True)}
