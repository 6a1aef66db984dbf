"""Captures torch models: `torch.export` writes the model down in ATen operators, of which a graph is made."""

from __future__ import annotations

import inspect
import io
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.utils._pytree import tree_flatten  # how torch.export itself puts outputs in order

import netsurgery.transforms.walsh_hadamard  # noqa: F401  # torch loads programs whose operators it knows
from netsurgery.checks import require
from netsurgery.errors import CaptureError, DataError
from netsurgery.evaluation_mode import evaluating
from netsurgery.graph.from_torch.attention_masks import masks_as_given
from netsurgery.graph.from_torch.decomposition import read_decomposed
from netsurgery.graph.from_torch.fixed_batch import fixing_line, fixing_module
from netsurgery.graph.from_torch.in_place import leave_out_dropout
from netsurgery.graph.from_torch.inputs import FLOAT_ADVICE, VALUE_TYPES
from netsurgery.graph.from_torch.known_numbers import lengths_open, numbers_known
from netsurgery.graph.from_torch.number_formats import HalvesInFloat32
from netsurgery.graph.from_torch.program import AxisNames, read_program
from netsurgery.graph.from_torch.recurrent import recurrent_as_one
from netsurgery.graph.from_torch.transformers_models import (
    CACHE_LEFT_OUT,
    cache_left_out,
    experts_at_once,
    is_cache,
    tells_of_cache,
)
from netsurgery.graph.ir import Array, Graph, OpenAxes
from netsurgery.graph.value_types import without_torch

_BATCH = "batch"


@dataclass(frozen=True)
class ReadModule:
    """The graph of a module, and the program that it was read from, with the names of its open axes.

    fixed: why its batch isn't open, if nobody asked for that, as a sentence; else empty.
    memo: what others found out about the module as it is, whatever its weights are.
    """

    graph: Graph
    program: ExportedProgram
    names: AxisNames
    fixed: str = ""
    memo: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, exported: ExportedProgram, names: AxisNames, fixed: str = "") -> ReadModule:
        """What is read from a program of torch.export; raises as `read_exported` does."""
        program, graph = _read(exported, names)
        return cls(graph, program, names, fixed)

    def again(self) -> ReadModule:
        """The same with the module's weights as they are now."""
        return replace(self, graph=read_decomposed(self.program, self.names))


def read_torch(
    model: nn.Module, example_inputs: tuple[torch.Tensor, ...], *, open_axes: OpenAxes | None = None
) -> Graph:
    """The graph of a model in eval mode; see `read_module`."""
    return read_module(model, example_inputs, open_axes=open_axes).graph


def read_module(
    model: nn.Module, example_inputs: tuple[torch.Tensor, ...], *, open_axes: OpenAxes | None = None
) -> ReadModule:
    """The graph of a model in eval mode.

    The model stays as it is: weights, training flags and device. The graph's constants are the model's own memory where
    that is float32 on the CPU: read-only here, and training on changes them.

    example_inputs: tensors as `forward` takes them, float32, int32 or int64; values don't matter.
    open_axes: which sizes of which inputs are open, and how they are called: {"ids": {0: "batch", 1: "time"}}. Sizes of
        one name are the same. None: the first size of every input is "batch"; a model that fixes it (`x.view(8, -1)`),
        or whose inputs differ there, is captured at the examples' batch nevertheless, and `fixed` says why.

    Outputs are those of `forward`: tuples, lists and dicts flattened in their order, None left out.

    Raises CaptureError if the model can't be exported, isn't float32, keeps state or can't have these axes open,
    UnsupportedOperatorError with every operator that a graph doesn't have, SettingError for axes that there aren't.
    """
    _check(model, example_inputs)
    examples = _beside(model, example_inputs)
    kept = _KEPT.get(model)
    if kept is None:
        return _read_module(model, examples, open_axes)
    key = repr(([(one.shape, one.dtype) for one in examples], open_axes))
    if key in kept and _is_of(kept[key].program, model):
        kept[key] = kept[key].again()
    else:
        kept[key] = _read_module(model, examples, open_axes)
    return kept[key]


_KEPT: WeakKeyDictionary[nn.Module, dict[str, ReadModule]] = WeakKeyDictionary()


@contextmanager
def exported_once(model: nn.Module) -> Iterator[None]:
    """While this lasts, a module that is read again with other weights isn't exported again: that takes a second.

    What its `forward` does has to stay the same meanwhile.
    """
    _KEPT[model] = {}
    try:
        yield
    finally:
        _KEPT.pop(model, None)


