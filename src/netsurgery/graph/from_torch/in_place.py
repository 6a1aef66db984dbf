"""In-place operators that are read as those that give a new tensor, where nobody looks at what they overwrote.

`nn.ReLU(inplace=True)` behind a batch norm and `out += identity` are of this kind. torch has a pass that sees to all of
them (`run_decompositions`), which takes longer than exporting the model did.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.fx import Graph, Node

Functional: TypeAlias = Mapping[Node, OpOverload]
"""Calls that work in place -> the overload that gives the same as a new tensor."""

_OF_EACH = frozenset(
    {
        "add",
        "clamp",
        "div",
        "elu",
        "exp",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "leaky_relu",
        "mish",
        "mul",
        "neg",
        "pow",
        "relu",
        "relu6",
        "rsqrt",
        "sigmoid",
        "silu",
        "sqrt",
        "sub",
        "tanh",
    }
)
"""Operators of ATen that compute each entry for itself: of float32 they give float32, in place or not."""
_GIVE_NEW_TENSORS = _OF_EACH | {
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool2d",
    "addmm",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "baddbmm",
    "batch_norm",
    "bmm",
    "cat",
    "clone",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "convolution",
    "embedding",
    "gelu",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "lift_fresh_copy",
    "linear",
    "matmul",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mean",
    "mm",
    "rms_norm",
    "rsub",
    "scaled_dot_product_attention",
    "softmax",
    "stack",
    "sum",
}
"""Operators of ATen whose result never shares memory with what they take."""


def functional_targets(graph: Graph) -> Functional:
    """The calls that may be read so: what they overwrite was made for them, and nothing reads it, or a view, later."""
    places = {node: place for place, node in enumerate(graph.nodes)}
    found: dict[Node, OpOverload] = {}
    for node in graph.nodes:
        overwritten = node.args[0] if works_in_place(node) and node.args else None
        if not isinstance(overwritten, Node) or not _keeps_type(node):
            continue
        others = [user for user in overwritten.users if user is not node]
        seen_later = any(places[user] > places[node] or not _gives_new(user, found) for user in others)
        functional = _functional(node.target)
        if functional is not None and _gives_new(overwritten, found) and not seen_later:
            found[node] = functional
    return found


def leave_out_dropout(program: ExportedProgram) -> None:
    """Take what drops nothing out of a program that works in place somewhere, in the program itself.

    In eval mode a dropout gives the very tensor that it was given; torch's own pass takes the two for different ones.
    """
    if not any(map(works_in_place, program.graph.nodes)):
        return
    for node in list(program.graph.nodes):
        idle = str(node.target) in _DROPOUTS and node.args[2:3] == (False,) and isinstance(node.args[0], Node)
        if idle and all(user.op != "output" for user in node.users):
            node.replace_all_uses_with(node.args[0])
            program.graph.erase_node(node)


_DROPOUTS = ("aten.dropout.default", "aten.feature_dropout.default", "aten.alpha_dropout.default")


def works_in_place(node: Node) -> bool:
    """Whether a call writes to one of its arguments."""
    return isinstance(node.target, OpOverload) and node.target._schema.is_mutable


def _gives_new(node: Node, functional: Functional) -> bool:
    """Whether what a call gives shares no memory with what it takes, those calls read as functional ones."""
    return node in functional or (_name(node.target) in _GIVE_NEW_TENSORS and not works_in_place(node))


def _keeps_type(node: Node) -> bool:
    """Whether the functional operator gives the type that the overwritten tensor has, too."""
    name = _name(node.target)
    if name == "detach_":
        return True
    taken = [one.meta.get("val") for one in node.all_input_nodes]
    types = {one.dtype for one in taken if isinstance(one, torch.Tensor)}
    own = getattr(node.meta.get("val"), "dtype", None)
    return name.rstrip("_") in _OF_EACH and own is torch.float32 and torch.float64 not in types


def _name(target: object) -> str:
    """ATen's name of an operator; empty for what is none of ATen's."""
    if not isinstance(target, OpOverload) or target.namespace != "aten":
        return ""
    return target._schema.name.split("::")[1]


def _functional(target: object) -> OpOverload | None:
    """The overload without the underscore that takes the same, if there is one: pow_.Scalar is pow.Tensor_Scalar."""
    packet = getattr(torch.ops.aten, _name(target)[:-1], None)
    overloads = [getattr(packet, name) for name in packet.overloads()] if packet is not None else []
    return next((one for one in overloads if _takes(one) == _takes(target) and len(one._schema.returns) == 1), None)


def _takes(target: Any) -> list[tuple[str, str]]:
    return [(argument.name, str(argument.type)) for argument in target._schema.arguments]
