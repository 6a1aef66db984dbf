"""Captures torch models: `torch.export` writes the model down in ATen operators, of which a graph is made."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.utils._pytree import tree_flatten  # how torch.export itself puts outputs in order

from netsurgery.errors import CaptureError, DataError
from netsurgery.evaluation_mode import evaluating
from netsurgery.graph.from_torch.inputs import FLOAT_ADVICE
from netsurgery.graph.from_torch.program import read_program
from netsurgery.graph.ir import Array, Graph


def read_torch(model: nn.Module, example_inputs: tuple[torch.Tensor, ...], *, dynamic_batch: bool = True) -> Graph:
    """The graph of a model in eval mode.

    The model stays as it is: weights, training flags and device. The graph's constants are the model's own memory where
    that is float32 on the CPU: read-only here, and training on changes them.

    example_inputs: float32 tensors as `forward` takes them, (N, ...) each; values don't matter.
    dynamic_batch: leave N open. A model that fixes its batch (`x.view(8, -1)`), or whose inputs differ in their first
        size, is captured at the examples' batch nevertheless; `Graph.dynamic_batch` tells.

    Outputs are those of `forward`: tuples, lists and dicts flattened in their order, None left out.

    Raises CaptureError if the model can't be exported, isn't float32 or keeps state, and UnsupportedOperatorError with
    every operator that a graph doesn't have.
    """
    _check(model, example_inputs)
    examples = _beside(model, example_inputs)
    with evaluating(model), torch.no_grad():
        if dynamic_batch and _has_batch(examples):
            with suppress(CaptureError):  # the static attempt says what is wrong
                return read_exported(_export(model, _at_least_two(examples), open_batch=True))
        return read_exported(_export(model, examples, open_batch=False))


def read_exported(program: ExportedProgram) -> Graph:
    """The graph of a program that `torch.export.export` made of a model in eval mode.

    The first axis of every input may be open, under one `torch.export.Dim`; bounds of that Dim are not kept. Raises
    CaptureError and UnsupportedOperatorError as `read_torch` does.
    """
    with _quiet():
        try:
            program = program.run_decompositions({})  # nothing but in-place operators goes
        except Exception as error:
            raise _capture_error("the exported program can't be made functional", error) from error
        return read_program(program)


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


def torch_outputs(model: nn.Module, inputs: Sequence[Array]) -> list[Array]:
    """What the model itself gives in eval mode for these arrays, in the order of the graph's outputs."""
    with evaluating(model), torch.no_grad():
        given = model(*_beside(model, tuple(torch.tensor(array) for array in inputs)))
    leaves, _ = tree_flatten(given)
    return [leaf.cpu().contiguous().numpy() for leaf in leaves if leaf is not None]


def _check(model: nn.Module, example_inputs: tuple[torch.Tensor, ...]) -> None:
    """Raise CaptureError unless model and inputs are float32, and the model is Python."""
    scripted = [name for name, module in model.named_modules() if isinstance(module, torch.jit.ScriptModule)]
    if scripted:
        raise CaptureError(
            f"{scripted[0] or 'the model'} is a TorchScript module, made by torch.jit.trace or torch.jit.script, which "
            "can't be exported; give the Python module that it was made from."
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
        if example.dtype != torch.float32:
            raise CaptureError(f"input {index} is {example.dtype}; {FLOAT_ADVICE}.")
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if (tensor.is_floating_point() or tensor.is_complex()) and tensor.dtype != torch.float32:
            raise CaptureError(f"{name} is {tensor.dtype}; {FLOAT_ADVICE}.")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's warnings about its own insides; what matters of the program is checked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _beside(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """The inputs on the device where the model's weights are."""
    weights = next(chain(model.parameters(), model.buffers()), None)
    return inputs if weights is None else tuple(given.to(weights.device) for given in inputs)


def _has_batch(examples: tuple[torch.Tensor, ...]) -> bool:
    return len({example.shape[:1] for example in examples}) == 1 and examples[0].ndim > 0


def _at_least_two(examples: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """The examples, twice if they are a batch of one: torch takes a size of one for a constant."""
    return examples if len(examples[0]) > 1 else tuple(torch.cat([example, example]) for example in examples)


def _export(model: nn.Module, examples: tuple[torch.Tensor, ...], *, open_batch: bool) -> ExportedProgram:
    shapes = _dynamic_shapes(model, len(examples)) if open_batch else None
    with _quiet():
        try:
            return torch.export.export(model, examples, dynamic_shapes=shapes)
        except Exception as error:
            raise _capture_error("torch.export can't write the model down", error) from error


def _dynamic_shapes(model: nn.Module, count: int) -> tuple[Any, ...]:
    """One Dim for the first axis of every input, nested as `forward` takes them: `*inputs` are one argument."""
    batch = torch.export.Dim("batch")
    shapes = [{0: batch}] * count
    kinds = [parameter.kind for parameter in inspect.signature(model.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        named = kinds.index(inspect.Parameter.VAR_POSITIONAL)
        return (*shapes[:named], tuple(shapes[named:]))
    return tuple(shapes)


def _capture_error(what: str, error: Exception) -> CaptureError:
    return CaptureError(
        f"{what}: {_first_sentence(error)} Check that the model runs on the example inputs in eval mode and that its "
        "forward doesn't branch on values; see https://pytorch.org/docs/stable/export.html."
    )


def _first_sentence(error: Exception) -> str:
    """The first line of torch's message, which may go on for pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0][:300] if lines else type(error).__name__
    return first if first.endswith(".") else f"{first}."