def _is_of(program: ExportedProgram, model: nn.Module) -> bool:
    """Whether a program has the module's own memory for its weights, so that it knows them as they are."""
    own = {name: tensor.data_ptr() for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    return all(own.get(name) == tensor.data_ptr() for name, tensor in program.state_dict.items())


def _read_module(model: nn.Module, examples: tuple[torch.Tensor, ...], open_axes: OpenAxes | None) -> ReadModule:
    with evaluating(model), torch.no_grad():
        if open_axes is None:
            why = "the first sizes of its inputs differ"
            if _has_batch(examples):
                axes = {(index, 0): _BATCH for index in range(len(examples))}
                try:
                    return ReadModule.of(_export(model, examples, axes), axes)
                except CaptureError as error:  # the static attempt says what is wrong
                    why = str(error)
            read = ReadModule.of(_export(model, examples, {}), {})
            return replace(read, fixed=_fixed(model, examples, why)) if any(one.ndim for one in examples) else read
        axes = axes_by_place(open_axes, _input_names(model, len(examples)), [one.ndim for one in examples])
        return ReadModule.of(_export(model, examples, axes), axes)


def axes_by_place(open_axes: OpenAxes, inputs: Sequence[str], ranks: Sequence[int]) -> dict[tuple[int, int], str]:
    """(place of the input, place of the size) -> name of the axis. Raises SettingError for what isn't there."""
    axes: dict[tuple[int, int], str] = {}
    said = 'names of axes by place, by input, such as {"ids": {0: "batch", 1: "time"}}'
    require(isinstance(open_axes, Mapping), "open_axes", open_axes, said)
    for key, named in open_axes.items():
        require(isinstance(named, Mapping), f"open_axes[{key!r}]", named, said)
        index = inputs.index(key) if key in inputs else key
        require(
            isinstance(index, int) and 0 <= index < len(inputs),
            "open_axes",
            key,
            f"by the name of an input, {', '.join(map(repr, inputs))}, or by its place, 0 to {len(inputs) - 1}",
        )
        for place, name in named.items():
            rank = ranks[int(index)]
            require(
                isinstance(place, int) and 0 <= place < rank,
                f"open_axes[{key!r}]",
                place,
                f"the place of a size, 0 to {rank - 1}",
            )
            require(isinstance(name, str) and name != "", f"open_axes[{key!r}][{place}]", name, "a name for the axis")
            axes[int(index), place] = name
    return axes


def read_exported(program: ExportedProgram, names: AxisNames | None = None) -> Graph:
    """The graph of a program that `torch.export.export` made of a model in eval mode.

    Any axis of its inputs may be open, each under a `torch.export.Dim`; bounds of a Dim are not kept, nor is its name,
    which torch forgets: `names` says it, or the first one in front is "batch" and others go by their number. Raises
    CaptureError and UnsupportedOperatorError as `read_torch` does.
    """
    return _read(program, names or {})[1]


def _read(program: ExportedProgram, names: AxisNames) -> tuple[ExportedProgram, Graph]:
    """A program and its graph: the one given, or, where that can't be read, the one that torch makes functional."""
    with _quiet():
        with suppress(CaptureError):
            return program, read_program(program, names)
        try:
            functional = program.run_decompositions({})  # nothing but in-place operators goes
        except Exception as error:
            with suppress(CaptureError):  # torch fails at programs of .pt2 files with multiples of a Dim
                return program, read_decomposed(program, names)
            raise _capture_error("the exported program can't be made functional", error) from error
        return functional, read_decomposed(functional, names)


def unscripted(model: torch.jit.ScriptModule, example_inputs: tuple[torch.Tensor, ...]) -> nn.Module:
    """A TorchScript module as a module of Python, by torch's own converter. Raises CaptureError where that gives up."""
    from torch._export.converter import TS2EPConverter

    try:
        with _quiet(), evaluating(model), torch.no_grad():
            return TS2EPConverter(model, example_inputs).convert().module(check_guards=False)
    except Exception as error:
        raise CaptureError(
            "the model is a TorchScript module (of torch.jit.trace or torch.jit.script) that torch can't convert: "
            f"{_first_sentence(error)} Give the Python module that it was made from."
        ) from error


def read_pt2(path: str | Path) -> Graph:
    """The graph of a .pt2 file. Raises DataError as `load_program` does, else as `read_exported`."""
    return read_exported(load_program(path))


def load_program(path: str | Path) -> ExportedProgram:
    """The program of a .pt2 file, which `torch.export.save` wrote. Open only files that you trust, as with torch.load.

    Raises DataError if there is no such file or torch can't load it.
    """
    if not Path(path).is_file():
        raise DataError(f"{path} doesn't exist. Write it with torch.export.save(program, path).")
    with _quiet():
        try:
            return torch.export.load(path)
        except Exception as error:
            raise DataError(
                f"{path} can't be loaded: {_first_sentence(error)} It must be a file that torch.export.save wrote, "
                f"with a torch no newer than {torch.__version__}."
            ) from error


def torch_outputs(model: nn.Module, inputs: Sequence[Array]) -> tuple[list[Array], tuple[str, ...]]:
    """What the model itself gives in eval mode for these arrays, in the order of the graph's outputs; and remarks.

    Where it would compute in float16 or bfloat16 it is made to compute in float32, as the graph does; a remark says so.
    A model that can't be made to, as it looks at the types of its values, computes as it does. Encoders that leave out
    what is padded, without gradients, are made to compute it, as they do with gradients, and as the graph does. Caches
    of keys and values aren't among the outputs.
    """
    own = _beside(model, tuple(torch.tensor(array) for array in inputs))
    with evaluating(model), torch.no_grad(), _padding_computed(model) as padded:
        wide = HalvesInFloat32()
        try:
            with wide:
                given = model(*own)
        except Exception:
            given = model(*own)
    leaves, _ = tree_flatten(given)
    caches = [leaf for leaf in leaves if is_cache(leaf)]
    tensors = [leaf for leaf in leaves if leaf is not None and not is_cache(leaf)]
    outputs = [without_torch(leaf).contiguous().numpy() for leaf in tensors]
    return outputs, (*wide.remarks(), *padded[:1], *[CACHE_LEFT_OUT][: len(caches)])


@contextmanager
def _padding_computed(model: nn.Module) -> Iterator[list[str]]:
    """Without nested tensors in encoders with padding masks; gives remarks, once the model has run."""
    remarks: list[str] = []
    encoders = [
        module
        for module in model.modules()
        if isinstance(module, nn.TransformerEncoder) and getattr(module, "use_nested_tensor", False)
    ]

    def noted(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if kwargs.get("src_key_padding_mask", args[2] if len(args) > 2 else None) is not None:
            remarks.append(_PADDING)

    hooks = [encoder.register_forward_pre_hook(noted, with_kwargs=True) for encoder in encoders]
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(before and not encoders)
    try:
        yield remarks
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
        for hook in hooks:
            hook.remove()


_PADDING = (
    "Without gradients, torch's nn.TransformerEncoder gives zeros where a mask says padding; the packed network gives "
    "there what its layers compute, as torch does with gradients, or with enable_nested_tensor=False."
)


def _check(model: nn.Module, example_inputs: tuple[torch.Tensor, ...]) -> None:
    """Raise CaptureError unless model and inputs are float32, and the model is Python."""
    scripted = [name for name, module in model.named_modules() if isinstance(module, torch.jit.ScriptModule)]
    if scripted:
        raise CaptureError(
            f"{scripted[0] or 'the model'} is a TorchScript module, made by torch.jit.trace or torch.jit.script, which "
            "can't be exported within another one; give the Python module that it was made from."
        )
    if not isinstance(example_inputs, tuple) or not example_inputs:
        raise CaptureError(
            f"example_inputs is a {type(example_inputs).__name__}; it must be a tuple of one tensor for each input of "
            "the model, such as (torch.zeros(1, 3, 224, 224),)."
        )
    for index, example in enumerate(example_inputs):
        if not isinstance(example, torch.Tensor):
            raise CaptureError(
                f"input {index} is a {type(example).__name__}, not a tensor; wrap the model in a module that fixes it."
            )
        if example.dtype not in VALUE_TYPES:
            raise CaptureError(f"input {index} is {example.dtype}; {FLOAT_ADVICE}.")
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if (tensor.is_floating_point() and tensor.dtype != torch.float32) or tensor.dtype == torch.complex128:
            raise CaptureError(f"{name} is {tensor.dtype}; {FLOAT_ADVICE}.")


_ALONE = threading.RLock()
"""Held while a model is read: what is changed meanwhile, of torch and of Python, is the whole process's."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says of its own insides; what matters of the program is checked here.

    Where it gives up it prints all of the graph so far, perhaps hundreds of lines: its error, the cause of ours, has
    them too.
    """
    with _ALONE:
        disabled = logging.root.manager.disable
        logging.disable(max(disabled, logging.ERROR))
        written = io.StringIO()
        try:
            with warnings.catch_warnings(), redirect_stderr(written):
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.disable(disabled)
        sys.stderr.write(written.getvalue())  # what a model that torch could write down says itself


def _beside(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """The inputs on the device where the model's weights are."""
    weights = next(chain(model.parameters(), model.buffers()), None)
    return inputs if weights is None else tuple(given.to(weights.device) for given in inputs)


def _has_batch(examples: tuple[torch.Tensor, ...]) -> bool:
    return len({example.shape[:1] for example in examples}) == 1 and examples[0].ndim > 0


def _fixed(model: nn.Module, examples: tuple[torch.Tensor, ...], why: str) -> str:
    """Where the batch is fixed, or why it is."""
    if not _has_batch(examples):
        return f"The batch is fixed: {why}. Say with open_axes which of them are open."
    axes = {(index, 0): _BATCH for index in range(len(examples))}
    with _quiet(), redirect_stderr(io.StringIO()), _as_networks_are(model, looks=True):  # torch prints what it refuses
        place = fixing_module(model, _at_least_two(examples, axes))
    return f"The batch is fixed at {examples[0].shape[0]} by {place}." if place else f"The batch is fixed: {why}"


def _at_least_two(examples: tuple[torch.Tensor, ...], axes: AxisNames) -> tuple[torch.Tensor, ...]:
    """The examples, doubled along open axes of size one: torch takes such a size for a constant."""
    ones = {name for (index, place), name in axes.items() if examples[index].shape[place] == 1}
    result = list(examples)
    for (index, place), name in axes.items():
        if name in ones:
            result[index] = torch.cat([result[index], result[index]], place)
    return tuple(result)


def _export(model: nn.Module, examples: tuple[torch.Tensor, ...], axes: AxisNames) -> ExportedProgram:
    """The program with these axes open: of a batch, if that is all, at every size, or else where torch finds that."""
    try:
        return _exported(model, examples, axes, any_batch=True)
    except CaptureError as refusal:
        if set(axes.values()) == {_BATCH}:
            with suppress(CaptureError):
                return _exported(model, examples, axes, any_batch=False)
        raise refusal


@contextmanager
def _as_networks_are(model: nn.Module, *, looks: bool) -> Iterator[None]:
    """While a model is exported: what torch, or the model, does otherwise than a graph has it, for no other result.

    looks: whether the model may look into numbers that are known, and ask tensors for their lengths.
    """
    with ExitStack() as entered:
        entered.enter_context(recurrent_as_one())
        entered.enter_context(masks_as_given())
        entered.enter_context(experts_at_once(model))
        entered.enter_context(torch.backends.opt_einsum.flags(enabled=False))  # it makes numbers of examples' sizes
        if looks:
            entered.enter_context(numbers_known(model))
            entered.enter_context(lengths_open())
        yield


_LOOKED = re.compile("data-dependent|specialized it")
"""What torch says of a model that looks into numbers, or makes a number of a size."""


def _exported(
    model: nn.Module, examples: tuple[torch.Tensor, ...], axes: AxisNames, *, any_batch: bool
) -> ExportedProgram:
    shapes = _dynamic_shapes(model, len(examples), axes, any_batch) if axes else None
    examples = _at_least_two(tuple(one.detach() for one in examples), axes)  # torch writes on them what is dynamic
    try:
        with _quiet(), _as_networks_are(model, looks=False):
            return _written_down(model, examples, shapes)
    except Exception as error:
        refused = error
    with _quiet(), _as_networks_are(model, looks=True):
        if _LOOKED.search(str(refused)):
            try:
                return _written_down(model, examples, shapes)
            except Exception as error:
                refused = error
        if not axes:
            raise _capture_error("torch.export can't write the model down", refused) from refused
        open_axes = ", ".join(dict.fromkeys(axes.values()))
        reason = _with_axes(_reason(refused), axes, _input_names(model, len(examples)))
        line = fixing_line(model, examples, shapes) if "specialized it" in reason else _line_of(refused)
        reason = f"{reason.rstrip('.')}, at {line}." if line else reason
        raise CaptureError(
            f"torch.export can't write the model down with these axes open: {open_axes}. {reason} What the model "
            "fixes has to be left out of open_axes."
        ) from refused


def _written_down(model: nn.Module, examples: tuple[torch.Tensor, ...], shapes: Any) -> ExportedProgram:
    """What torch.export makes of a model; raises whatever that raises."""
    try:
        program = torch.export.export(model, examples, dynamic_shapes=shapes)
    except Exception as error:
        if not tells_of_cache(error):
            raise
        with cache_left_out(model):
            program = torch.export.export(model, examples, dynamic_shapes=shapes)
    leave_out_dropout(program)
    return program


def _with_axes(reason: str, axes: AxisNames, inputs: Sequence[str]) -> str:
    """Torch's message with names of axes in the place of what it calls their sizes."""
    named = {(inputs[index], place): name for (index, place), name in axes.items() if index < len(inputs)}

    def name(found: re.Match[str]) -> str:
        given, number, place = found.groups()
        return named.get((f"{given}_{number}" if number else given, int(place)), found.group())

    return re.sub(r"L\['(\w+)'\](?:\[(\d+)\])?\.size\(\)\[(\d+)\]", name, reason)


def _reason(error: Exception) -> str:
    """Of torch's message the sentence behind the one that only says that there is something."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    told = lines[1:] if lines and lines[0].startswith("Constraints violated") else lines
    return _first_sentence(Exception(*(line.split(". ")[0] for line in told[:1])))


def _input_names(model: nn.Module, count: int) -> list[str]:
    """What the inputs are called in the exported program: as `forward` calls its arguments."""
    names: list[str] = []
    for name, parameter in inspect.signature(model.forward).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            names += [f"{name}_{number}" for number in range(count - len(names))]
        elif parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            names.append(name)
    return names[:count]


def _dynamic_shapes(model: nn.Module, count: int, axes: AxisNames, any_batch: bool) -> tuple[Any, ...]:
    """What of each input is open, nested as `forward` takes the inputs: `*inputs` are one argument.

    The batch is one Dim, if it has to be open at every size. Other axes are left to torch, which finds for each from
    which size on the model runs, and what else it takes; that two of them are the same shows where the model joins
    them, and in their names.
    """
    batch = torch.export.Dim(_BATCH) if any_batch else torch.export.Dim.DYNAMIC
    shapes: list[dict[int, Any]] = [{} for _ in range(count)]
    for index, place in axes:
        shapes[index][place] = batch if set(axes.values()) == {_BATCH} else torch.export.Dim.DYNAMIC
    kinds = [parameter.kind for parameter in inspect.signature(model.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        named = kinds.index(inspect.Parameter.VAR_POSITIONAL)
        return (*shapes[:named], tuple(shapes[named:]))
    return tuple(shapes)


_MEANINGS = {
    "inference tensor": "a parameter or buffer was made under torch.inference_mode(), which torch.export doesn't take: "
    "make the model outside of it, or load its state_dict into one that was.",
    "found a fake tensor": "its forward writes through .data, or keeps a tensor for its next call. Write to the tensor "
    "itself, and return what is to be kept.",
}
"""What is in torch's message -> what it means for the model."""


def _capture_error(what: str, error: Exception) -> CaptureError:
    for part, meaning in _MEANINGS.items():
        if part in str(error):
            return CaptureError(f"{what}: {meaning}")
    line = _line_of(error)
    reason = f"{_first_sentence(error).rstrip('.')}, at {line}." if line else _first_sentence(error)
    return CaptureError(
        f"{what}: {reason} Check that the model runs on the example inputs in eval mode and that its "
        "forward doesn't branch on values; see https://pytorch.org/docs/stable/export.html."
    )


def _line_of(error: Exception) -> str:
    """The line of the model that torch couldn't write down, as "model.py:31"; "" if its message names none."""
    found = re.search(r'raised this error:\s+File "(.+?)", line (\d+)', str(error))
    return f"{Path(found[1]).name}:{found[2]}" if found else ""


def _first_sentence(error: Exception) -> str:
    """The first line of torch's message, which may go on for pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0][:300] if lines else type(error).__name__
    first = re.sub(r" *\((unhinted|Size-like symbols): [^()]*(\([^()]*\))?[^()]*\)", "", first).rstrip()
    return first if first.endswith(".") else f"{first}."
