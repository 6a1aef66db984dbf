"""Whether all that runs a graph gives what the module of torch gives that it was read from, at several sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from netsurgery.graph.from_torch import read_torch, torch_outputs
from netsurgery.packed.writer import encode
from netsurgery.runtime.reference import run
from netsurgery.runtime.session import Session


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


class EachOf(nn.Module):
    """Functions side by side as a module: writing one down with torch.export takes a second, whatever it computes.

    Outputs are those of all functions, one after another; `owners` says of each whose it is.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any]], *examples: Tensor) -> None:
        super().__init__()
        self.functions = dict(functions)
        self.owners = [
            name for name, one in functions.items() for _ in tree_leaves(one(*(x.clone() for x in examples)))
        ]

    def forward(self, *given: Tensor) -> list[Any]:
        return [function(*given) for function in self.functions.values()]


def agrees(
    model: nn.Module, axes: Mapping[int, str], given: Sequence[Tensor | tuple[Tensor, ...]], *, in_onnx: bool = True
) -> None:
    """Engine, reference and what is written as ONNX give what the model gives.

    axes: those of every input that are open. given: inputs; the model is captured at the first ones.
    """
    runs = [one if isinstance(one, tuple) else (one,) for one in given]
    model = model.eval()
    graph = read_torch(model, runs[0], open_axes=dict.fromkeys(range(len(runs[0])), axes) if axes else {})
    assert graph.axes == tuple(axes.values())
    ways: dict[str, Callable[[dict[str, Any]], Any]] = {
        "engine": lambda named: Session(encode(graph), threads=1)(*named.values()),
        "reference": lambda named: run(graph, named),
    }
    if in_onnx:
        import onnxruntime

        from netsurgery.graph.to_onnx import to_onnx

        written = to_onnx(graph).SerializeToString()
        session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
        ways["ONNX"] = lambda named: session.run(None, named)
    for tensors in runs:
        arrays = [tensor.numpy() for tensor in tensors]
        wanted = torch_outputs(model, arrays)[0]
        for way, compute in ways.items():
            found = compute({one.name: array for one, array in zip(graph.inputs, arrays, strict=True)})
            for output, want in zip(found if isinstance(found, list | tuple) else [found], wanted, strict=True):
                shapes = ", ".join(str(array.shape) for array in arrays)
                np.testing.assert_allclose(output, want, rtol=5e-5, atol=5e-5, err_msg=f"{way} at {shapes}")


def pictures(*shapes: tuple[int, ...]) -> list[Tensor]:
    """Random floats of these shapes."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def sentences(*shapes: tuple[int, ...], words: int = 50) -> list[Tensor]:
    """Random ids of these shapes."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, words, shape, generator=generator) for shape in shapes]
