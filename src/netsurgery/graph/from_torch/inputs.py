"""What goes into an exported program: the inputs that a caller gives, and the tensors that the model brings."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec

from netsurgery.errors import CaptureError
from netsurgery.graph.from_torch.call import Constant, Missing, Open, Sizes, memory, sizes_of
from netsurgery.graph.value_types import ValueType

FLOAT_ADVICE = (
    "netsurgery computes in float32, int32, int64 and bool: call model.float() and give inputs of these types"
)


VALUE_TYPES = {
    torch.float32: ValueType.FLOAT32,
    torch.int32: ValueType.INT32,
    torch.int64: ValueType.INT64,
    torch.bool: ValueType.BOOL,
}
"""What inputs may be."""

COMPUTED_TYPES = {
    **VALUE_TYPES,
    torch.float64: ValueType.FLOAT32,
    torch.float16: ValueType.FLOAT32,
    torch.bfloat16: ValueType.FLOAT32,
}
"""What a model may compute with: floats of other widths are float32 in a graph."""


class StoredTensors:
    """The program's parameters, buffers and lifted constants, on the CPU; what is tied there is tied here.

    A tied one has its first name in the model.
    """

    def __init__(self, program: ExportedProgram) -> None:
        self._stored = {**program.state_dict, **program.constants}
        self._tied: dict[tuple[Any, ...], Constant] = {}
        for name, stored in self._stored.items():
            if isinstance(stored, torch.Tensor) and stored.is_meta:
                raise CaptureError(f"{name} is on the meta device, where it has no numbers: load some into it first.")
            if isinstance(stored, torch.Tensor) and memory(stored) not in self._tied:
                plain = stored.detach().cpu()
                self._tied[memory(stored)] = Constant(
                    plain if plain.layout is torch.strided else plain.to_dense(), name
                )

    def constant(self, spec: InputSpec) -> Constant | Missing:
        """What a placeholder stands for. Raises CaptureError for a parameter that isn't float32."""
        stored = self._stored.get(spec.target or "")
        if not isinstance(stored, torch.Tensor):
            return Missing()
        if stored.is_floating_point() and stored.dtype != torch.float32 and spec.kind != InputKind.CONSTANT_TENSOR:
            raise CaptureError(f"{spec.target} is {stored.dtype}; {FLOAT_ADVICE}.")
        return self._tied[memory(stored)]


def given_inputs(program: ExportedProgram) -> list[tuple[torch.fx.Node, Sizes, ValueType]]:
    """What a caller gives: the placeholder, its shape, and the type of its entries. Raises CaptureError."""
    return [(node, *_input_of(node)) for node, spec in placeholders_of(program) if spec.kind == InputKind.USER_INPUT]


def placeholders_of(program: ExportedProgram) -> list[tuple[torch.fx.Node, InputSpec]]:
    """What a program reads, with what torch says of it: parameters, buffers, tensors of its code, inputs."""
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    return list(zip(placeholders, program.graph_signature.input_specs, strict=True))


def _input_of(node: torch.fx.Node) -> tuple[Sizes, ValueType]:
    """An input's shape, and the type of its entries. Raises CaptureError."""
    given = node.meta.get("val")
    if not isinstance(given, torch.Tensor):
        raise CaptureError(
            f"input {node.name!r} is {type(given).__name__}, not a tensor; "
            "give it a default in forward, or wrap the model in a module that fixes it."
        )
    kind = VALUE_TYPES.get(given.dtype)
    if kind is None:
        raise CaptureError(f"input {node.name!r} is {given.dtype}; {FLOAT_ADVICE}.")
    shape = sizes_of(given)
    for place, size in enumerate(shape):
        if isinstance(size, Open) and not size.expression.as_coeff_Mul()[1].is_Symbol:
            raise CaptureError(
                f"input {node.name!r} has size {size} in place {place}: an open size must be an axis of its own or "
                "a multiple, and not follow from another one; fix it, or give it a torch.export.Dim of its own."
            )
    return shape, kind
