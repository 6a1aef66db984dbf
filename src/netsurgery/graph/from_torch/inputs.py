"""What goes into an exported program: the inputs that a caller gives, and the tensors that the model brings."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec

from netsurgery.errors import CaptureError
from netsurgery.graph.from_torch.call import Constant, Missing, Open, Sizes, memory, sizes_of

FLOAT_ADVICE = "netsurgery computes in float32: call model.float() and give float32 inputs"


class StoredTensors:
    """The program's parameters, buffers and lifted constants, on the CPU; what is tied there is tied here.

    A tied one has its first name in the model.
    """

    def __init__(self, program: ExportedProgram) -> None:
        self._stored = {**program.state_dict, **program.constants}
        self._tied: dict[tuple[Any, ...], Constant] = {}
        for name, stored in self._stored.items():
            if isinstance(stored, torch.Tensor) and memory(stored) not in self._tied:
                self._tied[memory(stored)] = Constant(stored.detach().cpu(), name)

    def constant(self, spec: InputSpec) -> Constant | Missing:
        """What a placeholder stands for. Raises CaptureError for a parameter that isn't float32."""
        stored = self._stored.get(spec.target or "")
        if not isinstance(stored, torch.Tensor):
            return Missing()
        if stored.is_floating_point() and stored.dtype != torch.float32 and spec.kind != InputKind.CONSTANT_TENSOR:
            raise CaptureError(f"{spec.target} is {stored.dtype}; {FLOAT_ADVICE}.")
        return self._tied[memory(stored)]


def input_shape(node: torch.fx.Node) -> Sizes:
    """An input's shape, open in the first place at most. Raises CaptureError."""
    given = node.meta.get("val")
    if not isinstance(given, torch.Tensor):
        raise CaptureError(
            f"input {node.name!r} is {type(given).__name__}, not a tensor; "
            "give it a default in forward, or wrap the model in a module that fixes it."
        )
    if given.dtype != torch.float32:
        raise CaptureError(f"input {node.name!r} is {given.dtype}; {FLOAT_ADVICE}.")
    shape = sizes_of(given)
    if any(isinstance(size, Open) for size in shape[1:]):
        raise CaptureError(
            f"input {node.name!r} has shape ({', '.join(map(str, shape))}): only the first axis, the batch, "
            "may be open; export the others with fixed sizes."
        )
    return shape
